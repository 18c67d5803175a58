"""What `lock` does, as a report."""

from __future__ import annotations

import time
from pathlib import Path

from pixi_scaffold.errors import ChannelError
from pixi_scaffold.lock.engine import choose
from pixi_scaffold.lock.file import channel_url, read_lock, refuse_unsupported, unsatisfied
from pixi_scaffold.lock.reach import unreachable
from pixi_scaffold.report import Progress, Report, Result, Status, in_folder
from pixi_scaffold.system import program
from pixi_scaffold.workspace import find_manifest, read_manifest


def relock(folder: Path, engine: str, upgrade: bool, progress: Progress) -> Report:
    """Lock the workspace in `folder`; raises ScaffoldError when that cannot be done."""
    start = time.perf_counter()
    workspace = read_manifest(find_manifest(folder))
    choice = choose(workspace, engine)
    if choice.engine.name == "rattler":
        refuse_unsupported(workspace)  # before anything is asked over the network
    progress.start("lock")
    channels = {
        channel_url(c) for e in workspace.environments for c in workspace.environment_channels(e)
    }
    # Pixi asks by itself; here a channel has longer than in `new`, which has another way out.
    patience = 30.0
    if choice.engine.name == "rattler" and (problem := unreachable(sorted(channels), patience)):
        prove = in_folder(workspace.root, f"{program()} check --train --channel starter")
        raise ChannelError(
            f"the channel does not answer: {problem}",
            f"check the network, then again; to train meanwhile: {prove}",
        )
    locked = choice.engine.lock(workspace, workspace.lock_file, progress, upgrade=upgrade)
    what = "written" if locked.changed else "already current"
    detail = f"{locked.path.name} {what}: {locked.packages} packages, {', '.join(locked.platforms)}"
    result = Result("lock", Status.PASSED, time.perf_counter() - start, detail)
    facts = {
        "engine": {"name": choice.engine.name, "why": choice.why},
        "changed": locked.changed,
        "platforms": list(locked.platforms),
    }
    return Report("lock", (result,), facts)


def check_lock(folder: Path) -> Report:
    """Say whether pixi.lock still serves pixi.toml, without network; a report that fails if not.

    Raises ScaffoldError when that cannot be judged.
    """
    start = time.perf_counter()
    workspace = read_manifest(find_manifest(folder))
    if workspace.lock_file.is_file():
        problems = unsatisfied(workspace, read_lock(workspace.lock_file))
    else:
        problems = [f"there is no {workspace.lock_file}"]
    seconds = time.perf_counter() - start
    if not problems:
        result = Result("lock", Status.PASSED, seconds, "pixi.lock is current")
    else:
        result = Result(
            "lock",
            Status.FAILED,
            seconds,
            "pixi.lock is not current",
            in_folder(workspace.root, f"{program()} lock"),
            tuple(problems),
        )
    return Report("lock", (result,))
