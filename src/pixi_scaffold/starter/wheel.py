"""Turn a wheel into a conda package: the same files, dependencies in conda's words."""

import configparser
import functools
import re
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.starter.package import Entry, Stream, compiled, write_package

CONDA_NAMES: Mapping[str, str] = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""conda-forge's names where they differ from PyPI's, for the packages of the template."""

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE_PACKAGES = f"lib/python{PYTHON}/site-packages"

_STREAMED = 1 << 24
"""Bytes from which a file is not held in memory: PyTorch's library has hundreds of megabytes."""

_SCRIPT_HEADER = b"""\
#!/bin/sh
'''exec' "$(dirname "$0")/python" "$0" "$@"
' '''
"""
# sh runs the second line; to Python it is a string.
_LAUNCHER = (
    _SCRIPT_HEADER.decode()
    + """\
import sys
from {module} import {first}
sys.exit({function}())
"""
)


def conda_name(name: str) -> str:
    """Return the conda name of a PyPI distribution."""
    normal = canonicalize_name(name)
    return CONDA_NAMES.get(normal, normal)


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a wheel says of itself."""

    name: str
    """Its PyPI name, normalized."""
    version: str
    license: str | None
    requires: tuple[str, ...]
    """Its Requires-Dist, as they are written."""
    info: str
    """The name of its .dist-info folder."""


def read_distribution(wheel: Path) -> Distribution:
    """Return what a wheel says of itself; raises ScaffoldError when the file is not a wheel."""
    with _opened(wheel) as archive:
        info = next(
            n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)
        ).partition("/")[0]
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode("utf-8"))
        return Distribution(
            canonicalize_name(metadata["Name"]),
            metadata["Version"],
            (metadata.get("License-Expression") or "").strip() or None,
            tuple(metadata.get_all("Requires-Dist") or ()),
            info,
        )


def convert(
    wheel: Path, folder: Path, subdir: str, others: Mapping[str, Sequence[str]] | None = None
) -> Path:
    """Write `wheel` as a conda package of `subdir` into `folder`; return its path.

    One that is there already is kept. others: Requires-Dist by name, of the wheels that this one
    wants with extras. Raises ScaffoldError when the file is not a wheel.
    """
    distribution = read_distribution(wheel)
    name = conda_name(distribution.name)
    major, minor = sys.version_info[:2]
    python = f"python >={major}.{minor},<{major}.{minor + 1}.0a0"
    index: dict[str, Any] = {
        "name": name,
        "version": distribution.version.replace("-", "_"),
        "build": f"{'cpu_' if name == 'pytorch' else ''}py{PYTHON.replace('.', '')}_0",
        "build_number": 0,
        "depends": [python, *dependencies(distribution.requires, others)],
        "license": distribution.license,
        "subdir": subdir,
        "timestamp": 0,
    }
    with _opened(wheel) as archive:
        return write_package(folder, index, _entries(archive, distribution.info))


@contextmanager
def _opened(wheel: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, StopIteration, KeyError) as error:
        raise ScaffoldError(f"{wheel.name} is not a wheel: {error}", "try again") from error


def dependencies(
    requires_dist: Iterable[str], others: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """Return conda specs for what a wheel requires here, markers evaluated.

    A conda package has no extras: what `name[extra]` adds is taken from the Requires-Dist of
    `name` in `others`, to any depth.
    """
    required = _required(requires_dist, others or {})
    return list(dict.fromkeys(map(_spec, required)))


def unknown_extras(
    requires_dist: Iterable[str], others: Mapping[str, Sequence[str]]
) -> frozenset[str]:
    """Return the names that are required with extras, here and directly or not, and not known."""
    required = _required(requires_dist, others)
    return frozenset(canonicalize_name(r.name) for r in required if r.extras) - others.keys()


def _required(
    requires_dist: Iterable[str],
    others: Mapping[str, Sequence[str]],
    extra: str = "",
    seen: frozenset[tuple[str, str]] = frozenset(),
) -> Iterator[Requirement]:
    """Yield what is required here: without an extra, or only because of it; then its extras'."""
    for requirement in map(Requirement, requires_dist):
        marker = requirement.marker
        plain = marker is None or marker.evaluate({"extra": ""})
        because = marker is not None and not plain and marker.evaluate({"extra": extra})
        if not (because if extra else plain):
            continue
        yield requirement
        name = canonicalize_name(requirement.name)
        for more in sorted({(name, one) for one in requirement.extras} - seen):
            yield from _required(others.get(name, ()), others, more[1], seen | {more})


def _spec(requirement: Requirement) -> str:
    ranges = ",".join(sorted(str(s).replace("===", "==") for s in requirement.specifier))
    return f"{conda_name(requirement.name)} {ranges}".strip()


def _entries(archive: zipfile.ZipFile, info: str) -> Iterator[Entry]:
    """Yield the files in place: `.data` schemes where an installer would put them."""
    schemes = info.removesuffix(".dist-info") + ".data/"
    for member in archive.infolist():
        name = member.filename
        if member.is_dir():
            continue
        target, mode = f"{SITE_PACKAGES}/{name}", 0o644
        if name.startswith(schemes):
            scheme, _, rest = name.removeprefix(schemes).partition("/")
            match scheme:
                case "purelib" | "platlib":
                    target = f"{SITE_PACKAGES}/{rest}"
                case "scripts":
                    target, mode = f"bin/{rest}", 0o755
                case "data":
                    target = rest
                case _:  # headers: nothing in the template builds against them
                    continue
        if (member.external_attr >> 16) & 0o111:
            mode = 0o755
        if member.file_size > _STREAMED:
            large = Stream(functools.partial(archive.open, member), member.file_size)
            yield Entry(target, large, mode)
            continue
        content = archive.read(member)
        if target.startswith("bin/") and content.startswith(b"#!python"):
            content = _SCRIPT_HEADER + content.partition(b"\n")[2]
        yield Entry(target, content, mode)
        if target.endswith(".py") and (byte_code := compiled(target, content)):
            yield byte_code
    yield from _launchers(archive, info)


def _launchers(archive: zipfile.ZipFile, info: str) -> Iterator[Entry]:
    """Yield one script for each console entry point; it finds python beside itself."""
    try:
        text = archive.read(f"{info}/entry_points.txt").decode("utf-8")
    except KeyError:
        return
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    if not parser.has_section("console_scripts"):
        return
    for name, value in parser.items("console_scripts"):
        module, _, function = value.partition("[")[0].strip().partition(":")
        script = _LAUNCHER.format(
            module=module.strip(), function=function.strip(), first=function.strip().split(".")[0]
        )
        yield Entry(f"bin/{name.strip()}", script.encode(), 0o755)
