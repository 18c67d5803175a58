"""What a review is asked to look at: submit files, and the nodes of DAGs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pixi_scaffold.check.dag import DagNode, read_dag
from pixi_scaffold.job import Description, Submission, meaning
from pixi_scaffold.system import real

ANYTHING = Path("*")
"""In what earlier nodes make: it cannot be told what."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One submit file, as it is submitted."""

    path: Path
    submission: Submission
    folder: Path | None = None
    """Where condor_submit is run, where that is known."""
    dag: Path | None = None
    node: DagNode | None = None


def asked_for(
    paths: Iterable[Path], given: Submission, folder: Path | None, *, from_folder: bool
) -> Iterator[Asked | tuple[Path, OSError]]:
    """Yield what is behind some paths; of a DAG that cannot be read the error.

    given: the commands of the command line. from_folder: the paths were found there, so that a file
    which a DAG submits is not looked at a second time, alone.
    """
    plain: list[Asked] = []
    nodes: list[Asked] = []
    for path in paths:
        if path.suffix != ".dag":
            plain.append(Asked(path, given, folder))
            continue
        try:
            every = read_dag(path)
        except OSError as error:
            yield path, error
            continue
        for node in every:
            before, append = (*node.before, *given.before), (*node.append, *given.append)
            submission = replace(given, before=before, append=append)
            nodes.append(Asked(node.path, submission, folder or node.folder, path.absolute(), node))
    submitted = {real(one.path) for one in nodes} if from_folder else set()
    yield from (one for one in plain if real(one.path) not in submitted)
    inner = {one.node.dag for one in nodes if one.node and one.node.dag != one.dag}
    yield from (one for one in nodes if not (from_folder and one.dag in inner))


def made_earlier(one: Asked, read: Mapping[tuple[Path, str], Description]) -> frozenset[Path]:
    """Return the files that the nodes above one make, as far as their descriptions say.

    read: the descriptions of all nodes, by DAG and name.
    """
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
