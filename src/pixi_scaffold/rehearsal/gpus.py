"""Which GPUs a rehearsed job gets, each for one job at a time, and on what it then ran."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pixi_scaffold.rehearsal.failure import why_on_the_cpu
from pixi_scaffold.rehearsal.outcome import Rehearsed
from pixi_scaffold.report import Result, Status
from pixi_scaffold.system import read_regular, run, which

RECORD = "config.json"
"""Where a program of the template says on what it trained: cpu, mps, or a GPU's name."""
LARGEST = 1 << 20


def device_rows(done: list[Rehearsed]) -> list[Result]:
    """Return on what the jobs that ask for a GPU ran; a warning when that is something else.

    A process that has a GPU open has not computed there: PyTorch opens it to count GPUs (seen on an
    H200 with a training on the CPU). So the job's own record goes first.
    """
    ran = [d for d in done if d.outcome.attempts and d.plan.match.gpus]
    if not ran:
        return []
    if not ran[0].real_gpu:
        return [Result("device", Status.PASSED, detail="the CPU: this machine has no GPU")]
    recorded = {device: name for d in ran for device, name in recorded_devices(d).items()}
    if gpu := next((device for device in recorded if device not in ("cpu", "mps")), None):
        return [Result("device", Status.PASSED, detail=f"{gpu}, as {recorded[gpu]} says")]
    detail = "the CPU, although the job asks for a GPU and this machine has one: "
    if "cpu" in recorded:
        return [Result("device", Status.SKIPPED, detail=f"{detail}so says {recorded['cpu']}")]
    if any(d.outcome.usage.gpu for d in ran):
        seen = "the job opened a GPU of this machine; whether it computed there is not seen"
        return [Result("device", Status.PASSED, detail=seen)]
    return [Result("device", Status.SKIPPED, detail=detail + why_on_the_cpu(ran[0]))]


def recorded_devices(done: Rehearsed) -> dict[str, str]:
    """Return the devices that the records say which a job brought back, each with its record."""
    devices = {}
    for name in done.outcome.brought:
        if name.rpartition("/")[2] == RECORD:
            try:
                record = json.loads(read_regular(done.outcome.results / name, LARGEST))
                if record["torch"]:  # a config.json of something else may say "auto"
                    devices[str(record["device"])] = name
            except (OSError, ValueError, KeyError, TypeError):
                continue
    return devices


def found_gpus() -> tuple[str, ...]:
    """Return the ids of this machine's GPUs."""
    if which("nvidia-smi") is None:
        return ()
    done = run(["nvidia-smi", "-L"], timeout=20)
    return gpu_ids(done.output) if done.code == 0 else ()


def gpu_ids(listing: str) -> tuple[str, ...]:
    """Return the ids of the GPUs that `nvidia-smi -L` lists."""
    return tuple(re.findall(r"\(UUID: (GPU-[0-9a-f-]+)\)", listing))


class Gpus:
    """The GPUs of this machine, lent to jobs that run at the same time."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.all = tuple(ids)
        self._free = list(ids)
        self._changed = threading.Condition()

    @contextmanager
    def lent(self, wanted: int, go_on: Callable[[], None]) -> Iterator[tuple[str, ...]]:
        """Give so many ids: real ones, for which it waits, then mere names for more than all.

        go_on: called while it waits; what it raises ends that.
        """
        real = min(wanted, len(self.all))
        with self._changed:
            while len(self._free) < real:
                go_on()
                self._changed.wait(0.1)
            lent_out, self._free = self._free[:real], self._free[real:]
        try:
            yield (*lent_out, *(f"GPU-{n:08x}" for n in range(1, wanted - real + 1)))
        finally:
            with self._changed:
                self._free += lent_out
                self._changed.notify_all()
