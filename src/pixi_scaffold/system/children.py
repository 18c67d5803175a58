"""Programs that get this process's own streams and terminal, and the signals that it gets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Lock
from types import FrameType
from weakref import WeakSet

from pixi_scaffold.system.process import end_group, uninterrupted

_STOPPING = frozenset({signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGABRT})
_FORWARDED = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGALRM, signal.SIGCONT, signal.SIGWINCH,
)  # fmt: skip


class Children:
    """Programs that run now, and whether more may be started.

    apart: each in a session of its own, so that a terminal's signals reach only this process, and
    what a program started ends with it; for programs that nobody talks to.
    """

    def __init__(self, *, apart: bool = False) -> None:
        self.apart = apart
        self.stopped: int | None = None
        """The exit code of what is not started any more; None while all is."""
        self._running: set[subprocess.Popen[bytes]] = set()
        self._inner: WeakSet[Children] = WeakSet()
        self._lock = Lock()
        self._stop = Condition(Lock())

    @property
    def alive(self) -> bool:
        """Whether a program runs."""
        return bool(self._running) or any(one.alive for one in list(self._inner))

    def inner(self) -> Children:
        """Return a group within this one: it gets our signals, and ends without ending us."""
        group = Children(apart=self.apart)
        group.stopped = self.stopped
        self._inner.add(group)
        return group

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        streams: tuple[int, int, int],
    ) -> int:
        """Run a program to its end; return its exit code, 128 and the number for a signal.

        streams: its stdin, stdout and stderr. Raises OSError when it cannot be started.
        """
        process = None
        try:
            with uninterrupted():  # Popen would forget what it has started
                process = subprocess.Popen(
                    argv, cwd=cwd, env=dict(env), start_new_session=self.apart,
                    stdin=streams[0], stdout=streams[1], stderr=streams[2],
                )  # fmt: skip
            with self._lock:
                self._running.add(process)
            if self.stopped is not None:  # it came between the question and the start
                self._signal(process, self.stopped - 128)
            code = process.wait()
        except BaseException:  # Ctrl-C, where it is not the program's
            if process is not None and self.apart:
                end_group(process)
            elif process is not None:
                process.terminate()
            raise
        finally:
            with self._lock:
                self._running.discard(process)
        return code if code >= 0 else 128 - code

    def sleep(self, seconds: float) -> int:
        """Wait; return 0, or the exit code of a command that was stopped."""
        with self._stop:
            self._stop.wait_for(lambda: self.stopped is not None, seconds)
        return self.stopped or 0

    def send(self, number: int) -> None:
        """Send a signal to all that run; one that ends programs keeps others from starting."""
        if number in _STOPPING and self.stopped is None:
            self.stopped = 128 + number
            if self._stop.acquire(blocking=False):  # a signal may come while it is held
                self._stop.notify_all()
                self._stop.release()
        for process in list(self._running):
            self._signal(process, number)
        for group in list(self._inner):
            group.send(number)

    def _signal(self, process: subprocess.Popen[bytes], number: int) -> None:
        with suppress(ProcessLookupError):
            if self.apart:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)

    def end(self) -> None:
        """End all that run, and start no more."""
        self.send(signal.SIGTERM)

    @contextmanager
    def forwarding(self) -> Iterator[None]:
        """Send on what this process gets while the block runs.

        Ctrl-C comes from a terminal to its programs, too: there it is theirs alone.
        """
        terminal = os.isatty(0)

        def handle(number: int, _frame: FrameType | None) -> None:
            if number == signal.SIGWINCH or (number == signal.SIGINT and terminal):
                if number == signal.SIGINT and not self.alive:  # nobody else is there to end
                    self.stopped = 128 + number
                    raise KeyboardInterrupt
                return
            self.send(number)

        before = {}
        for number in _FORWARDED:
            with suppress(ValueError):  # not the main thread: no signal comes here
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                    before[number] = signal.signal(number, handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            sys.stdout.flush()
