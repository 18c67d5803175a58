"""Follow a job event log: before it is there, through rotation and half-written events."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.job import quiet
from pixi_scaffold.pool.access import condor
from pixi_scaffold.pool.events import LogEvent, ProcState, fold
from pixi_scaffold.pool.receipt import SubmitReceipt
from pixi_scaffold.system import NOT_REGULAR


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
            except (
                htcondor2.HTCondorException
            ):  # a line that is no event: the reader goes on behind it
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
        if text.endswith("Z"):
            return datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC).timestamp()
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
