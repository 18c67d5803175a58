"""Read what a pyproject.toml asks for: [project], or the older tables of Poetry and Flit."""

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
_FLIT = "tool.flit.metadata"
_ELSEWHERE = ("path", "git", "url", "file", "workspace")
_RANGE = re.compile(r"([\^~])\s*(\d[\d.]*)(.*)")
_BETWEEN = re.compile(r"\s*,\s*|(?<=[\w*])\s+(?=[<>=!~^])")
"""What separates Poetry's bounds: a comma, or only a blank."""


def read_pyproject(text: str, path: Path) -> Wanted:
    """Return what a pyproject.toml asks for; raises ScaffoldError."""
    try:
        return _wanted(tomllib.loads(text), path)
    except (ValueError, RecursionError) as error:  # of TOML, and of what stands where
        raise ScaffoldError(f"{path} cannot be read: {error}", f"correct {path.name}") from error


def _wanted(document: Mapping[str, Any], path: Path) -> Wanted:
    from packaging.utils import canonicalize_name

    reader = PipReader(path)
    reader.left_out += _further(document, path)
    lines = [
        *((f"{path.name}: [project]", one) for one in _texts(document, "project.dependencies")),
        *((f"{path.name}: tool.flit", one) for one in _texts(document, f"{_FLIT}.requires")),
        *_poetry_lines(document, path, reader),
    ]
    python = (_texts(document, f"{table}.requires-python") for table in ("project", _FLIT))
    lines += [(path.name, f"python {one}") for some in python for one in some][:1]
    sources = _at(document, "tool.uv.sources", dict).items()
    elsewhere = {canonicalize_name(name): source for name, source in sources}
    for place, line in lines:
        source = elsewhere.get(canonicalize_name(re.split(r"[^\w.-]", line, maxsplit=1)[0]), {})
        if isinstance(source, dict) and (kind := [k for k in _ELSEWHERE if k in source]):
            why = f"by its {kind[0]} in tool.uv.sources: pixi add --pypi, with Pixi"
            reader.leave_out(place, line, why)
        else:
            reader.line(line, place)
    for line in _texts(document, "tool.uv.constraint-dependencies"):
        reader.line(line, f"{path.name}: tool.uv", constrains=True)
    if "dependencies" in _texts(document, "project.dynamic") and not _at(document, _POETRY, dict):
        tables = known("files")["dynamic"].split()
        files = [file for table in tables for file in _texts(document, table)]
        reader.read((0, f"-r {one}") for one in files)
        if not files:
            why = "computed while the package is built"
            reader.leave_out(f"{path.name}: [project]", "dynamic dependencies", why)
    names = [*_texts(document, "project.name"), *_texts(document, "tool.poetry.name"), ""]
    return replace(reader.wanted(), name=names[0])


def _poetry_lines(
    document: Mapping[str, Any], path: Path, reader: PipReader
) -> Iterator[tuple[str, str]]:
    """Yield Poetry's own dependencies as PEP 508 has them, each with its place.

    Beside those of [project] they ask for nothing more, but may say where something is from.
    """
    place, project = f"{path.name}: tool.poetry", _at(document, "project", dict)
    for name, spec in _at(document, _POETRY, dict).items():
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
    extras = f"[{','.join(_texts(table, 'extras'))}]"
    marker = f" ; {' and '.join(markers)}" if markers else ""
    return f"{name}{extras.replace('[]', '')}{_pep440(version)}{marker}"


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
        words = entries if isinstance(entries, list) else [entries]
        named = (one.get("name", "") if isinstance(one, dict) else one for one in words)
        if words:
            yield LeftOut(f"{path.name}: {table}", ", ".join(map(str, named)), why)


def _group(name: str, value: Any) -> str:
    tables = ("dependencies", "extra-dependencies")
    parts = [_at(value, one) for one in tables] if isinstance(value, dict) else [value]
    listed = [one for part in parts if isinstance(part, (dict, list)) for one in part]
    words = [one for one in listed if isinstance(one, str)]
    return f"{name} ({', '.join(words)})" if words else name


def _at(document: Mapping[str, Any], dotted: str, kind: type = object) -> Any:
    """Return what stands at a dotted key; an empty table where nothing does.

    Raises ValueError where it is of another kind, or no table stands above it.
    """
    node: Any = document
    for key in dotted.split("."):
        if not isinstance(node, dict):
            raise ValueError(f"no table stands above {key} of {dotted}")
        node = node.get(key, {})
    if not isinstance(node, kind):
        raise ValueError(f"{dotted} is no table")
    return node


def _texts(document: Mapping[str, Any], dotted: str) -> list[str]:
    """Return the text or the texts at a dotted key; raises ValueError where something else is."""
    node = _at(document, dotted) or []
    texts = [node] if isinstance(node, str) else node
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise ValueError(f"{dotted} is neither text nor a list of texts")
    return texts
