"""Measure a job while it runs: memory of its processes, disk of its sandbox and its /tmp."""

import contextlib
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.rehearsal.cgroup import MemoryLimit
from pixi_scaffold.system import run

MEMORY_EVERY = 0.1
"""Seconds between two looks at the processes."""
GPU_EVERY = 0.5
"""Seconds between two looks at whether the job uses a GPU."""
DISK_SHARE = 20
"""A look at the sandbox may cost one part in so many of the time."""
RESERVE = 64 << 20
"""Bytes that stay free on this machine's disk; a job that took as much or more stops there."""


@dataclass(slots=True)
class Meter:
    """The highest values so far, in bytes.

    Memory is the sum over the job's processes of their proportional set size (PSS: a page that
    several share counts once), on a Mac of the resident set. Between two looks a peak can be
    missed; the largest single process is known exactly, from the kernel, when it ends. What lies in
    a /dev/shm of its own is memory, too.
    """

    folder: Path
    memory: int = 0
    disk: int = 0
    more: tuple[Path, ...] = ()
    """Its own /tmp and /var/tmp, which are disk."""
    limit: MemoryLimit | None = None
    """What the kernel holds the job to."""
    gpu: bool = False
    """Whether a process of the job was seen with a GPU mapped into its memory."""
    _next_gpu: float = 0.0
    _next_memory: float = 0.0
    _next_disk: float = 0.0

    def look(self, pid: int) -> None:
        """Look at what the process `pid` (the launcher) has started, and at the sandbox."""
        now = time.monotonic()
        if now >= self._next_memory:
            self.memory = max(self.memory, memory_below(pid))
            spent = time.monotonic() - now
            self._next_memory = now + max(MEMORY_EVERY, 10 * spent)
        if now >= self._next_disk:
            self.look_at_disk()
        if not self.gpu and now >= self._next_gpu:
            self.gpu = _uses_a_gpu(pid)
            self._next_gpu = time.monotonic() + GPU_EVERY

    def look_at_disk(self) -> None:
        """Add up the sandbox now."""
        before = time.monotonic()
        self.disk = max(self.disk, sum(size_of(f) for f in (self.folder, *self.more)))
        after = time.monotonic()
        self._next_disk = after + max(MEMORY_EVERY, DISK_SHARE * (after - before))

    def out_of_memory(self) -> bool:
        """Whether the job wanted more memory than it may have."""
        return self.limit is not None and self.limit.exceeded

    def full(self) -> str:
        """Return what the job has used up: `memory`, `disk`, or nothing."""
        return "memory" if self.out_of_memory() else "disk" if self.out_of_space() else ""

    def out_of_space(self) -> bool:
        """Whether the job has nearly filled the disk of this machine."""
        return shutil.disk_usage(self.folder).free < RESERVE <= self.disk


def size_of(folder: Path) -> int:
    """Return the bytes that a folder takes on disk; a file with two names counts once."""
    total = 0
    seen: set[tuple[int, int]] = set()
    waiting = [str(folder)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    state = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    if state.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                        if (state.st_dev, state.st_ino) in seen:
                            continue
                        seen.add((state.st_dev, state.st_ino))
                    total += state.st_blocks * 512
    return total


def memory_below(pid: int) -> int:
    """Return the memory of the job: everything below the launcher's own child, in bytes."""
    if sys.platform.startswith("linux"):
        inits = _children(pid)
        trees = [_tree_memory(job) for init in inits for job in _children(init)]
        shared = sum(s for _, s in trees)
        # what lies in /dev/shm and is mapped by a process is in both numbers
        return sum(size - s for size, s in trees) + max(
            shared, sum(_in_shared_memory(init) for init in inits)
        )
    return _memory_by_ps(pid)


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
                children += [int(word) for word in text.split()]
    return children


def _uses_a_gpu(pid: int) -> bool:
    """Whether CUDA or ROCm work in a process below this one; nvidia-smi alone maps nothing."""
    waiting = _children(pid)
    while waiting:
        process = waiting.pop()
        waiting += _children(process)
        with contextlib.suppress(OSError):
            maps = Path(f"/proc/{process}/maps").read_text(encoding="utf-8", errors="replace")
            if "/dev/nvidia" in maps or "/dev/kfd" in maps:
                return True
    return False


def _in_shared_memory(pid: int) -> int:
    """Return the bytes in the /dev/shm of a process, when it is not this machine's."""
    with contextlib.suppress(OSError):
        folder = f"/proc/{pid}/root/dev/shm"
        if Path(folder).stat().st_dev != Path("/dev/shm").stat().st_dev:  # noqa: S108
            state = os.statvfs(folder)
            return (state.f_blocks - state.f_bfree) * state.f_frsize
    return 0


def _tree_memory(pid: int, parent: tuple[str, ...] = ()) -> tuple[int, int]:
    """Return the memory of a process and all below it, and how much of that is shared memory."""
    kind, anonymous, shared = _own_memory(pid)
    if kind and kind == parent:  # vfork(2): until it executes a program, the memory is its parent's
        anonymous = shared = 0
    below = [_tree_memory(child, kind) for child in _children(pid)]
    return anonymous + sum(size for size, _ in below), shared + sum(size for _, size in below)


def _own_memory(pid: int) -> tuple[tuple[str, ...], int, int]:
    """Return what tells this memory from another one, its bytes, and those of shared memory."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        if not text:  # it has ended
            return (), 0, 0
        lines = text.splitlines()
        fields = {line.split(":")[0]: line for line in lines[1:]}
        kind = (lines[0], fields["Rss"], fields["Anonymous"])
        shared = fields.get("Pss_Shmem", "Pss_Shmem: 0 kB")  # Linux 5.4
        return kind, int(fields["Pss"].split()[1]) * 1024, int(shared.split()[1]) * 1024
    return (), 0, 0


def _memory_by_ps(pid: int) -> int:
    """Return the same from ps(1), which every other Unix has."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for line in run(["ps", "-axo", "pid=,ppid=,rss="]).output.splitlines():
        number, parent, size = (int(word) for word in line.split())
        parents[number], sizes[number] = parent, size * 1024
    inits = {p for p, parent in parents.items() if parent == pid}
    below = {p for p, parent in parents.items() if parent in inits}
    while more := {p for p, parent in parents.items() if parent in below} - below:
        below |= more
    return sum(sizes[p] for p in below)
