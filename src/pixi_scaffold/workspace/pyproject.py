"""pyproject.toml as a manifest: [tool.pixi], with what [project] and the groups add to it (pure).

crates/pixi_manifest/src/pyproject.rs.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pixi_scaffold.workspace.grammar import GrammarError, Key
from pixi_scaffold.workspace.model import DEFAULT
from pixi_scaffold.workspace.pypi import PypiRequirement, normalised
from pixi_scaffold.workspace.values import BadValueError, version_spec

if TYPE_CHECKING:
    from packaging.requirements import Requirement

TOOL: Key = ("tool", "pixi")
"""Where pyproject.toml keeps the manifest."""


def has_workspace(text: str) -> bool:
    """Whether a pyproject.toml holds a Pixi workspace; one that cannot be read may."""
    try:
        return bool(_table(tomllib.loads(text), *TOOL))
    except tomllib.TOMLDecodeError:
        return "[tool.pixi" in text


@dataclass(frozen=True, slots=True)
class FromProject:
    """What a pyproject.toml adds to its [tool.pixi]."""

    features: frozenset[str] = frozenset()
    """Those that nobody wrote down there."""
    pypi: Mapping[str, tuple[PypiRequirement, ...]] = field(default_factory=dict)
    """Requirements by feature, beside its own."""


def pixi_document(document: Mapping[str, Any]) -> tuple[dict[str, Any], FromProject]:
    """Return the manifest that a pyproject.toml amounts to, and what comes from outside of it.

    Extras and dependency groups are features with PyPI packages. Raises GrammarError.
    """
    if not isinstance(_table(document, "tool").get("pixi"), dict):
        raise GrammarError((), "it has no [tool.pixi] table")
    pixi = copy.deepcopy(_table(document, *TOOL))
    project = _table(document, "project")
    head = next((pixi[h] for h in ("workspace", "project") if isinstance(pixi.get(h), dict)), None)
    if head is None:
        return pixi, FromProject()
    if isinstance(project.get("name"), str):
        head.setdefault("name", project["name"])
    dependencies = pixi.setdefault("dependencies", {})
    if isinstance(dependencies, dict) and "python" not in dependencies:
        dependencies["python"] = _python(project)
    groups = _groups(document)
    features = pixi.setdefault("feature", {}) if groups else {}
    if not isinstance(features, dict):  # the grammar says what is wrong
        return pixi, FromProject()
    implied = frozenset(groups) - set(features)
    for name in groups:
        features.setdefault(name, {})
    required = _requirements(project.get("dependencies", []), ("project", "dependencies"))
    groups[DEFAULT] = [*groups.get(DEFAULT, ()), *required]
    asked = {name: tuple(map(_asked, requirements)) for name, requirements in groups.items()}
    return pixi, FromProject(implied, asked)


def _python(project: Mapping[str, Any]) -> str:
    wanted = project.get("requires-python", "*")
    key = ("project", "requires-python")
    if not isinstance(wanted, str):
        raise GrammarError(key, "expected a string")
    try:
        # What PEP 440 calls ==3.12 is conda's 3.12, without a warning.
        return version_spec(re.sub(r"\s", "", wanted).removeprefix("==") or "*")[0]
    except BadValueError as error:
        raise GrammarError(key, f"{wanted!r} is not {error}") from error


def _groups(document: Mapping[str, Any]) -> dict[str, list[Requirement]]:
    """Return the requirements of each extra and dependency group, with those that one includes."""
    groups: dict[str, list[Requirement]] = {}
    for name, entries in _table(document, "project", "optional-dependencies").items():
        key = ("project", "optional-dependencies", name)
        groups[name] = _requirements(entries, key)
    raw = _table(document, "dependency-groups")
    for name in raw:
        groups.setdefault(name, []).extend(_group(name, raw, ()))
    return groups


def _group(name: str, raw: Mapping[str, Any], inside: tuple[str, ...]) -> list[Requirement]:
    key = ("dependency-groups", name)
    if name in inside:
        raise GrammarError(key, f"it includes itself: {' -> '.join((*inside, name))}")
    entries = raw.get(name)
    if not isinstance(entries, list):
        raise GrammarError(key, f"there is no dependency group {name!r}")
    requirements: list[Requirement] = []
    for entry in entries:
        if isinstance(entry, dict) and isinstance(entry.get("include-group"), str):
            requirements += _group(entry["include-group"], raw, (*inside, name))
        else:
            requirements += _requirements([entry], key)
    return requirements


def _requirements(entries: Any, key: Key) -> list[Requirement]:
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise GrammarError(key, "expected a list of strings")
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return [Requirement(entry) for entry in entries]
    except InvalidRequirement as error:
        raise GrammarError(key, str(error)) from error


def _asked(requirement: Requirement) -> PypiRequirement:
    """Return a requirement of PEP 508 as one of the manifest."""
    url = requirement.url or ""
    return PypiRequirement(
        normalised(requirement.name),
        str(requirement.specifier) or "*",
        tuple(sorted(map(normalised, requirement.extras))),
        str(requirement.marker or ""),
        source=("git" if url.startswith("git+") else "url") if url else "",
    )


def _table(document: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """Return an inner table; empty where it is not there."""
    table: Any = document
    for key in keys:
        table = table.get(key, {}) if isinstance(table, dict) else {}
    return table if isinstance(table, dict) else {}
