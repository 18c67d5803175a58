"""What the template's main.py, trainer.py and runs.py promise, tried on the real program: started, evicted, killed, resumed.

It runs in the project's own locked environment, installed from the starter channel. What needs
PyTorch here is asked of that environment's Python. `run` starts it with PyTorch imported (see
tests/support/forks.py), `start` and `run` with several processes as a user does.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import io
import json
import math
import os
import pty
import random
import re
import shutil
import signal
import struct
import subprocess
import tarfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import on_gpu
from pixi_scaffold.page.runs import clock
from tests.support.forks import Forks
from tests.support.paths import REPOSITORY, SHARED
from tests.support.share import shared

pytestmark = pytest.mark.slow
Run = Callable[..., subprocess.CompletedProcess[str]]

DIGITS = ("--data", "digits", "--device", "cpu")
MNIST = ("--data", "mnist")
# Long enough to be interrupted anywhere, and with dropout, so that the random state matters.
LONG = (*DIGITS, "--epochs", "4", "--batch-size", "16", "--checkpoint-every", "25")


@pytest.fixture(scope="session")
def python(project_environment: Path) -> str:
    return str(project_environment / "bin" / "python")


@pytest.fixture
def main_py(python: str) -> Path:
    return REPOSITORY / "template" / "main.py"


@pytest.fixture(scope="session")
def mnist_10k() -> Path:
    folder = SHARED / "mnist-10k"
    if not folder.is_dir():
        pytest.skip("the 10,000 digits of MNIST (../shared/mnist-10k) are not here")
    return folder


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Of a plain job: no variables of a launcher, one thread (tests run side by side)."""
    launcher = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    env = {key: value for key, value in os.environ.items() if key not in launcher}
    return env | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


IMPORTS = (
    "torch._dynamo", "torch._inductor.config", "matplotlib.figure", "matplotlib.backends.backend_agg", "tqdm",
)  # fmt: skip
"""What a training imports, by way of these."""


@pytest.fixture(scope="session")
def forks(python: str, environment: dict[str, str]) -> Iterator[Forks]:
    with Forks(python, IMPORTS, environment) as forks:
        yield forks


@pytest.fixture
def run(
    python: str, main_py: Path, tmp_path: Path, environment: dict[str, str], forks: Forks
) -> Run:
    def run(
        *arguments: object, program: Path = main_py, env: dict[str, str] = environment
    ) -> subprocess.CompletedProcess[str]:
        argv = [python, str(program), *map(str, arguments)]
        if "--processes" in argv:
            return subprocess.run(
                argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600
            )
        return forks.run(argv, tmp_path, env, timeout=600)

    return run


