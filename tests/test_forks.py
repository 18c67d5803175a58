"""A fork of a process that has made the imports behaves as a program that Python starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.forks import Forks

PROGRAMS = {
    "code": "import sys; print(1); sys.exit(3)",
    "large": "import sys; sys.exit(1000)",
    "negative": "import sys; sys.exit(-1)",
    "nothing": "import sys; sys.exit()",
    "raised": "import sys; sys.excepthook = lambda *_: print(1); 1 / 0",
    "closed": "import sys; print(1); sys.stdout.close(); sys.exit(4)",
    "full": "import sys; sys.stdout = open('/dev/full', 'w'); print(1); sys.exit(4)",
    "thread": "import threading, time; main = threading.main_thread()\n"
    "def later():\n    main.join(); time.sleep(0.1); print('later')\n"
    "threading.Thread(target=later).start(); print('now')",
    "message": "import sys; sys.exit('why')",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "streams": "import sys; print([(s.errors, s.isatty()) for s in (sys.stdin, sys.stdout, sys.stderr)])",
    "program": "import sys; print(sys.argv, sys.path[0], __name__)",
    "files": "import os; print(sorted(os.listdir('/proc/self/fd')))",
    "signals": "import signal; print([str(signal.getsignal(n)) for n in (1, 2, 13, 15, 17)])",
    "end": "import atexit; atexit.register(print, 'at the end'); print('before')",
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all are real starts")
@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_a_fork_does_what_a_start_does(tmp_path: Path, locale: str) -> None:
    env = {**os.environ, "LC_ALL": locale}
    with Forks(sys.executable, ["json"], env) as forks:
        for name, program in PROGRAMS.items():
            argv = [sys.executable, "-c", program]
            real = subprocess.run(
                argv, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
            fork = forks.run(argv, tmp_path, env)
            told = [(one.returncode, one.stdout, one.stderr) for one in (fork, real)]
            assert told[0] == told[1], name
