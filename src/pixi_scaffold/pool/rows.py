"""The rows of a sweep: which there are, what each depends on, and which of them are sent."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.errors import UsageError
from pixi_scaffold.job import Description, Job, meaning, references
from pixi_scaffold.pool.receipt import SubmittedJob, find_named, receipts
from pixi_scaffold.system import is_file, is_folder, layout, program

_BY_NAME = frozenset({"log", "output", "error", "batch_name", "commit", "my.gitcommit"})
"""Commands that name where something is written, and decide nothing of the result."""
_PLACES = ("process", "procid", "step", "row", "itemindex")
"""Macros that number a process by its place among the others."""
_STAGED = layout.SUBMITTED / "earlier"
"""Copies of earlier runs, as they travel with the jobs that go on with them."""


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """The options of one `submit`."""

    description: Path
    append: tuple[str, ...] = ()
    queue: str = ""
    """In place of the description's queue statement."""
    check: bool = True
    dry_run: bool = False
    schedd: str = ""
    pool: str = ""
    spool: bool = False
    again: bool = False
    """Whether rows that are done are run again."""
    failed: bool = False
    """Whether only the rows are run that failed, or never ran, whatever changed meanwhile."""
    go_on: str = ""
    """The finished or stopped jobs that are trained further."""
    more_arguments: str = ""
    retry_memory: str = ""
    """The most memory that a job may get when it ran out of it; such as 32GB."""


@dataclass(frozen=True, slots=True)
class SweepRow:
    """One process that a description queues."""

    proc: int
    values: Mapping[str, str]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rows that are sent."""

    rows: tuple[SweepRow, ...]
    left_out: int = 0
    why: str = "done, or in the queue"
    """What those are that are left out."""
    whole: bool = True
    """Whether they are all rows of the description, so that HTCondor reads them itself."""


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


def sent_along(job: Job) -> Iterator[Path]:
    """Return the executable and the inputs that HTCondor sends from here, without URLs."""
    meant = meaning(job)
    names = [*(meant.inputs.value or ()), *meant.items("transfer_common_input")]
    names += [str(meant.executable.value)] if meant.executable.said else []
    return (meant.folder.value / n for n in names if "://" not in n)


def _files(job: Job) -> Iterator[Path]:
    for path in sent_along(job):
        if is_folder(path):
            yield from (p for p in path.rglob("*") if is_file(p))
        elif is_file(path):
            yield path


def numbered_by_place(job: Job) -> Sequence[str]:
    """Return the macros of a process's place that some command other than a name uses."""
    decide = (c.value.lower() for n, c in job.commands.items() if n not in {*_BY_NAME, "name"})
    text = "\n".join(decide)
    return sorted(macro for macro in _PLACES if f"$({macro}" in text)


def chosen_rows(
    request: SubmitRequest, description: Description, rows: tuple[SweepRow, ...], folder: Path
) -> Chosen:
    """Return the rows that are to be sent; raises UsageError where that cannot be told."""
    job = description.jobs[0]
    if request.go_on:
        return _earlier(request, job, folder)
    is_sweep = job.queue.items is not None and bool(job.queue.variables)
    if not is_sweep or request.again:
        if request.failed:
            raise UsageError(
                "--failed is for a sweep: the queue statement has no rows with values",
                "name the values: --queue 'seed, lr from sweep.csv'",
            )
        return Chosen(rows)
    settled = list(_settled(folder, description.path))
    if request.failed:  # whatever changed since: a row is its values
        done = [job.values for job in settled]
        left = tuple(row for row in rows if row.values not in done)
    else:
        prints = {job.fingerprint for job in settled}
        left = tuple(row for row in rows if row.fingerprint not in prints)
    if len(left) == len(rows):
        return Chosen(rows)
    if left and (places := numbered_by_place(job)):
        raise UsageError(
            f"some rows are done, and the others would get other numbers ($({places[0]}) is used)",
            f"give each row its value in the sweep's file, or run all: {program()} submit --again",
        )
    return Chosen(left, len(rows) - len(left), whole=False)


def _settled(folder: Path, description: Path) -> Iterator[SubmittedJob]:
    """Yield the jobs of a description that are done, or in the queue still."""
    from pixi_scaffold.pool.follow import read_states  # what one new job does without

    for receipt in receipts(folder, str(description)):
        states = read_states(receipt)
        for number, job in enumerate(receipt.jobs):
            state = states[number]
            if state.succeeded or (state.events and not state.ended):
                yield job


def _earlier(request: SubmitRequest, job: Job, folder: Path) -> Chosen:
    """Return the jobs to go on with: of a whole cluster those that are not done, if any are."""
    from pixi_scaffold.pool.follow import read_states

    receipt, proc = find_named(folder, request.go_on)
    arguments = job.commands.get("arguments")
    if arguments is None or "name" not in references(arguments.value):
        raise UsageError(
            "nothing in the job's arguments says which run it is, so none can be gone on with",
            'write: arguments = "--name $(name) ..." with name = job-$(Cluster)-$(Process)',
        )
    states = read_states(receipt)
    numbers = range(len(receipt.jobs)) if proc is None else [proc]
    for state in (states[number] for number in numbers):
        if state.events and not state.ended:
            name = f"{receipt.cluster}.{state.proc}"
            hint = f"stop it first: {program()} stop {name}"
            raise UsageError(f"{name} is still {state.words}", hint)
    runs = {number: receipt.jobs[number].run for number in numbers}
    here = [n for n, run in runs.items() if run and (folder / "runs" / run).is_dir()]
    if not here:
        raise UsageError(
            f"nothing of {request.go_on} is in runs/ to go on with",
            f"{program()} fetch {receipt.cluster}",
        )
    left = [number for number in here if not states[number].succeeded]
    rows = tuple(
        SweepRow(number, {**receipt.jobs[number].values, "name": runs[number]}, "")
        for number in (here if request.more_arguments else left or here)
    )
    why = "done, or with nothing in runs/ to go on with"
    return Chosen(rows, len(numbers) - len(rows), why, whole=False)


def amendments(request: SubmitRequest, job: Job) -> Iterator[str]:
    """Yield the commands that make the arguments longer and let earlier runs travel along."""
    if request.more_arguments:
        command = job.commands.get("arguments")
        text = command.value.strip() if command else ""
        more = request.more_arguments
        joined = f'{text[:-1]} {more}"' if text.endswith('"') else f"{text} {more}".strip()
        yield f"arguments = {joined}"
    if request.go_on:
        command = job.commands.get("transfer_input_files")
        before = f"{command.value.strip()}, " if command else ""
        yield f"transfer_input_files = {before}{_STAGED}/$(name)/runs"


def stage_runs(folder: Path, rows: Iterable[SweepRow]) -> None:
    """Put a copy of each row's earlier run where it travels from, below a folder called runs."""
    for row in rows:
        name = row.values["name"]
        target = folder / _STAGED / name / "runs" / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder / "runs" / name, target)
