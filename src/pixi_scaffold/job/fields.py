"""The parts of a job's meaning: one value with its line, and values that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from pixi_scaffold.job.description import Command

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field(Generic[T]):
    """What one command comes to."""

    value: T
    """What holds; the default where nothing is set, or nothing is known."""
    command: Command | None = None
    """The line that sets it, also where it sets nothing, as `name =` does."""
    text: str = ""
    """What the line says, macros expanded."""
    ad: str = ""
    """The same as it stands in the job ad."""
    refused: str = ""
    """Why condor_submit refuses it."""
    fix: str = ""
    versions: str = ""
    """Which releases of HTCondor refuse it, such as `before 25.10`; empty: all do."""
    unknown: tuple[str, ...] = ()
    """What only the submit machine or the pool can tell, such as `$$(Name)`."""
    undefined: tuple[str, ...] = ()
    """Macros that nothing defines, and functions that have no value."""
    unclosed: str = ""
    """A macro without its closing parenthesis."""

    @property
    def said(self) -> bool:
        """Whether the description sets it to something."""
        return bool(self.text)


@dataclass(frozen=True, slots=True)
class Getenv:
    """Which variables of the submit machine the job gets."""

    everything: bool = False
    takes: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()

    def imported(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return those of `environ`; case does not count, a value with a line end is left out."""
        return {name: value for name, value in environ.items() if self._wants(name, value)}

    def _wants(self, name: str, value: str) -> bool:
        if "\n" in value or not (self.everything or self.takes or self.leaves):
            return False
        if any(fnmatchcase(name.lower(), pattern.lower()) for pattern in self.leaves):
            return False
        patterns = self.takes or ("*",)
        return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Image:
    """What a container job runs in."""

    name: str
    """As the starter gets it."""
    source: str
    kind: str
    """`docker` (from a registry), `sif`, or `folder`."""
    travels: bool
    """Whether it comes with the inputs."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How the job saves itself."""

    code: Field[int | None]
    files: Field[tuple[str, ...] | None]
    """None for the outputs."""
    destination: Field[str]


@dataclass(frozen=True, slots=True)
class Vacating:
    """How the job is asked to leave."""

    signal: Field[str]
    vacate: Field[int | str | None]
    """Seconds; an expression stays a text."""
    when: Field[str]
    """When output comes back: on_exit, on_exit_or_evict, on_success or never."""


@dataclass(frozen=True, slots=True)
class Requests:
    """What the job asks of a slot."""

    cpus: Field[int | str | None]
    gpus: Field[int | str | None]
    memory: Field[int | str | None]
    """Bytes; None where undefined is asked for. An expression that only a pool evaluates stays a
    text."""
    disk: Field[int | str | None]
    custom: Mapping[str, Field[str]]
    """Other resources by name."""
