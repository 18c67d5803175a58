"""Runs of a training: checkpoints, records, curves, signals, processes.

It comes from the template, and an update brings a newer one; what is trained is in main.py.
"""

import argparse
import contextlib
import datetime
import fcntl
import hashlib
import io
import json
import os
import shutil
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

from trainer import FORMAT, HERE, RANK, WORLD_SIZE, Trainer, UserError, choose_device

EVICTED = 85  # the checkpoint_exit_code of htcondor/train.sub
CHECKPOINTS = ("checkpoint.pt", "checkpoint.prev.pt")  # the newest, and the one before it
STOPPING = {signal.SIGTERM, signal.SIGINT}
SIGNALS: list[int] = []  # that came, and were not obeyed yet


def add_options(parser: argparse.ArgumentParser) -> None:
    add, either = parser.add_argument, argparse.BooleanOptionalAction
    add("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto")
    add("--processes", type=int, default=1, help="on this machine, each with its own GPU")
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="see trainer.py")
    add("--graph", action=either, default=True, help="on CUDA: replay a step as one CUDA graph")
    add("--name", help="of the folder below --runs-dir")
    add("--runs-dir", type=Path, default=Path("runs"))
    add("--checkpoint-every", type=int, default=500, help="steps; 0: at the end of an epoch only")
    seconds = float(os.environ.get("CHECKPOINT_SECONDS") or 0)
    what = "save and exit with 85 after so long, for HTCondor to keep it; 0: never"
    add("--checkpoint-seconds", type=float, default=seconds, metavar="SECONDS", help=what)
    add("--resume", action=either, default=True, help="go on from the last checkpoint")
    add("--accept-changes", action="store_true", help="go on although the program has changed")
    add("--require-progress", action="store_true", help="fail if the train loss does not fall")
    add("--plot", action="store_true", help="only draw loss.png again from metrics.jsonl")
    add("--compare", action="store_true", help="only list the runs in --runs-dir, the best first")


def options_of(args: argparse.Namespace) -> dict[str, str]:
    """Those of main.py that say what is trained, not where (paths), how long, or by which means."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    other = {"epochs", *vars(parser.parse_args([]))}
    kept = {k: v for k, v in vars(args).items() if k not in other and not isinstance(v, Path)}
    return {f"--{name.replace('_', '-')}": str(value) for name, value in kept.items()}


# ---------------------------------------------------------------------------------- checkpoints


def write_file(path: Path, write: Callable[[BinaryIO], object], keep: Path | None = None) -> None:
    """Whole or not at all, even when the power fails. `keep` takes the file that was there."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        cause: BaseException = error
        while cause.__context__:  # torch.save hides an OSError in its own
            cause = cause.__context__
        raise OSError(f"{path} cannot be written: {cause}") from error
    if keep and path.exists():
        os.replace(path, keep)
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)  # the renaming itself
    os.close(folder)


def save(trainer: Trainer, folder: Path) -> None:
    state, (newest, previous) = trainer.state(), CHECKPOINTS
    if RANK == 0:
        write_file(folder / newest, partial(torch.save, state), keep=folder / previous)


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
            kind = state["format"]
        except Exception as error:  # what damage raises depends on where it is
            os.replace(path, f"{path}.refused")
            print(f"WARNING: {path} is damaged, or not of this program ({type(error).__name__}). "
                  f"Refused, and renamed {path.name}.refused")  # fmt: skip
            continue
        if kind != FORMAT:
            ways = "use another --name, or --no-resume to delete it"
            raise UserError(f"{path} is of another program or version of the template: {ways}")
        return state | {"path": str(path)}
    if present:
        print("WARNING: no good checkpoint is left. TRAINING STARTS FROM THE BEGINNING")
    return None


# ------------------------------------------------------------------------------ records, curves


def write_json(path: Path, *lines: object) -> None:
    text = "".join(json.dumps(line, default=str) + "\n" for line in lines)
    write_file(path, lambda file: file.write(text.encode()))


def read_json(path: Path) -> list[Any]:
    lines = []
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        with contextlib.suppress(ValueError):  # damaged, and no reason to train nothing
            lines.append(json.loads(line))
    return lines


