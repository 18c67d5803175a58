"""What a Python program says of itself: the modules that it imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Imported:
    """One module that a program imports: its first name, and the line."""

    name: str
    line: int
    at_once: bool
    """The import is a statement of the module itself, not of a function, a class, a branch or a
    `try`, so that the program cannot start without it."""


@lru_cache(maxsize=256)
def parsed(source: bytes) -> ast.Module | None:
    """Return a program's tree; None when it is no Python."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@lru_cache(maxsize=256)
def imported(source: bytes) -> tuple[Imported, ...]:
    """Return the modules that a Python program imports; none when it cannot be parsed."""
    tree = parsed(source)
    return () if tree is None else tuple(_imports(tree))


def _imports(tree: ast.Module) -> Iterator[Imported]:
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        else:
            continue
        for name in names:
            yield Imported(name.split(".")[0], node.lineno, id(node) in top)
