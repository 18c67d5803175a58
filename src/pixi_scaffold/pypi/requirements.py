"""Requirements of PEP 508: read once each, and asked whether they count and what meets them."""

import functools
from collections.abc import Iterable, Mapping

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


@functools.lru_cache(maxsize=1 << 16)
def parsed(text: str) -> Requirement | None:
    """Return a requirement, its name normalised; None for a text that is not one."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    requirement.name = canonicalize_name(requirement.name)
    return requirement


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
    parsed_marker = Requirement(f"x ; {marker}").marker
    return parsed_marker is None or parsed_marker.evaluate({**dict(environment), "extra": extra})


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