def write_records(trainer: Trainer, folder: Path) -> None:
    """config.json says how the training runs, history.jsonl the same of each start of it."""
    commit = os.environ.get("GIT_COMMIT")  # that `pixi run submit` sends
    if not commit and (HERE / ".git").exists() and shutil.which("git"):
        git = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        commit = subprocess.run(git, cwd=HERE, capture_output=True, text=True).stdout.strip()
    # An archive or an image may be older than the lock that travels with it: it counts only when it
    # names every package that is here.
    packages = sorted(path.stem for path in Path(sys.prefix, "conda-meta").glob("*.json"))
    lock = (HERE / "pixi.lock").read_text() if (HERE / "pixi.lock").is_file() else ""
    named = bool(packages) and all(f"/{package}." in lock for package in packages)
    sums = [hashlib.sha256(t.encode()).hexdigest() for t in ("\n".join(packages), lock)]
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    record = {"started": now, "epochs_done": trainer.epoch, "steps_done": trainer.step}
    record |= {"arguments": vars(trainer.args), "world_size": WORLD_SIZE}
    gpu = trainer.device.type == "cuda" and torch.cuda.get_device_name(trainer.device)
    record |= {"device": gpu or trainer.device.type, "precision": trainer.precision}
    record |= {"host": os.uname().nodename, "git_commit": commit or None}
    record |= {"python": sys.version.split()[0], "torch": torch.__version__}
    record["program"] = trainer.identity["program"]
    record["packages_sha256"] = sums[0] if packages else None
    record["pixi_lock_sha256"] = sums[1] if named else None
    write_json(folder / "config.json", record)
    write_json(folder / "history.jsonl", *read_json(folder / "history.jsonl"), record)
    write_json(folder / "metrics.jsonl", *trainer.rows)


def write_epoch(trainer: Trainer, folder: Path, seconds: float) -> None:
    """The metrics, and how long after its start an epoch ended. That is in history.jsonl because
    metrics have no clock, so that they are the same after an eviction."""
    write_json(folder / "metrics.jsonl", *trainer.rows)
    *before, start = read_json(folder / "history.jsonl") or [{}]
    start["epochs_ended"] = [*start.get("epochs_ended", []), round(seconds, 2)]
    write_json(folder / "history.jsonl", *before, start)


def show_results(folder: Path) -> None:
    """Draw the curves, and say where they are and how good it is."""
    rows = read_json(folder / "metrics.jsonl")
    if not rows:
        raise UserError(f"no {folder}/metrics.jsonl to draw: train first, or give --name")
    from matplotlib.figure import Figure  # draws to files alone (Agg): needs no display

    accuracy = [row["test_accuracy"] for row in rows]
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    figure.suptitle(f"{folder.name}: accuracy {accuracy[-1]:.2%}")
    left, right = figure.subplots(1, 2)
    for key, axes in (("train_loss", left), ("test_loss", left), ("test_accuracy", right)):
        axes.plot([row["epoch"] for row in rows], [row[key] for row in rows], ".-", label=key)
    left.set(title="Loss", xlabel="epoch", ylabel="mean cross-entropy", yscale="log")
    right.set(title="Accuracy", xlabel="epoch", ylabel="share of right answers in the test set")
    # From the second epoch on: the jump at the start would leave nothing to be seen of the rest.
    later = accuracy[min(2, len(rows) - 1) :]
    room = max(0.005, (max(later) - min(later)) / 5)
    right.set_ylim(min(later) - room, min(1, max(later)) + room)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    write_file(folder / "loss.png", lambda file: figure.savefig(file, format="png"))
    words = f"accuracy {accuracy[-1]:.2%} after {rows[-1]['epoch']} epochs"
    print(f"{folder}: {words}; the curves: {folder}/loss.png", flush=True)


