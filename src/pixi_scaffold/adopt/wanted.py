"""What a project asks for: packages, channels, variables; and what of it was left out."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import without_credentials
from pixi_scaffold.workspace import PypiRequirement, Requirement

AnyRequirement = TypeVar("AnyRequirement", Requirement, PypiRequirement)


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

    @property
    def asked(self) -> list[Requirement | PypiRequirement]:
        """Return the packages of both."""
        return [*self.pypi, *self.conda]

    def with_more(self, other: Wanted, place: str) -> Wanted:
        """Return both; what this one says stays. place: the file that says the other."""
        mine = {r.name: str(r) for r in self.asked}
        again = [
            LeftOut(place, str(r), f"{mine[r.name]} is asked for already")
            for r in other.asked
            if r.name in mine and str(r) not in (r.name, mine[r.name])
        ]
        return Wanted(
            self.name or other.name,
            tuple(dict.fromkeys((*self.channels, *other.channels))),
            (*self.conda, *(r for r in other.conda if r.name not in mine)),
            (*self.pypi, *(r for r in other.pypi if r.name not in mine)),
            tuple({**dict(other.variables), **dict(self.variables)}.items()),
            (*self.left_out, *other.left_out, *again),
        )


def last_of_each(
    requirements: Iterable[AnyRequirement], place: str
) -> tuple[tuple[AnyRequirement, ...], list[LeftOut]]:
    """Return one requirement a package, the last in the place of the first, and the others.

    One that holds everywhere is not given up for one with a marker.
    """
    listed = tuple(requirements)
    last: dict[str, AnyRequirement] = {}
    for one in listed:
        kept = last.get(one.name)
        if kept is None or not getattr(one, "markers", None) or getattr(kept, "markers", None):
            last[one.name] = one
    others = [one for one in listed if str(one) not in (one.name, str(last[one.name]))]
    said = [LeftOut(place, str(one), f"{last[one.name]} stands there, too") for one in others]
    return tuple(last.values()), said


def constrained(
    requirements: Iterable[PypiRequirement], constraints: Iterable[tuple[str, PypiRequirement]]
) -> tuple[tuple[PypiRequirement, ...], list[LeftOut]]:
    """Return the requirements with what constraints say of them, and those that say of none.

    constraints: with the place of each. Pixi has none for PyPI, so they go into the version.
    """
    by_name = {one.name: one for one in requirements}
    unused = []
    for place, one in constraints:
        asked = by_name.get(one.name)
        if asked is None:
            why = "a constraint on what no line asks for: [pypi-options.dependency-overrides]"
            unused.append(LeftOut(place, str(one), why))
        elif one.markers not in ("", asked.markers):
            unused.append(LeftOut(place, str(one), f"a constraint on {asked} with a marker"))
        elif one.version not in ("*", asked.version):
            both = one.version if asked.version == "*" else f"{asked.version},{one.version}"
            by_name[one.name] = replace(asked, version=both)
    return tuple(by_name.values()), unused


@functools.cache
def known(section: str) -> dict[str, str]:
    """Return what is known of other tools' words, a section of data/known.toml."""
    text = (Path(__file__).parent / "data" / "known.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)[section])


def fields_without(requirement: Requirement, *names: str) -> Requirement:
    """Return the requirement without some of its fields."""
    kept = tuple(field for field in requirement.fields if field[0] not in names)
    return requirement._replace(fields=kept)


def read_text(path: Path) -> str:
    """Return a file's text, also what PowerShell writes; raises ScaffoldError."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        if "\0" in text:
            raise ValueError("a character of it is NUL")
    except (OSError, ValueError) as error:
        raise ScaffoldError(f"cannot read {path}: {error}", "is it a text file?") from error
    return text
