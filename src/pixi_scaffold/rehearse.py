"""Rehearse jobs of a submit description on this machine, and report what would go wrong."""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import CheckFailed, ScaffoldError, Skipped, UsageError
from pixi_scaffold.job import Description, Job, read_description
from pixi_scaffold.process import program, run, uninterrupted, which
from pixi_scaffold.rehearsal import (
    Eviction,
    Limits,
    Outcome,
    Plan,
    Setting,
    read_plan,
    rehearse_job,
)
from pixi_scaffold.rehearsal.advice import write
from pixi_scaffold.rehearsal.comparison import Comparison, compare
from pixi_scaffold.rehearsal.delivery import (
    ALLOW_CPU,
    LOCK,
    STAGED,
    Delivery,
    deliver,
    gpu_ids,
    names_of,
)
from pixi_scaffold.rehearsal.findings import Rehearsed, advice_for, results_of
from pixi_scaffold.rehearsal.isolation import Walls, hidden
from pixi_scaffold.rehearsal.numbers import job_name
from pixi_scaffold.rehearsal.surroundings import Slot
from pixi_scaffold.report import Progress, Report, in_folder

DESCRIPTION = Path("htcondor") / "train.sub"
RESULTS = Path(".pixi") / "rehearsal"
_SOON = 0.1


@dataclass(frozen=True, slots=True)
class Request:
    """What the user typed after `rehearse`.

    folder: where condor_submit would be run. proc: number of the job; None means the first. every:
    all jobs, `at_once` of them at a time. evict_after: seconds, `random`, or None. environment:
    an installed one to stage. show: folders that every worker has, too. variables: added to the
    job's environment. more_arguments: words after the job's own, to shorten it.
    """

    folder: Path
    description: Path = DESCRIPTION
    proc: int | None = None
    every: bool = False
    at_once: int = 1
    evict_after: str | None = None
    evict_hard: bool = False
    compare: bool = True
    network: bool = False
    isolate: bool = True
    environment: Path | None = None
    show: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    more_arguments: str = ""
    limits: Limits = field(default_factory=Limits)
    scratch: Path | None = None
    keep: bool = False
    fix: bool = False


def rehearse(request: Request, progress: Progress) -> Report:
    """Rehearse the job or the jobs; return the report.

    Raises UsageError for a job that is not there, CheckFailed for a description that condor_submit
    refuses, ScaffoldError when a job cannot be run for a reason that lies here.
    """
    try:
        return rehearse_here(request, progress)
    except Skipped as skip:
        raise ScaffoldError(f"it cannot be rehearsed here: {skip.reason}", skip.command) from skip


def rehearse_here(request: Request, progress: Progress) -> Report:
    """Do the same; raises Skipped for a kind of job that is not run on this machine."""
    folder = request.folder.absolute()
    if request.evict_after is not None:
        _when(request.evict_after, None)
    description = _read(folder / request.description, folder)
    if request.evict_hard and request.evict_after is None:
        raise UsageError(
            "--evict-hard says how, not when", "add --evict-after SECONDS, or --evict-after random"
        )
    chosen = _chosen(description, request)
    progress.start("rehearse")
    cancel = threading.Event()

    def one(number: int) -> Rehearsed:
        job, proc = chosen[number]
        return _one(request, job, proc, cancel, _teller(progress, len(chosen), number))

    with _alone(chosen):
        done = _in_parallel(one, chosen, request.at_once, cancel, progress)
    changed = _fix(request, done)
    facts: dict[str, Any] = {
        "description": str(request.description),
        "jobs": [d.to_dict() for d in done],
        "changed": changed,
        "skipped": _notes(description, done),
    }
    results = results_of(done, changed)
    report = Report("rehearse", results, facts)
    return replace(report, next_commands=_next(request, report, done))


def _read(path: Path, folder: Path) -> Description:
    try:
        description = read_description(path, folder)
    except OSError as error:
        hint = f"name it: {program()} rehearse FILE.sub, from the folder where you condor_submit it"
        root = workspace_root(folder)
        if root != folder and (root / DESCRIPTION).is_file():
            hint = in_folder(root, f"{program()} rehearse")
        raise UsageError(
            f"cannot read the submit description {path}: {error.strerror}", hint
        ) from error
    for problem in description.problems:
        if problem.kind in ("refused", "queue"):
            where = f"{problem.file}:{problem.line}"
            check = f"{program()} check {shlex.quote(os.path.relpath(path))}"
            raise CheckFailed(
                f"condor_submit refuses {where}: {problem.message}",
                f"correct that line; to see all that is wrong: {check}",
            )
    return description