def compare(folder: Path) -> None:
    """A line a run, the best first, with what is not the same in the arguments of all."""
    runs = []
    for path in folder.glob("*/config.json"):
        rows, configs = read_json(path.with_name("metrics.jsonl")), read_json(path)
        if rows and configs:
            runs.append((rows[-1], configs[0]["arguments"], path.parent.name))
    if not runs:
        raise UserError(f"no runs in {folder}/ to compare: train first")
    runs.sort(key=lambda run: -run[0]["test_accuracy"])
    shown = {"name", "epochs", "resume", "require_progress"}  # already, or of no effect
    differ = [k for k in runs[0][1] if len({str(r[1].get(k)) for r in runs}) > 1 and k not in shown]
    width = max(len(run[2]) for run in runs)
    print(f"{'run':<{width}}  epochs  accuracy  different in")
    for row, args, name in runs:
        words = " ".join(f"{key}={args.get(key)}" for key in differ)
        print(f"{name:<{width}}  {row['epoch']:>6}  {row['test_accuracy']:>8.2%}  {words}".rstrip())


# ----------------------------------------------------------------- signals, processes, the whole


def listen() -> None:
    """From here on SIGTERM and Ctrl-C are remembered, and the training stops after its step."""

    def remember(number: int, _: object) -> None:
        SIGNALS.append(number)
        if number == signal.SIGINT:  # a second Ctrl-C stops at once
            signal.signal(number, signal.default_int_handler)

    SIGNALS.clear()
    for number in STOPPING:
        signal.signal(number, remember)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def stop_now(trainer: Trainer, due: float) -> bool:
    """Whether to save and leave: a signal came to one of the processes, or the time is over."""
    late = time.monotonic() > due
    stop = bool(SIGNALS) or late
    if WORLD_SIZE > 1:
        if trainer.step % 10 and trainer.step < trainer.steps_per_epoch:
            return False  # asking the others costs as much as a small step
        answer = torch.tensor(float(stop), device=trainer.device)
        dist.all_reduce(answer)  # SIGTERM to one process stops all, after the same step
        stop = answer.item() > 0
    if stop and late and not SIGNALS:
        print("time for a checkpoint", flush=True)
    return stop


