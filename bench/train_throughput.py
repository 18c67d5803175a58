"""Images per second of a project's training step against the usual way, and against a CUDA graph.

    python bench/train_throughput.py --project myproject --data-dir data

On an NVIDIA GPU these batch sizes have goals, and the exit code is 1 when one is missed.

All train the same network with the same optimizer on the same images with the same batch size, in
one process, taking turns, so that what else the machine does hits all alike. What is timed of the
project is its own Trainer, an epoch at a time, as `python main.py` runs it.

The usual way is a Dataset whose transforms run on one sample at a time, a DataLoader with several
numbers of workers (the fastest counts), `loss.item()` at every step, and fp32. The reference is
what the GPU itself takes: the bare step (gather, forward, backward, AdamW) in a CUDA graph of its
own, replayed on full batches without order, curves or checkpoints, in the project's precision.
"""

import argparse
import importlib
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

GOALS = {64: 9.0, 256: 6.5, 1024: 12.0}
"""Batch size -> how many times as fast as the usual way the project trains on an NVIDIA GPU."""
OF_GRAPH = 0.95
"""The share of the bare graph's speed that it reaches there."""


@dataclass(frozen=True)
class Timing:
    """One epoch: images, and seconds."""

    images: int
    seconds: float


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


def usual_way(
    main: ModuleType, arrays: list[np.ndarray], device: torch.device, batch_size: int, workers: int
) -> Callable[[], Timing]:
    images, labels = arrays
    torch.manual_seed(0)
    model = main.Net(images.shape[-1]).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loader = DataLoader(
        SampleDataset(images, labels),
        batch_size=batch_size,
        shuffle=True,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
    )

    def epoch() -> Timing:
        torch.use_deterministic_algorithms(False)
        model.train()
        count, total_loss = 0, 0.0
        started = time.perf_counter()
        for batch in loader:
            x, y = batch[0].to(device), batch[1].to(device)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            total_loss += loss.item() * len(y)
            count += len(y)
        synchronize(device)
        return Timing(count, time.perf_counter() - started)

    return epoch


def tensors(arrays: list[np.ndarray]) -> tuple[torch.Tensor, ...]:
    x = (torch.tensor(arrays[0]).unsqueeze(1).float() / 255 - 0.1307) / 0.3081
    return x, torch.tensor(arrays[1]).long()


