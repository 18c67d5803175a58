"""One training as data: the device, a step of it as fast as that is, its state for a checkpoint.

It comes from the template, and an update brings a newer one; what is trained is in main.py.
"""

import ast
import hashlib
import math
import os
import shutil
import subprocess
import sys
import textwrap
import warnings
import zlib
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO, TypeAlias

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD, Adam, AdamW, Optimizer

FORMAT = "trainer.py checkpoint 3"  # change it when the content of a checkpoint changes
HERE = Path(__file__).resolve().parent
ROOT = next((p for p in (HERE, *HERE.parents[:2]) if (p / "pixi.toml").is_file()), HERE)
# torchrun, or launch() in runs.py, tells each process which of how many it is; alone it is 0 of 1.
RANK, LOCAL_RANK = int(os.environ.get("RANK", 0)), int(os.environ.get("LOCAL_RANK", 0))
WORLD_SIZE = int(os.environ.get("WORLD_SIZE", 1))
OURS = ("runs.py", "trainer.py")  # from the template: a newer version of these is no other program
RNG: dict[str, Any] = {"cpu": torch, "cuda": torch.cuda, "mps": torch.mps}  # random generators
# Train images and labels, test images and labels; a label is a whole number for each image.
Data = tuple[Tensor, Tensor, Tensor, Tensor]
AnyOptimizer: TypeAlias = Optimizer | Callable[[Iterator[nn.Parameter]], Optimizer]  # makes one
Step = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]  # -> mean loss, scores
FUSED = (Adam, AdamW, SGD)  # in one kernel, on any device

warnings.filterwarnings("ignore", "Synchronization debug mode")  # it is used below


class UserError(Exception):
    """Something that the person at the keyboard can put right; the text says how (exit code 2)."""


def say(text: str, file: TextIO | None = None) -> None:
    """Print a message: wrapped at words where a person reads it, as it is in a log."""
    file = file or sys.stdout
    if file.isatty():
        width = os.get_terminal_size(file.fileno()).columns or 80
        text = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
    print(text, file=file, flush=True)


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


def choose_precision(wanted: str, device: torch.device, batch_size: int) -> str:
    """bf16 on GPUs that compute in it, from 512 images a step on: below that its conversions cost
    more than it saves (measured on an H200). A CPU gains little, and would give other results than
    another kind of CPU; for Metal nobody has measured it."""
    able = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    if wanted == "bf16" and not able:
        raise UserError("--precision bf16 needs an NVIDIA GPU of capability 8.0 or newer")
    return ("bf16" if able and batch_size >= 512 else "fp32") if wanted == "auto" else wanted


def set_up(args: Namespace) -> None:
    """Make one seed give one result, and let the processes find each other."""
    if args.batch_size % WORLD_SIZE:
        raise UserError(f"--batch-size must be a multiple of the {WORLD_SIZE} processes")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself with it
    torch.set_deterministic_debug_mode("warn")
    # Filling all new memory is a help to find bugs; it costs a tenth of the speed.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if WORLD_SIZE > 1:
        backend = "nccl" if choose_device(args.device).type == "cuda" else "gloo"
        meeting = os.environ.get("RUNS_MEETING", "env://")  # of launch() in runs.py, of torchrun
        dist.init_process_group(backend, meeting, rank=RANK, world_size=WORLD_SIZE)
    torch.manual_seed(args.seed)


