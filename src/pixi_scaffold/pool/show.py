"""How a watch is shown: a live table on a terminal, plain lines in a log, JSON for programs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, TextIO

from pixi_scaffold.pool.events import LogEvent, ProcState
from pixi_scaffold.pool.metrics import last_line
from pixi_scaffold.pool.outcome import Watched, duration
from pixi_scaffold.pool.watch import Display
from pixi_scaffold.report import sayer

if TYPE_CHECKING:
    from rich.table import Table

_DRAWN = 0.5
"""Seconds between two drawings."""
_SETTLED = 1.5
_ORDER = ("running", "returning", "lost", "suspended", "sending", "held", "failed", "idle")


class PlainShow:
    """A line for each change."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._say = stream, sayer(stream)
        self._saved: dict[str, tuple[float, str]] = {}

    def event(self, event: LogEvent, before: ProcState | None, after: ProcState) -> None:
        """Print a line when the state changed, or a checkpoint was handed over."""
        clock = time.strftime("%H:%M:%S", time.localtime(event.time))
        job = f"{event.cluster}.{event.proc}"
        passing = ("returning",)
        if after.ended:
            self._saved.pop(job, None)
        if before is not None and after.checkpoints > before.checkpoints and after.began:
            line = f"{clock}  {job}  checkpoint {after.checkpoints}"
            if job in self._saved:
                self.say(self._saved[job][1])
            self._saved[job] = time.monotonic(), line
        elif (before is None or before.words != after.words) and after.state not in passing:
            if before is not None and before.state in passing and not after.ended:
                return
            self.say(f"{clock}  {job}  {after.words}{_where(after)}")

    def say(self, *lines: str) -> None:
        """Print lines."""
        for line in lines:
            self._say(line, "")
        self._stream.flush()

    def draw(self, watched: Watched) -> None:  # noqa: ARG002
        """Print which checkpoints were handed over: a moment later, for the end looks the same."""
        due = time.monotonic() - _SETTLED
        for job, (when, line) in list(self._saved.items()):
            if when < due:
                self._saved.pop(job)
                self.say(line)

    def close(self) -> None:
        """Print nothing."""


def _where(state: ProcState) -> str:
    if state.state != "running":
        return ""
    return f" on {state.host}" + (f" ({state.gpu})" if state.gpu else "")


class JsonShow:
    """A JSON object a line for each event; what is said for people is an event, too."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, event: LogEvent, before: ProcState | None, after: ProcState) -> None:  # noqa: ARG002
        """Print the event and the state after it."""
        self._write(
            {
                "event": event.kind, "time": event.time, "cluster": event.cluster,
                "proc": event.proc, "state": after.state, "exit_code": after.code,
                "checkpoints": after.checkpoints,
            }
        )  # fmt: skip

    def say(self, *lines: str) -> None:
        """Print lines as one object."""
        self._write({"event": "SAID", "time": time.time(), "lines": list(lines)})

    def _write(self, document: dict[str, object]) -> None:
        self._stream.write(json.dumps(document) + "\n")
        self._stream.flush()

    def draw(self, watched: Watched) -> None:
        """Print nothing."""

    def close(self) -> None:
        """Print nothing."""


class LiveShow:
    """A table that is drawn again; what is said stays above it."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        self._drawn = 0.0

    def event(self, event: LogEvent, before: ProcState | None, after: ProcState) -> None:
        """Wait for the next drawing."""

    def say(self, *lines: str) -> None:
        """Print lines above the table."""
        from rich.text import Text

        for line in lines:
            self._console.print(Text(line))

    def draw(self, watched: Watched) -> None:
        """Draw the table, at most twice a second."""
        now = time.monotonic()
        if now - self._drawn < _DRAWN:
            return
        self._drawn = now
        room = max(self._console.height - 6, 5)
        self._live.update(table(watched, room, self._console.width), refresh=True)

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()


def table(watched: Watched, most: int, width: int) -> Table:
    """Return the processes as a table of at most so many rows, those that run first."""
    from rich.table import Table

    now = time.time()
    wide = width >= 100
    drawn = Table(box=None, pad_edge=False, title=watched.counts(), title_justify="left")
    for name, least in (("job", 8), ("state", 8), ("where", 4), ("time", 6), ("MB of", 9)):
        most_wide = (34 if wide else 16) if name == "where" else None
        drawn.add_column(name, no_wrap=True, min_width=least, max_width=most_wide)
    if wide:
        drawn.add_column("disk GB of", no_wrap=True)
    for name, least in (("saved", 6), ("last metrics", 8)):
        drawn.add_column(name, no_wrap=True, overflow="ellipsis", min_width=least)
    asked = watched.receipt.ad.get("RequestMemory")
    states = sorted(
        watched.states.values(),
        key=lambda s: (_ORDER.index(s.state) if s.state in _ORDER else len(_ORDER), s.proc),
    )
    for state in states[:most]:
        request = state.memory_request or (asked if isinstance(asked, int | float) else 0)
        memory = f"{state.memory:.0f}/{request:.0f}" if request else f"{state.memory:.0f}"
        saved = f"{state.checkpoints}" if state.checkpoints else ""
        if state.kept is not None and state.began is not None:
            saved += f" ({duration(now - state.kept)} ago)"
        where = state.host.split(".")[0] + (f" {state.gpu}" if state.gpu else "")
        row = [watched.job(state.proc), state.words, where, duration(state.seconds(now)), memory]
        if wide:
            row.append(_disk(state))
        row += [saved, last_line(watched.metrics.get(state.proc, ()), 2)]
        drawn.add_row(*row)
    return drawn


def _disk(state: ProcState) -> str:
    """Return the disk that was used and asked for, in GB; HTCondor says it when a start ends."""
    if not state.disk:
        return ""
    return f"{state.disk / 1e6:.1f}/{state.disk_request / 1e6:.1f}"


def display_for(stream: TextIO, *, as_json: bool) -> Display:
    """Return what suits the stream."""
    if as_json:
        return JsonShow(stream)
    return LiveShow(stream) if stream.isatty() else PlainShow(stream)
