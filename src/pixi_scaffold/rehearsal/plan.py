"""What one job of a submit description asks of a worker, every macro replaced."""

import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import CheckFailed, ScaffoldError, Skipped
from pixi_scaffold.job import Command, Field, Job, Meaning, canonical, meaning, refusals, specs
from pixi_scaffold.rehearsal.matching import Match, matched
from pixi_scaffold.report import in_folder
from pixi_scaffold.system import program, read_regular

UNIVERSES = ("vanilla", "container", "docker")
SCRATCH = re.compile(r"\$\$\(CondorScratchDir\)", re.IGNORECASE)
_SHELL = Path("/bin/sh")
_CHECKPOINT = ("checkpoint_exit_code", "my.wantftoncheckpoint")
_STARTS_AT = "here it starts at once; a pool starts it then"
_NOT_DONE = {
    "deferral_time": _STARTS_AT, "cron_minute": _STARTS_AT, "cron_hour": _STARTS_AT,
    "manifest": "the lists of files that HTCondor writes are not written here",
    "transfer_output": "HTCondor calls stdout by its own name while the job runs",
    "transfer_error": "HTCondor calls stderr by its own name while the job runs",
}  # fmt: skip
"""Command -> what is not as on a pool."""
_ATTRIBUTES = ("arguments", "cmd", "environment", "iwd")
"""What further commands become in the ad."""


@dataclass(frozen=True, slots=True)
class JobRun:
    """One job, ready to be run."""

    job: Job
    proc: int
    name: str
    """What it is called here."""
    success: int
    """The exit code that means that all went well."""
    meaning: Meaning
    meant: Meaning
    """The same with what only its ad and its slot say."""
    iwd: Path
    """The folder that its files start from and come back to."""
    executable: Path
    transfer_executable: bool
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    inputs: tuple[str, ...]
    destination: str
    preserve_paths: bool
    stdin: str
    stdout: str
    stderr: str
    append: bool
    match: Match
    notes: tuple[str, ...] = ()
    """What is taken here for something that only a pool knows."""


def job_name(job: Job, proc: int) -> str:
    """Return what a job is called here, a relative path: its description's, and its number."""
    path = Path(os.path.relpath(job.path, job.folder))
    folders = ("up" if part == ".." else part for part in path.parts[:-1])
    last = path.stem if path.suffix == ".sub" else path.name
    return str(Path(*folders, f"{last}-{proc}"))


def read_plan(job: Job, proc: int) -> JobRun:
    """Return the plan of job number `proc`.

    Raises CheckFailed for what condor_submit refuses, Skipped for a job that is not run here, and
    ScaffoldError for a value that cannot be known here.
    """
    submitted = meaning(job, proc)
    refuse(submitted)
    match, meant = matched(_as_its_ad_says(job), submitted)
    _run_here(meant, match)
    saves, shell = meant.checkpoint_code.value is not None, meant.shell.said
    return JobRun(
        job=job,
        proc=submitted.proc,
        name=job_name(job, submitted.proc),
        success=meant.number("success_exit_code") or 0,
        meaning=submitted,
        meant=meant,
        iwd=meant.folder.value,
        executable=_SHELL if shell else _executable(meant),
        transfer_executable=not shell and meant.transfers_executable,
        arguments=("-c", meant.shell.value) if shell else tuple(map(late, meant.arguments.value)),
        environment=meant.imported() | _of_the_first(meant) | dict(meant.environment.value),
        inputs=tuple(_inputs(meant)),
        destination=meant.of("output_destination").text,
        preserve_paths=meant.of("preserve_relative_paths").value is True,
        stdin=_file(meant, "input"),
        stdout=_file(meant, "output"),
        stderr=_file(meant, "error"),
        append=saves or meant.of("erase_output_and_error_on_restart").value is False,
        match=match,
        notes=(*match.notes, *_notes(submitted, meant)),
    )


