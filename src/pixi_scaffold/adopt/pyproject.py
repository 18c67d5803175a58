"""Read what a pyproject.toml asks for: [project], or Poetry's own table."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pixi_scaffold.adopt.requirements import read_requirement_line
from pixi_scaffold.adopt.wanted import LeftOut, Wanted
from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.workspace import PypiRequirement, Requirement

_GROUP = "a group: pixi add --pypi --feature NAME ..."
_INDEX = "an index: [pypi-options] extra-index-urls"
_FURTHER = {
    "project.optional-dependencies": "optional: pixi add --pypi --feature NAME ...",
    "dependency-groups": _GROUP,
    "tool.poetry.group": _GROUP,
    "tool.poetry.dev-dependencies": _GROUP,
    "tool.pdm.dev-dependencies": _GROUP,
    "tool.uv.dev-dependencies": _GROUP,
    "tool.hatch.envs": _GROUP,
    "tool.poetry.source": _INDEX,
    "tool.pdm.source": _INDEX,
    "tool.uv.index": _INDEX,
}
"""What else asks for packages, and what it becomes with Pixi."""
_ELSEWHERE = ("path", "git", "url", "file", "workspace")
_RANGE = re.compile(r"([\^~])\s*(\d[\d.]*)(.*)")


def read_pyproject(text: str, path: Path) -> Wanted:
    """Return what a pyproject.toml asks for; raises ScaffoldError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScaffoldError(f"{path} is not valid TOML: {error}", f"correct {path.name}") from error
    project, poetry = document.get("project", {}), _at(document, "tool.poetry")
    lines = [(f"{path.name}: [project]", line) for line in project.get("dependencies", ())]
    python = re.sub(r"\s", "", str(project.get("requires-python", "")))
    pypi: list[PypiRequirement] = []
    left_out: list[LeftOut] = []
    for name, spec in poetry.get("dependencies", {}).items():
        place = f"{path.name}: tool.poetry"
        try:
            line = _poetry_line(name, spec)
        except ValueError as error:
            left_out.append(LeftOut(place, name, str(error)))
            continue
        if name == "python":
            python = python or line.removeprefix(name)
        else:
            lines.append((place, line))
    elsewhere = _at(document, "tool.uv.sources")
    for place, line in lines:
        try:
            requirement = read_requirement_line(line)
            source = elsewhere.get(requirement.name, {})
            if isinstance(source, dict) and (kind := [k for k in _ELSEWHERE if k in source]):
                raise ValueError(f"by its {kind[0]} in tool.uv.sources: pixi add --pypi, with Pixi")
            pypi.append(requirement)
        except ValueError as error:
            left_out.append(LeftOut(place, line, str(error)))
    left_out += _further(document, path)
    conda = (Requirement("python", (("version", _conda(python)),)),) if python else ()
    name = str(project.get("name", poetry.get("name", "")))
    return Wanted(name, (), conda, tuple(pypi), (), tuple(left_out))


def _poetry_line(name: str, spec: Any) -> str:
    """Return a dependency of Poetry as PEP 508 has it; raises ValueError with why it has none.

    https://python-poetry.org/docs/dependency-specification
    """
    if not isinstance(spec, (str, dict)):
        raise ValueError("several versions by marker: pixi add --pypi, with Pixi")
    table = {"version": spec} if isinstance(spec, str) else spec
    if kind := [one for one in _ELSEWHERE if one in table]:
        raise ValueError(f"by its {kind[0]}: pixi add --pypi, with Pixi")
    if table.get("optional"):
        raise ValueError("optional: pixi add --pypi --feature NAME ...")
    version = str(table.get("version", "*"))
    if "|" in version:
        raise ValueError(f"{version}: one range of versions under [pypi-dependencies]")
    parts = [_pep440(part.strip()) for part in version.split(",")]
    markers = [str(table["markers"])] if "markers" in table else []
    if "python" in table:
        bounds = _pep440(str(table["python"])).split(",")
        markers += [re.sub(r"([<>=!~]+)(.*)", r"python_version \1 '\2'", one) for one in bounds]
    extras = f"[{','.join(table['extras'])}]" if "extras" in table else ""
    marker = f" ; {' and '.join(markers)}" if markers else ""
    return f"{name}{extras}{','.join(filter(None, parts))}{marker}"


def _pep440(part: str) -> str:
    """Return a part of Poetry's version: `^1.2` is `>=1.2,<2`, `~1.2` is `>=1.2,<1.3`."""
    if part == "*":
        return ""
    if written := _RANGE.fullmatch(part):
        sign, version, rest = written.groups()
        numbers = [int(number) for number in version.split(".")]
        if sign == "^":
            last = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
        else:
            last = min(1, len(numbers) - 1)
        top = ".".join(map(str, [*numbers[:last], numbers[last] + 1]))
        return f">={version}{rest},<{top}"
    return part if part[:1] in "<>=!~" else f"=={part}"


def _conda(version: str) -> str:
    """Return a range as conda writes it: `~=3.11` is `>=3.11,<4`, `==3.11.*` is `3.11.*`."""
    compatible = re.fullmatch(r"~=(\d+)\.(\d+)(?:\.(\d+))?", version)
    if not compatible:
        return re.sub(r"={2,3}([\d.]+\.\*)", r"\1", version).replace("===", "==")
    major, minor, patch = compatible.groups()
    top = f"{int(major) + 1}" if patch is None else f"{major}.{int(minor) + 1}"
    return f">={version.removeprefix('~=')},<{top}"


def _further(document: Mapping[str, Any], path: Path) -> Iterator[LeftOut]:
    """Yield what else asks for packages: groups, and indexes of their own."""
    for table, why in _FURTHER.items():
        entries = _at(document, table)
        if isinstance(entries, dict):
            entries = [_group(name, value) for name, value in entries.items()]
        if entries:
            words = (one.get("name", "") if isinstance(one, dict) else one for one in entries)
            yield LeftOut(f"{path.name}: {table}", ", ".join(words), why)
    if "dependencies" in _at(document, "project").get("dynamic", ()):
        why = "computed while the package is built"
        yield LeftOut(f"{path.name}: [project]", "dynamic dependencies", why)


def _group(name: str, value: Any) -> str:
    lines = value.get("dependencies", ()) if isinstance(value, dict) else value
    words = [one for one in lines if isinstance(one, str)]
    return f"{name} ({', '.join(words)})" if words and not isinstance(lines, str) else name


def _at(document: Mapping[str, Any], dotted: str) -> Any:
    """Return what stands at a dotted key; an empty table where nothing does."""
    node: Any = document
    for key in dotted.split("."):
        node = node.get(key, {}) if isinstance(node, dict) else {}
    return node
