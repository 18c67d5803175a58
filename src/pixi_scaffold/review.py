"""Gather what the rules need to know about submit files, and run them."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pixi_scaffold import condor
from pixi_scaffold.errors import ManifestError, ScaffoldError, Skipped, UsageError
from pixi_scaffold.job import Description, read_description
from pixi_scaffold.lock.file import Lock, read_lock
from pixi_scaffold.manifest import read_manifest
from pixi_scaffold.report import Progress
from pixi_scaffold.rules import (
    RULES,
    Finding,
    Opinion,
    Project,
    Row,
    Severity,
    ShellNote,
    Subject,
    check_subject,
    without_suppressed,
)
from pixi_scaffold.rules.expressions import expression_texts
from pixi_scaffold.rules.files import not_yet_made
from pixi_scaffold.shellcheck import shell_notes
from pixi_scaffold.workspace import DEFAULT, Workspace

if TYPE_CHECKING:
    from rattler import RepoDataRecord

SUFFIXES = (".sub", ".submit", ".jdl", ".condor")
"""What submit descriptions are named by."""
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "runs", "data", "site-packages"})
WORKER = "PS3"
"""The rules on worker scripts have ids that begin so."""


@dataclass(frozen=True, slots=True)
class Review:
    """What was found in some submit files.

    descriptions: those that were read. scripts: the worker scripts of their jobs. not_checked:
    (what, why) for what could not be looked at. silenced: findings that a comment silences.
    """

    descriptions: tuple[Description, ...] = ()
    scripts: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()
    not_checked: tuple[tuple[str, str], ...] = ()
    silenced: int = 0

    def part(self, worker: bool) -> tuple[Finding, ...]:
        """Return the findings of the rules on worker scripts, or of the others."""
        return tuple(f for f in self.findings if f.rule.startswith(WORKER) == worker)


@dataclass(slots=True)
class Surroundings:
    """Projects by manifest, read once."""

    projects: dict[Path, Project | None] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def project(self, path: Path) -> Project | None:
        """Return the Pixi workspace that a submit file lies in; None when there is none."""
        for folder in path.resolve().parents:
            manifest = folder / "pixi.toml"
            if manifest in self.projects:
                return self.projects[manifest]
            if manifest.is_file():
                self.projects[manifest] = self._read(manifest)
                return self.projects[manifest]
        return None

    def _read(self, manifest: Path) -> Project | None:
        try:
            workspace = read_manifest(manifest)
        except ManifestError as error:
            self.problems[f"rules against {manifest.name}"] = error.message.splitlines()[0]
            return None
        path = workspace.lock_file
        project = Project(manifest, path, workspace.requires_pixi)
        if not path.is_file():
            self.problems["rules against the lock"] = f"there is no {path.name}"
            return project
        try:
            lock = read_lock(path)
        except ScaffoldError as error:
            self.problems["rules against the lock"] = error.message.splitlines()[0]
            return project
        return replace(project, lock_format=lock.format, rows=tuple(locked_rows(workspace, lock)))


def locked_rows(workspace: Workspace, lock: Lock) -> Iterator[Row]:
    """Yield the platforms of the locked default environment, in the manifest's order."""
    environment = lock.environments.get(DEFAULT)
    if environment is None:
        return
    names = {platform.identity: platform.name for platform in workspace.platforms}
    order = {identity: number for number, identity in enumerate(names)}
    for identity, records in sorted(
        environment.records.items(), key=lambda item: order.get(item[0], len(order))
    ):
        if records:
            yield _row(names.get(identity, identity[0]), identity[0], records)


def _row(name: str, subdir: str, records: Sequence[RepoDataRecord]) -> Row:
    versions = {record.name.normalized: str(record.version) for record in records}
    needs = any(d.split()[0] == "__cuda" for record in records for d in record.depends)
    driver: tuple[int, int] | None = (0, 0) if needs else None
    for record in records:
        for constraint in record.constrains:
            package, _, limit = constraint.partition(" ")
            if package == "__cuda" and limit.startswith(">=") and "cuda-version" in versions:
                major, _, minor = limit[2:].strip().partition(".")
                if major.isdecimal():
                    driver = (int(major), int(minor) if minor.isdecimal() else 0)
    uses_cuda = needs or "cuda-cudart" in versions
    return Row(
        name,
        subdir,
        len(records),
        sum(record.size or 0 for record in records),
        driver if uses_cuda else None,
        versions.get("cuda-version", ""),
        versions.get("libcudnn") or versions.get("cudnn", ""),
        versions.get("pytorch", ""),
    )


def find_descriptions(root: Path) -> list[Path]:
    """Return the submit descriptions in a folder and below it, hidden folders left out."""
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and f not in _SKIPPED_FOLDERS
        )
        found += [Path(folder) / name for name in sorted(files) if name.endswith(SUFFIXES)]
    return found


