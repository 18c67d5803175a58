"""What submit and watch cost beside HTCondor's own tools, in one run:  python bench/pool.py

On a real pool that the test support starts: one job by condor_submit and by `submit`, in turn; then
a log to which 1,000 events a minute are appended, with `watch` behind it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.pool import Pool, condor_prefix

TOOL = str(Path(sys.executable).with_name("pixi-scaffold"))
AS_NOBODY = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
SUB = """\
executable = job.sh
transfer_output_files =
should_transfer_files = YES
log = logs/$(Cluster).log
request_cpus = 1
request_memory = 100MB
request_disk = 10MB
hold = true
queue
"""
BARE = """
import htcondor2
with open("job.sub") as file:
    htcondor2.Schedd().submit(htcondor2.Submit(file.read()))
"""
"""The least that a Python program does to submit one job: no argument, no check, no receipt."""
EVENT = """\
006 (001.{proc:03}.000) {stamp} Image size of job updated: {size}
\t6  -  MemoryUsage of job (MB)
\t5628  -  ResidentSetSize of job (KB)
...
"""


def seconds(argv: list[str], cwd: Path) -> float:
    """Run a command that must succeed; return its wall time."""
    began = time.perf_counter()
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{argv} failed:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - began


def submitting(folder: Path, repetitions: int) -> None:
    """Measure the submission of one job, the ways in turn."""
    (folder / "job.sh").write_text("#!/bin/sh\n")
    (folder / "job.sh").chmod(0o755)
    (folder / "job.sub").write_text(SUB)
    (folder / "logs").mkdir()
    root = AS_NOBODY if os.getuid() == 0 else []
    ways = {
        "condor_submit": [*root, "condor_submit", "job.sub"],
        "python -c pass": [sys.executable, "-c", "pass"],
        "bindings, nothing else": [sys.executable, "-c", "import htcondor2, classad2"],
        "bindings, one submission": [sys.executable, "-c", BARE],
        "the same with typer": [sys.executable, "-c", f"import typer{BARE}"],
        "submit --no-check": [TOOL, "submit", "job.sub", "--no-check"],
        "submit": [TOOL, "submit", "job.sub"],
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repetitions + 1):
        for name, argv in ways.items():
            took = seconds(argv, folder)
            if turn:  # the first one compiles
                times[name].append(took)
    base = statistics.median(times["condor_submit"])
    for name, every in times.items():
        middle = statistics.median(every)
        print(f"{name:24} {middle:6.3f} s  {middle / base:5.2f} times condor_submit")


def watching(folder: Path, length: float) -> None:
    """Measure how late watch shows an event, and what it costs, at 1,000 events a minute."""
    log = folder / "events.log"
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    log.write_text(f"000 (001.000.000) {stamp} Job submitted from host: <127.0.0.1:1>\n...\n")
    argv = [TOOL, "watch", "--log", str(log), "--json"]
    watch = subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert watch.stdout is not None
    watch.stdout.readline()  # the first event: it follows now
    written: list[float] = []
    late: list[float] = []

    def read() -> None:
        for line in watch.stdout or ():
            if '"SAID"' in line or len(late) == len(written):
                continue
            late.append(time.monotonic() - written[len(late)])

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    began, used = time.monotonic(), cpu(watch.pid)
    with log.open("a") as file:
        while time.monotonic() - began < length:
            written.append(time.monotonic())
            file.write(EVENT.format(proc=len(written) % 500, stamp=stamp, size=len(written)))
            file.flush()
            time.sleep(max(began + len(written) * 0.06 - time.monotonic(), 0))
    time.sleep(1)
    share = (cpu(watch.pid) - used) / (time.monotonic() - began)
    watch.terminate()
    watch.wait()
    late.sort()
    print(f"watch: {len(written)} events in {length:.0f} s, {len(late)} shown")
    print(f"  shown after {statistics.median(late):.3f} s, at most {late[-1]:.3f} s")
    print(f"  {share:.2%} of a core")


def cpu(pid: int) -> float:
    """Return the seconds of a core that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=30)
    chosen = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled once
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pool").mkdir()
        with Pool(condor_prefix(), folder / "pool") as pool:
            os.environ.update(CONDOR_CONFIG=pool.env["CONDOR_CONFIG"], PATH=pool.env["PATH"])
            submitting(folder, chosen.repetitions)
            watching(folder, chosen.seconds)


if __name__ == "__main__":
    main()