def _chosen(description: Description, request: Request) -> dict[int, tuple[Job, int]]:
    """Return the jobs to rehearse, by number: its queue statement and its place there."""
    jobs = [(job, n) for job in description.jobs for n in range(job.queue.total)]
    if not jobs:
        raise CheckFailed(f"{description.path} queues no job")
    if request.every:
        return dict(enumerate(jobs))
    number = request.proc or 0
    if not 0 <= number < len(jobs):
        raise UsageError(f"there is no job {number}", f"it queues jobs 0 to {len(jobs) - 1}")
    return {number: jobs[number]}


@contextlib.contextmanager
def _alone(chosen: Mapping[int, tuple[Job, int]]) -> Iterator[None]:
    """Keep other rehearsals from these jobs, whose results lie in the same folders."""
    import fcntl  # not on Windows, where all else of the program runs

    names = {job.folder / RESULTS / f"{job_name(job, proc)}.lock" for job, proc in chosen.values()}
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


def _teller(progress: Progress, jobs: int, number: int) -> Callable[[str], None]:
    return progress.note if jobs == 1 else lambda text: progress.note(f"job {number}: {text}")


def _in_parallel(
    one: Callable[[int], Rehearsed],
    chosen: Mapping[int, object],
    at_once: int,
    cancel: threading.Event,
    progress: Progress,
) -> list[Rehearsed]:
    """Run `one` for each number in threads; on Ctrl-C all of them end before it goes on.

    A signal is only noted when it comes, and seen in the loop: an exception in the middle of the
    clean-up, by a second Ctrl-C, would leave sandboxes behind, and a handler that sets `cancel`
    waits for ever when it interrupts the same call, whose lock is not reentrant.
    """
    with uninterrupted() as caught, ThreadPoolExecutor(max_workers=max(1, at_once)) as pool:
        futures = [pool.submit(one, number) for number in chosen]
        began = time.monotonic()
        try:
            while not all(f.done() for f in futures):
                ended = sum(f.done() for f in futures)
                counted = f"{ended} of {len(futures)} jobs, " if len(futures) > 1 else ""
                fraction = ended / len(futures) if len(futures) > 1 else None
                progress.update(f"{counted}{time.monotonic() - began:.0f} s", fraction)
                wait(futures, timeout=_SOON)
                if caught or any(f.done() and f.exception() for f in futures):
                    break
        finally:
            cancel.set()
            pool.shutdown(wait=True, cancel_futures=True)
    broken = [e for f in futures if not f.cancelled() and (e := f.exception())]
    if broken:  # the cause, not what ended because of it
        raise next((e for e in broken if not isinstance(e, KeyboardInterrupt)), broken[0])
    return [future.result() for future in futures]


def _one(
    request: Request, job: Job, proc: int, cancel: threading.Event, tell: Callable[[str], None]
) -> Rehearsed:
    plan = _adjusted(read_plan(job, proc), request)
    root = workspace_root(plan.job.folder)
    found = _gpus() if plan.gpus else ()
    delivery = deliver(
        plan,
        root,
        environment=request.environment,
        network=request.network,
        gpu=bool(found),
    )
    setting = _setting(request, plan, delivery, root, names_of(plan.gpus, found), cancel)
    done = Rehearsed(plan, delivery, Outcome.nothing(plan.name, proc), real_gpu=bool(found))
    done = replace(done, shortened=bool(request.more_arguments))
    if request.evict_after is None:
        return replace(done, outcome=rehearse_job(plan, setting, tell))
    return _evicted(request, done, setting, tell)


def _evicted(
    request: Request, done: Rehearsed, setting: Setting, tell: Callable[[str], None]
) -> Rehearsed:
    """Rehearse the job once as a whole, to compare, and once with an eviction."""
    plan, whole = done.plan, None
    apart = setting.results.with_name(f"{setting.results.name}-uninterrupted")
    if request.compare or request.evict_after == "random":
        tell("first without an eviction, to compare with")
        whole = rehearse_job(plan, replace(setting, results=apart), tell)
        if whole.state != "completed" or whole.code != 0:
            return replace(done, outcome=whole, fails_anyway=True)
    after = _when(request.evict_after or "", whole)
    eviction = Eviction(after, request.evict_hard)
    outcome = rehearse_job(plan, replace(setting, eviction=eviction), tell)
    compared: Comparison | None = None
    if request.compare and outcome.evicted and outcome.state == "completed":
        compared = compare(setting.results, apart)
    return replace(done, outcome=outcome, whole=whole, compared=compared, evict_after=after)


