"""What one job of a description means: each value with its line, or why there is none.

One meaning for all readers: the rules, the job ad and the rehearsal look here and interpret no
command themselves. Source: the Set...() functions of submit_utils.cpp, HTCondor 25.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pixi_scaffold.job.commands import CommandSpec, canonical, is_command, specs
from pixi_scaffold.job.description import Command, Job
from pixi_scaffold.job.evaluate import as_integer, as_switch
from pixi_scaffold.job.fields import Checkpoint, Field, Getenv, Image, Requests, Vacating
from pixi_scaffold.job.macros import Expanded, expand
from pixi_scaffold.job.values import ReadValue, read_value
from pixi_scaffold.job.words import split_commas, split_list, stripped

T = TypeVar("T")
DEFAULT_MEMORY = 128 << 20
"""What a slot gets when request_memory is not set (JOB_DEFAULT_REQUESTMEMORY), in bytes."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """One job as condor_submit understands it."""

    job: Job
    proc: int
    fields: Mapping[str, Field[Any]]
    """Every command that is set, by canonical name; `of` gives also those that are not."""
    universe: Field[str]
    """vanilla, container or docker as condor_submit decides it, or another one; empty: refused."""
    transfers: Field[str]
    """yes, no or if_needed."""
    folder: Field[Path]
    """Where the names of files start: initialdir, or where it is submitted."""
    executable: Field[str]
    transfers_executable: Field[bool]
    shell: Field[str]
    """A command line in place of an executable, which /bin/sh runs."""
    arguments: Field[tuple[str, ...]]
    environment: Field[Mapping[str, str]]
    """What the description sets; `getenv` says what comes from the submit machine."""
    getenv: Field[Getenv]
    inputs: Field[tuple[str, ...]]
    common_inputs: Field[tuple[str, ...]]
    public_inputs: Field[tuple[str, ...]]
    outputs: Field[tuple[str, ...] | None]
    """None: whatever is new or changed."""
    remaps: Field[Mapping[str, str]]
    checkpoint: Checkpoint
    eviction: Vacating
    requests: Requests
    image: Field[Image | None]
    attributes: Mapping[str, Field[str]]
    """The +Attr and MY.Attr of the description, by their names as they are spelled."""

    def of(self, name: str) -> Field[Any]:
        """Return what any command comes to; its value is None where nothing is set."""
        return self.fields.get(canonical(name), Field(None))

    def items(self, name: str) -> tuple[str, ...]:
        """Return what a comma-separated command names, such as files."""
        return split_list(self.of(name).text)

    def number(self, name: str) -> int | None:
        """Return what a command comes to as a whole number; None where it is none or not known."""
        field = self.of(name)
        if isinstance(field.value, bool) or field.unknown or not field.said:
            return None
        return field.value if isinstance(field.value, int) else as_integer(field.text)

    @property
    def when(self) -> str:
        """When output comes back: on_exit, on_exit_or_evict, on_success or never."""
        return self.eviction.when.value

    @property
    def deferred(self) -> bool:
        """Whether the job waits for a time of its own."""
        return any(self.of(name).said for name in DEFERS)

    def imported(self) -> dict[str, str]:
        """Return the variables that come from the submit machine; the old syntax takes fewer."""
        variables = self.getenv.value.imported(self.job.submission.environ or {})
        old = self.environment.said and not self.environment.text.startswith('"')
        return {k: v for k, v in variables.items() if not (old and re.search("[|;]", v))}

    def transfer_methods(self) -> tuple[str, ...]:
        """Return the schemes of the URLs that are fetched or written, each once."""
        image = self.image.value
        urls = [*self.inputs.value, self.of("output_destination").text, *self.remaps.value.values()]
        urls += [image.source] if image is not None and image.travels else []
        schemes = (re.match(r"([A-Za-z][\w+.-]*)://", url) for url in urls)
        plugins = self.of("transfer_plugins").text.lower()
        supplied = {
            word.strip() for part in plugins.split(";") for word in part.split("=")[0].split(",")
        }
        return tuple(sorted({scheme[1].lower() for scheme in schemes if scheme} - supplied))


def field_of(job: Job, name: str, proc: int) -> Field[Any]:
    """Return what one command comes to in one job; quicker than the whole meaning of many jobs."""
    name = canonical(name)
    command = job.commands.get(name)
    return Field(None) if command is None else _Reading(job, proc).read(name, command)


DEFERS = (
    "deferral_time", "cron_minute", "cron_hour", "cron_day_of_month", "cron_month",
    "cron_day_of_week",
)  # fmt: skip
"""Commands that make a job wait for a time."""


def meaning(job: Job, proc: int | None = None) -> Meaning:
    """Return what job number `proc` of a queue statement means (default: the one that is meant)."""
    proc = job.proc if proc is None else proc
    reading = _Reading(job.of_row(proc), proc)
    reading.fields |= reading.all()
    universe = reading.universe()
    transfers = reading.transfers()
    return Meaning(
        job=reading.job,
        proc=proc,
        fields=reading.fields,
        universe=universe,
        transfers=transfers,
        folder=reading.folder(),
        executable=reading.get("executable", ""),
        transfers_executable=reading.transfers_executable(),
        shell=reading.get("shell", ""),
        arguments=reading.either("arguments", ()),
        environment=reading.either("environment", {}),
        getenv=reading.getenv(),
        inputs=reading.get("transfer_input_files", ()),
        common_inputs=reading.get("transfer_common_input", ()),
        public_inputs=reading.get("public_input_files", ()),
        outputs=reading.get("transfer_output_files", None),
        remaps=reading.remaps(),
        checkpoint=reading.checkpoint(),
        eviction=Vacating(
            reading.get("kill_sig", "SIGTERM"),
            reading.amount("job_max_vacate_time", 1, None),
            reading.when(),
        ),
        requests=reading.requests(),
        image=reading.image(universe.value),
        attributes=reading.attributes(),
    )


class _Reading:
    def __init__(self, job: Job, proc: int) -> None:
        self.job = job
        self.macros = job.known_macros(proc)
        self.proc = proc
        self.fields: dict[str, Field[Any]] = {}

    def all(self) -> Iterator[tuple[str, Field[Any]]]:
        for name, command in self.job.commands.items():
            if is_command(name) or name.startswith("request_"):
                yield name, self.read(name, command)

    def read(self, name: str, command: Command) -> Field[Any]:
        expanded = self.expand(command.value)
        text = expanded.text.strip()
        known = expanded.unknown, expanded.undefined, expanded.unclosed
        if not text:
            return Field(None, command, "", "", "", "", "", *known)
        spec = specs().get(name) or CommandSpec(name, _untyped(name))
        stand_in = {f"$$({name})" for name in self.job.queue.variables}  # of items not known here
        here = any(not n.startswith("$$") or n in stand_in for n in expanded.unknown)
        late = here and spec.type not in ("text", "files", "arguments", "environment")
        read = ReadValue(text) if late else read_value(spec, text)
        return Field(
            read.value, command, text, read.ad, read.refused, read.fix, read.versions, *known
        )

    def expand(self, value: str) -> Expanded:
        return expand(
            value, self.macros, self.job.submission.outside(value, self.proc, self.job.folder)
        )

    def get(self, name: str, default: T) -> Field[T]:
        """Return a field, with its default where nothing is set or the value is refused."""
        field = self.fields.get(name)
        if field is None:
            return Field(default)
        return field if field.value is not None else _with(field, default)

    def changed(self, name: str, change: Any, default: T) -> Field[Any]:
        field = self.get(name, default)
        return _with(field, change(field.text)) if field.said else field

    def amount(self, name: str, unit: int, default: int | None) -> Field[int | str | None]:
        """Return a number, in bytes where it has a unit; arithmetic is worked out."""
        field: Field[int | str | None] = self.get(name, default)
        if not isinstance(field.value, str) or field.unknown:
            return field
        if field.value.lower() == "undefined":
            return _with(field, None)
        number = as_integer(field.value)
        return field if number is None else _with(field, number * unit)

    def either(self, name: str, default: T) -> Field[T]:
        """Return `arguments` or `arguments2`, whichever is set; the second wins."""
        second = self.get(f"{name}2", default)
        return second if second.said else self.get(name, default)

    def universe(self) -> Field[str]:
        """Return the universe; an image makes a container job of a vanilla or local one."""
        field = self.get("universe", "vanilla")
        if field.refused:
            return _with(field, "")
        image = self.get("container_image", ""), self.get("docker_image", "")
        if field.value == "vanilla" and any(i.said for i in image):
            return Field("container", next(i.command for i in image if i.said), field.text)
        return field

    def transfers(self) -> Field[str]:
        field = self.get("should_transfer_files", "if_needed")
        if not field.said and self.when().value == "on_exit_or_evict":
            return Field("yes", self.when().command)
        return field

    def when(self) -> Field[str]:
        field = self.get("when_to_transfer_output", "on_exit")
        wanted = self.get("should_transfer_files", "if_needed").value
        return _with(field, "never") if not field.said and wanted == "no" else field

    def folder(self) -> Field[Path]:
        field = self.get("initialdir", "")
        return _with(field, self.job.folder / field.text)

    def transfers_executable(self) -> Field[bool]:
        """Only a word that begins with f is false: `no` transfers it."""
        field = self.get("transfer_executable", "")
        return _with(field, not field.text.lower().startswith("f"))

    def getenv(self) -> Field[Getenv]:
        field = self.get("getenv", "")
        switch = as_switch(field.text) if field.said else False
        if switch is not None:
            return _with(field, Getenv(switch))
        words = field.text.replace(",", " ").replace(";", " ").split()
        leaves = tuple(word[1:] for word in words if word.startswith("!"))
        return _with(field, Getenv(False, tuple(w for w in words if w[0] != "!"), leaves))

    def remaps(self) -> Field[Mapping[str, str]]:
        field = self.get("transfer_output_remaps", "")
        pairs = list(split_remaps(stripped(field.text)))
        return _with(field, dict(reversed(pairs)))  # the first one of a name counts

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(
            self.get("checkpoint_exit_code", None),
            self.changed("transfer_checkpoint_files", split_commas, None),
            self.get("checkpoint_destination", ""),
        )

    def requests(self) -> Requests:
        custom: dict[str, Field[str]] = {
            name.removeprefix("request_"): field
            for name, field in self.fields.items()
            if name.startswith("request_") and name not in specs() and field.command
        }
        return Requests(
            self.amount("request_cpus", 1, 1),
            self.amount("request_gpus", 1, None),
            self.amount("request_memory", 1 << 20, DEFAULT_MEMORY),
            self.amount("request_disk", 1 << 10, None),
            custom,
        )

    def image(self, universe: str) -> Field[Image | None]:
        docker, container = self.get("docker_image", ""), self.get("container_image", "")
        field = docker if docker.said else container
        if universe not in ("container", "docker", "local") or not field.said:
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

    def attributes(self) -> dict[str, Field[str]]:
        return {
            field.command.spelled.lstrip("+-").split(".")[-1]: field
            for name, field in self.fields.items()
            if name.startswith("my.") and field.command
        }


def split_remaps(text: str) -> Iterator[tuple[str, str]]:
    r"""Yield the pairs of transfer_output_remaps; `\=` is no `=` that parts."""
    for pair in text.split(";"):
        name, *target = re.split(r"(?<!\\)=", pair, maxsplit=1)
        if name.strip() and target:
            yield name.strip().replace("\\=", "="), target[0].strip().replace("\\=", "=")


def _untyped(name: str) -> str:
    """Return the type of a command that is in no table: +Attr, and a resource of some pool."""
    return "expression" if name.startswith(("my.", "request_", "require_")) else "text"


def _with(field: Field[Any], value: T) -> Field[T]:
    return replace(field, value=value)
