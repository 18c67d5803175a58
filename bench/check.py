"""What `check` costs:  python bench/check.py

A generated project with a real lock; and many submit files in one folder: with one worker script
for all, and with a script each that differs from the others in commands, where shellcheck is nearly
all of it: once on a machine that has not seen them, and again. The bare interpreter stands beside
them. Seconds are of the processors, user and system, of the command and all it starts: on two idle
cores half of that passes. Ends with 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.golden import make, template_repository
from tests.support.paths import REPOSITORY

TOOL = str(Path(sys.executable).with_name("pixi-scaffold"))
LOCK = REPOSITORY / "tests" / "data" / "example.lock"
GOALS = {
    "check of a generated project, s": 0.15,
    "a different script each, s per 1,000": 20,
    "memory, times that of a tenth of the files": 1.5,
}


class Cost(NamedTuple):
    seconds: float
    memory: float
    """MB, of the largest process."""


def cost(argv: list[str], cwd: Path) -> Cost:
    """Run a command that must succeed; return what it and its children took."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(argv, cwd=cwd, stdout=output, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{argv} failed:\n{output.read().decode()[-2000:]}")
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def many(project: Path, folder: Path, count: int, *, different: bool) -> Path:
    """Make a folder with submit files that differ in a line each, of one script, or of one each."""
    shutil.copytree(project, folder)
    text = (project / "htcondor" / "train.sub").read_text()
    (folder / "htcondor" / "train.sub").unlink()
    script = (folder / "htcondor" / "bootstrap.sh").read_text()
    for number in range(count):
        new = text.replace("seed = 0", f"seed = {number}")
        if different:
            own = folder / "htcondor" / f"run{number}.sh"
            last = "".join(
                f'if [ "${{STEP_{number}:-}}" = {step} ]; then step_{number} --{step}; fi\n'
                for step in range(number % 7 + 1)
            )
            own.write_text(script + last)
            own.chmod(0o755)
            new = new.replace("htcondor/bootstrap.sh", f"htcondor/{own.name}")
        (folder / "htcondor" / f"train{number}.sub").write_text(new)
    return folder


def main() -> None:
    """Measure, print, and fail where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--files", type=int, default=300)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        project = make(template_repository(folder / "t"), {}, folder / "example")
        shutil.copy(LOCK, project / "pixi.lock")
        check = [TOOL, "check"]
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed tool is compiled
        cost(check, project)
        one, bare = [], []
        for _ in range(given.repeat):
            one.append(cost(check, project).seconds)
            bare.append(cost([sys.executable, "-c", "import typer"], project).seconds)
        same = cost(check, many(project, folder / "one", given.files, different=False))
        few = cost(check, many(project, folder / "few", given.files // 10, different=False))
        different = many(project, folder / "different", given.files, different=True)
        first, again = cost(check, different), cost(check, different)
    thousand = 1000 / given.files
    figures = {
        "files": given.files,
        "check of a generated project, s": round(statistics.median(one), 3),
        "python -c 'import typer', s": round(statistics.median(bare), 3),
        "one script for all, s per 1,000": round(same.seconds * thousand, 1),
        "a different script each, s per 1,000": round(first.seconds * thousand, 1),
        "the same again, s per 1,000": round(again.seconds * thousand, 1),
        "memory, MB": round(same.memory),
        "memory, times that of a tenth of the files": round(same.memory / few.memory, 2),
    }
    print(json.dumps(figures, indent=2))
    missed = [
        f"{name}: {figures[name]} > {goal}" for name, goal in GOALS.items() if figures[name] > goal
    ]
    if missed:
        raise SystemExit("goals that are missed: " + "; ".join(missed))


if __name__ == "__main__":
    main()
