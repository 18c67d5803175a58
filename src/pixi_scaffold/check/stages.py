"""Stages: what each needs and gives, and how all of them run, some beside another one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any, Generic, NamedTuple, TypeVar, cast

from pixi_scaffold.report import Progress, Run, Silent, Status, Step
from pixi_scaffold.system import cores, uninterrupted

T = TypeVar("T")


class CheckRequest(NamedTuple):
    """What the user asked `check` (or `new`) for."""

    paths: tuple[Path, ...]
    """One folder, or submit files."""
    train: bool = False
    rehearse: bool = False
    channel: str | None = None
    """What stands in for the manifest's channels: a URL, or `starter`."""
    engine: str = "auto"
    only: tuple[str, ...] = ()
    """Names of stages."""
    skip: tuple[str, ...] = ()
    """Names of stages."""
    submit_from: Path | None = None
    """The folder where condor_submit is run, where it is said."""
    slots: str | None = None
    """A file of machine ads, or `typical`."""
    fix: bool = False
    """Apply the safe fixes."""
    strict: bool = False
    """A part that was skipped fails the check."""
    append: tuple[str, ...] = ()
    """Commands that condor_submit would get with -append."""
    site: str | None = None
    """A site file, or the name of a bundled site."""
    before: tuple[str, ...] = ()
    """Macros that condor_submit would get as NAME=VALUE."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every stage knows: where, what was asked for, and whom to tell."""

    root: Path
    request: CheckRequest
    progress: Progress
    files: tuple[Path, ...] | None = None
    """The submit files to look at; None for all of the workspace."""
    makes_lock: bool = False
    """Whether the lock is made; otherwise the one that is there is compared with the manifest."""
    reviews: list[Any] = field(default_factory=list)
    """What the rules said of the jobs, once a stage has asked: several do."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A stage that did its work."""

    detail: str
    """What it found, in one line."""
    value: T
    """What the stages that need it get."""
    skipped: tuple[tuple[str, str], ...] = ()
    """(what, why) for parts that could not be looked at."""
    lines: tuple[str, ...] = ()
    """More to read."""
    failed: bool = False
    """Whether what it found makes the check fail."""
    hint: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Stage(Generic[T]):
    """A stage: its name, what it needs, and its work, which gets what those gave."""

    name: str
    work: Callable[..., Done[T]]
    needs: tuple[Stage[Any], ...] = ()
    beside: Stage[Any] | None = None
    """One of its needs of which it only needs that it passes: both run at the same time."""


@dataclass(slots=True)
class Outcomes:
    """What the stages of one run gave."""

    run: Run
    context: Context
    values: dict[str, Any] = field(default_factory=dict)
    """By the name of the stage, also of one whose findings fail the check."""
    passed: set[str] = field(default_factory=set)
    parts: list[tuple[str, str]] = field(default_factory=list)
    """(what, why) for parts of stages that were skipped."""

    def of(self, wanted: Stage[T]) -> T | None:
        """Return what a stage gave; None when it did not do its work."""
        return cast("T | None", self.values.get(wanted.name))

    @property
    def skipped(self) -> list[dict[str, str]]:
        """What was skipped, parts of stages first, as the document has it."""
        parts = [{"what": part, "why": why} for part, why in self.parts]
        skipped = (
            {"what": r.name, "why": r.detail, **({"command": r.hint} if r.hint else {})}
            for r in self.run.results
            if r.status is Status.SKIPPED
        )
        return [*parts, *skipped]


def run_stages(
    stages: Iterable[Stage[Any]], context: Context, run: Run, left_out: frozenset[str] = frozenset()
) -> Outcomes:
    """Run the stages in order; one whose need did not pass is skipped, never run.

    left_out: names of stages that the user does not want. A ScaffoldError fails its stage, Skipped
    skips it; anything else (Ctrl-C too) goes through.
    """
    outcomes, stages = Outcomes(run, context), list(stages)
    begun: dict[str, Beside] = {}
    try:
        for one in stages:
            missing = [n for n in one.needs if n.name not in outcomes.passed]
            if one.name in left_out:
                run.skip(one.name, "left out with --skip")
            elif missing:
                run.skip(one.name, f"needs {missing[0].name}")
            else:
                ready = {*outcomes.passed, one.name}
                for other in stages if cores() > 1 else ():
                    starts = other.beside is one and {n.name for n in other.needs} <= ready
                    if starts and other.name not in left_out:
                        values = [outcomes.values.get(n.name) for n in other.needs]
                        with uninterrupted():  # none goes on of which nobody knows
                            begun[other.name] = Beside(other, context, values)
                with run.step(one.name, catch=True) as step:
                    _work(one, context, outcomes, step, begun.get(one.name))
    finally:
        for unfinished in begun.values():
            unfinished.stop()
    return outcomes


def _work(
    one: Stage[Any], context: Context, outcomes: Outcomes, step: Step, begun: Beside | None
) -> None:
    done = None if begun is None else begun.result()
    if done is None:
        done = one.work(context, *(outcomes.values[n.name] for n in one.needs))
    outcomes.values[one.name] = done.value
    outcomes.parts += done.skipped
    if done.failed:
        step.failed(done.detail, done.lines, done.hint)
    else:
        outcomes.passed.add(one.name)
        step.passed(done.detail, done.lines)


class Beside:
    """A stage that has begun before its turn."""

    def __init__(self, one: Stage[Any], context: Context, values: Sequence[Any]) -> None:
        self._progress = _Unseen(context.progress)
        self._done: Done[Any] | None = None
        context = replace(context, progress=self._progress)

        def work() -> None:
            with suppress(Exception, KeyboardInterrupt):
                self._done = one.work(context, *values)
            self._ended.set()

        self._ended = Event()  # Thread.join, once interrupted, takes the thread for ended
        Thread(target=work).start()

    def result(self) -> Done[Any] | None:
        """Wait for what it gives; None when it did not end well, and is to be tried again alone."""
        self._progress.shown = True
        self._ended.wait()
        return self._done

    def stop(self) -> None:
        """End it, and wait until it has removed what it made."""
        self._progress.stopped = True
        self._ended.wait()


class Within(Silent):
    """Passes on what is being done; the stage around it starts and ends by itself."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def update(self, text: str, fraction: float | None = None) -> None:
        """Pass it on."""
        self.progress.update(text, fraction)

    def note(self, text: str) -> None:
        """Pass it on as what is being done."""
        self.update(text)

    def agree(self, question: str) -> bool:
        """Ask it."""
        return self.progress.agree(question)


class _Unseen(Within):
    """Says nothing before its turn; interrupts the work that tells it something when that ends."""

    shown = stopped = False

    def update(self, text: str, fraction: float | None = None) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        if self.shown:
            super().update(text, fraction)

    def agree(self, question: str) -> bool:  # noqa: ARG002  nobody is asked out of turn
        return True
