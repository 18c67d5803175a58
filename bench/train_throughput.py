"""Images per second of main.py's training loop against the usual way to write one.

    python bench/train_throughput.py --main main.py --data-dir data [--device cpu] [--batch-size 64]

Both train the same network with the same optimizer on the same images with the same batch size, in
one process, taking turns, so that what else the machine does hits both alike. The usual way, below,
is a Dataset whose transforms run on one sample at a time, a DataLoader with several numbers of
workers (the fastest counts), `loss.item()` at every step, and fp32.
"""

import argparse
import importlib.util
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


@dataclass(frozen=True)
class Timing:
    """One epoch: images, seconds, and seconds of them spent getting data to the model."""

    images: int
    seconds: float
    data_seconds: float


class SampleDataset(Dataset[tuple[torch.Tensor, int]]):
    """Byte images in, one normalised float image out: ToTensor and Normalize, as torchvision."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = torch.tensor(images), torch.tensor(labels)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        picture = self.images[index].numpy()[:, :, None]  # torchvision makes a PIL image here
        return normalize(to_tensor(picture)), int(self.labels[index])


def to_tensor(picture: np.ndarray) -> torch.Tensor:
    tensor = torch.from_numpy(picture.transpose((2, 0, 1))).contiguous()
    return tensor.to(torch.float32).div(255)


def normalize(tensor: torch.Tensor) -> torch.Tensor:
    mean = torch.as_tensor((0.1307,), dtype=tensor.dtype).view(-1, 1, 1)
    std = torch.as_tensor((0.3081,), dtype=tensor.dtype).view(-1, 1, 1)
    return tensor.clone().sub_(mean).div_(std)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


class UsualWay:
    def __init__(
        self,
        main: ModuleType,
        images: np.ndarray,
        labels: np.ndarray,
        device: torch.device,
        batch_size: int,
        workers: int,
    ) -> None:
        torch.manual_seed(0)
        self.device = device
        self.model = main.Net(images.shape[-1]).to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.loader = DataLoader(
            SampleDataset(images, labels),
            batch_size=batch_size,
            shuffle=True,
            num_workers=workers,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
        )

    def epoch(self) -> Timing:
        self.model.train()
        count, total_loss, data_seconds = 0, 0.0, 0.0
        started = waiting = time.perf_counter()
        for images, labels in self.loader:
            images, labels = images.to(self.device), labels.to(self.device)
            data_seconds += time.perf_counter() - waiting
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(images), labels)
            loss.backward()
            self.optimizer.step()
            total_loss += loss.item() * len(labels)
            count += len(labels)
            waiting = time.perf_counter()
        synchronize(self.device)
        return Timing(count, time.perf_counter() - started, data_seconds)


class MainsWay:
    """main.py's own Trainer: what is timed is the code that ships."""

    def __init__(
        self,
        main: ModuleType,
        images: np.ndarray,
        labels: np.ndarray,
        device: torch.device,
        batch_size: int,
    ) -> None:
        x = (torch.tensor(images).to(device).unsqueeze(1).float() / 255 - 0.1307) / 0.3081
        y = torch.tensor(labels).to(device).long()
        self.trainer = main.Trainer((x, y, x, y), device, batch_size, lr=1e-3, seed=0)

    def epoch(self) -> Timing:
        trainer = self.trainer
        trainer.step = 0
        torch.use_deterministic_algorithms(True, warn_only=True)  # as main.py does
        synchronize(trainer.device)
        started = time.perf_counter()
        while trainer.step < trainer.steps_per_epoch:
            trainer.train_step()
        trainer.loss_sum.item()
        seconds = time.perf_counter() - started
        torch.use_deterministic_algorithms(False)
        return Timing(len(trainer.order), seconds, self.data_alone())

    def data_alone(self) -> float:
        """The same batches again without any training: on a GPU the host clock alone would not
        show what they cost, because the host does not wait for them."""
        trainer = self.trainer
        synchronize(trainer.device)
        started = time.perf_counter()
        for step in range(trainer.steps_per_epoch):
            trainer.step = step
            trainer.next_batch()
        synchronize(trainer.device)
        return time.perf_counter() - started


def measure(ways: dict[str, Callable[[], Timing]], repetitions: int) -> dict[str, list[Timing]]:
    for epoch in ways.values():  # warms up: workers start, kernels are chosen, memory is had
        epoch()
    timings: dict[str, list[Timing]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, epoch in ways.items():
            timings[name].append(epoch())
    return timings


def load_main(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("project_main", path)
    if spec is None or spec.loader is None or not path.is_file():
        sys.exit(f"train_throughput: no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--main", type=Path, required=True, help="the main.py to measure")
    parser.add_argument("--data-dir", type=Path, required=True, help="where the MNIST files are")
    parser.add_argument("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2, 4])
    parser.add_argument("--repetitions", type=int, default=5, help="epochs of each way")
    parser.add_argument("--images", type=int, default=60_000, help="at most so many an epoch")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--at-least", type=float, help="exit with 1 below this ratio")
    parser.add_argument("--at-most-share", type=float, help="exit with 1 above this data share")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    module = load_main(args.main)
    device = module.choose_device(args.device)
    torch.utils.deterministic.fill_uninitialized_memory = False
    images, labels, *_ = module.mnist_arrays(args.data_dir)
    setting = (module, images[: args.images], labels[: args.images], device, args.batch_size)
    ways: dict[str, Callable[[], Timing]] = {"main.py": MainsWay(*setting).epoch}
    for workers in args.workers:
        ways[f"usual way, {workers} workers"] = UsualWay(*setting, workers).epoch
    timings = measure(ways, args.repetitions)

    speeds, shares = {}, {}
    for name, runs in timings.items():
        speeds[name] = statistics.median(run.images / run.seconds for run in runs)
        shares[name] = statistics.median(run.data_seconds / run.seconds for run in runs)
    best = max(speed for name, speed in speeds.items() if name != "main.py")
    ratio = speeds["main.py"] / best
    print(f"{machine(device)}; torch {torch.__version__}; batch size {args.batch_size}; "
          f"{len(setting[1])} images an epoch; median of {args.repetitions}")  # fmt: skip
    print(f"{'':24}{'images/s':>10}{'main.py is':>13}{'data share':>12}")
    for name, speed in speeds.items():
        times = f"{speeds['main.py'] / speed:.2f} times"
        print(f"{name:24}{speed:10.0f}{times:>13}{shares[name]:12.1%}")
    print(f"main.py against the fastest usual way: {ratio:.2f} times")
    if args.json:
        figures = {name: [asdict(run) for run in runs] for name, runs in timings.items()}
        document = {"machine": machine(device), "torch": torch.__version__, "ratio": ratio}
        document |= {"batch_size": args.batch_size, "data_share": shares["main.py"]}
        args.json.write_text(json.dumps(document | {"runs": figures}, indent=1) + "\n")
    too_slow = args.at_least is not None and ratio < args.at_least
    waits = args.at_most_share is not None and shares["main.py"] > args.at_most_share
    return 1 if too_slow or waits else 0


if __name__ == "__main__":
    sys.exit(main())
