"""What a review is asked to look at: submit files, and the nodes of DAGs as DAGMan submits them."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from pixi_scaffold.check.dag_lines import ALONE, DESCRIPTION, FORMS, NODES, fits, lines_of
from pixi_scaffold.job import Description, Problem, Submission, meaning
from pixi_scaffold.system import real

_VAR = re.compile(r"""([+A-Za-z_][\w.+-]*)\s*=\s*(?:"((?:\\.|[^"\\])*)"|('[^']*'|[^\s"',]+))""")
"""A variable, and its value: 25.14.1 takes it also without double quotes, 23.9.6 does not."""
_NOT_OF_THE_LAST = ("CATEGORY", "PRIORITY", "RETRY")
_ALL = "ALL_NODES"


class DagNode(NamedTuple):
    """One node: its description, the folder where DAGMan submits it, and its VARS."""

    name: str
    """With the name of its splice or sub-DAG and a `+` before it."""
    path: Path
    """That of its DAG, where its description stands in there."""
    folder: Path
    alone: bool = False
    """Whether it is one of ALONE."""
    before: tuple[str, ...] = ()
    """What DAGMan itself defines, and VARS, over which what the file says goes."""
    append: tuple[str, ...] = ()
    """VARS with APPEND."""
    parents: tuple[str, ...] = ()
    """Names of the nodes that have to end first, also those far above; with a PRE script, `PRE`."""
    dag: Path = Path()
    """The file that it stands in, a splice or a sub-DAG of the one that was read."""
    problems: tuple[Problem, ...] = ()
    """What DAGMan refuses in the whole file; the first node with a file has it, or one for it."""


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
    scripts: list[tuple[int, str, str, str]] = field(default_factory=list)
    """Line, PRE, POST or HOLD, the node, and the file."""
    alone: dict[str, str] = field(default_factory=dict)
    """The kinds of nodes that stand alone."""
    external: set[str] = field(default_factory=set)
    """Names of sub-DAGs, which are nodes, too."""
    done: set[str] = field(default_factory=set)
    named: list[tuple[int, str, str]] = field(default_factory=list)
    """Nodes that other lines speak of: the line, its command, the name."""
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, line: int, message: str, kind: str = "dag") -> None:
        """Note what DAGMan refuses."""
        self.problems.append(Problem(kind, self.path, line, message))

    def read(self, number: int, words: list[str], line: str) -> None:
        """Take in one line."""
        upper = [w.upper() for w in words]
        kind = upper[0].replace("_", "-")
        if kind not in FORMS:
            self.refuse(number, f"{words[0]} is no command of a DAG")
        elif not fits(kind, upper[1:]):
            self.refuse(number, f"{words[0]} takes {FORMS[kind]}")
        elif kind in NODES:
            self._node(number, kind, words, upper)
        elif kind == DESCRIPTION:
            self.described.add(words[1])
        elif kind == "SPLICE":
            self._inside(number, words[1:])
        elif kind == "SUBDAG":
            self._inside(number, words[2:], late=True)
        elif kind == "VARS":
            self._variables(number, words, line)
        else:
            self._about(number, kind, words, upper)

    def _about(self, number: int, kind: str, words: list[str], upper: list[str]) -> None:
        """Take in a command about nodes that others define."""
        if kind == "PARENT":
            middle = upper.index("CHILD")
            self.named += [(number, kind, w) for w in (*words[1:middle], *words[middle + 1 :])]
            for child in words[middle + 1 :]:
                self.parents.setdefault(child, set()).update(words[1:middle])
        elif kind == "SCRIPT":
            when = next(n for n, w in enumerate(upper) if w in ("PRE", "POST", "HOLD"))
            self.named.append((number, kind, words[when + 1]))
            self.scripts.append((number, upper[when], words[when + 1], words[when + 2]))
        elif kind == "CONFIG" and not (self.path.parent / words[1]).is_file():
            self.refuse(number, f"{words[1]} is not there")
        elif FORMS[kind].startswith("NODE"):
            self.named.append((number, kind, words[1]))
            self.done |= {words[1]} if kind == "DONE" else set()

    def _node(self, number: int, kind: str, words: list[str], upper: list[str]) -> None:
        name = words[1]
        if upper[1] in ("PARENT", "CHILD", _ALL) or "+" in name:
            self.refuse(number, f"{name} cannot be the name of a node")
        if name in self.files:
            self.refuse(number, f"there is a node {name} already")
        if kind in ALONE:
            if kind != "SERVICE" and kind in self.alone.values():
                self.refuse(number, f"there is a {kind} node already")
            self.alone[name] = kind
        done = "NOOP" in upper[3:] or ("DONE" in upper[3:] and kind == "JOB")
        self.files[name] = ("" if done else words[2], _folder(words[1:]))

    def _inside(self, number: int, words: list[str], *, late: bool = False) -> None:
        name, file, folder = *words[:2], _folder(words)
        path, nodes = self.home / folder / file, tuple[DagNode, ...]()
        if name in self.within:
            self.refuse(number, f"there is a splice or a sub-DAG {name} already")
        self.external |= {name} if late else set()
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
        prefix = "JOB = " if late else f"JOB = {name}+"  # another DAGMan runs a sub-DAG
        if not late and any(node.alone for node in nodes):
            self.refuse(number, f"{name}: a splice has no node of {', '.join(ALONE)}")
        self.within[name] = tuple(
            node._replace(
                name=f"{name}+{node.name}",
                before=tuple(one.replace("JOB = ", prefix) for one in node.before[:1])
                + node.before[1:],
                parents=tuple(p if p == "PRE" else f"{name}+{p}" for p in node.parents),
            )
            for node in nodes
        )

    def _variables(self, number: int, words: list[str], line: str) -> None:
        appends = "APPEND" in (w.upper() for w in words[2:3])  # as DAGMAN_DEFAULT_APPEND_VARS is
        given = self.variables.setdefault(_ALL if words[1].upper() == _ALL else words[1], [])
        self.named.append((number, "VARS", words[1]))
        matched = _VAR.findall(line)
        message = f'VARS of {words[1]}: a value stands in double quotes, name="value"'
        if not matched or re.search("[\"']", _VAR.sub("", line)):
            self.refuse(number, message)
        elif any(bare for _, _, bare in matched):
            self.refuse(number, f"{message}, for an HTCondor as old as 23", "old dag")
        for name, value, bare in matched:
            if name.lower().startswith("queue"):
                self.refuse(number, f"{name}: no name of VARS begins with queue")
            plain = re.sub(r'\\(["\\])', r"\1", value) or bare.strip("'")
            given.append((not appends and name[0] != "+", f"{name} = {plain}"))

    def judge(self) -> None:
        """Note what is wrong with nodes, once all are known."""
        for number, kind, name in self.named:
            known = {*self.files, *(self.within if kind == "PARENT" else self.external)}
            every = name.upper() == _ALL and kind not in ("PARENT", "DONE")
            if not (known if every else name in known):
                self.refuse(number, f"there is no node {name}")
            alone = self.alone.get(name, "")
            if (alone and kind == "PARENT") or (alone == "FINAL" and kind in _NOT_OF_THE_LAST):
                self.refuse(number, f"{kind} is not for {name}, a {alone} node")
        for number, when, name, script in self.scripts:
            path = self.home / self.files.get(name, ("", ""))[1] / script
            made = script.startswith("/") or name in self.parents  # or by a node before
            if not made and not os.access(path, os.X_OK):
                why = f"the {when} script {script} is not there, or cannot be executed"
                self.refuse(number, why)
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
            if not file or name in self.done:
                continue
            inline = file in self.described or file.startswith(("{", "@="))
            given = self.variables.get(_ALL, []) + self.variables.get(name, [])
            pre = any(when == "PRE" and of in (name, _ALL) for _, when, of, _ in self.scripts)
            yield DagNode(
                name,
                self.path if inline else self.home / folder / file,
                self.home / folder,
                name in self.alone,
                (f"JOB = {name}", "RETRY = 0", *(text for first, text in given if first)),
                tuple(text for first, text in given if not first),
                (*self._nodes_above(name), *["PRE"] * pre),
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
    for number, words, line in lines_of(path):
        dag.read(number, words, line)
    dag.judge()
    nodes = [*dag.nodes()]
    if dag.problems and not nodes:
        nodes = [DagNode("", path, dag.home, dag=path)]
    first = next((node for node in nodes if node.path != node.dag), nodes[0] if nodes else None)
    return tuple(
        n._replace(problems=(*dag.problems, *n.problems)) if n is first else n for n in nodes
    )


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
