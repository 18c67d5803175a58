"""The stages that prove a project, as one table.

What only some stages need is imported in them: a check of a job takes well under a second.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pixi_scaffold.check.jobs import slots, submit, worker
from pixi_scaffold.check.review import find_descriptions
from pixi_scaffold.check.stages import (
    Done,
    Options,
    Stage,
    State,
    known,
    left_out,
    run_stages,
)
from pixi_scaffold.errors import (
    CheckFailed,
    LockError,
    ManifestError,
    ScaffoldError,
    Skipped,
    UnsupportedError,
    UsageError,
)
from pixi_scaffold.job import TYPICAL
from pixi_scaffold.lock import (
    TIMEOUT,
    Locked,
    channel_url,
    check_specs,
    choose,
    read_lock,
    unreachable,
    unsatisfied,
)
from pixi_scaffold.report import Progress, Report, go_to, in_folder, write_receipt
from pixi_scaffold.system import NOT_REGULAR, exists, is_folder, program, unreadable, which
from pixi_scaffold.workspace import find_manifest, read_manifest

LOG_FOLDER = Path(".pixi") / "logs"
STARTER_FOLDER = Path(".pixi") / "starter"
ENVIRONMENT = "default"
TASK = "smoke"


def next_commands(state: State) -> tuple[str, ...]:
    """Return what to type next, each of which works on this machine as it is now."""
    there = go_to(state.root)
    if state.installed is None or not state.trained:
        return (*there, f"{program()} check --train")
    relative = state.installed.prefix.parent.relative_to(state.root)
    activate = f". {relative}/activate.sh && python main.py --data digits"
    if state.starter:
        return (*there, activate, f"{program()} lock   # once conda-forge can be reached")
    train = activate if which("pixi") is None else "pixi run train --data digits"
    place = "" if which("condor_submit") else "   # on an access point of the pool"
    return (*there, train, f"condor_submit htcondor/train.sub{place}")


def manifest(state: State, progress: Progress) -> Done:  # noqa: ARG001  a stage's signature
    """Read pixi.toml."""
    workspace = read_manifest(find_manifest(state.root))
    check_specs(workspace)
    names = ", ".join(p.name for p in workspace.platforms)
    return Done(names, replace(state, workspace=workspace))


def lock(state: State, progress: Progress) -> Done:
    """Lock against the manifest's channels, or into .pixi/starter against a stand-in."""
    workspace = known(state.workspace)
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
    from pixi_scaffold.starter import build_channel

    wanted = state.options.channel
    channels = known(state.workspace).channels
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


def lock_is_current(state: State, progress: Progress) -> Done:
    """Compare pixi.lock with pixi.toml, without network."""
    workspace = known(state.workspace)
    progress.update("comparing pixi.lock with pixi.toml")
    path = workspace.lock_file
    hint = in_folder(state.root, f"{program()} lock")
    if not path.is_file():
        offline = f"; where {' and '.join(workspace.channels)} cannot be reached: "
        prove = in_folder(state.root, f"{program()} check --train")
        raise CheckFailed(f"there is no {path.name}", hint + offline + prove)
    found = read_lock(path)
    try:
        problems = unsatisfied(workspace, found)
    except UnsupportedError as error:  # PyPI packages, sources: somebody else's workspace
        what = " ".join(error.message.split())
        raise Skipped(what, in_folder(state.root, "pixi lock --check")) from error
    if problems:
        raise CheckFailed("\n".join((f"{path.name} is not current", *problems)), hint)
    names = tuple(p.name for p in workspace.platforms)
    locked = Locked(path, False, found.package_count, names)
    facts = {"path": path.name, "sha256": _sha256(path)}
    detail = f"{path.name} is current: {found.package_count} packages, {', '.join(names)}"
    return Done(detail, replace(state, locked=locked).with_facts(lock=facts))


