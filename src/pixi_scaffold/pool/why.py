"""Why a job is not running, in words: held, evicted, or idle for want of a slot that fits."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.job import JobAd, ad_clauses, match
from pixi_scaffold.pool.access import AccessPoint, answering, collector_of, condor
from pixi_scaffold.pool.events import ProcState, number
from pixi_scaffold.system import program

_DATA = Path(__file__).with_name("data")
_HOLDS = _DATA / "holds.toml"
_BLOCKED = 9
"""The JobStatus of a job that waits for transfer_common_input. Source: seen with 25.14.1."""
_TOTALS = {"Cpus": "TotalSlotCpus", "Memory": "TotalSlotMemory", "Disk": "TotalSlotDisk"}
_REAL = re.compile(r"\b\d\.\d+E[+-]\d+")
"""How HTCondor writes a number that is no whole one."""
_LIMITS = {
    "RequestMemory": ("request_memory", "Memory"), "RequestCpus": ("request_cpus", "Cpus"),
    "RequestDisk": ("request_disk", "Disk"), "RequestGPUs": ("request_gpus", "GPUs"),
    "GPUsMinMemory": ("gpus_minimum_memory", "GlobalMemoryMb"),
    "GPUsMinCapability": ("gpus_minimum_capability", "Capability"),
    "GPUsMinRuntime": ("gpus_minimum_runtime", "MaxSupportedVersion"),
}  # fmt: skip
"""The command of each limit of a job, and what a slot, or each of its GPUs, has of it."""


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


def _as_written(name: str, value: float) -> str:
    if name == "RequestDisk":  # in KB
        return f"{int(value / 1024**2 * 10) / 10:g} GB"
    if name == "GPUsMinRuntime":  # 12040 is CUDA 12.4
        return f"{value // 1000:.0f}.{value % 1000 // 10:.0f}"
    if name in ("RequestMemory", "GPUsMinMemory"):
        return f"{value / 1024:g} GB" if value % 1024 == 0 else f"{value:g} MB"
    return f"{value:g}"


def idle(point: AccessPoint, cluster: int, proc: int) -> Iterator[str]:
    """Yield why a job is idle, from its own ad and the pool's slots.

    Raises ScaffoldError when the access point or the collector does not answer.
    """
    ads = [ad for ad in point.jobs(cluster) if ad.get("ProcId") == proc]
    if not ads:
        yield "idle: it left the queue a moment ago"
        return
    job = ads[0]
    if job.get("JobStatus") == _BLOCKED:
        yield "idle: it has a machine, to which its common input files are being sent"
        return
    with answering(point.name):
        every = collector_of(point.pool).query(condor().AdType.Startd)
    slots = [slot for slot in every if str(slot.get("SlotType")) != "Dynamic"]
    if not slots:
        yield "idle: the pool has no slot at all now; condor_status"
        return
    empty = [as_empty(slot) for slot in slots]
    unit = "GPUs" if number(job.get("RequestGPUs")) > 0 else "slots"
    total = sum(_size(slot, unit) for slot in empty)
    fits = count(job, empty, unit)
    if fits:
        free = count(job, slots, unit)
        now = f"{free} of them free now" if free else "none of them free now"
        fit = "fits" if fits == 1 else "fit"
        yield f"idle: {fits} of {total} {unit} {fit}, {now}: it waits for its turn"
        why = job.get("LastRejMatchReason")
        if isinstance(why, str) and why not in ("", "no match found"):  # it said so of busy ones
            yield f"  the negotiator said last: {why}"
    else:
        yield f"idle: none of {total} {unit} fits: it will not start as it is"
    for words in _refusals(job, empty):
        yield f"  {words}"
    more = sorted(lowered(job, empty, unit, fits), key=lambda one: -one[0])
    for many, words in more[:3]:
        yield f"  {words}: {many} of {total}"


def as_empty(slot: Any) -> Any:
    """Return a partitionable slot's ad as if nothing ran in it."""
    import classad2

    whole = classad2.ClassAd(str(slot))
    for name, total in _TOTALS.items():
        if total in slot:
            whole[name] = slot[total]
    if "TotalSlotGPUs" in slot:
        whole["GPUs"] = slot["TotalSlotGPUs"]
        given = str(slot.get("AssignedGPUs", "")).replace(" ", "")
        names = [f"GPUs_{one.replace('-', '_')}" for one in given.split(",") if one]
        if names:
            whole["AvailableGPUs"] = classad2.ExprTree("{" + ",".join(names) + "}")
    return whole


def _size(slot: Any, unit: str) -> int:
    return int(number(slot.get("GPUs"))) if unit == "GPUs" else 1


def count(job: Any, slots: Sequence[Any], unit: str) -> int:
    """Return how many slots match a job both ways; of GPUs, those that its limits let it have."""
    import classad2

    total = 0
    for slot in slots:
        if not job.symmetricMatch(slot):
            continue
        if unit == "slots" or "RequireGPUs" not in job:
            total += _size(slot, unit)
            continue
        wanted = classad2.ExprTree("countMatches(MY.RequireGPUs, TARGET.AvailableGPUs)")
        value = wanted.eval(job, slot)
        total += value if isinstance(value, int) else 0
    return total


def lowered(job: Any, slots: Sequence[Any], unit: str, fits: int) -> Iterator[tuple[int, str]]:
    """Yield for each limit how many would fit with the next lower value, and `with NAME VALUE`."""
    import classad2

    for name, (command, attribute) in _LIMITS.items():
        now = job.eval(name) if name in job else None
        if not isinstance(now, int | float) or isinstance(now, bool):
            continue
        values = {v for slot in slots for v in _values(slot, name, attribute) if 0 < v < now}
        for value in sorted(values, reverse=True):
            other = classad2.ClassAd(str(job))
            other[name] = value
            more = count(other, slots, unit)
            if more > fits:
                low, high = (_as_written(name, float(one)) for one in (value, now))
                yield more, f"with {command} {low} in place of {high}"
                break


def _values(slot: Any, limit: str, attribute: str) -> Iterator[float]:
    gpus = [slot.eval(key) for key in slot if key.startswith("GPUs_GPU_")]
    ads = [slot] if limit.startswith("Request") else gpus
    return (value for ad in ads if isinstance(value := ad.get(attribute), int | float))


def _refusals(job: Any, slots: Sequence[Any]) -> Iterator[str]:
    values = {name: _written(job.lookup(name)) for name in job if name != "Requirements"}
    gpus = str(job.lookup("RequireGPUs")) if "RequireGPUs" in job else ""
    asked = JobAd(values, tuple(ad_clauses(str(job.lookup("Requirements")), gpus)))
    try:
        report = match(asked, slots)
    except ScaffoldError as error:
        yield error.message
        return
    by = Counter(clause for slot in report.slots for clause in dict.fromkeys(slot.refused))
    for clause, many in by.most_common(4):
        named = "" if clause.origin in ("requirements", clause.text) else f" ({clause.origin})"
        text = _REAL.sub(lambda real: f"{float(real[0]):g}", clause.text)
        yield f"{many} of {len(slots)} machines refused by {text}{named}"


def _written(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else " ".join(str(value).split())