@pytest.fixture
def torch_code(
    python: str, tmp_path: Path, environment: dict[str, str], forks: Forks
) -> Callable[..., str]:
    """Run a few lines with PyTorch; the arguments are `args`, what it prints is returned."""

    def ask(code: str, *args: object) -> str:
        code = f"import json, sys, torch\nargs = sys.argv[1:]\n{code}"
        done = forks.run([python, "-c", code, *map(str, args)], tmp_path, environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return ask


@pytest.fixture(scope="session")
def trained_once(
    python: str, environment: dict[str, str], forks: Forks, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Path]:
    """The folder in which main.py has trained for so many epochs, once for all tests."""

    def trained(epochs: int) -> Path:
        def make(folder: Path) -> None:
            folder.mkdir()
            program = str(REPOSITORY / "template" / "main.py")
            argv = [python, program, *DIGITS, "--epochs", str(epochs)]
            done = forks.run(argv, folder, environment)
            assert done.returncode == 0, done.stderr

        return shared(tmp_path_factory, f"trained-{epochs}", make)

    return trained


@pytest.fixture
def trained(trained_once: Callable[[int], Path], tmp_path: Path) -> Callable[[int], Path]:
    """Put a run of so many epochs of DIGITS into this test's folder; return the run's folder."""

    def trained(epochs: int) -> Path:
        shutil.copytree(trained_once(epochs), tmp_path, dirs_exist_ok=True)
        return tmp_path / "runs" / "digits"

    return trained


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


SAME_WEIGHTS = """
one, other = (torch.load(a, weights_only=True) for a in args)
assert one.keys() == other.keys()
print(all(torch.equal(one[k], other[k]) for k in one))
"""


@pytest.fixture
def assert_same_run(torch_code: Callable[..., str]) -> Callable[[Path, Path], None]:
    def check(one: Path, other: Path) -> None:
        assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
        assert torch_code(SAME_WEIGHTS, one / "model.pt", other / "model.pt") == "True"

    return check


@pytest.fixture
def steps_in(torch_code: Callable[..., str]) -> Callable[[Path], int]:
    code = """
state = torch.load(args[0], weights_only=True)
print(state["epoch"] * 90 + state["step"])
"""
    return lambda checkpoint: int(torch_code(code, checkpoint))


class Job:
    """main.py in the background, in a session of its own, writing to a log file."""

    def __init__(self, argv: list[str], folder: Path, env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                argv, cwd=folder, env=env, start_new_session=True, stdout=file, stderr=file
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_until(self, ready: Callable[[], bool], seconds: float = 600) -> None:
        end = time.monotonic() + seconds
        while not ready() and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        assert ready(), self.output

    def wait_for_start(self) -> None:
        """Until it trains."""
        self.wait_until(lambda: "epochs done, on" in self.output)

    def wait_for_first_line(self) -> None:
        """Until main.py holds SIGTERM back. Earlier, Python itself starts."""
        status = Path(f"/proc/{self.process.pid}/status")
        sigterm = 1 << (signal.SIGTERM - 1)

        def held() -> bool:
            masks = re.findall(r"(?m)^Sig(?:Blk|Cgt):\s*(\w+)$", status.read_text())
            return any(int(mask, 16) & sigterm for mask in masks)

        self.wait_until(held)

    def signal(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=600)


@pytest.fixture
def start(python, main_py, tmp_path, environment) -> Iterator[Callable[..., Job]]:
    jobs = []

    def start(
        *arguments: str,
        launcher: tuple[str, ...] = (),
        program: Path = main_py,
        **variables: object,
    ) -> Job:
        argv, log = [python, *launcher, str(program), *arguments], tmp_path / f"log{len(jobs)}"
        env = environment | {name: str(value) for name, value in variables.items()}
        jobs.append(Job(argv, tmp_path, env, log))
        return jobs[-1]

    yield start
    for job in jobs:
        if job.process.poll() is None:
            os.killpg(job.process.pid, signal.SIGKILL)
            job.process.wait()


@pytest.fixture
def changed(main_py: Path, tmp_path: Path) -> Callable[..., Path]:
    """A project of its own, with words of its main.py replaced."""

    def change(old: str, new: str) -> Path:
        folder = tmp_path / "changed"
        folder.mkdir(exist_ok=True)
        for name in ("main.py", "runs.py", "trainer.py"):
            shutil.copy(main_py.with_name(name), folder)
        text = main_py.read_text()
        assert old in text
        (folder / "main.py").write_text(text.replace(old, new))
        return folder / "main.py"

    return change


EVICTED_AT = """
    import os, signal, time
    step.calls = getattr(step, "calls", 0) + 1
    at, whom = os.environ.get("EVICT_AT"), os.environ.get("EVICT", "getpid")
    if str(step.calls) == at and os.environ.get("RANK", "1") == "1":
        os.kill(getattr(os, whom)(), int(os.environ.get("EVICT_BY", signal.SIGTERM)))
        while not runs.SIGNALS:
            time.sleep(0.01)
    scores = network(images)
"""


@pytest.fixture
def evicted(changed: Callable[..., Path]) -> Path:
    """main.py, which gets a signal in the step EVICT_AT and goes on when it has heard of it: where
    it is stopped hangs on no clock. Without EVICT_AT it is left alone, and is the same program."""
    return changed("\n    scores = network(images)\n", EVICTED_AT)


# ------------------------------------------------------------------------ learning


@pytest.mark.parametrize("seed", [0, 1])
def test_digits_reach_97_percent_with_the_defaults(run, tmp_path: Path, seed: int) -> None:
    result = run("--data", "digits", "--seed", seed)
    assert result.returncode == 0, result.stderr
    assert rows(tmp_path / "runs" / "digits")[-1]["test_accuracy"] >= 0.97


def test_mnist_reaches_97_5_percent_in_5_epochs(run, tmp_path: Path, mnist_10k: Path) -> None:
    result = run(*MNIST, "--data-dir", mnist_10k, "--epochs", 5)
    assert result.returncode == 0, result.stderr
    assert rows(tmp_path / "runs" / "mnist")[-1]["test_accuracy"] >= 0.975


def test_the_results_are_all_there_and_a_log_has_a_line_an_epoch(
    run, tmp_path: Path, torch_code
) -> None:
    result = run(*DIGITS, "--epochs", 2, "--name", "mine", "--require-progress")
    assert result.returncode == 0, result.stderr
    folder = tmp_path / "runs" / "mine"
    assert [row["epoch"] for row in rows(folder)] == [0, 1, 2]
    keys = {"epoch", "step", "train_loss", "test_loss", "test_accuracy", "lr"}
    assert all(row.keys() == keys for row in rows(folder))
    assert rows(folder)[-1]["step"] == 46
    config = json.loads((folder / "config.json").read_text())
    assert config["arguments"]["name"] == "mine"
    assert config["torch"] == torch_code("print(torch.__version__)")
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    # one before the first step, one at the end of each epoch
    assert sum(line.startswith("epoch ") for line in result.stdout.splitlines()) == 3
    assert "\r" not in result.stdout + result.stderr
    (folder / "loss.png").unlink()
    assert run("--plot", "--name", "mine").returncode == 0
    assert (folder / "loss.png").exists()


def test_the_same_seed_gives_the_same_run_and_another_does_not(
    run, tmp_path: Path, assert_same_run
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run(*DIGITS, "--epochs", 1, "--name", name, "--seed", seed).returncode == 0
    folder = tmp_path / "runs"
    assert_same_run(folder / "a", folder / "b")
    assert rows(folder / "a") != rows(folder / "c")


def test_each_epoch_of_each_seed_has_an_order_of_its_own(torch_code, main_py: Path) -> None:
    code = """
sys.path.insert(0, args[0])
import main
orders = []
for seed in ("0", "1"):
    trainer = main.build(main.parse_arguments(["--device", "cpu", "--seed", seed]))
    for trainer.epoch in range(3):
        trainer.start_epoch()
        orders.append(tuple(trainer.order.tolist()))
print(len(set(orders)), {tuple(sorted(order)) for order in orders} == {tuple(range(1437))})
"""
    assert torch_code(code, main_py.parent) == "6 True"


def test_no_progress_is_a_failure(run) -> None:
    result = run(*DIGITS, "--epochs", 1, "--lr", 1000, "--require-progress")
    assert result.returncode == 1
    assert "no progress" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_benchmark_measures_main_py(python: str, tmp_path: Path, environment) -> None:
    """Noise in MNIST's format: that the figures are of all images, and none of a GPU that is not there."""
    for part, count in (("train", 256), ("t10k", 64)):
        head = struct.pack(">BBBBIII", 0, 0, 8, 3, count, 28, 28)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(head + random.randbytes(count * 784))
        labels = bytes(number % 10 for number in range(count))
        head = struct.pack(">BBBBI", 0, 0, 8, 1, count)
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(head + labels)
    script, figures = REPOSITORY / "bench" / "train_throughput.py", tmp_path / "figures.json"
    argv = [python, script, "--project", REPOSITORY / "template", "--data-dir", tmp_path]
    argv += ["--device", "cpu", "--images", "256", "--batch-size", "64", "--workers", "0"]
    argv += ["--repetitions", "1", "--json", figures]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    measured = json.loads(figures.read_text())["64"]
    assert {run["images"] for runs in measured["runs"].values() for run in runs} == {256}
    assert (measured["of_graph"], measured["goal"]) == (None, None)
    assert "not measured, no NVIDIA GPU" in done.stdout


@pytest.mark.long
def test_what_is_tried_on_a_gpu_holds_on_the_cpu(
    python: str, tmp_path: Path, environment: dict[str, str], forks: Forks
) -> None:
    """All of bench/on_gpu.py but what needs a GPU: it must not fail first where one is lent."""

    def start(
        argv: list[str], folder: Path, env: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        argv, env = [python, *argv], env | environment
        if "--processes" not in argv:
            return forks.run(argv, folder, env)
        return subprocess.run(
            argv, cwd=folder, env=env, capture_output=True, text=True, timeout=600
        )

    lines = list(on_gpu.promises(tmp_path, "cpu", start, at_once=1))
    assert [line for line in lines if line[0] not in ("ok", "figure")] == []
    assert len([word for word, _ in lines if word == "ok"]) == 8


# ------------------------------------------------------------- eviction and resuming


def test_several_evictions_do_not_change_the_result(
    run, tmp_path: Path, assert_same_run, steps_in, evicted: Path, environment: dict[str, str]
) -> None:
    assert run(*LONG, "--name", "whole", program=evicted).returncode == 0
    folder, before = tmp_path / "runs" / "cut", 0
    for _ in range(4):
        at = environment | {"EVICT_AT": str(random.randint(3, 80))}
        done = run(*LONG, "--name", "cut", program=evicted, env=at)
        assert done.returncode == 85, done.stderr
        assert "stopped, saved in" in done.stdout
        assert steps_in(folder / "checkpoint.pt") > before
        before = steps_in(folder / "checkpoint.pt")
    assert run(*LONG, "--name", "cut", program=evicted).returncode == 0
    assert_same_run(folder, tmp_path / "runs" / "whole")


def test_sigterm_at_any_moment_saves_or_comes_too_late(start, tmp_path: Path) -> None:
    """From main.py's first line to the last moment of Python's own end, on the same run again."""
    args = (*DIGITS, "--epochs", "1")
    whole = start(*args, "--name", "whole")
    whole.wait_for_first_line()
    began = time.monotonic()
    assert whole.process.wait(timeout=600) == 0, whole.output
    length = time.monotonic() - began
    codes = []
    for number in range(4):
        more = () if number else ("--epochs", "1000")  # however late the signal comes
        job = start(*args, *more, "--name", str(number))
        job.wait_for_first_line()
        time.sleep(random.uniform(0, length) if number else 0)
        if job.process.poll() is None:
            codes.append(job.signal(signal.SIGTERM))
            results = tmp_path / "runs" / str(number)
            assert codes[-1] in (85, 0), job.output
            assert (results / "checkpoint.pt").is_file()
            assert (results / "model.pt").is_file() == (codes[-1] == 0)
    assert codes[0] == 85, "before it began to train"


MOMENTS = """
import gc, os, pathlib, random, runpy, signal, sys, time

program, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for name in sys.argv[4:]:
    __import__(name)
gc.freeze()  # or the end of each process would copy what it collects
print("seed", seed)
sys.path.insert(0, os.path.dirname(program))
random.seed(seed)


def held(pid):
    \"\"\"Whether it holds SIGTERM back, or handles it, or is gone.\"\"\"
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = [int(line.split()[1], 16) for line in lines if line[:6] in ("SigBlk", "SigCgt")]
    return not masks or any(mask >> signal.SIGTERM - 1 & 1 for mask in masks)


def wait_for(event, pid):
    while not event() and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.0002)


length = 0.0
for number in range(-1, count):  # the first one is left alone: how long it takes
    name = str(number)
    folder = pathlib.Path("runs", name)
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(f"log{name}", os.O_WRONLY | os.O_CREAT), 1)
        sys.argv = [program, "--device", "cpu", "--epochs", "1", "--name", name]
        break
    wait_for(lambda: held(pid), pid)
    begun = time.monotonic()
    if number >= 0:
        kind = random.choice(["start", "start", "end", "end", "anywhere"])
        if kind == "end":  # model.pt is the last but the picture and the checkpoint
            wait_for((folder / "model.pt").exists, pid)
        time.sleep(random.uniform(0, length if kind == "anywhere" else length / 4))
        os.kill(pid, signal.SIGTERM)  # of one that has ended it hears nothing: not waited for yet
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    length = length or time.monotonic() - begun
    done = (folder / "model.pt").is_file() and (folder / "loss.png").is_file()
    there = (folder / "checkpoint.pt").is_file()
    print(number, code, there, done, flush=True)
else:
    sys.exit()
runpy.run_path(program, run_name="__main__")
"""


@pytest.mark.long
def test_sigterm_at_100_moments_most_of_them_near_the_start_and_the_end(
    python: str, main_py: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Processes of one that has made the imports, which are not to be waited for a hundred times."""
    seed = str(random.randrange(10**6))
    done = subprocess.run(
        [python, "-c", MOMENTS, str(main_py), "100", seed, *IMPORTS],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=3600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ends = [tuple(line.split()) for line in done.stdout.splitlines()[2:]]
    assert len(ends) == 100, done.stdout
    stopped, finished = ("85", "True", "False"), ("0", "True", "True")
    assert {end[1:] for end in ends} == {stopped, finished}, done.stdout


LATE = """\
class Late:
    def __del__(self, kill=__import__("os").kill, me=__import__("os").getpid()):
        kill(me, 15)


late = Late()

if __name__ == "__main__":
"""


@pytest.mark.parametrize("program", ["template/main.py", "includes/python/bare.py"])
def test_sigterm_while_python_ends_does_not_spoil_a_finished_training(
    start, tmp_path: Path, changed, program: str
) -> None:
    """Seen on a pool: exit code 143 for a training that was done, and HTCondor tries again.

    What a module holds goes when Python has already given its signal handlers back.
    """
    path = changed("import argparse\n", "import argparse\n")
    head, _, tail = (REPOSITORY / program).read_text().rpartition('if __name__ == "__main__":\n')
    path.write_text(head + LATE + tail)
    job = start("--epochs", "1", program=path)
    assert job.process.wait(timeout=300) == 0, job.output


def test_a_checkpoint_is_handed_over_after_so_many_seconds(
    run, start, tmp_path: Path, assert_same_run, environment: dict[str, str]
) -> None:
    """By the option or by the job's variable; each start gets somewhere, so it comes to an end."""
    args = (*LONG, "--epochs", "6")
    assert run(*args, "--name", "whole").returncode == 0
    codes = []
    for number in range(6 * 90):  # a step each is the least
        due = environment | ({"CHECKPOINT_SECONDS": "1.5"} if number % 2 else {})
        more = () if number % 2 else ("--checkpoint-seconds", "1.5")
        done = run(*args, "--name", "cut", *more, env=due)
        codes.append(done.returncode)
        if codes[-1] != 85:
            break
        assert "time for a checkpoint" in done.stdout
    assert codes[-1] == 0
    assert_same_run(tmp_path / "runs" / "cut", tmp_path / "runs" / "whole")
    cut = tmp_path / "runs" / "cut"
    history, rows = (
        [json.loads(line) for line in (cut / name).read_text().splitlines()]
        for name in ("history.jsonl", "metrics.jsonl")
    )
    assert len(history) == len(codes)
    # What the page of a project draws over time: each epoch ended once, and after the one before it.
    times = clock(rows, history)
    assert None not in times
    assert (len(times), times[0], list(times)) == (len(rows), 0, sorted(times))


def test_ctrl_c_saves_without_a_traceback(start, tmp_path: Path) -> None:
    job = start(*LONG, "--epochs", "3000", "--checkpoint-every", "0", "--name", "typed")
    job.wait_for_start()
    assert job.signal(signal.SIGINT) == 130, job.output
    assert "Traceback" not in job.output
    assert (tmp_path / "runs" / "typed" / "checkpoint.pt").is_file()


def test_what_ran_is_on_record(run, tmp_path: Path, environment: dict[str, str]) -> None:
    sent = environment | {"GIT_COMMIT": "0123abc"}
    assert run(*DIGITS, "--epochs", 1, env=sent).returncode == 0
    config = json.loads((tmp_path / "runs" / "digits" / "config.json").read_text())
    assert config["git_commit"] == "0123abc"
    assert config["device"] == "cpu"
    assert config["pixi_lock_sha256"] is None  # the template has no lock; a project has


def test_no_process_is_left_without_a_gpu(torch_code, main_py: Path) -> None:
    """Two processes and one GPU: both take the CPU, or neither could talk to the other."""
    code = f"""
import os, pathlib
sys.path.insert(0, {str(main_py.parent)!r})
os.environ["LOCAL_WORLD_SIZE"] = args[0]
import trainer
torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: 1
torch.cuda.set_device = lambda index: None
print(trainer.choose_device("auto").type)
"""
    assert torch_code(code, 1) == "cuda"
    assert torch_code(code, 2) == "cpu"


def test_the_precision_follows_the_rule_that_is_stated(torch_code, main_py: Path) -> None:
    """In docs and trainer.py: bf16 on GPUs that compute in it, from 512 images a step on."""
    code = f"""
sys.path.insert(0, {str(main_py.parent)!r})
import trainer
for capability in ((7, 5), (8, 0)):
    torch.cuda.get_device_capability = lambda device: capability
    for wanted, size in (("auto", 511), ("auto", 512), ("fp32", 512), ("bf16", 1)):
        try:
            print(trainer.choose_precision(wanted, torch.device("cuda", 0), size))
        except trainer.UserError:
            print("refused")
print(trainer.choose_precision("auto", torch.device("cpu"), 512))
"""
    old_gpu, new_gpu = ["fp32", "fp32", "fp32", "refused"], ["fp32", "bf16", "fp32", "bf16"]
    assert torch_code(code).split() == [*old_gpu, *new_gpu, "fp32"]


def test_a_step_that_cannot_be_recorded_is_told_once_and_trains_the_same(
    torch_code, main_py: Path
) -> None:
    """On the CPU, whose numbers are outside of any GPU; others of the kind: bench/on_gpu.py."""
    code = f"""
sys.path.insert(0, {str(main_py.parent)!r})
import main
weights = []
for eager in ("no CUDA", ""):
    torch.manual_seed(0)
    trainer = main.build(main.parse_arguments(["--device", "cpu"]))
    trainer.eager = eager
    trainer.add_row()
    for _ in range(4):
        trainer.train_step()
    weights.append(trainer.network.state_dict())
print(all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0]))
"""
    told = torch_code(code).splitlines()
    warning = "WARNING: no CUDA graph, steps are slower: AdamW keeps numbers outside of the GPU"
    assert [line for line in told if not line.startswith("epoch 0")] == [warning, "True"]


def test_a_killed_run_goes_on_from_its_last_checkpoint(
    run, tmp_path: Path, assert_same_run, evicted: Path, environment: dict[str, str]
) -> None:
    assert run(*LONG, "--name", "whole", program=evicted).returncode == 0
    at = {"EVICT_AT": str(random.randint(60, 300)), "EVICT_BY": str(int(signal.SIGKILL))}
    killed = run(*LONG, "--name", "cut", program=evicted, env=environment | at)
    assert killed.returncode == -signal.SIGKILL
    result = run(*LONG, "--name", "cut", program=evicted)
    assert "resuming from" in result.stdout
    assert_same_run(tmp_path / "runs" / "cut", tmp_path / "runs" / "whole")


def test_the_learning_rate_follows_the_epochs_that_were_asked_for(run, tmp_path: Path) -> None:
    """It is half a cosine: a longer training still learns in its later half."""
    for epochs in (3, 6):
        assert run(*DIGITS, "--name", str(epochs), "--epochs", epochs).returncode == 0
        rates = [row["lr"] for row in rows(tmp_path / "runs" / str(epochs))[1:]]
        cosine = [0.002 * (1 + math.cos(math.pi * e / epochs)) for e in range(epochs)]
        assert rates == pytest.approx(cosine)


def test_going_on_with_more_epochs_says_that_the_learning_rate_changes(run, trained) -> None:
    folder = trained(2)
    before = rows(folder)
    result = run(*DIGITS, "--epochs", 4)
    assert result.returncode == 0
    assert (
        "NOTE: begun for 2 epochs, now for 4: the learning rate goes on at 0.002" in result.stdout
    )
    after = rows(folder)
    assert after[: len(before)] == before
    assert after[-1]["train_loss"] < before[-1]["train_loss"]


def test_ctrl_c_after_sigterm_does_not_break_off_the_checkpoint(
    run, tmp_path: Path, changed
) -> None:
    program = changed(
        "\n    scores = network(images)\n",
        """
    import os, time
    for number in () if runs.SIGNALS else (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        count = len(runs.SIGNALS)
        os.kill(os.getpid(), number)
        while len(runs.SIGNALS) == count:
            time.sleep(0.01)
    scores = network(images)
""",
    )
    done = run(*DIGITS, program=program)
    assert (done.returncode, "Traceback" in done.stderr) == (85, False)
    assert (tmp_path / "runs/digits/checkpoint.pt").is_file()


def test_a_second_ctrl_c_stops_at_once_in_one_line(run, changed) -> None:
    program = changed(
        "\n    scores = network(images)\n",
        """
    import os, time
    os.kill(os.getpid(), signal.SIGINT)
    while not runs.SIGNALS:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(300)
""",
    )
    done = run(*DIGITS, program=program)
    assert (done.returncode, done.stderr) == (130, "main.py: stopped at once\n")


FULL = """\
import os, resource
resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ.get("LARGEST", -1)),) * 2)
import argparse
"""


@pytest.mark.parametrize("largest", [30_000, 300_000])
def test_what_cannot_be_written_is_named_and_nothing_is_lost(
    run, tmp_path: Path, changed, environment: dict[str, str], largest: int
) -> None:
    """A file may be no larger: as on a full disk, a write comes back with an error."""
    program = changed("import argparse\n", FULL)
    assert run(*DIGITS, "--epochs", 1, program=program).returncode == 0
    folder = tmp_path / "runs" / "digits"
    (folder / "loss.png").unlink()
    before = {name: (folder / name).read_bytes() for name in ("checkpoint.pt", "model.pt")}
    full = environment | {"LARGEST": str(largest)}
    done = run(*DIGITS, "--epochs", 2, program=program, env=full)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert re.fullmatch(r"main.py: \S+\.pt cannot be written: .*too large\n", done.stderr)
    assert not list(folder.glob(".*"))
    assert {name: (folder / name).read_bytes() for name in before}.items() >= {
        "checkpoint.pt": before["checkpoint.pt"]
    }.items()
    assert run(*DIGITS, "--epochs", 2, program=program).returncode == 0


@pytest.mark.parametrize(("largest", "name"), [(100, "config.json"), (700, "checkpoint.pt")])
def test_what_the_bare_program_cannot_write_is_named_and_nothing_is_lost(
    run, tmp_path: Path, changed, environment: dict[str, str], largest: int, name: str
) -> None:
    program = changed("import argparse\n", FULL)
    text = (REPOSITORY / "includes" / "python" / "bare.py").read_text()
    program.write_text(text.replace("import argparse\n", FULL))
    assert run("--epochs", 1, program=program).returncode == 0
    folder = tmp_path / "runs" / "first"
    before = contents(folder)
    done = run("--epochs", 2, program=program, env=environment | {"LARGEST": str(largest)})
    message = rf"main.py: runs/first/{name} cannot be written: .*too large\n"
    assert (done.returncode, bool(re.fullmatch(message, done.stderr))) == (1, True), done.stderr
    after = contents(folder)
    assert (after.keys(), after["checkpoint.pt"]) == (before.keys(), before["checkpoint.pt"])
    assert run("--epochs", 2, program=program).returncode == 0
    assert [row["epoch"] for row in rows(folder)] == [1, 2]


def test_one_run_is_not_trained_by_two_programs_at_a_time(run, trained) -> None:
    folder = trained(1)
    before, other = contents(folder), os.open(folder, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)  # as the other program does
    for more in ((), ("--no-resume",)):
        done = run(*DIGITS, "--epochs", 2, *more)
        assert (done.returncode, "another program trains" in done.stderr) == (2, True)
        assert contents(folder) == before
    os.close(other)
    assert run(*DIGITS, "--epochs", 2).returncode == 0


def test_damaged_records_do_not_stop_a_training(run, trained) -> None:
    folder = trained(1)
    broken = (
        "[1, 2]",
        "7",
        "null",
        "{}",
        '{"epoch": 1, "test_accuracy": "high"}',
        '{"epoch": 1, "tr',
    )
    for name in ("history.jsonl", "metrics.jsonl", "config.json"):
        with (folder / name).open("a") as file:
            file.write("\n".join(("", *broken)))
    for only in ("--plot", "--compare"):
        done = run(only)
        assert (done.returncode, "accuracy" in done.stdout) == (0, True), done.stderr
    for text in ('{"started": "20', "[1]", '{"arguments": "none"}'):
        (folder / "config.json").write_text(text)
        assert run("--compare").returncode == 2, text
    nothing = run("--compare")
    assert (nothing.returncode, "no runs in runs/" in nothing.stderr) == (2, True)
    assert run(*DIGITS, "--epochs", 2).returncode == 0
    starts = (folder / "history.jsonl").read_text().splitlines()
    assert [json.loads(start).get("epochs_done") for start in starts] == [0, None, None, 1]
    assert [row["epoch"] for row in rows(folder)] == [0, 1, 2]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("epochs", [2, 1])
def test_a_run_that_trains_nothing_changes_nothing(run, trained, epochs: int) -> None:
    folder = trained(2)
    before = contents(folder)
    result = run(*DIGITS, "--epochs", epochs)
    assert result.returncode == 0
    assert "2 of 2 epochs done: finished. --epochs N trains it further" in result.stdout
    assert contents(folder) == before


# ---------------------------------------------------------------------------- true records


ADAMW = "partial(torch.optim.AdamW, lr=args.lr)"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (ADAMW, "torch.optim.SGD(network.parameters(), lr=args.lr, momentum=0.9)", "optimizer"),
        (ADAMW, ADAMW.replace("lr=", "weight_decay=0.1, lr="), "optimizer"),
        ("F.relu(self.fc1", "F.gelu(self.fc1", "another main.py"),
        ("* (side // stride // 2) ** 2, 128)", "* (side // stride // 2) ** 2, 64)", "network"),
        ("default_rng(0)", "default_rng(1)", "data"),
    ],
)
def test_another_program_under_the_same_name_is_refused(
    run, trained, changed, old: str, new: str, named: str
) -> None:
    folder = trained(1)
    program = changed(old, new)
    if named == "network":
        text = program.read_text().replace("nn.Linear(128, classes)", "nn.Linear(64, classes)")
        program.write_text(text)
    before = contents(folder)
    result = run(*DIGITS, "--epochs", 2, program=program)
    assert result.returncode == 2, result.stdout
    assert named in result.stderr
    assert "--no-resume" in result.stderr
    assert "Traceback" not in result.stderr
    assert contents(folder) == before


OPTION = '    add("--smoothing", type=float, default=0.1)\n    add("--seed", type=int, default=0)\n'


def test_another_value_of_a_new_option_is_refused_and_can_be_accepted(
    run, tmp_path: Path, changed
) -> None:
    program = changed('    add("--seed", type=int, default=0)\n', OPTION)
    assert run(*DIGITS, "--epochs", 1, program=program).returncode == 0
    before = contents(tmp_path / "runs" / "digits")
    other = (*DIGITS, "--epochs", 2, "--smoothing", 0.2)
    refused = run(*other, program=program)
    assert (refused.returncode, "another --smoothing." in refused.stderr) == (2, True)
    assert contents(tmp_path / "runs" / "digits") == before
    assert (
        run(*other, "--data-dir", "elsewhere", "--accept-changes", program=program).returncode == 0
    )


def test_a_default_that_the_machine_decides_is_no_other_option(
    run, changed, environment: dict[str, str]
) -> None:
    """As `default=os.cpu_count()`; a value that was asked for is another option all the same."""
    old = '    add("--seed", type=int, default=0)\n'
    more = '    import os\n    add("--workers", type=int, default=int(os.environ["CPUS"]))\n'
    more += '    add("--scratch", type=Path, default=Path("scratch"))\n'
    program = changed(old, old + more)
    for epochs, cpus in ((1, "8"), (2, "16")):
        machine = environment | {"CPUS": cpus}
        place = ("--scratch", f"job-{cpus}")  # a place, as one with $(Cluster) in its name
        done = run(*DIGITS, "--epochs", epochs, *place, program=program, env=machine)
        assert done.returncode == 0, done.stderr
    other = run(*DIGITS, "--epochs", 3, "--workers", 4, program=program, env=machine)
    assert (other.returncode, "another --workers." in other.stderr) == (2, True)


def test_the_collector_is_off_while_a_training_starts_and_on_in_its_steps(run, changed) -> None:
    """A network or data of one's own may leave cycles behind in each step."""
    off = "\n    data = load_data(args)\n"
    program = changed(off, f"\n    import gc\n    assert not gc.isenabled(){off}")
    on = "\n    scores = network(images)\n"
    text = program.read_text()
    assert on in text
    program.write_text(
        text.replace(on, f"\n    import gc\n    assert gc.isenabled() or not network.training{on}")
    )
    done = run(*DIGITS, "--epochs", 1, program=program)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", ["template/main.py", "includes/python/bare.py"])
@pytest.mark.parametrize("asked", ["passive", "active"])
def test_threads_wait_without_spinning_unless_they_are_asked_to(
    run, changed, environment: dict[str, str], program: str, asked: str
) -> None:
    """With two threads on two busy cores a training took four times as long when they spun."""
    path = changed("import argparse\n", "import argparse\n")
    text = (REPOSITORY / program).read_text()
    assert text.count("import torch\n") == 1
    told = "print('threads wait', os.environ['OMP_WAIT_POLICY'])\nimport torch\n"
    path.write_text(text.replace("import torch\n", told))  # it reads the variable when it starts
    env = {k: v for k, v in environment.items() if k != "OMP_WAIT_POLICY"}
    env |= {"OMP_WAIT_POLICY": asked} if asked == "active" else {}
    done = run("--help", program=path, env=env)
    assert (done.returncode, f"threads wait {asked}\n" in done.stdout) == (0, True), done.stderr


def test_processes_share_the_threads_of_the_job(run, changed, environment: dict[str, str]) -> None:
    program = changed(
        "\n    data = load_data(args)\n",
        "\n    print('threads', torch.get_num_threads())\n    data = load_data(args)\n",
    )
    env = environment | {"OMP_NUM_THREADS": "2"}  # as HTCondor sets it for request_cpus = 2
    done = run(*DIGITS, "--epochs", 1, "--processes", 2, program=program, env=env)
    assert (done.returncode, "threads 1\n" in done.stdout) == (0, True), done.stderr


def test_the_first_loss_is_there_before_the_optimizer(
    python: str, tmp_path: Path, environment: dict[str, str], changed
) -> None:
    """PyTorch imports its compiler for an optimizer: nearly half of what a first loss waits for."""
    late = "def late(weights):\n        assert 'torch._dynamo' not in sys.modules\n"
    late += f"        print('optimizer  ')\n        return {ADAMW}(weights)"
    program = changed(f"optimizer = {ADAMW}", f"import sys\n    {late}\n    optimizer = late")
    argv = [python, str(program), *DIGITS, "--epochs", "1"]  # no fork, which has all imported
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    begun = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert begun[1:4] == ["epoch 0", "optimizer", "epoch 1"]


def test_an_optimizer_that_is_made_already_trains_the_same(run, trained, changed) -> None:
    """As main.py of older projects hands it over."""
    metrics = (trained(1) / "metrics.jsonl").read_bytes()
    program = changed(ADAMW, "torch.optim.AdamW(network.parameters(), lr=args.lr)")
    assert run(*DIGITS, "--epochs", 1, "--name", "made", program=program).returncode == 0
    made = trained(1).with_name("made") / "metrics.jsonl"
    assert made.read_bytes() == metrics


def test_messages_are_wrapped_at_words_on_a_terminal(
    run, python: str, tmp_path: Path, environment: dict[str, str], trained
) -> None:
    """A terminal breaks a long line wherever it ends; a log gets it as one line."""
    trained(1)
    argv = [python, str(REPOSITORY / "template" / "main.py"), *DIGITS, "--lr", "1"]
    plain = run(*argv[2:])
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 40))
    with subprocess.Popen(argv, cwd=tmp_path, env=environment, stderr=slave) as job:
        os.close(slave)
        drawn = b""
        with contextlib.suppress(OSError):  # at its end
            while part := os.read(master, 4096):
                drawn += part
    os.close(master)
    assert (plain.returncode, job.returncode) == (2, 2)
    lines = drawn.decode().splitlines()
    assert max(map(len, lines)) <= 40
    assert len(plain.stderr.splitlines()) == 1
    assert " ".join(lines) == plain.stderr.strip()


def test_a_function_among_the_arguments_is_no_other_option(run, changed) -> None:
    """As `set_defaults(run=...)` of a subcommand: its text has an address, new in each process."""
    option = '    add("--seed", type=int, default=0)\n'
    text = (
        "    Command = type('', (), {'__call__': id, '__repr__': lambda _: os.urandom(9).hex()})\n"
    )
    more = f"    import os\n{text}    parser.set_defaults(command=Command())\n"
    program = changed(option, option + more)
    for epochs in (1, 2):
        done = run(*DIGITS, "--epochs", epochs, program=program)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("more", [(), ("--accept-changes",)])
def test_another_dtype_is_refused(run, trained, changed, more: tuple[str, ...]) -> None:
    trained(1)
    program = changed("    optimizer = ", "    network.double()\n    optimizer = ")
    text = program.read_text().replace(".float(), test_x.unsq", ".double(), test_x.unsq")
    program.write_text(text.replace("(1).float()\n", "(1).double()\n"))
    done = run(*DIGITS, "--epochs", 2, *more, program=program)
    assert (done.returncode, "dtype" in done.stderr) == (2, True), done.stdout


def test_comments_are_no_other_program_and_a_change_can_be_accepted(run, trained, changed) -> None:
    history = trained(1) / "history.jsonl"
    same = changed(
        "        x = F.relu(self.conv1(x))",
        "        x = F.relu(  # a comment\n            self.conv1(x))",
    )
    assert run(*DIGITS, "--epochs", 2, program=same).returncode == 0
    other = changed("F.relu(self.fc1", "F.gelu(self.fc1")
    refused = run(*DIGITS, "--epochs", 3, program=other)
    assert (refused.returncode, "--accept-changes" in refused.stderr) == (2, True)
    assert run(*DIGITS, "--epochs", 3, "--accept-changes", program=other).returncode == 0
    starts = [json.loads(line) for line in history.read_text().splitlines()]
    assert [start["epochs_done"] for start in starts] == [0, 1, 2]
    programs = [start["program"]["main.py"] for start in starts]
    assert programs[0] == programs[1] != programs[2]
    config = json.loads((history.parent / "config.json").read_text())
    assert [len(start.pop("epochs_ended")) for start in starts] == [1, 1, 1]
    assert config == starts[-1]


def test_the_lock_is_named_only_when_the_packages_are_those(
    run, python: str, tmp_path: Path, changed, project_environment: Path
) -> None:
    """The lock that travels with a packed environment may be newer than that."""
    program = changed("F.relu(self.fc1", "F.relu(self.fc1")
    lock = project_environment.parent / "starter.lock"
    text = lock.read_text()
    for name, content in (("same", text), ("other", re.sub(r"/numpy-\d", "/numpy-0", text))):
        program.with_name("pixi.lock").write_text(content)
        assert run(*DIGITS, "--epochs", 1, "--name", name, program=program).returncode == 0
    same, other = (
        json.loads((tmp_path / "runs" / name / "config.json").read_text())
        for name in ("same", "other")
    )
    assert same["pixi_lock_sha256"] == hashlib.sha256(lock.read_bytes()).hexdigest()
    assert other["pixi_lock_sha256"] is None
    assert same["packages_sha256"] == other["packages_sha256"] is not None


def test_the_lock_is_found_from_a_package_in_src_too(
    torch_code, main_py: Path, tmp_path: Path, project_environment: Path
) -> None:
    lock, package = project_environment.parent / "starter.lock", tmp_path / "src" / "mine"
    package.mkdir(parents=True)
    shutil.copy(main_py.with_name("trainer.py"), package)
    shutil.copy(lock, tmp_path / "pixi.lock")
    (tmp_path / "pixi.toml").touch()
    code = (
        "sys.path.insert(0, args[0])\nimport trainer\nprint(trainer.origin()['pixi_lock_sha256'])"
    )
    assert torch_code(code, package) == hashlib.sha256(lock.read_bytes()).hexdigest()


def test_a_run_ends_with_its_accuracy_and_the_picture(run, tmp_path: Path) -> None:
    words = r"runs/digits: accuracy \d\d\.\d\d% after 1 epochs; the curves: runs/digits/loss.png"
    assert re.search(words, run(*DIGITS, "--epochs", 1).stdout)
    picture = (tmp_path / "runs/digits/loss.png").read_bytes()
    assert re.fullmatch(words, run("--plot").stdout.strip())
    assert (tmp_path / "runs/digits/loss.png").read_bytes() == picture


def test_the_picture_has_titles_labels_grids_a_log_loss_and_shows_where_the_accuracy_is(
    torch_code, tmp_path: Path, main_py: Path
) -> None:
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    accuracy = [0.1, 0.5, 0.96, 0.97, 0.98]
    lines = [
        {"epoch": n, "train_loss": 2 / 10**n, "test_loss": 3 / 10**n, "test_accuracy": a}
        for n, a in enumerate(accuracy)
    ]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    code = f"""
sys.path.insert(0, {str(main_py.parent)!r})
import pathlib, matplotlib.figure
import runs
drawn = []
class Kept(matplotlib.figure.Figure):
    def __init__(self, *more, **words):
        super().__init__(*more, **words)
        drawn.append(self)
matplotlib.figure.Figure = Kept
runs.show_results(pathlib.Path("runs/mine"))
[figure] = drawn
axes = [
    [a.get_title(), a.get_xlabel(), a.get_ylabel(), a.get_yscale(), list(a.get_ylim()),
     [line.get_label() for line in a.lines], all(g.get_visible() for g in a.get_ygridlines())]
    for a in figure.axes
]
print(json.dumps([figure.get_suptitle(), *axes]))
"""
    title, loss, right = json.loads(torch_code(code).splitlines()[-1])
    assert title == "mine: accuracy 98.00%"
    assert loss[:4] == ["Loss", "epoch", "mean cross-entropy", "log"]
    assert right[:4] == ["Accuracy", "epoch", "share of right answers in the test set", "linear"]
    low, high = right[4]
    assert 0.9 < low < 0.96 < 0.98 < high <= 1
    assert (loss[5], right[5]) == (["train_loss", "test_loss"], ["test_accuracy"])
    assert loss[6]
    assert right[6]


# ------------------------------------------------------------------ bad checkpoints


@pytest.fixture
def checkpoint(trained: Callable[[int], Path]) -> Path:
    """Of a run of two epochs; the previous one is of the first epoch."""
    return trained(2) / "checkpoint.pt"


@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_a_truncated_checkpoint_is_refused_for_the_previous(run, checkpoint, part) -> None:
    expected = rows(checkpoint.parent)
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(len(content) * part)])
    result = run(*DIGITS, "--epochs", 2)
    assert result.returncode == 0, result.stderr
    assert "Refused" in result.stdout
    assert "resuming from runs/digits/checkpoint.prev.pt, 1 epochs" in result.stdout
    assert rows(checkpoint.parent) == expected


