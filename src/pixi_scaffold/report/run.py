"""Run the steps of a command: each is timed, told to the progress, and kept as a Result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.report.result import Progress, Result, Status


@dataclass(slots=True)
class Step:
    """A step while it runs; whoever runs it says here how it ends."""

    name: str
    result: Result | None = field(default=None, init=False)

    def passed(self, detail: str, lines: tuple[str, ...] = ()) -> None:
        """Say that the step passed."""
        self._end(Status.PASSED, detail, lines=lines)

    def failed(self, detail: str, lines: tuple[str, ...] = (), hint: str = "") -> None:
        """Say that the step failed: why, and the next command."""
        self._end(Status.FAILED, detail, hint, lines)

    def skipped(self, why: str, command: str = "") -> None:
        """Say that the step was not run, and what would run it."""
        self._end(Status.SKIPPED, why, command)

    def _end(
        self, status: Status, detail: str, hint: str = "", lines: tuple[str, ...] = ()
    ) -> None:
        self.result = Result(self.name, status, 0.0, detail, hint, lines)


class Run:
    """The steps of one command: those that ended, in order."""

    def __init__(self, progress: Progress, results: tuple[Result, ...] = ()) -> None:
        self.progress = progress
        self.results = results

    @contextmanager
    def step(self, name: str, *, catch: bool = False, asks: bool = False) -> Iterator[Step]:
        """Run the body as a step; it ends by calling passed, failed or skipped of what it gets.

        catch: a ScaffoldError fails the step and Skipped skips it; otherwise they go through, as
        everything else does. asks: the step has the terminal for itself.
        """
        step, began = Step(name), time.perf_counter()
        if not asks:
            self.progress.start(name)
        try:
            yield step
        except Skipped as skip:
            if not catch:
                raise
            step.skipped(skip.reason, skip.command)
        except ScaffoldError as error:
            if not catch:
                raise
            first, *rest = error.message.splitlines() or [""]
            step.failed(first, tuple(rest), error.hint)
        if step.result is None:
            raise AssertionError(f"the step {name} does not say how it ended")
        self.add(replace(step.result, seconds=time.perf_counter() - began))

    def skip(self, name: str, why: str, command: str = "") -> None:
        """Add a step that is not run."""
        self.add(Result(name, Status.SKIPPED, 0.0, why, command))

    def add(self, result: Result) -> None:
        """Keep a result, and tell it."""
        self.results = (*self.results, result)
        self.progress.finish(result)
