"""The events of a job whose log lies on another machine, made of how the queue changes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.pool.access import AccessPoint, answering, connect
from pixi_scaffold.pool.events import LogEvent
from pixi_scaffold.pool.receipt import SubmitReceipt

_EVERY = 5.0
"""Seconds between two questions: each costs the access point something."""
_NAMES = (
    "ProcId", "JobStatus", "HoldReason", "HoldReasonCode", "HoldReasonSubCode", "ExitCode",
    "ExitBySignal", "ExitSignal", "RemoteHost", "MemoryUsage", "RequestMemory", "DiskUsage",
    "RequestDisk", "CheckpointNumber", "EnteredCurrentStatus",
)  # fmt: skip
_KINDS = {1: "JOB_EVICTED", 2: "EXECUTE", 4: "JOB_TERMINATED", 5: "JOB_HELD", 7: "JOB_SUSPENDED"}


class QueueFollower:
    """What changed in the queue since the last time."""

    def __init__(self, receipt: SubmitReceipt) -> None:
        self.receipt = receipt
        self._point: AccessPoint | None = None
        self._status: dict[int, int] = {}
        self._kept: dict[int, int] = {}
        self._next = 0.0

    def new(self) -> Iterator[LogEvent]:
        """Yield events; none while the access point does not answer."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY
        try:
            if self._point is None:
                self._point = connect(self.receipt.schedd, self.receipt.pool)
            ads = [dict(ad) for ad in self._point.jobs(self.receipt.cluster, *_NAMES)]
            gone = set(range(len(self.receipt.jobs))) - {int(ad["ProcId"]) for ad in ads}
            ended = [event for proc in sorted(gone) for event in self._left(self._point, proc)]
        except ScaffoldError:
            self._point = None
            return
        for ad in ads:
            yield from self._changes(ad)
        yield from ended

    def _changes(self, ad: dict[str, Any]) -> Iterator[LogEvent]:
        proc, status = int(ad["ProcId"]), int(ad.get("JobStatus", 1))
        kept = ad.get("CheckpointNumber", -1)
        before = self._status.get(proc)
        when = float(ad.get("EnteredCurrentStatus", 0) or time.time())
        if before is None:
            yield LogEvent("SUBMIT", self.receipt.cluster, proc, when, {})
        if before != status and not (before is None and status == 1):
            if (kind := _KINDS.get(status)) is not None:
                yield LogEvent(kind, self.receipt.cluster, proc, when, _data(ad))
            self._status[proc] = status
        self._status.setdefault(proc, status)
        if isinstance(kept, int) and kept > self._kept.get(proc, -1):
            for _ in range(kept - self._kept.get(proc, -1)):
                data = {"Type": 6}
                yield LogEvent("FILE_TRANSFER", self.receipt.cluster, proc, time.time(), data)
            self._kept[proc] = kept

    def _left(self, point: AccessPoint, proc: int) -> Iterator[LogEvent]:
        """Yield how a process ended that is no longer in the queue, as the history has it."""
        if self._status.get(proc) in (3, 4):
            return
        where = f"ClusterId == {self.receipt.cluster} && ProcId == {proc}"
        with answering(point.name):
            ads = [dict(ad) for ad in point.schedd.history(where, [*_NAMES, "CompletionDate"], 1)]
        for ad in ads:
            done = ad.get("JobStatus") == 4
            kind = "JOB_TERMINATED" if done else "JOB_ABORTED"
            self._status[proc] = 4 if done else 3
            yield LogEvent(kind, self.receipt.cluster, proc, time.time(), _data(ad))


def _data(ad: dict[str, Any]) -> dict[str, Any]:
    """Return an ad as the events name it."""
    host = str(ad.get("RemoteHost", ""))
    return {
        **{k: v for k, v in ad.items() if isinstance(v, bool | int | float | str)},
        "SlotName": host,
        "ReturnValue": ad.get("ExitCode"),
        "TerminatedNormally": not ad.get("ExitBySignal", False),
        "TerminatedBySignal": ad.get("ExitSignal"),
    }
