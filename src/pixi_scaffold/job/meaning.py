"""What one job of a description means: each value with its line, or why it has none.

One meaning for all readers: the rules, the job ad and the rehearsal look here and interpret no
command themselves. Source: the Set...() functions of submit_utils.cpp, HTCondor 25.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pixi_scaffold.job.commands import CommandSpec, canonical, is_command, specs
from pixi_scaffold.job.description import Command, Job
from pixi_scaffold.job.evaluate import as_integer, as_switch
from pixi_scaffold.job.macros import expand
from pixi_scaffold.job.values import Field, read_value
from pixi_scaffold.job.words import split_commas, split_list, stripped

T = TypeVar("T")
DEFAULT_MEMORY = 128 << 20
"""What a slot gets when request_memory is not set (JOB_DEFAULT_REQUESTMEMORY), in bytes."""
CRON = ("cron_minute", "cron_hour", "cron_day_of_month", "cron_month", "cron_day_of_week")
DEFERS = ("deferral_time", *CRON)
"""Commands that make a job wait for a time."""


class Image(NamedTuple):
    """What a container job runs in."""

    name: str
    """As the starter gets it."""
    source: str
    kind: str
    """`docker` (from a registry), `sif`, or `folder`."""
    travels: bool
    """Whether it comes with the inputs."""


class Requests(NamedTuple):
    """What the job asks of a slot."""

    cpus: Field[int | str | None]
    gpus: Field[int | str | None]
    memory: Field[int | str | None]
    """Bytes; None where undefined is asked for. An expression that only a pool evaluates stays a
    text."""
    disk: Field[int | str | None]
    custom: Mapping[str, Field[str]]
    """Other resources by name."""


class _Value(Generic[T]):
    """An attribute of Meaning that is one command, or what holds where it is not set."""

    def __init__(self, command: str, default: T, *, second: bool = False) -> None:
        self.command, self.default, self.second = command, default, second

    def __get__(self, job: Meaning, _: type) -> Field[T]:
        other = job.get(f"{self.command}2", self.default)
        return other if self.second and other.said else job.get(self.command, self.default)


@dataclass(frozen=True)
class Meaning:
    """One job as condor_submit understands it; each value is worked out when it is asked for."""

    job: Job
    proc: int

    executable = _Value("executable", "")
    shell = _Value("shell", "")
    """A command line in place of an executable, which /bin/sh runs."""
    arguments = _Value[tuple[str, ...]]("arguments", (), second=True)
    environment = _Value[Mapping[str, str]]("environment", {}, second=True)
    """What the description sets; `imported` comes from the submit machine."""
    inputs = _Value[tuple[str, ...]]("transfer_input_files", ())
    common_inputs = _Value[tuple[str, ...]]("transfer_common_input", ())
    public_inputs = _Value[tuple[str, ...]]("public_input_files", ())
    outputs = _Value[tuple[str, ...] | None]("transfer_output_files", None)
    """None: whatever is new or changed."""
    checkpoint_code = _Value[int | None]("checkpoint_exit_code", None)
    signal = _Value("kill_sig", "SIGTERM")
    """By which it is asked to leave."""
    getenv = _Value("getenv", "")

    @cached_property
    def fields(self) -> Mapping[str, Field[Any]]:
        """Every command that is set, by canonical name; `of` gives also those that are not."""
        return {
            name: self.read(name, command)
            for name, command in self.job.commands.items()
            if is_command(name) or name.startswith("request_")
        }

    @cached_property
    def _macros(self) -> Mapping[str, str]:
        return self.job.known_macros(self.proc)

    def read(self, name: str, command: Command) -> Field[Any]:
        """Return what one line comes to, whichever of a name counts."""
        outside = self.job.submission.outside(command.value, self.proc, self.job.folder)
        expanded = expand(command.value, self._macros, outside)
        text = expanded.text.strip()
        of_some_pool = name.startswith(("my.", "request_", "require_"))
        spec = specs().get(name) or CommandSpec(name, "expression" if of_some_pool else "text")
        stand_in = {f"$$({name})" for name in self.job.queue.variables}  # of items not known here
        here = any(not n.startswith("$$") or n in stand_in for n in expanded.unknown)
        late = here and spec.type not in ("text", "files", "arguments", "environment")
        read: Field[Any] = Field(text or None) if late or not text else read_value(spec, text)
        return Field(*read[:5], command, text, *expanded[1:])

    def of(self, name: str) -> Field[Any]:
        """Return what any command comes to; its value is None where nothing is set."""
        return self.fields.get(canonical(name), Field(None))

    def get(self, name: str, default: T) -> Field[T]:
        """Return a field, with its default where nothing is set or the value is refused."""
        field = self.fields.get(name)
        if field is None:
            return Field(default)
        return field if field.value is not None else field._replace(value=default)

    def items(self, name: str) -> tuple[str, ...]:
        """Return what a comma-separated command names, such as files."""
        return split_list(self.of(name).text)

    def number(self, name: str) -> int | None:
        """Return the whole number that a command comes to; None where there is no such number."""
        field = self.of(name)
        if isinstance(field.value, bool) or field.unknown or not field.said:
            return None
        return field.value if isinstance(field.value, int) else as_integer(field.text)

    @cached_property
    def universe(self) -> Field[str]:
        """vanilla, container or docker as condor_submit decides it, or another; empty: refused.

        An image makes a container job of a vanilla one.
        """
        field = self.get("universe", "vanilla")
        if field.refused:
            return field._replace(value="")
        images = [i for i in (self.of("container_image"), self.of("docker_image")) if i.said]
        if field.value == "vanilla" and images:
            return Field("container", command=images[0].command, text=field.text)
        return field

    @property
    def transfers(self) -> Field[str]:
        """Whether files are transferred: yes, no or if_needed."""
        field = self.get("should_transfer_files", "if_needed")
        if not field.said and self.when.value == "on_exit_or_evict":
            return Field("yes", command=self.when.command)
        return field

    @property
    def when(self) -> Field[str]:
        """When output comes back: on_exit, on_exit_or_evict, on_success or never."""
        field = self.get("when_to_transfer_output", "on_exit")
        never = not field.said and self.of("should_transfer_files").value == "no"
        return field._replace(value="never") if never else field

    @property
    def folder(self) -> Field[Path]:
        """Where the names of files start: initialdir, or where it is submitted."""
        field = self.get("initialdir", "")
        return _with(field, self.job.folder / field.text)

    @property
    def transfers_executable(self) -> bool:
        """Whether the executable is sent: only a word that begins with f is false, `no` is not."""
        return not self.of("transfer_executable").text.lower().startswith("f")

    @property
    def deferred(self) -> bool:
        """Whether the job waits for a time of its own."""
        return any(self.of(name).said for name in DEFERS)

    def imported(self) -> dict[str, str]:
        """Return the variables that come from the submit machine.

        Case does not count, and of patterns only `*` does something; a value with a line end is
        left out. The old syntax takes fewer.
        """
        text = self.getenv.text
        switch = as_switch(text) if text else False
        words = ["*"] if switch else [] if switch is False else re.split(r"[,;\s]+", text)
        leaves = [word[1:] for word in words if word.startswith("!")]
        takes = [word for word in words if word and word[0] != "!"] or ["*"] * bool(leaves)
        old = self.environment.said and not self.environment.text.startswith('"')

        def wanted(name: str, value: str) -> bool:
            if re.search("[\n|;]" if old else "\n", value):
                return False
            return _listed(name, takes) and not _listed(name, leaves)

        environ = self.job.submission.environ or {}
        return {name: value for name, value in environ.items() if wanted(name, value)}

    @cached_property
    def remaps(self) -> Mapping[str, str]:
        """The new names of outputs; the first one of a name counts."""
        text = stripped(self.of("transfer_output_remaps").text)
        return dict(reversed(list(_split_remaps(text))))

    @property
    def checkpoint_files(self) -> tuple[str, ...] | None:
        """What is kept of a checkpoint; None for the outputs."""
        field = self.of("transfer_checkpoint_files")
        return split_commas(field.text) if field.said else None

    @cached_property
    def requests(self) -> Requests:
        """What it asks of a slot."""
        custom: dict[str, Field[str]] = {
            name.removeprefix("request_"): field
            for name, field in self.fields.items()
            if name.startswith("request_") and name not in specs() and field.command
        }
        return Requests(
            self._amount("request_cpus", 1, 1),
            self._amount("request_gpus", 1, None),
            self._amount("request_memory", 1 << 20, DEFAULT_MEMORY),
            self._amount("request_disk", 1 << 10, None),
            custom,
        )

    def _amount(self, name: str, unit: int, default: int | None) -> Field[int | str | None]:
        """Return a number, in bytes where it has a unit; arithmetic is worked out."""
        field: Field[int | str | None] = self.get(name, default)
        if not isinstance(field.value, str) or field.unknown:
            return field
        if field.value.lower() == "undefined":
            return field._replace(value=None)
        number = as_integer(field.value)
        return field if number is None else field._replace(value=number * unit)

    @cached_property
    def image(self) -> Field[Image | None]:
        """What it runs in."""
        docker, container = self.of("docker_image"), self.of("container_image")
        field = docker if docker.said else container
        if self.universe.value not in ("container", "docker", "local") or not field.said:
            return _with(field, None)
        name = stripped(field.text)
        if docker.said:
            return _with(docker, Image(name, name, "docker", False))
        kind = "sif" if name.endswith(".sif") else "folder"
        kind = "docker" if name.startswith("docker:") else kind
        asked = self.get("transfer_container", True).value
        travels = bool(asked) and not name.startswith(("docker://", "oras://"))
        last = name.rstrip("/").rsplit("/", 1)[-1]
        return _with(container, Image(last if travels else name, name, kind, travels))

    @property
    def attributes(self) -> Mapping[str, Field[str]]:
        """The +Attr and MY.Attr of the description, by their names as they are spelled."""
        return {
            field.command.spelled.lstrip("+-").split(".")[-1]: field
            for name, field in self.fields.items()
            if name.startswith("my.") and field.command
        }

    def transfer_methods(self) -> tuple[str, ...]:
        """Return the schemes of the URLs that are fetched or written, each once."""
        image = self.image.value
        urls = [*self.inputs.value, self.of("output_destination").text, *self.remaps.values()]
        urls += [image.source] if image is not None and image.travels else []
        schemes = (re.match(r"([A-Za-z][\w+.-]*)://", url) for url in urls)
        plugins = self.of("transfer_plugins").text.lower()
        supplied = {
            word.strip() for part in plugins.split(";") for word in part.split("=")[0].split(",")
        }
        return tuple(sorted({scheme[1].lower() for scheme in schemes if scheme} - supplied))


def meaning(job: Job, proc: int | None = None) -> Meaning:
    """Return what job number `proc` of a queue statement means (default: the one that is meant)."""
    proc = job.proc if proc is None else proc
    return Meaning(job.of_row(proc), proc)


def field_of(job: Job, name: str, proc: int) -> Field[Any]:
    """Return what one command comes to in one job."""
    command = job.commands.get(canonical(name))
    return Field(None) if command is None else Meaning(job, proc).read(canonical(name), command)


def _split_remaps(text: str) -> Iterator[tuple[str, str]]:
    r"""Yield the pairs of transfer_output_remaps; `\=` is no `=` that parts."""
    for pair in text.split(";"):
        name, *target = re.split(r"(?<!\\)=", pair, maxsplit=1)
        if name.strip() and target:
            yield name.strip().replace("\\=", "="), target[0].strip().replace("\\=", "=")


def _listed(name: str, patterns: list[str]) -> bool:
    regexes = (re.escape(pattern).replace(r"\*", ".*") for pattern in patterns)
    return any(re.fullmatch(regex, name, re.IGNORECASE) for regex in regexes)


def _with(field: Field[Any], value: T) -> Field[T]:
    return field._replace(value=value)
