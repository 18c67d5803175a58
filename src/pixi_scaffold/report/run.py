"""Run the steps of a command: each is timed, told to the progress, and kept; the receipt of it."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pixi_scaffold import __version__
from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.report.result import Progress, Report, Result, Status
from pixi_scaffold.system import layout, replacing


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

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.results: tuple[Result, ...] = ()

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
        self.add(step.result._replace(seconds=time.perf_counter() - began))

    def skip(self, name: str, why: str, command: str = "") -> None:
        """Add a step that is not run."""
        self.add(Result(name, Status.SKIPPED, 0.0, why, command))

    def add(self, result: Result) -> None:
        """Keep a result, and tell it."""
        self.results = (*self.results, result)
        self.progress.finish(result)


def versions() -> dict[str, str]:
    """Return the versions that a receipt names: ours, and of what does the work."""
    import importlib.metadata  # and with it the library's e-mail parser

    names = {"copier": "copier", "py_rattler": "py-rattler"}
    installed = {key: importlib.metadata.version(name) for key, name in names.items()}
    return {"pixi_scaffold": __version__, "python": sys.version.split()[0], **installed}


def write_receipt(root: Path, report: Report, place: Path = layout.RECEIPT) -> Path:
    """Write the report beside the environments; return its path. Best effort on a full disk."""
    path = root / place
    with suppress(OSError), replacing(path) as new:
        document = report.to_dict() | {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": os.uname().nodename,
        }
        new.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path
