"""What `lock` does, as a report."""

from pathlib import Path

from pixi_scaffold.errors import UsageError
from pixi_scaffold.lock.channels import all_channels, unreachable
from pixi_scaffold.lock.check import capped
from pixi_scaffold.lock.current import serves
from pixi_scaffold.lock.diff import LockDiff
from pixi_scaffold.lock.engine import EVERYTHING, choose
from pixi_scaffold.lock.explain import near_names, unreachable_error
from pixi_scaffold.lock.file import read_lock
from pixi_scaffold.lock.history import diff_since
from pixi_scaffold.lock.merge import conflicting, drive
from pixi_scaffold.lock.specs import refuse_unsupported
from pixi_scaffold.report import Progress, Report, Run, Silent, in_folder
from pixi_scaffold.workspace import Workspace, find_manifest, read_manifest

PATIENCE = 30.0
"""Seconds that a channel has to answer: longer than in `new`, which has another way out."""


def relock(folder: Path, engine: str, upgrade: frozenset[str], progress: Progress) -> Report:
    """Lock the workspace in `folder`; raises ScaffoldError when that cannot be done.

    upgrade: names of packages of which a newer version is taken; EVERYTHING for all.
    """
    run = Run(progress)
    workspace = read_manifest(find_manifest(folder))
    if EVERYTHING not in upgrade:
        upgrade = _locked_names(workspace, upgrade)
    choice = choose(workspace, engine)
    if choice.engine.name == "rattler":
        refuse_unsupported(workspace)  # before anything is asked over the network
    with run.step("lock") as step:
        sides = None if upgrade else conflicting(workspace.lock_file)
        if choice.engine.name == "rattler":  # Pixi asks by itself
            _ask_channels(workspace, keeps=not upgrade and not sides)
        if sides:
            locked = sides.lock(workspace, workspace.lock_file, choice.engine, progress)
        else:
            locked = choice.engine.lock(workspace, workspace.lock_file, progress, upgrade=upgrade)
        message = "written" if locked.changed else "already current"
        platforms = ", ".join(locked.platforms)
        detail = f"{locked.path.name} {message}: {locked.packages} packages, {platforms}"
        lines = [f"warning: {warning.text}" for warning in workspace.warnings]
        if sides:
            detail += "; merged"
            lines += [f"chosen: {text}" for text in sides.chosen(read_lock(locked.path))]
        if names := locked.assumed:
            shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if names[6:] else "")
            how = "assumed to provide PyPI packages by their names (Pixi's mapping is not asked)"
            lines.append(f"{how}: {shown}")
        step.passed(detail, capped(lines))
    then = (in_folder(workspace.root, "git add pixi.lock"),) if sides else ()
    facts = {
        "engine": {"name": choice.engine.name, "why": choice.why},
        "changed": locked.changed,
        "platforms": list(locked.platforms),
    }
    return Report("lock", run.results, facts, then)


def _locked_names(workspace: Workspace, names: frozenset[str]) -> frozenset[str]:
    """Return the names as the lock has them; raises UsageError for one that it has not."""
    if not names:
        return names
    from packaging.utils import canonicalize_name

    layout = read_lock(workspace.lock_file).layout
    known = {layout.package(url).name for url in layout.blocks}
    locked_names = set()
    for name in names:
        same = {name, name.lower(), canonicalize_name(name)} & known
        if not same:
            raise UsageError(
                f"{workspace.lock_file} has no package {name}{near_names(name, known)}",
                "name one that it has, or add it to the manifest",
            )
        locked_names |= same
    return frozenset(locked_names)


def merge_driver(ours: Path, theirs: Path, name: str) -> Report:
    """Merge two versions of the lock `name`, as git's driver; raises ScaffoldError."""
    run = Run(Silent())
    with run.step("lock") as step:
        drive(ours, theirs, name)
        step.passed(f"{name} merged")
    return Report("lock", run.results)


def _ask_channels(workspace: Workspace, *, keeps: bool) -> None:
    """Raise ChannelError when a channel does not answer that is needed.

    keeps: a lock that serves as it is will be left alone.
    """
    path = workspace.lock_file
    if keeps and path.exists() and serves(workspace, read_lock(path)):
        return
    if problem := unreachable(all_channels(workspace), PATIENCE, workspace.root):
        raise unreachable_error(workspace, problem)


def diff_report(folder: Path, revisions: str) -> tuple[Report, LockDiff]:
    """Say what changed in the lock since a revision, or from A to B with `A..B`."""
    run = Run(Silent())
    with run.step("lock") as step:
        diff = diff_since(folder, revisions)
        message = "" if diff.changed else ": nothing changed"
        step.passed(f"pixi.lock, {diff.before} -> {diff.after}{message}")
    return Report("lock", run.results, diff), diff
