"""The stages on a workspace: its manifest, its lock, an environment on this machine, a training.

What only some stages need is imported in them: a check of a job takes well under a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pixi_scaffold.check.stages import Context, Done, Within
from pixi_scaffold.errors import CheckFailed, LockError, ScaffoldError, Skipped, UnsupportedError
from pixi_scaffold.lock import (
    TIMEOUT,
    capped,
    channel_url,
    check_specs,
    choose,
    current_lock,
    environment_homes,
    environments_folder,
    read_lock,
    unreachable,
)
from pixi_scaffold.system import cores, layout, program, replacing, sha256_of
from pixi_scaffold.workspace import Workspace, find_manifest, read_manifest, with_platforms

if TYPE_CHECKING:
    from pixi_scaffold.environment import Installed, Training

ENVIRONMENT = "default"
TASK = "smoke"
_REHEARSAL_SECONDS = 300.0
"""After them a shortened job is stopped."""


class LockProof(NamedTuple):
    """A lock that was made, or found to be current."""

    path: Path
    platforms: tuple[str, ...]
    facts: dict[str, Any]
    """As the receipt has them."""
    stand_in: bool = False
    """Whether it is not the project's own lock but one of another channel than the manifest's."""
    why: str = ""
    """Why its channel was taken."""


def _facts(path: Path, root: Path) -> dict[str, Any]:
    return {"lock": {"path": str(path.relative_to(root)), "sha256": sha256_of(path)}}


class Trained(NamedTuple):
    """A training that ran in the installed environment."""

    training: Training
    log: str
    """Its whole output, as seen from the project."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as the receipt has it."""
        return {**self.training.to_dict(), "log": self.log}


class Proved(NamedTuple):
    """A job that was rehearsed: what was different from a worker, and the facts for a receipt."""

    differences: tuple[str, ...]
    facts: dict[str, Any]


def manifest(context: Context) -> Done[Workspace]:
    """Read the manifest, and say what Pixi would warn of."""
    path = find_manifest(context.root)
    turned = context.request.fix and _turn_system_requirements(path)
    workspace = read_manifest(path)
    check_specs(workspace)
    detail = ", ".join(p.name for p in workspace.platforms) or "no platforms"
    detail += "; [system-requirements] turned into platforms" if turned else ""
    if count := len(workspace.warnings):
        detail += f"; {count} warning{'s' if count > 1 else ''}"
    lines = capped([f"warning: {warning.text}" for warning in workspace.warnings])
    return Done(detail, workspace, lines=lines)


def _turn_system_requirements(path: Path) -> bool:
    """Write platforms in place of the manifest's [system-requirements], where that can be done."""
    try:
        changed = with_platforms(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError):  # what is wrong is said when it is read
        return False
    if changed is not None:
        with replacing(path) as new:
            new.write_text(changed, encoding="utf-8")
    return changed is not None


def lock(context: Context, workspace: Workspace) -> Done[LockProof]:
    """Make the lock, or compare the one that is there with the manifest."""
    return _make(context, workspace) if context.makes_lock else _compare(context, workspace)


def _make(context: Context, workspace: Workspace) -> Done[LockProof]:
    """Lock against the manifest's channels, or into its own folder against a stand-in."""
    stand_in, why = _stand_in(context, workspace)
    choice = choose(workspace, context.request.engine, own_channels=stand_in is not None)
    path, channels = workspace.lock_file, None
    if stand_in is not None:
        path, channels = context.root / layout.STARTER / layout.LOCK_FILE, [stand_in]
    try:
        locked = choice.engine.lock(workspace, path, context.progress, channels=channels)
    except LockError as error:
        if stand_in is not None and "no lock was written" in error.message:
            raise LockError(
                error.message,
                f"{error.hint}; conda-forge has more packages, with it: {program()} lock",
            ) from error
        raise
    named = context.request.channel not in (None, "starter")
    source = (stand_in or "") if named else "the starter channel"
    detail = f"{', '.join(locked.platforms)}: {locked.packages} packages"
    if stand_in is not None:
        detail += f" from {source}"
    facts = {
        "engine": {"name": choice.engine.name, "why": choice.why},
        "channel": {
            "urls": channels or [channel_url(c) for c in workspace.channels],
            "stand_in": stand_in is not None,
            "why": why,
        },
        **_facts(path, context.root),
        "platforms": list(locked.platforms),
    }
    proof = LockProof(path, locked.platforms, facts, stand_in is not None, why)
    why_not = {k: v.removeprefix("Cannot solve the request because of:") for k, v in locked.skipped}
    skipped = tuple((part, f"{source}: {' '.join(v.split())}") for part, v in why_not.items())
    return Done(detail, proof, skipped)


def _stand_in(context: Context, workspace: Workspace) -> tuple[str | None, str]:
    """Return the URL to lock against in place of the manifest's channels, and why."""
    from pixi_scaffold.starter import build_channel

    wanted, progress, channels = context.request.channel, context.progress, workspace.channels
    if wanted == "starter":
        return build_channel(progress).url, "asked for"
    if wanted is not None:
        return channel_url(wanted), "asked for"
    progress.update(f"asking {', '.join(channels)} for an answer")
    problem = unreachable([channel_url(c) for c in channels], root=context.root)
    if problem is None:
        return None, f"answered within {TIMEOUT:g} s"
    if channels != ("conda-forge",):
        raise LockError(
            f"the channel does not answer: {problem}",
            f"check the network and the channel, or: {program()} check --train --channel starter",
        )
    why = problem.partition(": ")[2]  # behind the address of the channel
    progress.note(f"conda-forge cannot be reached ({why}): packages from PyPI stand in for it")
    return build_channel(progress).url, problem


