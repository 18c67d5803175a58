"""Rules on the job against the project's lock: GPUs, disk, bandwidth, the pinned Pixi."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.version import Version

from pixi_scaffold.job import parse_runtime, parse_size
from pixi_scaffold.rules.around import Row
from pixi_scaffold.rules.files import to_be_made
from pixi_scaffold.rules.finding import Found, Severity, added_inputs, at, replaced, rule
from pixi_scaffold.rules.subject import Subject, is_url, version_of
from pixi_scaffold.rules.texts import read_bytes, table

GIB = 1 << 30
BANDWIDTH_LIMIT = 40 * GIB
"""Bytes that the jobs of one submission may download before it is called a bomb."""
UNPACKED = 2
"""How many times larger an environment is than its packages, at least (see docs/explanation/)."""

PIXI_FORMATS = ((7, "0.68.0"), (6, "0.39.3"), (5, "0.22.0"))
"""Lock format, and a Pixi before which none reads it.

Sources: Pixi's changelog for 7; for 6 and 5 the release with which Pixi's own lock was first
written so.
"""


@rule("PS501", Severity.WARNING)
def bandwidth_bomb(subject: Subject) -> Iterator[Found]:
    """Many jobs that each download the whole environment."""
    row, jobs, queue = _row(subject), subject.description.jobs, subject.job.queue
    if row is None or subject.delivery != "bootstrap" or subject.job != jobs[-1]:
        return
    total = sum(job.queue.total for job in jobs)
    if (every := total * row.download) >= BANDWIDTH_LIMIT:
        message = f"each job downloads {_gib(row.download)} GiB: {total} jobs {_gib(every)} GiB"
        fix = "deliver the environment packed or in an image"
        yield at(queue, message, fix)


@rule("PS504", Severity.WARNING)
def disk_too_small(subject: Subject) -> Iterator[Found]:
    """The disk that is asked for cannot hold the environment."""
    row, command = _row(subject), subject.job.command("request_disk")
    if row is None or subject.project is None or subject.delivery not in ("bootstrap", "pack"):
        return
    text = subject.meaning.of("request_disk").text.split(",")[0]
    size = parse_size(text, 1 << 10) if text else 1 << 30  # the pool's default, 1 GB on most
    packed = subject.packed.values()  # what is in the archive, where that can be told
    row = next((r for r in subject.project.rows if r.builds in packed), row)
    archive = subject.delivery == "pack"
    need = row.download * (UNPACKED + archive)
    if size is None or size <= 0 or size >= need:
        return
    unit, name = (GIB, "GB") if need > GIB else (1 << 20, "MB")
    wanted = f"request_disk = {-(-need * 5 // 4 // unit)}{name}"
    message = (
        f"{row.packages} packages of {_gib(row.download)} GiB unpack to at least "
        f"{_gib(row.download * UNPACKED)} GiB" + ", beside the archive" * archive
    )
    if command is None:
        queue = subject.job.queue
        said = f"request_disk is not set, so that the pool's default counts; {message}"
        yield at(queue, said, f"add: {wanted}")
        return
    yield at(command, f"{command.spelled} = {text}; {message}", wanted)


@rule("PS505", Severity.WARNING)
def gpu_and_lock_disagree(subject: Subject) -> Iterator[Found]:
    """A GPU is asked for and the lock has none, or the reverse."""
    project, gpus = subject.project, subject.job.command("request_gpus")
    if project is None or not project.linux or not subject.delivery:
        return
    if subject.gpus and gpus is not None and project.gpu is None:
        names = ", ".join(row.name for row in project.linux)
        message = f"request_gpus, but pixi.lock has no CUDA packages for {names}"
        yield at(gpus, message, "lock a platform with CUDA, or remove request_gpus")
    elif not subject.gpus and project.cpu is None and subject.description.queues:
        command = gpus or subject.job.command("executable")
        row = project.gpu
        if command is not None and row is not None:
            message = f"no GPU is asked for, but pixi.lock has only {row.name}, which needs one"
            yield at(command, message, "add: request_gpus = 1")


@rule("PS506")
def manifest_stays_here(subject: Subject) -> Iterator[Found]:
    """The worker installs from a manifest and a lock that are not transferred."""
    project = subject.project
    if project is None or subject.delivery != "bootstrap" or not subject.transfers:
        return
    missing = [p.name for p in (project.manifest, project.lock) if p.name not in subject.arrives]
    command = subject.where("transfer_input_files", "executable")
    if not missing or command is None:
        return
    if any("git clone" in line for script in subject.scripts for _, line in script.code):
        return  # the clone may have them
    yield at(
        command,
        f"the worker installs with Pixi, and {' and '.join(missing)} stays here",
        f"add {', '.join(missing)} to transfer_input_files",
        added_inputs(subject, missing),
        None if subject.surely_transfers else Severity.WARNING,
    )


@rule("PS507")
def pixi_too_old(subject: Subject) -> Iterator[Found]:
    """The Pixi that the worker script pins cannot read the lock or the manifest."""
    project = subject.project
    if project is None:
        return
    needed = next((v for f, v in PIXI_FORMATS if project.lock_format >= f), "0")
    for file, number, version in _pinned(subject):
        if version < Version(needed):
            message = f"Pixi {version} cannot read lock format {project.lock_format} of "
            yield Found(file, number, message + project.lock.name, f"pin {needed} or newer")
        elif refusal := project.refuses_pixi(str(version)):
            message = f"Pixi {version} is pinned, and {refusal}"
            yield Found(file, number, message, "pin a version in that range")


@rule("PS509", Severity.WARNING)
def archive_of_another_lock(subject: Subject) -> Iterator[Found]:
    """The packed environment is not of this lock, or not for this job's platform."""
    command, row = subject.job.command("transfer_input_files"), _row(subject)
    if command is None or row is None or subject.project is None:
        return
    for path, builds in subject.packed.items():
        if builds == row.builds:
            continue
        name = path.name
        other = next((r for r in subject.project.rows if r.builds == builds), None)
        if other is not None:
            message = f"{name} is for {other.name}, and this job gets {row.name}"
            fix = f"pixi-scaffold pack --platform {row.name}"
        else:
            lacks = sorted(row.builds - builds) or sorted(builds - row.builds)
            message = f"{name} was made from another lock: {lacks[0]} is in one of the two only"
            fix = "pixi-scaffold pack"
        yield at(command, message, fix, about=name)


