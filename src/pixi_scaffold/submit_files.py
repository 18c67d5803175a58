"""The stages that look at submit files, at worker scripts, and at where the job would run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pixi_scaffold import condor
from pixi_scaffold.errors import Skipped
from pixi_scaffold.fixes import apply_fixes
from pixi_scaffold.job.ad import job_ad
from pixi_scaffold.report import Progress
from pixi_scaffold.review import (
    Review,
    counted,
    find_descriptions,
    finding_lines,
    review,
    shown,
)
from pixi_scaffold.rules import Finding, Severity
from pixi_scaffold.stages import Done, State

_ROUNDS = 5


def submit(state: State, progress: Progress) -> Done:
    """Run the rules on the submit files."""
    state, fixed = _reviewed(state, progress)
    found = state.review
    assert found is not None  # noqa: S101  _reviewed puts it there
    names = [shown(d.path, state.root) for d in found.descriptions]
    what = names[0] if len(names) == 1 else f"{len(names)} submit files"
    return _done(state, found, found.part(worker=False), what, fixed)


def worker(state: State, progress: Progress) -> Done:
    """Run the rules on the worker scripts."""
    state, fixed = _reviewed(state, progress)
    found = state.review
    assert found is not None  # noqa: S101  _reviewed puts it there
    if not found.scripts:
        raise Skipped("no job has a shell script")
    names = [shown(path, state.root) for path in found.scripts]
    what = names[0] if len(names) == 1 else f"{len(names)} worker scripts"
    return _done(state, replace(found, not_checked=()), found.part(worker=True), what, fixed)


def slots(state: State, progress: Progress) -> Done:
    """Match every job against the slots that were given."""
    source = state.options.slots or condor.TYPICAL
    ads = condor.read_slots(source)
    state, _ = _reviewed(state, progress)
    found = state.review
    assert found is not None  # noqa: S101  _reviewed puts it there
    lines: list[str] = []
    matches: list[dict[str, object]] = []
    least = len(ads)
    for description in found.descriptions:
        for job in description.jobs:
            answer = condor.match(job_ad(job), ads)
            least = min(least, answer.matching)
            name = shown(description.path, state.root)
            where = f"{name}:{job.queue.line}" if len(description.jobs) > 1 else name
            lines.append(f"{where} matches {answer.matching} of {len(ads)} slots")
            lines += [f"  {line}" for line in answer.lines()]
            matches.append(
                {
                    "job": where,
                    "matching": answer.matching,
                    "slots": [s.to_dict() for s in answer.slots],
                }
            )
    kind = "typical slots" if source == condor.TYPICAL else f"slots of {source}"
    jobs = len(matches)
    detail = f"{least} of {len(ads)} {kind} match" + (
        f", at least, {jobs} jobs" if jobs > 1 else ""
    )
    return Done(
        detail,
        state.with_facts(slots=matches),
        lines=tuple(lines),
        failed=least == 0,
        hint="loosen the clauses that refuse, or ask the pool's administrators"
        if not least
        else "",
    )


def _done(
    state: State, found: Review, findings: tuple[Finding, ...], what: str, fixed: list[str]
) -> Done:
    failed = any(f.severity is Severity.ERROR for f in findings)
    words = counted(findings) or "nothing found"
    detail = f"{what}: {words}"
    if fixed:
        detail += f", {len(fixed)} fixed"
    fixable = any(f.edits for f in findings)
    return Done(
        detail,
        state,
        found.not_checked,
        (*fixed, *finding_lines(findings, state.root)),
        failed,
        "correct them" + (", or let it: add --fix" if fixable and not state.options.fix else "")
        if failed
        else "",
    )


def _reviewed(state: State, progress: Progress) -> tuple[State, list[str]]:
    """Return the state with a review in it, and what was fixed for it."""
    if state.review is not None:
        return state, []
    paths = state.options.paths
    every = list(paths) if paths is not None else find_descriptions(state.root)
    if not every:
        raise Skipped("no submit file is in the workspace", "pixi-scaffold check FILE.sub")
    attributes = frozenset[str]()
    if state.options.slots is not None and condor.available():
        attributes = condor.slot_attributes(condor.read_slots(state.options.slots))
    folder = state.options.submit_from

    def look() -> Review:
        return review(every, progress, folder=folder, attributes=attributes)

    found, fixed = look(), list[str]()
    for _ in range(_ROUNDS if state.options.fix else 0):
        done = apply_fixes(found.findings)
        if not done:
            break
        fixed += [f"{_place(f, state.root)}: fixed {f.rule}: {f.message}" for f in done]
        found = look()
    findings = [{**f.to_dict(), "file": shown(f.file, state.root)} for f in found.findings]
    facts: dict[str, object] = {"findings": findings, "silenced": found.silenced}
    if state.options.fix:
        facts["fixed"] = fixed
    return replace(state, review=found).with_facts(**facts), fixed


def _place(finding: Finding, root: Path) -> str:
    return f"{shown(finding.file, root)}:{finding.line}"
