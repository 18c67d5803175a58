"""The jobs of a description by number: what each is called, and one rehearsal of it at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.job import Description, Job
from pixi_scaffold.system import layout


def job_name(job: Job, proc: int) -> str:
    """Return what a job is called here, a relative path: its description's, and its number."""
    path = Path(os.path.relpath(job.path, job.folder))
    folders = ("up" if part == ".." else part for part in path.parts[:-1])
    last = path.stem if path.suffix == ".sub" else path.name
    return str(Path(*folders, f"{last}-{proc}"))


@dataclass(frozen=True, slots=True)
class _InCluster(Job):
    """A job of a description with several queue statements; its number counts through them all."""

    first: int = 0
    """The number of the first job of its queue statement."""

    def variables(self, proc: int) -> dict[str, str]:
        number = max(proc, self.first)  # without a number, it is the first one
        given = Job.variables(self, number - self.first)
        taken = {name.lower() for name in self.queue.variables}  # `queue Process from`
        return given | dict.fromkeys({"process", "procid"} - taken, str(number))


def numbered(description: Description) -> dict[int, Job]:
    """Return the jobs of a description by their number in the cluster."""
    numbered: dict[int, Job] = {}
    for job in description.jobs:
        values = {f.name: getattr(job, f.name) for f in fields(job)}
        first = len(numbered)
        placed = _InCluster(**values, first=first)
        numbered |= dict.fromkeys(range(first, first + job.queue.total), placed)
    return numbered


@contextlib.contextmanager
def alone(chosen: Mapping[int, Job]) -> Iterator[None]:
    """Keep other rehearsals from these jobs, whose results lie in the same folders."""
    import fcntl  # not on Windows, where all else of the program runs

    names = {
        j.folder / layout.REHEARSALS / f"{job_name(j, number)}.lock" for number, j in chosen.items()
    }
    with contextlib.ExitStack() as stack:
        for path in sorted(names):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(path.open("w"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ScaffoldError(
                    f"{path.stem} is being rehearsed already, by another process",
                    "wait until it has ended, or end it",
                ) from error
            except OSError as error:
                raise ScaffoldError(
                    f"cannot write {path}: {error.strerror}", "results of a rehearsal lie there"
                ) from error
        yield
