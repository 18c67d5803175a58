"""What is temporary goes, also when its command is killed (SIGKILL, which nothing can answer)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pixi_scaffold.system import replacing, temporary_folder
from pixi_scaffold.system.temporary import _sweep
from tests.support.command import scaffold
from tests.support.paths import REPOSITORY
from tests.support.processes import working_in


@pytest.fixture(autouse=True)
def another_process() -> None:
    """A sweep is made once a process: let each test be a new one."""
    _sweep.cache_clear()


def killed_in(body: str, folder: Path, **env: str) -> int:
    """Run Python code, kill it when it prints `ready`, and return the number on its last line."""
    process = subprocess.Popen(
        [sys.executable, "-c", body, str(folder)],
        cwd=REPOSITORY,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    number = int(process.stdout.readline().split()[1])
    process.kill()
    process.wait()
    return number


HOLD = """
import os, sys, time
from pathlib import Path
from pixi_scaffold.system import replacing, temporary_folder
folder = Path(sys.argv[1])
with temporary_folder(folder) as one, temporary_folder() as two, replacing(folder / "pixi.lock") as three:
    for place in (one, two):
        (place / "content").write_text("much")
    print("ready", os.getpid(), flush=True)
    time.sleep(600)
"""


def test_what_a_killed_command_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, system = tmp_path / "here", tmp_path / "system"
    for place in (here, system):
        place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(system))
    (here / ".pixi-scaffold-notes").write_text("mine")
    (here / "pixi-scaffold").mkdir()
    with temporary_folder(here) as living:
        killed_in(HOLD, here, TMPDIR=str(system))
        assert len(list(here.iterdir())) == 5
        assert len(list(system.iterdir())) == 1
        _sweep.cache_clear()
        with replacing(here / "pixi.lock") as new, temporary_folder():
            new.write_text("locked")
        names = {path.name for path in here.iterdir()}
        assert names == {".pixi-scaffold-notes", "pixi-scaffold", living.name, "pixi.lock"}
    assert list(system.iterdir()) == []


@pytest.mark.slow
def test_a_new_that_was_killed_leaves_nothing_for_long(template: Path, tmp_path: Path) -> None:
    """At several moments of `new`; the next `new` has the name, and the folder is as after one."""
    system, work = tmp_path / "tmp", tmp_path / "work"
    for place in (system, work):
        place.mkdir()
    env = os.environ | {"TMPDIR": str(system)}
    argv = [sys.executable, "-m", "pixi_scaffold", "new", "p", "--template", str(template)]
    for wait in (0.3, 0.6, 0.9):
        process = subprocess.Popen(
            [*argv, "--no-check"], cwd=work, env=env, stdout=subprocess.DEVNULL
        )
        time.sleep(wait)
        process.kill()
        process.wait()
        while working_in(work):
            time.sleep(0.05)  # a git that was started goes on to its end
        if (work / "p").exists():  # it was faster
            subprocess.run(["rm", "-rf", work / "p"], check=True)
    done = subprocess.run(
        [*argv, "--no-check"], cwd=work, env=env, check=False, capture_output=True
    )
    assert done.returncode == 0, done
    assert [path.name for path in work.iterdir()] == ["p"]
    assert [path.name for path in system.iterdir() if path.name != "ruff"] == []
    assert scaffold("check", "p", "--only", "submit", cwd=work).code == 0


RUN = """
import sys
from pixi_scaffold.system import run
run(["bash", "-c", "python3 -c 'import os, time; print(\\"ready\\", os.getpid(), flush=True); "
     "time.sleep(600)'; true"], on_line=lambda line: print(line, flush=True))
"""
WORK = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from pixi_scaffold.system import end_with
if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=end_with, initargs=(os.getpid(),))
    print("ready", pool.submit(os.getpid).result(), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("body", [RUN, WORK], ids=["a program that a program started", "a worker"])
def test_what_was_started_ends_when_this_is_killed(tmp_path: Path, body: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(body)
    number = killed_in(
        f"import runpy; runpy.run_path({str(program)!r}, run_name='__main__')", tmp_path
    )
    end = time.monotonic() + 600
    while Path(f"/proc/{number}").exists():
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":  # nobody reaps it here
            break
        assert time.monotonic() < end, "it lives on"
        time.sleep(0.05)


def test_a_program_that_ends_by_itself_is_not_signalled() -> None:
    from pixi_scaffold.system import run

    done = run(["bash", "-c", "trap 'echo told' TERM; echo a"], on_line=lambda _: None)
    assert (done.code, done.output) == (0, "a\n")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
