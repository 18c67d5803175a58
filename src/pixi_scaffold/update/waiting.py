"""Updates that wait: on a branch that is not merged yet, or with conflicts in some work tree.

`status` asks this of a hundred projects, so git is started only where there is such a branch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.system import try_git


@dataclass(frozen=True, slots=True)
class Waiting:
    """An update that is on a branch and not merged."""

    branch: str
    place: str
    """The work tree that is on that branch; empty when none is."""
    conflicts: bool
    """Whether there are conflicts to be edited in that work tree."""


def branch_folder(project: Path, top: Path) -> str:
    """Return what an update's branch begins with, for a project in a repository."""
    below = project.relative_to(top).as_posix()
    name = "" if below == "." else re.sub(r"[^\w.-]+", "-", below).strip(".-")
    return f"template/{name}/" if name else "template/"


def waiting(project: Path) -> tuple[Waiting, ...]:
    """Return the project's updates that are neither merged here nor anywhere else."""
    project = project.resolve()
    for top in (project, *project.parents):
        if (top / ".git").exists():
            return _waiting(top, branch_folder(project, top)) if _may_wait(top / ".git") else ()
    return ()


def _may_wait(git: Path) -> bool:
    """Whether a repository can have a branch below template/, by a look at its files."""
    try:
        if git.is_file():  # a linked work tree or a submodule
            git = git.parent / git.read_text().removeprefix("gitdir:").strip()
        if (git / "commondir").is_file():
            git = git / (git / "commondir").read_text().strip()
        if (git / "reftable").is_dir() or (git / "refs" / "heads" / "template").is_dir():
            return True
        packed = git / "packed-refs"
        return packed.is_file() and b"refs/heads/template/" in packed.read_bytes()
    except OSError:
        return False


def _waiting(top: Path, folder: str) -> tuple[Waiting, ...]:
    columns = "%(refname:short)%09%(objectname)%09%(worktreepath)"
    pattern = f"refs/heads/{folder.rstrip('/')}"
    rows = try_git(top, "for-each-ref", f"--format={columns}", pattern)
    if rows.code:
        return ()
    updates = []
    for row in rows.output.splitlines():
        branch, commit, place = row.split("\t")
        if "/" in branch.removeprefix(folder):
            continue  # another project's
        picked = ("rev-parse", "--verify", "--quiet", "CHERRY_PICK_HEAD")
        conflicts = bool(place) and try_git(Path(place), *picked).code == 0
        others = (f"--exclude={branch}", "--branches")
        new = try_git(top, "rev-list", "--max-count=1", commit, "--not", *others)
        if conflicts or (new.code == 0 and new.output.strip()):
            updates.append(Waiting(branch, place, conflicts))
    return tuple(updates)
