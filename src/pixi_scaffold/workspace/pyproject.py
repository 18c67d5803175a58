"""pyproject.toml as a manifest: [tool.pixi], with what [project] and the groups add to it (pure).

crates/pixi_manifest/src/pyproject.rs.
"""

import copy
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pixi_scaffold.workspace.grammar import GrammarError, Key, check_table
from pixi_scaffold.workspace.model import DEFAULT
from pixi_scaffold.workspace.pypi import PypiRequirement, normalised, spelled
from pixi_scaffold.workspace.values import BadValueError, version_spec

Inside = tuple[Key, ...]
"""What includes what is read, outermost first."""
_EXTRAS: Key = ("project", "optional-dependencies")
_GROUPS: Key = ("dependency-groups",)
TOOL: Key = ("tool", "pixi")
"""Where pyproject.toml keeps the manifest."""


def has_workspace(text: str) -> bool:
    """Whether a pyproject.toml holds a Pixi workspace; one that cannot be read may."""
    try:
        return bool(_table(tomllib.loads(text), *TOOL))
    except tomllib.TOMLDecodeError:
        return "[tool.pixi" in text


class FromProject(NamedTuple):
    """What a pyproject.toml adds to its [tool.pixi]."""

    features: frozenset[str] = frozenset()
    """Those that nobody wrote down there."""
    pypi: Mapping[str, tuple[PypiRequirement, ...]] = MappingProxyType({})
    """Requirements by feature, beside its own."""


def pixi_document(document: Mapping[str, Any], root: Path) -> tuple[dict[str, Any], FromProject]:
    """Return the manifest that a pyproject.toml amounts to, and what comes from outside of it.

    Extras and dependency groups are features with PyPI packages. root: the manifest's folder.
    Raises GrammarError.
    """
    if not isinstance(_table(document, "tool").get("pixi"), dict):
        raise GrammarError((), "it has no [tool.pixi] table")
    check_table(document, "pyproject", (), root)
    pixi = copy.deepcopy(_table(document, *TOOL))
    project = document.get("project", {})
    head = next((pixi[h] for h in ("workspace", "project") if isinstance(pixi.get(h), dict)), None)
    if head is None:
        return pixi, FromProject()
    if "name" in project:
        head.setdefault("name", project["name"])
    dependencies = pixi.setdefault("dependencies", {})
    if isinstance(dependencies, dict) and "python" not in map(str.lower, dependencies):
        dependencies["python"] = _python(project.get("requires-python", ""))
    groups = _groups(document)
    features = pixi.setdefault("feature", {}) if groups else {}
    if not isinstance(features, dict):  # the grammar says what is wrong
        return pixi, FromProject()
    implied = frozenset(groups) - set(features)
    for name in groups:
        if name != DEFAULT:  # that one is the top of the file
            features.setdefault(name, {})
    groups[DEFAULT] = [*groups.get(DEFAULT, ()), *project.get("dependencies", ())]
    asked = {name: tuple(map(_asked, requirements)) for name, requirements in groups.items()}
    return pixi, FromProject(implied, asked)


def _python(wanted: str) -> str:
    """Return Requires-Python as conda has it: what PEP 440 calls ==3.12 is 3.12 there."""
    text = re.sub(r"\s", "", wanted).removeprefix("==")
    try:
        return version_spec(text or "*", strict=False)[0]
    except BadValueError as error:
        raise GrammarError(("project", "requires-python"), f"{wanted!r} is not {error}") from error


def _groups(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the requirements of each extra and each dependency group, with what they include.

    A group takes the place of an extra of the same name, as for Pixi.
    """
    extras = _table(document, *_EXTRAS)
    groups = _table(document, *_GROUPS)
    return {n: list(_entries(document, (*_EXTRAS, normalised(n)), ())) for n in extras} | {
        n: list(_entries(document, (*_GROUPS, n), ())) for n in groups
    }


def _entries(document: Mapping[str, Any], place: Key, inside: Inside) -> Iterator[str]:
    """Yield what an extra or a group has and includes (pyproject-toml-rs, resolution.rs)."""
    from packaging.requirements import Requirement

    tables = _table(document, *place[:-1])
    if place[:-1] == _EXTRAS:
        tables = {normalised(name): entries for name, entries in tables.items()}
    if place[-1] not in tables:
        raise GrammarError(inside[-1], f"it includes {place[-1]!r}, which is not there")
    if place in inside:
        names = " -> ".join(one[-1] for one in (*inside, place))
        raise GrammarError(place, f"it includes itself: {names}")
    for entry in tables[place[-1]]:
        if isinstance(entry, dict):
            yield from _entries(document, (*_GROUPS, entry["include-group"]), (*inside, place))
            continue
        asked = Requirement(entry)
        if normalised(asked.name) != _table(document, "project").get("name"):
            yield entry
            continue
        for extra in sorted(asked.extras):
            yield from _entries(document, (*_EXTRAS, normalised(extra)), (*inside, place))


def _asked(text: str) -> PypiRequirement:
    from packaging.requirements import Requirement

    requirement = Requirement(text)
    url = requirement.url or ""
    return PypiRequirement(
        normalised(requirement.name),
        str(requirement.specifier) or "*",
        tuple(sorted(map(normalised, requirement.extras))),
        str(requirement.marker or ""),
        source=("git" if url.startswith("git+") else "url") if url else "",
        url="" if url.startswith("git+") else spelled(url),
    )


def _table(document: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    table: Any = document
    for key in keys:
        table = table.get(key, {}) if isinstance(table, dict) else {}
    return table if isinstance(table, dict) else {}
