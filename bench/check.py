"""How long `check` takes, in one run:  python bench/check.py

A generated project with a real lock; and 1,000 submit files in one folder: with one worker script
for all, with a copy of it each, and with a script each that differs from the others in commands,
where shellcheck is nearly all of it: once on a machine that has not seen them, and again. Medians
of repetitions; the bare interpreter stands beside them.
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
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.golden import make, template_repository
from tests.support.paths import REPOSITORY

TOOL = str(Path(sys.executable).with_name("pixi-scaffold"))
LOCK = REPOSITORY / "tests" / "data" / "example.lock"


def seconds(argv: list[str], cwd: Path) -> float:
    """Run a command that must succeed; return its wall time."""
    started = time.perf_counter()
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{argv} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def many(project: Path, folder: Path, scripts: str) -> Path:
    """Make a folder with 1,000 submit files that differ in a line each.

    scripts: one for all (`one`), a copy each (`copies`), or one of its own each (`different`).
    """
    shutil.copytree(project, folder)
    text = (project / "htcondor" / "train.sub").read_text()
    (folder / "htcondor" / "train.sub").unlink()
    script = folder / "htcondor" / "bootstrap.sh"
    for number in range(1000):
        new = text.replace("seed = 0", f"seed = {number}")
        if scripts != "one":
            own = folder / "htcondor" / f"run{number}.sh"
            last = "".join(
                f'if [ "${{STEP_{number}:-}}" = {step} ]; then step_{number} --{step}; fi\n'
                for step in range(number % 7 + 1)
            )
            own.write_text(script.read_text() + (last if scripts == "different" else ""))
            own.chmod(0o755)
            new = new.replace("htcondor/bootstrap.sh", f"htcondor/run{number}.sh")
        (folder / "htcondor" / f"train{number}.sub").write_text(new)
    return folder


def main() -> None:
    """Measure, print, and fail where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=7)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        project = make(template_repository(folder / "t"), {}, folder / "example")
        shutil.copy(LOCK, project / "pixi.lock")
        one, bare = [], []
        for _ in range(repeat):
            one.append(seconds([TOOL, "check"], project))
            bare.append(seconds([sys.executable, "-c", "import typer"], project))
        taken = {
            scripts: seconds([TOOL, "check"], many(project, folder / scripts, scripts))
            for scripts in ("one", "copies", "different")
        }
        again = seconds([TOOL, "check"], folder / "different")
        found = {
            "check of a generated project, s": round(statistics.median(one), 3),
            "python -c 'import typer', s": round(statistics.median(bare), 3),
            "1,000 submit files, one script, s": round(taken["one"], 2),
            "1,000 submit files, a copy of it each, s": round(taken["copies"], 2),
            "1,000 submit files, a different script each, s": round(taken["different"], 2),
            "the same again, s": round(again, 2),
        }
    print(json.dumps(found, indent=2))
    if statistics.median(one) > 1 or max(taken["one"], taken["copies"]) > 20:
        raise SystemExit("a goal is missed: 1 s for a project, 20 s for 1,000 submit files")


if __name__ == "__main__":
    main()
