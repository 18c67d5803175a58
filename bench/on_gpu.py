"""What the template promises on an NVIDIA GPU, tried on one:  python bench/on_gpu.py [--out FOLDER]

Needs a Python with PyTorch, scikit-learn, matplotlib and tqdm; no network, no project. The speed
comes first and alone, then trainings that run beside each other: meant to end within four minutes
(not measured). Each line says "ok", "FAILED", "figure" or "not measured", and the exit code is 1
when something failed. With --device cpu it tries what needs no GPU, as a test does, so that it is
known to work before a GPU is at hand.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TEMPLATE = REPOSITORY / "template"
Line = tuple[str, str]
"""How a check ended, and what it says."""
Start = Callable[[list[str], Path, dict[str, str]], "subprocess.CompletedProcess[str]"]
"""Run a Python program in a folder with these variables, to its end."""

EVICTED = """\
import os, runpy, sys
import trainer
plain, at = trainer.Trainer.train_step, int(os.environ.get("EVICT_AT", -1))
def train_step(self):
    plain(self)
    if self.epoch * self.steps_per_epoch + self.step == at:
        os.kill(os.getpid(), int(os.environ["EVICT_BY"]))
trainer.Trainer.train_step = train_step
runpy.run_path(os.path.abspath(os.environ["PROGRAM"]), run_name="__main__")
"""
"""Runs PROGRAM, which gets the signal EVICT_BY right after its step EVICT_AT: no clock counts."""

STEP = "    scores = network(images)\n"
ADAMW = "partial(torch.optim.AdamW, lr=args.lr)"
PROGRAMS = {
    "asks for a value": (STEP, STEP + "    labels.sum().item()\n"),
    "waits for the GPU": (STEP, STEP + "    torch.cuda.current_stream().synchronize()\n"),
    "counts on the CPU": (ADAMW, "partial(torch.optim.Adagrad, lr=args.lr)"),
    "has another optimizer": (ADAMW, "partial(torch.optim.SGD, lr=0.05, momentum=0.9)"),
    "has buffers": ("self.dropout = nn.Dropout(0.25)", "self.dropout = nn.BatchNorm1d(128)"),
}
"""Words of main.py in place of others. A step of the first three cannot be recorded."""
EAGER = [*PROGRAMS][:3]
WARNING = "WARNING: no CUDA graph"


@dataclass(frozen=True)
class Trial:
    """Trainings of one folder with the template's programs, on one device."""

    folder: Path
    device: str
    start: Start
    logs: dict[str, str] = field(default_factory=dict)
    """What each training printed, by its name."""

    def train(self, name: str, *more: str, program: str = "", **variables: object) -> int:
        """Train runs/NAME, or go on with it; return the exit code."""
        argv = ["evicted.py", "--device", self.device, "--name", name, *more]
        env = os.environ | {key: str(value) for key, value in variables.items()}
        env |= {"OMP_NUM_THREADS": "1", "PROGRAM": f"{program.replace(' ', '_') or 'main'}.py"}
        done = self.start(argv, self.folder, env)
        self.logs[name] = self.logs.get(name, "") + done.stdout + done.stderr
        return done.returncode

    def same(self, one: str, other: str) -> bool:
        """Whether two runs have the same metrics and weights, bit for bit."""
        code = (
            "import sys, torch\n"
            "a, b = (torch.load(f'runs/{n}/model.pt', map_location='cpu') for n in sys.argv[1:])\n"
            "raise SystemExit(not all(torch.equal(a[k], b[k]) for k in a))\n"
        )
        (self.folder / "same.py").write_text(code)
        texts = [(self.folder / f"runs/{name}/metrics.jsonl").read_text() for name in (one, other)]
        weights = self.start(["same.py", one, other], self.folder, dict(os.environ))
        return texts[0] == texts[1] and weights.returncode == 0

    def recorded(self, name: str) -> bool:
        """Whether its steps were replayed: on a GPU it says so where they are not."""
        return self.device == "cuda" and WARNING not in self.logs[name]


def programs(folder: Path) -> None:
    for name in ("main.py", "runs.py", "trainer.py"):
        shutil.copy(TEMPLATE / name, folder)
    text = (TEMPLATE / "main.py").read_text()
    for name, (old, new) in PROGRAMS.items():
        if old not in text:
            raise SystemExit(f"on_gpu: main.py has no line {old.strip()!r} any more")
        (folder / f"{name.replace(' ', '_')}.py").write_text(text.replace(old, new))
    (folder / "evicted.py").write_text(EVICTED)


