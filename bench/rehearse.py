"""What a rehearsal costs over the same command by hand:  python bench/rehearse.py

The command is a job that ends at once, with one small input and one output; then with a large
input, whose copying is measured beside it. Medians of interleaved repetitions.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

TOOL = str(Path(sys.executable).with_name("pixi-scaffold"))
JOB = "#!/bin/sh\nwc -c < input > output\n"
DESCRIPTION = """\
executable = job.sh
transfer_input_files = input
transfer_output_files = output
output = o.out
error = o.err
request_memory = 100MB
request_disk = 4GB
queue
"""


def prepare(folder: Path, size: int) -> None:
    (folder / "job.sh").write_text(JOB)
    (folder / "job.sh").chmod(0o755)
    (folder / "job.sub").write_text(DESCRIPTION)
    with (folder / "input").open("wb") as file:
        for _ in range(max(size >> 20, 1)):
            file.write(b"x" * min(size, 1 << 20))


def seconds(argv: list[str], cwd: Path) -> float:
    started = time.perf_counter()
    subprocess.run(argv, cwd=cwd, capture_output=True, check=True)
    return time.perf_counter() - started


def inside(folder: Path) -> Callable[[], float]:
    """The rehearsal itself, without starting Python and importing the command line."""
    from pixi_scaffold.job import read_description
    from pixi_scaffold.rehearsal import Setting, Walls, hidden, read_plan, rehearse_job

    def one() -> float:
        started = time.perf_counter()
        plan = read_plan(read_description(folder / "job.sub", folder).jobs[0], 0)
        outcome = rehearse_job(
            plan, Setting(folder / "results", walls=Walls(hide=hidden([folder])))
        )
        assert (outcome.state, outcome.code) == ("completed", 0), outcome
        return time.perf_counter() - started

    return one


def copying(folder: Path) -> float:
    started = time.perf_counter()
    shutil.copyfile(folder / "input", "/var/tmp/pixi-scaffold-bench")
    taken = time.perf_counter() - started
    Path("/var/tmp/pixi-scaffold-bench").unlink()
    return taken


def many(jobs: int) -> None:
    """Every job of a sweep that does nothing: what each costs, two at a time."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary:
        folder = Path(temporary)
        lines = ["executable = /bin/true", "transfer_executable = false", "request_disk = 1GB"]
        lines += ["output = $(Process).out", f"queue {jobs}\n"]
        (folder / "job.sub").write_text("\n".join(lines))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken = seconds([TOOL, "rehearse", "job.sub", "--all", "--jobs", "2"], folder)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"\n{jobs} jobs of `true`, two at a time: {taken:.1f} s (goal: 10 s)")
        print(f"  of the processors' time: {used:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=11, help="repetitions")
    times = parser.parse_args().times
    for size in (1000, 1 << 30):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as temporary:
            folder = Path(temporary)
            prepare(folder, size)
            ways: dict[str, Callable[[], float]] = {
                "the command by hand": lambda f=folder: seconds(["./job.sh"], f),  # type: ignore[misc]
                "the whole command `rehearse`": lambda f=folder: seconds(
                    [TOOL, "rehearse", "job.sub"], f
                ),  # type: ignore[misc]
                "the rehearsal in it": inside(folder),
                "`pixi-scaffold --version`": lambda f=folder: seconds([TOOL, "--version"], f),  # type: ignore[misc]
                "copying the input": lambda f=folder: copying(f),  # type: ignore[misc]
            }
            found: dict[str, list[float]] = {name: [] for name in ways}
            for turn in range(times + 1):
                for name, way in ways.items():
                    taken = way()
                    if turn:  # the first is for caches
                        found[name].append(taken)
            print(f"\ninput of {size / 1e6:g} MB")
            median = {name: statistics.median(values) for name, values in found.items()}
            for name, value in median.items():
                print(f"  {name:<44}{value:8.3f} s")
            hand, copied = median["the command by hand"], median["copying the input"]
            for name in ("the whole command `rehearse`", "the rehearsal in it"):
                over = median[name] - hand - copied
                print(f"  {name}, over command and copying:{'':<1} {over:.3f} s (goal: 0.1)")
    many(200)


if __name__ == "__main__":
    main()