class Trainer:
    """All that changes in training: how a step changes it, how it is saved and restored."""

    def __init__(
        self, args: Namespace, data: Data, network: nn.Module, optimizer: AnyOptimizer, step: Step
    ) -> None:
        self.args, self.loss_of, self.asked_optimizer = args, step, optimizer
        self.device = device = choose_device(args.device)
        self.program = program()  # to which runs.py adds options; others may compute the same
        self.train_x, self.train_y, self.test_x, self.test_y = (t.to(device) for t in data)
        self.share = args.batch_size // WORLD_SIZE  # this process's images in a step
        self.precision = choose_precision(args.precision, device, self.share)
        bf16 = self.precision == "bf16"
        self.autocast = torch.autocast("cuda" if bf16 else "cpu", torch.bfloat16, enabled=bf16)
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parallel = DistributedDataParallel(self.network) if WORLD_SIZE > 1 else self.network
        self.epoch = self.step = 0  # epochs finished; steps done in the one that is running
        self.rows: list[dict[str, float]] = []
        self.images_per_epoch = -(-len(data[1]) // WORLD_SIZE)  # in this process, rounded up
        self.steps_per_epoch = -(-self.images_per_epoch // self.share)
        # A graph reads these where they lie: they are written to, never replaced.
        rows = (self.steps_per_epoch, 2, self.share)  # which images a step takes, and their labels
        self.batches = torch.zeros(rows, dtype=torch.long, device=device)
        self.batch = torch.zeros(1, dtype=torch.long, device=device)  # the next row
        self.loss_sum, self.one = torch.zeros((), device=device), torch.ones((), device=device)
        self.graphs: dict[int, torch.cuda.CUDAGraph] = {}  # by the number of images
        self.eager = "" if args.graph else "as asked for"  # why no step is replayed
        if device.type != "cuda" or WORLD_SIZE > 1:
            self.eager = "no CUDA" if device.type != "cuda" else "several processes"

    @cached_property
    def optimizer(self) -> Optimizer:
        """Made once the first loss is on the screen, or a checkpoint is read: PyTorch imports its
        compiler for it, which takes nearly as long as all other imports."""
        made = self.asked_optimizer
        optimizer = made if isinstance(made, Optimizer) else made(self.network.parameters())
        torch.use_deterministic_algorithms(True, warn_only=True)  # for torch.compile, too
        optimizer.load_state_dict(optimizer.state_dict())  # what it keeps goes to the device, too
        for group in optimizer.param_groups:
            group["initial_lr"] = float(group["lr"])
            if isinstance(optimizer, FUSED) and group["fused"] is group["foreach"] is None:
                group["fused"] = self.device.type != "mps"  # not decided in main.py
            if self.device.type == "cuda":  # what a CUDA graph reads must lie on the GPU
                group["lr"] = torch.tensor(group["lr"], device=self.device)
                group |= {"capturable": True} if "capturable" in group else {}
        torch.manual_seed(self.args.seed + RANK)  # from here on: dropout differs between processes
        return optimizer

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What is trained: with another of these it is another training."""
        how = {"params", "lr", "initial_lr", "fused", "foreach", "capturable"}  # the device's
        groups = self.optimizer.param_groups
        settings = [{k: v for k, v in group.items() if k not in how} for group in groups]
        weights = {name: (str(w.dtype), *w.shape) for name, w in self.network.state_dict().items()}
        identity: dict[str, Any] = {"batch size": self.args.batch_size, "seed": self.args.seed}
        identity |= {"optimizer": f"{type(self.optimizer).__name__} {settings}"}
        identity |= {"lr": [group["initial_lr"] for group in groups]}
        identity |= {"network, shape or dtype": f"{self.network} {weights}"}
        data = (self.train_x, self.train_y, self.test_x, self.test_y)
        return identity | {"data": checksum(data)}

    def rate(self, epoch: int, epochs: int, group: int = 0) -> float:
        """The learning rate of one of so many epochs: half a cosine, to nearly nothing."""
        left = 0.5 * (1 + math.cos(math.pi * min(epoch / epochs, 1)))
        return float(self.optimizer.param_groups[group]["initial_lr"]) * left

    def start_epoch(self) -> None:
        """Set what follows from the epoch's number: the learning rate, the order of its images."""
        for number, group in enumerate(self.optimizer.param_groups):
            rate = self.rate(self.epoch, self.args.epochs, number)
            group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate
        # Drawn on the CPU: one order for all devices, another one for each seed and epoch.
        rng = torch.Generator().manual_seed((100_003 * self.args.seed + self.epoch) % 2**32)
        self.order = torch.randperm(len(self.train_y), generator=rng)
        # Some images come twice so that all processes have as many: they must step together.
        order = torch.cat([self.order, self.order[: -len(self.order) % WORLD_SIZE]])
        order = order[RANK::WORLD_SIZE].to(self.device)
        rows = torch.stack([order, self.train_y[order].long()])
        rows = F.pad(rows, (0, -self.images_per_epoch % self.share)).view(2, -1, self.share)
        self.batches.copy_(rows.transpose(0, 1))
        self.batch.fill_(self.step)
        self.loss_sum.zero_()

    def train_step(self) -> None:
        if self.step == 0:
            self.start_epoch()
        size = min(self.share, self.images_per_epoch - self.step * self.share)
        first = self.epoch == self.step == 0  # not recorded: here the optimizer makes its state
        if not (self.eager or first or size in self.graphs):
            self.record(size)
        if self.eager or first:
            self.compute(size)
        else:
            self.graphs[size].replay()
        self.step += 1

    def compute(self, size: int) -> None:
        """One whole step. All of it happens on the device, so that it can be recorded; small steps
        take as long as they have kernels, hence the labels beside the indices, and `self.one`."""
        chosen, labels = self.batches.index_select(0, self.batch)[0, :, :size]
        self.optimizer.zero_grad()
        with self.autocast:
            loss, _ = self.loss_of(self.parallel, self.train_x[chosen], labels)
        loss.backward(self.one)
        self.optimizer.step()
        # Summed on the device: loss.item() would make the CPU wait for the GPU at every step.
        self.loss_sum.add_(loss.detach(), alpha=size)
        self.batch += 1

    def record(self, size: int) -> None:
        """Record a step of so many images as a CUDA graph, or say why that is not to be had.

        Which steps are replayed depends on their place alone, so a resumed run repeats the numbers
        of one that was never stopped: therefore nothing may move here, and all is put back.
        """
        state = [v for s in self.optimizer.state.values() for v in s.values() if v is not None]
        if not all(isinstance(value, Tensor) and value.is_cuda for value in state):
            self.eager = f"{type(self.optimizer).__name__} keeps numbers outside of the GPU"
            return say(f"WARNING: no CUDA graph, steps are slower: {self.eager}")
        state += [self.loss_sum, self.batch, *self.network.state_dict().values()]
        before, rng = [value.clone() for value in state], torch.cuda.get_rng_state(self.device)
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(self.device)
        pool = next(iter(self.graphs.values())).pool() if self.graphs else None
        stream.wait_stream(torch.cuda.current_stream())
        try:
            torch.cuda.set_sync_debug_mode("error")  # found before it can spoil a recording
            with torch.cuda.stream(stream):
                for _ in range(3):  # libraries choose their ways and take their memory
                    self.batch.zero_()
                    self.compute(size)
            torch.cuda.current_stream().wait_stream(stream)
            torch.cuda.set_sync_debug_mode("default")
            with torch.cuda.graph(graph, pool=pool):
                self.compute(size)
            self.graphs[size] = graph
        except RuntimeError as error:
            self.eager = str(error).splitlines()[0]
            say(f"WARNING: no CUDA graph, steps are slower: {self.eager}")
            generator = torch.cuda.default_generators[self.device.index]
            generator.graphsafe_set_state(generator.clone_state())  # it believes it is recorded
        finally:
            torch.cuda.set_sync_debug_mode("default")
            torch.cuda.synchronize(self.device)
            with torch.no_grad():
                for value, old in zip(state, before, strict=True):
                    value.copy_(old)
            torch.cuda.set_rng_state(rng, self.device)

    def add_row(self) -> None:
        """At the end of each epoch, and before the first step: where the curves begin."""
        if self.rows:
            self.epoch, self.step = self.epoch + 1, 0
            if WORLD_SIZE > 1:
                dist.all_reduce(self.loss_sum)
            train_loss = self.loss_sum.item() / (self.images_per_epoch * WORLD_SIZE)
        else:
            some = len(self.test_y)
            train_loss = self.evaluate(self.train_x[:some], self.train_y[:some])[0]
        test_loss, accuracy = self.evaluate(self.test_x, self.test_y)
        print(f"epoch {self.epoch}  train loss {train_loss:.4f}  test loss {test_loss:.4f}  "
              f"accuracy {accuracy:.2%}", flush=True)  # fmt: skip
        row = {"epoch": self.epoch, "step": self.epoch * self.steps_per_epoch}
        row |= {"train_loss": train_loss, "test_loss": test_loss, "test_accuracy": accuracy}
        self.rows.append(row | {"lr": self.rate(max(self.epoch - 1, 0), self.args.epochs)})

    @torch.no_grad()
    def evaluate(self, images: Tensor, labels: Tensor) -> tuple[float, float]:
        """Mean loss, and the share of right answers."""
        self.network.eval()
        loss, correct = torch.zeros(2, device=self.device)
        for x, y in zip(images.split(1000), labels.split(1000), strict=True):
            with self.autocast:
                batch_loss, scores = self.loss_of(self.network, x, y)
            loss += batch_loss * len(y)
            correct += (scores.argmax(1) == y).sum()
        self.network.train()
        return loss.item() / len(labels), correct.item() / len(labels)

    def state(self) -> dict[str, Any]:
        """For a checkpoint. Every process has to call this: each has losses and random numbers."""
        rng = {kind: RNG[kind].get_rng_state() for kind in {"cpu", self.device.type}}
        processes = [{"loss_sum": self.loss_sum.cpu(), "rng": rng}] * WORLD_SIZE
        if WORLD_SIZE > 1:
            dist.all_gather_object(processes, processes[0])
        state: dict[str, Any] = {"format": FORMAT}
        state |= {"identity": self.identity, "program": self.program}
        state |= {"epoch": self.epoch, "step": self.step, "epochs": self.args.epochs}
        state |= {"rows": self.rows, "processes": processes, "network": self.network.state_dict()}
        # The settings of the optimizer are main.py's, and those for a graph are the device's.
        return state | {"optimizer": self.optimizer.state_dict()["state"]}

    def restore(self, state: dict[str, Any]) -> None:
        self.refuse_another(state)
        self.network.load_state_dict(state["network"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})
        self.epoch, self.step, self.rows = state["epoch"], state["step"], state["rows"]
        if state["epochs"] != self.args.epochs > self.epoch:
            rate = self.rate(self.epoch, self.args.epochs)
            say(f"NOTE: begun for {state['epochs']} epochs, now for {self.args.epochs}: the "
                f"learning rate goes on at {rate:.2g} and falls until the new end")  # fmt: skip
        if self.step:
            self.start_epoch()
        processes = state["processes"]
        self.loss_sum.fill_(sum(one["loss_sum"] for one in processes[RANK::WORLD_SIZE]))
        # More or fewer processes, or another device: dropout goes on with new random numbers.
        torch.manual_seed(self.args.seed + RANK + 1000 * (1 + self.epoch))
        kept = processes[RANK]["rng"] if len(processes) == WORLD_SIZE else {}
        for kind in {"cpu", self.device.type} & kept.keys():
            RNG[kind].set_rng_state(kept[kind])

    def refuse_another(self, state: dict[str, Any]) -> None:
        """Raise UserError when a checkpoint is of another training than this one."""

        def differing(part: str) -> list[str]:
            old, new = state[part], getattr(self, part)
            return sorted(name for name in {**old, **new} if old.get(name) != new.get(name))

        ways = "Take back what was changed, or use another --name"
        if state["format"] != FORMAT:
            names = ["program or version of the template"]
        elif not (names := differing("identity")) and not self.args.accept_changes:
            names = differing("program")
            ways += ", or --accept-changes if it still computes the same"
        if names:
            raise UserError(
                f"{self.args.name} was trained with another {' and another '.join(names)}. {ways}, "
                "or --no-resume to delete its checkpoints and start again"
            )


def checksum(data: Data) -> int:
    """Of all images and labels: other data is another training."""
    total = 0
    for tensor in data:
        total = zlib.crc32(tensor.cpu().contiguous().view(torch.uint8).numpy(), total)
    return total


def program() -> dict[str, str]:
    """The project's own modules, with a sum of each that comments do not change."""
    sums = {}
    for name in {getattr(module, "__file__", None) or "" for module in [*sys.modules.values()]}:
        inside = Path(name).relative_to(HERE).parts if name.startswith(f"{HERE}/") else (".",)
        installed = inside[0].startswith(".") or "site-packages" in inside
        if name.endswith(".py") and not installed and inside[-1] not in OURS:
            code = ast.dump(ast.parse(Path(name).read_bytes()))
            sums["/".join(inside)] = hashlib.sha256(code.encode()).hexdigest()[:16]
    return dict(sorted(sums.items()))


def origin() -> dict[str, str | None]:
    """Where a result comes from: the commit, and sums of the packages and of pixi.lock."""
    commit = os.environ.get("GIT_COMMIT")  # that `pixi run submit` sends
    if not commit and (ROOT / ".git").exists() and shutil.which("git"):
        git = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    packages = sorted(path.stem for path in Path(sys.prefix, "conda-meta").glob("*.json"))
    lock = (ROOT / "pixi.lock").read_text() if (ROOT / "pixi.lock").is_file() else ""
    if not packages or not all(f"/{package}." in lock for package in packages):
        lock = ""  # it travels with an archive or an image of another lock
    record = {"git_commit": commit or None}
    for name, text in (("packages", "\n".join(packages)), ("pixi_lock", lock)):
        record[f"{name}_sha256"] = hashlib.sha256(text.encode()).hexdigest() if text else None
    return record