def train(trainer: Trainer, folder: Path) -> bool:
    """Up to --epochs. False when told to stop before that, with a checkpoint of the moment."""
    args, total, begun = trainer.args, trainer.steps_per_epoch, time.monotonic()
    due = begun + (args.checkpoint_seconds or float("inf"))
    while trainer.epoch < args.epochs:
        hide = None if RANK == 0 else True  # None: a bar on a terminal, nothing in a log
        with tqdm(total=total, initial=trainer.step, leave=False, disable=hide) as bar:
            while trainer.step < total:
                if stop_now(trainer, due):
                    save(trainer, folder)
                    return False
                trainer.train_step()
                bar.update()
                if args.checkpoint_every and trainer.step % args.checkpoint_every == 0:
                    save(trainer, folder)
        trainer.add_row()
        if RANK == 0:
            write_epoch(trainer, folder, time.monotonic() - begun)
            if trainer.epoch == args.epochs:  # before the checkpoint, which says that all is done
                write_file(folder / "model.pt", partial(torch.save, trainer.network.state_dict()))
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
    listen()
    if args.batch_size % WORLD_SIZE:
        raise UserError(f"--batch-size must be a multiple of the {WORLD_SIZE} processes")
    set_up(args)
    trainer = build(args)
    trainer.identity["options"] = options_of(args)
    with alone(folder) if RANK == 0 else contextlib.nullcontext():
        finished = resume(trainer, folder)
        where = f"{folder}: {trainer.epoch} of {max(args.epochs, trainer.epoch)} epochs done"
        if finished:  # and nothing is written
            print(f"{where}: finished. --epochs N trains it further, another --name starts over")
        else:
            print(f"{where}, on {trainer.device}", flush=True)
            if not trainer.rows:
                trainer.add_row()
            if RANK == 0:
                write_records(trainer, folder)
            finished = train(trainer, folder)
    if WORLD_SIZE > 1:
        dist.barrier()  # nobody leaves before process 0 has written everything
    if not finished:
        print(f"stopped, saved in {folder}: the same command goes on", flush=True)
        return 130 if SIGNALS[:1] == [signal.SIGINT] else EVICTED  # 130: what shells say of Ctrl-C
    first, last = trainer.rows[0]["train_loss"], trainer.rows[-1]["train_loss"]
    if args.require_progress and not last < first:  # so that NaN is no progress either
        print(f"no progress: {first:.4f} to {last:.4f} train loss", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two programs that train one run at a time would overwrite each other's files."""
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(f"another program trains {folder}: use another --name") from error
    except OSError:
        pass  # this file system has no locks
    try:
        yield
    finally:
        os.close(place)


def set_up(args: argparse.Namespace) -> None:
    """PyTorch, so that one seed gives one result; and the other processes."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself with it
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling all new memory is a help to find bugs; it costs a tenth of the speed.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if WORLD_SIZE > 1:
        backend = "nccl" if choose_device(args.device).type == "cuda" else "gloo"
        place = os.environ.get("RUNS_MEETING", "env://")
        dist.init_process_group(backend, place, rank=RANK, world_size=WORLD_SIZE)
    torch.manual_seed(args.seed)


def resume(trainer: Trainer, folder: Path) -> bool:
    """Go on from the last checkpoint, if there is one; return whether nothing is left to do."""
    args, box = trainer.args, [None]
    if RANK == 0:  # only this process touches the disk; the others hear from it
        for name in () if args.resume else (*CHECKPOINTS, "model.pt", "loss.png"):
            (folder / name).unlink(missing_ok=True)
        box = [load_checkpoint(folder)]
    if WORLD_SIZE > 1:
        dist.broadcast_object_list(box, src=0)
    if (state := box[0]) is None:
        return False
    trainer.restore(state)
    if trainer.epoch >= args.epochs:
        return True
    print(f"resuming from {state['path']}, {trainer.epoch} epochs and {trainer.step} steps")
    if (planned := state["epochs"]) != args.epochs:
        new, old = (trainer.rates[0] * trainer.decay(epochs) for epochs in (args.epochs, planned))
        print(f"NOTE: begun for {planned} epochs, now for {args.epochs}: the learning rate goes on "
              f"at {new:.2g}, not {old:.2g}, and falls until the new end")  # fmt: skip
    return False


def launch(count: int) -> int:
    """Start so many processes of this program; all are told of SIGTERM, all return one code."""
    children: dict[int, subprocess.Popen[bytes]] = {}
    codes, good = [], {0, EVICTED, 130}

    def tell(number: int) -> None:
        for pid in [*children]:  # not by Popen, which would reap one that the loop below waits for
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    with tempfile.TemporaryDirectory() as folder:
        shared = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
        shared["RUNS_MEETING"] = f"file://{folder}/meeting"
        for rank in map(str, range(count)):  # signals wait in them, as they do here by now
            env = os.environ | shared | {"RANK": rank, "LOCAL_RANK": rank}
            child = subprocess.Popen([sys.executable, *sys.orig_argv[1:]], env=env)
            children[child.pid] = child
        for number in STOPPING:  # Ctrl-C of a terminal reaches them itself, so SIGINT is not sent
            signal.signal(number, lambda *_: tell(signal.SIGTERM))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        while children:
            pid, status = os.wait()
            children.pop(pid).returncode = code = os.waitstatus_to_exitcode(status)
            codes.append(code)
            if code not in good:
                tell(signal.SIGKILL)  # the others would wait for it
    return next((max(code, 1) for code in codes if code not in good), max(codes))


def start(main: Callable[[], int]) -> NoReturn:
    """Run a program to its exit code, with mistakes of its user in one line."""
    if RANK > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  one voice is enough
    try:
        code = main()
    except (UserError, OSError, KeyboardInterrupt) as error:
        words = str(error) or "stopped at once"
        print(f"{Path(sys.argv[0]).name}: {words}", file=sys.stderr)
        code = {UserError: 2, KeyboardInterrupt: 130}.get(type(error), 1)  # 2: it fails anywhere
    for number in STOPPING:  # all is written: a late one must not turn this code into another
        signal.signal(number, signal.SIG_IGN)
    if WORLD_SIZE > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # taking the process group apart can wait forever for one that has left
    sys.exit(code)
