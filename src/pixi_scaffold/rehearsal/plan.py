"""What one job of a submit description asks of a worker, every macro replaced."""

from __future__ import annotations

import os
import re
import shlex
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from pixi_scaffold.errors import CheckFailed, ScaffoldError, Skipped
from pixi_scaffold.job import (
    Job,
    QuotingError,
    as_integer,
    parse_size,
    split_arguments,
    split_environment,
)
from pixi_scaffold.rehearsal.numbers import job_name
from pixi_scaffold.report import in_folder
from pixi_scaffold.system import program

KIB, MIB = 1 << 10, 1 << 20
DEFAULT_MEMORY = 128 * MIB
"""What a slot gets when request_memory is not set (JOB_DEFAULT_REQUESTMEMORY)."""
UNIVERSES = ("vanilla", "container", "docker", "5")
_ENV = re.compile(r"\$ENV\(\s*([A-Za-z_][A-Za-z_0-9]*)\s*(?::([^()]*))?\)")
_SCRATCH = "$$(CondorScratchDir)"
_SHELL = Path("/bin/sh")


@dataclass(frozen=True, slots=True)
class Plan:
    """One job, ready to be run.

    iwd: the folder that its files start from and come back to. outputs: None means every file that
    is new or changed. said_success: success_exit_code, where it is set. checkpoint_files: None
    means the outputs. vacate: seconds that it asks for when it is evicted. execute_duration,
    job_duration: seconds that one run may take, and all that is done in one sandbox. memory and
    disk: bytes; None for an expression that only a pool evaluates. ad: attributes for the job ad,
    as expressions. notes: what is taken here for something that only a pool knows.
    """

    job: Job
    proc: int
    iwd: Path
    executable: Path
    transfer_executable: bool
    arguments: tuple[str, ...]
    old_arguments: bool
    environment: Mapping[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] | None
    remaps: Mapping[str, str]
    destination: str
    preserve_paths: bool
    stdin: str
    stdout: str
    stderr: str
    append: bool
    when: str
    said_success: int | None
    checkpoint_code: int | None
    checkpoint_files: tuple[str, ...] | None
    kill_signal: int
    vacate: float | None
    execute_duration: float | None
    job_duration: float | None
    cpus: int
    gpus: int
    memory: int | None
    disk: int | None
    universe: str
    ad: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return what the job is called here."""
        return job_name(self.job, self.proc)

    @property
    def success(self) -> int:
        """Return the exit code that means that all went well."""
        return 0 if self.said_success is None else self.said_success

    @property
    def keeps_at_eviction(self) -> bool:
        """Whether what is there when it is evicted is kept (ON_EXIT_OR_EVICT)."""
        return self.when == "ON_EXIT_OR_EVICT"


def read_plan(job: Job, proc: int) -> Plan:
    """Return the plan of job number `proc`.

    $ENV(X) is read from this process's environment, as condor_submit would. Raises CheckFailed for
    what condor_submit refuses, Skipped for a job that is not run here, and ScaffoldError for a
    value that cannot be known here.
    """
    reader = _Reader(_with_env(job), proc)
    universe = (reader.text("universe") or "vanilla").lower()
    if universe not in UNIVERSES:
        raise Skipped(f"a job of the {universe} universe is not run here: only vanilla, container")
    transfer = (reader.text("should_transfer_files") or "").upper()
    if transfer == "NO":
        what = "with should_transfer_files = NO the job runs on a file system that machines share"
        raise Skipped(f"{what}: nothing is copied that could be forgotten")
    iwd = job.folder / (reader.text("initialdir") or "")
    if not iwd.is_dir():
        raise reader.refused("initialdir", f"{iwd} is no folder", "make it, or correct the line")
    notes = []
    if transfer == "IF_NEEDED":
        what = "should_transfer_files = IF_NEEDED: on a machine that shares your file system"
        notes.append(f"{what} the job runs in your own folder; here its files are transferred")
    cpus = reader.number("request_cpus")
    if cpus is None and reader.text("request_cpus") is not None:
        notes.append("request_cpus is an expression that only the pool evaluates: 1 is taken")
    for name in ("remove_kill_sig", "hold_kill_sig"):
        reader.signal(name)
    shell = reader.shell()
    when = (reader.text("when_to_transfer_output") or "ON_EXIT").upper()
    code = reader.number("checkpoint_exit_code")
    disk, memory = reader.text("request_disk"), reader.text("request_memory")
    return Plan(
        job=reader.job,
        proc=proc,
        iwd=iwd,
        executable=reader.executable(job.folder) if shell is None else _SHELL,
        transfer_executable=shell is None and reader.transfers_executable,
        arguments=reader.arguments() if shell is None else ("-c", shell),
        old_arguments=shell is None and not (reader.text("arguments") or '"').startswith('"'),
        environment=reader.environment(),
        inputs=reader.inputs(),
        outputs=reader.names("transfer_output_files"),
        remaps=reader.remaps(),
        destination=reader.text("output_destination") or "",
        preserve_paths=reader.job.flag("preserve_relative_paths", False),
        stdin=_file(reader.text("input")),
        stdout=_file(reader.text("output")),
        stderr=_file(reader.text("error")),
        append=code is not None or not reader.job.flag("erase_output_and_error_on_restart", True),
        when=when,
        said_success=reader.number("success_exit_code"),
        checkpoint_code=code,
        checkpoint_files=reader.names("transfer_checkpoint_files"),
        kill_signal=reader.signal("kill_sig"),
        vacate=reader.number("job_max_vacate_time"),
        execute_duration=reader.number("allowed_execute_duration"),
        job_duration=reader.number("allowed_job_duration"),
        cpus=cpus or 1,
        gpus=reader.number("request_gpus") or 0,
        memory=DEFAULT_MEMORY if memory is None else _size(memory, MIB),
        disk=None if disk is None else _size(disk, KIB),
        universe=universe,
        ad=reader.attributes(),
        notes=tuple(notes),
    )


def _size(text: str, unit: int) -> int | None:
    """Return a size or plain arithmetic (`100 * 2`) in bytes."""
    found = parse_size(text, unit)
    if found is None and (value := as_integer(text)) is not None:
        return int(value) * unit
    return found


def _file(name: str | None) -> str:
    return "" if name in (None, "/dev/null") else str(name)


def _with_env(job: Job) -> Job:
    """Return the job with $ENV(X) replaced from this process's environment."""

    def known(value: str) -> str:
        return _ENV.sub(lambda m: os.environ.get(m[1], m[2] or ""), value)

    commands = {k: replace(c, value=known(c.value)) for k, c in job.commands.items()}
    return replace(job, commands=commands, macros={k: known(v) for k, v in job.macros.items()})


