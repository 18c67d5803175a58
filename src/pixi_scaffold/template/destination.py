"""The folder that a new project goes to: may it be made there, and put in place in one step."""

import contextlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import program, replacing

_BESIDE = re.compile(r"\.git|\.gitignore|(README|LICENSE|LICENCE|COPYING)(\.\w+)?", re.IGNORECASE)
"""What a folder may hold that becomes a project: what a git server puts into a new repository."""


def check_destination(destination: Path) -> None:
    """Raise UsageError when something is at `destination` already, or nothing can be made there."""
    if (destination.is_symlink() or destination.exists()) and not destination.is_dir():
        raise UsageError(f"{destination} exists and is not a folder", "choose another name")
    if destination.is_dir() and (inside := unexpected(destination)):
        verb, why = "adopt", "bring the scaffold to what is there"
        if (destination / "pixi.toml").is_file():
            verb, why = "check --train", "prove the project that is there"
        raise UsageError(
            f"{destination} exists and is not empty: {', '.join(inside[:3])}",
            f"choose another name; to {why}: {program()} {verb} {shlex.quote(str(destination))}",
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
        raise ScaffoldError(f"{parent.absolute()} is not writable", "choose another place")


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


def place(folder: Path, destination: Path) -> tuple[str, ...]:
    """Put the finished project in place; return the files that were there and stay the user's.

    A destination that is not there is made by one rename. In a folder that is there (it may hold a
    repository and the files that a git server puts into a new one) nothing is replaced; lines that
    its .gitignore lacks are added. Raises UsageError when somebody else was faster; then nothing
    of it is there.
    """
    try:
        # Of two renames to one name the second finds a folder that is not empty.
        if not destination.exists():
            folder.rename(destination)
            return ()
    except OSError as error:
        raise _taken(destination) from error
    with _held(destination):
        if unexpected(destination):
            raise _taken(destination)
        return _fill(folder, destination)


def unexpected(folder: Path) -> list[str]:
    """Return what is in a folder that a new project cannot be put beside."""
    return sorted(p.name for p in folder.iterdir() if not _BESIDE.fullmatch(p.name))


def _taken(destination: Path) -> UsageError:
    return UsageError(
        f"{destination} was made by something else meanwhile; it was left as it is",
        "choose another name",
    )


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder, so that no other run of this fills it at the same time."""
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise _taken(folder) from error
    finally:
        os.close(handle)


def _fill(folder: Path, destination: Path) -> tuple[str, ...]:
    kept: list[str] = []
    moved: list[Path] = []
    try:
        for child in sorted(folder.iterdir()):
            target = destination / child.name
            if child.name == ".gitignore" and target.is_file():
                _add_lines(target, child.read_text(encoding="utf-8"))
            elif os.path.lexists(target):
                kept.append(child.name)
            else:
                child.rename(target)
                moved.append(target)
    except BaseException:
        for child in moved:
            shutil.rmtree(child) if child.is_dir() else child.unlink(missing_ok=True)
        raise
    return tuple(kept)


def _add_lines(path: Path, text: str) -> None:
    present = path.read_text(encoding="utf-8", errors="surrogateescape")
    lines = present.splitlines()
    lacking = [line for line in text.splitlines() if line and line not in lines]
    if lacking:
        end = "" if present.endswith("\n") or not present else "\n"
        with replacing(path) as new:
            new.write_text(
                present + end + "\n".join(lacking) + "\n",
                encoding="utf-8",
                errors="surrogateescape",
            )