def verdict(good: bool, text: str) -> Line:
    return "ok" if good else "FAILED", text


def learns(trial: Trial) -> Iterator[Line]:
    codes = [trial.train(name, "--epochs", "15") for name in ("one", "two")]
    last = json.loads((trial.folder / "runs/one/metrics.jsonl").read_text().splitlines()[-1])
    accuracy = last["test_accuracy"]
    yield verdict(codes == [0, 0] and accuracy >= 0.97, f"digits: accuracy {accuracy:.2%}")
    yield verdict(trial.same("one", "two"), "two runs of a seed are equal bit for bit")
    record = json.loads((trial.folder / "runs/one/config.json").read_text())
    yield "figure", f"trained on {record['device']}, PyTorch {record['torch']}"
    if trial.device == "cuda":
        yield verdict(trial.recorded("one"), "its step is recorded, also that of the partial batch")
        trial.train("eager", "--epochs", "15", "--no-graph")
        equal = "equal bit for bit" if trial.same("one", "eager") else "not equal bit for bit"
        yield "figure", f"with and without the graph: {equal}"


def resumes(trial: Trial, precision: str, program: str = "") -> Iterator[Line]:
    """Stopped after its first step, within an epoch, at the end of one, and killed."""
    args = (
        "--epochs",
        "4",
        "--batch-size",
        "16",
        "--checkpoint-every",
        "25",
        "--precision",
        precision,
    )
    name = f"{precision} {program}".strip().replace(" ", "-")
    whole, cut = f"{name}-whole", f"{name}-cut"
    codes = [trial.train(whole, *args, program=program)]
    for at, by in ((1, 15), (37, 15), (90, 15), (150, 9), (271, 15), (-1, 0)):
        codes.append(trial.train(cut, *args, program=program, EVICT_AT=at, EVICT_BY=by))
    good = codes == [0, 85, 85, 85, -9, 85, 0] and trial.same(whole, cut)
    what = f"{precision}{' of a program that ' + program if program else ''}"
    yield verdict(good, f"{what}: stopped (exit codes {codes[1:]}) and resumed, equal bit for bit")
    if trial.device == "cuda" and program not in EAGER:
        yield verdict(trial.recorded(cut), f"{what}: its step is recorded")


def falls_back(trial: Trial, program: str) -> Iterator[Line]:
    """A step that cannot be recorded: said, and trained all the same."""
    name = program.replace(" ", "-")
    codes = [
        trial.train(name, "--epochs", "3", program=program),
        trial.train(f"{name}-eager", "--epochs", "3", "--no-graph", program=program),
    ]
    said = trial.device != "cuda" or trial.logs[name].count(WARNING) == 1
    good = codes == [0, 0] and said and trial.same(name, f"{name}-eager")
    also = ", and says so" if trial.device == "cuda" else ""
    yield verdict(good, f"a program that {program}: trains as without a graph{also}")


def several(trial: Trial, gpus: int) -> Iterator[Line]:
    """Two processes: on two GPUs, or on the CPU where there are fewer."""
    args = ("--epochs", "3", "--batch-size", "16", "--processes", "2")
    if trial.device == "cuda" and gpus < 2:
        yield "not measured", f"two processes on two GPUs: {gpus} is here"
        args += ("--device", "auto")
    codes = [trial.train("both", *args), trial.train("both-cut", *args, EVICT_AT=130, EVICT_BY=15)]
    codes.append(trial.train("both-cut", *args))
    good = codes == [0, 85, 0] and trial.same("both", "both-cut")
    device = json.loads((trial.folder / "runs/both/config.json").read_text())["device"]
    yield verdict(good, f"two processes on {device}: stopped, resumed, equal bit for bit")


