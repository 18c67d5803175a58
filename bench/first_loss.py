"""How long a first loss takes, against another commit:  python bench/first_loss.py COMMIT

Both programs, and one that only imports PyTorch, take turns in the environment of one new project
on the starter channel. The seconds of the processor are told beside those of the clock, which other
work on the machine stretches.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
FILES = ("main.py", "trainer.py", "runs.py")
IMPORT = "import gc; gc.disable(); import torch; print('epoch 0 ', flush=True); input()"
"""Without the collector, as main.py does; it waits, so that its seconds can be read."""


def first_loss(python: Path, folder: Path) -> tuple[float, float]:
    """Return the seconds until the line of epoch 0, of the clock and of the processor."""
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    program = ["main.py", "--epochs", "1", "--no-resume"]
    if not (folder / program[0]).is_file():
        program = ["-c", IMPORT]
    pipe = subprocess.PIPE
    begun = time.perf_counter()
    with subprocess.Popen(
        [python, *program], cwd=folder, env=env, stdin=pipe, stdout=pipe, text=True
    ) as job:
        assert job.stdout is not None
        assert job.stdin is not None
        if not any(line.startswith("epoch 0 ") for line in job.stdout):
            raise SystemExit(f"{folder} told no first loss")
        clock = time.perf_counter() - begun
        fields = Path(f"/proc/{job.pid}/stat").read_text().rpartition(")")[2].split()
        job.stdin.write("\n")
        job.stdin.flush()
        job.stdout.read()
    ticks = int(fields[11]) + int(fields[12])  # proc_pid_stat(5): utime and stime
    return clock, ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", help="whose template is compared with the working tree's")
    parser.add_argument("--times", type=int, default=7, help="repetitions")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tool = [sys.executable, "-m", "pixi_scaffold", "new", "p", "--channel", "starter"]
        new = [*tool, "--template", str(REPOSITORY)]
        subprocess.run(new, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        python = Path(folder, "p/.pixi/starter/envs/default/bin/python")
        taken: dict[str, list[tuple[float, float]]] = {"import": [], "before": [], "now": []}
        for way in taken:
            Path(folder, way).mkdir()
            for name in FILES if way != "import" else ():
                show = ["git", "show", f"{args.commit}:template/{name}"]
                old = subprocess.run(
                    show, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE
                ).stdout
                new_one = (REPOSITORY / "template" / name).read_bytes()
                Path(folder, way, name).write_bytes(old if way == "before" else new_one)
            first_loss(python, Path(folder, way))  # byte code is written, the disk is warm
        for _ in range(args.times):
            for way, found in taken.items():
                found.append(first_loss(python, Path(folder, way)))
    for number, of in enumerate(("clock", "processor")):
        torch, before, now = (statistics.median(t[number] for t in taken[way]) for way in taken)
        print(
            f"seconds of the {of:<9}  import torch {torch:.2f}  before {before:.2f}  "
            f"now {now:.2f}  ratio {now / before:.2f}  to the import {now / torch:.2f}"
        )


if __name__ == "__main__":
    main()
