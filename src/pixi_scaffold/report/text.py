"""Draw progress and reports: live and coloured on a terminal, plain lines in a log.

rich costs more to import than a small command takes, so only a terminal pays for it.
"""

import re
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, TextIO

from pixi_scaffold.report.result import Report, Result, Status, wrapped

if TYPE_CHECKING:
    from rich.live import Live

_STYLES = {Status.PASSED: "green", Status.FAILED: "bold red", Status.SKIPPED: "yellow"}

Say = Callable[[str, str], None]
"""Print one line in a style; a log has no styles."""


def printable(text: str) -> str:
    """Return a text with its control characters written out: a terminal would obey some of them."""
    return "".join(c if c in "\n\t" or c.isprintable() else repr(c)[1:-1] for c in text)


def sayer(stream: TextIO) -> Say:
    """Return what prints on `stream`, with colours where it is a terminal.

    What is printed can come from a stranger's files, so no control character goes through.
    """
    if not stream.isatty():
        return lambda text, _: print(printable(text), file=stream)

    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream)
    return lambda text, style: console.print(Text(printable(text), style=style), soft_wrap=True)


def print_report(
    report: Report, stream: TextIO, told: Collection[Result] = (), *, verbose: bool = False
) -> None:
    """Print how it ended: the steps, what failed and why, and the next commands.

    told: steps that were printed as they ended, and are not printed again. A verdict stands for
    the table, unless that is wanted, too (verbose).
    """
    say = sayer(stream)
    width = shutil.get_terminal_size().columns
    if report.verdict is None or verbose:
        rows = [r for r in report.results if verbose or r not in told]
        _print_block(
            ((line, _STYLES[status] if status else "bold")
             for line, status in report.table(width, rows)), say,
        )  # fmt: skip
    if verdict := report.verdict:
        style = "bold green" if verdict.good else "bold yellow"
        lines = [(line, style) for line in wrapped(verdict.text, width)]
        lines += [(line, "") for note in verdict.notes for line in wrapped(note, width, "  ", 4)]
        _print_block(lines, say)
    for result in report.results:
        if result.status is Status.FAILED:
            say("", "")
            print_error(f"{result.name} failed: {result.detail}", result.lines, result.hint, stream)
        elif result.lines:
            _print_block([(f"{result.name}: {result.detail}", "bold")], say)
            _print_lines(result.lines, stream, say)
    if report.incomplete:
        problem = "what was asked for and skipped counts as a failure (--train, --strict)"
        say("", "")
        print_error(problem, (), "", stream)
    if report.next_commands:
        _print_block([("next", "bold"), *((f"  {c}", "") for c in report.next_commands)], say)


def _print_block(lines: Iterable[tuple[str, str]], say: Say) -> None:
    """Print lines with their styles, below an empty one; nothing where there are none."""
    for number, (line, style) in enumerate(lines):
        if not number:
            say("", "")
        say(line, style)


def print_error(message: str, lines: tuple[str, ...], hint: str, stream: TextIO) -> None:
    """Print what failed and why, and what to do next."""
    say = sayer(stream)
    for line in _shown(message, stream, "", 2):
        say(line, "bold red")
    _print_lines(lines, stream, say)
    for line in _shown(hint, stream, "next: ", 6) if hint else ():
        say(line, "")


def _shown(text: str, stream: TextIO, head: str, indent: int) -> list[str]:
    """Return a text as the stream gets it: wrapped on a terminal, as it is in a log."""
    width = shutil.get_terminal_size().columns
    return wrapped(text, width, head, indent) if stream.isatty() else [head + text]


_LOUD = re.compile(r"\S+:\d+: (error|warning|note) [A-Z]+\d+: ")
_COLOURS = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}


