"""Run other programs; the only module that uses subprocess."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

from pixi_scaffold.errors import ScaffoldError

GIT_LOCAL = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR",
    "GIT_PREFIX", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
)  # fmt: skip
"""What git sets for a hook: with these, every git command would work on that repository."""

_PIXI_SETTINGS = ("PIXI_HOME", "PIXI_CACHE_DIR")
_STOP_EVERY = 0.1  # seconds between looks at `stop`


class Completed(NamedTuple):
    """A program that ended: its exit code (negative: the signal) and what it printed."""

    code: int
    output: str


class TimedOut(ScaffoldError):  # noqa: N818  the name says what happened
    """A program ran longer than it may, and was ended."""


def clean_env(
    extra: Mapping[str, str] | None = None, *, drop: Sequence[str] = ()
) -> dict[str, str]:
    """Return this process's environment without `PIXI_*`, and with `extra` added.

    Pixi started from inside `pixi run` would otherwise take the outer project for its own; where
    its configuration and its cache are stays. A name in `drop` that ends in `*` is a prefix.
    """
    extra = {k: os.environ[k] for k in _PIXI_SETTINGS if k in os.environ} | dict(extra or {})
    drop = (*drop, *GIT_LOCAL)
    prefixes = ("PIXI_", *(name[:-1] for name in drop if name.endswith("*")))
    names = {name for name in drop if not name.endswith("*")}
    env = {k: v for k, v in os.environ.items() if not k.startswith(prefixes) and k not in names}
    return env | extra


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    on_line: Callable[[str], None] | None = None,
    stdin: str | None = None,
    warnings: bool = True,
    stop: Event | None = None,
) -> Completed:
    """Run `argv` to its end and return its exit code with stdout and stderr together.

    env: the whole environment (default: `clean_env()`); timeout: seconds; on_line: called with
    each line of output as it comes; stdin: text for it; warnings: whether stderr counts when
    the program succeeds (output that is parsed goes without; both not with on_line); stop: ends it
    when another thread sets it (not with on_line). It gets a process group of its own; it ends with
    us, on Ctrl-C too. Raises ScaffoldError when it cannot be started or was stopped, TimedOut when
    it runs past `timeout`.
    """
    name = Path(str(argv[0])).name
    lines: list[str] = []
    env = clean_env() if env is None else env
    pipes = (
        subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        subprocess.STDOUT if warnings else subprocess.PIPE,
    )
    long = on_line is not None or stop is not None
    with _started(argv, cwd, env, pipes) as process, _ends_with_us(process.pid if long else None):
        if on_line is None:
            output, errors = _communicate(process, name, stdin, timeout, stop)
            said = "" if warnings or process.returncode == 0 else errors
            return Completed(process.returncode, output + said)
        assert process.stdout is not None  # noqa: S101  a pipe, by construction
        for line in process.stdout:
            lines.append(line)
            on_line(line.rstrip("\n"))
        return Completed(process.wait(), "".join(lines))


def read_output(
    argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], stdin: bytes
) -> bytes:
    """Run `argv` to its end and return the bytes that it prints, for output that is no text.

    Raises ScaffoldError when it cannot be started or ends with an error.
    """
    with _can_be_run(argv):
        done = subprocess.run(
            [str(a) for a in argv],
            cwd=cwd,
            env=dict(env),
            input=stdin,
            capture_output=True,
            start_new_session=True,
            check=False,
        )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise ScaffoldError(f"{Path(str(argv[0])).name} failed: {said}")
    return done.stdout


@contextmanager
def _can_be_run(argv: Sequence[str | Path]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ScaffoldError(
            f"cannot run {argv[0]}: {error.strerror or error}", "install it, or put it on PATH"
        ) from error


def _communicate(
    process: subprocess.Popen[str],
    name: str,
    stdin: str | None,
    timeout: float | None,
    stop: Event | None,
) -> tuple[str, str]:
    """Return what the program prints until it ends; Ctrl-C comes to the main thread alone."""
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if end is None else max(end - time.monotonic(), 0.0)
        step = left if stop is None else min(_STOP_EVERY, _STOP_EVERY if left is None else left)
        try:
            return process.communicate(stdin, timeout=step)
        except subprocess.TimeoutExpired as error:
            if stop is not None and stop.is_set():
                raise ScaffoldError(f"{name} was stopped") from error
            if end is not None and time.monotonic() >= end:
                raise TimedOut(f"{name} did not end within {timeout:g} s") from error
            stdin = None  # it has that already


@contextmanager
def _started(
    argv: Sequence[str | Path], cwd: Path | None, env: Mapping[str, str], pipes: tuple[int, int]
) -> Iterator[subprocess.Popen[str]]:
    process = None
    try:
        with uninterrupted(), _can_be_run(argv):  # Popen would forget what it has started
            process = subprocess.Popen(
                [str(a) for a in argv],
                cwd=cwd,
                env=dict(env),
                stdin=pipes[0],
                stdout=subprocess.PIPE,
                stderr=pipes[1],
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        yield process
    except BaseException:
        if process is not None:
            end_group(process)
        raise
    finally:
        if process is not None:
            process.__exit__(None, None, None)


@contextmanager
def _ends_with_us(group: int | None) -> Iterator[None]:
    """Let a process group end when this process is killed: `sh` waits for the end of a pipe.

    For work that takes long. Linux could send a signal to a child (PR_SET_PDEATHSIG), not to what
    that started.
    """
    if group is None:
        yield
        return
    watcher = subprocess.Popen(
        ["sh", "-c", f"read -r _ || kill -TERM -{group}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        watcher.communicate(b"it has ended\n")


def end_with(parent: int) -> None:
    """Let this process, a worker, end without a word on Ctrl-C and when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


