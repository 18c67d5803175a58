"""Rehearse jobs of a submit description on this machine, and report what would go wrong."""

import contextlib
import os
import shlex
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError, Skipped, UsageError
from pixi_scaffold.job import Description, Job, Submission
from pixi_scaffold.rehearsal.advice import write
from pixi_scaffold.rehearsal.attempts import rehearse_job
from pixi_scaffold.rehearsal.choosing import (
    DESCRIPTION,
    after_queue,
    alone,
    choose,
    numbered,
    read_here,
    workspace_root,
)
from pixi_scaffold.rehearsal.delivery import ALLOW_CPU, LOCK, STAGED, Homes, deliver, missing_image
from pixi_scaffold.rehearsal.findings import advice_for, results_of, shell_results
from pixi_scaffold.rehearsal.gpus import Gpus, found_gpus
from pixi_scaffold.rehearsal.isolation import Walls, hidden
from pixi_scaffold.rehearsal.outcome import Outcome, RehearsalFacts, Rehearsed
from pixi_scaffold.rehearsal.parallel import in_parallel
from pixi_scaffold.rehearsal.plan import read_plan
from pixi_scaffold.rehearsal.running import Tell
from pixi_scaffold.rehearsal.setting import Limits, Setting
from pixi_scaffold.rehearsal.transfer import is_url
from pixi_scaffold.rehearsal.urls import Urls
from pixi_scaffold.rehearsal.workplace import kept_sandbox
from pixi_scaffold.report import Progress, Report, Result, Status, write_receipt
from pixi_scaffold.system import layout, program, which


@dataclass(frozen=True, slots=True)
class Request:
    """What the user typed after `rehearse`."""

    folder: Path = Path()
    """Where condor_submit would be run."""
    description: Path = DESCRIPTION
    proc: int | None = None
    """Number of the job; None means the first."""
    every: bool = False
    """All jobs, `at_once` of them at a time."""
    at_once: int = 1
    evict_after: str | None = None
    """Seconds, `random`, or None."""
    evict_hard: bool = False
    compare: bool = True
    network: bool = False
    isolate: bool = True
    environment: Path | None = None
    """An installed one to stage."""
    homes: Homes = layout.environment_homes
    show: tuple[Path, ...] = ()
    """Folders that every worker has, too."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Added to the job's environment."""
    more_arguments: str = ""
    """Words after the job's own, to shorten it."""
    limits: Limits = field(default_factory=Limits)
    scratch: Path | None = None
    keep: bool = False
    fix: bool = False
    image_later: bool = False
    """Whether a container's image may still be missing."""
    shell: bool = False
    """Open a shell in the sandbox in place of the executable."""
    sandbox: Path | None = None
    """One that was kept, for the shell; None for a new one."""
    submission: Submission = field(default_factory=lambda: Submission(os.environ, seed=0))
    """What is given to condor_submit besides the file; chance is the same each time."""
    condor: str = ""
    """The release of HTCondor that it is for; empty: that of this machine, where it has one."""
    stand_ins: Mapping[str, Path] = field(default_factory=dict)
    """Files in place of inputs that are at URLs."""


def rehearse(request: Request, progress: Progress) -> Report:
    """Rehearse the job or the jobs; return the report, which also is kept as a receipt.

    Raises UsageError for a job that is not there, CheckFailed for a description that condor_submit
    refuses, ScaffoldError when a job cannot be run for a reason that lies here.
    """
    try:
        report = rehearse_here(request, progress)
    except Skipped as skip:
        raise ScaffoldError(f"it cannot be rehearsed here: {skip.reason}", skip.command) from skip
    if not request.shell:
        write_receipt(request.folder, report, layout.REHEARSED)
    return report


def rehearse_here(request: Request, progress: Progress) -> Report:
    """Do the same; raises Skipped for a kind of job that is not run on this machine."""
    folder = request.folder.absolute()
    if request.evict_after is not None:
        _when(request.evict_after, None)
    description = read_here(folder / request.description, folder, request.submission)
    note = after_queue(description, request.condor)
    if request.evict_hard and request.evict_after is None:
        raise UsageError(
            "--evict-hard says how, not when", "add --evict-after SECONDS, or --evict-after random"
        )
    chosen = choose(description, request.proc, every=request.every)
    progress.start("rehearse")
    wants_gpu = any(job.command("request_gpus") for job in chosen.values())
    session = _SharedByJobs(request, Gpus(found_gpus() if wants_gpu else ()), threading.Event())

    def one(number: int) -> Rehearsed:
        mark = f"job {number}: " if len(chosen) > 1 else ""
        return session.one(chosen[number], number, lambda text: progress.note(mark + text))

    shorter = 'a shorter one: --more-arguments "--epochs 1", or --timeout SECONDS'
    if request.more_arguments or request.limits.timeout is not None:
        shorter = ""
    with alone(chosen):
        said = (lambda: session.said), shorter
        done = in_parallel(one, chosen, request.at_once, session.cancel, progress, *said)
    return _report(request, description, done, note)


