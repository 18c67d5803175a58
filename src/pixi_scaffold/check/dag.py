"""What a review is asked to look at: submit files, and the nodes of DAGs as DAGMan submits them."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from pixi_scaffold.job import Description, Problem, Submission, meaning
from pixi_scaffold.system import read_regular, real

_LIMIT = 4 << 20
_VAR = re.compile(r'([+A-Za-z_][\w.+-]*)\s*=\s*"((?:\\.|[^"\\])*)"')
_WORDS = re.compile(r'"[^"]*"|\S+')
_DESCRIPTION = "SUBMIT-DESCRIPTION"
_NODES = ("JOB", "NODE", "FINAL", "PROVISIONER", "SERVICE")


class DagNode(NamedTuple):
    """One node: its description, the folder where DAGMan submits it, and its VARS."""

    name: str
    """With the name of its splice or sub-DAG and a `+` before it."""
    path: Path
    """That of its DAG, where its description stands in there."""
    folder: Path
    before: tuple[str, ...] = ()
    """VARS with PREPEND, and what DAGMan itself defines."""
    append: tuple[str, ...] = ()
    """The other VARS."""
    parents: tuple[str, ...] = ()
    """Names of the nodes that have to end first, also those far above; with a PRE script, `PRE`."""
    dag: Path = Path()
    """The file that it stands in, a splice or a sub-DAG of the one that was read."""
    problems: tuple[Problem, ...] = ()
    """What DAGMan refuses in the whole file; the first node with a file has it."""


@dataclass(slots=True)
class _Dag:
    path: Path
    home: Path
    """Where its names start: where condor_submit_dag is run."""
    seen: frozenset[Path]
    """Itself, and the DAGs around it."""
    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    described: set[str] = field(default_factory=set)
    """Names of descriptions that stand in it."""
    within: dict[str, tuple[DagNode, ...]] = field(default_factory=dict)
    """The nodes of each splice and sub-DAG."""
    variables: dict[str, list[tuple[bool, str]]] = field(default_factory=dict)
    parents: dict[str, set[str]] = field(default_factory=dict)
    scripts: set[str] = field(default_factory=set)
    named: list[tuple[int, str]] = field(default_factory=list)
    """Nodes that other lines speak of."""
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, line: int, message: str) -> None:
        """Note what DAGMan refuses."""
        self.problems.append(Problem("dag", self.path, line, message))

    def read(self, number: int, words: list[str], line: str) -> None:
        """Take in one line."""
        upper = [w.upper() for w in words]
        kind = upper[0]
        if kind in _NODES and len(words) > 2:
            done = not {"NOOP", "DONE"}.isdisjoint(upper[3:])  # DAGMan submits nothing for it
            self.files[words[1]] = ("" if done else words[2], _folder(words[1:]))
        elif kind == _DESCRIPTION and len(words) > 2:
            self.described.add(words[1])
        elif kind == "SPLICE" and len(words) > 2:
            self._inside(number, words[1:])
        elif upper[:2] == ["SUBDAG", "EXTERNAL"] and len(words) > 3:
            self._inside(number, words[2:], late=True)
        elif kind == "VARS" and len(words) > 2:
            self._variables(number, words, line)
        elif kind == "PARENT":
            self._parents(number, words, upper)
        elif kind == "SCRIPT":
            rest = [w for w in words[1:] if w.upper() not in ("DEFER", "DEBUG")]
            if rest[:1] and rest[0].upper() == "PRE" and len(rest) > 1:
                self.scripts.add(rest[1])
        elif kind in ("RETRY", "PRIORITY", "CATEGORY") and len(words) > 2:
            self.named.append((number, words[1]))

    def _inside(self, number: int, words: list[str], *, late: bool = False) -> None:
        name, file, folder = *words[:2], _folder(words)
        path, nodes = self.home / folder / file, tuple[DagNode, ...]()
        if path in self.seen:
            self.refuse(number, f"{name} is this DAG itself, or one around it")
            return
        try:
            nodes = read_dag(path, self.home / folder, self.seen)
        except OSError as error:
            if late:  # DAGMan reads it when its turn comes, as a submit file
                self.files[name] = (file, folder)
                return
            self.refuse(number, f"{name}: {file} cannot be read: {error.strerror or error}")
        self.within[name] = tuple(
            node._replace(
                name=f"{name}+{node.name}",
                parents=tuple(p if p == "PRE" else f"{name}+{p}" for p in node.parents),
            )
            for node in nodes
        )

    def _variables(self, number: int, words: list[str], line: str) -> None:
        prepends = "PREPEND" in (w.upper() for w in words[2:3])
        given = self.variables.setdefault(words[1].upper(), [])
        if words[1].upper() != "ALL_NODES":
            self.named.append((number, words[1]))
        matched = _VAR.findall(line)
        if not matched:
            quotes = 'a value stands in double quotes, name="value"'
            self.refuse(number, f"VARS of {words[1]}: {quotes}")
        for name, value in matched:
            plain = re.sub(r'\\(["\\])', r"\1", value)
            given.append((prepends, f"{name} = {plain}"))

    def _parents(self, number: int, words: list[str], upper: list[str]) -> None:
        if "CHILD" not in upper:
            self.refuse(number, "PARENT without CHILD")
            return
        middle = upper.index("CHILD")
        self.named += [(number, word) for word in (*words[1:middle], *words[middle + 1 :])]
        for child in words[middle + 1 :]:
            self.parents.setdefault(child, set()).update(words[1:middle])

    def judge(self) -> None:
        """Note nodes that nothing defines, and circles."""
        known = {name.upper() for name in (*self.files, *self.within)}
        for number, name in self.named:
            if name.upper() not in known and "+" not in name:
                self.refuse(number, f"there is no node {name}")
        circle = next((name for name in self.files if name in self._above(name)), "")
        if circle:
            why = f"{circle} has to wait for itself: PARENT and CHILD go round in a circle"
            self.refuse(0, why)

    def _above(self, name: str) -> set[str]:
        above: set[str] = set()
        todo = [name]
        while todo:
            new = self.parents.get(todo.pop(), set()) - above
            above |= new
            todo += new
        return above

    def _nodes_above(self, name: str) -> Iterator[str]:
        """Yield the names of what has to end first, for a splice or a sub-DAG of all its nodes."""
        for above in sorted(self._above(name)):
            inside = self.within.get(above)
            yield from (node.name for node in inside) if inside is not None else (above,)

    def nodes(self) -> Iterator[DagNode]:
        """Yield its nodes, then those of its splices and sub-DAGs."""
        for name, (file, folder) in self.files.items():
            if not file:
                continue
            inline = file in self.described or file.startswith(("{", "@="))
            given = self.variables.get("ALL_NODES", []) + self.variables.get(name.upper(), [])
            pre = ("PRE",) if name in self.scripts or "ALL_NODES" in self.scripts else ()
            yield DagNode(
                name,
                self.path if inline else self.home / folder / file,
                self.home / folder,
                (f"JOB = {name}", "RETRY = 0", *(text for first, text in given if first)),
                tuple(text for first, text in given if not first),
                (*self._nodes_above(name), *pre),
                self.path,
            )
        for name, nodes in self.within.items():
            above = tuple(self._nodes_above(name))
            yield from (node._replace(parents=(*node.parents, *above)) for node in nodes)


def read_dag(
    path: Path, home: Path | None = None, seen: frozenset[Path] = frozenset()
) -> tuple[DagNode, ...]:
    """Return the nodes of a DAG, in order, with those of its splices and sub-DAGs.

    home: where its names start; without it, its own folder. seen: the DAGs around it, which are
    not read again. Source: the DAGMan manual: JOB, FINAL, DIR, VARS, PARENT, SCRIPT, SPLICE,
    SUBDAG EXTERNAL, INCLUDE. Raises OSError.
    """
    path = path.absolute()
    dag = _Dag(path, path.parent if home is None else home, seen | {path})
    for number, words, line in _lines(path, frozenset()):
        dag.read(number, words, line)
    dag.judge()
    nodes = [*dag.nodes()]
    first = next((node for node in nodes if node.path != node.dag), None)
    return tuple(
        n._replace(problems=(*dag.problems, *n.problems)) if n is first else n for n in nodes
    )


def _lines(path: Path, seen: frozenset[Path]) -> Iterator[tuple[int, list[str], str]]:
    text = read_regular(path, _LIMIT).decode("utf-8", errors="replace")
    start, goes_on, end = 0, "", ""
    for number, line in enumerate(text.splitlines(), start=1):
        start = start if goes_on else number
        whole = f"{goes_on} {line}" if goes_on else line
        goes_on = whole[:-1] if whole.endswith("\\") else ""
        words = [word.strip('"') for word in _WORDS.findall(whole)]
        if goes_on or not words or words[0].startswith("#"):
            continue
        if end:  # a description that stands in the DAG goes on
            end = "" if words[0].startswith(end) else end
            continue
        if words[0].upper() in (*_NODES, _DESCRIPTION) and len(words) > 2:
            end = "}" if words[2] == "{" else words[2].replace("=", "") * (words[2][:2] == "@=")
        if words[0].upper() == "INCLUDE" and len(words) > 1:
            other = path.parent / words[1]
            if other not in seen:
                yield from _lines(other, seen | {path, other})
            continue
        yield start, words, whole


def _folder(words: list[str]) -> str:
    return next((name for word, name in pairwise(words[2:]) if word.upper() == "DIR"), "")


ANYTHING = Path("*")
"""In what earlier nodes make: it cannot be told what."""


class Asked(NamedTuple):
    """One submit file, as it is submitted."""

    path: Path
    submission: Submission
    folder: Path | None = None
    """Where condor_submit is run, where that is known."""
    dag: Path | None = None
    node: DagNode | None = None


def asked_for(
    paths: Iterable[Path], given: Submission, folder: Path | None, *, from_folder: bool
) -> Iterator[Asked]:
    """Yield what is behind some paths; of a DAG that cannot be read itself.

    given: the commands of the command line. from_folder: the paths were found there, so that a file
    which a DAG submits is not looked at a second time, alone.
    """
    plain: list[Asked] = []
    nodes: list[Asked] = []
    for path in paths:
        try:
            every = read_dag(path) if path.suffix == ".dag" else None
        except OSError:
            every = None
        if every is None:
            plain.append(Asked(path, given, folder))
        for node in every or ():
            before, append = (*node.before, *given.before), (*node.append, *given.append)
            submission = replace(given, before=before, append=append)
            nodes.append(Asked(node.path, submission, folder or node.folder, path.absolute(), node))
    submitted = {real(one.path) for one in nodes} if from_folder else set()
    yield from (one for one in plain if real(one.path) not in submitted)
    inner = {one.node.dag for one in nodes if one.node and one.node.dag != one.dag}
    yield from (one for one in nodes if not (from_folder and one.dag in inner))


def made_earlier(one: Asked, read: Mapping[tuple[Path, str], Description]) -> frozenset[Path]:
    """Return the files that the nodes above one make; read: descriptions by DAG and node."""
    if one.node is None or one.dag is None:
        return frozenset()
    made: set[Path] = set()
    for name in one.node.parents:
        description = read.get((one.dag, name))
        made |= {ANYTHING} if description is None else set(_made(description))
    return frozenset(made)


def _made(description: Description) -> Iterator[Path]:
    for job in description.jobs:
        meant = meaning(job)
        outputs = meant.outputs.value or ()
        if not outputs:
            yield ANYTHING  # whatever is new comes back
        names = [os.path.basename(name.rstrip("/")) for name in outputs]  # noqa: PTH119
        names += [meant.of(name).text for name in ("output", "error")]
        names += meant.remaps.values()
        for name in filter(None, names):
            yield Path(os.path.normpath(meant.folder.value / name))
