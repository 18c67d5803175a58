"""The tutorial, and the README, onboarding page and change-it page of a project, done as they say.

Every command of their shell blocks is run, or named below with the reason why it is not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import scaffold
from tests.support.paths import REPOSITORY, SHARED

pytestmark = pytest.mark.slow

ELSEWHERE = {
    "curl": "fetches Pixi's installer",
    "pixi --version": "Pixi itself",
    "uv ": "installs the tool from the network",
    "pipx ": "installs the tool from the network",
    "pixi-scaffold": "has tests of its own",
    "git clone": "needs a server",
    "ssh ": "needs an account",
    "condor_": "needs a pool: tests/test_condor_template.py",
    "apptainer": "cannot be had here",
    "pixi run submit": "needs a pool",
    "pixi add": "changes the environment: Pixi itself",
    "open ": "shows a picture",
    "ls runs/job": "of a job on a pool",
    "tail ": "of a job on a pool",
}


def commands(page: str) -> Iterator[tuple[str, str]]:
    """The commands of a page's shell blocks, with what is shown below each."""
    for kind, block in re.findall(r"(?ms)^ *```(sh|console)\n(.*?)^ *```", page):
        lines = textwrap.dedent(block).splitlines()
        for number, line in enumerate(lines):
            if kind == "console" and not line.startswith("$ "):
                continue
            command = line.removeprefix("$ ").split(" # ")[0].strip()
            shown = []
            for after in lines[number + 1 :]:
                if kind == "sh" or after.startswith("$ "):
                    break
                shown.append(after)
            if command and not command.startswith("#"):
                yield command, "\n".join(shown)


