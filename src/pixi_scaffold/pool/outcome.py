"""How the jobs of a cluster stand or ended: a line each, and their curves in one picture."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixi_scaffold.pool.events import ProcState
from pixi_scaffold.pool.metrics import Rows, gpu_share, last_line, picture
from pixi_scaffold.pool.receipt import SubmitReceipt
from pixi_scaffold.pool.why import asked_memory
from pixi_scaffold.system import layout, read_regular, replacing

_TOLD = ("proc", "state", "signal", "starts", "checkpoints", "evictions", "retries")
_IDLE_GPU = 0.5
"""Below this share in use, most of a GPU was idle."""
_LOG, _LINE = 1 << 20, 300
"""Bytes of an error file that are read, and characters of its last line that are shown."""


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
        numbers = Counter(state.state for state in self.states.values())
        numbers["not in the log yet"] = max(len(self.receipt.jobs) - len(self.states), 0)
        return ", ".join(f"{number} {name}" for name, number in numbers.items() if number)


def watch_facts(watched: Watched, picture: str) -> dict[str, Any]:
    """Return how the processes of a cluster stand, as the document has it."""
    now = time.time()
    jobs = [
        {
            **{name: getattr(s, name) for name in _TOLD}, "exit_code": s.code,
            "seconds": round(s.seconds(now), 1), "memory_mb": s.memory,
            "hold": list(s.hold) if s.hold else None, "reason": s.reason or s.evicted,
        }
        for s in sorted(watched.states.values(), key=lambda s: s.proc)
    ]  # fmt: skip
    receipt = watched.receipt
    return {"cluster": receipt.cluster, "schedd": receipt.schedd, "jobs": jobs, "picture": picture}


def outcomes(watched: Watched) -> Iterator[str]:
    """Yield a line for each process: how it ended, how long it ran, what it used."""
    now, most = time.time(), 40
    states = sorted(watched.states.values(), key=lambda s: (s.succeeded, s.proc))
    for state in states[:most]:
        rows = watched.metrics.get(state.proc, ())
        asked = asked_memory(state, watched.receipt.ad)
        parts = (
            f"{watched.receipt.named(state.proc)}  {state.words}",
            duration(state.seconds(now)),
            f"checkpoint {state.checkpoints}" if state.checkpoints else "",
            f"evicted {_times(state.evictions)}" if state.evictions else "",
            f"tried again {_times(state.retries)}" if state.retries else "",
            f"{state.memory:.0f} of {asked:.0f} MB" if state.memory and asked else "",
            last_line(rows),
        )
        yield ", ".join(filter(None, parts))
        if sentence := gpu_sentence(state, rows):
            yield f"  {sentence}"
        if state.state == "removed" and state.reason:
            yield f"  {state.reason}"
        if state.state == "failed" and (said := last_words(watched.receipt, state.proc)):
            yield f"  {said}"
    if len(states) > most:
        yield f"and {len(states) - most} more"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def last_words(receipt: SubmitReceipt, proc: int) -> str:
    """Return the last line that a job wrote to its error file, with the file's name; or nothing."""
    name = str(receipt.ad_of(proc).get("Err", ""))
    path = Path(receipt.folder) / name
    try:
        text = read_regular(path, _LOG).decode("utf-8", "replace") if name else ""
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{name}: {lines[-1][:_LINE]}" if lines and path.stat().st_size < _LOG else ""


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
    runs = {receipt.named(proc): rows for proc, rows in sorted(metrics.items())}
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
