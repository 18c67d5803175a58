"""The steps of a command as they end: results for the report, each told to the progress."""

from __future__ import annotations

import time

from pixi_scaffold.report.result import Progress, Result, Status


class Steps:
    """The results so far, each told to the progress as it comes."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.results: tuple[Result, ...] = ()
        self._name, self._began = "", 0.0

    def start(self, name: str, *, asks: bool = False) -> None:
        """Step `name` begins; one that asks on the terminal has it for itself."""
        self._name, self._began = name, time.perf_counter()
        if not asks:
            self.progress.start(name)

    def passed(self, detail: str) -> None:
        """Step passed."""
        self._add(Status.PASSED, detail)

    def failed(self, detail: str, lines: tuple[str, ...], hint: str) -> None:
        """Step failed: why, and the next command."""
        self._add(Status.FAILED, detail, lines, hint)

    def skipped(self, name: str, detail: str, hint: str = "") -> None:
        """Step `name` was not run, or not to its end."""
        if self._name != name:
            self._name, self._began = name, time.perf_counter()
        self._add(Status.SKIPPED, detail, (), hint)

    def _add(
        self, status: Status, detail: str, lines: tuple[str, ...] = (), hint: str = ""
    ) -> None:
        seconds = time.perf_counter() - self._began
        result = Result(self._name, status, seconds, detail, hint, lines)
        self.results = (*self.results, result)
        self.progress.finish(result)
