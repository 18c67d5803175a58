"""Rehearse several jobs at a time; a signal ends all of them before anything else goes on."""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pixi_scaffold.report import Progress
from pixi_scaffold.system import uninterrupted

_SOON = 0.1
LONG = 30.0
"""Seconds after which is said how a rehearsal can be shortened."""
T = TypeVar("T")


def in_parallel(
    one: Callable[[int], T],
    numbers: Collection[int],
    at_once: int,
    cancel: threading.Event,
    progress: Progress,
    said: Callable[[], str] = str,
    shorter: str = "",
) -> list[T]:
    """Return what `one` returns for each number, run in threads, `at_once` of them at a time.

    said: gives the last line that a job printed. shorter: how to make this take less time, told
    after LONG seconds and on Ctrl-C. cancel: set on Ctrl-C and when one fails; the others end by
    it. A signal is only noted when it comes, and seen in the loop: an exception in the middle of
    the clean-up, by a second Ctrl-C, would leave sandboxes behind, and a handler that sets `cancel`
    waits without end when it interrupts the same call, whose lock is not reentrant.
    """
    work = _Work(one, deque(numbers), cancel)
    with uninterrupted() as caught:
        threads = [threading.Thread(target=work) for _ in range(min(at_once, len(numbers)))]
        began, told_shorter = time.monotonic(), False
        try:
            for thread in threads:
                thread.start()
            while running := [t for t in threads if t.is_alive()]:
                taken = time.monotonic() - began
                seconds = f"{taken:.0f} s"
                if shorter and not told_shorter and taken > LONG:
                    told_shorter = True
                    progress.note(f"it runs as long as on the pool; {shorter}")
                if len(numbers) == 1:
                    progress.update(f"{seconds}  {said()}".rstrip())
                else:
                    ended = len(work.done)
                    told = f"{ended} of {len(numbers)} jobs, {seconds}"
                    progress.update(told, ended / len(numbers))
                running[0].join(_SOON)
                if caught:
                    progress.note("interrupted: ending the job, then removing what it left")
                    if shorter:
                        progress.note(shorter)
                if caught or work.broken:
                    break
        finally:
            cancel.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
    if work.broken:  # the cause, not what ended because of it
        causes = (e for e in work.broken if not isinstance(e, KeyboardInterrupt))
        raise next(causes, work.broken[0])
    return [work.done[number] for number in numbers]


@dataclass(slots=True)
class _Work(Generic[T]):
    one: Callable[[int], T]
    waiting: deque[int]
    cancel: threading.Event
    done: dict[int, T] = field(default_factory=dict)
    broken: list[BaseException] = field(default_factory=list)

    def __call__(self) -> None:
        while not self.cancel.is_set():
            try:
                number = self.waiting.popleft()
            except IndexError:
                return
            try:
                self.done[number] = self.one(number)
            except BaseException as error:
                self.broken.append(error)
                return
