"""Train a small convolutional network on MNIST, or on the digits that scikit-learn ships.

    python main.py --data digits             no download, seconds on a laptop
    python main.py --download                fetch MNIST into data/ once, then: python main.py
    torchrun --nproc-per-node 2 main.py      several GPUs (or processes) on one machine

Results go to runs/NAME/. Give the same command again and an interrupted run goes on from its last
checkpoint. SIGTERM, by which a batch system asks for its slot back, saves and exits with code 85;
Ctrl-C saves too.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

EVICTED = 85  # the checkpoint_exit_code of htcondor/train.sub
FORMAT = "main.py checkpoint 1"  # change it when the content of a checkpoint changes
CHECKPOINTS = ("checkpoint.pt", "checkpoint.prev.pt")  # the newest, and the one before it
LR_DECAY = 0.85  # an epoch; it knows nothing of --epochs, so a finished run can be trained further
# torchrun tells each of its processes which of how many it is; alone it is 0 of 1.
RANK, LOCAL_RANK = int(os.environ.get("RANK", 0)), int(os.environ.get("LOCAL_RANK", 0))
WORLD_SIZE = int(os.environ.get("WORLD_SIZE", 1))
RNG: dict[str, Any] = {"cpu": torch, "cuda": torch.cuda, "mps": torch.mps}  # random generators
Data = tuple[Tensor, Tensor, Tensor, Tensor]  # train images and labels, test images and labels


class UserError(Exception):
    """Something that the person at the keyboard can put right; the text says how (exit code 2)."""


def load_data(name: str, folder: Path, device: torch.device) -> Data:
    """The whole set, on the device, images as (N, 1, side, side) with mean 0 and deviation 1."""
    arrays = digits_arrays() if name == "digits" else mnist_arrays(folder)
    peak, mean, std = (16, 0.3055, 0.3761) if name == "digits" else (255, 0.1307, 0.3081)
    # Bytes travel to the device and become floats there: a quarter of the traffic.
    train_x, train_y, test_x, test_y = (torch.tensor(array).to(device) for array in arrays)
    train_x, test_x = ((x.unsqueeze(1).float() / peak - mean) / std for x in (train_x, test_x))
    return train_x, train_y.long(), test_x, test_y.long()


def digits_arrays() -> list[np.ndarray]:
    from sklearn import datasets, model_selection

    x, y = datasets.load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8).astype(np.uint8)
    # random_state is fixed because --seed must not change which images are the test.
    split = model_selection.train_test_split(x, y, test_size=360, stratify=y, random_state=0)
    return [split[0], split[2], split[1], split[3]]


def mnist_arrays(folder: Path, archive: Path = Path("MNIST_data.tar.gz")) -> list[np.ndarray]:
    """From the four files of MNIST, or from an archive of them in the job's own folder."""
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    names = [f"{part}-{kind}" for part in ("train", "t10k") for kind in kinds]
    places = (folder, folder / "MNIST" / "raw")
    # Sorted: of X and X.gz the last counts, X.gz, whose sum torchvision has checked.
    paths = [path for place in places for path in sorted(place.glob("*-ubyte*"))]
    files = {path.name.removesuffix(".gz"): path.read_bytes() for path in paths}
    try:
        if set(names) - files.keys() and archive.is_file():
            with tarfile.open(archive) as tar:  # read, not unpacked: no name in it can do harm
                for member in filter(tarfile.TarInfo.isfile, tar):
                    if (name := Path(member.name).name.removesuffix(".gz")) in names:
                        files[name] = tar.extractfile(member).read()  # type: ignore[union-attr]
        if missing := [name for name in names if name not in files]:
            raise UserError(
                f"no {missing[0]} in {folder}/ or {archive}. Fetch MNIST once with "
                "`pixi run data`, or train on what needs no download: --data digits"
            )
        return [parse_idx(files[name]) for name in names]
    except (tarfile.TarError, OSError, EOFError, IndexError, ValueError, zlib.error) as error:
        raise UserError(
            f"MNIST is damaged ({error}): delete {folder}/MNIST and {archive}, then `pixi run data`"
        ) from error