def test_a_damaged_directory_of_the_file_is_noticed(run, checkpoint: Path) -> None:
    content = bytearray(checkpoint.read_bytes())
    content[-44] ^= 1  # zipfile then seeks to nowhere, which is an OSError
    checkpoint.write_bytes(content)
    result = run(*DIGITS, "--epochs", 2)
    assert result.returncode == 0, result.stderr
    assert "Refused" in result.stdout
    assert "checkpoint.prev.pt, 1 epochs" in result.stdout


def test_flipped_bytes_in_the_weights_are_noticed(run, checkpoint: Path) -> None:
    content = bytearray(checkpoint.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(byte ^ 255 for byte in content[middle : middle + 64])
    checkpoint.write_bytes(content)
    assert "Refused" in run(*DIGITS, "--epochs", 2).stdout


def test_without_a_good_checkpoint_training_starts_again_loudly(run, checkpoint: Path) -> None:
    expected = rows(checkpoint.parent)
    for path in (checkpoint, checkpoint.with_name("checkpoint.prev.pt")):
        path.write_bytes(random.randbytes(5000))
    result = run(*DIGITS, "--epochs", 2)
    assert result.returncode == 0
    assert "FROM THE BEGINNING" in result.stdout
    assert rows(checkpoint.parent) == expected


MALICIOUS = """
import pathlib, pickle
class Malicious:
    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path(args[1]),))
state = {"format": "trainer.py checkpoint 3", "network": Malicious()}
with open(args[0], "wb") as file:
    PACK(state, file)
"""


@pytest.mark.parametrize("pack", ["torch.save", "pickle.dump"])
def test_code_in_a_checkpoint_is_not_run(
    run, checkpoint: Path, tmp_path: Path, pack: str, torch_code
) -> None:
    torch_code(MALICIOUS.replace("PACK", pack), checkpoint, tmp_path / "owned")
    result = run(*DIGITS, "--epochs", 2)
    assert result.returncode == 0
    assert "Refused" in result.stdout
    assert not (tmp_path / "owned").exists()


def test_a_file_that_is_no_checkpoint_is_refused(run, checkpoint: Path, torch_code) -> None:
    torch_code("torch.save([1, 2, 3], args[0])", checkpoint)
    assert "Refused" in run(*DIGITS, "--epochs", 2).stdout


@pytest.mark.parametrize("kind", ["main.py checkpoint 1", "trainer.py checkpoint 2", "another"])
def test_a_run_of_another_program_or_template_is_not_overwritten(
    run, checkpoint: Path, torch_code, kind: str
) -> None:
    torch_code(f'torch.save({{"format": "{kind}"}}, args[0])', checkpoint)
    before = contents(checkpoint.parent)
    result = run(*DIGITS, "--epochs", 2)
    assert (result.returncode, "--name" in result.stderr) == (2, True)
    assert contents(checkpoint.parent) == before


@pytest.mark.parametrize("change", [("--lr", "0.1"), ("--batch-size", "32"), ("--seed", "9")])
def test_other_arguments_are_refused_with_a_way_out(run, checkpoint: Path, change) -> None:
    content = checkpoint.read_bytes()
    result = run(*DIGITS, "--epochs", 3, *change)
    assert result.returncode == 2
    assert change[0].strip("-").replace("-", " ") in result.stderr
    assert "--no-resume" in result.stderr
    assert "Traceback" not in result.stderr
    assert checkpoint.read_bytes() == content
    assert run(*DIGITS, "--epochs", 1, *change, "--no-resume").returncode == 0
    assert [row["epoch"] for row in rows(checkpoint.parent)] == [0, 1]


# ------------------------------------------------------------------- data and places


def test_missing_data_says_what_to_run(run) -> None:
    result = run(*MNIST)
    assert result.returncode == 2
    assert "pixi run data" in result.stderr
    assert "--data digits" in result.stderr
    assert "Traceback" not in result.stderr


def test_mnist_comes_out_of_an_archive_without_unpacking(run, tmp_path, mnist_10k) -> None:
    with tarfile.open(tmp_path / "MNIST_data.tar.gz", "w:gz") as tar:
        for path in mnist_10k.iterdir():
            tar.add(path, f"MNIST_data/MNIST/raw/{path.name}")
        evil = tarfile.TarInfo("../outside")
        tar.addfile(evil, io.BytesIO())
    result = run(*MNIST, "--epochs", 1, "--batch-size", 1000)
    assert result.returncode == 0, result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["MNIST_data.tar.gz", "runs"]


def test_unpacked_idx_files_in_the_folder_of_torchvision(run, tmp_path, mnist_10k) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in mnist_10k.glob("*.gz"):
        (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    assert run(*MNIST, "--epochs", 1, "--batch-size", 1000).returncode == 0


def test_damaged_data_is_explained(run, tmp_path, mnist_10k) -> None:
    shutil.copytree(mnist_10k, tmp_path / "data")
    path = tmp_path / "data" / "train-images-idx3-ubyte.gz"
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[: len(content) // 2])
    result = run(*MNIST, "--epochs", 1)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("junk", [b"junk", b"\x1f\x8b\x08\x00"])
def test_a_damaged_archive_is_explained(run, tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "MNIST_data.tar.gz").write_bytes(junk)
    result = run(*MNIST)
    assert result.returncode == 2
    assert "is damaged" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_learning_rate_is_wrong_usage(run) -> None:
    for lr in ("-1", "0", "nan"):
        assert run(*DIGITS, "--lr", lr).returncode == 2


def test_a_device_that_is_not_there_is_named(run, environment: dict[str, str]) -> None:
    hidden = environment | {"CUDA_VISIBLE_DEVICES": ""}
    result = run("--data", "digits", "--device", "cuda", env=hidden)
    assert (result.returncode, "--device cuda" in result.stderr) == (2, True)


def test_wrong_usage_is_exit_code_2(run) -> None:
    assert run("--epochs", 0).returncode == 2
    assert run("--device", "tpu").returncode == 2


def test_home_may_be_unset_and_nothing_is_left_outside_the_runs(run, tmp_path) -> None:
    env = {k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH")}
    result = run(*DIGITS, "--epochs", 1, env=env)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert (tmp_path / "runs" / "digits" / "loss.png").exists()


def test_a_place_that_cannot_be_written_is_one_message(run, tmp_path: Path) -> None:
    if os.geteuid() == 0:  # root may write anywhere but into a file
        (tmp_path / "locked").write_text("")
        place = tmp_path / "locked"
    else:
        place = tmp_path / "locked"
        place.mkdir(mode=0o555)
    result = run(*DIGITS, "--epochs", 1, "--runs-dir", place)
    assert result.returncode == 1
    assert str(place) in result.stderr
    assert "Traceback" not in result.stderr


# ------------------------------------------------------------------ several processes


@pytest.mark.long
def test_two_processes_are_evicted_with_85_and_end_as_if_they_had_never_been(
    start, tmp_path: Path, assert_same_run, evicted: Path
) -> None:
    """`request_gpus = 2` and `--processes 2`: SIGTERM to the first process, as HTCondor sends it."""
    args = (*LONG, "--epochs", "3", "--processes", "2", "--name")
    whole = start(*args, "whole", program=evicted)
    assert whole.process.wait(timeout=600) == 0, whole.output
    early = start(*args, "cut", program=evicted)
    early.wait_for_first_line()
    assert early.signal(signal.SIGTERM) == 85, early.output
    assert "cut: 0 of 3 epochs done" in early.output
    later = start(*args, "cut", program=evicted, EVICT_AT=random.randint(5, 200), EVICT="getppid")
    assert later.process.wait(timeout=600) == 85, later.output
    assert later.output.count("stopped, saved in") == 1
    last = start(*args, "cut", program=evicted)
    assert last.process.wait(timeout=600) == 0, last.output
    assert "resuming from runs/cut/checkpoint.pt, " in last.output
    assert_same_run(tmp_path / "runs" / "cut", tmp_path / "runs" / "whole")
    history = (tmp_path / "runs" / "cut" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["world_size"] for line in history] == [2, 2, 2]


def test_sigint_to_the_first_process_alone_saves_too(start, tmp_path: Path) -> None:
    """As by `kill_sig = SIGINT`; Ctrl-C of a terminal reaches all of them."""
    job = start(*LONG, "--epochs", "3000", "--processes", "2")
    job.wait_for_first_line()
    assert job.signal(signal.SIGINT) == 85, job.output
    assert (tmp_path / "runs" / "digits" / "checkpoint.pt").is_file()


def test_one_of_two_processes_that_fails_ends_both(run, tmp_path: Path, changed) -> None:
    program = changed(
        "    scores = network(images)\n",
        "    import os\n    os.environ.get('RANK') == '1' and os._exit(7)\n"
        "    scores = network(images)\n",
    )
    assert run(*DIGITS, "--processes", "2", program=program).returncode == 7


TOGETHER = """\
import os, time
def state(pid):
    return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
if "RANK" in os.environ:
    parent = os.getppid()
    if os.environ["RANK"] == "3":  # the last; nobody is reaped before all are gone
        os.kill(parent, signal.SIGSTOP)
        if not os.fork():
            children = open(f"/proc/{parent}/task/{parent}/children").read().split()
            while any(state(child) != "Z" for child in children):
                time.sleep(0.01)
            os.kill(parent, signal.SIGCONT)
            os._exit(0)
    while state(parent) != "T":
        time.sleep(0.01)
    os._exit(7)
"""


def test_processes_that_fail_together_end_with_their_code(run, changed) -> None:
    program = changed("import argparse\n", f"{TOGETHER}import argparse\n")
    ended = run(*DIGITS, "--processes", "4", program=program)
    assert (ended.returncode, ended.stderr) == (7, "")


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def workers_of(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children]


@pytest.mark.long
def test_two_processes_of_torchrun_are_evicted_and_go_on(
    start, run, tmp_path: Path, assert_same_run, evicted: Path
) -> None:
    args = (*LONG, "--epochs", "3", "--name")
    whole = start(*args, "whole", launcher=TORCHRUN, program=evicted)
    assert whole.process.wait(timeout=600) == 0, whole.output
    # One of them is enough: they agree to stop. torchrun reports their 85 and itself ends with 1.
    job = start(*args, "cut", launcher=TORCHRUN, program=evicted, EVICT_AT=random.randint(5, 200))
    assert job.process.wait(timeout=600) == 1
    output = job.output
    assert output.count("stopped, saved in") == 1
    assert "85" in output
    again = start(*args, "cut", launcher=TORCHRUN, program=evicted)
    assert again.process.wait(timeout=600) == 0, again.output
    assert "resuming from" in again.output
    assert_same_run(tmp_path / "runs" / "cut", tmp_path / "runs" / "whole")
    longer = run(*LONG, "--name", "cut", program=evicted)  # and one process can take over
    assert longer.returncode == 0, longer.stderr
    assert rows(tmp_path / "runs" / "cut")[-1]["test_accuracy"] > 0.93


def test_an_epoch_of_few_steps_is_stopped_too(start, tmp_path: Path) -> None:
    """The processes ask each other every ten steps, and at the end of each epoch."""
    few = ("--batch-size", "256", "--epochs", "100000", "--name", "few")
    job = start(*DIGITS, *few, launcher=TORCHRUN)
    job.wait_until((tmp_path / "runs" / "few" / "checkpoint.pt").exists)
    os.kill(workers_of(job.process.pid)[-1], signal.SIGTERM)
    assert job.process.wait(timeout=600) == 1
    assert "stopped, saved in" in job.output


def test_another_number_of_processes_can_go_on(
    run, start, tmp_path: Path, evicted: Path, environment: dict[str, str]
) -> None:
    """1437 % 4 = 1: the last batch has one image, and two processes must both have some."""
    args = (*DIGITS, "--batch-size", "4", "--epochs", "1", "--name", "n")
    at = environment | {"EVICT_AT": "30"}
    assert run(*args, program=evicted, env=at).returncode == 85
    again = start(*args, launcher=TORCHRUN, program=evicted)
    assert again.process.wait(timeout=600) == 0, again.output
    assert "resuming from" in again.output
    assert rows(tmp_path / "runs" / "n")[-1]["train_loss"] < 2


def test_sigterm_to_torchrun_itself_saves_too(start, tmp_path: Path, torch_code) -> None:
    folder = tmp_path / "runs" / "digits"
    job = start(*LONG, "--epochs", "3000", launcher=TORCHRUN)
    job.wait_until((folder / "checkpoint.pt").exists)
    code = job.signal(signal.SIGTERM)
    assert code != 0
    assert "stopped, saved in" in job.output, job.output
    code = 'print(torch.load(args[0], weights_only=True)["step"] % 10)'
    assert torch_code(code, folder / "checkpoint.pt") == "0"
