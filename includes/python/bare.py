"""What is trained: put your data, network and step into `Training`. This file is yours.

    python main.py --epochs 20          the same command again goes on from the last checkpoint

The rest is what a batch system needs: results in runs/NAME/, a checkpoint after each epoch, and on
SIGTERM, by which it asks for its slot back, a checkpoint at once and exit code 85.
"""

import os
import signal

if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin slow a busy machine
    # both wait until there is something to save
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})

import argparse
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

EVICTED = 85  # the checkpoint_exit_code of htcondor/train.sub
STOPPING = {signal.SIGTERM, signal.SIGINT}
SIGNALS: list[int] = []  # that came


class Training:
    """All that changes in training."""

    def __init__(self, args: argparse.Namespace, device: str) -> None:
        torch.manual_seed(args.seed)
        self.args, self.device = args, device
        self.epoch = 0
        # Your network, its optimizer (args.lr), your data.

    def train_epoch(self) -> dict[str, float]:
        """Train one epoch; return what metrics.jsonl gets, such as {"train_loss": 0.5}.

        In a long epoch call `stop_now(...)` between steps, and keep the place in `state`.
        """
        return {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds: also network.state_dict() and optimizer.state_dict()."""
        return {"epoch": self.epoch}

    def restore(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]


def stop_now(args: argparse.Namespace, begun: float) -> bool:
    """Whether a signal came, or it is time for a checkpoint that leaves the machine."""
    late = args.checkpoint_seconds and time.monotonic() > begun + args.checkpoint_seconds
    return bool(SIGNALS or late)


def write_file(path: Path, content: str | bytes) -> None:
    """Whole or not at all: a job can be killed at any moment, and a disk can be full."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(f"{path} cannot be written: {error}") from error


def save(training: Training, path: Path) -> None:
    content = io.BytesIO()  # torch.save itself would not say that a disk is full
    torch.save(training.state(), content)
    write_file(path, content.getvalue())


def run(args: argparse.Namespace) -> int:
    folder, begun = args.runs_dir / args.name, time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, metrics = folder / "checkpoint.pt", folder / "metrics.jsonl"
    gpu = "cuda" if torch.cuda.is_available() else "mps"
    device = gpu if gpu == "cuda" or torch.backends.mps.is_available() else "cpu"
    training = Training(args, device)
    if args.resume and checkpoint.exists():
        try:
            training.restore(torch.load(checkpoint, map_location="cpu", weights_only=True))
        except Exception as error:  # of another network or optimizer, or no checkpoint at all
            ways = "use another --name, or --no-resume to start over"
            print(f"main.py: {checkpoint} does not fit: {error!r}. {ways}", file=sys.stderr)
            return 2
    done = f"{folder}: {training.epoch} of {max(args.epochs, training.epoch)} epochs done"
    if training.epoch >= args.epochs:  # and nothing is written
        print(f"{done}: finished. --epochs N trains it further, another --name starts over")
        return 0
    record = {"arguments": vars(args), "device": device, "torch": torch.__version__}
    record |= {"git_commit": os.environ.get("GIT_COMMIT")}
    write_file(folder / "config.json", json.dumps(record, default=str) + "\n")
    lines = metrics.read_text().splitlines() if training.epoch else []
    lines = lines[: training.epoch]  # a line may be newer than the checkpoint
    print(f"{done}, on {device}", flush=True)
    while training.epoch < args.epochs:
        row = training.train_epoch()
        training.epoch += 1
        lines.append(json.dumps({"epoch": training.epoch} | row))
        write_file(metrics, "\n".join(lines) + "\n")
        save(training, checkpoint)
        print(lines[-1], flush=True)
        if stop_now(args, begun) and training.epoch < args.epochs:
            print(f"stopped, saved in {folder}: the same command goes on", flush=True)
            return 130 if signal.SIGINT in SIGNALS else EVICTED
    return 0


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--epochs", type=int, default=15)
    add("--lr", type=float, default=4e-3, help="learning rate")
    add("--seed", type=int, default=0)
    add("--name", default="first", help="of the folder below --runs-dir")
    add("--runs-dir", type=Path, default=Path("runs"))
    seconds = float(os.environ.get("CHECKPOINT_SECONDS") or 0)  # of htcondor/train.sub
    add("--checkpoint-seconds", type=float, default=seconds, help="exit 85 after so long; 0: never")
    either = argparse.BooleanOptionalAction
    add("--resume", action=either, default=True, help="go on from the last checkpoint")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    for number in STOPPING:
        signal.signal(number, lambda number, _: SIGNALS.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    try:
        code = run(args)
    except OSError as error:  # a full disk, say
        print(f"main.py: {error}", file=sys.stderr)
        code = 1
    for number in STOPPING:  # all is written: a late one must not turn this code into another
        signal.signal(number, signal.SIG_IGN)
    return code


if __name__ == "__main__":
    sys.exit(main())