def _when(wanted: str, whole: Outcome | None) -> float:
    """Return when to evict; raises UsageError for neither seconds nor `random`."""
    if wanted == "random":
        if whole is None:
            return 0.0
        return random.uniform(0.1, 0.9) * whole.usage.seconds  # noqa: S311  no secret
    try:
        seconds = float(wanted)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise UsageError(f"--evict-after {wanted}: neither seconds nor `random`")
    return seconds


def _adjusted(plan: Plan, request: Request) -> Plan:
    try:
        words = shlex.split(request.more_arguments)
    except ValueError as error:
        raise UsageError(f"--more-arguments {request.more_arguments!r}: {error}") from error
    return replace(plan, arguments=(*plan.arguments, *words))


def _setting(
    request: Request,
    plan: Plan,
    delivery: Delivery,
    root: Path,
    gpus: tuple[str, ...],
    cancel: threading.Event,
) -> Setting:
    notes = [*delivery.notes, *plan.notes]
    if request.more_arguments:
        notes.append(f"shortened: {request.more_arguments} was added to the job's arguments")
    walls = Walls(
        wanted=request.isolate,
        network=request.network,
        hide=hidden([plan.job.folder, plan.iwd, root]),
        show=(*delivery.show, *request.show),
    )
    if request.show:
        shown = ", ".join(map(str, request.show))
        notes.append(f"{shown} can be read: every worker has it, too, as you said")
    if not request.isolate:
        notes.append("not isolated, as asked for: the job can reach the project, the network, all")
    added = delivery.env | dict(request.variables)
    told_already = {STAGED, ALLOW_CPU} & set(delivery.env)
    if told := ", ".join(f"{k}={v}" for k, v in added.items() if k not in told_already):
        notes.append(f"added to the environment: {told}")
    return Setting(
        results=plan.job.folder / RESULTS / plan.name,
        scratch=request.scratch,
        walls=walls,
        slot=Slot(gpus=gpus),
        added=added,
        stand_ins=delivery.stand_ins,
        limits=request.limits,
        keep=request.keep,
        notes=tuple(notes),
        cancel=cancel,
    )


def workspace_root(folder: Path) -> Path:
    """Return the nearest folder upwards with a pixi.toml or a .git, or the folder itself."""
    for path in (folder, *folder.parents):
        if (path / "pixi.toml").is_file() or (path / ".git").exists():
            return path
    return folder


def _gpus() -> tuple[str, ...]:
    if which("nvidia-smi") is None:
        return ()
    done = run(["nvidia-smi", "-L"], timeout=20)
    return gpu_ids(done.output, 99) if done.code == 0 else ()


def _fix(request: Request, done: list[Rehearsed]) -> list[str]:
    """Write the suggestions of a run that passed into the description."""
    if not request.fix:
        return []
    return write(done[0].plan.job, advice_for(done))


def _notes(description: Description, done: list[Rehearsed]) -> list[dict[str, str]]:
    """Return what was not as on a worker, each once."""
    found = dict.fromkeys(note for d in done for note in d.outcome.notes)
    found |= dict.fromkeys(
        f"line {p.line}: {p.message}" for p in description.problems if p.kind == "unknown"
    )
    if len(description.jobs) > 1:
        found["with several queue statements $(Process) counts from 0 in each here"] = None
    return [{"what": "unlike a worker", "why": note} for note in found]


def _next(request: Request, report: Report, done: list[Rehearsed]) -> tuple[str, ...]:
    own = f"{program()} rehearse {shlex.quote(str(request.description))}"
    if report.failed:
        return ()
    if any(LOCK in d.delivery.stand_ins for d in done):
        return (f"{program()} lock   # once the channel can be reached",)
    commands = []
    if any(a.suggested is not None for a in advice_for(done)) and not request.fix:
        commands.append(f"{own} --fix")
    if request.evict_after is None and done[0].plan.checkpoint_code is not None:
        commands.append(f"{own} --evict-after random")
    place = "" if which("condor_submit") else "   # on an access point of the pool"
    return (*commands, f"condor_submit {shlex.quote(str(request.description))}{place}")
