"""The stages that look at submit files, at worker scripts, and at where the job would run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pixi_scaffold.check.fix import apply_fixes, unchangeable
from pixi_scaffold.check.review import (
    ROWS,
    Review,
    at_most,
    counted,
    find_descriptions,
    finding_lines,
    review,
    shown,
)
from pixi_scaffold.check.stages import Done, State
from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.job import htcondor as condor
from pixi_scaffold.job import job_ad
from pixi_scaffold.report import Progress
from pixi_scaffold.rules import Finding, Severity
from pixi_scaffold.system import program

_ROUNDS = 5
_NAME_ONE = f"{program()} check FILE.sub"


def submit(state: State, progress: Progress) -> Done:
    """Run the rules on the submit files."""
    state, fixed = _reviewed(state, progress)
    found = state.review
    assert found is not None  # noqa: S101  _reviewed puts it there
    names = [shown(path, state.root) for path in found.paths]
    if not names and found.not_checked:
        what, why = found.not_checked[0]
        raise Skipped(f"no submit file is here; {what}: {why}", _NAME_ONE)
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
            name = shown(description.path, state.root)
            where = f"{name}:{job.queue.line}" if len(description.jobs) > 1 else name
            variants, _ = job.variants(ROWS)  # the review says what is left out
            try:
                answers = [condor.match(job_ad(variant), ads) for variant in variants]
            except ScaffoldError as error:
                lines.append(f"{where}: {error.message}")
                least = 0
                continue
            answer = min(answers, key=lambda one: one.matching)
            least = min(least, answer.matching)
            if len(variants) > 1:
                where += f" (of {len(variants)} kinds of jobs the one that matches least)"
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
    state: State, found: Review, findings: tuple[Finding, ...], what: str, fixed: _Fixed
) -> Done:
    errors = any(f.severity is Severity.ERROR for f in findings)
    failed = errors or bool(fixed.refused)
    words = counted(findings) or "nothing found"
    detail = f"{what}: {words}"
    if fixed.done:
        detail += f", {len(fixed.done)} fixed"
    if fixed.refused:
        detail += f", {len(fixed.refused)} read-only"
    fixable = any(f.edits for f in findings)
    hint = "correct them" + (", or let it: add --fix" if fixable and not state.options.fix else "")
    if fixed.refused:
        hint = "give them write permission (chmod u+w), then again"
    return Done(
        detail,
        state,
        found.not_checked,
        (*fixed.done, *fixed.refused, *finding_lines(findings, state.root)),
        failed,
        hint if failed else "",
    )


@dataclass(slots=True)
class _Fixed:
    """What --fix did, and the files that it may not change, as lines to read."""

    done: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def _reviewed(state: State, progress: Progress) -> tuple[State, _Fixed]:
    """Return the state with a review in it, and what was fixed for it."""
    if state.review is not None:
        return state, _Fixed()
    paths = state.options.paths
    folders: list[OSError] = []
    every = list(paths) if paths is not None else find_descriptions(state.root, folders.append)
    if not every and not folders:
        raise Skipped("no submit file is here", _NAME_ONE)
    attributes = frozenset[str]()
    if state.options.slots is not None and condor.available():
        attributes = condor.slot_attributes(condor.read_slots(state.options.slots))
    folder = state.options.submit_from

    def look() -> Review:
        checked = state.root if paths is None else None
        return review(every, progress, folder=folder, checked=checked, attributes=attributes)

    found, fixed = look(), _Fixed()
    if state.options.fix:
        found, fixed = _fix(found, look, state.root)
    unseen = [(shown(Path(e.filename), state.root), e.strerror or str(e)) for e in folders]
    found = replace(found, not_checked=(*found.not_checked, *unseen))
    findings = [
        {**f.to_dict(), "file": shown(f.file, state.root), "more": more}
        for f, more in at_most(found.findings)
    ]
    facts: dict[str, object] = {
        "root": str(state.root),
        "findings": findings,
        "silenced": found.silenced,
    }
    if state.options.fix:
        facts |= {"fixed": fixed.done, "not_fixed": fixed.refused}
    return replace(state, review=found).with_facts(**facts), fixed


def _fix(found: Review, look: Callable[[], Review], root: Path) -> tuple[Review, _Fixed]:
    """Apply the fixes, and those that become possible by them; no change is made twice."""
    fixed, made = _Fixed(), set[tuple[object, ...]]()
    for _ in range(_ROUNDS):
        refused = {f: unchangeable(f) for f in found.findings if f.edits}
        files = dict.fromkeys(why for why in refused.values() if why is not None)
        fixed.refused = [f"{shown(path, root)} is not fixed: it {why}" for path, why in files]
        done = apply_fixes(f for f, why in refused.items() if why is None and not _keys(f) & made)
        if not done:
            break
        made |= {key for finding in done for key in _keys(finding)}
        fixed.done += [f"{_place(f, root)}: fixed {f.rule}: {f.message}" for f in done]
        found = look()
    return found, fixed


def _keys(finding: Finding) -> set[tuple[object, ...]]:
    """Return what names the edits of a finding; one that removes lines may come again."""
    return {(finding.rule, e.path, e.lines, e.whole) for e in finding.edits if e.lines or e.whole}


def _place(finding: Finding, root: Path) -> str:
    return f"{shown(finding.file, root)}:{finding.line}"
