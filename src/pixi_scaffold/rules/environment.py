"""Rules on the job against the project's lock: GPUs, disk, bandwidth, the pinned Pixi."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from packaging.version import Version

from pixi_scaffold.job import parse_size
from pixi_scaffold.rules.around import Row
from pixi_scaffold.rules.files import to_be_made
from pixi_scaffold.rules.finding import Found, Severity, added_inputs, at, rule
from pixi_scaffold.rules.subject import Subject, version_of

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
        yield Found(queue.file, queue.line, message, fix)


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
        yield Found(queue.file, queue.line, said, f"add: {wanted}")
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
