"""How long `run` takes to start a task, in one run:  python bench/run.py

A task that does nothing, warm, beside the bare command and beside `pixi-scaffold --version`; the
goal is 0.15 s more than the bare command. Medians of repetitions that alternate.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOOL = str(Path(sys.executable).with_name("pixi-scaffold"))
GOAL = 0.15
MANIFEST = """
[workspace]
name = "bench"
channels = ["conda-forge"]
platforms = ["linux-64", "linux-aarch64", "osx-64", "osx-arm64"]
[activation.env]
SOME = "$CONDA_PREFIX/lib"
[tasks]
nothing = "/bin/sh -c true"
"""


def seconds(argv: list[str], cwd: Path) -> float:
    """Run a command that must succeed; return its wall time."""
    started = time.perf_counter()
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{argv} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def main() -> None:
    """Measure, print, and fail where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15)
    times = parser.parse_args().times
    commands = {
        "the bare command": ["/bin/sh", "-c", "true"],
        "python -c pass": [sys.executable, "-c", "pass"],
        "pixi-scaffold --version": [TOOL, "--version"],
        "pixi-scaffold run nothing": [TOOL, "run", "nothing"],
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "pixi.toml").write_text(MANIFEST)
        for argv in commands.values():
            seconds(argv, root)
        rounds = [{n: seconds(argv, root) for n, argv in commands.items()} for _ in range(times)]
    medians = {name: statistics.median(one[name] for one in rounds) for name in commands}
    bare = medians["the bare command"]
    for name, median in medians.items():
        print(f"{median:7.3f} s  {median / medians['python -c pass']:6.1f} x python  {name}")
    more = medians["pixi-scaffold run nothing"] - bare
    print(f"run starts a task {more:.3f} s after the bare command would (goal {GOAL} s)")
    if more > GOAL:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
