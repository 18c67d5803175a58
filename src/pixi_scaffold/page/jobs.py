"""Jobs on a pool: what was submitted from here, and what HTCondor's job event log says of it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pixi_scaffold.system import layout, read_regular

LIMIT = 64 << 20
_EVENT = re.compile(
    r"^(\d{3}) \((\d+)\.(\d+)\.\d+\) "
    r"(?:(\d{4})-(\d\d)-(\d\d)|(\d\d)/(\d\d))[ T](\d\d):(\d\d):(\d\d)", re.M
)  # fmt: skip
"""The head of an event, with a year or without (condor_utils, condor_event.cpp)."""
_STATES = {0: "idle", 1: "running", 4: "idle", 7: "idle", 12: "held", 13: "idle", 24: "idle",
           5: "ended", 9: "removed"}  # fmt: skip
"""The state in which an event leaves a job, by its ULogEventNumber."""


@dataclass(frozen=True, slots=True)
class PoolJob:
    """One process: seconds spent in each state, as its event log has them, and its state now."""

    cluster: int
    proc: int
    submitted: str
    state: str
    seconds: Mapping[str, float]
    starts: int
    values: str
    """What the queue statement set for it."""


def read_jobs(root: Path, now: datetime | None = None) -> Iterator[PoolJob]:
    """Yield the jobs of every receipt of `submit`, the newest first; none where there are none."""
    documents = [d for path in (root / layout.SUBMITTED).glob("*.json") if (d := _json(path))]
    for receipt in sorted(documents, key=lambda d: str(d.get("submitted", "")), reverse=True):
        cluster, jobs = receipt.get("cluster"), receipt.get("jobs")
        if not isinstance(cluster, int) or not isinstance(jobs, list):
            continue
        log = read_log(receipt, root)
        for proc, job in enumerate(jobs):
            values = job.get("values") if isinstance(job, dict) else None
            pairs = values.items() if isinstance(values, dict) else ()
            events = log.get((cluster, proc), [])
            state, seconds, starts = spent(events, now or datetime.now())
            yield PoolJob(
                cluster, proc, str(receipt.get("submitted", "")),
                state, seconds, starts, " ".join(f"{k}={v}" for k, v in pairs),
            )  # fmt: skip


def spent(events: list[tuple[int, datetime]], now: datetime) -> tuple[str, dict[str, float], int]:
    """Return the state, the seconds in each state, and how often it started on a machine.

    events: number and local time, in the order of the log. A job that goes on is in its last state
    until `now`.
    """
    state, since, starts = "unknown", now, 0
    seconds = {"idle": 0.0, "running": 0.0, "held": 0.0}
    for number, time in (*((n, t) for n, t in events if n in _STATES), (-1, now)):
        if state in seconds:
            seconds[state] += max((time - since).total_seconds(), 0.0)
        starts += number == 1
        state, since = _STATES.get(number, state), time
    return state, seconds, starts


def read_log(
    receipt: Mapping[str, Any], root: Path
) -> dict[tuple[int, int], list[tuple[int, datetime]]]:
    """Return the events of each job of the receipt's log; none where it cannot be read."""
    name, folder = receipt.get("log"), receipt.get("folder")
    if not isinstance(name, str) or not name:
        return {}
    try:
        text = read_regular(root / str(folder or "") / name, LIMIT).decode("utf-8", "replace")
    except OSError:
        return {}
    year = str(receipt.get("submitted", ""))[:4]
    events: dict[tuple[int, int], list[tuple[int, datetime]]] = {}
    for event in _EVENT.finditer(text):
        number, cluster, proc, y, month, day, short_month, short_day, *clock = event.groups()
        try:
            date = int(y or year), int(month or short_month), int(day or short_day)
            time = datetime(*date, *(int(part) for part in clock))  # type: ignore[arg-type]
        except ValueError:
            continue
        events.setdefault((int(cluster), int(proc)), []).append((int(number), time))
    return events


def _json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty where there is none."""
    try:
        document = json.loads(read_regular(path, LIMIT))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