def install(state: State, progress: Progress) -> Done:
    """Install the locked default environment for this machine."""
    from pixi_scaffold import environment

    workspace = known(state.workspace)
    locked = read_lock(known(state.locked).path)
    host = environment.host_platform(workspace, ENVIRONMENT, locked)
    home = state.root / (STARTER_FOLDER if state.starter else Path(".pixi"))
    prefix = home / "envs" / ENVIRONMENT
    installed = environment.install(locked, ENVIRONMENT, host, prefix, progress)
    environment.write_activation(workspace, installed, ENVIRONMENT)
    detail = f"{installed.packages} packages for {host.name}"
    return Done(detail, replace(state, installed=installed).with_facts(installed=host.name))


def train(state: State, progress: Progress) -> Done:
    """Run the smoke task in the installed environment and read what it left."""
    from pixi_scaffold import environment
    from pixi_scaffold.environment import training_facts

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
            known(state.workspace), known(state.installed), ENVIRONMENT, TASK, on_line=keep
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
    from pixi_scaffold.check.rehearsal import rehearse_shortly

    workspace, installed = known(state.workspace), known(state.installed)
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


MANIFEST = Stage("manifest", ("render",), manifest)
LOCK = Stage("lock", ("manifest",), lock)
JUDGED_LOCK = Stage("lock", ("manifest",), lock_is_current)
JOBS = (Stage("submit", ("render",), submit), Stage("worker", ("render",), worker))
SLOTS = Stage("slots", (), slots)
TRAIN = (Stage("install", ("lock",), install), Stage("train", ("install",), train))
REHEARSE = Stage("rehearse", ("train",), rehearsal)

NEW = (MANIFEST, LOCK, *JOBS, *TRAIN, REHEARSE)
"""The stages of `new` after render, in order."""

STAGES = tuple(dict.fromkeys(s.name for s in (*NEW[:4], SLOTS, *NEW[4:])))
"""The names of all stages of `check`, in order."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `check` was asked for.

    paths: one folder, or submit files. only, skip: names of stages. submit_from: the folder where
    condor_submit is run. slots: a file of machine ads, or `typical`. strict: a part that was
    skipped fails the check.
    """

    paths: tuple[Path, ...]
    train: bool = False
    rehearse: bool = False
    channel: str | None = None
    engine: str = "auto"
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    submit_from: Path | None = None
    slots: str | None = None
    fix: bool = False
    strict: bool = False


def check(wanted: Wanted, progress: Progress) -> Report:
    """Run the stages on a workspace, or on submit files alone; return the report.

    A pixi.lock is compared with the manifest and never changed. Where there is none, or with
    `channel`, one is made to train with, as `new` does. Raises UsageError.
    """
    if wanted.slots not in (None, TYPICAL) and (why := unreadable(Path(str(wanted.slots)))):
        raise UsageError(
            f"cannot read {wanted.slots}: {why}",
            f"condor_status -long > slots.ad, or: {program()} check --slots {TYPICAL}",
        )
    if wanted.submit_from is not None and not is_folder(wanted.submit_from):
        raise UsageError(f"there is no folder {wanted.submit_from}", "name it after: --from")
    if len(wanted.paths) == 1 and is_folder(wanted.paths[0]):
        report = _check_folder(wanted, progress)
    else:
        report = _check_files(wanted, progress)
    return replace(report, incomplete=wanted.strict and bool(_unwanted_skips(report, wanted)))


def _unwanted_skips(report: Report, wanted: Wanted) -> list[str]:
    """Return what was skipped and the user did not leave out."""
    left = {*wanted.skip, *(f"needs {name}" for name in wanted.skip)}
    return [s["what"] for s in report.facts["skipped"] if not {s["what"], s["why"]} & left]


