"""Lock a workspace: one small interface, two engines (Pixi itself, or py-rattler)."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from pixi_scaffold.errors import UsageError
from pixi_scaffold.report import Progress
from pixi_scaffold.system import run, which
from pixi_scaffold.workspace import Workspace, satisfies

ENGINES = ("auto", "pixi", "rattler")
EVERYTHING = "*"
"""In place of names of packages: all of them."""


class Locked(NamedTuple):
    """A lock file that was written (or found to be current already)."""

    path: Path
    changed: bool
    """Whether the file's bytes are new."""
    packages: int
    platforms: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    """(what, why) for each part that the channels could not serve, only where that was allowed."""
    assumed: tuple[str, ...] = ()
    """Conda packages that are taken to provide what has their name on PyPI."""


class Engine(Protocol):
    """What can lock a workspace."""

    name: str

    def lock(
        self,
        workspace: Workspace,
        path: Path,
        progress: Progress,
        *,
        channels: Sequence[str] | None = None,
        upgrade: frozenset[str] = frozenset(),
    ) -> Locked:
        """Write the lock of every platform of every environment to `path`, all or nothing.

        channels: in place of the manifest's (then platforms that they cannot serve are skipped
        by name). upgrade: packages of which the lock's versions are not kept; EVERYTHING for all.
        Raises LockError (the requirements and platform are named) or UnsupportedError.
        """


class Choice(NamedTuple):
    """The engine that will do it, and why that one."""

    engine: Engine
    why: str


def choose(workspace: Workspace, wanted: str = "auto", *, own_channels: bool = False) -> Choice:
    """Return the engine for this workspace.

    wanted: auto, pixi or rattler. own_channels: the lock is made against other channels than the
    manifest's, which Pixi cannot do. Raises UsageError when `wanted` cannot be had.
    """
    from pixi_scaffold.lock.pixi import PixiEngine
    from pixi_scaffold.lock.rattler import RattlerEngine

    if wanted not in ENGINES:
        raise UsageError(f"unknown engine {wanted!r}", f"use one of: {', '.join(ENGINES)}")
    if wanted == "rattler":
        return Choice(RattlerEngine(), "asked for")
    problem = _pixi_problem(workspace, own_channels)
    if problem is None:
        return Choice(PixiEngine(), "asked for" if wanted == "pixi" else "pixi is on PATH")
    if wanted == "pixi":
        raise UsageError(f"the pixi engine cannot be used: {problem}", "use: --engine rattler")
    return Choice(RattlerEngine(), problem)


def _pixi_problem(workspace: Workspace, own_channels: bool) -> str | None:
    """Return why Pixi cannot lock this workspace here, or None when it can."""
    program = which("pixi")
    if program is None:
        return "pixi is not on PATH"
    if own_channels:
        return "pixi locks only against the manifest's own channels"
    done = run([program, "--version"], timeout=20)
    words = done.output.split()
    version = words[-1] if done.code == 0 and words else ""
    if not version[:1].isdecimal():
        return f"{program} --version failed: {done.output.strip()[:80] or done.code}"
    if workspace.requires_pixi and not satisfies(version, workspace.requires_pixi):
        return f"pixi {version} is on PATH, the manifest requires {workspace.requires_pixi}"
    return None