def _report(request: Request, description: Description, done: list[Rehearsed], note: str) -> Report:
    changed = write(done[0].plan.job, advice_for(done)) if request.fix else []
    locks = {d.delivery.lock_sha256 for d in done}
    lock = locks.pop() if len(locks) == 1 else None
    notes = _notes(description, done, note)
    facts = RehearsalFacts(request.description, tuple(done), tuple(changed), tuple(notes), lock)
    if request.shell:
        return Report("rehearse", shell_results(done[0]), facts)
    results = results_of(done, changed)
    jobs = len(numbered(description))
    if len(done) < jobs:
        told = f"{len(done)} of {jobs} jobs ran; every one: --all"
        results = (*results, Result("jobs", Status.SKIPPED, detail=told))
    report = Report("rehearse", results, facts)
    return report._replace(next_commands=_next(request, report, done))


@dataclass(slots=True)
class _SharedByJobs:
    """What the jobs of one rehearsal share."""

    request: Request
    gpus: Gpus
    cancel: threading.Event
    said: str = ""
    """The last line that one of them printed."""

    def follow(self, line: str) -> None:
        self.said = line

    def go_on(self) -> None:
        if self.cancel.is_set():
            raise KeyboardInterrupt

    def one(self, job: Job, number: int, tell: Tell) -> Rehearsed:
        request, real = self.request, bool(self.gpus.all)
        plan = read_plan(job, number)
        try:
            words = shlex.split(request.more_arguments)
        except ValueError as error:
            raise UsageError(f"--more-arguments {request.more_arguments!r}: {error}") from error
        plan = replace(plan, arguments=(*plan.arguments, *words))
        urls = Urls(request.network, request.stand_ins)
        urls.require([n for n in plan.inputs if is_url(n)])
        root = workspace_root(plan.job.folder)
        delivery = deliver(
            plan, root, environment=request.environment, network=request.network, gpu=real,
            homes=request.homes,
        )  # fmt: skip
        image = missing_image(plan)
        runs_in = plan.meaning.image.value
        if runs_in is not None and delivery.kind == "none" and (not image or request.image_later):
            raise Skipped(
                f"job {number} runs in the image {runs_in.source}, which is not run here",
                "run its command in the image by hand, or let a worker script stage an environment",
            )
        if image and request.image_later:
            delivery.notes.append(f"{image} is not built yet: HTCondor would put the job on hold")
        elif image:
            plan = replace(plan, inputs=(*plan.inputs, image))
        short = bool(request.more_arguments)
        done = Rehearsed(plan, delivery, real_gpu=real, shortened=short, image=image)
        inside: contextlib.AbstractContextManager[int] = contextlib.nullcontext(-1)
        if request.shell:
            from pixi_scaffold.rehearsal.terminal import terminal

            inside = terminal()
        with self.gpus.lent(plan.match.gpus, self.go_on) as gpus, inside as far:
            setting = replace(self.setting(done, root, urls), gpus=gpus, terminal=far)
            if request.evict_after is None:
                return replace(done, outcome=rehearse_job(plan, setting, tell))
            return _evicted(request, done, setting, tell)

    def setting(self, done: Rehearsed, root: Path, urls: Urls) -> Setting:
        """Return where and how a job is rehearsed, with what is not as on a worker."""
        request, plan, delivery = self.request, done.plan, done.delivery
        notes = [*delivery.notes, *plan.notes]
        if request.more_arguments:
            notes.append(f"shortened by {request.more_arguments}, which was added to its arguments")
        if request.show:
            shown = ", ".join(map(str, request.show))
            notes.append(f"{shown} can be read: every worker has it, too, as you said")
        if not request.isolate:
            notes.append(
                "not isolated, as asked for: the job can reach the project, the network, all"
            )
        added = delivery.env | dict(request.variables)
        told_already = {STAGED, ALLOW_CPU} & set(delivery.env)
        if told := ", ".join(f"{k}={v}" for k, v in added.items() if k not in told_already):
            notes.append(f"added to the environment: {told}")
        return Setting(
            results=plan.job.folder / layout.REHEARSALS / plan.name,
            scratch=request.scratch,
            kept=None if request.sandbox is None else kept_sandbox(request.sandbox),
            walls=Walls(
                wanted=request.isolate,
                network=request.network,
                hide=hidden([plan.job.folder, plan.iwd, root]),
                show=(*delivery.show, *request.show),
            ),
            added=added,
            stand_ins=delivery.stand_ins,
            urls=urls,
            limits=request.limits,
            hold_to_memory=not request.fix,  # which wants to know how much it takes
            keep=request.keep,
            notes=tuple(notes),
            cancel=self.cancel,
            follow=self.follow,
        )


