"""The stages that prove a project, as one table, and the runner that walks it.

A stage whose requirement did not pass is skipped, never run. What a stage finds out is added to
the State that the next one gets.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pixi_scaffold import environment
from pixi_scaffold.channel import build_channel
from pixi_scaffold.channel_argument import read_channel
from pixi_scaffold.environment import Installed
from pixi_scaffold.errors import CheckFailed, LockError, ScaffoldError, Skipped
from pixi_scaffold.lock import Locked, choose
from pixi_scaffold.lock.file import channel_url, read_lock, unsatisfied
from pixi_scaffold.manifest import find_manifest, read_manifest
from pixi_scaffold.process import program, which
from pixi_scaffold.reach import TIMEOUT, unreachable
from pixi_scaffold.receipt import versions, write_receipt
from pixi_scaffold.report import Progress, Report, Result, Status, change_folder
from pixi_scaffold.short_rehearsal import rehearse_shortly
from pixi_scaffold.training import training_facts
from pixi_scaffold.workspace import Workspace

LOG_FOLDER = Path(".pixi") / "logs"
STARTER_FOLDER = Path(".pixi") / "starter"
T = TypeVar("T")
ENVIRONMENT = "default"
TASK = "smoke"


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for: engine, and the channel that stands in for the manifest's."""

    engine: str = "auto"
    channel: str | None = None


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
    installed: Installed | None = None
    trained: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    def with_facts(self, **facts: Any) -> State:
        """Return a state that knows more."""
        return replace(self, facts={**self.facts, **facts})


@dataclass(frozen=True, slots=True)
class Done:
    """A stage that passed: what it found, in one line, and the state after it."""

    detail: str
    state: State
    skipped: tuple[tuple[str, str], ...] = ()


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
) -> Report:
    """Run the stages in order, after those of `before`; return the report.

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
    return Report(command, tuple(results.values()), facts, next_commands(state))


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
    if done.skipped:
        earlier = done.state.facts.get("skipped", ())
        parts = [*earlier, *({"what": what, "why": why} for what, why in done.skipped)]
        return result(Status.PASSED, done.detail), done.state.with_facts(skipped=parts)
    return result(Status.PASSED, done.detail), done.state


def _skipped(results: Iterable[Result]) -> list[dict[str, str]]:
    return [
        {"what": r.name, "why": r.detail, **({"command": r.hint} if r.hint else {})}
        for r in results
        if r.status is Status.SKIPPED
    ]


def next_commands(state: State) -> tuple[str, ...]:
    """Return what to type next, each of which works on this machine as it is now."""
    there = change_folder(state.root)
    if state.installed is None or not state.trained:
        return (there, f"{program()} check --train")
    relative = state.installed.prefix.parent.relative_to(state.root)
    activate = f". {relative}/activate.sh && python main.py --data digits"
    if state.starter:
        return (there, activate, f"{program()} lock   # once conda-forge can be reached")
    train = activate if which("pixi") is None else "pixi run train --data digits"
    place = "" if which("condor_submit") else "   # on an access point of the pool"
    return (there, train, f"condor_submit htcondor/train.sub{place}")


def manifest(state: State, progress: Progress) -> Done:  # noqa: ARG001  a stage's signature
    """Read pixi.toml."""
    workspace = read_manifest(find_manifest(state.root))
    names = ", ".join(p.name for p in workspace.platforms)
    return Done(names, replace(state, workspace=workspace))


def lock(state: State, progress: Progress) -> Done:
    """Lock against the manifest's channels, or into .pixi/starter against a stand-in."""
    workspace = _known(state.workspace)
    channel, why = _stand_in(state, progress)
    choice = choose(workspace, state.options.engine, own_channels=channel is not None)
    path = workspace.lock_file if channel is None else state.root / STARTER_FOLDER / "pixi.lock"
    try:
        locked = choice.engine.lock(
            workspace, path, progress, channels=None if channel is None else [channel]
        )
    except LockError as error:
        if channel is not None and "no solution" in error.message:
            error.hint = (
                f"the stand-in channel has less than conda-forge; with it: {program()} lock"
            )
        raise
    detail = f"{', '.join(locked.platforms)}: {locked.packages} packages"
    if channel is not None:
        detail += f" from {_channel_words(state, channel)}"
    state = replace(state, locked=locked, starter=channel is not None).with_facts(
        engine={"name": choice.engine.name, "why": choice.why},
        channel={
            "urls": [channel] if channel else [channel_url(c) for c in workspace.channels],
            "stand_in": channel is not None,
            "why": why,
        },
        lock={"path": str(path.relative_to(state.root)), "sha256": _sha256(path)},
        platforms=list(locked.platforms),
    )
    source = _channel_words(state, channel or "")
    skipped = tuple((what, f"{source}: {_one_line(text)}") for what, text in locked.skipped)
    return Done(detail, state, skipped)


def _stand_in(state: State, progress: Progress) -> tuple[str | None, str]:
    """Return the URL to lock against in place of the manifest's channels, and why."""
    wanted = state.options.channel
    channels = _known(state.workspace).channels
    if wanted == "starter":
        return build_channel(progress).url, "asked for"
    if wanted is not None:
        return channel_url(wanted), "asked for"
    progress.update(f"asking {', '.join(channels)} for an answer")
    problem = unreachable([channel_url(c) for c in channels])
    if problem is None:
        return None, f"answered within {TIMEOUT:g} s"
    if channels != ("conda-forge",):
        raise LockError(
            f"the channel does not answer: {problem}",
            f"check the network and the channel, or: {program()} check --train --channel starter",
        )
    progress.note(f"conda-forge cannot be reached ({problem}); using the starter channel")
    return build_channel(progress).url, problem


