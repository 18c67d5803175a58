"""Runs of a training: checkpoints, records, curves, signals, processes.

It comes from the template, and an update brings a newer one; what is trained is in main.py.
"""

import argparse
import contextlib
import datetime
import fcntl
import gc
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import torch
import torch.distributed as dist
from tqdm import tqdm

from trainer import RANK, WORLD_SIZE, Trainer, UserError, origin, say, set_up

EVICTED, INTERRUPTED = 85, 130  # checkpoint_exit_code of htcondor/train.sub; after Ctrl-C
GOOD = {0, EVICTED, INTERRUPTED}
CHECKPOINTS = ("checkpoint.pt", "checkpoint.prev.pt")  # the newest, and the one before it
STOPPING = {signal.SIGTERM, signal.SIGINT}
SIGNALS: list[int] = []  # that came, and were not obeyed yet
PARSERS: list[argparse.ArgumentParser] = []  # of main.py; the last one counts
OTHER = {"epochs"}  # options that say how, where and how long, not what is trained
METRICS = ("epoch", "train_loss", "test_loss", "test_accuracy")  # numbers of each line


def add_options(parser: argparse.ArgumentParser) -> None:
    def add(name: str, **settings: Any) -> None:
        OTHER.add(parser.add_argument(name, **settings).dest)

    PARSERS.append(parser)
    either = argparse.BooleanOptionalAction
    add("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto")
    add("--processes", type=int, default=1, help="on this machine, each with its own GPU")
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="see trainer.py")
    add("--graph", action=either, default=True, help="on CUDA: replay a step as one CUDA graph")
    add("--name", help="of the folder below --runs-dir")
    add("--runs-dir", type=Path, default=Path("runs"))
    add("--checkpoint-every", type=int, default=500, help="steps; 0: at the end of an epoch only")
    seconds = float(os.environ.get("CHECKPOINT_SECONDS") or 0)  # of htcondor/train.sub
    add("--checkpoint-seconds", type=float, default=seconds, help="exit 85 after so long; 0: never")
    add("--resume", action=either, default=True, help="go on from the last checkpoint")
    add("--accept-changes", action="store_true", help="go on although the program has changed")
    add("--require-progress", action="store_true", help="fail if the train loss does not fall")
    add("--plot", action="store_true", help="only draw loss.png again from metrics.jsonl")
    add("--compare", action="store_true", help="only list the runs in --runs-dir, the best first")


def options_of(args: argparse.Namespace) -> dict[str, str]:
    """What main.py's options ask for beyond their defaults: those are the program's, or the
    machine's. Paths and functions say where and by which means, not what is trained."""
    default, means = PARSERS[-1].get_default, Path | Callable
    mine = {k: v for k, v in vars(args).items() if k not in OTHER and v != default(k)}
    return {f"--{k.replace('_', '-')}": str(v) for k, v in mine.items() if not isinstance(v, means)}


# ---------------------------------------------------------------------------------- checkpoints


def write_file(path: Path, write: Callable[[BinaryIO], object], keep: Path | None = None) -> None:
    """Whole or not at all, even when the power fails; process 0 writes for all of them. `keep`
    takes the file that was there."""
    if RANK > 0:
        return
    content, temporary = io.BytesIO(), path.with_name(f".{path.name}.tmp")
    write(content)  # to memory first: torch.save would not say that a disk is full
    try:
        with temporary.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(f"{path} cannot be written: {error}") from error
    if keep and path.exists():
        os.replace(path, keep)
    os.replace(temporary, path)


