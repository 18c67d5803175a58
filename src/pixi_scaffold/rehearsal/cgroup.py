"""A limit of memory for a job, as the starter of a pool sets it, where this user may set one.

A job that would take more is killed as a whole, or waits until it is stopped as a whole:
nothing of it goes on without the process that the kernel chose (cgroup-v1/memory.rst and
cgroup-v2.rst of the kernel).
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PREFIX = "pixi-scaffold-rehearsal-"
_OLD = 60
"""Seconds after which a cgroup without a process is nobody's."""


@dataclass(frozen=True, slots=True)
class _Version:
    root: Path
    line: str
    """What begins the line of /proc/self/cgroup that names the cgroup of this process."""
    limit: str
    swap: str
    events: str
    whole: str
    """Where 1 says that the kernel shall not kill one process alone."""


_VERSIONS = (
    _Version(_ROOT, "0::", "memory.max", "memory.swap.max", "memory.events", "memory.oom.group"),
    _Version(_ROOT / "memory", r"\d+:memory:", "memory.limit_in_bytes",
             "memory.memsw.limit_in_bytes", "memory.oom_control", "memory.oom_control"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """A cgroup with a limit."""

    processes: Path
    """A process that writes 0 there, and what it starts, are held to it."""
    events: Path

    @property
    def exceeded(self) -> bool:
        """Whether the kernel killed a process that would have taken more, or lets it wait."""
        with contextlib.suppress(OSError):
            events = self.events.read_text(encoding="ascii")
            return bool(re.search(r"(?m)^(?:oom_kill [1-9]|under_oom 1)", events))
        return False


@contextlib.contextmanager
def memory_limit(size: int | None) -> Iterator[MemoryLimit | None]:
    """Give a limit, which goes with the block; None where none is wanted or can be set."""
    folder = None
    for version in _VERSIONS:
        with contextlib.suppress(OSError):
            folder = None if size is None else _make(version, size)
            break
    if folder is None:
        yield None
        return
    try:
        yield MemoryLimit(folder / "cgroup.procs", folder / version.events)
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    for _ in range(200):  # its processes may be on their way out
        with contextlib.suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.05)


def _make(version: _Version, size: int) -> Path:
    """Make a cgroup with this limit; raises OSError where that cannot be."""
    above = _above(version)
    for old in above.glob(f"{_PREFIX}*"):  # of rehearsals that were killed
        with contextlib.suppress(OSError):  # one with processes is not removed
            if old.stat().st_mtime < time.time() - _OLD:
                old.rmdir()
    folder = above / f"{_PREFIX}{os.urandom(4).hex()}"
    folder.mkdir()
    try:
        (folder / version.limit).write_text(str(size), encoding="ascii")
        if (folder / version.swap).exists():  # version 1 counts memory in, too
            value = 0 if version.swap == "memory.swap.max" else size
            (folder / version.swap).write_text(str(value), encoding="ascii")
        (folder / version.whole).write_text("1", encoding="ascii")
    except OSError:
        folder.rmdir()
        raise
    return folder


def _above(version: _Version) -> Path:
    """Return the nearest cgroup of this process in which it may make others with a limit."""
    text = Path("/proc/self/cgroup").read_text(encoding="utf-8")
    match = re.search(rf"(?m)^{version.line}/?(.*)$", text)
    path = version.root / (match[1] if match else "")
    for folder in (path, *path.parents):
        if not folder.is_relative_to(version.root):
            break
        if os.access(folder, os.W_OK) and _hands_on_memory(folder, version):
            return folder
    raise FileNotFoundError(str(path))


def _hands_on_memory(folder: Path, version: _Version) -> bool:
    if version.line != "0::":
        return (folder / version.limit).exists()
    return "memory" in (folder / "cgroup.subtree_control").read_text(encoding="ascii").split()
