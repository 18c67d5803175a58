"""A stand-in for the generated project's main.py: counts steps, checkpoints like it, needs no package.

    main.py [--steps N] [--step-seconds S] [--exit-code C] [--name NAME] [anything else]

Like main.py it resumes from runs/NAME/checkpoint.json, writes that file atomically every 10 steps,
and on SIGTERM, or CHECKPOINT_SECONDS after its first step, saves and exits with 85. Unlike it, it also tells of each step in the file named by
STEPS_LOG, outside of the job's scratch folder: a witness that no eviction can roll back. At the step WAIT_AT,
the first time that it is there, it waits for its eviction.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--step-seconds", type=float, default=0.05)
parser.add_argument("--exit-code", type=int, default=0)
parser.add_argument("--name", default="run")
args, _ = parser.parse_known_args()

run = Path("runs") / args.name
run.mkdir(parents=True, exist_ok=True)
checkpoint = run / "checkpoint.json"
witness = os.open(
    os.environ.get("STEPS_LOG", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666
)


def tell(word: str, value: object) -> None:
    print(word, value, flush=True)
    os.write(witness, f"{word} {value}\n".encode())


def save(step: int) -> None:
    part = checkpoint.with_suffix(".part")
    part.write_text(json.dumps({"step": step}))
    part.replace(checkpoint)


stop = False


def on_sigterm(*_: object) -> None:
    global stop
    stop = True


signal.signal(signal.SIGTERM, on_sigterm)
step = json.loads(checkpoint.read_text())["step"] if checkpoint.exists() else 0
due = time.monotonic() + float(os.environ.get("CHECKPOINT_SECONDS") or "inf")
tell("start", step)
while step < args.steps:
    time.sleep(args.step_seconds)
    step += 1
    tell("step", step)
    if step % 10 == 0:
        save(step)
    if str(step) == os.environ.get("WAIT_AT"):
        times = Path(os.environ["STEPS_LOG"]).read_text().count(f"step {step}\n")
        while times == 1 and not stop:
            time.sleep(0.01)
    if time.monotonic() > due:
        print("time for a checkpoint", flush=True)
        stop = True
    if stop:
        save(step)
        tell("saved", step)
        sys.exit(85)
(run / "metrics.json").write_text(json.dumps({"steps": step}))
tell("done", step)
sys.exit(args.exit_code)