def _as_its_ad_says(job: Job) -> Job:
    """Return a job with commands in place of its +Attr, which come last in its ad."""
    commands = dict(job.commands)
    for name, command in job.commands.items():
        attribute = name.removeprefix("my.")
        spec = specs().get(canonical(attribute))
        if attribute == name or spec is None or not command.value:
            continue
        old = attribute == "args" and not job.commands.get("arguments", command).value.startswith(
            '"'
        )
        if attribute != spec.ad.lower() and attribute not in _ATTRIBUTES and not old:
            continue
        if spec.name == _CHECKPOINT[0] and job.commands.keys().isdisjoint(_CHECKPOINT):
            continue
        text = command.value.strip()
        if spec.type not in ("arguments", "environment") and re.fullmatch('".*"', text):
            text = text[1:-1].replace('\\"', '"') or ('""' if spec.type == "files" else "")
        text = "" if text.lower() == "undefined" else text
        commands[spec.name] = command._replace(name=spec.name, value=text)
    return replace(job, commands=commands)


def _of_the_first(meant: Meaning) -> dict[str, str]:
    """Return the environment of the first job of a cluster, which all others have, too.

    Each overrides what it names itself (25.14.1, on a pool).
    """
    first = meant.job.first
    alone = meant.proc == first or not meant.environment.said
    return {} if alone else dict(meaning(meant.job, first).environment.value)


def refuse(meant: Meaning) -> None:
    """Raise CheckFailed for the first thing that condor_submit of 25.14 refuses in a job."""
    for refusal in refusals(meant):
        if not refusal.versions.startswith("before"):
            fix = f"{refusal.fix}; to see all that is wrong: {check_command(meant.job.path)}"
            raise _refused(meant.job, refusal.command, refusal.message, fix)
    if not meant.folder.value.is_dir():
        line, message = meant.of("initialdir").command, f"{meant.folder.value} is no folder"
        raise _refused(meant.job, line, message, "make it, or correct the line")
    owner = meant.attributes.get("Owner", meant.attributes.get("User"))
    if owner is not None:
        import getpass

        with contextlib.suppress(KeyError, OSError):  # an account without a name
            user = getpass.getuser()
            if owner.text.strip('"').partition("@")[0] != user:
                raise _refused(meant.job, owner.command, f"you are {user}", "take the line away")
    sends, path = meant.of("docker_send_credentials"), Path("~/.docker/config.json").expanduser()
    if sends.value is True and not path.is_file():
        fix = "docker login, or take the line away"
        raise _refused(meant.job, sends.command, f"there is no {path}", fix)
    proxy, wanted = meant.of("x509userproxy"), meant.of("use_x509userproxy")
    said = os.environ.get("X509_USER_PROXY", f"/tmp/x509up_u{os.getuid()}")  # noqa: S108
    path = meant.folder.value / (proxy.text or said)
    if (proxy.said or wanted.value is True) and b"-----BEGIN " not in start_of(path):
        line, message = proxy.command or wanted.command, f"{path.name} is no proxy that can be read"
        raise _refused(meant.job, line, message, "make the proxy, or correct the line")


def _refused(job: Job, command: Command | None, message: str, fix: str) -> CheckFailed:
    where = f"{command.spelled} at {command.file}:{command.line}" if command else str(job.path)
    return CheckFailed(f"condor_submit refuses {where}: {message}", fix)


def start_of(path: Path) -> bytes:
    """Return the first 64 KiB of a file; nothing for what is no file, or cannot be read."""
    with contextlib.suppress(OSError):
        return read_regular(path, 1 << 16)
    return b""


def _run_here(meant: Meaning, match: Match) -> None:
    """Raise Skipped for a job that is not run here, ScaffoldError for one that is not known."""
    universe = meant.universe.value
    if universe not in UNIVERSES:
        raise Skipped(f"a job of the {universe} universe is not run here: only vanilla, container")
    for field in () if match.never else meant.fields.values():
        _known(field)
    for name in ("remote_initialdir", "my.jobuniverse"):
        if (text := meant.of(name).text) not in ("", "5"):
            raise Skipped(f"a job with {name.replace('my.', '+')} = {text} is not run here")
    if meant.transfers.value == "no":
        message = (
            "with should_transfer_files = NO the job runs on a file system that machines share"
        )
        raise Skipped(f"{message}: nothing is copied that could be forgotten")