def promises(
    folder: Path, device: str, start: Start, gpus: int = 0, at_once: int = 8
) -> Iterator[Line]:
    """Try each promise in its own trainings, several at a time; yield how each ended."""
    programs(folder)
    trial = Trial(folder, device, start)
    checks: list[Callable[[], Iterator[Line]]] = [
        lambda: resumes(trial, "fp32"),
        lambda: learns(trial),
    ]
    if device == "cuda":
        checks += [lambda: resumes(trial, "bf16")]
    checks += [lambda p=p: resumes(trial, "fp32", p) for p in PROGRAMS if p not in EAGER]
    names = [name for name in EAGER if device == "cuda" or "GPU" not in name]
    checks += [lambda p=p: falls_back(trial, p) for p in names]
    checks += [lambda: several(trial, gpus)]
    with ThreadPoolExecutor(at_once) as pool:
        for lines in pool.map(lambda check: [*check()], checks):
            yield from lines
    for name, log in sorted(trial.logs.items()):
        (folder / f"{name}.log").write_text(log)


def noise(folder: Path) -> Path:
    """As many images as MNIST has, in its format: the speed is the same."""
    folder.mkdir()
    rng = random.Random(0)
    for part, count in (("train", 60000), ("t10k", 2000)):
        pixels = struct.pack(">BBBBIII", 0, 0, 8, 3, count, 28, 28) + rng.randbytes(count * 784)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(pixels)
        labels = struct.pack(">BBBBI", 0, 0, 8, 1, count) + bytes(rng.choices(range(10), k=count))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    return folder


def speed(data: Path, out: Path) -> Iterator[Line]:
    """The goals of train_throughput.py, and whether the rule of trainer.py chooses bf16 well."""
    argv = [
        sys.executable,
        str(REPOSITORY / "bench/train_throughput.py"),
        "--project",
        str(TEMPLATE),
    ]
    argv += [
        "--data-dir",
        str(data),
        "--device",
        "cuda",
        "--workers",
        "4",
        "8",
        "--repetitions",
        "3",
    ]
    argv += ["--json", str(out / "throughput.json")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    (out / "throughput.log").write_text(done.stdout + done.stderr)
    for line in (done.stdout + done.stderr).splitlines():
        yield "figure", line
    yield verdict(done.returncode == 0, "speed: each goal of bench/train_throughput.py is reached")
    argv = [sys.executable, __file__, "--precisions", str(data)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines() or done.stderr.splitlines()[-1:]:
        yield "figure", line


def precisions(data: Path) -> None:
    """Print the images per second of both precisions around the size at which the rule changes."""
    sys.path.insert(0, str(REPOSITORY / "bench"))
    import train_throughput as bench

    bench.torch.utils.deterministic.fill_uninitialized_memory = False
    main = bench.load_project(TEMPLATE)
    arrays = bench.mnist(main, argparse.Namespace(data_dir=data, images=60000))
    for size in ("256", "512", "1024"):
        for precision in ("fp32", "bf16"):
            more = ("--precision", precision, "--batch-size", size)
            epoch = bench.projects_way(bench.project_trainer(main, arrays, "cuda", *more))
            runs = [epoch() for _ in range(5)][2:]
            fastest = max(run.images / run.seconds for run in runs)
            print(f"{precision} at {size}: {fastest:,.0f} images/s", flush=True)


def started(
    argv: list[str], folder: Path, env: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, *argv]
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--out", type=Path, help="put the figures and the logs there")
    parser.add_argument("--precisions", type=Path, metavar="DATA", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.precisions:
        precisions(args.precisions)
        return 0
    if importlib.util.find_spec("torch") is None:
        sys.exit("on_gpu: this Python has no PyTorch")
    import torch

    if args.device == "cuda" and not torch.cuda.is_available():
        print("not measured: no NVIDIA GPU that PyTorch can use; --device cpu tries the rest")
        return 0
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as at_the_end:
        folder = Path(temporary, "trial")
        folder.mkdir()
        out = args.out or folder
        out.mkdir(parents=True, exist_ok=True)
        summary = at_the_end.enter_context((out / "summary.txt").open("w"))
        failed = False
        lines = speed(noise(Path(temporary, "mnist")), out) if args.device == "cuda" else iter(())
        at_once = 8 if args.device == "cuda" else 2
        tried = promises(folder, args.device, started, torch.cuda.device_count(), at_once)
        for source in (lines, tried):
            for word, text in source:
                failed |= word == "FAILED"
                for file in (sys.stdout, summary):
                    print(f"{word:12} {text}", file=file, flush=True)
        if args.out:
            for log in folder.glob("*.log"):
                shutil.copy(log, out)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
