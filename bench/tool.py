"""The speed claims of the tool, measured side by side in one run:  python bench/tool.py

Each figure is the median of interleaved repetitions. What needs the extract of conda-forge or the
starter channel says so when it is missing; nothing is claimed that was not run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.paths import REPOSITORY, SLICE
from tests.support.server import serve

PYTHON = sys.executable
TOOL = str(Path(PYTHON).with_name("pixi-scaffold"))
COPIER = str(Path(PYTHON).with_name("copier"))


def seconds(argv: list[str], cwd: Path, env: dict[str, str] | None = None) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{argv} failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def interleaved(ways: dict[str, Callable[[], float]], times: int) -> dict[str, float]:
    for way in ways.values():  # byte code is written, the disk is warm
        way()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(times):
        for name, way in ways.items():
            found[name].append(way())
    return {name: statistics.median(values) for name, values in found.items()}


def bench_complete(folder: Path, times: int) -> dict[str, float]:
    """What a shell waits for after Tab, beside --help and a Python that does nothing."""

    def tab(words: str) -> float:
        ask = {"_PIXI_SCAFFOLD_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "2"}
        return seconds([TOOL], folder, {**os.environ, **ask})

    (folder / "pixi.toml").write_text("[tasks]\ntrain = 'x'\n")
    found = interleaved(
        {
            "Tab after `rule PS1`": lambda: tab("pixi-scaffold rule PS1"),
            "Tab after `run t`": lambda: tab("pixi-scaffold run t"),
            "pixi-scaffold --help": lambda: seconds([TOOL, "--help"], folder),
            "python -c 'import typer'": lambda: seconds([PYTHON, "-c", "import typer"], folder),
            "python -c pass": lambda: seconds([PYTHON, "-c", "pass"], folder),
        },
        times,
    )
    (folder / "pixi.toml").unlink()
    ratio = found["Tab after `run t`"] / found["python -c pass"]
    return {**found, "Tab after `run t`, times python -c pass": ratio}


def bench_help(folder: Path, times: int) -> dict[str, float]:
    found = interleaved(
        {
            "pixi-scaffold --help": lambda: seconds([TOOL, "--help"], folder),
            "python -c 'import typer'": lambda: seconds([PYTHON, "-c", "import typer"], folder),
        },
        times,
    )
    more = found["pixi-scaffold --help"] - found["python -c 'import typer'"]
    return {**found, "more, in ms (goal: at most 20)": more * 1000}


def bench_render(folder: Path, times: int) -> dict[str, float]:
    template = folder / "template"
    git = ["git", "-c", "safe.directory=*", "clone", "--quiet", str(REPOSITORY)]
    subprocess.run([*git, str(template)], check=True)
    numbers = iter(range(10**6))
    answers = ["-d", "project_name=example", "-d", "author=Ada"]

    def ours() -> float:
        new = [TOOL, "new", f"p{next(numbers)}", "--template", str(template), "--no-check"]
        return seconds([*new, *answers], folder)

    def theirs() -> float:
        copy = [COPIER, "copy", "--defaults", "--quiet", *answers, str(template)]
        return seconds([*copy, f"p{next(numbers)}"], folder)

    found = interleaved({"new --no-check": ours, "copier copy": theirs}, times)
    ratio = found["new --no-check"] / found["copier copy"]
    return {**found, "ratio (goal: at most 0.9)": ratio}


def bench_lock(folder: Path, times: int) -> dict[str, float] | str:
    if not SLICE.is_dir():
        return "not run: the extract of conda-forge (../shared/conda-forge-slice) is not here"
    home = folder / "pixi-home"
    home.mkdir()
    seconds([TOOL, "new", "locked", "--template", str(REPOSITORY), "--no-check"], folder)
    numbers = iter(range(10**6))
    with serve(SLICE) as url:
        config = f'[mirrors]\n"https://conda.anaconda.org/conda-forge" = ["{url}"]\n'
        (home / "config.toml").write_text(config)

        def cold() -> float:
            cache = folder / f"cache{next(numbers)}"
            env = {**os.environ, "PIXI_HOME": str(home), "RATTLER_CACHE_DIR": str(cache)}
            (folder / "locked" / "pixi.lock").unlink(missing_ok=True)
            return seconds([TOOL, "lock", "locked", "--engine", "rattler"], folder, env)

        found = interleaved({"lock, three platforms, cold cache (goal: under 2 s)": cold}, times)
    return found


def bench_train(folder: Path) -> dict[str, float]:
    seconds([TOOL, "channel", "build"], folder)  # warm
    peak = 0.0
    started = time.perf_counter()
    process = subprocess.Popen(
        [TOOL, "new", "trained", "--template", str(REPOSITORY), "--channel", "starter", "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                return
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    peak = max(peak, int(line.split()[1]) / 1024)
            time.sleep(0.02)

    log, first_loss = folder / "trained" / ".pixi" / "logs" / "train.log", 0.0

    def read() -> None:
        nonlocal first_loss
        while not first_loss and process.poll() is None:
            if log.is_file() and "epoch 0 " in log.read_text():
                first_loss = time.perf_counter() - started
            time.sleep(0.02)

    reader = threading.Thread(target=read)
    reader.start()
    thread = threading.Thread(target=watch)
    thread.start()
    out, _ = process.communicate()
    taken = time.perf_counter() - started
    thread.join()
    reader.join()
    report = json.loads(out)
    if not report["ok"]:
        raise SystemExit(f"new failed: {out}")
    stages = {f"  {r['name']}": r["seconds"] for r in report["results"]}
    return {
        "new to trained and rehearsed, warm starter channel (goal: under 6 s)": taken,
        "the first loss (goal: under 3 s)": first_loss,
        **stages,
        "memory of the tool, in MB (goal: under 300)": peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=7, help="repetitions")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for title, run in (
            ("start-up", lambda: bench_help(folder, times)),
            ("completion", lambda: bench_complete(folder, times)),
            ("rendering", lambda: bench_render(folder, times)),
            ("locking", lambda: bench_lock(folder, times)),
            ("all of it", lambda: bench_train(folder)),
        ):
            print(f"\n{title}")
            found = run()
            if isinstance(found, str):
                print(f"  {found}")
                continue
            for name, value in found.items():
                print(f"  {name:<60}{value:10.3f}")


if __name__ == "__main__":
    main()