def save(trainer: Trainer, folder: Path) -> None:
    newest, previous = (folder / name for name in CHECKPOINTS)
    write_file(newest, partial(torch.save, trainer.state()), keep=previous)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest good one. A bad one is put aside, so that no save keeps it as the previous."""
    present = [path for name in CHECKPOINTS if (path := folder / name).exists()]
    for path in present:
        content = path.read_bytes()  # an OSError here is no fault of the checkpoint
        try:
            if damaged := zipfile.ZipFile(io.BytesIO(content)).testzip():  # torch checks no sums
                raise ValueError(damaged)
            # weights_only: code that somebody hid in the file is not run.
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            return {**state, "path": str(path), "format": state["format"]}
        except Exception as error:  # what damage raises depends on where it is
            os.replace(path, f"{path}.refused")
            say(f"WARNING: {path} is damaged, or not of this program ({type(error).__name__}). "
                f"Refused, and renamed {path.name}.refused")  # fmt: skip
    if present:
        say("WARNING: no good checkpoint is left. TRAINING STARTS FROM THE BEGINNING")
    return None


# ------------------------------------------------------------------------------ records, curves


def write_json(path: Path, *lines: object) -> None:
    text = "".join(json.dumps(line, default=str) + "\n" for line in lines)
    write_file(path, lambda file: file.write(text.encode()))


def read_json(path: Path, numbers: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The tables in a file that have these numbers; a damaged line is no reason not to train."""
    lines: list[Any] = []
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        with contextlib.suppress(ValueError):
            lines.append(json.loads(line))
    tables = [line for line in lines if isinstance(line, dict)]
    return [t for t in tables if all(isinstance(t.get(key), int | float) for key in numbers)]


