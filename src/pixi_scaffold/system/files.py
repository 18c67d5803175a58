"""Read regular files only (a FIFO or a device would keep a reader waiting), replace in one step."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pixi_scaffold.system.temporary import temporary_file

NOT_REGULAR = "is not a regular file"


def read_regular(path: Path, limit: int = -1) -> bytes:
    """Return a file's content, at most `limit` bytes of it.

    Raises OSError; its strerror is NOT_REGULAR for a folder, a FIFO, a socket or a device.
    """
    try:
        _refuse_others(os.stat(path), path)  # noqa: PTH116  opening some devices does something
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError as error:  # a NUL byte
        raise OSError(errno.EINVAL, f"is not a file name ({error})", str(path)) from error
    with os.fdopen(handle, "rb") as file:
        _refuse_others(os.fstat(handle), path)  # it may be another file by now
        return file.read(limit)


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 sum in hexadecimal; empty where no file can be read."""
    import hashlib

    try:
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        pass
    return ""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty file beside `path`, which takes its place when the body ends without an error.

    Whoever reads `path` sees the old content or the new one, never a part. A symbolic link stays
    one; permissions stay, and the owner where this process may give files away. A body that removes
    the file leaves `path` as it is. Raises OSError.
    """
    target = real(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(target.parent) as new:
        yield new
        if new.exists():
            _take_after(target, new)
            new.replace(target)


def _take_after(path: Path, new: Path) -> None:
    """Give `new` the permissions and the owner of a file, or those of any new file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        new.chmod(0o666 & ~mask)
        return
    for user, group in ((-1, status.st_gid), (status.st_uid, -1)):
        with suppress(OSError):
            os.chown(new, user, group)
    new.chmod(stat.S_IMODE(status.st_mode))


def unreadable(path: Path) -> str:
    """Return why a file cannot be read; empty when it can."""
    try:
        read_regular(path, 0)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def special(path: Path) -> bool:
    """Whether something is there that is neither a file nor a folder."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_file(path: Path) -> bool:
    """Whether a regular file is there; whatever keeps us from looking counts as no."""
    return os.path.isfile(path)  # noqa: PTH113  Path.is_file() raises for a name that is too long


def is_folder(path: Path) -> bool:
    """Whether a folder is there; whatever keeps us from looking counts as no."""
    return os.path.isdir(path)  # noqa: PTH112  as above


def exists(path: Path) -> bool:
    """Whether anything is there; whatever keeps us from looking counts as no."""
    return os.path.exists(path)  # noqa: PTH110  as above


def is_elsewhere(path: Path) -> bool:
    """Whether a path can lie only on another machine, such as a pool's access point.

    Its first folder is not on this one, so nothing can be told of it; of a folder that every
    machine has, such as /home and /tmp, what lies in it.
    """
    parts = path.parts
    first = parts[1] if len(parts) > 2 else ""
    known = 4 if first == "usr" else 3 if first in _ON_EVERY_MACHINE else 2
    return path.is_absolute() and bool(first) and not exists(Path(*parts[:known]))


_ON_EVERY_MACHINE = ("home", "Users", "mnt", "media", "srv", "tmp", "var", "opt", "etc", "run")


def real(path: Path) -> Path:
    """Return the path without symlinks; a loop of them stays in it, and raises nothing."""
    return Path(os.path.realpath(path))


def _refuse_others(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, NOT_REGULAR, str(path))
