"""Requirements of PEP 508: read once each, asked whether they count, written as Pixi does."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

_SYSTEMS = {"Windows": "win32", "Linux": "linux", "Darwin": "darwin"}


@functools.lru_cache(maxsize=1 << 16)
def parsed(text: str) -> Requirement | None:
    """Return a requirement, its name normalised; None for a text that is none."""
    try:
        found = Requirement(text)
    except InvalidRequirement:
        return None
    found.name = canonicalize_name(found.name)
    return found


def counts(
    requirement: Requirement, environment: Mapping[str, str] | None, extras: Iterable[str] = ()
) -> bool:
    """Whether a requirement's marker holds; without an environment it does, as for Pixi."""
    if requirement.marker is None or environment is None:
        return True
    text = str(requirement.marker)
    values = tuple(sorted(environment.items()))
    return any(_holds(text, values, extra) for extra in (*extras, "") if extra or not extras)


@functools.lru_cache(maxsize=1 << 16)
def _holds(marker: str, environment: tuple[tuple[str, str], ...], extra: str) -> bool:
    found = Requirement(f"x ; {marker}").marker
    return found is None or found.evaluate({**dict(environment), "extra": extra})


def meets(specifier: SpecifierSet, version: str) -> bool:
    """Whether a locked version lies in a specifier; one of conda that PyPI cannot have does not."""
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def python_is_new_enough(requires_python: str, python: str) -> bool:
    """Whether a Python lies above the lower bounds of Requires-Python.

    Upper bounds do not count, as for uv (RequiresPython::is_contained_by).
    """
    try:
        wanted, have = SpecifierSet(requires_python), Version(Version(python).base_version)
    except (InvalidSpecifier, InvalidVersion):
        return True
    lower = [s for s in wanted if s.operator in (">=", ">", "==", "~=", "===")]
    return all(have >= Version(s.version.removesuffix(".*")) for s in lower)


def normal_text(text: str) -> str:
    """Return a requirement as Pixi writes it into a lock; what cannot be read stays as it is.

    Names are normalised; a marker is written as uv does (uv-pep508, marker/simplify.rs):
    python_full_version in place of python_version, sys_platform in place of platform_system, one
    order. Where a marker has alternatives, only its words are changed.
    """
    found = parsed(text)
    if found is None:
        return text
    extras = f"[{','.join(sorted(map(canonicalize_name, found.extras)))}]" if found.extras else ""
    url = f" @ {found.url}" if found.url else ""
    specifiers = ",".join(_sorted_specifiers(found.specifier))
    marker = f" ; {_marker(found.marker)}" if found.marker else ""
    return f"{found.name}{extras}{specifiers}{url}{marker}"


def normal_python(text: str) -> str:
    """Return Requires-Python as Pixi writes it: specifiers by their version, without spaces."""
    try:
        return ",".join(_sorted_specifiers(SpecifierSet(text)))
    except InvalidSpecifier:
        return text


def _sorted_specifiers(specifiers: SpecifierSet) -> list[str]:
    def key(text: str) -> tuple[Version, str]:
        version = re.sub(r"^[<>=!~]+", "", text).removesuffix(".*")
        try:
            return Version(version), text
        except InvalidVersion:
            return Version("0"), text

    return sorted((str(one) for one in specifiers), key=key)


def _marker(marker: Any) -> str:
    parts = marker._markers  # no public way to see the parts of a marker
    return _joined(parts)


def _joined(parts: list[Any]) -> str:
    if "or" not in parts and not any(isinstance(part, list) for part in parts):
        atoms = [_atom(part) for part in parts if part != "and"]
        return " and ".join(_ordered(atoms))
    words = []
    for part in parts:
        if isinstance(part, str):
            words.append(part)
        elif isinstance(part, list):
            words.append(f"({_joined(part)})")
        else:
            words.append(_text(_atom(part)))
    return " ".join(words)


Atom = tuple[str, str, str]
"""(variable, operator, value), or of a value that stands first (value, operator, variable)."""


def _atom(part: tuple[Any, Any, Any]) -> Atom:
    left, operator, right = part
    sign = str(operator)
    if type(left).__name__ != "Variable":  # the value stands first, as in 'x' in sys_platform
        if sign in ("in", "not in"):
            return (f"'{left}'", sign, str(right))
        left, right = right, left
        sign = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}.get(sign, sign)
    name, value = str(left), str(right).strip("\"'")
    if name == "python_version":
        return _python(sign, value)
    if name == "platform_system" and value in _SYSTEMS and sign in ("==", "!="):
        return ("sys_platform", sign, _SYSTEMS[value])
    if name == "extra":
        return (name, sign, canonicalize_name(value))
    return (name, sign, value)


def _python(sign: str, value: str) -> Atom:
    """Return a condition on python_version as one on python_full_version."""
    name = "python_full_version"
    numbers = value.split(".")
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        return (name, sign, value) if len(numbers) == 1 else ("python_version", sign, value)
    after = f"{numbers[0]}.{int(numbers[1]) + 1}"
    changed = {"==": ("==", f"{value}.*"), "!=": ("!=", f"{value}.*"), "<=": ("<", after)}
    return (name, *changed.get(sign, (">=", after) if sign == ">" else (sign, value)))


def _ordered(atoms: list[Atom]) -> list[str]:
    """Return conditions that hold together as texts: Python, the rest by name, extras."""
    order = {"python_full_version": 0, "implementation_version": 0, "extra": 2}
    seen = sorted(dict.fromkeys(atoms), key=lambda a: (order.get(a[0], 1), a[0], a[2]))
    texts: list[str] = []
    for atom in seen:
        low = re.fullmatch(r"python_full_version >= '(3)\.(\d+)'", texts[-1]) if texts else None
        if low and atom == ("python_full_version", "<", f"3.{int(low[2]) + 1}"):
            texts[-1] = f"python_full_version == '3.{low[2]}.*'"  # as uv writes one minor version
        else:
            texts.append(_text(atom))
    return texts


def _text(atom: Atom) -> str:
    name, sign, value = atom
    return f"{name} {sign} {value}" if name.startswith("'") else f"{name} {sign} '{value}'"
