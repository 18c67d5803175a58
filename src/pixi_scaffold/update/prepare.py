"""Lock and check what an update makes, beside the project: nothing of the user's is touched."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pixi_scaffold.errors import ChannelError, NoWorkspaceError, ScaffoldError, UnsupportedError
from pixi_scaffold.report import Result, Run, Silent, Status, Step
from pixi_scaffold.system import File, program, read_blobs, read_file, temporary_folder, write_file
from pixi_scaffold.update.merge import MANIFESTS
from pixi_scaffold.update.repository import Repository
from pixi_scaffold.workspace import find_manifest, manifest_among

if TYPE_CHECKING:
    from pixi_scaffold.rules import Finding

LOCK = "pixi.lock"

Files = Mapping[str, File | None]
"""What an update writes, by path in the project; None takes a file away."""


def prepare(repository: Repository, files: Files, engine: str, run: Run) -> dict[str, File]:
    """Lock and check the project as it will be; return what is to be written beside `files`.

    Raises ScaffoldError when it could not be locked for good, or would not pass `check`.
    """
    listing = repository.listing(repository.head)
    names = {name: listing[name] for name in (*MANIFESTS, LOCK) if name in listing}
    committed = read_blobs(repository.top, names)
    was, will_be = _manifest(committed), _manifest({**committed, **files})
    if will_be is None:
        return {}
    now = _meaning(will_be)
    stale = _meaning(was) != now and not isinstance(now, str)
    if LOCK not in committed:
        run.skip("lock", *_no_lock(repository))
        stale = False
    if stale:  # Pixi may want anything that lies in the project
        committed = read_blobs(repository.top, listing)
    with _beside(repository, {**committed, **files}) as root:
        if stale:
            lock_again(root, repository.project, engine, run)
        check_project(root, repository.project, engine, run)
        lock = read_file(root, LOCK)
    return {LOCK: lock} if lock is not None and lock != committed.get(LOCK) else {}


def _no_lock(repository: Repository) -> tuple[str, str]:
    if repository.ask("check-ignore", "-q", f"{repository.prefix}{LOCK}").code == 0:
        return f"git ignores {LOCK}, so it stays as it is", f"{program()} lock"
    keep = f"{program()} lock && git add {LOCK} && git commit -m Lock"
    if (repository.project / LOCK).is_file():
        return f"git does not hold {LOCK}, so it stays as it is", keep
    return f"the project has no {LOCK}", keep


@contextmanager
def _beside(repository: Repository, files: Files) -> Iterator[Path]:
    with temporary_folder() as folder:
        root = folder.resolve() / (repository.project.name or "project")
        root.mkdir()
        for path, file in files.items():
            if file is not None:
                write_file(root, path, file)
        yield root


def _manifest(files: Files) -> File | None:
    """Return the manifest among files of a project; None when none of them is one."""
    there = {name: file for name in MANIFESTS if (file := files.get(name)) is not None}
    texts = {name: file.content.decode(errors="replace") for name, file in there.items()}
    return there.get(manifest_among(texts))


def manifest_name(root: Path) -> str:
    """Return what the manifest of a project is called; empty when it has none."""
    try:
        return find_manifest(root).name
    except NoWorkspaceError:
        return ""


def _meaning(file: File | None) -> object:
    """Return what a manifest says; its text where it is no TOML, None where it is not there."""
    if file is None:
        return None
    text = file.content.decode(errors="replace")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return text


def lock_again(root: Path, shown: Path, engine: str, run: Run) -> None:
    """Make pixi.lock new where it no longer serves the manifest; a lock is never merged.

    root: where the project is; shown: how messages name it.
    """
    from pixi_scaffold.lock import check_lock, relock

    try:
        if not check_lock(root).failed:
            with run.step("lock") as step:
                step.passed(f"{LOCK} still serves {manifest_name(root)}")
            return
        run.results += relock(root, engine, frozenset(), run.progress).results
    except (ChannelError, UnsupportedError) as error:
        why = error.message.replace(str(root), str(shown)).splitlines()[0]
        command = "pixi lock" if isinstance(error, UnsupportedError) else f"{program()} lock"
        hint = f"{command} && git add {LOCK} && git commit -m Lock"
        run.skip("lock", f"{LOCK} is not current: {why}", hint)
    except ScaffoldError as error:
        message, hint = (w.replace(str(root), str(shown)) for w in (error.message, error.hint))
        hint = f"{hint}; the project is as it was".removeprefix("; ")
        raise ScaffoldError(message, hint) from error


def check_project(root: Path, shown: Path, engine: str, run: Run) -> None:
    """Run what `check` runs; a lock that could not be made is said, anything else stops it."""
    if not manifest_name(root):
        return
    from pixi_scaffold.check import CheckRequest, check

    with run.step("check") as step:
        report = check(CheckRequest((root,), engine=engine, only=("manifest", "lock")), Silent())
        said = any(r.name == "lock" and r.status is Status.SKIPPED for r in run.results)
        failures: list[Result] = []
        for result in report.failed:
            lines = tuple(line.replace(str(root), str(shown)) for line in result.lines)
            detail = result.detail.replace(str(root), str(shown))
            if result.name == "manifest":
                raise ScaffoldError(
                    "\n".join((f"the updated project would not pass `check`: {detail}", *lines)),
                    "the project is as it was; correct that first, commit, and try again",
                )
            if result.name == "lock" and said and not (root / LOCK).is_file():
                continue  # there was none before, and that was said
            hint = f"{program()} lock" if result.name == "lock" else f"{program()} check"
            failures.append(result._replace(detail=detail, lines=lines, hint=hint))
        if failures:
            details = "; ".join(f.detail for f in failures)
            all_lines = tuple(line for f in failures for line in f.lines)
            step.failed(details, all_lines, failures[0].hint)
        else:
            step.passed("; ".join(r.detail for r in report.results if r.status is Status.PASSED))


JobErrors = dict[tuple[str, str, str], "Finding"]
"""Errors in submit files and worker scripts, by rule, file and message."""


def job_errors(folder: Path) -> JobErrors:
    """Return what the rules on submit files and worker scripts call errors.

    Looked at in the project itself: inputs and images are files that git does not hold.
    """
    from pixi_scaffold.check import find_descriptions, review, shown
    from pixi_scaffold.rules import Severity

    findings = review(find_descriptions(folder), Silent()).findings
    errors = [f for f in findings if f.severity is Severity.ERROR]
    where = str(folder.resolve())
    return {(f.rule, shown(f.file, folder), f.message.replace(where, ".")): f for f in errors}


def old_errors(repository: Repository, commit: str) -> JobErrors:
    """Return the errors that a commit has; what git does not hold is not there."""
    with _beside(repository, read_blobs(repository.top, repository.listing(commit))) as root:
        return job_errors(root)


def check_jobs(folder: Path, before: Callable[[], JobErrors], step: Step) -> None:
    """Say what the update broke in the project's jobs; what was wrong before is not its doing."""
    from pixi_scaffold.check import finding_lines

    now = job_errors(folder)
    known = before() if now else {}
    new = [finding for key, finding in now.items() if key not in known]
    if new:
        count = f"{len(new)} new error{'s' if len(new) > 1 else ''} in submit files"
        step.failed(count, tuple(finding_lines(new, folder)), f"{program()} check")
    else:
        old = f"; {len(now)} as before: {program()} check" if now else ""
        step.passed(f"nothing new in submit files{old}")
