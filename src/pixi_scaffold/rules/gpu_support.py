"""Rules on the GPUs that a job allows, against what the locked libraries support."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.version import Version

from pixi_scaffold.job import Command, parse_runtime
from pixi_scaffold.rules.around import Row
from pixi_scaffold.rules.finding import Edit, Found, Severity, at, rule, value_edit
from pixi_scaffold.rules.subject import Subject, is_url, version_of
from pixi_scaffold.rules.texts import read_bytes

CUDA_CAPABILITY = {
    11: ("3.5", "the CUDA 11 toolkit's release notes"),
    12: ("5.0", "the CUDA 12 toolkit's release notes, and conda-forge's build of PyTorch"),
    13: ("7.5", "the CUDA 13 toolkit's release notes, and conda-forge's build of PyTorch"),
}
"""CUDA major -> the oldest GPU generation, and who says so."""
CUDNN = ("9.11", "7.5", "conda-forge/cudnn-feedstock issue 124")
"""From this cuDNN on, GPUs before Turing (below this capability) can crash."""


@rule("PS502", Severity.WARNING)
def driver_too_old(subject: Subject) -> Iterator[Found]:
    """The job may land on a driver that is too old for the locked CUDA."""
    row = _gpu_row(subject)
    gpus = subject.job.command("request_gpus")
    if row is None or row.driver is None or gpus is None or not subject.gpus:
        return
    need = f"{row.driver[0]}.{row.driver[1]}"
    why = (
        f"the lock has cuda-version {row.cuda} for {row.name}, which needs a driver for CUDA {need}"
    )
    limit = driver_limit(subject)
    if limit is None:
        yield at(gpus, f"no limit for the driver; {why}", f"add: gpus_minimum_runtime = {need}")
        return
    command, version = limit
    if version is None and command.name in ("require_gpus", "requirements"):
        message = f"the limit for the driver is not understood here ('||' or '!'); {why}"
        yield at(command, message, f"add: gpus_minimum_runtime = {need}", severity=Severity.WARNING)
    if version is not None and version < row.driver:
        text = f"{version[0]}.{version[1]}"
        edits: tuple[Edit, ...] = ()
        if command.name == "gpus_minimum_runtime" and command.line == command.last:
            edits = (value_edit(subject.description, command, need),)
        message = f"the driver limit is {text}; {why}"
        yield at(command, message, f"gpus_minimum_runtime = {need}", edits)


@rule("PS503", Severity.WARNING)
def gpu_too_old(subject: Subject) -> Iterator[Found]:
    """The job may land on a GPU that the locked libraries do not support."""
    row = _gpu_row(subject)
    gpus = subject.job.command("request_gpus")
    if row is None or gpus is None or not subject.gpus:
        return
    need, why = _capability(row)
    if not need:
        return
    command = subject.job.command("gpus_minimum_capability")
    if command is None:
        limit = capability_limit(subject)
        if limit is None:
            fix = f"add: gpus_minimum_capability = {need}"
            yield at(gpus, f"no limit for the GPU's generation; {why}", fix)
            return
        required, least = limit
        if least is None:
            message = f"the limit for the GPU's generation is not understood here; {why}"
            fix = f"add: gpus_minimum_capability = {need}"
            yield at(required, message, fix, severity=Severity.WARNING)
        elif least < Version(need):
            message = f"the limit for the GPU's generation is {least}; {why}"
            yield at(required, message, f"Capability >= {need}")
        return
    most = subject.meaning.of("gpus_maximum_capability").text
    if re.fullmatch(r"\d+(\.\d+)?", most) and float(most) < float(need):
        message = f"only GPUs up to {most} are allowed; {why}"
        yield at(command, message, "raise gpus_maximum_capability")
    text = subject.meaning.of("gpus_minimum_capability").text
    if re.fullmatch(r"\d+(\.\d+)?", text) and float(text) < float(need):
        edits = (
            (value_edit(subject.description, command, need),)
            if command.line == command.last
            else ()
        )
        message = f"the limit for the GPU's generation is {text}; {why}"
        yield at(command, message, f"gpus_minimum_capability = {need}", edits)


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
    if row.driver and row.driver[0] in CUDA_CAPABILITY:
        best, source = CUDA_CAPABILITY[row.driver[0]]
        pytorch = f"PyTorch {row.pytorch} with " if row.pytorch else ""
        why = f"{pytorch}CUDA {row.cuda} begins at {best} ({source})"
    if (
        row.cudnn
        and version_of(row.cudnn) >= Version(CUDNN[0])
        and float(best or 0) < float(CUDNN[1])
    ):
        best, why = CUDNN[1], f"cuDNN {row.cudnn} can crash below {CUDNN[1]} ({CUDNN[2]})"
    return best, why


def capability_limit(subject: Subject) -> tuple[Command, Version | None] | None:
    """Return the command that limits the GPU's generation, and the least that it allows.

    None for the least: it is limited in a way that is not understood, such as by the GPU's name.
    """
    for command, text in subject.said("require_gpus", "requirements"):
        if re.search(r"DeviceName\s*(?:==|=\?=)", text, re.IGNORECASE):
            return command, None
        matched = _CAPABILITY.search(text)
        if matched is not None:
            alternatives = "||" in text or re.search(r"!(?![=])", text)
            return command, None if alternatives else Version(matched[1] or matched[2])
    return None


_CAPABILITY = re.compile(
    r"Capability\s*(?:>=?|==|=\?=)\s*(\d+(?:\.\d+)?)"
    r"|(\d+(?:\.\d+)?)\s*<=?\s*(?:\w+\.)?\w*Capability",
    re.IGNORECASE,
)


def driver_limit(subject: Subject) -> tuple[Command, tuple[int, int] | None] | None:
    """Return the command that limits the driver, and its CUDA version if that is a number."""
    command = subject.job.command("gpus_minimum_runtime")
    if command is not None:
        return command, parse_runtime(subject.meaning.of("gpus_minimum_runtime").text)
    for name in ("require_gpus", "requirements"):
        command, text = subject.job.command(name), subject.meaning.of(name).text
        matched = _DRIVER.search(text)
        if command is None or matched is None:
            continue
        if "||" in text or re.search(r"!(?![=])", text):
            return command, None
        number = next(g for g in matched.groups() if g)
        major, _, minor = number.partition(".")
        if re.search(r">\s*\d|\d\s*<\s*\w", matched[0]):  # more than 11.8 is 12.0, or newer
            minor = minor or "0"
            following = {"11": (8, "12"), "12": (9, "13")}.get(major)
            if following and int(minor[:2]) >= following[0]:
                major, minor = following[1], "0"
        if "maxsupported" in matched[0].lower():
            return command, (int(major) // 1000, int(major) % 1000 // 10)
        return command, (int(major), int(minor[:2] or 0))
    return None


_DRIVER = re.compile(
    r"(?:DriverVersion|RuntimeVersion|MaxSupportedVersion)\s*(?:>=?|==|=\?=)\s*(\d+(?:\.\d+)?)"
    r"|(\d+(?:\.\d+)?)\s*<=?\s*(?:\w+\.)?(?:GPUs_|CUDA)?(?:DriverVersion|RuntimeVersion|MaxSupportedVersion)",
    re.IGNORECASE,
)
