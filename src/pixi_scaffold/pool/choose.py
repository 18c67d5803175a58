"""Which rows of a sweep are sent, and what lets jobs go on with earlier runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.errors import UsageError
from pixi_scaffold.job import Description, Job, references
from pixi_scaffold.pool.receipt import SubmittedJob, find_named, receipts
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
    why: str = "done, or in the queue"
    """What those are that are left out."""
    whole: bool = True
    """Whether they are all rows of the description, so that HTCondor reads them itself."""


def chosen_rows(
    request: SubmitRequest, description: Description, rows: tuple[SweepRow, ...], folder: Path
) -> Chosen:
    """Return the rows that are to be sent; raises UsageError where that cannot be told."""
    job = description.jobs[0]
    if request.go_on:
        return _earlier(request, job, folder)
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
