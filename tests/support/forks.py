"""Start Python programs whose imports are made: forks of a process that has made them.

    with Forks(python, ["torch"], environment) as forks:
        done = forks.run([python, "main.py", "--epochs", "1"], cwd=folder, env=environment)

A training of one epoch takes four CPU seconds, and three of them are its imports. What runs is a process
of its own, with `__main__`, arguments, variables, files and exit code as `subprocess.run` would give them.
Where that cannot be (another operating system, another meaning of Python's own variables) it is a real start.
This file is also the program of that process, and then needs the standard library alone.
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_AT_START = (
    "PYTHON", "LANG", "LC_", "LD_", "OMP_", "MKL_", "CUDA_", "MPL", "PYTORCH", "TORCH",
    "TERMINAL_WIDTH", "FORCE_COLOR", "NO_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "_TYPER", "RUST",
)  # fmt: skip
"""Variables that Python or an imported module reads once begin so."""


class Forks:
    """The process, started when it is first needed; its end is that of the block."""

    def __init__(self, python: str, modules: Sequence[str], env: Mapping[str, str]) -> None:
        self._python, self._modules, self._env = python, modules, dict(env)
        self._process: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="forks-")

    def __enter__(self) -> "Forks":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stdin.close()  # type: ignore[union-attr]
            self._process.wait()
        self._folder.cleanup()

    def run(
        self,
        argv: Sequence[str],
        cwd: Path,
        env: Mapping[str, str] | None = None,
        input: str | None = None,
        timeout: float = 600,
    ) -> subprocess.CompletedProcess[str]:
        """Run `PYTHON FILE|-c CODE|-m MODULE ARGUMENTS...` to its end; return what it printed."""
        env = dict(os.environ if env is None else env)
        if sys.platform != "linux" or _read_at_start(env) != _read_at_start(self._env):
            stdin = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
            return subprocess.run(
                argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False, **stdin
            )  # type: ignore[call-overload,no-any-return]  # fmt: skip
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(3)]
            files[0].write(input or "")
            files[0].seek(0)
            connection = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            connection.connect(self._address())
            umask = os.umask(0)
            os.umask(umask)
            request = [list(argv[1:]), str(cwd), env, umask]
            socket.send_fds(connection, [json.dumps(request).encode()], [f.fileno() for f in files])
            pid = int(connection.recv(100))
            connection.settimeout(timeout)
            try:
                code = int(connection.recv(100))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(argv, timeout) from None
            for file in files:
                file.seek(0)
            return subprocess.CompletedProcess(list(argv), code, files[1].read(), files[2].read())

    def _address(self) -> str:
        address = f"{self._folder.name}/socket"
        if self._process is None:
            self._process = subprocess.Popen(
                [self._python, __file__, address, *self._modules],
                env=self._env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert self._process.stdout is not None
            assert self._process.stdout.readline() == "ready\n"
        return address


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_AT_START)}


def _serve(address: str) -> list[str]:
    """Fork for each request, until the tests end; return in the fork, with its arguments."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, 0], [], [])
            if 0 in ready:  # nothing is ever written there: it is the end
                os._exit(0)
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    message, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    if pid := os.fork():
        connection.send(str(pid).encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError):  # nobody waits any more
            connection.send(str(code).encode())
        os._exit(0)
    connection.close()
    argv, cwd, env, umask = json.loads(message)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, errors=sys.stdin.errors, closefd=False)
    sys.stdout = os.fdopen(1, "w", errors=sys.stdout.errors, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    os.chdir(cwd)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    tempfile.tempdir = None
    return argv  # type: ignore[no-any-return]


def _run(argv: list[str]) -> None:
    """As Python does with its command line."""
    if argv[0] == "-c":
        sys.argv, sys.path[0] = ["-c", *argv[2:]], ""
        exec(compile(argv[1], "<string>", "exec"), {"__name__": "__main__"})
    elif argv[0] == "-m":
        sys.argv, sys.path[0] = argv[1:], str(Path.cwd())
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = argv, str(Path(argv[0]).absolute().parent)
        runpy.run_path(argv[0], run_name="__main__")


def _end(code: int) -> None:
    """End as Python does, but leave what the imports hold to the system: with PyTorch that is 0.3 s of CPU."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):  # closed, or a full disk, which Python names
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)
    sys.exit(code)


if __name__ == "__main__":
    for name in sys.argv[2:]:
        __import__(name)
    gc.freeze()  # or each fork's first collection would copy all of it
    try:
        _run(_serve(sys.argv[1]))
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise  # a message, which Python prints
        _end(end.code or 0)
    _end(0)
