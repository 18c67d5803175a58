"""Gather what the rules need to know about submit files, and run them."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from pixi_scaffold.check.dag import Asked, DagNode, asked_for, made_earlier
from pixi_scaffold.check.find import read_where_submitted
from pixi_scaffold.check.kept import kept_by_git, packages_in
from pixi_scaffold.check.locked import Surroundings, rows_for
from pixi_scaffold.check.shellcheck import ShellNotes, shellchecking
from pixi_scaffold.check.tell import shown
from pixi_scaffold.errors import Skipped
from pixi_scaffold.job import Description, Job, Submission
from pixi_scaffold.report import Progress
from pixi_scaffold.rules import (
    RULES,
    Finding,
    LockedWorkspace,
    Site,
    Subject,
    check_subject,
    forget_files,
    in_order,
    is_url,
    not_yet_made,
    without_suppressed,
)
from pixi_scaffold.system import NOT_REGULAR, is_elsewhere, real, special, which

ROWS = 20
"""Rows of one queue statement that are looked at."""
PART = "it names no executable and queues nothing: taken for a part that other files include"
WORKER = "PS3"
"""The rules on worker scripts have ids that begin so."""


class Review(NamedTuple):
    """What was found in some submit files."""

    paths: tuple[Path, ...] = ()
    """The files that were to be read."""
    descriptions: tuple[Description, ...] = ()
    """The files that were read."""
    scripts: tuple[Path, ...] = ()
    """The worker scripts of their jobs."""
    findings: tuple[Finding, ...] = ()
    not_checked: tuple[tuple[str, str], ...] = ()
    """(what, why) for what could not be looked at."""
    to_make: tuple[tuple[str, str], ...] = ()
    """(file, command that makes it) of inputs that are still to be made."""
    silenced: int = 0
    """Findings that a comment silences."""

    def part(self, worker: bool) -> tuple[Finding, ...]:
        """Return the findings of the rules on worker scripts, or of the others."""
        return tuple(f for f in self.findings if f.rule.startswith(WORKER) == worker)


def review(
    paths: Sequence[Path],
    progress: Progress,
    *,
    folder: Path | None = None,
    checked: Path | None = None,
    attributes: frozenset[str] = frozenset(),
    given: Submission | None = None,
    site: Site | None = None,
) -> Review:
    """Run all rules on submit descriptions; one that cannot be read is a finding.

    paths: submit files, and DAGs, of which each node is looked at. folder: where condor_submit is
    run, where it is known. checked: the folder that all of this is about. attributes: names that
    the pool's slots have (lower case). given: commands of the command line. site: what is known of
    the pool.
    """
    forget_files()
    reading = _Reading(progress, Surroundings(), checked)
    from_folder = checked is not None
    reading.read([*asked_for(paths, given or Submission(), folder, from_folder=from_folder)])
    subjects = list(reading.subjects(attributes))
    findings, not_checked = reading.unread, dict(reading.around.problems)
    scripts = sorted({script.path for subject in subjects for script in subject.scripts})
    to_make: dict[str, str] = {}
    full: list[Subject] = []
    early: list[list[Finding]] = []
    with _shellchecking(scripts, not_checked) as said:
        kept = {} if which("condor_submit") else kept_by_git(_needed(subjects))
        for number, subject in enumerate(subjects):
            progress.update(f"checking {subject.description.path.name}", number / len(subjects))
            full.append(subject.having(kept=kept, site=site, packed=_packed(subject)))
            early.append(check_subject(full[-1], late=False))
            to_make |= (missing := _to_make(full[-1]))
            not_checked |= _not_looked_at(full[-1], missing)
        progress.update("waiting for shellcheck")
        remarks = said()
    not_checked |= {f"{_SHELLCHECK} on {p.name}": why for p, why in remarks.not_checked.items()}
    for subject, some in zip(full, early, strict=True):
        late = check_subject(subject.having(notes=remarks.notes), late=True)
        findings |= dict.fromkeys(in_order([*some, *late]))
    if any("no rule looked at it" in why for why in not_checked.values()):
        not_checked.pop("rules against the lock", None)  # the same, without what to do
    loud, silenced = without_suppressed(findings)
    by_id = {id(s.description): s.description for s in subjects}
    return Review(
        tuple(path for path in paths if path not in reading.parts),
        tuple(by_id.values()),
        tuple(scripts),
        tuple(loud),
        tuple(not_checked.items()),
        tuple(to_make.items()),
        silenced,
    )


_Read = tuple[Asked, Description, LockedWorkspace | None]


@dataclass(slots=True)
class _Reading:
    """The descriptions that were asked for, with the workspaces around them."""

    progress: Progress
    around: Surroundings
    checked: Path | None
    descriptions: list[_Read] = field(default_factory=list)
    nodes: dict[tuple[Path, str], Description] = field(default_factory=dict)
    """Those of DAGs, by DAG and name."""
    parts: set[Path] = field(default_factory=set)
    """Files that are no descriptions of their own: others include them."""
    unread: dict[Finding, None] = field(default_factory=dict)
    """What could not be read."""

    def read(self, every: Sequence[Asked]) -> None:
        """Read them all."""
        for number, one in enumerate(every):
            self.progress.update(f"reading {one.path.name}", number / len(every))
            try:
                self._read(one)
            except OSError as error:
                self.unread[_unread(one.path, error)] = None

    def _read(self, one: Asked) -> None:
        inline = one.node is not None and one.path == one.node.dag
        for problem in one.node.problems if one.node is not None and inline else ():
            raise OSError(errno.EINVAL, f"line {problem.line}: {problem.message}")
        if one.node is not None and (why := _not_here(one.path, one.node)):
            self.around.problems[f"node {one.node.name} of {one.node.dag.name}"] = why
            return
        project = self.around.project(one.path)
        root = project.manifest.parent if project else None
        description = read_where_submitted(one.path, one.folder, root, self.checked, one.submission)
        runs = description.jobs[0].command("executable")
        if one.node is not None and one.dag is not None:
            self.nodes[one.dag, one.node.name] = description
        elif self.checked is not None and not runs and not description.queues:
            self.parts.add(one.path)
            self.around.problems[shown(one.path, self.checked)] = PART
            return
        self.descriptions.append((one, description, project))

    def subjects(self, attributes: frozenset[str]) -> Iterator[Subject]:
        """Yield the jobs of all descriptions that no other one includes."""
        included = {real(file) for _, read, _ in self.descriptions for file in read.included}
        for one, description, project in self.descriptions:
            path = description.path
            if self.checked is not None and real(path) in included:
                self.parts.add(path)
                continue  # read where it is included
            earlier = made_earlier(one, self.nodes)
            for subject in _subjects(description, project, attributes, self.around):
                refused = one.node.problems if one.node is not None else ()
                dag = earlier or refused
                yield subject.having(earlier=earlier, refused_dag=refused) if dag else subject
            if (left := len(description.queues) - len(description.jobs)) > 0:
                message = f"{left} of {len(description.queues)} queue statements of {path.name}"
                self.around.problems[message] = f"the first {len(description.jobs)} are looked at"


def _not_here(path: Path, node: DagNode) -> str:
    """Return why a node's description cannot be looked at, and need not be wrong; or nothing."""
    if path == node.dag:
        return "its description stands in the DAG, which is not looked at"
    if node.parents and not path.exists():
        return f"{path.name} is not here: an earlier node, or a PRE script, may make it"
    return f"{path} is not on this machine" if is_elsewhere(path) else ""


