"""Copy files between the access point and a sandbox by HTCondor's rules.

Measured with HTCondor 25.14 (tests/data): a link to a file becomes a file, one to a folder is
refused (errno 21), one to nothing is left out inside a folder; a later file takes an earlier one's
place, a folder a file's, a file never a folder's; `folder/` means its contents.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that could not be transferred."""

    path: Path
    number: int
    reading: bool = True
    url: str = ""
    why: str = ""

    def __str__(self) -> str:
        if self.url and not self.reading:
            return f"{self.url} cannot be written: there is no such folder"
        if self.url:
            return f"{self.url} cannot be fetched: {self.why}"
        verb = "reading from" if self.reading else "writing to"
        return f"{verb} file {self.path}: (errno {self.number}) {self.reason}"

    @property
    def reason(self) -> str:
        """Return why, in words."""
        return "not transferred" if self.url else os.strerror(self.number)


@dataclass(slots=True)
class Sent:
    """What was transferred: names at the target, bytes, and what failed."""

    names: list[str] = field(default_factory=list)
    size: int = 0
    fetched: int = 0
    """Bytes that came from URLs, which no limit counts."""
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was not sent as a worker would, in words."""
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
        self.notes += more.notes


def is_url(name: str) -> bool:
    """Whether HTCondor would give this name to a transfer plugin."""
    scheme, _, rest = name.partition("://")
    return bool(rest) and scheme.replace("+", "").replace("-", "").isalnum()


Place = Callable[[str], Path | None]
"""From a name at the target (a folder's ends in a slash) to the path to write; None for nowhere."""
Stop = Callable[[], None]
"""Called before each file and within large ones: raises when the rehearsal was interrupted."""
DEEPEST = 129
"""Names in a path; a deeper one is taken for a cycle of remaps (12/1 or 13/1, seen with 25.14)."""
CHUNK = 64 << 20
"""Bytes that are copied between two looks at whether to stop."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
"""What every job has in /dev, and may link to."""
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
    reach: Reach | None = None,
    without: Path | None = None,
) -> Sent:
    """Copy the named files and folders; relative names start at `base`.

    preserve: keep folders in a name (`a/b` arrives as a/b, not as b). reach: how far what a job
    left is followed; None for what is not a job's. without: a folder that is left out. What fails
    is in the answer and the rest is copied all the same. Raises OSError when the disk is full.
    """
    sending = _Sending(place, stop, reach, without)
    for name in names:
        if is_url(name):
            sending.sent.notes.append(f"{name} is at a URL: not sent from here")
            continue
        relative = PurePosixPath(name)
        kept = preserve and not relative.is_absolute()
        parent = relative.parent if kept else PurePosixPath()
        sending.prefix = "./" if name == "." else ""
        if failed := _refused(base, name, relative if kept else None):
            sending.sent.failures.append(failed)
        elif of_contents(name):
            target = relative if kept else PurePosixPath()
            sending.contents(base / name, target)
        else:
            sending.below([(base / name, parent / relative.name, True)])
    return sending.sent


def _refused(base: Path, name: str, kept: PurePosixPath | None) -> Failure | None:
    """Return why HTCondor sends nothing of a name; kept: the path that it would keep."""
    if (kept and ".." in kept.parts) or f"/{name}".endswith("/.."):
        missing = not os.path.exists(f"{base}/{name}")  # noqa: PTH110  Path takes no `nope/..` so
        return Failure(base / name, errno.ENOENT if missing else errno.EPERM)
    folders = [base / part for part in (kept.parents if kept else ())][:-1]
    if kept and of_contents(name):
        folders = [base / kept, *folders]
    linked = [folder for folder in folders if folder.is_symlink() and folder.is_dir()]
    return Failure(linked[-1], errno.EISDIR) if linked else None


def of_contents(name: str) -> bool:
    """Whether a name stands for what is in a folder: `folder/`, and `folder/.` too."""
    return name.endswith(("/", "/.")) or name == "."


@dataclass(frozen=True, slots=True)
class Reach:
    """How far what a job left is followed, by `..` and by its links."""

    writable: tuple[Path, ...]
    """Folders that it could write to."""
    system: tuple[str, ...] = ()
    """Folders of the system, which the job could read and every worker has."""
    hidden: tuple[Path, ...] = ()
    """Those in them that it could not."""

    def leads_out(self, path: Path) -> bool:
        """Whether a path leads out of what the job could write to, and to none of its devices."""
        real = os.path.realpath(path)
        return real not in DEVICES and not _below_one(Path(real), self.writable)

    def of_the_system(self, path: Path) -> bool:
        """Whether a path leads to what everybody may read in the system's folders."""
        real = Path(os.path.realpath(path))
        if not _below_one(real, self.system) or _below_one(real, self.hidden):
            return False
        closed = (p for p in real.parents if not p.stat().st_mode & stat.S_IXOTH)
        return real.exists() and bool(real.stat().st_mode & stat.S_IROTH) and not any(closed)


def _below_one(path: Path, folders: Iterable[Path | str]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


_Waiting = tuple[Path, PurePosixPath, bool]


@dataclass(slots=True)
class _Sending:
    place: Place
    stop: Stop
    reach: Reach | None = None
    without: Path | None = None
    prefix: str = ""
    """What the names of a folder that is called `.` begin with: no remap of a name counts there."""
    sent: Sent = field(default_factory=Sent)

    def fail(self, path: Path, error: OSError, *, reading: bool = True) -> None:
        if error.errno in FULL:
            raise error
        self.sent.failures.append(Failure(path, error.errno or errno.EIO, reading))

    def contents(self, folder: Path, target: PurePosixPath) -> None:
        try:
            linked = self._elsewhere(folder)
            if not stat.S_ISDIR(folder.stat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        except OSError as error:
            self.fail(folder, error)
            return
        if not linked:
            self.below(self._folder(folder, target))

    def below(self, waiting: list[_Waiting]) -> None:
        """Copy what is there, with all that is in it."""
        while waiting:  # not by recursion: a job may nest folders as deep as it likes
            waiting += reversed(self._one(*waiting.pop()))

    def _one(self, path: Path, target: PurePosixPath, top: bool) -> list[_Waiting]:
        """Copy a file, or make a folder; return what is in that."""
        if self.without and path.name == self.without.name and path.samefile(self.without):
            return []
        try:
            if (top or path.is_symlink()) and self._elsewhere(path):
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                return []
            if top and path.parent.is_dir() and not allowed(path.parent, os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            mode = path.stat().st_mode
        except OSError as error:
            if top or error.errno not in (errno.ENOENT, errno.ELOOP):
                self.fail(path, error)
            return []
        if len(target.parts) > DEEPEST:
            self.sent.failures.append(Failure(path, errno.EPERM))
        elif stat.S_ISDIR(mode) and path.is_symlink():
            self.sent.failures.append(Failure(path, errno.EISDIR))
        elif stat.S_ISDIR(mode):
            return self._folder(path, target)
        elif stat.S_ISREG(mode) or stat.S_ISCHR(mode):
            self.file(path, target)
        return []

    def _elsewhere(self, path: Path) -> bool:
        """Whether a path leads through a link of the job to a file of the system.

        Raises FileNotFoundError where it leads to what a worker has not.
        """
        if self.reach is None or not self.reach.leads_out(path):
            return False
        real = Path(os.path.realpath(path))
        if any(folder.is_relative_to(real) for folder in self.reach.writable):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if ".." in path.parts or not self.reach.of_the_system(path):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        linked = _below_one(path, self.reach.writable)
        if linked:
            told = "a link to a file of the system, is not followed here; a worker sends its own"
            self.sent.notes.append(f"{path.name}, {told}")
        return linked

    def _folder(self, folder: Path, target: PurePosixPath) -> list[_Waiting]:
        """Make the folder there, unless it is the top; return what is in it."""
        self.stop()
        where = None if target == PurePosixPath() else self.place(f"{self.prefix}{target}/")
        try:
            mode = folder.stat().st_mode
            if where is not None and not where.is_dir():
                where.unlink(missing_ok=True)
                where.mkdir(parents=True)
                where.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)
            listed = sorted(folder.iterdir()) if searchable(folder) else []
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
        where = self.place(f"{self.prefix}{target}")
        if where is None:
            return
        reading = True
        try:
            reading = not allowed(path, os.R_OK)
            if reading:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            where.parent.mkdir(parents=True, exist_ok=True)
            if where.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if path.is_char_device():  # such as /dev/null: HTCondor sends an empty file
                where.unlink(missing_ok=True)
                where.touch()
                shutil.copymode(path, where)
            else:
                copy(path, where, self.stop)
        except OSError as error:
            self.fail(path if reading else where, error, reading=reading)
            return
        self.sent.names.append(str(target))
        self.sent.size += where.stat().st_size


def searchable(folder: Path) -> bool:
    """Whether its owner can find what is in a folder."""
    return allowed(folder, os.R_OK) and allowed(folder, os.X_OK)


def allowed(path: Path, wanted: int) -> bool:
    """Whether the owner may read, write or search (os.R_OK, W_OK, X_OK) there, also as root.

    Jobs are not root's: root here is taken for a user.
    """
    state = path.stat()
    if os.geteuid() == 0:
        return bool(state.st_mode & wanted << 6)
    return os.access(path, wanted)


def copy(source: Path, target: Path, stop: Stop = go_on) -> None:
    """Copy one file with its mode, inside the kernel where that works: as a reflink, if it can be.

    Never as a hard link: a job that writes into its input would write into the original.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        target.unlink()
    with source.open("rb") as reader, target.open("xb") as writer:
        try:
            while os.copy_file_range(reader.fileno(), writer.fileno(), CHUNK):
                stop()
        except (AttributeError, OSError) as error:  # a Mac, an old kernel, some file systems
            if getattr(error, "errno", None) in FULL:
                raise
            reader.seek(0)
            writer.seek(0)
            writer.truncate()
            while chunk := reader.read(1 << 20):
                stop()
                writer.write(chunk)
    shutil.copymode(source, target)
