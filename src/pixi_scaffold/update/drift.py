"""How a project differs from a fresh render of its template, with the same version and answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import in_the_way, layout, read_file, read_tree, try_git, write_file
from pixi_scaffold.template import Project, Render
from pixi_scaffold.update.fresh import Fresh, fingerprint
from pixi_scaffold.update.merge import MANIFESTS
from pixi_scaffold.update.policy import declared, is_declared
from pixi_scaffold.update.repository import refuse_hidden


class Owner(StrEnum):
    """Who keeps a file: the template, the user since the first day, or the user alone."""

    MANAGED = "managed"
    SEEDED = "seeded"
    YOURS = "yours"


@dataclass(frozen=True, slots=True)
class Drift:
    """One file that is not as the template would make it now."""

    path: str
    owner: Owner
    state: str
    """Changed, missing or added."""


def drift(project: Project, fresh: Fresh) -> tuple[Drift, ...]:
    """Return every file of the project that is not as in the render; the lock is derived."""
    there = read_tree(project.folder, fresh.files)
    mine = declared(read_tree(project.folder, MANIFESTS))
    differing = []
    for path, made in fresh.files.items():
        if fingerprint(there.get(path)) != made:
            owner = Owner.SEEDED if path in fresh.seeded else Owner.MANAGED
            owner = Owner.YOURS if is_declared(path, mine) else owner
            differing.append(Drift(path, owner, "changed" if path in there else "missing"))
    added = sorted(set(_files(project.folder)) - set(fresh.files) - {layout.LOCK_FILE})
    return (*differing, *(Drift(path, Owner.YOURS, "added") for path in added))


def _files(folder: Path) -> list[str]:
    """Return the files that git knows or would take; none without git."""
    done = try_git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return [path for path in done.output.split("\0") if path] if done.code == 0 else []


def heal(project: Project, fresh: Render, name: Path) -> str:
    """Write one file as the template has it; return its path in the project, empty if it was so.

    Raises UsageError for a file that the template does not make, ScaffoldError when the file has
    changes that git does not hold, so that nothing is lost.
    """
    path = _path_in(project, fresh, name)
    if read_file(project.folder, path) == fresh.files[path]:
        return ""
    if (obstacle := in_the_way(project.folder, path)) is not None:
        raise ScaffoldError(f"{obstacle} is in the way of {path}", "move it away")
    if read_file(project.folder, path) is not None:
        refuse_hidden(project.folder, [path])
        done = try_git(project.folder, "status", "--porcelain", "--ignored", "--", path)
        if done.code != 0:
            raise ScaffoldError(f"git does not hold {path}", f"keep it: mv {path} {path}.mine")
        if done.output:
            raise ScaffoldError(
                f"{path} has changes that git does not hold, and they would be lost",
                f"git add {path} && git commit -m 'Keep my {path}', or: mv {path} {path}.mine",
            )
    write_file(project.folder, path, fresh.files[path])
    return path


def _path_in(project: Project, fresh: Render, name: Path) -> str:
    """Return a file's path in the project; it may be named from there or from here."""
    root = project.folder.resolve()
    for place in (root / name, Path.cwd() / name):
        folder = place.parent.resolve()
        if folder.is_relative_to(root):
            path = (folder / place.name).relative_to(root).as_posix()
            if path in fresh.files:
                return path
    raise UsageError(
        f"the template makes no {name} at {project.commit}",
        f"it makes: {', '.join(fresh.files)}",
    )
