"""What a Python program says of itself: what it imports and what it calls."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pixi_scaffold.rules.subject import LONGEST, Script, Subject
from pixi_scaffold.rules.texts import read_bytes


class Imported(NamedTuple):
    """One module that a program imports: its first name, and the line."""

    name: str
    line: int
    at_once: bool
    """The import is a statement of the module itself, not of a function, a class, a branch or a
    `try`, so that the program cannot start without it."""


@dataclass(frozen=True, eq=False)
class Code:
    """Lines with their numbers; equal ones are one object, so what is found in it is kept."""

    code: tuple[tuple[int, str], ...]


@lru_cache(maxsize=256)
def code_of(source: bytes) -> Code:
    """Return the lines of a Python program that are no comments."""
    lines = source.decode("utf-8", errors="replace").splitlines()
    numbered = ((n, x[:LONGEST]) for n, x in enumerate(lines, 1))
    return Code(tuple((n, x) for n, x in numbered if not x.lstrip().startswith("#")))


@lru_cache(maxsize=4096)
def matches(
    pattern: re.Pattern[str], lines: Code | Script
) -> tuple[tuple[int, str, re.Match[str]], ...]:
    """Return the lines in which a pattern is found, a comment at their end left out."""
    bare = ((number, text.split(" #")[0]) for number, text in lines.code)
    return tuple((n, text, match) for n, text in bare if (match := pattern.search(text)))


@lru_cache(maxsize=256)
def _parsed(source: bytes) -> tuple[ast.Module | None, int, str]:
    try:
        return ast.parse(source), 0, ""
    except SyntaxError as error:
        return None, error.lineno or 1, error.msg
    except (ValueError, RecursionError, MemoryError):
        return None, 0, ""


def parsed(source: bytes) -> ast.Module | None:
    """Return a program's tree; None when it is no Python."""
    return _parsed(source)[0]


def unreadable_at(source: bytes) -> tuple[int, str]:
    """Return the line at which Python's parser stops, and why; 0 where it reads all of it."""
    return _parsed(source)[1:]


@lru_cache(maxsize=256)
def nodes(source: bytes) -> tuple[ast.AST, ...]:
    """Return all nodes of a program's tree; none when it is no Python."""
    tree = parsed(source)
    return () if tree is None else tuple(ast.walk(tree))


@lru_cache(maxsize=256)
def imported(source: bytes) -> tuple[Imported, ...]:
    """Return the modules that a Python program imports; none when it cannot be parsed."""
    tree = parsed(source)
    top = frozenset() if tree is None else frozenset(map(id, tree.body))
    modules: list[Imported] = []
    for node in nodes(source):
        match node:
            case ast.Import(names=aliases):
                names = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(name), level=0):
                names = [name]
            case _:
                continue
        modules += (Imported(name.split(".")[0], node.lineno, id(node) in top) for name in names)
    return tuple(modules)


class Called(NamedTuple):
    """One call in a program."""

    line: int
    text: str
    """`name('first argument', keyword=value)`: of the arguments those that are constants."""
    name: str
    first: str
    """The first argument where it is a text; empty otherwise."""


@lru_cache(maxsize=256)
def calls(source: bytes) -> tuple[Called, ...]:
    """Return the calls in a Python program that no branch (but `__main__`) and no `try` guards."""
    tree = parsed(source)
    return () if tree is None else tuple(_calls(tree))


@lru_cache(maxsize=256)
def calls_of(source: bytes) -> Code:
    """Return the texts of these calls, with their lines."""
    return Code(tuple((call.line, call.text[:LONGEST]) for call in calls(source)))


_GUARDS = frozenset({ast.Try, ast.IfExp, ast.Match})
_LEAVES = frozenset({ast.Name, ast.Constant, ast.Load, ast.Store, ast.alias, ast.Import})


def _calls(tree: ast.Module) -> Iterator[Called]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if type(node) in _GUARDS:
            continue
        if isinstance(node, ast.If) and "__name__" not in ast.dump(node.test):
            waiting.append(node.test)
            continue
        waiting += [child for child in ast.iter_child_nodes(node) if type(child) not in _LEAVES]
        if isinstance(node, ast.Call) and (name := _dotted(node.func)):
            values = [a.value for a in node.args if isinstance(a, ast.Constant)]
            named = [(k.arg, k.value) for k in node.keywords]
            given = [*map(repr, values)]
            given += [f"{key}={v.value!r}" for key, v in named if isinstance(v, ast.Constant)]
            first = node.args[0] if node.args else None
            text = f"{name}({', '.join(given)})"
            opened = first.value if isinstance(first, ast.Constant) else ""
            yield Called(node.lineno, text, name, opened if isinstance(opened, str) else "")


def _dotted(node: ast.expr) -> str:
    """Return `a.b.c` for what is called; of `f(x).b` the last name, with a dot before it."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(parts))


def codes_of(subject: Subject) -> Iterator[tuple[Path, Script | Code]]:
    """Yield the lines of the worker scripts and of the Python programs that travel."""
    for script in subject.scripts:
        yield script.path, script
    for path in subject.programs:
        yield path, code_of(read_bytes(path) or b"")