@dataclass(frozen=True, slots=True)
class _Reader:
    """Values of one job."""

    job: Job
    proc: int

    def text(self, name: str) -> str | None:
        command = self.job.command(name)
        if command is None:
            return None
        expanded = self.job.expand(command.value, self.proc)
        unknown = [u for u in expanded.unknown if u.lower() != _SCRATCH.lower()]
        if unknown:
            raise ScaffoldError(
                f"{command.file}:{command.line}: {command.spelled} needs {unknown[0]}, which only "
                "the pool can tell",
                "write a plain value there, or rehearse another description",
            )
        return expanded.text.strip()

    def number(self, name: str) -> int | None:
        """Return a whole number, also `1 + 1`; another expression counts as not set."""
        found = as_integer(self.text(name) or "")
        return None if found is None or abs(found) >= 1e9 else int(found)

    def refused(self, name: str, why: str, hint: str) -> CheckFailed:
        """Return the error for a command that condor_submit refuses, with its line."""
        command = self.job.command(name)
        where = f"{command.file}:{command.line}" if command else str(self.job.path)
        return CheckFailed(f"condor_submit refuses {name} at {where}: {why}", hint)

    def names(self, name: str) -> tuple[str, ...] | None:
        text = self.text(name)
        if text is None:
            return None
        return tuple(part.strip() for part in text.strip('"').split(",") if part.strip())

    def inputs(self) -> tuple[str, ...]:
        return (
            *(self.names("public_input_files") or ()),
            *(self.names("transfer_input_files") or ()),
            *(
                self.names("transfer_common_input") or ()
            ),  # once a machine; the job sees no difference
        )

    @property
    def transfers_executable(self) -> bool:
        return self.job.flag("transfer_executable", True)

    def shell(self) -> str | None:
        """Return the command line that `shell` has in place of an executable."""
        return None if self.text("executable") is not None else self.text("shell")

    def executable(self, folder: Path) -> Path:
        """Return the executable; raises CheckFailed for one that condor_submit refuses."""
        name = self.text("executable")
        if name is None:
            raise self.refused("executable", "there is none", "add: executable = FILE")
        path = folder / name  # initialdir does not count here
        if not self.transfers_executable:
            return Path(name)
        if not path.exists():
            hint = _run_from(self.job, name) or "correct the line, or make the file"
            raise self.refused("executable", f"the executable {name} is not there", hint)
        if path.is_file() and path.stat().st_size == 0:
            raise self.refused("executable", f"the executable {name} is empty", "write it")
        return path

    def arguments(self) -> tuple[str, ...]:
        name = "arguments" if self.text("arguments") else "arguments2"
        try:
            return split_arguments(self.text(name) or "")
        except QuotingError as error:
            raise self.refused("arguments", str(error), _check(self.job)) from error

    def environment(self) -> dict[str, str]:
        wanted = (self.text("getenv") or "false").strip('"')
        name = "environment" if self.text("environment") else "environment2"
        try:
            own = split_environment(self.text(name) or "")
        except QuotingError as error:
            raise self.refused("environment", str(error), _check(self.job)) from error
        return _imported(wanted) | own

    def remaps(self) -> dict[str, str]:
        text = (self.text("transfer_output_remaps") or "").strip().strip('"')
        pairs = (part.partition("=") for part in text.split(";") if part.strip())
        return {name.strip(): target.strip() for name, _, target in pairs}

    def signal(self, name: str) -> int:
        text = (self.text(name) or "SIGTERM").upper()
        if text.isdecimal():
            return int(text)
        found = getattr(signal, text, None) if text.startswith("SIG") else None
        if not isinstance(found, signal.Signals):
            hint = "write a number, or a name such as SIGTERM"
            raise self.refused(name, f"{text} is no signal", hint)
        return int(found)

    def attributes(self) -> dict[str, str]:
        """Return the +Attr and MY.Attr of the description."""
        own = (c for n, c in self.job.commands.items() if n.startswith("my.") and c.value.strip())
        return {
            c.name.removeprefix("my.")
            if "." in c.spelled
            else c.spelled.lstrip("+"): self.job.expand(c.value, self.proc).text
            for c in own
        }


