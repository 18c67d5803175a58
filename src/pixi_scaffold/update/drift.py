"""How a project differs from a fresh render of its template, with the same version and answers."""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

import platformdirs

from pixi_scaffold import __version__
from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import (
    File,
    in_the_way,
    layout,
    read_file,
    read_tree,
    replacing,
    try_git,
    write_file,
)
from pixi_scaffold.template import Project, Render, Renderer
from pixi_scaffold.update.merge import MANIFESTS
from pixi_scaffold.update.policy import declared, is_declared
from pixi_scaffold.update.repository import refuse_hidden

_MOST = 2000
"""How many renders are kept; each takes 3 kB."""


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


@dataclass(frozen=True, slots=True)
class Fresh:
    """The files of a fresh render, each as a fingerprint, and those that are made once."""

    files: Mapping[str, str]
    seeded: frozenset[str]


def fingerprint(file: File | None) -> str:
    """Return what stands for a file's content and kind; line ends as on Windows count as others.

    git writes them where it is told to (core.autocrlf), and then calls the file unchanged.
    """
    if file is None:
        return ""
    content = file.content.replace(b"\r\n", b"\n") if file.has_crlf else file.content
    kind = "link" if file.link else "program" if file.executable else "file"
    return f"{kind} {hashlib.sha256(content).hexdigest()}"


def fresh(project: Project, renderer: Renderer) -> Fresh:
    """Return what the template makes for a project; raises ScaffoldError when it cannot.

    A version is a commit, which never changes, so `status` of a hundred projects renders only what
    it has not seen before. The fingerprints are kept in the user's cache, the content is not.
    """
    commit = renderer.commit_of(project.commit)
    answers = json.dumps(dict(project.answers), sort_keys=True, default=str)
    words = (commit, project.answers_file, project.source, answers, __version__, version("copier"))
    key = hashlib.sha256("\n".join(words).encode()).hexdigest()
    path = platformdirs.user_cache_path("pixi-scaffold") / "renders" / f"{key}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads(path.read_text(encoding="utf-8")) if commit else {}
        return Fresh(dict(document["files"]), frozenset(document["seeded"]))
    made = renderer.render_recorded(project)
    files = {path: fingerprint(file) for path, file in made.files.items()}
    if commit:
        _keep(path, {"files": files, "seeded": sorted(made.seeded)})
    return Fresh(files, made.seeded)


def _keep(path: Path, document: Mapping[str, object]) -> None:
    """Keep a render; where that cannot be written, the next run makes it again."""
    with contextlib.suppress(OSError):
        with replacing(path) as new:
            new.write_text(json.dumps(document), encoding="utf-8")
        kept = list(path.parent.glob("*.json"))
        if len(kept) > _MOST:
            for old in sorted(kept, key=lambda p: p.stat().st_mtime)[: _MOST // 2]:
                old.unlink(missing_ok=True)


def drift(project: Project, made: Fresh) -> tuple[Drift, ...]:
    """Return every file of the project that is not as in the render; the lock is derived."""
    there = read_tree(project.folder, made.files)
    mine = declared(read_tree(project.folder, MANIFESTS))
    done = try_git(project.folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    known = {*filter(None, done.output.split("\0"))} if done.code == 0 else set()
    differing = []
    for path, mark in made.files.items():
        if fingerprint(there.get(path)) != mark:
            owner = Owner.SEEDED if path in made.seeded else Owner.MANAGED
            owner = Owner.YOURS if is_declared(path, mine) else owner
            differing.append(Drift(path, owner, "changed" if path in there else "missing"))
    added = sorted(known - set(made.files) - {layout.LOCK_FILE})
    return (*differing, *(Drift(path, Owner.YOURS, "added") for path in added))


def heal(project: Project, made: Render, name: Path) -> str:
    """Write one file as the template has it; return its path in the project, empty if it was so.

    Raises UsageError for a file that the template does not make, ScaffoldError when the file has
    changes that git does not hold, so that nothing is lost.
    """
    path = _path_in(project, made, name)
    if read_file(project.folder, path) == made.files[path]:
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
    write_file(project.folder, path, made.files[path])
    return path


def _path_in(project: Project, made: Render, name: Path) -> str:
    """Return a file's path in the project; it may be named from there or from here."""
    root = project.folder.resolve()
    for place in (root / name, Path.cwd() / name):
        folder = place.parent.resolve()
        if folder.is_relative_to(root):
            path = (folder / place.name).relative_to(root).as_posix()
            if path in made.files:
                return path
    raise UsageError(
        f"the template makes no {name} at {project.commit}",
        f"it makes: {', '.join(made.files)}",
    )
