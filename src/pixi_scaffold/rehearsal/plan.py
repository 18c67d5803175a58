"""What one job of a submit description asks of a worker, every macro replaced."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from pixi_scaffold.errors import CheckFailed, ScaffoldError, Skipped
from pixi_scaffold.job import Job
from pixi_scaffold.job.words import (
    QuotingError,
    parse_size,
    split_arguments,
    split_environment,
)

KIB, MIB = 1 << 10, 1 << 20
DEFAULT_MEMORY = 128 * MIB
"""What a slot gets when request_memory is not set (JOB_DEFAULT_REQUESTMEMORY)."""
UNIVERSES = ("vanilla", "container", "docker", "5")
_ENV = re.compile(r"\$ENV\(\s*([A-Za-z_][A-Za-z_0-9]*)\s*(?::([^()]*))?\)")
_SCRATCH = "$$(CondorScratchDir)"


@dataclass(frozen=True, slots=True)
class Plan:
    """One job, ready to be run.

    iwd: the folder that its files start from and come back to. outputs: None means every file that
    is new or changed. checkpoint_files: None means the outputs. vacate: seconds that it asks for
    when it is evicted. memory and disk: bytes; None for an expression that only a pool evaluates.
    ad: attributes for the job ad, as expressions.
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
    success_code: int | None
    checkpoint_code: int | None
    checkpoint_files: tuple[str, ...] | None
    kill_signal: int
    vacate: float | None
    cpus: int
    gpus: int
    memory: int | None
    disk: int | None
    universe: str
    ad: Mapping[str, str]

    @property
    def name(self) -> str:
        """Return what the job is called here: the description's name and the job's number."""
        return f"{self.job.path.stem}-{self.proc}"

    @property
    def keeps_at_eviction(self) -> bool:
        """Whether what is there when it is evicted is kept (ON_EXIT_OR_EVICT)."""
        return self.when == "ON_EXIT_OR_EVICT"


def read_plan(job: Job, proc: int) -> Plan:
    """Return the plan of job number `proc`.

    $ENV(X) is read from this process's environment, as condor_submit would. Raises CheckFailed for
    what condor_submit refuses, Skipped for a universe that is not run here, and ScaffoldError for
    a value that cannot be known here.
    """
    reader = _Reader(_with_env(job), proc)
    universe = (reader.text("universe") or "vanilla").lower()
    if universe not in UNIVERSES:
        raise Skipped(f"a job of the {universe} universe is not run here: only vanilla, container")
    if not reader.job.flag("transfer_executable", True) and not reader.text("executable"):
        raise CheckFailed("condor_submit refuses it: no executable", f"see {job.path}")
    iwd = job.folder / (reader.text("initialdir") or "")
    if not iwd.is_dir():
        raise CheckFailed(f"condor_submit refuses it: initialdir {iwd} is no folder")
    when = (reader.text("when_to_transfer_output") or "ON_EXIT").upper()
    code = reader.number("checkpoint_exit_code")
    disk, memory = reader.text("request_disk"), reader.text("request_memory")
    return Plan(
        job=reader.job,
        proc=proc,
        iwd=iwd,
        executable=reader.executable(job.folder),
        transfer_executable=reader.job.flag("transfer_executable", True),
        arguments=reader.arguments(),
        old_arguments=not (reader.text("arguments") or '"').startswith('"'),
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
        success_code=reader.number("success_exit_code"),
        checkpoint_code=code,
        checkpoint_files=reader.names("transfer_checkpoint_files"),
        kill_signal=reader.signal("kill_sig"),
        vacate=reader.number("job_max_vacate_time"),
        cpus=reader.number("request_cpus") or 1,
        gpus=reader.number("request_gpus") or 0,
        memory=DEFAULT_MEMORY if memory is None else parse_size(memory, MIB),
        disk=None if disk is None else parse_size(disk, KIB),
        universe=universe,
        ad=reader.attributes(),
    )


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
        """Return a whole number; an expression counts as not set."""
        text = self.text(name)
        return int(text) if text is not None and re.fullmatch(r"[-+]?\d{1,9}", text) else None

    def names(self, name: str) -> tuple[str, ...] | None:
        text = self.text(name)
        if text is None:
            return None
        return tuple(part.strip() for part in text.strip('"').split(",") if part.strip())

    def inputs(self) -> tuple[str, ...]:
        return (
            *(self.names("public_input_files") or ()),
            *(self.names("transfer_input_files") or ()),
        )

    def executable(self, folder: Path) -> Path:
        """Return the executable; raises CheckFailed for one that condor_submit refuses."""
        name = self.text("executable")
        if name is None:
            raise CheckFailed("condor_submit refuses it: there is no executable")
        path = folder / (self.text("initialdir") or "") / name
        path = path if path.exists() else folder / name
        if not self.job.flag("transfer_executable", True):
            return Path(name)
        if not path.exists():
            raise CheckFailed(f"condor_submit refuses it: the executable {name} is not there")
        if path.is_file() and path.stat().st_size == 0:
            raise CheckFailed(f"condor_submit refuses it: the executable {name} is empty")
        return path

    def arguments(self) -> tuple[str, ...]:
        try:
            return split_arguments(self.text("arguments") or self.text("arguments2") or "")
        except QuotingError as error:
            raise CheckFailed(f"condor_submit refuses the arguments: {error}") from error

    def environment(self) -> dict[str, str]:
        wanted = (self.text("getenv") or "false").strip('"')
        try:
            own = split_environment(self.text("environment") or self.text("environment2") or "")
        except QuotingError as error:
            raise CheckFailed(f"condor_submit refuses the environment: {error}") from error
        return _imported(wanted) | own

    def remaps(self) -> dict[str, str]:
        text = (self.text("transfer_output_remaps") or "").strip().strip('"')
        pairs = (part.partition("=") for part in text.split(";") if part.strip())
        return {name.strip(): target.strip() for name, _, target in pairs}

    def signal(self, name: str) -> int:
        text = (self.text(name) or "SIGTERM").upper()
        if text.isdecimal():
            return int(text)
        found = getattr(signal, text if text.startswith("SIG") else f"SIG{text}", None)
        if not isinstance(found, signal.Signals):
            raise CheckFailed(f"condor_submit refuses it: {name} = {text} is no signal")
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
