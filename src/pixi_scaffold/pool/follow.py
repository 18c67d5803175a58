"""Follow a cluster's events: in its log, or, where that lies elsewhere, as the queue changes."""

import os
import stat
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.job import quiet
from pixi_scaffold.pool.access import AccessPoint, answering, condor, connect
from pixi_scaffold.pool.events import LogEvent, ProcState, fold
from pixi_scaffold.pool.receipt import SubmitReceipt
from pixi_scaffold.system import NOT_REGULAR

_EVERY = 5.0
"""Seconds between two questions: each costs the access point something."""
_NAMES = (
    "ProcId", "JobStatus", "HoldReason", "HoldReasonCode", "HoldReasonSubCode", "ExitCode",
    "ExitBySignal", "ExitSignal", "RemoteHost", "MemoryUsage", "RequestMemory", "DiskUsage",
    "RequestDisk", "CheckpointNumber", "EnteredCurrentStatus", "CompletionDate", "QDate",
    "RemoteWallClockTime", "LastRemoteHost",
)  # fmt: skip
_LIKE = {6: 2, 9: 1}
"""One whose output is on its way back still runs; one whose common input is on its way waits."""
_RUNNING = 2
_SPOOLING = 16
"""The code of a hold while input files are on their way to the access point."""
_KINDS = {
    1: "JOB_EVICTED", 2: "EXECUTE", 3: "JOB_ABORTED", 4: "JOB_TERMINATED", 5: "JOB_HELD",
    7: "JOB_SUSPENDED",
}  # fmt: skip
"""What the new JobStatus of a job that was in another one means, and after a certain one."""
_CHANGES = {(5, 1): "JOB_RELEASED", (7, 2): "JOB_UNSUSPENDED"}


class Follower:
    """The events of one log that were not read yet; HTCondor's own reader reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log: Any = None
        self._inode = 0
        self._size = 0

    def new(self) -> Iterator[LogEvent]:
        """Yield what was written since the last time; nothing while there is no log.

        A log that was renamed is read to its end before the new one is begun: HTCondor's reader
        goes on with the old file and never sees another. Raises ScaffoldError for one that cannot
        be read.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            yield from self._events()
            return
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if not stat.S_ISREG(status.st_mode):  # a pipe would keep the reader waiting
            raise _unreadable(self.path, OSError(0, NOT_REGULAR))
        if self._log is not None and status.st_ino == self._inode and status.st_size == self._size:
            return
        moved = status.st_ino != self._inode or status.st_size < self._size
        if self._log is None or moved:
            yield from self._events()
            self._open(status.st_ino)
        self._size = status.st_size
        yield from self._events()

    def _open(self, inode: int) -> None:
        if not os.access(self.path, os.R_OK):
            raise _unreadable(self.path, PermissionError(13, "Permission denied"))
        with quiet():
            if self._log is not None:
                self._log.close()
            self._log = condor().JobEventLog(str(self.path))
        self._inode = inode

    def _events(self) -> Iterator[LogEvent]:
        if self._log is None:
            return
        htcondor2 = condor()
        while True:
            try:
                raw = next(self._log.events(stop_after=0))
            except StopIteration:
                return
            except htcondor2.HTCondorException:  # a line that is no event: it goes on behind it
                continue
            yield read_event(raw)


def read_event(raw: Any) -> LogEvent:
    """Return an event of the bindings as plain data."""
    data = {str(k): _plain(v) for k, v in raw.items()}
    number = int(data.get("EventTypeNumber", -1))
    kind = _kinds().get(number, str(number))
    when = _seconds(str(data.get("EventTime", "")))
    return LogEvent(kind, int(data.get("Cluster", -1)), int(data.get("Proc", -1)), when, data)


@cache
def _kinds() -> Mapping[int, str]:
    return {int(kind): kind.name for kind in condor().JobEventType}


def _plain(value: Any) -> Any:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "items"):
        return {str(k): _plain(v) for k, v in value.items()}
    return str(value)


def _seconds(text: str) -> float:
    """Return an event's time; without a zone it is the local time of whoever wrote the log."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def _unreadable(path: Path, error: OSError) -> ScaffoldError:
    return ScaffoldError(
        f"cannot read the job event log {path}: {error.strerror}",
        "the jobs go on; ask whoever owns it, or see the queue: condor_q",
    )


def read_states(receipt: SubmitReceipt) -> dict[int, ProcState]:
    """Return the state of each process; one that no event names waits."""
    states = {number: ProcState(number) for number in range(len(receipt.jobs))}
    if receipt.log:
        for event in Follower(Path(receipt.log)).new():
            if event.cluster == receipt.cluster and event.proc >= 0:
                states[event.proc] = fold(states, event)
    return states


class QueueFollower:
    """The events of jobs whose log lies on another machine, made of how the queue changes."""

    def __init__(self, receipt: SubmitReceipt) -> None:
        self.receipt = receipt
        self._point: AccessPoint | None = None
        self._status: dict[int, int] = {}
        self._kept: dict[int, int] = {}
        self._ran: dict[int, float] = {}
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
        """Yield what happened to a process since the last look, as events of a log."""
        cluster, proc, status = self.receipt.cluster, int(ad["ProcId"]), int(ad.get("JobStatus", 1))
        status, before = _LIKE.get(status, status), self._status.get(proc)
        if status == 5 and ad.get("HoldReasonCode") == _SPOOLING:
            status = 1
        entered = _number(ad, "EnteredCurrentStatus", time.time())
        when = _number(ad, "CompletionDate", 0) or entered
        ran = _number(ad, "RemoteWallClockTime", 0)  # without the activation that goes on
        new, self._ran[proc] = ran - self._ran.get(proc, 0), ran
        if before is None:
            yield LogEvent("SUBMIT", cluster, proc, _number(ad, "QDate", when), {})
            before = 1
        if before == 1 and (new or status == _RUNNING):  # it may have begun and ended meanwhile
            yield LogEvent("EXECUTE", cluster, proc, when - new, _data(ad))
            before = _RUNNING
        kind = _CHANGES.get((before, status)) or _KINDS.get(status)
        if before != status and kind is not None:
            yield LogEvent(kind, cluster, proc, when, _data(ad))
        self._status[proc] = status
        kept = int(_number(ad, "CheckpointNumber", -1))
        for _ in range(kept - self._kept.get(proc, -1)):
            yield LogEvent("CHECKPOINTED", cluster, proc, time.time(), {})
        self._kept[proc] = max(kept, self._kept.get(proc, -1))

    def _left(self, point: AccessPoint, proc: int) -> Iterator[LogEvent]:
        """Yield how a process ended that is no longer in the queue, as the history has it."""
        if self._status.get(proc) in (3, 4):
            return
        where = f"ClusterId == {self.receipt.cluster} && ProcId == {proc}"
        with answering(point.name):
            ads = [dict(ad) for ad in point.schedd.history(where, list(_NAMES), 1)]
        for ad in ads:
            yield from self._changes(ad)


def _number(ad: dict[str, Any], name: str, otherwise: float) -> float:
    value = ad.get(name)
    return float(value) if isinstance(value, int | float) else otherwise


def _data(ad: dict[str, Any]) -> dict[str, Any]:
    host = str(ad.get("RemoteHost") or ad.get("LastRemoteHost") or "")
    return {
        **{k: v for k, v in ad.items() if isinstance(v, bool | int | float | str)},
        "SlotName": host,
        "ReturnValue": ad.get("ExitCode"),
        "TerminatedNormally": not ad.get("ExitBySignal", False),
        "TerminatedBySignal": ad.get("ExitSignal"),
    }
