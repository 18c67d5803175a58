"""What a project asks for: packages, channels, variables; and what of it was left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pixi_scaffold.system import without_credentials
from pixi_scaffold.workspace import PypiRequirement, Requirement


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that was not taken over, and why."""

    place: str
    """File and line."""
    text: str
    why: str

    def __str__(self) -> str:
        """Return it as one line."""
        return without_credentials(f"{self.place}: {self.text}: {self.why}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one or several files ask for; the first that names a package counts."""

    name: str = ""
    channels: tuple[str, ...] = ()
    conda: tuple[Requirement, ...] = ()
    pypi: tuple[PypiRequirement, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def with_more(self, other: Wanted) -> Wanted:
        """Return both; what this one says stays."""
        names = {r.name for r in self.conda} | {r.name for r in self.pypi}
        return Wanted(
            self.name or other.name,
            tuple(dict.fromkeys((*self.channels, *other.channels))),
            (*self.conda, *(r for r in other.conda if r.name not in names)),
            (*self.pypi, *(r for r in other.pypi if r.name not in names)),
            tuple({**dict(other.variables), **dict(self.variables)}.items()),
            (*self.left_out, *other.left_out),
        )


def last_of_each(requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """Return one requirement a package: the last one, in the place of the first."""
    return tuple({r.name: r for r in requirements}.values())


def fields_without(requirement: Requirement, *names: str) -> Requirement:
    """Return the requirement without some of its fields."""
    kept = tuple(field for field in requirement.fields if field[0] not in names)
    return replace(requirement, fields=kept)
