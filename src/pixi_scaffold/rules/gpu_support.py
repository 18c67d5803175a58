"""Rules on the GPUs that a job allows, against what the locked libraries support."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from packaging.version import Version

from pixi_scaffold.job import parse_runtime
from pixi_scaffold.rules.around import Row
from pixi_scaffold.rules.finding import Found, Severity, at, rule, value_edit
from pixi_scaffold.rules.subject import Subject, is_url, version_of
from pixi_scaffold.rules.texts import read_bytes, table


@rule("PS502", Severity.WARNING)
def driver_too_old(subject: Subject) -> Iterator[Found]:
    """The job may land on a driver that is too old for the locked CUDA."""
    row = _gpu_row(subject)
    if row is not None and row.driver is not None:
        need = f"{row.driver[0]}.{row.driver[1]}"
        why = f"the lock has cuda-version {row.cuda} for {row.name}, which needs a driver for CUDA "
        yield from _too_low(subject, _DRIVER, need, why + need)


@rule("PS503", Severity.WARNING)
def gpu_too_old(subject: Subject) -> Iterator[Found]:
    """The job may land on a GPU that the locked libraries do not support."""
    row = _gpu_row(subject)
    need, why = ("", "") if row is None else _capability(row)
    if not need or not subject.gpus:
        return
    yield from _too_low(subject, _CAPABILITY, need, why)
    for command, most in subject.said("gpus_maximum_capability"):
        if re.fullmatch(r"\d+(\.\d+)?", most) and Version(most) < Version(need):
            message = f"only GPUs up to {most} are allowed; {why}"
            yield at(command, message, "raise gpus_maximum_capability")


class _Limited(NamedTuple):
    """What of a GPU is limited, by which command, and how an expression says it."""

    name: str
    command: str
    said: re.Pattern[str]
    unclear: re.Pattern[str] = re.compile(r"\|\||!(?!=)")
    """What makes such an expression mean something else."""


_NAMES_DRIVER = "(?:Driver|Runtime|MaxSupported)Version"
_DRIVER = _Limited("the driver", "gpus_minimum_runtime", re.compile(
    rf"{_NAMES_DRIVER}\s*(?:>=?|==|=\?=)\s*(\d+(?:\.\d+)?)"
    rf"|(\d+(?:\.\d+)?)\s*<=?\s*(?:\w+\.)?(?:GPUs_|CUDA)?{_NAMES_DRIVER}", re.IGNORECASE,
))  # fmt: skip
_CAPABILITY = _Limited("the GPU's generation", "gpus_minimum_capability", re.compile(
    r"Capability\s*(?:>=?|==|=\?=)\s*(\d+(?:\.\d+)?)"
    r"|(\d+(?:\.\d+)?)\s*<=?\s*(?:\w+\.)?\w*Capability"
    r"|DeviceName\s*(?:==|=\?=)", re.IGNORECASE,
), re.compile(r"\|\||!(?!=)|DeviceName\s*(?:==|=\?=)", re.IGNORECASE))  # fmt: skip


def _too_low(subject: Subject, limited: _Limited, need: str, why: str) -> Iterator[Found]:
    """Yield that a job does not limit its GPUs, not enough, or in a way that is not understood."""
    gpus, fix = subject.job.command("request_gpus"), f"{limited.command} = {need}"
    if gpus is None or not subject.gpus:
        return
    command = subject.job.command(limited.command)
    if command is not None:
        version = parse_runtime(subject.meaning.of(limited.command).text)
        if version is not None and Version(f"{version[0]}.{version[1]}") < Version(need):
            edit = value_edit(subject.description, command, need)
            edits = (edit,) if command.line == command.last else ()
            message = f"the limit for {limited.name} is {version[0]}.{version[1]}; {why}"
            yield at(command, message, fix, edits)
        return
    for command, text in subject.said("require_gpus", "requirements"):
        matched = limited.said.search(text)
        if matched is None:
            continue
        least = None if limited.unclear.search(text) else _least(matched)
        if least is None:
            message = f"the limit for {limited.name} is not understood here; {why}"
            yield at(command, message, f"add: {fix}")
        elif least < Version(need):
            yield at(command, f"the limit for {limited.name} is {least}; {why}", fix)
        return
    yield at(gpus, f"no limit for {limited.name}; {why}", f"add: {fix}")


def _least(matched: re.Match[str]) -> Version:
    """Return the least version that a comparison allows."""
    number = matched[1] or matched[2]
    if "maxsupported" in matched[0].lower():
        whole = int(float(number))
        return Version(f"{whole // 1000}.{whole % 1000 // 10}")
    more = re.search(r">\s*\d|\d\s*<\s*\w", matched[0])  # more than 11.8 is 12.0, or newer
    is_driver = "capability" not in matched[0].lower()
    last = next((n for n in _LAST_CUDA if more and is_driver and number.startswith(n)), "")
    return Version(_LAST_CUDA.get(last, number))


_LAST_CUDA = {"11.8": "12.0", "12.9": "13.0"}
"""The last minor version of each CUDA, and what came after it."""


@rule("PS511", Severity.WARNING)
def gpus_that_idle(subject: Subject) -> Iterator[Found]:
    """The job asks for several GPUs, and its program uses one."""
    command, text = subject.job.command("request_gpus"), subject.meaning.requests.gpus.text
    if command is None or not text.isdigit() or int(text) < 2:
        return
    script = "\n".join(line for _, line in subject.worker.code) if subject.worker else ""
    words, programs = f"{subject.meaning.arguments.text}\n{script}", _programs(subject)
    ours = '"--processes"' in programs
    asked = re.search(r"--processes[=\s]+(\d+)", words)
    used = int(asked[1]) if ours and asked else 1
    several = _SEVERAL.search(words if ours else words + programs)
    if several or used >= int(text) or not re.search(r"\b(import|from) torch\b", programs):
        return
    message = f"request_gpus = {text}, and the program runs as {used} process(es), one GPU each"
    fix = (
        f"add to the arguments: --processes {text}; or " if ours else ""
    ) + f"request_gpus = {used}"
    yield at(command, message, fix)


_SEVERAL = re.compile(
    r"torchrun|torch\.distributed|DataParallel|device_count|set_device|cuda:[1-9\{]|device_map|"
    r"(import|from) (accelerate|(pytorch_)?lightning|deepspeed|ray|jax|tensorflow|transformers)\b"
)
"""What may use several GPUs."""


def _programs(subject: Subject) -> str:
    """Return the Python code that travels with the job, also in folders."""
    paths = [*subject.input_files, *filter(None, [subject.executable])]
    files = [f for p in paths for f in (sorted(p.rglob("*.py")) if p.is_dir() else [p])]
    texts = [read_bytes(f) or b"" for f in files if f.suffix == ".py"]
    return b"\n".join(texts).decode("utf-8", "replace")


def _gpu_row(subject: Subject) -> Row | None:
    """Return the locked platform with CUDA; None when the job runs in somebody else's image."""
    image = subject.meaning.of("container_image").text or subject.meaning.of("docker_image").text
    foreign = is_url(image) and "pixi" not in image
    return subject.project.gpu if subject.project and not foreign else None


def _capability(row: Row) -> tuple[str, str]:
    """Return the oldest GPU generation for the locked packages, and why; empty if unknown."""
    best, why = "", ""
    known = table("slots")["cuda"]
    if row.driver and str(row.driver[0]) in known:
        best, source = known[str(row.driver[0])]
        pytorch = f"PyTorch {row.pytorch} with " if row.pytorch else ""
        why = f"{pytorch}CUDA {row.cuda} begins at {best} ({source})"
    since, least, source = known["cudnn"]
    if row.cudnn and version_of(row.cudnn) >= Version(since) and float(best or 0) < float(least):
        best, why = least, f"cuDNN {row.cudnn} can crash below {least} ({source})"
    return best, why