def _known(field: Field[Any]) -> None:
    """Raise ScaffoldError for a value that only a pool knows."""
    unknown = [name for name in field.unknown if not SCRATCH.fullmatch(name)]
    command = field.command
    if unknown and command is not None and not command.name.startswith("my."):
        raise ScaffoldError(
            f"{command.file}:{command.line}: {command.spelled} needs {unknown[0]}, which only "
            "the pool can tell",
            "write a plain value there, or rehearse another description",
        )


def _notes(submitted: Meaning, meant: Meaning) -> Iterator[str]:
    """Yield what is taken here for something that only a pool knows, or that chance decides."""
    for refusal in refusals(meant):
        yield f"{refusal.message} (HTCondor {refusal.versions} refuses it)"
    said = meant.of("should_transfer_files")
    if said.said and meant.transfers.value == "if_needed":
        message = f"should_transfer_files = {said.text}: on a machine that shares your file system"
        yield f"{message} the job runs in your own folder; here its files are transferred"
    for name, field in meant.fields.items():
        spelled = field.command.spelled if field.command else name
        if field.command is not None and "$RANDOM_" in field.command.value.upper():
            yield f"{spelled} is {field.text} here: condor_submit draws at random"
        if name in submitted.fields and submitted.fields[name].unknown and not field.unknown:
            yield f"{spelled} is {field.text} here: each machine fills in $$(...) by itself"
        if name in _NOT_DONE:
            yield f"{spelled} = {field.text}: {_NOT_DONE[name]}"


def _inputs(meant: Meaning) -> Iterator[str]:
    """Yield what is sent to the job: also the programs of `scheme,scheme=PROGRAM; ...`."""
    yield from (*meant.public_inputs.value, *meant.common_inputs.value, *meant.inputs.value)
    pairs = (part.partition("=") for part in meant.of("transfer_plugins").text.split(";"))
    yield from (program.strip() for _, _, program in pairs if program.strip())


def late(value: str) -> str:
    """Return a value as condor_submit leaves it; the starter replaces the mark in variables."""
    return SCRATCH.sub("#CoNdOrScRaTcHdIr#", value)


def _file(meant: Meaning, name: str) -> str:
    text = meant.of(name).text
    return "" if text == "/dev/null" else text


def _executable(meant: Meaning) -> Path:
    """Return the executable; raises CheckFailed for one that condor_submit refuses."""
    name, job = meant.executable.value, meant.job
    if not meant.transfers_executable:
        return Path(name)
    path = job.folder / name  # initialdir does not count here
    if not name:
        raise Skipped("the program of the image is run, which is not done here")
    first = start_of(path).partition(b"\n")[0]
    message, fix = "", "write it"
    if not path.exists():
        message, fix = "is not there", _run_from(job, name) or "correct the line, or make the file"
    elif path.is_file() and path.stat().st_size == 0:
        message = "is empty"
    elif first.startswith(b"#!") and first.endswith(b"\r"):
        message, fix = "has Windows line ends (CRLF)", f"{program()} check --fix"
    if message:
        raise _refused(job, meant.executable.command, f"the executable {name} {message}", fix)
    return path


def check_command(path: Path) -> str:
    """Return the command that says all that is wrong with a description."""
    return f"{program()} check {shlex.quote(os.path.relpath(path))}"


def _run_from(job: Job, name: str) -> str:
    """Return the command that rehearses where the executable is found; empty when nowhere."""
    for folder in job.path.parents[:3]:
        if folder != job.folder and (folder / name).is_file():
            path = shlex.quote(os.path.relpath(job.path, folder))
            where = in_folder(folder, f"{program()} rehearse {path}")
            return f"run it from where you condor_submit it: {where}"
    return ""