def describe(trainer: Trainer) -> dict[str, Any]:
    """How the training runs: what config.json says of the last start, history.jsonl of each."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    record: dict[str, Any] = origin() | {"started": now}
    record |= {"epochs_done": trainer.epoch, "steps_done": trainer.step}
    record |= {"arguments": vars(trainer.args), "program": trainer.program}
    record |= {"data_crc32": trainer.identity["data"]}
    gpu = trainer.device.type == "cuda" and torch.cuda.get_device_name(trainer.device)
    record |= {"device": gpu or trainer.device.type, "precision": trainer.precision}
    record |= {"world_size": WORLD_SIZE, "host": os.uname().nodename}
    return record | {"python": sys.version.split()[0], "torch": torch.__version__}


def show_results(folder: Path) -> None:
    """Draw the curves, and say where they are and how good it is."""
    if not (rows := read_json(folder / "metrics.jsonl", METRICS)):
        raise UserError(f"no {folder}/metrics.jsonl to draw: train first, or give --name")
    from matplotlib.figure import Figure  # draws to files alone (Agg): needs no display

    figure = Figure(figsize=(9, 3.8))  # matplotlib's own layouts take longer than the drawing
    figure.subplots_adjust(left=0.12, right=0.98, bottom=0.13, top=0.83, wspace=0.27)
    accuracy = [row["test_accuracy"] for row in rows]
    figure.suptitle(f"{folder.name}: accuracy {accuracy[-1]:.2%}")
    left, right = figure.subplots(1, 2)
    for key, axes in (("train_loss", left), ("test_loss", left), ("test_accuracy", right)):
        axes.plot([row["epoch"] for row in rows], [row[key] for row in rows], ".-", label=key)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    left.set(title="Loss", xlabel="epoch", ylabel="mean cross-entropy", yscale="log")
    right.set(title="Accuracy", xlabel="epoch", ylabel="share of right answers in the test set")
    later = accuracy[2:] or accuracy[-1:]  # after the jump at the start, which would hide the rest
    room = max(0.005, (max(later) - min(later)) / 5)
    right.set_ylim(min(later) - room, min(1, max(later)) + room)
    write_file(folder / "loss.png", lambda file: figure.savefig(file, format="png"))
    say(f"{folder}: accuracy {accuracy[-1]:.2%} after {rows[-1]['epoch']} epochs; "
        f"the curves: {folder}/loss.png")  # fmt: skip


def compare(folder: Path) -> None:
    """One line for each run, the best first, with the arguments in which they differ."""
    runs = []
    for path in folder.glob("*/config.json"):
        rows = read_json(path.with_name("metrics.jsonl"), METRICS)
        arguments = next(iter(read_json(path)), {}).get("arguments")
        if rows and isinstance(arguments, dict):
            runs.append((rows[-1], arguments, path.parent.name))
    if not runs:
        raise UserError(f"no runs in {folder}/ to compare: train first")
    runs.sort(key=lambda run: -run[0]["test_accuracy"])
    shown = {"name", "epochs", "resume", "require_progress"}  # in a column, or without effect
    differ = [k for k in runs[0][1] if len({str(r[1].get(k)) for r in runs}) > 1 and k not in shown]
    width = max(len(run[2]) for run in runs)
    print(f"{'run':<{width}}  epochs  accuracy  different in")
    for row, args, name in runs:
        words = " ".join(f"{key}={args.get(key)}" for key in differ)
        print(f"{name:<{width}}  {row['epoch']:>6}  {row['test_accuracy']:>8.2%}  {words}".rstrip())


# ----------------------------------------------------------------- signals, processes, the whole


def remember(number: int, _: object) -> None:
    """The training stops after its step; a second Ctrl-C stops at once."""
    SIGNALS.append(number)
    if number == signal.SIGINT:
        signal.signal(number, signal.default_int_handler)


def on_signals(handler: Any) -> None:
    """Say what SIGTERM and Ctrl-C do from here on; main.py has held them back until now."""
    for number in STOPPING:
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def launch(count: int) -> int:
    """Start so many processes of this program, pass SIGTERM on to all, return their exit code."""
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {"RUNS_MEETING": f"file://{folder}/meeting"}
        env |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
        env |= {"OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // count))}  # share the CPUs
        children = []
        for rank in map(str, range(count)):  # they hold signals back until they listen, as we do
            env |= {"RANK": rank, "LOCAL_RANK": rank}
            children.append(subprocess.Popen([sys.executable, *sys.orig_argv[1:]], env=env))

        def tell(number: int) -> None:
            for child in children:
                child.send_signal(number)

        on_signals(lambda *_: tell(signal.SIGTERM))  # a terminal's Ctrl-C reaches them by itself
        while None in (codes := {child.poll() for child in children}):
            if codes - {None, *GOOD}:
                tell(signal.SIGKILL)  # one has failed, and the others would wait for it
            time.sleep(0.05)
    ended = {child.returncode for child in children}
    return max(1, *ended - GOOD) if ended - GOOD else max(ended)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lock the run: two programs that train it would overwrite each other's files."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as at_the_end:
        handle = os.open(folder, os.O_RDONLY)
        at_the_end.callback(os.close, handle)
        try:
            if RANK == 0:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"another program trains {folder}: use another --name") from error
        except OSError:
            pass  # this file system has no locks
        yield


def resume(trainer: Trainer, folder: Path) -> None:
    """Go on from the last checkpoint, if there is one."""
    fresh = not trainer.args.resume and RANK == 0
    for name in (*CHECKPOINTS, "model.pt", "loss.png") if fresh else ():
        (folder / name).unlink(missing_ok=True)
    box = [load_checkpoint(folder) if RANK == 0 else None]  # the others hear from process 0
    if WORLD_SIZE > 1:
        dist.broadcast_object_list(box)
    if state := box[0]:
        trainer.restore(state)
        if trainer.epoch < trainer.args.epochs:
            say(f"resuming from {state['path']}, {trainer.epoch} epochs and {trainer.step} steps")


def stop_now(trainer: Trainer, due: float) -> bool:
    """Whether to save and leave: a signal came to one of the processes, or the time is over."""
    late = time.monotonic() > due
    stop = bool(SIGNALS) or late
    if WORLD_SIZE > 1:
        if trainer.step % 10:
            return False  # asking the others costs as much as a small step
        answer = torch.tensor(float(stop), device=trainer.device)
        dist.all_reduce(answer)  # SIGTERM to one process stops all, after the same step
        stop = answer.item() > 0
    if late and not SIGNALS:
        print("time for a checkpoint", flush=True)
    return stop


def train(trainer: Trainer, folder: Path) -> bool:
    """Up to --epochs. False when told to stop before that, with a checkpoint of the moment."""
    args, total, begun = trainer.args, trainer.steps_per_epoch, time.monotonic()
    due = begun + (args.checkpoint_seconds or float("inf"))
    if not trainer.rows:
        trainer.add_row()
    gc.freeze()  # what is imported stays; main.py has put the collector off
    gc.enable()
    history = [*read_json(folder / "history.jsonl"), describe(trainer)]
    write_json(folder / "config.json", history[-1])
    write_json(folder / "history.jsonl", *history)
    write_json(folder / "metrics.jsonl", *trainer.rows)
    while trainer.epoch < args.epochs:
        left, hide = range(trainer.step, total), RANK > 0 or None  # None: no bar in a log
        for _ in tqdm(left, initial=trainer.step, total=total, leave=False, disable=hide):
            if stop_now(trainer, due):
                save(trainer, folder)
                return False
            trainer.train_step()
            if args.checkpoint_every and trainer.step % args.checkpoint_every == 0:
                save(trainer, folder)
        trainer.add_row()
        # No clock is in the metrics, so that they are the same after an eviction.
        history[-1].setdefault("epochs_ended", []).append(round(time.monotonic() - begun, 2))
        write_json(folder / "metrics.jsonl", *trainer.rows)
        write_json(folder / "history.jsonl", *history)
        if trainer.epoch == args.epochs:  # before the checkpoint, which says that all is done
            write_file(folder / "model.pt", partial(torch.save, trainer.network.state_dict()))
            if RANK == 0:
                show_results(folder)
        save(trainer, folder)
    return True


def run(args: argparse.Namespace, build: Callable[[argparse.Namespace], Trainer]) -> int:
    """Train what `build` puts together, in runs_dir/name; return the exit code."""
    folder = args.runs_dir / args.name
    if args.plot or args.compare:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)  # there is nothing to save
        compare(args.runs_dir) if args.compare else show_results(folder)
        return 0
    if args.processes > 1 and WORLD_SIZE == 1:
        return launch(args.processes)
    SIGNALS.clear()
    on_signals(remember)
    set_up(args)
    trainer = build(args)
    trainer.program |= options_of(args)
    with alone(folder):
        resume(trainer, folder)
        done = f"{folder}: {trainer.epoch} of {max(args.epochs, trainer.epoch)} epochs done"
        if finished := trainer.epoch >= args.epochs:  # and nothing is written
            say(f"{done}: finished. --epochs N trains it further, another --name starts over")
        else:
            say(f"{done}, on {trainer.device}")
            finished = train(trainer, folder)
    if WORLD_SIZE > 1:
        dist.barrier()  # nobody leaves before process 0 has written everything
    if not finished:
        say(f"stopped, saved in {folder}: the same command goes on")
        return INTERRUPTED if SIGNALS[:1] == [signal.SIGINT] else EVICTED
    first, last = trainer.rows[0]["train_loss"], trainer.rows[-1]["train_loss"]
    if args.require_progress and not last < first:  # so that NaN is no progress either
        say(f"no progress: {first:.4f} to {last:.4f} train loss", sys.stderr)
        return 1
    return 0


def start(main: Callable[[], int]) -> NoReturn:
    """Run a program to its exit code, with mistakes of its user in one line."""
    if RANK > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  one voice is enough
    try:
        code = main()
    except (UserError, OSError, KeyboardInterrupt) as error:
        say(f"{Path(sys.argv[0]).name}: {str(error) or 'stopped at once'}", sys.stderr)
        code = {UserError: 2, KeyboardInterrupt: INTERRUPTED}.get(type(error), 1)
    on_signals(signal.SIG_IGN)  # all is written: a late one must not turn this code into another
    if WORLD_SIZE > 1:
        sys.stdout.flush()
        os._exit(code)  # taking the process group apart can wait forever for one that has left
    sys.exit(code)
