from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import clean_env, run, started
from pixi_scaffold.system.process import end_group
from tests.support.paths import REPOSITORY
from tests.support.processes import processes


def test_output_and_code_come_back(tmp_path: Path) -> None:
    done = run(["sh", "-c", "pwd; echo two >&2; exit 3"], cwd=tmp_path)
    assert done.code == 3
    assert done.output.split() == [str(tmp_path), "two"]


def test_lines_come_as_they_are_printed() -> None:
    seen: list[str] = []
    done = run(["sh", "-c", "echo a; echo b"], on_line=seen.append)
    assert seen == ["a", "b"]
    assert done.output == "a\nb\n"


def test_no_pixi_variables_reach_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXI_PROJECT_ROOT", "/elsewhere")
    monkeypatch.setenv("CONDA_PREFIX", "/elsewhere")
    assert "PIXI_PROJECT_ROOT" not in run(["env"]).output
    assert "CONDA_PREFIX" not in clean_env(drop=("CONDA_*",))
    assert clean_env({"PIXI_X": "1"})["PIXI_X"] == "1"


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(ScaffoldError, match=r"cannot run no-such-program"):
        run(["no-such-program"])


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """However far it came by then; its command line has the name of a folder of this test alone."""
    with pytest.raises(ScaffoldError, match=r"did not end within 0\.5 s"):
        run(["sh", "-c", "sleep 9999; :", str(tmp_path)], timeout=0.5)
    assert not processes(str(tmp_path))


def test_ctrl_c_ends_what_the_program_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        "from pixi_scaffold.system import run\n"
        f"run(['sh', '-c', 'sleep 9999 & echo $! > {pid}; wait'], on_line=print)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    _wait_for(lambda: pid.exists() and pid.read_text().strip() != "")
    parent.send_signal(signal.SIGINT)
    parent.wait(600)
    child = int(pid.read_text())
    _wait_for(lambda: not _runs(child))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("by", ["run", "a task"])
def test_ctrl_c_while_the_program_starts_ends_it(tmp_path: Path, by: str) -> None:
    """Popen would raise, and nobody would know what it had started."""
    code = (
        "import os, signal, subprocess\n"
        "class Popen(subprocess.Popen):\n"
        "    def __init__(self, *args, **options):\n"
        "        super().__init__(*args, **options)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "subprocess.Popen = Popen\n"
        "from pathlib import Path\n"
        "from pixi_scaffold.system import Children, run\n"
        f"argv = ['sh', '-c', 'sleep 9999; : {tmp_path}']\n"
    )
    here = "cwd=Path(), env=os.environ, streams=(0, 1, 2)"
    code += "run(argv)" if by == "run" else f"Children(apart=True).run(argv, {here})"
    parent = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert b"KeyboardInterrupt" in parent.stderr
    _wait_for(lambda: not processes(str(tmp_path)))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def _wait_for(condition: object, timeout: float = 600) -> None:
    end = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_what_ends_after_its_parent_is_waited_for(tmp_path: Path) -> None:
    """A shell that ends at once on SIGTERM, and a program of it that saves something first."""
    last = tmp_path / "saved"
    begun = tmp_path / "begun"
    save = f"trap 'sleep 0.5; touch {last}; exit' TERM; touch {begun}; while :; do sleep 0.1; done"
    stop = Event()

    def stop_it() -> None:
        _wait_for(begun.exists)
        stop.set()

    Thread(target=stop_it).start()
    with pytest.raises(ScaffoldError, match="was stopped"):
        run(["sh", "-c", f'trap exit TERM; sh -c "{save}" & wait'], stop=stop)
    assert last.exists()


def test_what_is_parsed_comes_without_warnings() -> None:
    script = ["sh", "-c", "echo answer; echo warning >&2; exit $0"]
    assert run([*script, "0"], warnings=False).output == "answer\n"
    assert run([*script, "1"], warnings=False).output == "answer\nwarning\n"
    assert "warning" in run([*script, "0"]).output


def test_text_for_stdin() -> None:
    assert run(["cat"], stdin="é\n").output == "é\n"


def test_a_child_is_talked_to_in_lines_and_does_not_outlive_the_block() -> None:
    code = "import sys\nfor line in sys.stdin: print(line.strip() * 2, flush=True)\nprint('end')"
    with started([sys.executable, "-c", code], env={}) as child:
        child.tell("ab")
        heard: list[str] = []
        while not heard:
            heard += child.lines(5) or []
        assert heard == ["abab"]
        assert child.lines(0) == []
        pid = child.pid
    assert not Path(f"/proc/{pid}").exists()


IN_THE_BACKGROUND = """
import signal, subprocess
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
import tests.conftest
subprocess.run(["grep", "SigIgn", "/proc/self/status"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_tests_in_the_background_start_programs_as_tests_in_front_do() -> None:
    """The judge is the kernel: which signals does a child ignore?"""
    done = subprocess.run(
        [sys.executable, "-c", IN_THE_BACKGROUND],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    ignored = int(done.stdout.split()[1], 16)
    assert not ignored & (1 << (signal.SIGINT - 1) | 1 << (signal.SIGHUP - 1))


def test_a_second_ctrl_c_ends_the_grace_and_leaves_nothing_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The program does not obey SIGTERM; the second Ctrl-C comes while its end is waited for."""
    argv = ["bash", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]
    sleep, pressed = time.sleep, []

    def press_once(seconds: float) -> None:
        if not pressed:
            pressed.append(seconds)
            raise KeyboardInterrupt
        sleep(seconds)

    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        monkeypatch.setattr(time, "sleep", press_once)
        end_group(process)
        assert process.wait() == -signal.SIGKILL
    assert pressed
