"""Read what pip is asked for: requirements.txt, and [project] of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pixi_scaffold.adopt.wanted import LeftOut, Wanted
from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.workspace import PypiRequirement, Requirement

_FILE = re.compile(r"(?:-r|--requirement)[\s=]*(\S+)")
_SPEC = re.compile(r"\s*[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?")
_WHY = {
    "-e": "installed from a folder: pixi add --pypi --editable, with Pixi",
    "--editable": "installed from a folder: pixi add --pypi --editable, with Pixi",
    "-c": "constraints: pixi has [constraints] for conda packages only",
    "--constraint": "constraints: pixi has [constraints] for conda packages only",
    "--index-url": "an index: [pypi-options] index-url",
    "-i": "an index: [pypi-options] index-url",
    "--extra-index-url": "an index: [pypi-options] extra-index-urls",
    "--find-links": "a place of wheels: [pypi-options] find-links",
    "-f": "a place of wheels: [pypi-options] find-links",
}


def read_requirements(text: str, path: Path) -> Wanted:
    """Return what a requirements.txt asks for, and the files that it includes."""
    joined, number, lines = "", 0, []
    for count, line in enumerate(text.splitlines(), 1):
        number = number or count
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        lines.append((number, joined + line))
        joined, number = "", 0
    pypi, left_out = read_pip_lines(lines, path)
    return Wanted(pypi=tuple({r.name: r for r in pypi}.values()), left_out=tuple(left_out))


def read_pip_lines(
    lines: Iterable[tuple[int, str]], path: Path, seen: frozenset[Path] = frozenset()
) -> tuple[list[PypiRequirement], list[LeftOut]]:
    """Return the requirements in lines with their numbers, and what was left out.

    path: the file that they stand in; `-r` names another beside it.
    """
    requirements: list[PypiRequirement] = []
    left_out: list[LeftOut] = []
    for number, line in lines:
        text = re.sub(r"(^|\s)#.*", "", line)
        text = re.sub(r"\s--hash[=\s]\S+", "", text).strip()
        place = f"{path.name}:{number}"
        if not text:
            continue
        if included := _FILE.match(text):
            other = path.parent / included[1]
            if other in seen or not other.is_file():
                left_out.append(LeftOut(place, text, f"there is no {included[1]}"))
                continue
            inner = enumerate(other.read_text(encoding="utf-8").splitlines(), 1)
            more = read_pip_lines(inner, other, seen | {path, other})
            requirements += more[0]
            left_out += more[1]
            continue
        try:
            requirements.append(read_requirement_line(text))
        except ValueError as error:
            left_out.append(LeftOut(place, text, str(error)))
    return requirements, left_out


def read_requirement_line(text: str) -> PypiRequirement:
    """Return one requirement of PEP 508; raises ValueError with why it is not taken over."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    option = re.split(r"[\s=]", text, maxsplit=1)[0]
    if option.startswith("-"):
        raise ValueError(_WHY.get(option, "an option of pip"))
    if re.match(r"(git\+|hg\+|svn\+|https?:|file:|\.|/)", text):
        raise ValueError("from a repository, a folder or a file: pixi add --pypi, with Pixi")
    try:
        parsed = Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(f"no requirement of pip: {str(error).splitlines()[0]}") from error
    if parsed.url:
        raise ValueError(f"from {parsed.url}: pixi add --pypi, with Pixi")
    version = _SPEC.match(text)
    return PypiRequirement(
        canonicalize_name(parsed.name),
        re.sub(r"\s", "", version[1] if version else "") or "*",
        tuple(sorted(parsed.extras)),
        str(parsed.marker or ""),
    )


def read_pyproject(text: str, path: Path) -> Wanted:
    """Return what [project] of a pyproject.toml asks for; raises ScaffoldError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScaffoldError(f"{path} is not valid TOML: {error}", f"correct {path.name}") from error
    project = document.get("project", {})
    pypi: list[PypiRequirement] = []
    left_out: list[LeftOut] = []
    for line in project.get("dependencies", ()):
        try:
            pypi.append(read_requirement_line(line))
        except ValueError as error:
            left_out.append(LeftOut(f"{path.name}: [project]", line, str(error)))
    left_out += _further(document, path)
    python = re.sub(r"\s", "", str(project.get("requires-python", "")))
    conda = (Requirement("python", (("version", _conda(python)),)),) if python else ()
    return Wanted(str(project.get("name", "")), (), conda, tuple(pypi), (), tuple(left_out))


def _conda(version: str) -> str:
    """Return a range of Python as conda writes it: `~=3.11` is `>=3.11,<4`."""
    compatible = re.fullmatch(r"~=(\d+)\.(\d+)(?:\.(\d+))?", version)
    if not compatible:
        return version.replace("===", "==")
    major, minor, patch = compatible.groups()
    top = f"{int(major) + 1}" if patch is None else f"{major}.{int(minor) + 1}"
    return f">={version.removeprefix('~=')},<{top}"


def _further(document: dict[str, Any], path: Path) -> Iterator[LeftOut]:
    """Yield what else asks for packages: groups, and tools of their own."""
    project = document.get("project", {})
    for group, lines in project.get("optional-dependencies", {}).items():
        why = f"optional: pixi add --pypi --feature {group} ..."
        yield LeftOut(f"{path.name}: optional-dependencies", f"{group} ({', '.join(lines)})", why)
    for group in document.get("dependency-groups", {}):
        why = f"a group: pixi add --pypi --feature {group} ..."
        yield LeftOut(f"{path.name}: dependency-groups", group, why)
    if names := document.get("tool", {}).get("poetry", {}).get("dependencies"):
        yield LeftOut(f"{path.name}: tool.poetry", ", ".join(names), "Poetry's own table")
    if "dependencies" in project.get("dynamic", ()):
        why = "computed while the package is built"
        yield LeftOut(f"{path.name}: [project]", "dynamic dependencies", why)
