"""`cp`, `mv`, `rm` and `mkdir` of the task shell."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from pixi_scaffold.tasks.scope import CommandError, reason
from pixi_scaffold.tasks.values import flags_and_names

_RECURSIVE = {"-r", "-R", "--recursive"}


def mkdir(cwd: Path, args: Sequence[str]) -> None:
    """Make folders, with -p those above them, too; raises CommandError."""
    flags, names = flags_and_names(args, "-p --parents")
    parents = bool(flags)
    for name in _some(names, "missing operand"):
        path = cwd / name
        if path.is_file() or (not parents and path.is_dir()):
            raise CommandError(f"cannot create directory '{name}': File exists")
        try:
            path.mkdir(parents=parents, exist_ok=parents)
        except OSError as error:
            raise CommandError(f"cannot create directory '{name}': {reason(error)}") from error


def rm(cwd: Path, args: Sequence[str]) -> None:
    """Remove files, with -r folders and what is in them; raises CommandError."""
    flags, names = flags_and_names(args, "-r -R --recursive -d --dir -f --force")
    for name in _some(names, "missing operand"):
        path = cwd / name
        try:
            if flags & _RECURSIVE and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif flags & {"-d", "--dir"} and path.is_dir():
                path.rmdir()
            else:
                path.unlink()
        except OSError as error:
            if not (flags & {"-f", "--force"} and isinstance(error, FileNotFoundError)):
                raise CommandError(f"cannot remove '{name}': {reason(error)}") from error


def cp(cwd: Path, args: Sequence[str]) -> None:
    """Copy files, with -r folders; raises CommandError."""
    flags, names = flags_and_names(args, "-r -R --recursive")
    for source, name, target in _pairs(cwd, names, "copy", refused=("..",)):
        try:
            _copy(source, target, recursive=bool(flags))
        except (OSError, CommandError, shutil.Error) as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
            raise CommandError(f"could not copy {name} to {names[-1]}: {why}") from error


def _copy(source: Path, target: Path, *, recursive: bool) -> None:
    if os.path.normpath(source) == os.path.normpath(target):
        raise CommandError("source and destination are the same")
    if not source.is_dir():
        shutil.copy(source, target)
        return
    if not recursive:
        raise CommandError("source was a directory; maybe specify -r")
    if target.is_file():
        raise CommandError("destination was a file")
    if target.is_symlink() or source.is_symlink():
        raise CommandError(
            f"no support for copying {'to' if target.is_symlink() else 'from'} symlinks"
        )

    def links(folder: str, entries: list[str]) -> list[str]:
        return [name for name in entries if (Path(folder) / name).is_symlink()]

    shutil.copytree(source, target, ignore=links, copy_function=shutil.copy, dirs_exist_ok=True)


def mv(cwd: Path, args: Sequence[str]) -> None:
    """Move files and folders; raises CommandError."""
    _, names = flags_and_names(args)
    for source, name, target in _pairs(cwd, names, "move", refused=(".", "..")):
        try:
            source.rename(target)
        except OSError as error:
            raise CommandError(f"could not move {name} to {names[-1]}: {reason(error)}") from error


def _some(names: list[str], otherwise: str) -> list[str]:
    if not names:
        raise CommandError(otherwise)
    return names


def _pairs(
    cwd: Path, names: list[str], verb: str, refused: Sequence[str]
) -> Iterator[tuple[Path, str, Path]]:
    """Yield (from, its name as given, to) for each that is copied or moved."""
    *sources, last = _some(names, "missing file operand")
    if not sources:
        raise CommandError(f"missing destination file operand after '{last}'")
    for name in sources:
        component = name.rstrip("/").rpartition("/")[2]
        if not component:
            raise CommandError(f"cannot {verb} '{name}': the source has no final path component")
        if component in refused:
            shown = " or ".join(f"'{one}'" for one in refused)
            raise CommandError(f"cannot {verb} '{name}': refusing to {verb} {shown}")
    target = cwd / last
    if len(sources) > 1 and not target.is_dir():
        raise CommandError(f"target '{last}' is not a directory")
    for name in sources:
        source = cwd / name
        inside = target.is_dir() and name.rstrip("/").rpartition("/")[2] != "."
        yield source, name, target / source.name if inside else target
