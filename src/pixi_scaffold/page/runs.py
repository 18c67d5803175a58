"""The runs of a training as its own records have them, and their curves in fewer points."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pixi_scaffold.system import layout, read_regular

LIMIT = 64 << 20
"""Bytes of a file of records that are read."""
DEEP = 3
"""How many folders below runs/ a run may lie."""
AXES = ("epoch", "step", "time", "seconds")
POINTS = 30_000
"""Of all curves together: what keeps a page below a megabyte."""

Curve = list[tuple[float, float | None, float | None]]
"""Where on the axis, the number, and the seconds since the run's first start."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One folder with metrics.jsonl."""

    name: str
    config: Mapping[str, Any]
    starts: int
    rows: tuple[Mapping[str, Any], ...]
    """One a line."""
    metrics: tuple[str, ...]
    """The columns of numbers that are measured, in their order."""
    clock: tuple[float | None, ...] = ()
    """Seconds from the run's first start to each row; None, or no entry, where it is not known."""
    problem: str = ""
    """Why something was not read."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the training was called with."""
        arguments = self.config.get("arguments")
        return arguments if isinstance(arguments, dict) else {}

    @property
    def axis(self) -> str:
        """What the curves are drawn over: the first of AXES that the rows have, or their number."""
        return next((name for name in AXES if self.rows and name in self.rows[-1]), "row")

    @property
    def last(self) -> Mapping[str, float]:
        """The last number of each metric."""
        last = self.rows[-1] if self.rows else {}
        return {k: n for k in self.metrics if (n := number(last.get(k))) is not None}

    def curve(self, metric: str) -> Curve:
        """Return a point of each row; None where there is no finite number."""
        places = [number(row.get(self.axis)) for row in self.rows]
        return [
            (float(n) if x is None else x, number(row.get(metric)), second)
            for n, (x, row, second) in enumerate(zip_longest(places, self.rows, self.clock))
        ]


def number(value: object) -> float | None:
    """Return a number that can be drawn: finite, and no larger than a float; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 else None  # NaN is not below it, either


def read_runs(root: Path) -> Iterator[TrainingRun]:
    """Yield the runs below runs/, by name; links are not followed, and nothing is written."""
    top = root / layout.RUNS
    folders = sorted(_folders(top), key=lambda path: _counted(path.relative_to(top).as_posix()))
    for path in folders:
        yield read_run(path, path.relative_to(top).as_posix())


def _counted(name: str) -> list[tuple[int, str]]:
    """Return what a name is sorted by: job-2 before job-10."""
    parts = re.split(r"(\d+)", name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]


def _folders(top: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(top):
        path = Path(folder)
        depth = len(path.relative_to(top).parts)
        folders[:] = folders if depth < DEEP else []
        if "metrics.jsonl" in files:
            yield path


def read_run(folder: Path, name: str) -> TrainingRun:
    """Read the records of one run; what cannot be read is said in `problem`."""
    rows, bad = _lines(folder / "metrics.jsonl")
    config, _ = _lines(folder / "config.json")
    history, _ = _lines(folder / "history.jsonl")
    first = config[0] if config else {}
    return TrainingRun(name, first, len(history), rows, measured(rows), clock(rows, history), bad)


def clock(
    rows: Sequence[Mapping[str, Any]], history: Sequence[Mapping[str, Any]]
) -> tuple[float | None, ...]:
    """Return the seconds of each row since the first start, waiting between two starts included.

    From `time` (Unix time, or any seconds that only grow) in the rows, or from `started` and
    `epochs_ended` of the starts in history.jsonl. None where neither says it.
    """
    times = [number(row.get("time")) for row in rows]
    if not any(times):
        at: dict[int, float] = {}
        for start in history:
            began, done, ended = (start.get(k) for k in ("started", "epochs_done", "epochs_ended"))
            if isinstance(began, str) and isinstance(done, int):
                with contextlib.suppress(ValueError, OverflowError):
                    since = datetime.fromisoformat(began).timestamp()
                    if done == 0:
                        at.setdefault(0, since)  # the row before the first step
                    seconds = (number(s) or 0.0 for s in (ended if isinstance(ended, list) else ()))
                    at |= {epoch: since + s for epoch, s in enumerate(seconds, done + 1)}
        times = [
            at.get(epoch) if isinstance(epoch := row.get("epoch"), int) else None for row in rows
        ]
    said = [time for time in times if time is not None]
    if len(said) < 2 or said != sorted(said):
        return ()
    return tuple(None if time is None else time - said[0] for time in times)


def measured(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the columns of numbers that are measured, in their order."""
    keys = dict.fromkeys(key for row in (*rows[:1], *rows[-1:]) for key in row if key not in AXES)
    return tuple(k for k in keys if any(number(row.get(k)) is not None for row in rows[-3:]))


def _lines(path: Path) -> tuple[tuple[Mapping[str, Any], ...], str]:
    """Return the objects of a file with one a line, and what is wrong with it."""
    try:
        content = read_regular(path, LIMIT)
    except OSError as error:
        return (), f"{path.name}: {error.strerror}"
    rows, bad = [], 0
    for line in content.splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # a line that is being written, or damage
            row = None
        if isinstance(row, dict):
            rows.append(row)
        elif line.strip():
            bad += 1
    more = f"{path.name}: only its first {LIMIT >> 20} MB" if len(content) == LIMIT else ""
    return tuple(rows), f"{path.name}: {bad} lines cannot be read" if bad else more


def thinned(curve: Curve, most: int) -> Curve:
    """Return a curve in at most `most` points: its ends, and the extremes of each stretch.

    So no spike is lost, whatever the number of points. A gap (None) ends a stretch.
    """
    if len(curve) <= most:
        return list(curve)
    stretches = max((most - 2) // 2, 1)
    kept, inner = [curve[0]], len(curve) - 2
    for number in range(stretches):
        start, end = (1 + inner * n // stretches for n in (number, number + 1))
        part = [(y, i) for i, (_, y, _) in enumerate(curve[start:end], start) if y is not None]
        if part:
            kept += [curve[i] for i in sorted({min(part)[1], max(part)[1]})]
        elif start < end:
            kept.append(curve[start])
    return [*kept, curve[-1]]


def metrics_of(runs: Sequence[TrainingRun]) -> tuple[str, ...]:
    """Return the metrics that any of the runs has, in their order."""
    return tuple(dict.fromkeys(name for run in runs for name in run.metrics))


def varied(runs: Sequence[TrainingRun]) -> tuple[str, ...]:
    """Return the arguments in which the runs differ: what a sweep sweeps."""
    aside = {"name", "runs_dir", "resume", "plot"}
    names = dict.fromkeys(key for run in runs for key in run.arguments if key not in aside)

    def said(run: TrainingRun, key: str) -> str:
        return json.dumps(run.arguments.get(key), default=str)

    return tuple(key for key in names if len({said(run, key) for run in runs}) > 1)
