"""What `lock` does, as a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ChannelError
from pixi_scaffold.lock.engine import Choice, Locked, choose
from pixi_scaffold.lock.file import channel_url, read_lock, refuse_unsupported, unsatisfied
from pixi_scaffold.lock.reach import unreachable
from pixi_scaffold.report import Progress, Report, Run, Silent, in_folder
from pixi_scaffold.system import program
from pixi_scaffold.workspace import Workspace, find_manifest, read_manifest

PATIENCE = 30.0
"""Seconds that a channel has to answer: longer than in `new`, which has another way out."""


@dataclass(frozen=True, slots=True)
class LockFacts:
    """What `lock` did, and with what."""

    engine: Choice
    locked: Locked

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        return {
            "engine": {"name": self.engine.engine.name, "why": self.engine.why},
            "changed": self.locked.changed,
            "platforms": list(self.locked.platforms),
        }


def relock(folder: Path, engine: str, upgrade: bool, progress: Progress) -> Report:
    """Lock the workspace in `folder`; raises ScaffoldError when that cannot be done."""
    run = Run(progress)
    workspace = read_manifest(find_manifest(folder))
    choice = choose(workspace, engine)
    if choice.engine.name == "rattler":
        refuse_unsupported(workspace)  # before anything is asked over the network
    with run.step("lock") as step:
        if choice.engine.name == "rattler":  # Pixi asks by itself
            _ask_channels(workspace)
        locked = choice.engine.lock(workspace, workspace.lock_file, progress, upgrade=upgrade)
        what = "written" if locked.changed else "already current"
        platforms = ", ".join(locked.platforms)
        step.passed(f"{locked.path.name} {what}: {locked.packages} packages, {platforms}")
    return Report("lock", run.results, LockFacts(choice, locked))


def _ask_channels(workspace: Workspace) -> None:
    """Raise ChannelError when a channel does not answer."""
    channels = {
        channel_url(c) for e in workspace.environments for c in workspace.environment_channels(e)
    }
    problem = unreachable(sorted(channels), PATIENCE)
    if problem:
        prove = in_folder(workspace.root, f"{program()} check --train --channel starter")
        raise ChannelError(
            f"the channel does not answer: {problem}",
            f"check the network, then again; to train meanwhile: {prove}",
        )


def check_lock(folder: Path) -> Report:
    """Say whether pixi.lock still serves pixi.toml, without network; a report that fails if not.

    Raises ScaffoldError when that cannot be judged.
    """
    run = Run(Silent())
    with run.step("lock") as step:
        workspace = read_manifest(find_manifest(folder))
        if workspace.lock_file.is_file():
            problems = unsatisfied(workspace, read_lock(workspace.lock_file))
        else:
            problems = [f"there is no {workspace.lock_file}"]
        if problems:
            hint = in_folder(workspace.root, f"{program()} lock")
            step.failed("pixi.lock is not current", tuple(problems), hint)
        else:
            step.passed("pixi.lock is current")
    return Report("lock", run.results)
