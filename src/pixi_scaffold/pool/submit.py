"""`submit`: check a job, send it to an access point, and write down what was sent."""

import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pixi_scaffold.errors import CheckFailed, ScaffoldError, UsageError
from pixi_scaffold.job import Description, Submission, job_ad, meaning, read_description
from pixi_scaffold.pool.receipt import SubmitReceipt, write
from pixi_scaffold.pool.rows import (
    Chosen,
    SubmitRequest,
    amendments,
    chosen_rows,
    rows_of,
    stage_runs,
)
from pixi_scaffold.pool.send import access_point, send, take_back
from pixi_scaffold.report import Progress, Report, Run, Silent, Verdict
from pixi_scaffold.system import program, try_git, uninterrupted

_DESCRIBE = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def submit_jobs(request: SubmitRequest, progress: Progress) -> Report:
    """Check the description and send its jobs; return the report.

    Raises UsageError, CheckFailed for a job that would fail, ScaffoldError where there is no access
    point or it refuses.
    """
    folder = Path.cwd()
    run = Run(progress)
    commit = commit_of(folder)
    request = _extended(request, folder, commit)
    description = _read(request, folder)
    given = description.jobs[0].submission
    request = replace(request, append=given.append, queue=given.queue)
    rows = rows_of(description)
    chosen = chosen_rows(request, description, rows, folder)
    if request.go_on:
        stage_runs(folder, chosen.rows)
    warnings = _check(request, chosen, folder, run) if request.check else ()
    if request.dry_run:
        return _dry(description, chosen, run, warnings)
    if not chosen.rows:
        text = f"nothing to do: all {len(rows)} rows are done or in the queue, and unchanged"
        then = (f"{program()} collect", f"{program()} submit --again   # runs them all the same")
        facts = {"left_out": chosen.left_out}
        return Report("submit", run.results, facts, then, verdict=Verdict(True, text))
    point = access_point(request, description)
    with run.step("submit") as step, uninterrupted():  # no cluster without its receipt
        receipt = send(request, description, chosen, point, commit)
        try:
            write(receipt, folder)
        except OSError as error:
            raise take_back(point, receipt, error) from error
        step.passed(f"cluster {receipt.cluster} at {point.name}")
    return _told(receipt, chosen, run, warnings)


def commit_of(folder: Path) -> str:
    """Return the commit of a folder's repository, `-dirty` behind it where files are changed."""
    try:
        done = try_git(folder, *_DESCRIBE, timeout=60)
    except ScaffoldError:
        return ""
    return done.output.strip() if done.code == 0 else ""


def _extended(request: SubmitRequest, folder: Path, commit: str) -> SubmitRequest:
    """Return the request with what its options append to the description."""
    short = Path("htcondor") / f"{request.description}.sub"
    if not request.description.exists() and (folder / short).is_file():
        request = replace(request, description=short)
    if not request.description.is_file():
        there = next((f for f in folder.parents if (f / request.description).is_file()), None)
        hint = f"name a submit file: {program()} submit FILE.sub"
        if there is not None:
            hint = f"cd {shlex.quote(os.path.relpath(there))} && {program()} submit"
        raise UsageError(f"there is no {request.description} here", hint)
    if request.description.suffix == ".dag":
        name = shlex.quote(str(request.description))
        raise UsageError(
            f"{request.description} is a DAG, which HTCondor's DAGMan submits, node by node",
            f"{program()} check {name} && condor_submit_dag {name}; then follow it by "
            f"{program()} watch --log {name}.dagman.log",
        )
    append = [f'+GitCommit = "{commit}"'] if commit else []
    if most := request.retry_memory:
        if not re.fullmatch(r"\d+(\.\d+)? *([KMGTP]B?)?", most, re.IGNORECASE):
            raise UsageError(f"--retry-memory {most} is no size", "such as: --retry-memory 32GB")
        append += ["retry_request_memory_increase = RequestMemory * 2",
                   f"retry_request_memory_max = {most}"]  # fmt: skip
    return replace(request, append=(*request.append, *append))


