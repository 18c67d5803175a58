"""Where a key of a TOML text stands: the line, for a message."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pixi_scaffold.workspace.pypi import normalised

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEYS = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*\[\s*({_KEYS})\s*\]\s*(#.*)?")
_ENTRY = re.compile(rf"\s*({_KEYS})\s*=")


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
