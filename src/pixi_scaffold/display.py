"""Draw progress and reports: live on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from pixi_scaffold.report import Report, Result, Status

_STYLES = {Status.PASSED: "green", Status.FAILED: "bold red", Status.SKIPPED: "yellow"}


class Display(Protocol):
    """A Progress that must be closed before anything else is printed."""

    def close(self) -> None:
        """Take the live part off the screen."""


class PlainProgress:
    """One line when a step starts, one when it ends, and at most one in ten seconds between."""

    def __init__(self, console: Console, every: float = 10.0) -> None:
        self.console = console
        self.every = every
        self.last = 0.0
        self.name = ""

    def start(self, name: str) -> None:
        self.name, self.last = name, time.monotonic()
        self._say(f"{name}: started")

    def update(self, text: str, fraction: float | None = None) -> None:
        if time.monotonic() - self.last < self.every:
            return
        self.last = time.monotonic()
        percent = "" if fraction is None else f"{fraction:4.0%} "
        self._say(f"{self.name}: {percent}{text}")

    def note(self, text: str) -> None:
        self._say(text)

    def finish(self, result: Result) -> None:
        self._say(f"{result.name}: {result.status} in {result.seconds:.1f} s: {result.detail}")

    def close(self) -> None:
        pass

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


class LiveProgress:
    """A spinner and a bar for the step that runs; finished steps stay as lines above it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.fields[stage]}", style="bold"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
        )
        self.live: Live | None = None
        self.task = self.bars.add_task("", stage="", total=None, visible=False)

    def start(self, name: str) -> None:
        if self.live is None:
            self.live = Live(self.bars, console=self.console, transient=True)
            self.live.start()
        self.bars.reset(self.task, total=None, description="", stage=f"{name:<9}", visible=True)

    def update(self, text: str, fraction: float | None = None) -> None:
        room = max(self.console.width - 52, 10)
        total = None if fraction is None else 1.0
        self.bars.update(self.task, description=text[:room], completed=fraction or 0.0, total=total)

    def note(self, text: str) -> None:
        self.console.print(Text(text, style="yellow"))

    def finish(self, result: Result) -> None:
        line = Text(f"{result.status:<8}", style=_STYLES[result.status])
        line.append(f"{result.name:<10}", style="bold").append(f"{result.seconds:6.1f} s  ")
        line.append(result.detail, style="default")
        self.console.print(line)
        self.bars.update(self.task, visible=False)

    def close(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None


def progress_for(console: Console) -> LiveProgress | PlainProgress:
    """Return what suits the console."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)


def print_report(report: Report, console: Console) -> None:
    """Print the table of steps, what failed and why, and the next commands."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    table.add_column("status")
    table.add_column("time", justify="right")
    table.add_column("detail", overflow="fold")
    for result in report.results:
        ran = result.status is not Status.SKIPPED
        table.add_row(
            result.name,
            Text(str(result.status), style=_STYLES[result.status]),
            f"{result.seconds:.1f} s" if ran else "",
            Text(result.detail),
        )
    console.print()
    console.print(table)
    for item in report.facts.get("skipped", ()):
        if item["what"] not in {r.name for r in report.results}:
            console.print(Text.assemble(("skipped  ", "yellow"), f"{item['what']}: {item['why']}"))
    for result in report.failed:
        console.print()
        print_error(f"{result.name} failed: {result.detail}", result.lines, result.hint, console)
    if report.next_commands:
        console.print("\n[bold]next[/bold]")
        for command in report.next_commands:
            console.print(Text(f"  {command}"), soft_wrap=True)


def print_error(message: str, lines: tuple[str, ...], hint: str, console: Console) -> None:
    """Print what failed and why, and what to do next."""
    console.print(Text(message, style="bold red"), soft_wrap=True)
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("next: ", "bold"), hint), soft_wrap=True)


def consoles() -> tuple[Console, Console]:
    """Return the consoles of stdout and stderr."""
    return Console(file=sys.stdout), Console(file=sys.stderr)
