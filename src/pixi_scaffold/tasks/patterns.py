"""Files that a pattern of the task shell names, as the glob library under that shell finds them.

Without case, in alphabetical order, `**` for any number of folders, no hidden files; what begins
with a dot matches `.` and `..`, too (glob 0.3).
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

_Parts: TypeAlias = "list[re.Pattern[str] | str | None]"
_META = re.compile(r"[*?\[]")
_BRACKETS = re.compile(r"\[!?.[^]]*\]", re.DOTALL)
"""Signs to choose from; a `]` right behind the bracket is one of them."""
_DOT = fnmatch.translate(".")[:5]
"""What the expression of a name with a dot in front begins with."""


def find(pattern: str, folder: Path) -> list[str] | None:
    """Return the paths that match, as the pattern has them; None where it is no valid pattern."""
    absolute = pattern.startswith("/")
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    parts: _Parts = []
    for name in names:
        if name == "**":
            if not parts or parts[-1] is not None:
                parts.append(None)
        elif "**" in name or (compiled := _compiled(name)) is None:
            return None
        else:
            parts.append(compiled if _META.search(name) else name)
    start = Path("/") if absolute else folder
    paths = _walk(start, "/" if absolute else "", parts)
    if pattern.endswith("/"):
        paths = (path for path in paths if (start / path).is_dir())
    if absolute:
        return list(paths)
    return ["/".join(name for name in path.split("/") if name != ".") for path in paths]


def _walk(folder: Path, prefix: str, parts: _Parts, *, is_nested: bool = False) -> Iterator[str]:
    """Yield what matches below a folder; is_nested: `**` led there, which names no `.` and `..`."""
    if not parts:
        return
    part, rest = parts[0], parts[1:]
    if isinstance(part, str):
        path = folder / part
        if os.path.lexists(path):
            yield from _further(path, prefix + part, rest)
    elif part is None:
        if rest:
            yield from _walk(folder, prefix, rest, is_nested=True)
        for name in _names(folder):
            if not name.startswith(".") and (folder / name).is_dir():
                if not rest:
                    yield prefix + name
                yield from _walk(folder / name, f"{prefix}{name}/", parts, is_nested=True)
    else:
        names = _names(folder) if is_nested else ["..", ".", *_names(folder)]
        for name in names:
            if (name[0] != "." or part.pattern.startswith(_DOT)) and part.fullmatch(name):
                yield from _further(folder / name, prefix + name, rest)


def _further(path: Path, shown: str, rest: _Parts) -> Iterator[str]:
    if not rest:
        yield shown
    elif path.is_dir():
        yield from _walk(path, f"{shown}/", rest)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  names, not paths
    except OSError:
        return []


def _compiled(name: str) -> re.Pattern[str] | None:
    """Return the expression of one part of a path; None where a bracket is not closed."""
    if "[" in _BRACKETS.sub("", name):
        return None
    return re.compile(fnmatch.translate(name), re.IGNORECASE)
