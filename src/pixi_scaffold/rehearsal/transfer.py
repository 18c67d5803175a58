"""Copy files between the access point and a sandbox by HTCondor's rules.

Measured with HTCondor 25.14: a symbolic link to a file becomes a file, one to a folder is refused
(errno 21), one that leads nowhere is left out inside a folder and an error (errno 2) by itself;
`folder/` means its contents; a later file replaces an earlier one of the same name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

_FICLONE = 0x40049409  # linux/fs.h


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be transferred."""

    path: Path
    number: int
    reading: bool = True

    def __str__(self) -> str:
        verb = "reading from" if self.reading else "writing to"
        return f"{verb} file {self.path}: (errno {self.number}) {os.strerror(self.number)}"


@dataclass(slots=True)
class Sent:
    """What was transferred: names at the target, bytes, what failed, and what is at a URL."""

    names: list[str] = field(default_factory=list)
    size: int = 0
    failures: list[Failure] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)


def is_url(name: str) -> bool:
    """Whether HTCondor would give this name to a transfer plugin."""
    scheme, separator, _ = name.partition("://")
    return bool(separator) and scheme.replace("+", "").replace("-", "").isalnum()


Place = Callable[[str], Path | None]
"""From a name at the target to the path to write; None when it goes to a URL."""


def send(names: Iterable[str], base: Path, place: Place, *, preserve: bool) -> Sent:
    """Copy the named files and folders; relative names start at `base`.

    preserve: keep folders in a name (`a/b` arrives as a/b, not as b). What fails is in the answer
    and the rest is copied all the same.
    """
    sent = Sent()
    for name in names:
        if is_url(name):
            sent.urls.append(name)
            continue
        relative = PurePosixPath(name)
        parent = relative.parent if preserve and not relative.is_absolute() else PurePosixPath()
        if name.endswith("/"):
            target = relative if preserve and not relative.is_absolute() else PurePosixPath()
            _contents(base / name, target, place, sent)
        else:
            _one(base / name, parent / relative.name, place, sent, top=True)
    return sent


def _contents(folder: Path, target: PurePosixPath, place: Place, sent: Sent) -> None:
    if not folder.is_dir():
        number = errno.ENOTDIR if os.path.lexists(str(folder).rstrip("/")) else errno.ENOENT
        sent.failures.append(Failure(folder, number))
        return
    if target != PurePosixPath():
        _folder(target, place)
    for path in _listed(folder, sent):
        _one(path, target / path.name, place, sent, top=False)


def _one(path: Path, target: PurePosixPath, place: Place, sent: Sent, *, top: bool) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if top or error.errno != errno.ENOENT:
            sent.failures.append(Failure(path, error.errno or errno.EIO))
        return
    if stat.S_ISDIR(mode):
        if path.is_symlink():
            sent.failures.append(Failure(path, errno.EISDIR))
            return
        _folder(target, place)
        for inner in _listed(path, sent):
            _one(inner, target / inner.name, place, sent, top=False)
    elif stat.S_ISREG(mode):
        _file(path, target, place, sent)


def _listed(folder: Path, sent: Sent) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        sent.failures.append(Failure(folder, error.errno or errno.EIO))
        return []


def _folder(target: PurePosixPath, place: Place) -> None:
    where = place(str(target))
    if where is not None:
        where.mkdir(parents=True, exist_ok=True)


def _file(path: Path, target: PurePosixPath, place: Place, sent: Sent) -> None:
    where = place(str(target))
    if where is None:
        sent.urls.append(str(target))
        return
    try:
        where.parent.mkdir(parents=True, exist_ok=True)
        copy(path, where)
    except OSError as error:
        reading = not os.access(path, os.R_OK)
        failed = path if reading else where
        sent.failures.append(Failure(failed, error.errno or errno.EIO, reading))
        return
    sent.names.append(str(target))
    sent.size += where.stat().st_size


def copy(source: Path, target: Path) -> None:
    """Copy one file with its mode, as a reflink where the file system can.

    Never as a hard link: a job that writes into its input would write into the original.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        target.unlink()
    with source.open("rb") as reader, target.open("xb") as writer:
        if not _reflink(reader.fileno(), writer.fileno()):
            _copy_bytes(reader.fileno(), writer.fileno(), os.fstat(reader.fileno()).st_size)
    shutil.copymode(source, target)


def _reflink(reader: int, writer: int) -> bool:
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.ioctl(writer, _FICLONE, reader)
        return True
    return False


def _copy_bytes(reader: int, writer: int, size: int) -> None:
    """Copy inside the kernel where that works, else through memory."""
    if hasattr(os, "copy_file_range"):
        with contextlib.suppress(OSError):  # EXDEV on old kernels, EINVAL on some file systems
            while os.copy_file_range(reader, writer, max(size, 1 << 20)):
                pass
            return
        os.lseek(reader, 0, os.SEEK_SET)
        os.lseek(writer, 0, os.SEEK_SET)
        os.ftruncate(writer, 0)
    while chunk := os.read(reader, 1 << 20):
        os.write(writer, chunk)