def _read(request: SubmitRequest, folder: Path, *, amend: bool = True) -> Description:
    """Return the description as it will be sent; raises CheckFailed for what cannot be."""
    description = read_description(request.description, folder, _submission(request))
    for problem in description.problems:
        if problem.kind in ("refused", "queue"):
            where = f"{problem.file}:{problem.line}"
            raise CheckFailed(
                f"condor_submit refuses {where}: {problem.message}",
                f"correct it; all that is wrong: {program()} check {request.description}",
            )
    if len(description.queues) > 1:
        raise CheckFailed(
            f"{request.description} has {len(description.queues)} queue statements; HTCondor takes "
            "one since 25.14",
            "put the jobs into two files",
        )
    if not description.queues and not request.queue:
        raise CheckFailed(f"{request.description} has no queue statement", "add: --queue 1")
    if not amend:
        return description
    lines = amendments(request, description.jobs[0])
    return _read(replace(request, append=(*request.append, *lines)), folder, amend=False)


def _submission(request: SubmitRequest) -> Submission:
    return Submission(os.environ, append=request.append, queue=request.queue, requeue=request.queue)


def _check(request: SubmitRequest, chosen: Chosen, folder: Path, run: Run) -> Iterable[str]:
    """Return the rules' warnings, a line each; raise CheckFailed where they find an error."""
    from pixi_scaffold.check import finding_lines, review  # half a second that --no-check saves
    from pixi_scaffold.rules import Severity

    given = _submission(request)
    if request.go_on:  # the name is what says where the earlier run travels from
        line = f"name = {chosen.rows[0].values['name']}"
        given = replace(given, append=(*given.append, line))
    with run.step("check") as step:
        reviewed = review([folder / request.description], Silent(), folder=folder, given=given)
        errors = [f for f in reviewed.findings if f.severity is Severity.ERROR]
        if errors:
            lines = "\n".join(finding_lines(errors, folder))
            many = f"{len(errors)} error{'s' if len(errors) > 1 else ''}"
            problem = f"{request.description} would fail ({many}); nothing was submitted"
            hint = "correct them, or submit it all the same: --no-check"
            raise CheckFailed(f"{problem}\n{lines}", hint)
        if reviewed.to_make:
            names = ", ".join(name for name, _ in reviewed.to_make)
            raise CheckFailed(
                f"{request.description} would fail: still to be made: {names}; nothing was "
                "submitted",
                " && ".join(dict.fromkeys(command for _, command in reviewed.to_make)),
            )
        step.passed("nothing that would fail")
    told = finding_lines(reviewed.findings, folder)
    return [line for line in told if not line.startswith(" ")]


def _dry(description: Description, chosen: Chosen, run: Run, warnings: Iterable[str]) -> Report:
    job = description.jobs[0]
    ads, lines = [], []
    for row in chosen.rows:
        meant = meaning(job, row.proc)
        ads.append(job_ad(meant).text)
        values = " ".join(f"{k}={v}" for k, v in row.values.items())
        command = f"{meant.executable.value} {' '.join(meant.arguments.value or ())}"
        lines.append(f"{row.proc}  {command}  {values}".rstrip())
    text = f"{_jobs(len(ads))} would be submitted, nothing was sent{_left_out(chosen)}"
    facts = {"left_out": chosen.left_out, "ads": ads}
    return Report("submit", run.results, facts, verdict=Verdict(True, text, (*lines, *warnings)))


def _left_out(chosen: Chosen) -> str:
    return f"; left out: {chosen.left_out} ({chosen.why})" if chosen.left_out else ""


def _jobs(number: int) -> str:
    return f"{number} job{'s' * (number != 1)}"


def _told(receipt: SubmitReceipt, chosen: Chosen, run: Run, warnings: Iterable[str]) -> Report:
    text = f"cluster {receipt.cluster}: {_jobs(len(receipt.jobs))} submitted to "
    text += f"{receipt.schedd}{_left_out(chosen)}"
    notes = [f"receipt: {receipt.path(Path())}"]
    if receipt.dirty:
        notes.append("files are changed and not committed: the results name the commit as dirty")
    rehearsed = receipt.rehearsal or {}
    if not rehearsed.get("passed") or rehearsed["lock_changed_since"]:
        why = "the last rehearsal failed, or was of another pixi.lock"
        why = why if rehearsed else "no rehearsal of it is recorded"
        notes.append(f"{why}: {program()} check --rehearse")
    notes += warnings
    then = tuple(f"{program()} {verb} {receipt.cluster}" for verb in ("watch", "fetch", "stop"))
    names = ("cluster", "schedd", "log", "spooled", "commit", "dirty")
    facts = {"left_out": chosen.left_out, **{name: getattr(receipt, name) for name in names},
             "jobs": len(receipt.jobs), "receipt": str(receipt.path(Path()))}  # fmt: skip
    return Report("submit", run.results, facts, then, verdict=Verdict(True, text, tuple(notes)))
