"""Copy files between the access point and a sandbox by HTCondor's rules.

Measured with HTCondor 25.14: a symbolic link to a file becomes a file, one to a folder is refused
(errno 21), one that leads nowhere is left out inside a folder and an error (errno 2) by itself;
`folder/` means its contents; a later file replaces an earlier one of the same name; a folder keeps
its mode, and one that may not be read comes empty.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
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
    url: str = ""

    def __str__(self) -> str:
        if self.url:
            return f"{self.url} cannot be fetched: there is no such file"
        verb = "reading from" if self.reading else "writing to"
        return f"{verb} file {self.path}: (errno {self.number}) {self.reason}"

    @property
    def reason(self) -> str:
        """Return why, in words."""
        return "not fetched" if self.url else os.strerror(self.number)


@dataclass(slots=True)
class Sent:
    """What was transferred: names at the target, bytes, what failed, and what is at a URL."""

    names: list[str] = field(default_factory=list)
    size: int = 0
    fetched: int = 0
    """Bytes that came from URLs, which no limit counts."""
    failures: list[Failure] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return time.monotonic() - self.began

    def add(self, more: Sent) -> None:
        """Take in what another transfer sent."""
        self.names += more.names
        self.size += more.size
        self.fetched += more.fetched
        self.failures += more.failures
        self.urls += more.urls


def is_url(name: str) -> bool:
    """Whether HTCondor would give this name to a transfer plugin."""
    scheme, separator, _ = name.partition("://")
    return bool(separator) and scheme.replace("+", "").replace("-", "").isalnum()


Place = Callable[[str], Path | None]
"""From a name at the target (a folder's ends in a slash) to the path to write; None for nowhere."""
Stop = Callable[[], None]
"""Called before each file and within large ones: raises when the rehearsal was interrupted."""
DEEPEST = 129
"""Names in a path; a deeper one is taken for a cycle of remaps (12/1 or 13/1, seen with 25.14)."""
CHUNK = 64 << 20
"""Bytes that are copied between two looks at whether to stop."""
FULL = (errno.ENOSPC, errno.EDQUOT)
"""This machine's lack of room is no failure of the job's: it ends the rehearsal."""


def go_on() -> None:
    """Never stop."""


def send(
    names: Iterable[str],
    base: Path,
    place: Place,
    *,
    preserve: bool,
    stop: Stop = go_on,
    within: tuple[Path, ...] = (),
    without: Path | None = None,
) -> Sent:
    """Copy the named files and folders; relative names start at `base`.

    preserve: keep folders in a name (`a/b` arrives as a/b, not as b). within: the folders that a
    job could write to; what leads out of them is not there. without: a folder that is left
    out. What fails is in the answer and the rest is copied all the same. Raises OSError when this
    machine's disk is full.
    """
    sending = _Sending(place, stop, within, without)
    for name in names:
        if is_url(name):
            sending.sent.urls.append(name)
            continue
        relative = PurePosixPath(name)
        parent = relative.parent if preserve and not relative.is_absolute() else PurePosixPath()
        if of_contents(name):
            target = relative if preserve and not relative.is_absolute() else PurePosixPath()
            sending.contents(base / name, target)
        else:
            sending.tree(base / name, parent / relative.name, top=True)
    return sending.sent


def of_contents(name: str) -> bool:
    """Whether a name stands for what is in a folder: `folder/`, and `folder/.` too."""
    return name.endswith(("/", "/.")) or name == "."


def leads_out(path: Path, within: tuple[Path, ...]) -> bool:
    """Whether a path leads out of these folders, by `..` or by a link that a job made."""
    real = Path(os.path.realpath(path))
    return bool(within) and not any(real.is_relative_to(folder) for folder in within)


_Waiting = tuple[Path, PurePosixPath, bool]


@dataclass(slots=True)
class _Sending:
    """One transfer, as far as it is."""

    place: Place
    stop: Stop
    within: tuple[Path, ...] = ()
    without: Path | None = None
    sent: Sent = field(default_factory=Sent)

    def fail(self, path: Path, error: OSError, *, reading: bool = True) -> None:
        if error.errno in FULL:
            raise error
        self.sent.failures.append(Failure(path, error.errno or errno.EIO, reading))

    def contents(self, folder: Path, target: PurePosixPath) -> None:
        out = leads_out(folder, self.within)
        if out or not folder.is_dir():
            number = errno.ENOTDIR if folder.exists() and not out else errno.ENOENT
            self.sent.failures.append(Failure(folder, number))
            return
        self._below(self._folder(folder, target))

    def tree(self, path: Path, target: PurePosixPath, *, top: bool) -> None:
        """Copy what is there, with all that is in it."""
        self._below([(path, target, top)])

    def _below(self, waiting: list[_Waiting]) -> None:
        while waiting:  # not by recursion: a job may nest folders as deep as it likes
            waiting += reversed(self._one(*waiting.pop()))

    def _one(self, path: Path, target: PurePosixPath, top: bool) -> list[_Waiting]:
        """Copy a file, or make a folder; return what is in that."""
        if path == self.without:
            return []
        try:
            if (top or path.is_symlink()) and leads_out(path, self.within):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            mode = path.stat().st_mode
        except OSError as error:
            if top or error.errno != errno.ENOENT:
                self.fail(path, error)
            return []
        if len(target.parts) > DEEPEST:
            self.sent.failures.append(Failure(path, errno.EPERM))
        elif stat.S_ISDIR(mode) and path.is_symlink():
            self.sent.failures.append(Failure(path, errno.EISDIR))
        elif stat.S_ISDIR(mode):
            return self._folder(path, target)
        elif stat.S_ISREG(mode):
            self.file(path, target)
        return []

    def _folder(self, folder: Path, target: PurePosixPath) -> list[_Waiting]:
        """Make the folder there, unless it is the top; return what is in it."""
        self.stop()
        where = None if target == PurePosixPath() else self.place(f"{target}/")
        try:
            mode = folder.stat().st_mode
            if where is not None and not where.is_dir():
                where.mkdir(parents=True)
                where.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)
            listed = sorted(folder.iterdir()) if allowed(folder, os.R_OK) else []
        except OSError as error:
            self.fail(folder, error)
            return []
        if where is not None and not mode & stat.S_IWUSR:  # it has that mode there, too
            names = (where / path.name for path in listed)
            denied = (Failure(name, errno.EACCES, reading=False) for name in names)
            self.sent.failures += denied
            return []
        return [(path, target / path.name, False) for path in listed]

    def file(self, path: Path, target: PurePosixPath) -> None:
        self.stop()
        where = self.place(str(target))
        if where is None:
            return
        reading = True
        try:
            reading = not allowed(path, os.R_OK)
            if reading:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            where.parent.mkdir(parents=True, exist_ok=True)
            copy(path, where, self.stop)
        except OSError as error:
            self.fail(path if reading else where, error, reading=reading)
            return
        self.sent.names.append(str(target))
        self.sent.size += where.stat().st_size