def parse_idx(raw: bytes) -> np.ndarray:
    """Two zero bytes, the type (8: bytes), the number of dimensions, their sizes, the values."""
    raw = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    shape = np.frombuffer(raw, ">u4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def download_mnist(folder: Path) -> None:
    try:
        from torchvision.datasets import MNIST  # here alone: training needs no torchvision

        MNIST(folder, download=True)  # all four files
    except (ImportError, RuntimeError) as error:
        raise UserError(f"torchvision could not download MNIST: {error}") from error


class Net(nn.Module):
    """A plain CNN for square grey images: side 28 for MNIST, 8 for digits."""

    def __init__(self, side: int, classes: int = 10) -> None:
        super().__init__()
        stride = 2 if side >= 28 else 1  # a large image is first halved: that halves the time
        self.conv1 = nn.Conv2d(1, 16, kernel_size=5, stride=stride, padding=2)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.fc1 = nn.Linear(32 * (side // stride // 2) ** 2, 128)
        self.dropout = nn.Dropout(0.25)
        self.fc2 = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(self.dropout(x))


class Trainer:
    """All that changes in training: how a step changes it, how it is saved and restored."""

    def __init__(self, data: Data, device: torch.device, batch_size: int, lr: float, seed: int):
        self.images, self.labels, self.test_images, self.test_labels = data
        self.device, self.batch_size, self.lr = device, batch_size, lr
        self.steps_per_epoch = -(-len(self.labels) // batch_size)
        torch.manual_seed(seed)
        self.model = Net(self.images.shape[-1]).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parallel = DistributedDataParallel(self.model) if WORLD_SIZE > 1 else self.model
        fused = device.type != "mps"
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=lr, fused=fused)
        # bfloat16 where a GPU computes in it. A CPU gains little here, and the result would hang
        # on which kind of CPU the job lands on. For Metal nobody has measured it.
        bf16 = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        self.autocast = torch.autocast("cuda" if bf16 else "cpu", torch.bfloat16, enabled=bf16)
        torch.manual_seed(seed + RANK)  # from here on: dropout differs between processes
        self.order_rng = torch.Generator().manual_seed(seed)  # CPU: one order for all devices
        self.order = torch.empty(0, dtype=torch.long)
        self.epoch = self.step = 0  # epochs finished; steps done in the one that is running
        self.loss_sum = torch.zeros((), device=device)
        self.rows: list[dict[str, float]] = []
        self.identity: dict[str, Any] = {"batch size": batch_size, "lr": lr, "seed": seed}
        self.identity |= {"model": str(self.model), "data set": [len(y) for y in data]}

    def start_epoch(self) -> None:
        self.set_order(torch.randperm(len(self.labels), generator=self.order_rng))
        self.loss_sum.zero_()
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * LR_DECAY**self.epoch

    def set_order(self, order: Tensor) -> None:
        # Some images come twice so that all processes have as many: they must step together.
        self.order = torch.cat([order, order[: -len(order) % WORLD_SIZE]]).to(self.device)

    def next_batch(self) -> tuple[Tensor, Tensor]:
        batch = self.order[self.step * self.batch_size : (self.step + 1) * self.batch_size]
        mine = batch[RANK::WORLD_SIZE]
        return self.images[mine], self.labels[mine]

    def train_step(self) -> None:
        if self.step == 0:
            self.start_epoch()
        images, labels = self.next_batch()
        with self.autocast:
            loss = F.cross_entropy(self.parallel(images), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        # Summed on the device: loss.item() would make the CPU wait for the GPU at every step.
        self.loss_sum += loss.detach() * len(labels)
        self.step += 1

    def total_loss(self) -> Tensor:
        total = self.loss_sum.clone()
        if WORLD_SIZE > 1:
            dist.all_reduce(total)
        return total

    def add_row(self) -> None:
        """At the end of each epoch, and before the first step: where the curves begin."""
        if self.rows:
            self.epoch, self.step = self.epoch + 1, 0
            train_loss = self.total_loss().item() / len(self.order)
        else:
            some = len(self.test_labels)
            train_loss = self.evaluate(self.images[:some], self.labels[:some])[0]
        test_loss, accuracy = self.evaluate(self.test_images, self.test_labels)
        row = {"epoch": self.epoch, "step": self.epoch * self.steps_per_epoch}
        losses = {"train_loss": train_loss, "test_loss": test_loss, "test_accuracy": accuracy}
        self.rows.append(row | losses | {"lr": self.optimizer.param_groups[0]["lr"]})

    @torch.no_grad()
    def evaluate(self, images: Tensor, labels: Tensor) -> tuple[float, float]:
        """Mean loss, and the share of right answers."""
        self.model.eval()
        loss, correct = torch.zeros(2, device=self.device)
        for x, y in zip(images.split(1000), labels.split(1000), strict=True):
            with self.autocast:
                scores = self.model(x)
            loss += F.cross_entropy(scores.float(), y, reduction="sum")
            correct += (scores.argmax(1) == y).sum()
        self.model.train()
        return loss.item() / len(labels), correct.item() / len(labels)

    def state(self) -> dict[str, Any]:
        """For a checkpoint. Every process has to call this, because it adds up their losses."""
        position = {"epoch": self.epoch, "step": self.step, "rows": self.rows}
        position |= {"loss_sum": self.total_loss().cpu(), "order": self.order.cpu()}
        rng = {kind: RNG[kind].get_rng_state() for kind in {"cpu", self.device.type}}
        rng["order"] = self.order_rng.get_state()
        weights = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return {"format": FORMAT, "identity": self.identity, "rng": rng} | position | weights

    def restore(self, state: dict[str, Any]) -> None:
        old = state["identity"]
        if changed := [key for key in self.identity if old.get(key) != self.identity[key]]:
            raise UserError(
                f"the checkpoint is of a run with another {', '.join(changed)}. Use what it used, "
                "or another --name, or --no-resume to delete it and start again"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step, self.rows = state["epoch"], state["step"], state["rows"]
        self.set_order(state["order"][: len(self.labels)])  # for as many processes as run now
        self.order_rng.set_state(state["rng"]["order"])
        if RANK > 0:  # only process 0's generators are saved: here dropout goes on afresh
            torch.manual_seed(old["seed"] + RANK + 1000 * (1 + self.epoch))
            return
        self.loss_sum.copy_(state["loss_sum"])
        for kind in {"cpu", self.device.type} & state["rng"].keys():
            RNG[kind].set_rng_state(state["rng"][kind])


def write_file(path: Path, write: Callable[[BinaryIO], object], keep: Path | None = None) -> None:
    """Whole or not at all, even when the power fails. `keep` takes the file that was there."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    if keep and path.exists():
        os.replace(path, keep)
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)  # the renaming itself
    os.close(folder)


def write_json(path: Path, *lines: object) -> None:
    text = "".join(json.dumps(line, default=str) + "\n" for line in lines)
    write_file(path, lambda file: file.write(text.encode()))


def load_checkpoint(folder: Path, resume: bool = True) -> dict[str, Any] | None:
    """The newest good one. A bad one is put aside, so that no save keeps it as the previous."""
    folder.mkdir(parents=True, exist_ok=True)
    present = [path for name in CHECKPOINTS if (path := folder / name).exists()]
    for path in present:
        if not resume:
            path.unlink()
            continue
        content = path.read_bytes()  # an OSError here is no fault of the checkpoint
        try:
            if damaged := zipfile.ZipFile(io.BytesIO(content)).testzip():  # torch checks no sums
                raise ValueError(damaged)
            # weights_only: code that somebody hid in the file is not run.
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            if state["format"] == FORMAT:
                print(f"resuming from {path}, {state['epoch']} epochs and {state['step']} steps")
                return state
            problem = "of another format"
        except Exception as error:  # what damage raises depends on where it is
            problem = f"damaged, or not from main.py ({type(error).__name__})"
        os.replace(path, f"{path}.refused")
        print(f"WARNING: {path} is {problem}. Refused, and renamed {path.name}.refused")
    if present and resume:
        print("WARNING: no good checkpoint is left. TRAINING STARTS FROM THE BEGINNING")
    return None


def write_config(path: Path, args: argparse.Namespace, device: torch.device) -> None:
    here, gpu = Path(__file__).resolve().parent, device.type == "cuda"
    commit = os.environ.get("GIT_COMMIT")  # a worker has no .git: `pixi run submit` sends it
    if not commit and (here / ".git").exists() and shutil.which("git"):
        describe = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        git = ["git", "-C", str(here), *describe]
        commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    lock = here / "pixi.lock"
    config = {"arguments": vars(args), "world_size": WORLD_SIZE, "git_commit": commit or None}
    config["device"] = torch.cuda.get_device_name(device) if gpu else device.type
    config |= {"python": platform.python_version(), "torch": torch.__version__}
    sha256 = hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None
    write_json(path, config | {"pixi_lock_sha256": sha256})


def draw_curves(folder: Path) -> None:
    if not (folder / "metrics.jsonl").is_file():
        raise UserError(f"no {folder}/metrics.jsonl to draw: train first, or give --name")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    from matplotlib.figure import Figure  # draws to files alone (Agg): needs no display

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for key, axes in (("train_loss", left), ("test_loss", left), ("test_accuracy", right)):
        axes.plot([r["epoch"] for r in rows], [r[key] for r in rows], ".-", label=key)
        axes.set_xlabel("epoch")
        axes.legend()
    write_file(folder / "loss.png", lambda file: figure.savefig(file, format="png"))


def choose_device(wanted: str) -> torch.device:
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # a GPU for each process, or none for any
    usable = {
        "cuda": torch.cuda.is_available() and torch.cuda.device_count() >= here,
        "mps": torch.backends.mps.is_available() and WORLD_SIZE == 1,  # DDP cannot use Metal
        "cpu": True,
    }
    kind = next(name for name in usable if usable[name]) if wanted == "auto" else wanted
    if not usable[kind]:
        raise UserError(f"--device {kind} cannot be used here. Without --device the best is taken")
    if kind == "cuda":
        torch.cuda.set_device(LOCAL_RANK)
    return torch.device(kind, LOCAL_RANK) if kind == "cuda" else torch.device(kind)


def train(trainer: Trainer, args: argparse.Namespace, folder: Path, signals: list[int]) -> bool:
    """Up to --epochs. False when told to stop before that, with a checkpoint of the moment."""

    def save() -> None:
        state = trainer.state()
        if RANK == 0:
            newest, previous = (folder / name for name in CHECKPOINTS)
            write_file(newest, lambda file: torch.save(state, file), keep=previous)

    def told_to_stop() -> bool:
        if WORLD_SIZE == 1:
            return bool(signals)
        if trainer.step % 10 and trainer.step < trainer.steps_per_epoch:
            return False  # asking the others costs as much as a small step
        heard = torch.tensor(float(len(signals)), device=trainer.device)
        dist.all_reduce(heard)  # SIGTERM to one process stops all, after the same step
        return heard.item() > 0

    while trainer.epoch < args.epochs:
        hide = None if RANK == 0 else True  # None: a bar on a terminal, nothing in a log
        total, done = trainer.steps_per_epoch, trainer.step
        with tqdm(total=total, initial=done, leave=False, disable=hide) as bar:
            while trainer.step < total:
                trainer.train_step()
                bar.update()
                if told_to_stop():
                    save()
                    return False
                if args.checkpoint_every and trainer.step % args.checkpoint_every == 0:
                    save()
        trainer.add_row()
        save()
        if RANK == 0:
            write_json(folder / "metrics.jsonl", *trainer.rows)
        row = "epoch {epoch}  train loss {train_loss:.4f}  test loss {test_loss:.4f}"
        print((row + "  accuracy {test_accuracy:.2%}").format(**trainer.rows[-1]), flush=True)
    return True


def run(args: argparse.Namespace) -> int:
    signals: list[int] = []

    def on_signal(number: int, _: object) -> None:
        signals.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C stops at once

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself with it
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling all new memory is a help to find bugs; it costs a tenth of the speed.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    device = choose_device(args.device)
    if args.batch_size % WORLD_SIZE:
        raise UserError(f"--batch-size must be a multiple of the {WORLD_SIZE} processes")
    data = load_data(args.data, args.data_dir, device)
    if WORLD_SIZE > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    trainer = Trainer(data, device, args.batch_size, args.lr, args.seed)
    folder = args.runs_dir / (args.name or args.data)
    box = [load_checkpoint(folder, args.resume) if RANK == 0 else None]
    if WORLD_SIZE > 1:  # only process 0 touches the disk; the others hear it from there
        dist.broadcast_object_list(box, src=0)
    if box[0]:
        trainer.restore(box[0])
    else:
        trainer.add_row()
    if RANK == 0:
        write_config(folder / "config.json", args, device)
        write_json(folder / "metrics.jsonl", *trainer.rows)
    print(f"{folder}: {trainer.epoch} of {args.epochs} epochs done, on {device}", flush=True)
    finished = train(trainer, args, folder, signals)
    if finished and RANK == 0:
        write_file(folder / "model.pt", lambda file: torch.save(trainer.model.state_dict(), file))
        draw_curves(folder)
    code = 0
    first, last = trainer.rows[0]["train_loss"], trainer.rows[-1]["train_loss"]
    if not finished:
        print(f"stopped, saved in {folder}: the same command goes on", flush=True)
        code = 130 if signal.SIGINT in signals else EVICTED  # 130: what shells say of Ctrl-C
    elif args.require_progress and not last < first:  # so that NaN is no progress either
        print(f"main.py: no progress: {first:.4f} to {last:.4f} train loss", file=sys.stderr)
        code = 1
    if WORLD_SIZE > 1:
        dist.barrier()  # nobody leaves before process 0 has written everything
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # taking the process group apart can wait for ever for one that has left
    return code


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", choices=("mnist", "digits"), default="mnist", help="what to train on")
    add("--data-dir", type=Path, default=Path("data"), help="where the MNIST files are")
    add("--download", action="store_true", help="only fetch MNIST into --data-dir")
    add("--epochs", type=int, default=15)
    add("--batch-size", type=int, default=64, help="images a step, over all processes")
    add("--lr", type=float, default=4e-3, help="learning rate of the first epoch")
    add("--seed", type=int, default=0)
    add("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto")
    add("--name", help="of the folder below --runs-dir; the name of the data if not given")
    add("--runs-dir", type=Path, default=Path("runs"))
    add("--checkpoint-every", type=int, default=500, help="steps; 0: at the end of an epoch only")
    add("--resume", action=argparse.BooleanOptionalAction, default=True)
    add("--require-progress", action="store_true", help="fail if the train loss does not fall")
    add("--plot", action="store_true", help="only draw loss.png again from metrics.jsonl")
    args = parser.parse_args(argv)
    if min(args.epochs, args.batch_size) < 1 or args.checkpoint_every < 0 or not args.lr > 0:
        parser.error(
            "--epochs and --batch-size start at 1, --checkpoint-every at 0; --lr is above 0"
        )
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    if RANK > 0:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  one voice is enough
    try:
        if args.download:
            download_mnist(args.data_dir)
        elif args.plot:
            draw_curves(args.runs_dir / (args.name or args.data))
        else:
            return run(args)
    except (UserError, OSError) as error:
        print(f"main.py: {error}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1  # 2: it would fail anywhere
    return 0


if __name__ == "__main__":
    sys.exit(main())
