"""Why a job is not running, in words: held, evicted, or idle for want of a slot that fits."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pixi_scaffold.pool.events import ProcState, number
from pixi_scaffold.system import program

_DATA = Path(__file__).with_name("data")
_HOLDS = _DATA / "holds.toml"


@cache
def _table(path: Path) -> Mapping[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def held(state: ProcState, cluster: int) -> Iterator[str]:
    """Yield why a job is held, HTCondor's own words, and what to do."""
    code, subcode = state.hold or (0, 0)
    entry = _table(_HOLDS).get(str(code), {})
    words = entry.get(str(subcode)) or entry.get("words") or "HTCondor says why"
    yield f"held: {words} (code {code}, subcode {subcode})"
    if state.reason:
        yield f"  HTCondor: {' '.join(state.reason.split())}"
    if state.checkpoints:
        yield f"  kept: checkpoint {state.checkpoints}"
    job = f"{cluster}.{state.proc}"
    fix = entry.get("fix", "correct it")
    yield f"  usual fix: {fix.format(job=job, cluster=cluster)}"
    if "condor_" not in fix:
        remove = f"{program()} stop {job}" if state.checkpoints else f"condor_rm {job}"
        yield f"  then: condor_release {job} (for another description: {remove}, and submit again)"


def evicted(state: ProcState, job: str, ad: Mapping[str, Any]) -> Iterator[str]:
    """Yield who threw a job off its machine, and what was kept."""
    lower = state.evicted.lower()
    causes = _table(_DATA / "evictions.toml").items()
    words = next((text for mark, text in causes if mark in lower), "it had to leave its machine")
    often = f" ({state.evictions} times so far)" if state.evictions > 1 else ""
    yield f"evicted: {words}{often}"
    yield f"  HTCondor: {' '.join(state.evicted.split())}"
    if state.checkpoints:
        yield f"  kept: checkpoint {state.checkpoints}; it goes on from there ({job})"
    else:
        yield "  kept: nothing was handed over, so it starts over"
    if state.outgrown and "NextRequestMemory" in ad:
        yield f"  its next start has {asked_memory(state, ad):.0f} MB, as --retry-memory wants it"


def asked_memory(state: ProcState, ad: Mapping[str, Any]) -> float:
    """Return the MB that a job asks for now, 0 where that is not known.

    No event tells that HTCondor made the request larger, before the job ends.
    """
    first, most = (number(ad.get(name)) for name in ("RequestMemory", "MaxRequestMemory"))
    if state.outgrown and "NextRequestMemory" in ad and not state.ended:
        return min(first * 2.0**state.outgrown, most or float("inf"))
    return state.memory_request or first


def retried(state: ProcState, ad: Mapping[str, Any]) -> str:
    """Return that a job which ended is started again, and how often that may still be."""
    most = ad.get("JobMaxRetries")
    of = f" of {most}" if isinstance(most, int) else ""
    return (
        f"ended with exit code {state.code}: HTCondor starts it again (retry {state.retries}{of})"
    )
