"""Whether the lock of a workspace is current, as a report and for other rooms; needs no network."""

from collections.abc import Sequence
from pathlib import Path

from pixi_scaffold.errors import CheckFailed, UnsupportedError
from pixi_scaffold.lock.current import compare
from pixi_scaffold.lock.file import Lock, read_lock
from pixi_scaffold.lock.specs import refuse_unsupported
from pixi_scaffold.report import Report, Run, Silent, in_folder
from pixi_scaffold.system import program
from pixi_scaffold.workspace import Workspace, find_manifest, read_manifest


def check_lock(folder: Path) -> Report:
    """Say whether pixi.lock still serves pixi.toml, without network; a report that fails if not.

    Raises ScaffoldError when that cannot be judged.
    """
    run = Run(Silent())
    with run.step("lock") as step:
        try:
            _, notes = current_lock(read_manifest(find_manifest(folder)))
        except CheckFailed as error:
            first, *rest = error.message.splitlines()
            step.failed(first, tuple(rest), error.hint)
        else:
            step.passed("; ".join(("pixi.lock is current", *notes)))
    return Report("lock", run.results)


def current_lock(workspace: Workspace) -> tuple[Lock, tuple[str, ...]]:
    """Return the lock of a workspace, which serves its manifest, and what is worth saying of it.

    Raises CheckFailed when there is none or it is not current, ScaffoldError when that cannot be
    judged. Needs no network.
    """
    path, command = workspace.lock_file, f"{program()} lock"
    try:
        refuse_unsupported(workspace)
    except UnsupportedError as error:
        command = error.hint
    hint = in_folder(workspace.root, command)
    if not path.is_file():
        prove = in_folder(workspace.root, f"{program()} check --train")
        where = f"where {' and '.join(workspace.channels)} cannot be reached: {prove}"
        raise CheckFailed(f"there is no {path.name}", f"{hint}; {where}")
    locked = read_lock(path)
    comparison = compare(workspace, locked)
    if comparison.problems:
        raise CheckFailed(
            "\n".join((f"{path.name} is not current", *capped(comparison.problems))), hint
        )
    return locked, tuple(comparison.notes)


def capped(lines: Sequence[str], limit: int = 30) -> tuple[str, ...]:
    """Return the lines, at most `limit` of them, and how many more there are."""
    if len(lines) <= limit:
        return tuple(lines)
    return (*lines[:limit], f"and {len(lines) - limit} more")
