"""The rows of a sweep: which there are, what each depends on, and which are to be run again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.job import Description, Job, meaning
from pixi_scaffold.system import is_file, is_folder

_BY_NAME = frozenset({"log", "output", "error", "batch_name", "commit", "my.gitcommit"})
"""Commands that name where something is written, and decide nothing of the result."""
_OWN = frozenset({"process", "procid", "step", "row", "itemindex", "cluster", "clusterid"})


@dataclass(frozen=True, slots=True)
class SweepRow:
    """One process that a description queues."""

    proc: int
    values: Mapping[str, str]
    fingerprint: str


def rows_of(description: Description) -> tuple[SweepRow, ...]:
    """Return a row for each process; one fingerprint means one result, up to chance.

    It covers the commands as they are written, the row's values, and the content of the executable
    and of the input files. Raises OSError when one of them cannot be read.
    """
    job = description.jobs[0]
    base = hashlib.sha256()
    for name, command in sorted(job.commands.items()):
        if name not in _BY_NAME:
            base.update(os.fsencode(f"{name}={command.value}\n"))
    for path in sorted(set(_files(job))):
        base.update(os.fsencode(f"{path.name}\n"))
        with path.open("rb") as file:
            base.update(hashlib.file_digest(file, "sha256").digest())
    rows = []
    for proc in range(job.queue.total):
        values = _values(job, proc)
        fingerprint = base.copy()
        text = "\n".join(f"{k}={v}" for k, v in sorted(values.items()))
        fingerprint.update(os.fsencode(text))
        rows.append(SweepRow(proc, values, fingerprint.hexdigest()))
    return tuple(rows)


def _values(job: Job, proc: int) -> dict[str, str]:
    row = proc // max(job.queue.count, 1)
    values = job.queue.values(job.queue.item(row)) if job.queue.items is not None else {}
    step = proc % max(job.queue.count, 1)
    return values | ({"Step": str(step)} if job.queue.count > 1 else {})


def _files(job: Job) -> Iterator[Path]:
    meant = meaning(job)
    names = [*(meant.inputs.value or ()), *meant.items("transfer_common_input")]
    if meant.executable.said:
        names.append(str(meant.executable.value))
    for name in names:
        path = meant.folder.value / str(name)
        if is_folder(path):
            yield from (p for p in path.rglob("*") if is_file(p))
        elif is_file(path):
            yield path


def is_sweep(job: Job) -> bool:
    """Whether its queue statement has rows with values of their own."""
    return job.queue.items is not None and bool(job.queue.variables)


def numbered_by_place(job: Job) -> Sequence[str]:
    """Return the macros of a process's place that some command other than a name uses."""
    used = set()
    for name, command in job.commands.items():
        if name not in _BY_NAME and name != "name":
            text = command.value.lower()
            used |= {macro for macro in _OWN - {"cluster", "clusterid"} if f"$({macro}" in text}
    return sorted(used)