def _print_lines(lines: Iterable[str], stream: TextIO, say: Say) -> None:
    """Print what there is to read of a step: wrapped on a terminal, as it is in a log.

    A line that is a finding has its severity's colour; one of a source, with a bar in it, is cut.
    """
    for line in lines:
        loud = _LOUD.match(line)
        style = _COLOURS[loud[1]] if loud else ""
        source = re.match(r" +\d* +\| ", line)
        if source and stream.isatty():
            style = "bold" if line.endswith("^") else "dim"
            parts = [f"  {line}"[: shutil.get_terminal_size().columns]]
        else:
            label = re.match(r" *(?:[a-z]+( [a-z]+)?: )?", line)
            indent = 4 if loud else len(label[0]) if label else 0
            parts = _shown(line, stream, "  ", indent + 2)
        for part in parts:
            say(part, style)


class PlainProgress:
    """One line when a step starts, one when it ends, and at most one in ten seconds between."""

    def __init__(self, stream: TextIO, every: float = 10.0) -> None:
        self.stream, self.every, self.last = stream, every, 0.0
        self.name = ""
        self.told: list[Result] = []

    def start(self, name: str) -> None:
        self.name, self.last = name, time.monotonic()
        self.note(f"{name}: started")

    def update(self, text: str, fraction: float | None = None) -> None:
        if time.monotonic() - self.last < self.every:
            return
        self.last = time.monotonic()
        percent = "" if fraction is None else f"{fraction:4.0%} "
        self.note(f"{self.name}: {percent}{text}")

    def note(self, text: str) -> None:
        self.stream.write(f"{printable(text)}\n")
        self.stream.flush()

    def agree(self, question: str) -> bool:  # noqa: ARG002  nobody is there to be asked
        return True

    def finish(self, result: Result) -> None:
        self.told.append(result)
        self.note(f"{result.name}: {result.status} in {result.seconds:.1f} s: {result.detail}")

    def close(self) -> None:
        pass


class LiveProgress:
    """A spinner and a bar for the step that runs; finished steps stay as lines above it.

    asks: whether a question is put to the user.
    """

    def __init__(self, stream: TextIO, *, asks: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.text import Text

        self.text = Text
        self.console = Console(file=stream)
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[stage]}", style="bold"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=self.console,
        )
        self.asks = asks and sys.stdin is not None and sys.stdin.isatty()
        self.live: Live | None = None
        self.told: list[Result] = []
        self.task = self.bars.add_task("", stage="", total=None, visible=False)

    def start(self, name: str) -> None:
        self.draw()
        self.bars.reset(self.task, total=None, description="", stage=f"{name:<9}", visible=True)

    def draw(self) -> None:
        """Begin to draw, where that has not begun."""
        if self.live is None:
            from rich.live import Live

            self.live = Live(self.bars, console=self.console, transient=True)
            self.live.start()

    def update(self, text: str, fraction: float | None = None) -> None:
        room = max(self.console.width - 52, 10)
        self.bars.tasks[0].total = None if fraction is None else 1.0
        # rich stops the clock of what is complete, and this step goes on until finish()
        self.bars.update(self.task, description=text[:room], completed=min(fraction or 0.0, 0.999))

    def note(self, text: str) -> None:
        for line in wrapped(printable(text), self.console.width, "", 2):
            self.console.print(self.text(line, style="yellow"), soft_wrap=True)

    def agree(self, question: str) -> bool:
        if not self.asks:
            return True
        self.close()
        try:
            answer = self.console.input(self.text(f"{question} [Y/n]: ")).strip().lower()
        except EOFError as error:  # Ctrl-D
            raise KeyboardInterrupt from error
        self.draw()
        return answer in ("", "y", "yes")

    def finish(self, result: Result) -> None:
        self.told.append(result)
        head = f"{result.status:<8}{result.name:<10}{result.seconds:6.1f} s  "
        lines = wrapped(printable(result.detail), self.console.width, head, len(head))
        for number, line in enumerate(lines):
            text = self.text(line)
            if number == 0:
                text.stylize(_STYLES[result.status], 0, 8)
                text.stylize("bold", 8, 18)
            self.console.print(text, soft_wrap=True)
        self.bars.update(self.task, visible=False)

    def close(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None


def progress_for(stream: TextIO, *, asks: bool = True) -> LiveProgress | PlainProgress:
    """Return what suits the stream; asks: whether it may put questions to the user."""
    return LiveProgress(stream, asks=asks) if stream.isatty() else PlainProgress(stream)