@pytest.fixture
def project(template: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    answers = getattr(request, "param", ())
    ran = scaffold("new", "myproject", "--template", template, "--no-check", *answers, cwd=tmp_path)
    assert ran.code == 0, ran
    (tmp_path / "myproject" / "pixi.lock").touch()
    return tmp_path / "myproject"


@pytest.fixture
def shell(project: Path, project_environment: Path, tmp_path: Path):
    """Run a line as a person would; `pixi` is the stand-in."""
    (tmp_path / "bin").mkdir()
    pixi = tmp_path / "bin" / "pixi"
    stand_in = REPOSITORY / "tests" / "support" / "pixi_run_stand_in.py"
    pixi.write_text(f'#!/bin/sh\nexec {sys.executable} {stand_in} "$@"\n')
    pixi.chmod(0o755)
    env = os.environ | {"PATH": f"{pixi.parent}:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}
    env |= {"OMP_NUM_THREADS": "1"}  # more make small steps slow where others work, too
    env |= {"PIXI_STAND_IN_ENV": str(project_environment)}
    env |= {"PIXI_STAND_IN_MNIST": str(SHARED / "mnist-10k")}

    def run(line: str) -> str:
        done = subprocess.run(
            ["bash", "-c", line], cwd=project, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        return done.stdout + done.stderr

    return run


def normal(line: str) -> str:
    """Without figures, and the device, which differ from machine to machine."""
    line = re.sub(r"\bon (cpu|cuda\S*|mps)", "on DEVICE", line)
    return " ".join(re.sub(r"\d+", "0", line).split())


def screen(shown: str, out: str, command: str) -> None:
    """What a page shows below a command is on the screen: each line as a whole, and in that order."""
    printed = iter([normal(line) for line in out.splitlines()])
    for line in shown.splitlines():
        if line and not line.startswith("..."):
            assert normal(line) in printed, (command, line, out)


@pytest.mark.long
@pytest.mark.parametrize(
    ("project", "pages"),
    [
        ((), ["docs/tutorial.md"]),
        ((), ["README.md"]),
        ((), ["docs/onboarding.md"]),
        (("-d", "example=none"), ["README.md", "docs/onboarding.md"]),
    ],
    indirect=["project"],
    ids=["tutorial", "README", "onboarding", "without the example"],
)
def test_a_page_is_done_word_for_word(project: Path, shell, pages: list[str]) -> None:
    places = ((REPOSITORY if page == "docs/tutorial.md" else project) / page for page in pages)
    done = []
    for command, shown in [pair for place in places for pair in commands(place.read_text())]:
        command = re.sub(r"^(git clone \S+ && )?cd myproject( && )?", "", command)
        if command == "pixi run data" and not (SHARED / "mnist-10k").is_dir():
            pytest.skip("the 10,000 digits of MNIST (../shared/mnist-10k) are not here")
        if not command or any(command.startswith(start) for start in ELSEWHERE):
            continue
        out = shell(command)
        done.append(command)
        screen(shown, out, command)
    assert "pixi run train" in " ".join(done)


def code(page: str, language: str = "python") -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", page)


def apply(diff: str, text: str) -> str:
    """The text with each run of lines with a minus replaced by the lines with a plus below it."""
    for old, new in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", diff, re.M):
        before, after = (re.sub(r"(?m)^[-+]", "", lines) for lines in (old, new))
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


@pytest.mark.long
def test_other_data_a_second_network_and_a_second_program(project: Path, shell) -> None:
    """The blocks of the page, put where it says; nothing is changed but main.py."""
    page = (project / "docs" / "change-it.md").read_text()
    data, network, program = code(page)
    main = project / "main.py"
    text = main.read_text()
    for block, place in ((data, "def mnist("), (network, "# ---")):
        start = text.index(place, text.index("class Net") if block == network else 0)
        text = f"{text[:start]}{block}\n\n{text[start:]}"
    *changes, _, _ = code(page, "diff")  # the last two are of the job
    for diff in changes:
        text = apply(diff, text)
    main.write_text(text)
    assert max(map(len, text.splitlines())) <= 100
    assert "9 passed" in shell("pixi run test")
    shell("pixi run smoke")
    assert "accuracy 1" in shell("pixi run train --epochs 3")
    second = shell("pixi run train --epochs 3 --network perceptron --name second")
    assert "accuracy 1" in second
    (project / "evaluate.py").write_text(program)
    for options in ("", " --network perceptron --name second"):
        assert "100.00% right" in shell(f"pixi run python evaluate.py{options}")


def test_a_job_that_runs_a_second_program(project: Path, tmp_path: Path) -> None:
    """The last two blocks of the page, put where it says: the worker script, and two descriptions."""
    page = (project / "docs" / "change-it.md").read_text()
    *_, worker, description = code(page, "diff")
    script, train, second = (
        project / "htcondor" / name for name in ("bootstrap.sh", "train.sub", "evaluate.sub")
    )
    (line,) = re.findall("(?m)^[-+]exec.*\n[-+]exec.*\n", worker)
    script.write_text(apply(line, script.read_text()))
    train.write_text(apply(worker.replace(line, ""), train.read_text()))
    second.write_text(apply(description, train.read_text()))
    (project / "runs" / "digits").mkdir(parents=True)
    (project / "runs" / "digits" / "model.pt").write_text("weights")
    program = "import sys\nprint('weights:', *sys.argv, open('runs/digits/model.pt').read())\n"
    (project / "evaluate.py").write_text(program)
    (project / "main.py").write_text("print('trained')\n")
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    checked = scaffold(
        "check", *(f"htcondor/{name}.sub" for name in ("train", "evaluate")), cwd=project
    )
    told = set(re.findall(r"\b(PS\d+)\b", checked.out))
    assert told == {"PS213"}, checked  # the two files are not in git
    for name, words_of_it in (
        ("train", "trained"),
        ("evaluate", "weights: evaluate.py --name digits weights"),
    ):
        ran = scaffold("rehearse", f"htcondor/{name}.sub", "--env", tmp_path / "env", cwd=project)
        assert ran.code == 0, ran
        out = next((project / ".pixi" / "rehearsal").rglob(f"{name}*/**/*.out"))
        assert words_of_it in out.read_text()
        shutil.rmtree(project / ".pixi" / "rehearsal")