def _check_files(wanted: Wanted, progress: Progress) -> Report:
    """Run the rules on submit files."""
    for path in wanted.paths:
        if is_folder(path):
            raise UsageError(f"{path} is a folder", "name one folder, or only submit files")
        if not exists(path) and not os.path.islink(path):  # noqa: PTH114  a name too long
            raise UsageError(f"there is no {path}", "name a folder or submit files")
        why = unreadable(path)
        if why and len(wanted.paths) == 1:  # among others it is a finding
            what = f"{path} {why}" if why == NOT_REGULAR else f"cannot read {path}: {why}"
            raise UsageError(what, "name a folder or submit files")
        if path.name == "pixi.toml":
            raise UsageError("pixi.toml is no submit file", f"name its folder: {path.parent}")
    if wanted.train or wanted.rehearse:
        raise UsageError("--train and --rehearse need a workspace", "name its folder")
    options = Options(
        paths=wanted.paths, submit_from=wanted.submit_from, slots=wanted.slots, fix=wanted.fix
    )
    stages = _chosen(wanted, (*JOBS, SLOTS))
    return run_stages(stages, State(Path.cwd(), options), progress, "check")


def _check_folder(wanted: Wanted, progress: Progress) -> Report:
    from pixi_scaffold.lock import read_channel

    folder = wanted.paths[0]
    try:
        root = find_manifest(folder).parent
    except ManifestError:
        if not find_descriptions(folder):
            raise
        report = run_stages(
            _chosen(wanted, (*JOBS, SLOTS)),
            _state(folder.absolute(), wanted, None),
            progress,
            "check",
        )
        inside = next((p.parent for p in sorted(folder.glob("*/pixi.toml"))), None)
        why = {"what": "manifest", "why": f"there is no pixi.toml in {folder}"}
        if inside is not None:
            command = f"{program()} check {shlex.quote(str(inside))}"
            why |= {"why": f"{why['why']}; a workspace is in {inside}", "command": command}
        return replace(report, facts={**report.facts, "skipped": [why, *report.facts["skipped"]]})
    channel = wanted.channel
    if channel not in (None, "starter"):
        stand_in, own = read_channel(channel or "", ask=True)
        channel = stand_in or own
    use_own = channel is None and (root / "pixi.lock").is_file()
    train_too = wanted.train or wanted.rehearse
    slow = (*TRAIN, REHEARSE) if wanted.rehearse else TRAIN if train_too else ()
    lock_stage = JUDGED_LOCK if use_own or not train_too else LOCK
    stages = _chosen(wanted, (MANIFEST, lock_stage, *JOBS, SLOTS, *slow))
    then = next_commands if train_too else None
    report = run_stages(stages, _state(root, wanted, channel), progress, "check", then=then)
    if train_too:
        write_receipt(root, report)
    return report


def _state(root: Path, wanted: Wanted, channel: str | None) -> State:
    return State(
        root,
        Options(
            wanted.engine,
            channel,
            submit_from=wanted.submit_from,
            slots=wanted.slots,
            fix=wanted.fix,
        ),
    )


def _chosen(wanted: Wanted, stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """Return the stages to run: those of --only with what they need, and not those of --skip.

    Raises UsageError for a name that is no stage.
    """
    if wanted.slots is None:
        stages = [s for s in stages if s.name != "slots"]
    names = [s.name for s in stages]
    for name in (*wanted.only, *wanted.skip):
        if name not in names:
            extra = "" if name not in STAGES else " in this check"
            raise UsageError(f"there is no stage {name!r}{extra}", f"use: {', '.join(names)}")
    if wanted.only:
        keep = _with_needs(wanted.only, stages)
        stages = [s for s in stages if s.name in keep]
    return tuple(s if s.name not in wanted.skip else left_out(s) for s in stages)


def _with_needs(names: Iterable[str], stages: Sequence[Stage]) -> set[str]:
    by_name = {s.name: s for s in stages}
    keep: set[str] = set()
    todo = [name for name in names if name in by_name]
    while todo:
        name = todo.pop()
        if name not in keep:
            keep.add(name)
            todo += [n for n in by_name[name].requires if n in by_name]
    return keep