def allowed(path: Path, wanted: int) -> bool:
    """Whether the owner may read (os.R_OK) or write (os.W_OK) there, also when that is root.

    Jobs are not root's: root here is taken for a user.
    """
    state = path.stat()
    if os.geteuid() == 0:
        return bool(state.st_mode & wanted << 6)
    return os.access(path, wanted)


def copy(source: Path, target: Path, stop: Stop = go_on) -> None:
    """Copy one file with its mode, as a reflink where the file system can.

    Never as a hard link: a job that writes into its input would write into the original.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        target.unlink()
    with source.open("rb") as reader, target.open("xb") as writer:
        if not _reflink(reader.fileno(), writer.fileno()):
            _copy_bytes(reader.fileno(), writer.fileno(), stop)
    shutil.copymode(source, target)


def _reflink(reader: int, writer: int) -> bool:
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.ioctl(writer, _FICLONE, reader)
        return True
    return False


def _copy_bytes(reader: int, writer: int, stop: Stop) -> None:
    """Copy inside the kernel where that works, else through memory."""
    if hasattr(os, "copy_file_range"):
        try:
            while os.copy_file_range(reader, writer, CHUNK):
                stop()
            return
        except OSError as error:  # EXDEV on old kernels, EINVAL on some file systems
            if error.errno in FULL:
                raise
        os.lseek(reader, 0, os.SEEK_SET)
        os.lseek(writer, 0, os.SEEK_SET)
        os.ftruncate(writer, 0)
    while chunk := os.read(reader, 1 << 20):
        stop()
        _write(writer, chunk)


def _write(writer: int, chunk: bytes) -> None:
    """Write all of it: write(2) may take less, on a disk that is nearly full."""
    while chunk:
        chunk = chunk[os.write(writer, chunk) :]