def _channel_words(state: State, channel: str) -> str:
    return channel if state.options.channel not in (None, "starter") else "the starter channel"


def install(state: State, progress: Progress) -> Done:
    """Install the locked default environment for this machine."""
    workspace = _known(state.workspace)
    locked = read_lock(_known(state.locked).path)
    host = environment.host_platform(workspace, ENVIRONMENT, locked)
    home = state.root / (STARTER_FOLDER if state.starter else Path(".pixi"))
    prefix = home / "envs" / ENVIRONMENT
    installed = environment.install(locked, ENVIRONMENT, host, prefix, progress)
    environment.write_activation(workspace, installed, ENVIRONMENT)
    detail = f"{installed.packages} packages for {host.name}"
    return Done(detail, replace(state, installed=installed).with_facts(installed=host.name))


def train(state: State, progress: Progress) -> Done:
    """Run the smoke task in the installed environment and read what it left."""
    progress.update("starting python")
    log = state.root / LOG_FOLDER / "train.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:

        def keep(line: str) -> None:
            file.write(line + "\n")
            file.flush()
            if line.strip():
                progress.update(line.strip())

        done = environment.run_task(
            _known(state.workspace), _known(state.installed), ENVIRONMENT, TASK, on_line=keep
        )
    where = log.relative_to(state.root)
    if done.code != 0:
        last = "\n".join(done.output.splitlines()[-15:])
        raise ScaffoldError(
            f"the task {TASK} ended with {_ending(done.code)}; the whole log is {where}\n{last}",
            f"correct main.py, then: {program()} check --train",
        )
    facts = training_facts(state.root / "runs" / TASK)
    detail = (
        f"loss {facts['first_loss']:.3f} to {facts['last_loss']:.3f} on {facts['device']}, "
        f"PyTorch {facts['torch']}"
    )
    state = replace(state, trained=True)
    return Done(detail, state.with_facts(train={**facts, "log": str(where)}))


def rehearsal(state: State, progress: Progress) -> Done:
    """Rehearse the cluster job, shortened, with the installed environment staged."""
    workspace, installed = _known(state.workspace), _known(state.installed)
    tasks = workspace.tasks(workspace.environment(ENVIRONMENT), installed.platform)
    smoke = tasks[TASK].command if TASK in tasks else ""
    proved = rehearse_shortly(state.root, installed.prefix, smoke, progress)
    differences = tuple(("unlike a worker", text) for text in proved.differences)
    return Done(proved.detail, state.with_facts(rehearsal=proved.facts), differences)


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _one_line(text: str) -> str:
    return " ".join(text.removeprefix("Cannot solve the request because of:").split())


NEW = (
    Stage("manifest", ("render",), manifest),
    Stage("lock", ("manifest",), lock),
    Stage("install", ("lock",), install),
    Stage("train", ("install",), train),
    Stage("rehearse", ("train",), rehearsal),
)
"""The stages of `new` after render, in order."""


def check_workspace(
    folder: Path,
    train_too: bool,
    channel: str | None,
    engine: str,
    progress: Progress,
    *,
    rehearse_too: bool = False,
) -> Report:
    """Run the stages on a workspace that is there; return the report.

    rehearse_too: also the last stage, which needs the training. A pixi.lock is compared with the
    manifest and never changed. Where there is none, or with `channel`, one is made for this check,
    as `new` does.
    """
    root = find_manifest(folder).parent
    if channel not in (None, "starter"):
        stand_in, own = read_channel(channel or "", ask=True)
        channel = stand_in or own
    state = State(root, Options(engine, channel))
    judge = Stage("lock", ("manifest",), lock_is_current)
    use_own = channel is None and (root / "pixi.lock").is_file()
    train_too = train_too or rehearse_too
    slow = NEW[2:] if rehearse_too else NEW[2:4] if train_too else ()
    lock_stage = judge if use_own or not train_too else NEW[1]
    report = run_stages((NEW[0], lock_stage, *slow), state, progress, "check")
    if train_too:
        write_receipt(root, report)
        return report
    return replace(report, next_commands=())


def lock_is_current(state: State, progress: Progress) -> Done:
    """Compare pixi.lock with pixi.toml, without network."""
    workspace = _known(state.workspace)
    progress.update("comparing pixi.lock with pixi.toml")
    path = workspace.lock_file
    hint = f"{change_folder(state.root)} && {program()} lock"
    if not path.is_file():
        raise CheckFailed(f"there is no {path.name}", hint)
    found = read_lock(path)
    if problems := unsatisfied(workspace, found):
        raise CheckFailed("\n".join((f"{path.name} is not current", *problems)), hint)
    names = tuple(p.name for p in workspace.platforms)
    locked = Locked(path, False, found.package_count, names)
    facts = {"path": path.name, "sha256": _sha256(path)}
    detail = f"{path.name} is current: {found.package_count} packages, {', '.join(names)}"
    return Done(detail, replace(state, locked=locked).with_facts(lock=facts))


def _known(value: T | None) -> T:
    """Return what an earlier stage put into the state; a stage's requirements promise it."""
    assert value is not None  # noqa: S101
    return value