def project_trainer(main: ModuleType, arrays: list[np.ndarray], device: str, *more: str) -> Any:
    """The project's Trainer over these images, as its own build() would put it together."""
    x, y = tensors(arrays)
    torch.use_deterministic_algorithms(True, warn_only=True)  # as runs.py does
    args = main.parse_arguments(["--data", "mnist", "--device", device, *more])
    torch.manual_seed(0)
    network = main.Net(x.shape[-1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.lr)
    return main.Trainer(args, (x, y, x[:1000], y[:1000]), network, optimizer, main.step)


def projects_way(trainer: Any) -> Callable[[], Timing]:
    def epoch() -> Timing:
        torch.use_deterministic_algorithms(True, warn_only=True)
        trainer.step = 0
        synchronize(trainer.device)
        started = time.perf_counter()
        while trainer.step < trainer.steps_per_epoch:
            trainer.train_step()
        trainer.epoch += 1
        trainer.loss_sum.item()
        return Timing(trainer.images_per_epoch, time.perf_counter() - started)

    return epoch


def bare_graph(
    main: ModuleType, arrays: list[np.ndarray], device: torch.device, batch_size: int, bf16: bool
) -> Callable[[], Timing]:
    """The reference, written without a line of the project's but its network and its loss."""
    x, y = (tensor.to(device) for tensor in tensors(arrays))
    torch.manual_seed(0)
    model = main.Net(x.shape[-1]).to(device, memory_format=torch.channels_last)
    lr = torch.tensor(1e-3, device=device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, fused=True, capturable=True)
    index = torch.arange(batch_size, device=device)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            loss, _ = main.step(model, x[index], y[index])
        loss.backward()
        optimizer.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    steps = len(y) // batch_size

    def epoch(_keep: Callable[[], None] = step) -> Timing:
        # What a graph reads has to stay: data, weights and all that `step` refers to.
        synchronize(device)
        started = time.perf_counter()
        for _ in range(steps):
            graph.replay()
        synchronize(device)
        return Timing(steps * batch_size, time.perf_counter() - started)

    return epoch


def measure(ways: dict[str, Callable[[], Timing]], repetitions: int) -> dict[str, list[Timing]]:
    for epoch in ways.values():  # warms up: workers start, kernels are chosen, graphs are recorded
        epoch()
    timings: dict[str, list[Timing]] = {name: [] for name in ways}
    for _ in range(repetitions):
        for name, epoch in ways.items():
            timings[name].append(epoch())
    return timings


def load_project(folder: Path) -> ModuleType:
    if not (folder / "main.py").is_file():
        sys.exit(f"train_throughput: no main.py in {folder}")
    sys.path.insert(0, str(folder.resolve()))
    return importlib.import_module("main")


def machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--project", type=Path, required=True, help="the folder with main.py")
    parser.add_argument("--data-dir", type=Path, required=True, help="where the MNIST files are")
    parser.add_argument("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[*GOALS])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 4, 8])
    parser.add_argument("--repetitions", type=int, default=5, help="epochs of each way")
    parser.add_argument("--images", type=int, default=60_000, help="an epoch: fewer are repeated")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    what = "exit with 1 below this many times the usual way, in place of the goals for a GPU"
    parser.add_argument("--at-least", type=float, help=what)
    return parser.parse_args()


def mnist(main: ModuleType, args: argparse.Namespace) -> list[np.ndarray]:
    """So many images an epoch: MNIST's training set, repeated or cut."""
    images, labels, *_ = main.mnist(args)
    times = -(-args.images // len(labels))
    return [np.concatenate([array] * times)[: args.images] for array in (images, labels)]


def ways_of(module: ModuleType, arrays: list[np.ndarray], trainer: Any, workers: list[int]) -> Any:
    """All ways to train, by name."""
    device, batch_size = trainer.device, trainer.args.batch_size
    ways: dict[str, Callable[[], Timing]] = {"main.py": projects_way(trainer)}
    for number in workers:
        way = usual_way(module, arrays, device, batch_size, number)
        ways[f"usual way, {number} workers"] = way
    for precision in ("fp32", "bf16") if device.type == "cuda" else ():
        way = bare_graph(module, arrays, device, batch_size, precision == "bf16")
        ways[f"bare CUDA graph, {precision}"] = way
    return ways


def report(trainer: Any, speeds: dict[str, float], at_least: float | None) -> dict[str, Any]:
    """Print the speeds in images per second, and what they are to each other; what is not measured
    is None. `missed` names the goals that were."""
    mine, gpu = speeds["main.py"], trainer.device.type == "cuda"
    ratio = mine / max(speed for name, speed in speeds.items() if name.startswith("usual"))
    share = mine / speeds[f"bare CUDA graph, {trainer.precision}"] if gpu else None
    for name, speed in speeds.items():
        print(f"{name:24}{speed:12,.0f} images/s{mine / speed:8.2f} times")
    goal = at_least or (GOALS.get(trainer.args.batch_size) if gpu else None)
    print(f"main.py against the fastest usual way: {ratio:.2f} times, goal {goal or 'none'}")
    against = "not measured, no NVIDIA GPU" if share is None else f"{share:.2f}, goal {OF_GRAPH}"
    print(f"main.py against the bare graph: {against}", flush=True)
    missed = [f"{ratio:.2f} times instead of {goal}"] if goal and ratio < goal else []
    missed += [f"{share:.2f} of the graph"] if share is not None and share < OF_GRAPH else []
    return {"ratio": ratio, "of_graph": share, "goal": goal, "missed": missed}


def main() -> int:
    args = parse_arguments()
    module = load_project(args.project)
    torch.utils.deterministic.fill_uninitialized_memory = False
    arrays = mnist(module, args)
    document: dict[str, Any] = {}
    for batch_size in args.batch_size:
        trainer = project_trainer(module, arrays, args.device, "--batch-size", str(batch_size))
        print(f"{machine(trainer.device)}; torch {torch.__version__}; batch size {batch_size}; "
              f"main.py in {trainer.precision}; {len(arrays[1])} images an epoch; "
              f"median of {args.repetitions}")  # fmt: skip
        timings = measure(ways_of(module, arrays, trainer, args.workers), args.repetitions)
        if trainer.eager:
            print(f"main.py without a CUDA graph: {trainer.eager}")
        speeds = {
            name: statistics.median(run.images / run.seconds for run in runs)
            for name, runs in timings.items()
        }
        figures = report(trainer, speeds, args.at_least)
        runs = {name: [asdict(run) for run in runs] for name, runs in timings.items()}
        document[str(batch_size)] = figures | {"runs": runs}
    if args.json:
        head = {"machine": machine(trainer.device), "torch": torch.__version__}
        args.json.write_text(json.dumps(head | document, indent=1) + "\n")
    missed = {size: one["missed"] for size, one in document.items() if one["missed"]}
    for size, words in missed.items():
        print(f"missed at batch size {size}: {', '.join(words)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