@dataclass(slots=True)
class Child:
    """A program that runs beside this one; it is talked to in lines."""

    process: subprocess.Popen[bytes]
    rest: bytes = b""

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid

    def lines(self, seconds: float) -> list[str] | None:
        """Return the lines that came within so many seconds; None when no more will come."""
        assert self.process.stdout is not None  # noqa: S101  a pipe, by construction
        stream = self.process.stdout.fileno()
        if not select.select([stream], [], [], seconds)[0]:
            return []
        data = os.read(stream, 1 << 16)
        if not data:
            return None
        *whole, self.rest = (self.rest + data).split(b"\n")
        return [line.decode("utf-8", errors="replace") for line in whole]

    def tell(self, line: str) -> None:
        """Write a line to its stdin; nothing happens when it has ended."""
        assert self.process.stdin is not None  # noqa: S101
        with suppress(OSError):
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()


@contextmanager
def started(
    argv: Sequence[str | Path], *, env: Mapping[str, str], files: Sequence[int] = ()
) -> Iterator[Child]:
    """Start a program that reads stdin until its end and then ends; stderr goes with stdout.

    files: descriptors that it gets, too, by the same numbers.
    It gets a session of its own, so Ctrl-C reaches only this program. At the end of the block its
    stdin is closed, and what is left after 10 s is killed.
    """
    process = subprocess.Popen(
        [str(a) for a in argv],
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=tuple(files),
    )
    try:
        yield Child(process)
    finally:
        for stream in (process.stdin, process.stdout):
            assert stream is not None  # noqa: S101
            with suppress(OSError):
                stream.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def end_group(process: subprocess.Popen[Any]) -> None:
    """Stop the program and everything it started: SIGTERM, 5 s of grace or Ctrl-C, SIGKILL."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + 5.0
        try:
            os.killpg(process.pid, sig)
            with suppress(KeyboardInterrupt):  # once more: nobody waits for the grace
                while time.monotonic() < end:
                    process.poll()  # it may end before what it started
                    os.killpg(process.pid, 0)
                    time.sleep(0.01)
        except (ProcessLookupError, PermissionError):  # macOS says so of one that has ended
            return


@contextmanager
def uninterrupted() -> Iterator[Sequence[int]]:
    """Let a step come to its end: Ctrl-C, SIGTERM and SIGHUP wait, and come after it.

    Gives the numbers of the signals that wait, for a step that can end early.
    """
    caught: list[int] = []
    before = {}
    with suppress(ValueError):  # not the main thread: no signal comes here
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before[number] = signal.signal(number, lambda number, _: caught.append(number))
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in caught:  # what held them back before this may hold them back again
            signal.raise_signal(late)


def cores() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