def _check(job: Job) -> str:
    path = shlex.quote(os.path.relpath(job.path))
    return f"correct that line; to see all that is wrong: {program()} check {path}"


def _run_from(job: Job, name: str) -> str:
    """Return the command that rehearses where the executable is found; empty when nowhere."""
    for folder in job.path.parents[:3]:
        if folder != job.folder and (folder / name).is_file():
            path = shlex.quote(os.path.relpath(job.path, folder))
            where = in_folder(folder, f"{program()} rehearse {path}")
            return f"run it from where you condor_submit it: {where}"
    return ""


def _imported(wanted: str) -> dict[str, str]:
    """Return what `getenv` takes over from here: true, or patterns, a `!` before one excludes."""
    if wanted.lower() in ("false", "no", "f", ""):
        return {}
    if wanted.lower() in ("true", "yes", "t"):
        return dict(os.environ)
    patterns = [part for part in re.split(r"[,\s]+", wanted) if part]
    names: set[str] = set()
    if all(p.startswith("!") for p in patterns):
        names = set(os.environ)
    for pattern in patterns:
        found = {n for n in os.environ if fnmatchcase(n, pattern.lstrip("!"))}
        names = names - found if pattern.startswith("!") else names | found
    return {name: os.environ[name] for name in sorted(names)}