def _compare(context: Context, workspace: Workspace) -> Done[LockProof]:
    """Compare pixi.lock with pixi.toml, without network."""
    context.progress.update("comparing pixi.lock with pixi.toml")
    try:
        locked, notes = current_lock(workspace)
    except UnsupportedError as error:  # packages from source: somebody else's workspace
        raise Skipped(" ".join(error.message.split()), error.hint) from error
    path = locked.path
    names = tuple(p.name for p in workspace.platforms)
    detail = f"{path.name} is current: {len(locked.layout.blocks)} packages, {', '.join(names)}"
    return Done(detail, LockProof(path, names, _facts(path, path.parent)), lines=notes)


def tasks(context: Context, workspace: Workspace) -> Done[None]:
    """Look for what tasks need and is not there."""
    from pixi_scaffold.tasks import missing_parts

    context.progress.update("reading the tasks")
    count, missing = missing_parts(workspace)
    name = workspace.manifest.name
    lines = tuple(f"{name}:{one.line}: {one}" if one.line else f"{name}: {one}" for one in missing)
    detail = f"{count} task{'' if count == 1 else 's'}"
    if missing:
        detail += f", {len(missing)} with something that is not there"
        hint = f"correct {name}, or add what is missing"
        return Done(detail, None, lines=lines, failed=True, hint=hint)
    return Done(detail, None)


def install(context: Context, workspace: Workspace, proof: LockProof) -> Done[Installed]:
    """Install the locked default environment for this machine."""
    from pixi_scaffold import environment
    from pixi_scaffold.tasks import write_activation

    locked = read_lock(proof.path)
    host = environment.host_platform(workspace, ENVIRONMENT, locked)
    _, starter = environment_homes(workspace.root)
    prefix = (starter if proof.stand_in else environments_folder(workspace.root)) / ENVIRONMENT
    installed = environment.install(locked, ENVIRONMENT, host, prefix, context.progress)
    write_activation(workspace, installed, ENVIRONMENT)
    return Done(f"{installed.packages} packages for {host.name}", installed)


def train(context: Context, workspace: Workspace, installed: Installed) -> Done[Trained]:
    """Run the smoke task in the installed environment and read what it left."""
    from pixi_scaffold import environment
    from pixi_scaffold.tasks import run_task

    context.progress.update("starting python")
    half = {"OMP_NUM_THREADS": str(max(cores() // 2, 1))}  # the rehearsal runs beside it
    log = context.root / layout.LOGS / "train.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:

        def keep(line: str) -> None:
            file.write(line + "\n")
            file.flush()
            if line.strip():
                context.progress.update(line.strip())

        done = run_task(
            workspace, installed, ENVIRONMENT, TASK, context.progress, keep, variables=half
        )
    where = log.relative_to(context.root)
    if done.code != 0:
        environment.refuse_damaged_files(installed.prefix)
        last = "\n".join(done.output.splitlines()[-15:])
        ended = f"signal {-done.code}" if done.code < 0 else f"exit code {done.code}"
        raise ScaffoldError(
            f"the task {TASK} ended with {ended}; the whole log is {where}\n{last}",
            f"correct what the task {TASK} runs, then: {program()} check --train",
        )
    training = environment.read_training(context.root / "runs" / TASK)
    if training.first_loss is None or training.last_loss is None:
        told = "ran to its end without a loss"
    else:
        told = f"loss {training.first_loss:.3f} to {training.last_loss:.3f}"
    detail = f"{told} on {training.device}, PyTorch {training.torch}"
    if "+cu" in training.torch and training.device == "cpu":
        detail += " (a CUDA build, on the CPU)"
    return Done(detail, Trained(training, str(where)))


def rehearse(
    context: Context,
    workspace: Workspace,
    installed: Installed,
    trained: Trained | None,  # noqa: ARG001  a job's rehearsal counts once the training works
) -> Done[Proved]:
    """Rehearse the first job of htcondor/train.sub with the installed environment staged.

    Where the task `smoke` knows --epochs, the job gets `--epochs 1`. Raises CheckFailed with what
    would go wrong.
    """
    from pixi_scaffold.rehearsal import DESCRIPTION, Limits, Request, rehearse_here

    tasks = workspace.tasks(workspace.environment(ENVIRONMENT), installed.platform)
    if not (context.root / DESCRIPTION).is_file():
        raise Skipped(f"there is no {DESCRIPTION}")
    short = "--epochs 1" if TASK in tasks and "--epochs" in tasks[TASK].text else ""
    request = Request(
        folder=context.root,
        environment=installed.prefix,
        more_arguments=short,
        limits=Limits(timeout=_REHEARSAL_SECONDS),
        image_later=True,
    )
    report = rehearse_here(request, Within(context.progress))
    if report.failed:
        first = report.failed[0]
        lines = "\n".join((f"{first.name}: {first.detail}", *first.lines))
        raise CheckFailed(lines, first.hint or f"look at it alone: {program()} rehearse")
    job = report.to_dict()["jobs"][0]
    memory = next(r.detail for r in report.results if r.name == "memory").partition(";")[0]
    detail = f"{DESCRIPTION} ended with exit code {job['code']}, {len(job['brought'])} files back"
    detail += f" ({short}); {memory}" if short else f"; {memory}"
    kept = ("state", "code", "attempts", "brought", "usage", "isolated", "added", "notes")
    proved = Proved(tuple(job["notes"]), {key: job[key] for key in kept})
    return Done(detail, proved, tuple(("unlike a worker", text) for text in job["notes"]))
