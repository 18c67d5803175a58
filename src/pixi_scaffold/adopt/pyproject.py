"""Read what a pyproject.toml asks for: [project], or the older tables of Poetry and Flit."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixi_scaffold.adopt.requirements import PipReader
from pixi_scaffold.adopt.wanted import LeftOut, Wanted, known
from pixi_scaffold.errors import ScaffoldError

_POETRY = "tool.poetry.dependencies"
_ELSEWHERE = ("path", "git", "url", "file", "workspace")
_RANGE = re.compile(r"([\^~])\s*(\d[\d.]*)(.*)")
_BETWEEN = re.compile(r"\s*,\s*|(?<=[\w*])\s+(?=[<>=!~^])")
"""What separates Poetry's bounds: a comma, or only a blank."""


def read_pyproject(text: str, path: Path) -> Wanted:
    """Return what a pyproject.toml asks for; raises ScaffoldError."""
    from packaging.utils import canonicalize_name

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScaffoldError(f"{path} is not valid TOML: {error}", f"correct {path.name}") from error
    project, flit = document.get("project", {}), _at(document, "tool.flit.metadata")
    reader = PipReader(path)
    reader.left_out += _further(document, path)
    lines = [
        *((f"{path.name}: [project]", line) for line in project.get("dependencies", ())),
        *((f"{path.name}: tool.flit", line) for line in flit.get("requires", ())),
        *_poetry_lines(document, path, reader),
    ]
    if python := project.get("requires-python") or flit.get("requires-python"):
        lines.append((path.name, f"python {python}"))  # python3.11 would be a name
    elsewhere = {canonicalize_name(k): v for k, v in _at(document, "tool.uv.sources").items()}
    for place, line in lines:
        source = elsewhere.get(canonicalize_name(re.split(r"[^\w.-]", line, maxsplit=1)[0]), {})
        if isinstance(source, dict) and (kind := [k for k in _ELSEWHERE if k in source]):
            why = f"by its {kind[0]} in tool.uv.sources: pixi add --pypi, with Pixi"
            reader.leave_out(place, line, why)
        else:
            reader.line(line, place)
    for line in _at(document, "tool.uv.constraint-dependencies"):
        reader.line(line, f"{path.name}: tool.uv", constrains=True)
    if "dependencies" in project.get("dynamic", ()) and not _at(document, _POETRY):
        named = [_at(document, table) for table in known("files")["dynamic"].split()]
        files = [file for some in named for file in ([some] if isinstance(some, str) else some)]
        reader.read((0, f"-r {one}") for one in files)
        if not files:
            why = "computed while the package is built"
            reader.leave_out(f"{path.name}: [project]", "dynamic dependencies", why)
    name = project.get("name") or _at(document, "tool.poetry.name") or ""
    return replace(reader.wanted(), name=str(name))


def _poetry_lines(
    document: Mapping[str, Any], path: Path, reader: PipReader
) -> Iterator[tuple[str, str]]:
    """Yield Poetry's own dependencies as PEP 508 has them, each with its place.

    Beside those of [project] they ask for nothing more, but may say where something is from.
    """
    place, project = f"{path.name}: tool.poetry", document.get("project", {})
    for name, spec in _at(document, _POETRY).items():
        table = spec if isinstance(spec, dict) else {}
        try:
            line = _poetry_line(name, spec)
        except ValueError as error:
            reader.leave_out(place, name, str(error))
            continue
        if table.get("allow-prereleases"):
            reader.leave_out(place, f"{name}: allow-prereleases", "a bound such as >=1.0a1")
        if "requires-python" not in project if name == "python" else "dependencies" not in project:
            yield place, line


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
        raise ValueError(known("tables")["project.optional-dependencies"])
    version = str(table.get("version", "*"))
    if "|" in version:
        raise ValueError(f"{version}: one range of versions under [pypi-dependencies]")
    markers = [str(table["markers"])] if "markers" in table else []
    if "platform" in table:
        markers.append(f"sys_platform == '{table['platform']}'")
    if "python" in table:
        bounds = _pep440(str(table["python"])).split(",")
        markers += [re.sub(r"([<>=!~]+)(.*)", r"python_version \1 '\2'", one) for one in bounds]
    extras = f"[{','.join(table['extras'])}]" if "extras" in table else ""
    marker = f" ; {' and '.join(markers)}" if markers else ""
    return f"{name}{extras}{_pep440(version)}{marker}"


def _pep440(version: str) -> str:
    """Return Poetry's range as PEP 440 has it: `^1.2` is `>=1.2,<2`, `~1.2` is `>=1.2,<1.3`."""
    bounds = [_bound(re.sub(r"\s", "", one)) for one in _BETWEEN.split(version.strip())]
    return ",".join(filter(None, bounds))


def _bound(part: str) -> str:
    if part in ("", "*"):
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


def _further(document: Mapping[str, Any], path: Path) -> Iterator[LeftOut]:
    """Yield what else asks for packages: groups, and indexes of their own."""
    for table, why in known("tables").items():
        entries = _at(document, table)
        if isinstance(entries, dict):
            entries = [_group(name, value) for name, value in entries.items()]
        words = [entries] if isinstance(entries, str) else entries
        named = (one.get("name", "") if isinstance(one, dict) else one for one in words)
        if words:
            yield LeftOut(f"{path.name}: {table}", ", ".join(named), why)


def _group(name: str, value: Any) -> str:
    if isinstance(value, dict):
        value = [*value.get("dependencies", ()), *value.get("extra-dependencies", ())]
    words = [one for one in value if isinstance(one, str) and not isinstance(value, str)]
    return f"{name} ({', '.join(words)})" if words else name


def _at(document: Mapping[str, Any], dotted: str) -> Any:
    """Return what stands at a dotted key; an empty table where nothing does."""
    node: Any = document
    for key in dotted.split("."):
        node = node.get(key, {}) if isinstance(node, dict) else {}
    return node
