"""The stages that look at submit files, at worker scripts, and at where the job would run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pixi_scaffold.check.find import find_dags, find_descriptions
from pixi_scaffold.check.fix import apply_fixes, unchangeable
from pixi_scaffold.check.review import ROWS, Review, review
from pixi_scaffold.check.stages import Context, Done
from pixi_scaffold.check.tell import at_most, counted, document, finding_lines, shown
from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.job import Job, JobAd, Submission, job_ad, meaning, refusals
from pixi_scaffold.job import htcondor as condor
from pixi_scaffold.rules import Finding, Severity, read_site
from pixi_scaffold.system import program

_ROUNDS = 5
_NAME_ONE = f"{program()} check FILE.sub"


@dataclass(slots=True)
class Fixed:
    """What --fix did, and the files that it may not change, as lines to read."""

    done: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class Reviewed(NamedTuple):
    """What the rules say of the jobs, and what was fixed for it (None without --fix)."""

    review: Review
    root: Path
    fixed: Fixed | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as the document has it."""
        facts = {
            "root": str(self.root),
            "findings": [document(f, more, self.root) for f, more in at_most(self.review.findings)],
            "silenced": self.review.silenced,
        }
        if self.fixed is not None:
            facts |= {"fixed": self.fixed.done, "not_fixed": self.fixed.refused}
        return facts


def _reviewed(context: Context) -> Reviewed:
    """Run the rules on all submit files, and fix what can be fixed where that is wanted; once."""
    if not context.reviews:
        context.reviews.append(_review(context))
    reviewed: Reviewed = context.reviews[0]
    return reviewed


def _review(context: Context) -> Reviewed:
    request, root, paths = context.request, context.root, context.files
    folders: list[OSError] = []
    if paths is not None:
        every = list(paths)
    else:
        every = [*find_descriptions(root, folders.append), *find_dags(root)]
    if not every and not folders:
        raise Skipped("no submit file is here", _NAME_ONE)
    attributes = frozenset[str]()
    if request.slots is not None and condor.available():
        attributes = condor.slot_attributes(condor.read_slots(request.slots))
    checked = root if paths is None else None
    site = None if request.site is None else read_site(request.site)

    def look() -> Review:
        return review(
            every,
            context.progress,
            folder=request.submit_from,
            checked=checked,
            attributes=attributes,
            given=Submission(before=request.before, append=request.append),
            site=site,
        )

    looked, fixed = look(), None
    if request.fix:
        looked, fixed = _fix(looked, look, root)
    unseen = [(shown(Path(e.filename), root), e.strerror or str(e)) for e in folders]
    looked = looked._replace(not_checked=(*looked.not_checked, *unseen))
    return Reviewed(looked, root, fixed)


def submit(context: Context) -> Done[None]:
    """Say what the rules find in the submit files."""
    jobs = _reviewed(context)
    names = [shown(path, context.root) for path in jobs.review.paths]
    not_checked = jobs.review.not_checked
    if not names and not_checked:
        files, why = not_checked[0]
        raise Skipped(f"no submit file is here; {files}: {why}", _NAME_ONE)
    files = names[0] if len(names) == 1 else f"{len(names)} submit files"
    return _done(context, files, jobs.review.part(worker=False), jobs.fixed or Fixed(), not_checked)


def worker(context: Context) -> Done[None]:
    """Say what the rules find in the worker scripts."""
    jobs = _reviewed(context)
    if not jobs.review.scripts:
        raise Skipped("no job has a shell script")
    names = [shown(path, context.root) for path in jobs.review.scripts]
    files = names[0] if len(names) == 1 else f"{len(names)} worker scripts"
    request = context.request
    said = "submit" not in request.skip and (not request.only or "submit" in request.only)
    fixed = jobs.fixed if jobs.fixed is not None and not said else Fixed()
    return _done(context, files, jobs.review.part(worker=True), fixed, ())


def slots(context: Context) -> Done[tuple[tuple[str, condor.SlotReport], ...]]:
    """Match every job against the slots that were given; its value is each job with its slots."""
    jobs = _reviewed(context)
    source = context.request.slots or condor.TYPICAL
    ads = condor.read_slots(source)
    lines: list[str] = []
    matches: list[tuple[str, condor.SlotReport]] = []
    least = len(ads)
    for description in jobs.review.descriptions:
        for job in description.jobs:
            name = shown(description.path, context.root)
            where = f"{name}:{job.queue.line}" if len(description.jobs) > 1 else name
            variants, _ = job.variants(ROWS)  # the review says what is left out
            try:
                answers = [condor.match(_ad(variant), ads) for variant in variants]
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
            matches.append((where, answer))
    kind = "typical slots" if source == condor.TYPICAL else f"slots of {source}"
    detail = f"{least} of {len(ads)} {kind} match"
    if len(matches) > 1:
        detail += f", at least, {len(matches)} jobs"
    hint = "" if least else "loosen the clauses that refuse, or ask the pool's administrators"
    return Done(detail, tuple(matches), lines=tuple(lines), failed=least == 0, hint=hint)


def _ad(job: Job) -> JobAd:
    """Return a job's ad; raises ScaffoldError where condor_submit would make none."""
    meant = meaning(job)
    refusal = next((one for one in refusals(meant) if not one.versions), None)
    if refusal is not None:
        raise ScaffoldError(f"condor_submit refuses it: {refusal.message}", refusal.fix)
    return job_ad(meant)


def _done(
    context: Context,
    checked: str,
    findings: tuple[Finding, ...],
    fixed: Fixed,
    not_checked: tuple[tuple[str, str], ...],
) -> Done[None]:
    errors = any(f.severity is Severity.ERROR for f in findings)
    failed = errors or bool(fixed.refused)
    detail = f"{checked}: {counted(findings) or 'nothing found'}"
    if fixed.done:
        detail += f", {len(fixed.done)} fixed"
    if fixed.refused:
        detail += f", {len(fixed.refused)} read-only"
    offer = any(f.edits for f in findings) and not context.request.fix
    hint = "correct them" + ("; --fix does what is safe" if offer else "")
    if fixed.refused:
        hint = "give them write permission (chmod u+w), then again"
    lines = (*fixed.done, *fixed.refused, *finding_lines(findings, context.root))
    return Done(detail, None, not_checked, lines, failed, hint if failed else "")


def _fix(reviewed: Review, look: Callable[[], Review], root: Path) -> tuple[Review, Fixed]:
    """Apply the fixes, and those that become possible by them; no change is made twice."""
    fixed, made = Fixed(), set[tuple[object, ...]]()
    for _ in range(_ROUNDS):
        refused = {f: unchangeable(f) for f in reviewed.findings if f.edits}
        files = dict.fromkeys(why for why in refused.values() if why is not None)
        fixed.refused = [f"{shown(path, root)} is not fixed: it {why}" for path, why in files]
        done = apply_fixes(f for f, why in refused.items() if why is None and not _keys(f) & made)
        if not done:
            break
        made |= {key for finding in done for key in _keys(finding)}
        for f in done:
            fixed.done.append(f"{shown(f.file, root)}:{f.line}: fixed {f.rule}: {f.message}")
        reviewed = look()
    return reviewed, fixed


def _keys(finding: Finding) -> set[tuple[object, ...]]:
    """Return what names the edits of a finding; one that removes lines may come again."""
    return {(finding.rule, e.path, e.lines, e.whole) for e in finding.edits if e.lines or e.whole}
