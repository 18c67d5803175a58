"""The nodes of a DAG as DAGMan submits them: file, folder, VARS, and what comes before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pixi_scaffold.system import read_regular

_LIMIT = 4 << 20
_VAR = re.compile(r'([+A-Za-z_][\w.+-]*)\s*=\s*"((?:\\.|[^"\\])*)"')


@dataclass(frozen=True, slots=True)
class DagNode:
    """One node: its description, the folder where DAGMan submits it, and its VARS."""

    name: str
    path: Path
    folder: Path
    before: tuple[str, ...] = ()
    """VARS with PREPEND, and what DAGMan itself defines."""
    append: tuple[str, ...] = ()
    """The other VARS."""
    parents: tuple[str, ...] = ()
    """Names of the nodes that have to end first, also those far above; with a PRE script, `PRE`."""


@dataclass(slots=True)
class _Dag:
    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    variables: dict[str, list[tuple[bool, str]]] = field(default_factory=dict)
    parents: dict[str, set[str]] = field(default_factory=dict)
    scripts: set[str] = field(default_factory=set)


def read_dag(path: Path, seen: frozenset[Path] = frozenset()) -> tuple[DagNode, ...]:
    """Return the nodes of a DAG, in order; splices and sub-DAGs are not looked into.

    Source: the DAGMan manual: JOB, FINAL, DIR, VARS, PARENT, SCRIPT, INCLUDE. Raises OSError.
    """
    dag = _Dag()
    for words, line in _lines(path, seen):
        _command(dag, words, line)
    return tuple(_nodes(dag, path.absolute().parent))


def _lines(path: Path, seen: frozenset[Path]) -> Iterator[tuple[list[str], str]]:
    text = read_regular(path, _LIMIT).decode("utf-8", errors="replace")
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].upper() == "INCLUDE" and len(words) > 1:
            other = path.parent / words[1]
            if other not in seen:
                yield from _lines(other, seen | {path, other})
            continue
        yield words, line


def _command(dag: _Dag, words: list[str], line: str) -> None:
    kind = words[0].upper()
    if kind in ("JOB", "NODE", "FINAL", "PROVISIONER", "SERVICE") and len(words) > 2:
        where = [w.upper() for w in words]
        folder = words[where.index("DIR") + 1] if "DIR" in where[3:-1] else ""
        dag.files[words[1]] = (words[2], folder)
    elif kind == "VARS" and len(words) > 2:
        prepends = "PREPEND" in (w.upper() for w in words[2:3])
        own = dag.variables.setdefault(words[1].upper(), [])
        for name, value in _VAR.findall(line):
            plain = re.sub(r'\\(["\\])', r"\1", value)
            own.append((prepends, f"{name} = {plain}"))
    elif kind == "PARENT" and "CHILD" in (w.upper() for w in words):
        middle = [w.upper() for w in words].index("CHILD")
        for child in words[middle + 1 :]:
            dag.parents.setdefault(child, set()).update(words[1:middle])
    elif kind == "SCRIPT":
        rest = [w for w in words[1:] if w.upper() not in ("DEFER", "DEBUG")]
        if rest[:1] and rest[0].upper() == "PRE" and len(rest) > 1:
            dag.scripts.add(rest[1])


def _nodes(dag: _Dag, home: Path) -> Iterator[DagNode]:
    for name, (file, folder) in dag.files.items():
        given = dag.variables.get("ALL_NODES", []) + dag.variables.get(name.upper(), [])
        above = _above(dag, name)
        pre = ("PRE",) if name in dag.scripts or "ALL_NODES" in dag.scripts else ()
        yield DagNode(
            name,
            home / folder / file,
            home / folder,
            (f"JOB = {name}", "RETRY = 0", *(text for first, text in given if first)),
            tuple(text for first, text in given if not first),
            (*sorted(above), *pre),
        )


def _above(dag: _Dag, name: str) -> set[str]:
    """Return every node that ends before this one begins."""
    found: set[str] = set()
    todo = [name]
    while todo:
        for parent in dag.parents.get(todo.pop(), ()):
            if parent not in found:
                found.add(parent)
                todo.append(parent)
    return found
