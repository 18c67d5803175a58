"""What is trained: the data, the network, one step, the options. This file is yours.

    python main.py                      the digits that scikit-learn ships: seconds on a laptop
    python main.py --data mnist         MNIST; fetch it into data/ once: python main.py --download
    python main.py --processes 2        on two GPUs (or as two processes) of one machine

trainer.py and runs.py, which come from the template, do the rest: device, checkpoints, curves.
Results go to runs/NAME/. Give the same command again and an interrupted run goes on from its last
checkpoint. SIGTERM, by which a batch system asks for its slot back, saves and exits with code 85;
Ctrl-C saves too.
"""

import gc
import os
import signal

if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin slow a busy machine
    gc.disable()  # until runs.py trains: to look through all imports is a fifth of a start
    # both wait until runs.py can save, also while the imports below run
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})

import argparse
import gzip
import tarfile
import zlib
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import runs
from trainer import Data, Trainer, UserError

# ------------------------------------------------------------------------------------------ data


def load_data(args: argparse.Namespace) -> Data:
    """Train images and labels, test images and labels: all of it, it goes to the GPU as a whole.

    To train on your own: write a function that returns four such arrays, and name it here.
    """
    arrays = {"digits": digits, "mnist": mnist}[args.data](args)
    train_x, train_y, test_x, test_y = map(torch.from_numpy, arrays)
    train_x, test_x = train_x.unsqueeze(1).float(), test_x.unsqueeze(1).float()
    mean, deviation = train_x.mean(), train_x.std()
    train_x, test_x = (train_x - mean) / deviation, (test_x - mean) / deviation
    return train_x, train_y.long(), test_x, test_y.long()


def digits(_: argparse.Namespace) -> list[np.ndarray]:
    """1,797 images from a file of scikit-learn's: 64 values of grey a row, and the digit."""
    package = find_spec("sklearn")  # found, not imported: that alone would take half a second
    if package is None or package.origin is None:
        raise UserError("--data digits is a file of scikit-learn: pixi add scikit-learn")
    path = Path(package.origin).with_name("datasets") / "data" / "digits.csv.gz"
    rows = np.loadtxt(path, delimiter=",")
    # The seed is fixed because --seed must not change which images are the test.
    rows = np.random.default_rng(0).permutation(rows)
    x, y = rows[:, :64].reshape(-1, 8, 8), rows[:, 64]
    return [x[360:], y[360:], x[:360], y[:360]]


def mnist(args: argparse.Namespace) -> list[np.ndarray]:
    """From the four files of MNIST, or from an archive of them in the job's own folder."""
    folder, archive = args.data_dir, Path("MNIST_data.tar.gz")
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
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape).copy()


def download_mnist(folder: Path) -> int:
    try:
        from torchvision.datasets import MNIST  # here alone: training needs no torchvision

        MNIST(folder, download=True)  # all four files
    except (ImportError, RuntimeError) as error:
        raise UserError(f"torchvision could not download MNIST: {error}") from error
    return 0


# --------------------------------------------------------------------------------------- network


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


# -------------------------------------------------------------------------------------- one step


def step(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The loss that a step lowers (the mean of the batch), and the scores of each class.

    On an NVIDIA GPU it is recorded once and then replayed: a branch or a number of Python's stays
    what it was at that moment, and what asks for a value (`.item()`) makes every step slow.
    """
    scores = network(images)
    return F.cross_entropy(scores, labels), scores


def build(args: argparse.Namespace) -> Trainer:
    """Put the parts together. The random numbers have their seed by now."""
    data = load_data(args)
    network = Net(side=data[0].shape[-1], classes=int(data[1].max()) + 1)
    optimizer = partial(torch.optim.AdamW, lr=args.lr)  # or one that is made already
    return Trainer(args, data, network, optimizer, step)


# --------------------------------------------------------------------------------------- options


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument  # another value is another training; a Path is only a place
    add("--data", choices=("digits", "mnist"), default="digits", help="what to train on")
    add("--data-dir", type=Path, default=Path("data"), help="where the MNIST files are")
    add("--download", action="store_true", help="only fetch MNIST into --data-dir")
    add("--epochs", type=int, default=15)
    add("--batch-size", type=int, default=64, help="images a step, over all processes")
    add("--lr", type=float, default=4e-3, help="learning rate at the start; it falls to 0")
    add("--seed", type=int, default=0)
    runs.add_options(parser)
    args = parser.parse_args(argv)
    if min(args.epochs, args.batch_size) < 1 or not args.lr > 0:
        parser.error("--epochs and --batch-size start at 1; --lr is above 0")
    args.name = args.name or args.data  # of the folder with the results
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    if args.download:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, runs.STOPPING)  # there is nothing to save
        return download_mnist(args.data_dir)
    return runs.run(args, build)


if __name__ == "__main__":
    runs.start(main)