def _evicted(request: Request, done: Rehearsed, setting: Setting, tell: Tell) -> Rehearsed:
    """Rehearse the job once as a whole, to compare, and once with an eviction."""
    plan, whole = done.plan, None
    apart = setting.results.with_name(f"{setting.results.name}-uninterrupted")
    by_chance = request.evict_after == "random"
    if request.compare or by_chance:
        tell("first without an eviction, to compare with")
        whole = rehearse_job(plan, replace(setting, results=apart), tell)
        if whole.state != "completed" or whole.code != plan.success:
            return replace(done, outcome=whole, fails_anyway=True)
    after = _when(request.evict_after or "", whole)
    for part in (1, 2, 4) if by_chance else (1,):  # it may be quicker the second time
        after /= part
        evicting = replace(setting, evict_after=after, evict_hard=request.evict_hard)
        outcome = rehearse_job(plan, evicting, tell)
        if outcome.evicted:
            break
    done = replace(done, chosen_at_random=by_chance, evict_after=after, whole=whole)
    if request.compare and outcome.evicted and outcome.state == "completed":
        from pixi_scaffold.rehearsal.comparison import compare

        done = replace(done, compared=compare(setting.results, apart))
    return replace(done, outcome=outcome)


def _when(wanted: str, whole: Outcome | None) -> float:
    """Return when to evict; raises UsageError for neither seconds nor `random`."""
    if wanted == "random":
        seconds = whole.usage.seconds if whole else 0.0
        import random

        return random.uniform(0.1, 0.9) * seconds  # noqa: S311  no secret
    try:
        seconds = float(wanted)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        hint = "--evict-after 30, or --evict-after random"
        raise UsageError(f"--evict-after {wanted}: neither seconds nor `random`", hint)
    return seconds


def _notes(description: Description, done: list[Rehearsed], note: str) -> list[dict[str, str]]:
    """Return what was not as on a worker, each once."""
    notes = dict.fromkeys(note for d in done for note in d.outcome.notes)
    notes |= dict.fromkeys(
        f"line {p.line}: {p.message}" for p in description.problems if p.kind == "unknown"
    )
    notes |= {note: None} if note else {}
    return [{"what": "unlike a worker", "why": note} for note in notes]


def _next(request: Request, report: Report, done: list[Rehearsed]) -> tuple[str, ...]:
    named = str(request.description)
    submitted = shlex.join([named, *request.submission.words])
    again = f"{program()} rehearse {submitted}"
    kept = {d.plan.proc: d.outcome.sandbox.parents[1] for d in done if d.outcome.sandbox}
    enter = (f"--proc {n} --shell --sandbox {shlex.quote(str(kept[n]))}" for n in list(kept)[:1])
    commands = [f"{again} {words.removeprefix('--proc 0 ')}" for words in enter]
    if report.failed:
        return tuple(commands)
    if any(LOCK in d.delivery.stand_ins for d in done):
        return (f"{program()} lock   # once the channel can be reached",)
    if any(a.suggested is not None for a in advice_for(done)) and not request.fix:
        commands.append(f"{again} --fix")
    if request.evict_after is None and done[0].plan.meant.checkpoint_code.value is not None:
        commands.append(f"{again} --evict-after random")
    place = "" if which("condor_submit") else "   # on an access point of the pool"
    if any(d.plan.match.waits for d in done):
        commands.append(f"condor_status -long > slots.ad{place}")
        return (*commands, f"{program()} check --slots slots.ad {shlex.quote(named)}")
    return (*commands, f"condor_submit {submitted}{place}")
