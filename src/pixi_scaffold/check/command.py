"""`check`: which stages run on a workspace or on submit files, and the report of them."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pixi_scaffold.check import jobs, workspace
from pixi_scaffold.check.find import find_descriptions
from pixi_scaffold.check.stages import CheckRequest, Context, Outcomes, Stage, run_stages
from pixi_scaffold.check.verdict import verdict
from pixi_scaffold.errors import ManifestError, UsageError
from pixi_scaffold.job import TYPICAL
from pixi_scaffold.report import (
    Progress,
    Report,
    Run,
    Status,
    Verdict,
    go_to,
    versions,
    write_receipt,
)
from pixi_scaffold.rules import SiteError, bundled_sites, read_site
from pixi_scaffold.system import NOT_REGULAR, exists, is_folder, program, unreadable, which
from pixi_scaffold.workspace import find_manifest

MANIFEST = Stage("manifest", workspace.manifest)
LOCK = Stage("lock", workspace.lock, (MANIFEST,))
TASKS = Stage("tasks", workspace.tasks, (MANIFEST,))
SUBMIT = Stage("submit", jobs.submit)
WORKER = Stage("worker", jobs.worker)
SLOTS = Stage("slots", jobs.slots)
INSTALL = Stage("install", workspace.install, (MANIFEST, LOCK))
TRAIN = Stage("train", workspace.train, (MANIFEST, INSTALL))
REHEARSE = Stage("rehearse", workspace.rehearse, (MANIFEST, INSTALL, TRAIN), beside=TRAIN)

STAGES = (MANIFEST, LOCK, TASKS, SUBMIT, WORKER, SLOTS, INSTALL, TRAIN, REHEARSE)
"""All stages, in order."""
JOBS = (SUBMIT, WORKER, SLOTS)
"""Those that need no workspace."""


class CheckFacts(NamedTuple):
    """What the stages found out, for the document and the receipt."""

    outcomes: Outcomes
    no_workspace: dict[str, str] | None = None
    """Why the stages on a workspace were left out, where somebody could miss them."""

    @property
    def skipped(self) -> list[dict[str, str]]:
        """What was skipped (`what`, `why`, and a `command` that would run it)."""
        first = [] if self.no_workspace is None else [self.no_workspace]
        return [*first, *self.outcomes.skipped]

    def to_dict(self) -> dict[str, Any]:
        """Return the facts by key; what did not run has none."""
        of = self.outcomes.of
        facts: dict[str, Any] = {"versions": versions()}
        if proof := of(LOCK):
            facts |= proof.facts
        for reviewed in self.outcomes.context.reviews:
            facts |= reviewed.to_dict()
        if (matches := of(SLOTS)) is not None:
            facts["slots"] = [{"job": job, **match.to_dict()} for job, match in matches]
        if installed := of(INSTALL):
            facts["installed"] = installed.platform.name
        if trained := of(TRAIN):
            facts["train"] = trained.to_dict()
        if rehearsed := of(REHEARSE):
            facts["rehearsal"] = rehearsed.facts
        return {**facts, "skipped": self.skipped}


class Proof(NamedTuple):
    """What was found out about a project, and what to type next."""

    facts: CheckFacts
    verdict: Verdict
    next_commands: tuple[str, ...]


def prove(root: Path, request: CheckRequest, run: Run) -> Proof:
    """Run all stages of a project that was just made, as further steps of `run`."""
    context = Context(root, request, run.progress, makes_lock=True)
    outcomes = run_stages([s for s in STAGES if s is not SLOTS], context, run)
    of = outcomes.of
    judged = verdict(root.name, run.results, of(MANIFEST), of(LOCK), of(TRAIN), of(REHEARSE))
    return Proof(CheckFacts(outcomes), judged, next_commands(root, outcomes))


def next_commands(root: Path, outcomes: Outcomes) -> tuple[str, ...]:
    """Return what to type next, each of which works on this machine as it is now."""
    there = go_to(root)
    installed, proof = outcomes.of(INSTALL), outcomes.of(LOCK)
    if installed is None or outcomes.of(TRAIN) is None:
        wanted = outcomes.context.request.channel
        channel = "" if wanted is None else f" --channel {shlex.quote(wanted)}"
        return (*there, f"{program()} check --train{channel}")
    train = f"{program()} run train"
    if proof is not None and proof.stand_in:
        return (*there, train, f"{program()} lock   # once conda-forge can be reached")
    train = train if which("pixi") is None else "pixi run train"
    place = "" if which("condor_submit") else "   # on an access point of the pool"
    return (*there, train, f"{program()} submit{place}")


def check(request: CheckRequest, progress: Progress) -> Report:
    """Run the stages on a workspace, or on submit files alone; return the report.

    A pixi.lock is compared with the manifest and never changed. Where there is none, or with
    `channel`, one is made to train with, as `new` does. Raises UsageError.
    """
    if request.slots not in (None, TYPICAL) and (why := unreadable(Path(str(request.slots)))):
        raise UsageError(
            f"cannot read {request.slots}: {why}",
            f"condor_status -long > slots.ad, or: {program()} check --slots {TYPICAL}",
        )
    if request.site is not None:
        try:
            read_site(request.site)
        except SiteError as error:
            names = ", ".join(bundled_sites())
            raise UsageError(str(error), f"name a site file, or one of: {names}") from error
    if request.submit_from is not None and not is_folder(request.submit_from):
        raise UsageError(f"there is no folder {request.submit_from}", "name it after: --from")
    if len(request.paths) == 1 and is_folder(request.paths[0]):
        report = _check_folder(request, progress)
    else:
        report = _check_files(request, progress)
    left = {*request.skip, *(f"needs {name}" for name in request.skip)}
    lacks = request.strict and any(not {s["what"], s["why"]} & left for s in report.skipped)
    lacking = _untrained(report, request) or lacks
    return report._replace(incomplete=lacking)


def _untrained(report: Report, request: CheckRequest) -> bool:
    trains = request.train or request.rehearse
    asked = {TRAIN.name: trains, REHEARSE.name: request.rehearse} | dict.fromkeys(request.skip)
    return any(r.status is Status.SKIPPED and asked.get(r.name) for r in report.results)


def _check_files(request: CheckRequest, progress: Progress) -> Report:
    for path in request.paths:
        if is_folder(path):
            raise UsageError(f"{path} is a folder", "name one folder, or only submit files")
        if not exists(path) and not os.path.islink(path):  # noqa: PTH114  a name too long
            raise UsageError(f"there is no {path}", "name a folder or submit files")
        why = unreadable(path)
        if why and len(request.paths) == 1:  # among others it is a finding
            message = f"{path} {why}" if why == NOT_REGULAR else f"cannot read {path}: {why}"
            raise UsageError(message, "name a folder or submit files")
        if path.name == "pixi.toml":
            raise UsageError("pixi.toml is no submit file", f"name its folder: {path.parent}")
    if request.train or request.rehearse:
        raise UsageError("--train and --rehearse need a workspace", "name its folder")
    return _report(Context(Path.cwd(), request, progress, request.paths), JOBS)


def _check_folder(request: CheckRequest, progress: Progress) -> Report:
    folder = request.paths[0]
    try:
        root = find_manifest(folder).parent
    except ManifestError:
        if not find_descriptions(folder):
            raise
        context = Context(folder.absolute(), request, progress)
        return _report(context, JOBS, no_workspace=_no_workspace(folder))
    if request.channel not in (None, "starter"):
        from pixi_scaffold.lock import read_channel

        stand_in, recorded = read_channel(request.channel or "", ask=True)
        request = request._replace(channel=stand_in or recorded)
    trains = request.train or request.rehearse
    makes_lock = trains and (request.channel is not None or not (root / "pixi.lock").is_file())
    stages = [s for s in STAGES if s not in (INSTALL, TRAIN, REHEARSE)]
    stages += [INSTALL, TRAIN] if trains else []
    stages += [REHEARSE] if request.rehearse else []
    report = _report(Context(root, request, progress, makes_lock=makes_lock), stages)
    if trains:
        write_receipt(root, report)
    return report


def _no_workspace(folder: Path) -> dict[str, str]:
    """Return that the folder is no workspace, and where one is: above it, or in it."""
    why = f"there is no pixi.toml in {folder}"
    above = (p for p in folder.absolute().parents if (p / "pixi.toml").is_file())
    inside = (p.parent for p in sorted(folder.glob("*/pixi.toml")))
    nearest = next((Path(os.path.relpath(p)) for p in above), None) or next(inside, None)
    if nearest is None:
        return {"what": MANIFEST.name, "why": why}
    command = f"{program()} check {shlex.quote(str(nearest))}"
    return {"what": MANIFEST.name, "why": f"{why}; a workspace is in {nearest}", "command": command}


def _report(
    context: Context, stages: Sequence[Stage[Any]], no_workspace: dict[str, str] | None = None
) -> Report:
    request, run = context.request, Run(context.progress)
    chosen = _chosen(request, stages)
    outcomes = run_stages(chosen, context, run, frozenset(request.skip))
    then = next_commands(context.root, outcomes) if INSTALL in stages else ()
    if INSTALL in stages and outcomes.of(TRAIN) is None:  # not again the command just given
        names = (LOCK.name, INSTALL.name, TRAIN.name)
        skipped = [r for r in run.results if r.status is Status.SKIPPED and r.name in names]
        then = tuple(dict.fromkeys(r.hint for r in skipped if r.hint))
    return Report("check", run.results, CheckFacts(outcomes, no_workspace), then)


def _chosen(request: CheckRequest, stages: Sequence[Stage[Any]]) -> list[Stage[Any]]:
    """Return the stages to run: those of --only with what they need; raises UsageError."""
    chosen = [s for s in stages if s is not SLOTS or request.slots is not None]
    names = [s.name for s in chosen]
    for name in (*request.only, *request.skip):
        if name not in names:
            extra = "" if all(name != s.name for s in STAGES) else " in this check"
            raise UsageError(f"there is no stage {name!r}{extra}", f"use: {', '.join(names)}")
    keep = set(request.only or names)
    for stage in reversed(chosen):  # what one needs stands before it
        keep |= {need.name for need in stage.needs} if stage.name in keep else set()
    return [s for s in chosen if s.name in keep]