def read_where_submitted(path: Path, given: Path | None, root: Path | None) -> Description:
    """Read a description as from the folder in which condor_submit would be run.

    That is the one given; otherwise the first of: the project's, the description's own, the
    current one, in which its executable is found; otherwise the project's or its own. Raises
    OSError when it cannot be read.
    """
    path = path.absolute()
    if given is not None:
        return read_description(path, given.resolve())
    choices = [root.resolve()] if root else []
    choices += [path.resolve().parent, Path.cwd()]
    first: Description | None = None
    for folder in dict.fromkeys(choices):
        found = read_description(path, folder)
        first = first or found
        name = found.jobs[0].text("executable")
        if name and (folder / name).is_file():
            return found
    assert first is not None  # noqa: S101  there is at least one choice
    return first


def review(
    paths: Sequence[Path],
    progress: Progress,
    *,
    folder: Path | None = None,
    attributes: frozenset[str] = frozenset(),
) -> Review:
    """Run all rules on submit descriptions.

    folder: where condor_submit is run, where it is known. attributes: names that the pool's slots
    have (lower case). Raises UsageError for a file that cannot be read.
    """
    around = Surroundings()
    subjects: list[Subject] = []
    for number, path in enumerate(paths):
        progress.update(f"reading {path.name}", number / max(len(paths), 1))
        subjects += _subjects(path, folder, around, attributes)
    not_checked = dict(around.problems)
    scripts = sorted({script.path for subject in subjects for script in subject.scripts})
    notes: Mapping[Path, tuple[ShellNote, ...]] = {}
    try:
        progress.update("running shellcheck")
        notes = shell_notes(scripts) if scripts else {}
    except Skipped as skip:
        not_checked["shellcheck's findings (PS305)"] = skip.reason
    if subjects and subjects[0].opinion is None and not condor.available():
        not_checked["HTCondor's own reading (PS120)"] = "its Python bindings exist for Linux only"
    found: dict[Finding, None] = {}
    for number, subject in enumerate(subjects):
        progress.update(f"checking {subject.description.path.name}", number / len(subjects))
        full = replace(subject, notes=notes)
        found |= dict.fromkeys(check_subject(full))
        for name, command in not_yet_made(full):
            not_checked[name] = f"not there yet; before you submit: {command}"
    kept, silenced = without_suppressed(found)
    descriptions = tuple(dict.fromkeys(id(s.description) for s in subjects))
    by_id = {id(s.description): s.description for s in subjects}
    return Review(
        tuple(by_id[i] for i in descriptions),
        tuple(scripts),
        tuple(kept),
        tuple(not_checked.items()),
        silenced,
    )


def _subjects(
    path: Path, folder: Path | None, around: Surroundings, attributes: frozenset[str]
) -> Iterator[Subject]:
    project = around.project(path)
    root = project.manifest.parent if project else None
    try:
        description = read_where_submitted(path, folder, root)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "name a submit file") from error
    for job in description.jobs:
        subject = Subject(description, job, project, None, attributes)
        yield replace(subject, opinion=_opinion(subject))


def _opinion(subject: Subject) -> Opinion | None:
    """Return HTCondor's own reading; None where it cannot be had without running programs."""
    description = subject.description
    text = "\n".join(description.lines)
    if not condor.available() or "\0" in text or condor.runs_commands(text):
        return None
    expressions = {e: condor.parses(e) for e in expression_texts(subject)}
    return Opinion(condor.read_commands(text, description.folder), expressions)


def counted(findings: Iterable[Finding]) -> str:
    """Return `2 errors, 1 warning`; empty for none."""
    words = []
    every = list(findings)
    for severity in Severity:
        count = sum(f.severity is severity for f in every)
        if count:
            words.append(f"{count} {severity}{'s' if count > 1 else ''}")
    return ", ".join(words)


def finding_lines(findings: Iterable[Finding], root: Path) -> Iterator[str]:
    """Yield each finding as `file:line: severity id: message`, why it matters, and the fix.

    Why is said once a rule.
    """
    said: set[str] = set()
    for finding in findings:
        place = f"{shown(finding.file, root)}:{finding.line}"
        yield f"{place}: {finding.severity} {finding.rule}: {finding.message}"
        if finding.rule not in said:
            yield from _indented("why: ", RULES[finding.rule].why)
            said.add(finding.rule)
        fix = finding.fix + (" (check --fix does it)" if finding.edits else "")
        yield from _indented("fix: ", fix)


def _indented(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, 96, initial_indent=f"    {label}", subsequent_indent=" " * (4 + len(label))
    )


def shown(path: Path, root: Path) -> str:
    """Return a path relative to a folder where it lies in it."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return str(path)
