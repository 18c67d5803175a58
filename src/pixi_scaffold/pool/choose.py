"""Which rows of a sweep are sent, and what lets jobs go on with earlier runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.errors import UsageError
from pixi_scaffold.job import Description, Job, references
from pixi_scaffold.pool.receipt import SubmitReceipt, SubmittedJob, find_named, receipts
from pixi_scaffold.pool.rows import SweepRow, is_sweep, numbered_by_place
from pixi_scaffold.system import layout, program

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
class Chosen:
    """The rows that are sent."""

    rows: tuple[SweepRow, ...]
    left_out: int = 0
    whole: bool = True
    """Whether they are all rows of the description, so that HTCondor reads them itself."""


def chosen_rows(
    request: SubmitRequest, description: Description, rows: tuple[SweepRow, ...], folder: Path
) -> Chosen:
    """Return the rows that are to be sent; raises UsageError where that cannot be told."""
    job = description.jobs[0]
    if request.go_on:
        return _earlier(request.go_on, job, folder)
    if not is_sweep(job) or request.again:
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


def _earlier(name: str, job: Job, folder: Path) -> Chosen:
    receipt, proc = find_named(folder, name)
    arguments = job.commands.get("arguments")
    if arguments is None or "name" not in references(arguments.value):
        raise UsageError(
            "nothing in the job's arguments says which run it is, so none can be gone on with",
            'write: arguments = "--name $(name) ..." with name = job-$(Cluster)-$(Process)',
        )
    numbers = range(len(receipt.jobs)) if proc is None else [proc]
    rows = tuple(_named(receipt, number, folder) for number in numbers)
    return Chosen(rows, whole=False)


def _named(receipt: SubmitReceipt, number: int, folder: Path) -> SweepRow:
    from pixi_scaffold.pool.follow import read_states

    job, state = receipt.jobs[number], read_states(receipt)[number]
    job_name = f"{receipt.cluster}.{number}"
    if state.events and not state.ended:
        raise UsageError(
            f"{job_name} is still {state.words}", f"stop it first: {program()} stop {job_name}"
        )
    if not job.run or not (folder / "runs" / job.run).is_dir():
        raise UsageError(
            f"there is no runs/{job.run or '...'} of {job_name} to go on with",
            f"{program()} fetch {receipt.cluster}",
        )
    values = {**job.values, "name": job.run}
    return SweepRow(number, values, "")


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
