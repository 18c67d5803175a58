"""Which GPUs a rehearsed job gets: this machine's, each for one job at a time, or mere names."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pixi_scaffold.system import run, which


def found_gpus() -> tuple[str, ...]:
    """Return the ids of this machine's GPUs."""
    if which("nvidia-smi") is None:
        return ()
    done = run(["nvidia-smi", "-L"], timeout=20)
    return gpu_ids(done.output) if done.code == 0 else ()


def gpu_ids(listing: str) -> tuple[str, ...]:
    """Return the ids of the GPUs that `nvidia-smi -L` lists."""
    return tuple(re.findall(r"\(UUID: (GPU-[0-9a-f-]+)\)", listing))


class Gpus:
    """The GPUs of this machine, lent to jobs that run at the same time."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.all = tuple(ids)
        self._free = list(ids)
        self._changed = threading.Condition()

    @contextmanager
    def lent(self, wanted: int, go_on: Callable[[], None]) -> Iterator[tuple[str, ...]]:
        """Give so many ids: real ones, for which it waits, then mere names for more than all.

        go_on: called while it waits; what it raises ends that.
        """
        real = min(wanted, len(self.all))
        with self._changed:
            while len(self._free) < real:
                go_on()
                self._changed.wait(0.1)
            lent_out, self._free = self._free[:real], self._free[real:]
        try:
            yield (*lent_out, *(f"GPU-{n:08x}" for n in range(1, wanted - real + 1)))
        finally:
            with self._changed:
                self._free += lent_out
                self._changed.notify_all()
