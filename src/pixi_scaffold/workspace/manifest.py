"""Find and read a Pixi manifest (pixi.toml, or [tool.pixi] of pyproject.toml) into a Workspace.

What Pixi refuses raises ManifestError with the file, the line, the key and what is allowed there;
what only Pixi can lock is collected by name in `Workspace.unsupported`.
"""

import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ManifestError, NoWorkspaceError
from pixi_scaffold.system import layout, program
from pixi_scaffold.workspace.grammar import GrammarError
from pixi_scaffold.workspace.model import Workspace
from pixi_scaffold.workspace.pypi import normalised
from pixi_scaffold.workspace.pyproject import TOOL, FromProject, has_workspace, pixi_document
from pixi_scaffold.workspace.reader import read_workspace
from pixi_scaffold.workspace.values import PIXIS, satisfies

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEYS = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*\[\s*({_KEYS})\s*\]\s*(#.*)?")
_ENTRY = re.compile(rf"\s*({_KEYS})\s*=")


def find_manifest(start: Path) -> Path:
    """Return the absolute path of the manifest at `start` (a folder or the file itself).

    Raises NoWorkspaceError when there is none.
    """
    start = start.absolute()
    if start.is_file():
        return start
    manifest, pyproject = start / layout.MANIFEST, start / layout.PYPROJECT
    if manifest.is_file():
        return manifest
    with suppress(OSError, UnicodeDecodeError):
        if pyproject.is_file() and has_workspace(pyproject.read_text(encoding="utf-8")):
            return pyproject
    hint = f"go to a workspace, or make one: {program()} new myproject"
    if not start.exists():
        raise NoWorkspaceError(f"there is no folder {start}", hint)
    if above := next((f for f in start.parents if (f / "pixi.toml").is_file()), None):
        hint = f"one is above: cd {shlex.quote(os.path.relpath(above))}"
    raise NoWorkspaceError(f"no pixi.toml in {start}", hint)


def manifest_among(texts: Mapping[str, str]) -> str:
    """Return which of a folder's files, by name, is its manifest; empty when none is."""
    if layout.MANIFEST in texts:
        return layout.MANIFEST
    return layout.PYPROJECT if has_workspace(texts.get(layout.PYPROJECT, "")) else ""


def read_manifest(path: Path) -> Workspace:
    """Read the manifest at `path`; raises ManifestError when it is not a valid one."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot read {path}: {error}", "is it a text file?") from error
    return parse_manifest(text, path)


def parse_manifest(text: str, path: Path) -> Workspace:
    """Parse the text of a manifest; `path` is where it came from. Raises ManifestError."""
    try:
        document = _load(text)
    except tomllib.TOMLDecodeError as error:
        if marker := re.search(r"^<{7}( |$)", text, re.MULTILINE):
            number = text.count("\n", 0, marker.start()) + 1
            raise ManifestError(
                f"{path}:{number}:1: it has conflict markers of a merge",
                f"resolve them, then: {program()} lock",
            ) from error
        problem, _, place = str(error).partition(" (at ")
        matched = re.match(r"line (\d+), column (\d+)", place)
        line, column = matched.groups() if matched else (str(text.count("\n") + 1), "1")
        raise ManifestError(
            f"{path}:{line}:{column}: not valid TOML: {problem}",
            f"correct line {line} of {path.name}",
        ) from error
    except RecursionError as error:
        raise ManifestError(f"{path}:1:1: nested too deeply", f"correct {path.name}") from error
    inside = TOOL if path.name == "pyproject.toml" else ()
    outside = FromProject()
    try:
        if inside:
            document, outside = pixi_document(document, path.parent)
        workspace = read_workspace(document, path, outside)
        wanted = workspace.requires_pixi  # one newer than is known may meet it: Pixi then decides
        if wanted and not any(satisfies(version, wanted) for version in PIXIS):
            message = f"{wanted!r} is met by no Pixi: what is known here is {PIXIS[0]}"
            raise GrammarError(("workspace", "requires-pixi"), message)
    except GrammarError as error:
        raise _refusal(text, path, inside, error) from error
    return workspace


def _refusal(text: str, path: Path, inside: tuple[str, ...], error: GrammarError) -> ManifestError:
    outside = ("project", "dependency-groups", "build-system")  # of pyproject.toml itself
    is_of_table = inside and error.key and error.key[0] in outside
    key = error.key if is_of_table else (*inside, *error.key)
    line = line_of(text, key) if key else None
    where = f"{path}:{line}" if line else str(path)
    name = ".".join(error.key)
    hint = f"correct line {line} of {path.name}" if line else f"correct {path.name}"
    if not error.key:
        hint = f"make a workspace: {program()} new myproject"
    return ManifestError(
        f"{where}: {name}: {error.problem}" if name else f"{path}: {error.problem}", hint
    )


def _load(text: str) -> dict[str, Any]:
    """Return the document. Pixi also takes TOML 1.1: line breaks and a last comma in `{...}`.

    Raises tomllib.TOMLDecodeError, whose places are exact, when neither reader takes it.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        import tomlkit
        from tomlkit.exceptions import TOMLKitError

        if text.startswith("\ufeff"):
            raise
        with suppress(TOMLKitError):
            return dict(tomlkit.parse(text).unwrap())
        raise


def line_of(text: str, key: tuple[str, ...]) -> int | None:
    """Return the line (from 1) that defines `key`, or the innermost table around it.

    None when no part of it is in the text.
    """
    best, place = 0, None
    for number, _, here, _ in _keys(text):
        if best < len(here) and key[: len(here)] == here:
            best, place = len(here), number
    return place


def mentions(manifest: Path, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, its text) wherever a manifest requires or constrains `package`.

    Nothing when it cannot be read any more.
    """
    try:
        text = manifest.read_text(encoding="utf-8")
    except OSError:
        return
    for number, line, key, is_entry in _keys(text):
        of_packages = any(p.endswith("dependencies") or p == "constraints" for p in key[:-1])
        if is_entry and of_packages and package in (key[-1].lower(), normalised(key[-1])):
            yield number, line.strip()


def _keys(text: str) -> Iterator[tuple[int, str, tuple[str, ...], bool]]:
    """Yield (line, its text, the whole key, whether it has a value) of tables and entries."""
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            table = _split(header[1])
            yield number, line, table, False
        elif entry := _ENTRY.match(line):
            yield number, line, (*table, *_split(entry[1])), True


def _split(keys: str) -> tuple[str, ...]:
    """Return the parts of a dotted key."""
    try:
        table: Any = tomllib.loads(f"{keys} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    parts = []
    while isinstance(table, dict):
        [(name, table)] = table.items()
        parts.append(name)
    return tuple(parts)