@rule("PS512", Severity.NOTE)
def image_older_than_the_lock(subject: Subject) -> Iterator[Found]:
    """The image is older than the lock."""
    command, project = subject.job.command("container_image"), subject.project
    for name in subject.images:
        image = subject.start / name
        if command is None or project is None or not (image.is_file() and project.lock.is_file()):
            continue
        if image.stat().st_mtime < project.lock.stat().st_mtime:
            message = f"{name} is older than {project.lock.name}: it may lack what was locked since"
            maker = to_be_made(subject, name)
            yield at(command, message, maker or "build it again, where the lock did change")


@rule("PS508")
def no_linux(subject: Subject) -> Iterator[Found]:
    """The lock has no platform for a worker."""
    project, command = subject.project, subject.job.command("executable")
    if project is None or not project.rows or project.linux or command is None:
        return
    if subject.delivery:
        names = ", ".join(row.name for row in project.rows)
        yield at(command, f"pixi.lock has only {names}", "add linux-64 to the platforms, then lock")


def _row(subject: Subject) -> Row | None:
    """Return the locked platform that the worker would install."""
    project = subject.project
    if project is None or not project.linux:
        return None
    return (project.gpu if subject.gpus else project.cpu) or project.linux[0]


_PINS = re.compile(
    r"(?:pixi_version|PIXI_VERSION)=[\"']?(?:\$\{\w+:?-)?v?(\d+\.\d+\.\d+)"
    r"|pixi/releases/download/v(\d+\.\d+\.\d+)|prefix-dev/pixi:(\d+\.\d+\.\d+)"
)


def _pinned(subject: Subject) -> Iterator[tuple[Path, int, Version]]:
    """Yield the Pixi versions that the scripts, the image or the environment pin, and where."""
    lines = [(s.path, number, line) for s in subject.scripts for number, line in s.code]
    names = ("container_image", "docker_image", "environment", "environment2")
    lines += [(command.file, command.line, text) for command, text in subject.said(*names)]
    for file, number, line in lines:
        for matched in _PINS.finditer(line):
            yield file, number, version_of(next(g for g in matched.groups() if g))


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}" if size < 100 * GIB else f"{size / GIB:.0f}"


@rule("PS502", Severity.WARNING)
def driver_too_old(subject: Subject) -> Iterator[Found]:
    """The job may land on a driver that is too old for the locked CUDA."""
    row = _gpu_row(subject)
    if row is not None and row.driver is not None:
        need = f"{row.driver[0]}.{row.driver[1]}"
        why = f"the lock has cuda-version {row.cuda} for {row.name}, which needs a driver for CUDA "
        yield from _too_low(subject, _DRIVER, need, why + need)
    for command, text in subject.said("container_image", "docker_image") if row is None else ():
        if matched := re.search(r"\bcuda[-_:]?(1[1-9])(?!\d)", text):
            why = f"{command.spelled} has CUDA {matched[1]}, so it needs a driver for that"
            yield from _too_low(subject, _DRIVER, f"{matched[1]}.0", why)


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
            edits = replaced(subject, command, command.value.strip(), need)
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
    more = f"add to the arguments: --processes {text}; or " if ours else ""
    yield at(command, message, f"{more}request_gpus = {used}")


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
