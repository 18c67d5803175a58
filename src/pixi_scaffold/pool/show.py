"""How a watch is shown: a live table on a terminal, plain lines in a log, JSON for programs."""

import json
import time
from typing import TextIO

from pixi_scaffold.pool.events import LogEvent, ProcState
from pixi_scaffold.pool.metrics import last_line
from pixi_scaffold.pool.outcome import Watched, duration
from pixi_scaffold.pool.why import asked_memory
from pixi_scaffold.report import printable, sayer

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
        if after.began is None:
            self._saved.pop(job, None)
        if before is not None and after.checkpoints > before.checkpoints and after.began:
            line = f"{clock}  {job}  checkpoint {after.checkpoints}"
            if job in self._saved:
                self.say(self._saved[job][1])
            self._saved[job] = time.monotonic(), line
        elif (before is None or before.words != after.words) and after.state != "returning":
            if before is not None and before.state == "returning" and not after.ended:
                return
            where = f" on {after.host}" if after.state == "running" and after.host else ""
            gpu = f" ({after.gpu})" if where and after.gpu else ""
            self.say(f"{clock}  {job}  {after.words}{where}{gpu}")

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


class JsonShow(PlainShow):
    """A JSON object a line for each event; what is said for people is an event, too."""

    def event(self, event: LogEvent, before: ProcState | None, after: ProcState) -> None:  # noqa: ARG002
        """Print the event and the state after it."""
        self._write({
            "event": event.kind, "time": event.time, "cluster": event.cluster, "proc": event.proc,
            "state": after.state, "exit_code": after.code, "checkpoints": after.checkpoints,
        })  # fmt: skip

    def say(self, *lines: str) -> None:
        """Print lines as one object."""
        self._write({"event": "SAID", "time": time.time(), "lines": list(lines)})

    def _write(self, document: dict[str, object]) -> None:
        self._stream.write(json.dumps(document) + "\n")
        self._stream.flush()


class LiveShow:
    """The processes, drawn again twice a second; what is said stays above them."""

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
            self._console.print(Text(printable(line)))

    def draw(self, watched: Watched) -> None:
        """Draw the table, at most twice a second."""
        from rich.text import Text

        if time.monotonic() - self._drawn < _DRAWN:
            return
        self._drawn = time.monotonic()
        width, height = self._console.size
        wide = width - 3  # room for the ^C of a terminal, which would move the last line up
        lines = table(watched, max(height - 6, 5), wide)
        drawn = []
        for line, state in ((printable(line), state) for line, state in lines):
            short = line if len(line) <= wide else f"{line[: wide - 1]}…"
            drawn.append(Text(short, style=_STYLES.get(state, "")))
        self._live.update(Text("\n", no_wrap=True, overflow="ellipsis").join(drawn), refresh=True)

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()


_HEAD = ("job", "state", "ran", "memory", "disk", "saved", "where", "last metrics")
_STYLES = {"": "bold", "held": "red", "failed": "red", "running": "green"}


def table(watched: Watched, most: int, width: int) -> list[tuple[str, str]]:
    """Return lines and what state each is about, at most so many; jobs that run come first.

    Where a line has no room for all of a job, its machine and its metrics stand in a second one.
    """
    states = sorted(
        watched.states.values(),
        key=lambda s: (_ORDER.index(s.state) if s.state in _ORDER else len(_ORDER), s.proc),
    )
    rows = [_HEAD, *(_cells(watched, state) for state in states[:most])]
    wide = [max(len(row[n]) for row in rows) for n in range(len(_HEAD))]
    columns = [n for n in range(len(_HEAD)) if n < 2 or any(row[n] for row in rows[1:])]
    fits = sum(wide[n] + 2 for n in columns) - 2 <= width
    lines = [(watched.counts(), "")]
    for row, state in zip(rows, ["", *(s.state for s in states)], strict=False):
        first = [n for n in columns if fits or n < len(_HEAD) - 2]
        lines.append(("  ".join(f"{row[n]:{wide[n]}}" for n in first).rstrip(), state))
        if not fits and (rest := "  ".join(row[n] for n in columns if n not in first and row[n])):
            lines.append((f"    {rest}", "" if row is _HEAD else "rest"))
    return lines[:most]


def _cells(watched: Watched, state: ProcState) -> tuple[str, ...]:
    now = time.time()
    asked = asked_memory(state, watched.receipt.ad)
    memory = f"{state.memory:.0f}/{asked:.0f} MB" if asked else f"{state.memory:.0f} MB"
    disk = f"{state.disk / 1e6:.1f}/{state.disk_request / 1e6:.1f} GB" if state.disk else ""
    saved = f"{state.checkpoints}" if state.checkpoints else ""
    if state.kept is not None and saved and state.began is not None:
        saved += f" ({duration(now - state.kept)} ago)"
    where = f"{state.host.split('.')[0]} {state.gpu}".strip()
    metrics = last_line(watched.metrics.get(state.proc, ()))
    job = watched.job(state.proc)
    return job, state.words, duration(state.seconds(now)), memory, disk, saved, where, metrics


Display = PlainShow | LiveShow


def display_for(stream: TextIO, *, as_json: bool) -> Display:
    """Return what suits the stream."""
    if as_json:
        return JsonShow(stream)
    return LiveShow(stream) if stream.isatty() else PlainShow(stream)