def _unread(path: Path, error: OSError) -> Finding:
    """Return the finding that condor_submit could not read the file at all."""
    message = f"it cannot be read: {error.strerror or error}"
    severity, fix = RULES["PS109"].severity, "name a regular file that you may read"
    return Finding("PS109", severity, path.absolute(), 0, message, fix)


_SHELLCHECK = "shellcheck's findings (PS305)"


@contextlib.contextmanager
def _shellchecking(
    scripts: Sequence[Path], not_checked: dict[str, str]
) -> Iterator[Callable[[], ShellNotes]]:
    """Run shellcheck beside the rules, where it is installed."""
    with contextlib.ExitStack() as stack:
        said: Callable[[], ShellNotes] = ShellNotes
        if scripts:
            try:
                said = stack.enter_context(shellchecking(scripts))
            except Skipped as skip:
                not_checked[_SHELLCHECK] = skip.reason
        yield said


def _to_make(subject: Subject) -> dict[str, str]:
    with contextlib.suppress(OSError, RuntimeError):  # a rule has said it: a loop of symlinks
        return dict(not_yet_made(subject))
    return {}


def _not_looked_at(subject: Subject, to_make: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a job that are still to be made, or that no rule can read."""
    reasons: dict[str, str] = {}
    for name, command in to_make.items():
        lock = subject.project is not None and name == subject.project.lock.name
        also = ", so no rule looked at it" * lock
        reasons[name] = f"not there yet{also}; before you submit: {command}"
    away = [subject.start, *(subject.start / name for name in subject.inputs if not is_url(name))]
    away += [subject.executable] if subject.executable else []
    for path in filter(is_elsewhere, away):
        reasons[str(path)] = "it is not on this machine; the rules on files did not look at it"
    for path in filter(None, (subject.executable, *subject.input_files)):
        if special(path):
            reasons[subject.shown(path)] = NOT_REGULAR
    return reasons


def _packed(subject: Subject) -> dict[Path, frozenset[str]]:
    """Return the packages in the archives that a job brings, where a lock is there to compare."""
    if subject.project is None or not subject.project.rows or subject.delivery != "pack":
        return {}
    archives = (path for path in subject.input_files if path.name.endswith((".tar.gz", ".tgz")))
    return {path: packages for path in archives if (packages := packages_in(path))}


def _needed(subjects: Iterable[Subject]) -> Iterator[Path]:
    seen: set[tuple[Path, str]] = set()
    for subject in subjects:
        names = [(subject.start, name) for name in (*subject.inputs, *subject.images)]
        names.append((subject.job.folder, subject.meaning.executable.value))
        places = (subject.meaning.of(name).text for name in ("log", "output", "error"))
        names += [(subject.start, os.path.dirname(name)) for name in places]  # noqa: PTH120
        names.append((subject.job.folder, subject.meaning.of("initialdir").text))
        new = [pair for pair in names if pair not in seen]
        seen.update(new)
        for start, name in new:
            if name and not is_url(name) and "$" not in name and not name.startswith("/"):
                yield Path(os.path.normpath(start / name))


def _subjects(
    description: Description,
    project: LockedWorkspace | None,
    attributes: frozenset[str],
    around: Surroundings,
) -> Iterator[Subject]:
    """Yield the jobs that differ by more than their number, each with its platforms."""
    name = description.path.name
    for job in description.jobs:
        variants, left = job.variants(ROWS)
        if left:
            rows = f"{left} rows of the queue statement at {name}:{job.queue.line}"
            around.problems[rows] = f"the first {ROWS} that differ are looked at"
        for variant in variants:
            subject = Subject(description, _with_items(variant), project, attributes)
            if project is not None and project.rows_of:
                platforms, problem = rows_for(subject, project)
                if problem:
                    around.problems[f"rules against the lock, for {name}"] = problem
                subject = subject.having(project=project._replace(rows=platforms))
            yield subject


def _with_items(job: Job) -> Job:
    """Return a job whose queue statement's items are not known as one with items that say so.

    Otherwise their variables would be empty, and `$(name).csv` a file named `.csv`.
    """
    if not job.queue.variables or job.queue.items:
        return job
    item = " ".join(f"$$({name})" for name in job.queue.variables)
    return replace(job, queue=replace(job.queue, count=1, items=(item,), item_lines=(0,)))
