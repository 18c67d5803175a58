"""How stages run: one after the other, each with what the ones before it found out.

A stage whose requirement did not pass is skipped, never run. What a stage finds out is added to
the State that the next one gets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pixi_scaffold.check.review import Review
from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.lock import Locked
from pixi_scaffold.report import Progress, Report, Result, Status, versions
from pixi_scaffold.workspace import Workspace

if TYPE_CHECKING:
    from pixi_scaffold.environment import Installed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    channel: what stands in for the manifest's. paths: submit files to look at; None for all of the
    workspace. submit_from: the folder where condor_submit is run, where it is said. slots: a file
    of machine ads, or `typical`. fix: apply the safe fixes.
    """

    engine: str = "auto"
    channel: str | None = None
    paths: tuple[Path, ...] | None = None
    submit_from: Path | None = None
    slots: str | None = None
    fix: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What is known so far; each stage returns it with its own part added.

    starter: whether the lock came from a stand-in channel, so it is not the project's.
    facts: goes into the receipt as it is.
    """

    root: Path
    options: Options
    workspace: Workspace | None = None
    locked: Locked | None = None
    starter: bool = False
    review: Review | None = None
    installed: Installed | None = None
    trained: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    def with_facts(self, **facts: Any) -> State:
        """Return a state that knows more."""
        return replace(self, facts={**self.facts, **facts})


@dataclass(frozen=True, slots=True)
class Done:
    """A stage that did its work: what it found, in one line, and the state after it.

    skipped: (what, why) for parts that could not be looked at. lines: more to read. failed:
    whether what it found makes the check fail.
    """

    detail: str
    state: State
    skipped: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    failed: bool = False
    hint: str = ""


Run = Callable[[State, Progress], Done]


@dataclass(frozen=True, slots=True)
class Stage:
    """A step: its name, the stages that must have passed, and what it does."""

    name: str
    requires: tuple[str, ...]
    run: Run


def run_stages(
    stages: tuple[Stage, ...],
    state: State,
    progress: Progress,
    command: str,
    before: tuple[Result, ...] = (),
    then: Callable[[State], tuple[str, ...]] | None = None,
) -> Report:
    """Run the stages in order, after those of `before`; return the report.

    then: says from the last state what to type next.

    A ScaffoldError fails its stage, Skipped skips it; anything else (Ctrl-C too) goes through.
    """
    results = {result.name: result for result in before}
    for stage in stages:
        before_it = [r for r in stage.requires if r in results]
        missing = [r for r in before_it if results[r].status is not Status.PASSED]
        if missing:
            result = Result(stage.name, Status.SKIPPED, detail=f"needs {missing[0]}")
        else:
            result, state = _run_one(stage, state, progress)
        results[stage.name] = result
        progress.finish(result)
    facts = {"versions": versions(), **state.facts}
    facts["skipped"] = [*facts.get("skipped", ()), *_skipped(results.values())]
    return Report(command, tuple(results.values()), facts, then(state) if then else ())


def left_out(stage: Stage) -> Stage:
    """Return the stage as one that the user does not want."""

    def run(state: State, progress: Progress) -> Done:  # noqa: ARG001  a stage's signature
        raise Skipped("left out with --skip")

    return replace(stage, run=run)


def _run_one(stage: Stage, state: State, progress: Progress) -> tuple[Result, State]:
    start = time.perf_counter()
    progress.start(stage.name)

    def result(status: Status, detail: str, hint: str = "", lines: tuple[str, ...] = ()) -> Result:
        return Result(stage.name, status, time.perf_counter() - start, detail, hint, lines)

    try:
        done = stage.run(state, progress)
    except Skipped as skip:
        return result(Status.SKIPPED, skip.reason, skip.command), state
    except ScaffoldError as error:
        first, *rest = error.message.splitlines() or [""]
        return result(Status.FAILED, first, error.hint, tuple(rest)), state
    state = done.state
    if done.skipped:
        parts = [{"what": what, "why": why} for what, why in done.skipped]
        state = state.with_facts(skipped=[*state.facts.get("skipped", ()), *parts])
    status = Status.FAILED if done.failed else Status.PASSED
    return result(status, done.detail, done.hint, done.lines), state


def _skipped(results: Iterable[Result]) -> list[dict[str, str]]:
    return [
        {"what": r.name, "why": r.detail, **({"command": r.hint} if r.hint else {})}
        for r in results
        if r.status is Status.SKIPPED
    ]


def known(value: T | None) -> T:
    """Return what an earlier stage put into the state; a stage's requirements promise it."""
    assert value is not None  # noqa: S101
    return value
