"""On what a rehearsed job ran: as its own record says, or as far as it can be seen from outside."""

from __future__ import annotations

import json

from pixi_scaffold.rehearsal.failure import why_on_the_cpu
from pixi_scaffold.rehearsal.rehearsed import Rehearsed
from pixi_scaffold.report import Result, Status
from pixi_scaffold.system import read_regular

RECORD = "config.json"
"""Where a program of the template says on what it trained: cpu, mps, or a GPU's name."""
LARGEST = 1 << 20


def device_rows(done: list[Rehearsed]) -> list[Result]:
    """Return on what the jobs that ask for a GPU ran; a warning when that is something else.

    A process that has a GPU open has not computed there: PyTorch opens it to count GPUs (seen on an
    H200 with a training on the CPU). So the job's own record goes first.
    """
    ran = [d for d in done if d.outcome.attempts and d.plan.gpus]
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
