"""How the jobs of a cluster stand or ended: a line each, and their curves in one picture."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixi_scaffold.pool.curves import picture
from pixi_scaffold.pool.events import ProcState
from pixi_scaffold.pool.metrics import Rows, gpu_share, last_line
from pixi_scaffold.pool.receipt import SubmitReceipt
from pixi_scaffold.system import layout, replacing

_IDLE_GPU = 0.5
"""Below this share in use, most of a GPU was idle."""


@dataclass(slots=True)
class Watched:
    """A cluster as far as its log was read."""

    receipt: SubmitReceipt
    states: dict[int, ProcState] = field(default_factory=dict)
    metrics: dict[int, Rows] = field(default_factory=dict)

    def job(self, proc: int) -> str:
        """Return the number of a job as HTCondor writes it."""
        return f"{self.receipt.cluster}.{proc}"

    @property
    def ended(self) -> bool:
        """Whether every process that was submitted has ended."""
        states = self.states.values()
        return len(self.states) >= len(self.receipt.jobs) and all(s.ended for s in states)

    def counts(self) -> str:
        """Return `3 running, 2 idle`."""
        numbers: dict[str, int] = {}
        for state in self.states.values():
            numbers[state.state] = numbers.get(state.state, 0) + 1
        missing = len(self.receipt.jobs) - len(self.states)
        if missing > 0:
            numbers["not in the log yet"] = missing
        return ", ".join(f"{number} {name}" for name, number in numbers.items())


@dataclass(frozen=True, slots=True)
class WatchFacts:
    """How the processes of a cluster stand."""

    watched: Watched
    picture: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as the document has it."""
        now = time.time()
        receipt = self.watched.receipt
        jobs = [
            {
                "proc": s.proc, "state": s.state, "exit_code": s.code, "signal": s.signal,
                "seconds": round(s.seconds(now), 1), "starts": s.starts,
                "checkpoints": s.checkpoints, "evictions": s.evictions,
                "memory_mb": s.memory, "hold": list(s.hold) if s.hold else None,
                "reason": s.reason or s.evicted,
            }
            for s in sorted(self.watched.states.values(), key=lambda s: s.proc)
        ]  # fmt: skip
        return {"cluster": receipt.cluster, "schedd": receipt.schedd, "jobs": jobs,
                "picture": self.picture}  # fmt: skip


def outcomes(watched: Watched) -> Iterator[str]:
    """Yield a line for each process: how it ended, how long it ran, what it used."""
    now, most = time.time(), 40
    states = sorted(watched.states.values(), key=lambda s: (s.succeeded, s.proc))
    for state in states[:most]:
        parts = [f"{watched.job(state.proc)}  {state.words}", f"{duration(state.seconds(now))}"]
        if state.checkpoints:
            parts.append(f"{state.checkpoints} checkpoints")
        if state.evictions:
            parts.append(f"evicted {state.evictions} times")
        if state.memory and state.memory_request:
            parts.append(f"{state.memory:.0f} of {state.memory_request:.0f} MB")
        rows = watched.metrics.get(state.proc, ())
        yield ", ".join([*parts, *filter(None, [last_line(rows)])])
        if sentence := gpu_sentence(state, rows):
            yield f"  {sentence}"
        if state.state == "removed" and state.reason:
            yield f"  {state.reason}"
    if len(states) > most:
        yield f"and {len(states) - most} more"


def gpu_sentence(state: ProcState, rows: Rows) -> str:
    """Return what a job used of its GPU, where that is known; loud when most of it was idle."""
    share = gpu_share(rows)
    share = state.gpu_used if share is None else share
    if share is None or not state.gpus:
        return ""
    said = f"used {share:.0%} of its {state.gpu or 'GPU'}"
    if share < _IDLE_GPU:
        return f"{said}: most of it was idle; a larger batch, or a smaller GPU, would do"
    return said


def save_picture(root: Path, receipt: SubmitReceipt, metrics: Mapping[int, Rows]) -> Path | None:
    """Draw the curves of all processes into one picture; None where there is nothing to draw."""
    runs = {}
    for proc, rows in sorted(metrics.items()):
        values = receipt.jobs[proc].values if proc < len(receipt.jobs) else {}
        words = " ".join(f"{k}={v}" for k, v in values.items() if k != "name")
        runs[f"{receipt.cluster}.{proc} {words}".strip()] = rows
    text = picture(runs, f"{receipt.description}, cluster {receipt.cluster}")
    if not text:
        return None
    path = root / layout.SUBMITTED / f"{receipt.cluster}.svg"
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")
    return path.relative_to(root)


def duration(seconds: float) -> str:
    """Return a time as people say it: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    whole = int(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
