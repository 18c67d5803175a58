"""The folder that a new project goes to: may it be made there, and put in place in one step."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import program


def check_destination(destination: Path) -> None:
    """Raise UsageError when something is at `destination` already, or nothing can be made there."""
    if (destination.is_symlink() or destination.exists()) and not destination.is_dir():
        raise UsageError(f"{destination} exists and is not a folder", "choose another name")
    if destination.is_dir() and any(destination.iterdir()):
        prove = f"{program()} check --train {shlex.quote(str(destination))}"
        there = (destination / "pixi.toml").is_file()
        raise UsageError(
            f"{destination} exists and is not empty",
            "choose another name"
            + (f"; to prove the project that is there: {prove}" if there else ""),
        )
    if bad := set('"$`\\:\n') & set(str(destination.absolute())):
        raise UsageError(
            f"{destination.absolute()} has {' '.join(map(repr, sorted(bad)))} in it, which breaks "
            "the activation of conda environments",
            "choose another folder",
        )
    parent = destination.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise UsageError(f"{parent} is not a folder", "choose another place")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ScaffoldError(f"{parent} is not writable", "choose another place")


def make_parents(folder: Path) -> list[Path]:
    """Make `folder` and what it lies in; return what was made, innermost first."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScaffoldError(
            f"cannot make {folder}: {error.strerror}", "choose another place"
        ) from error
    return missing


def remove_empty(folders: list[Path]) -> None:
    """Remove those of `folders` that are empty, innermost first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def move(folder: Path, destination: Path) -> None:
    """Put the finished project in place; an empty folder that was there is filled."""
    if not destination.exists():
        folder.rename(destination)
        return
    moved: list[Path] = []
    try:
        for child in sorted(folder.iterdir()):
            moved.append(Path(shutil.move(child, destination / child.name)))
    except BaseException:
        for child in moved:
            shutil.rmtree(child) if child.is_dir() else child.unlink(missing_ok=True)
        raise
