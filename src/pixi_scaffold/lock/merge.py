"""Merge two versions of a lock: what both agree on is kept, the rest is solved."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.errors import LockError, ScaffoldError
from pixi_scaffold.lock.engine import Engine, Locked
from pixi_scaffold.lock.file import Lock, parse_lock
from pixi_scaffold.lock.render import Contents, Rows, render_lock
from pixi_scaffold.report import Progress, Silent
from pixi_scaffold.system import program, try_git, which
from pixi_scaffold.workspace import Workspace, merge_manifest, parse_manifest

_MARKER = re.compile(r"^(<{7}|\|{7}|={7}|>{7})( .*)?$")


@dataclass(frozen=True, slots=True)
class LockSides:
    """The two versions that a merge could not put together."""

    ours: Lock
    theirs: Lock

    def agreed(self, workspace: Workspace) -> str:
        """Return a lock of what both have; where only one has an environment, of what that has."""
        ours, theirs = self.ours.as_format_7(), self.theirs.as_format_7()
        ours, theirs = ours.aligned(workspace), theirs.aligned(workspace)
        blocks = {url: theirs.layout.block(url) for url in theirs.layout.blocks}
        blocks |= {url: ours.layout.block(url) for url in ours.layout.blocks}
        rows: Rows = {}
        for environment in workspace.environments:
            for platform in workspace.environment_platforms(environment):
                mine = ours.urls(environment.name, platform)
                other = theirs.urls(environment.name, platform)
                if mine is not None and other is not None:
                    row = tuple(package for package in mine if package in other)
                else:
                    row = mine or other or ()
                rows[environment.name, platform.name] = row
        return render_lock(workspace, Contents(rows, blocks))

    def lock(self, workspace: Workspace, path: Path, engine: Engine, progress: Progress) -> Locked:
        """Lock with what both agree on; a failure leaves the file as it was."""
        before = path.read_bytes()
        try:
            path.write_text(self.agreed(workspace), encoding="utf-8")
            return engine.lock(workspace, path, progress)
        except BaseException:
            path.write_bytes(before)
            raise

    def chosen(self, new: Lock) -> Iterator[str]:
        """Yield each package that the sides did not agree on: what was taken, and what they had."""
        mine, other = _versions(self.ours), _versions(self.theirs)
        for name, versions in sorted(_versions(new).items()):
            had = mine.get(name, set()), other.get(name, set())
            if had[0] != had[1]:
                yield (
                    f"{name} {_words(versions)} (ours {_words(had[0])}, theirs {_words(had[1])})"
                )


def _versions(lock: Lock) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for name in lock.environments:
        for _, _, packages in lock.rows(name):
            for package in packages:
                versions.setdefault(package.name, set()).add(package.version)
    return versions


def _words(versions: set[str]) -> str:
    return ", ".join(sorted(versions)) or "none"


def conflicting(path: Path) -> LockSides | None:
    """Return both sides of a lock that has conflict markers or that git has not merged, or None.

    Raises LockError when a side cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    if stages := _stages(path):
        one, two = stages
    elif re.search(r"^<{7}( |$)", text, re.MULTILINE):
        one, two = (_consistent(side) for side in split(text))
    else:
        return None
    try:
        return LockSides(parse_lock(one, path), parse_lock(two, path))
    except LockError as error:
        raise LockError(
            f"{path} has a conflict, and one of its sides is no lock: {error}",
            f"take one side, such as: git checkout --ours {path.name}, then: {program()} lock",
        ) from error


def _stages(path: Path) -> tuple[str, str] | None:
    """Return both sides of a file that git has not merged, or None."""
    if which("git") is None:
        return None
    ours = try_git(path.parent, "show", f":2:./{path.name}")
    theirs = try_git(path.parent, "show", f":3:./{path.name}") if ours.code == 0 else ours
    return None if theirs.code else (ours.output, theirs.output)


def split(text: str) -> tuple[str, str]:
    """Return the two sides of a text with conflict markers (pure)."""
    sides: tuple[list[str], list[str]] = ([], [])
    into: tuple[list[str], ...] = sides
    for line in text.split("\n"):
        if not (matched := _MARKER.match(line)):
            for side in into:
                side.append(line)
            continue
        into = {"<": sides[:1], "|": (), "=": sides[1:], ">": sides}[matched[1][0]]
    return "\n".join(sides[0]), "\n".join(sides[1])


def _consistent(text: str) -> str:
    """Drop from rows what has no package: git merged some parts, and not others."""
    packages, row = set(re.findall(r"^- (\w+: .*)$", text, re.MULTILINE)), "      - "
    lines = text.split("\n")
    return "\n".join(
        one for one in lines if not one.startswith(row) or one.removeprefix(row) in packages
    )


def drive(ours: Path, theirs: Path, name: str) -> None:
    """Be git's merge driver for the lock `name`: write the merged lock to `ours`.

    ours and theirs are git's temporary files. The manifest beside the lock is merged from git, as
    the working tree does not have it yet. Raises ScaffoldError; `ours` is then as it was.
    """
    from pixi_scaffold.lock.rattler import RattlerEngine

    workspace = _merged_workspace(Path(name))
    texts = (path.read_text(encoding="utf-8") for path in (ours, theirs))
    sides = LockSides(*(parse_lock(text, ours) for text in texts))
    sides.lock(workspace, ours, RattlerEngine(), Silent())


def _merged_workspace(lock: Path) -> Workspace:
    """Return the workspace of the manifest that the merge makes; raises ScaffoldError."""
    hint = f"when the merge has stopped: {program()} lock"
    heads = [name.removeprefix("GITHEAD_") for name in os.environ if name.startswith("GITHEAD_")]
    if len(heads) != 1:
        raise ScaffoldError("git does not say what is merged, so pixi.lock is left", hint)
    base = try_git(Path(), "merge-base", "HEAD", heads[0]).output.strip()
    for manifest in (lock.with_name("pixi.toml"), lock.with_name("pyproject.toml")):
        texts = [
            try_git(Path(), "show", f"{commit}:{manifest.as_posix()}")
            for commit in (base, "HEAD", heads[0])
        ]
        if not any(done.code for done in texts):
            break
    else:
        raise ScaffoldError(f"there is no manifest beside {lock} on both sides", hint)
    merged = merge_manifest(*(done.output for done in texts))
    if merged is None or merged.conflicts:
        raise ScaffoldError(f"{manifest} has conflicts of its own", f"resolve them; {hint}")
    return parse_manifest(merged.ours, manifest.absolute())
