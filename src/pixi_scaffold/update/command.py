"""Bring a project to another version of its template: prepared beside it, moved in one step."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixi_scaffold import __version__
from pixi_scaffold.errors import ChannelError, Interrupted, ScaffoldError, UnsupportedError
from pixi_scaffold.report import Progress, Report, Result, Silent, Status, Steps, go_to
from pixi_scaffold.system import File, program, read_file
from pixi_scaffold.template import Project, Renderers, read_project
from pixi_scaffold.update.landing import (
    Landing,
    abort,
    finish_landing,
    land,
    refuse_unfinished,
    unfinished,
)
from pixi_scaffold.update.merge import MANIFEST, Action, Change, has_leftovers
from pixi_scaffold.update.plan import Plan, Request, choose_target, make_plan, nothing_newer
from pixi_scaffold.update.shadow import Shadow, open_shadow
from pixi_scaffold.update.worktree import (
    Repository,
    check_branch,
    open_repository,
    refuse_covered,
    refuse_hidden,
    refuse_unclean,
)

if TYPE_CHECKING:
    from pixi_scaffold.rules import Finding

LOCK = "pixi.lock"


Confirm = Callable[[Plan], bool]


def update(
    request: Request, confirm: Confirm, progress: Progress, renderers: Renderers | None = None
) -> Report:
    """Update one project; return the report.

    confirm: is shown the plan while nothing is touched yet, and says whether to go on.
    Raises ScaffoldError or KeyboardInterrupt; then the project is as it was.
    """
    if renderers is None:
        with Renderers() as own:
            return update(request, confirm, progress, own)
    steps = Steps(progress)
    steps.start("template", asks=request.ask)
    project = read_project(request.folder)
    repository = open_repository(project.folder)
    refuse_unfinished(repository)
    refuse_unclean(repository)
    renderer = renderers.of(project.source)
    target = choose_target(renderer, project, request)
    if target is None:
        detail = nothing_newer(renderer, project)
        steps.passed(detail)
        return Report("update", steps.results, _nothing(project))
    same = target == project.commit
    way = f"new answers at {target}" if same else f"{project.commit} to {target}"
    steps.passed(f"{project.source}: {way}")
    with open_shadow(repository) as shadow:
        asks = request.ask and renderer.has_new_questions(target, project.answers)
        request = replace(request, ask=asks)
        steps.start("merge", asks=asks)
        plan = make_plan(request, project, renderer, target, shadow.project)
        if plan is None:
            steps.passed(f"already at {project.commit}")
            return Report("update", steps.results, _nothing(project))
        if repository.prefix:  # one of several projects in a repository
            below = re.sub(r"[^\w.-]+", "-", repository.prefix.strip("/")).strip(".-")
            plan = replace(plan, branch=f"template/{below}/{plan.to}")
        branch_was = check_branch(repository, plan.branch)
        _refuse_covered(repository, plan)
        steps.passed(plan.summary)
        if not confirm(plan):
            return Report("update", steps.results, {**plan.facts(), "applied": False})
        if plan.conflicts and not request.conflicts:
            names = ", ".join(change.path for change in plan.conflicts)
            raise ScaffoldError(
                f"your hand is needed for {names}; nothing was changed",
                f"{program()} update {project.folder}",
            )
        return _apply(request, plan, repository, shadow, branch_was, steps)


def _nothing(project: Project) -> dict[str, Any]:
    """Return the facts of an update that has nothing to do."""
    version = {"source": project.source, "from": project.commit, "to": project.commit}
    return {"project": str(project.folder), "template": version, "files": [], "applied": False}


def _refuse_covered(repository: Repository, plan: Plan) -> None:
    created = [
        repository.prefix + c.path
        for c in plan.changes
        if c.file is not None and (c.action is Action.NEW or c.moved_from)
    ]
    refuse_covered(repository, created)
    refuse_hidden(repository.top, [repository.prefix + path for path, _ in _files(plan)])


def _apply(
    request: Request,
    plan: Plan,
    repository: Repository,
    shadow: Shadow,
    branch_was: str,
    steps: Steps,
) -> Report:
    """Write, lock, check and commit in the shadow, then land."""
    manifest_before = _toml(shadow.project / MANIFEST)
    shadow.write(_files(plan))
    facts: dict[str, Any] = {**plan.facts(), "applied": True, "commit": None}
    lock_is_open = any(c.path == MANIFEST for c in plan.conflicts)
    if lock_is_open:
        steps.skipped("lock", f"{MANIFEST} has a conflict")
    else:
        _relock(shadow.project, manifest_before, plan.project.folder, request.engine, steps)
        if (shadow.project / LOCK).is_file():
            shadow.add([LOCK])
        _check(shadow.project, plan.project.folder, request.engine, steps)
    message = _message(plan, request.data)
    conflicts = plan.conflicts
    steps.start("commit")
    if conflicts:
        commit, tip = shadow.git("write-tree").strip(), repository.head
    else:
        commit = tip = shadow.commit(message)
    changed = shadow.changed()
    errors_before = {} if conflicts else _job_errors(plan.project.folder)
    landing = Landing(
        plan.branch,
        branch_was,
        tip,
        repository.branch,
        repository.head,
        tuple(changed),
        tuple(path for path, kind in changed.items() if kind == "A"),
        tuple(repository.prefix + c.path for c in conflicts),
        message,
        prefix=repository.prefix,
    )
    land(repository, shadow, commit, landing, shadow.index_entries(_stages(conflicts)))
    if conflicts:
        lines = tuple(f"{c.path}  {c.note}".rstrip() for c in conflicts)
        files = "1 file" if len(conflicts) == 1 else f"{len(conflicts)} files"
        detail = f"waits for your hand in {files}, on the branch {plan.branch}"
        steps.failed(detail, lines, "edit them: each conflict begins with <<<<<<<")
        facts["conflicts"] = [c.path for c in conflicts]
    else:
        steps.passed(f"{commit[:7]} on the branch {plan.branch}")
        facts["commit"] = commit
        try:
            _check_jobs(plan.project.folder, errors_before, steps)
        except KeyboardInterrupt as stop:
            raise Interrupted(
                f"interrupted when the update was done: it is on the branch {plan.branch}",
                f"to undo it: {program()} update --abort",
            ) from stop
        except ScaffoldError as error:
            steps.failed(error.message, (), error.hint)
    return Report("update", steps.results, facts, _next(plan, repository, bool(conflicts), steps))


def _files(plan: Plan) -> list[tuple[str, File | None]]:
    found: list[tuple[str, File | None]] = []
    for change in plan.changes:
        if change.moved_from:
            found.append((change.moved_from, None))
        if change.writes:
            found.append((change.path, change.file))
    return found


def _stages(conflicts: tuple[Change, ...]) -> dict[str, tuple[File | None, ...]]:
    return {change.path: change.sides for change in conflicts}


def _message(plan: Plan, data: Mapping[str, Any]) -> str:
    if plan.was == plan.to:
        title = f"Change the answers to the template: {', '.join(data)}"
    else:
        title = f"Update the template from {plan.was} to {plan.to}"
    return f"{title}\n\n{plan.project.source}\npixi-scaffold {__version__}"


def _next(plan: Plan, repository: Repository, conflicts: bool, steps: Steps) -> tuple[str, ...]:
    there = go_to(plan.project.folder)
    undo = f"{program()} update --abort   # to undo all of it"
    if conflicts:
        return (*there, f"{program()} update --continue   # after editing", undo)
    lock = [
        f"{r.hint} && git add pixi.lock && git commit -m Lock"
        for r in steps.results
        if r.name == "lock" and r.hint
    ]
    merge = f"git switch {repository.branch} && git merge {plan.branch}"
    if repository.branch is None:
        merge = f"git log --stat -1 {plan.branch}"
    return (*there, *lock, merge, undo)


def _toml(path: Path) -> object:
    """Return what a manifest says; its text where it is no TOML, None where it is not there."""
    try:
        text = path.read_bytes().decode(errors="replace")
        return tomllib.loads(text)
    except OSError:
        return None
    except tomllib.TOMLDecodeError:
        return text


def _relock(root: Path, before: object, shown: Path, engine: str, steps: Steps) -> None:
    """Make pixi.lock anew when the manifest says something else; a lock is never merged."""
    if not (root / MANIFEST).is_file() or not (root / LOCK).is_file():
        if (root / MANIFEST).is_file():
            steps.skipped("lock", f"the project has no {LOCK}", f"{program()} lock")
        return
    after = _toml(root / MANIFEST)
    if before == after or isinstance(after, str):  # no TOML: the check says it better
        return
    from pixi_scaffold.lock import check_lock, relock

    steps.start("lock")
    try:
        if not check_lock(root).failed:
            steps.passed(f"{LOCK} still serves {MANIFEST}")
            return
        report = relock(root, engine, False, steps.progress)
    except (ChannelError, UnsupportedError) as error:
        why = error.message.replace(str(root), str(shown)).splitlines()[0]
        command = "pixi lock" if isinstance(error, UnsupportedError) else f"{program()} lock"
        steps.skipped("lock", f"{LOCK} is not current: {why}", command)
        return
    except ScaffoldError as error:
        error.message = error.message.replace(str(root), str(shown))
        hint = error.hint.replace(str(root), str(shown))
        error.hint = f"{hint}; the project is as it was".removeprefix("; ")
        raise
    steps.passed(report.results[0].detail)


def _check(root: Path, shown: Path, engine: str, steps: Steps) -> None:
    """Run what `check` runs; a lock that could not be made is said, anything else stops it."""
    if not (root / MANIFEST).is_file():
        return
    from pixi_scaffold.check import CheckRequest, check

    steps.start("check")
    report = check(CheckRequest((root,), engine=engine, only=("manifest", "lock")), Silent())
    known = any(r.name == "lock" and r.status is Status.SKIPPED for r in steps.results)
    failures: list[Result] = []
    for result in report.failed:
        lines = tuple(line.replace(str(root), str(shown)) for line in result.lines)
        detail = result.detail.replace(str(root), str(shown))
        if result.name == "manifest":
            raise ScaffoldError(
                "\n".join((f"the updated project would not pass `check`: {detail}", *lines)),
                "the project is as it was; correct that first, commit, and try again",
            )
        if result.name == "lock" and known and not (root / LOCK).is_file():
            continue  # there was none before, and that was said
        hint = f"{program()} lock" if result.name == "lock" else f"{program()} check"
        failures.append(replace(result, detail=detail, lines=lines, hint=hint))
    if failures:
        details = "; ".join(f.detail for f in failures)
        steps.failed(details, tuple(line for f in failures for line in f.lines), failures[0].hint)
        return
    passed = [r.detail for r in report.results if r.status is Status.PASSED]
    steps.passed("; ".join(passed))


def _job_errors(folder: Path) -> dict[tuple[str, str, str], Finding]:
    """Return what the rules on submit files and worker scripts call errors, by what it is.

    Looked at in the project itself: inputs and images are files that git does not hold.
    """
    from pixi_scaffold.check import find_descriptions, review, shown
    from pixi_scaffold.rules import Severity

    found = review(find_descriptions(folder), Silent()).findings
    errors = [f for f in found if f.severity is Severity.ERROR]
    return {(f.rule, shown(f.file, folder), f.message): f for f in errors}


def _check_jobs(folder: Path, before: Mapping[tuple[str, str, str], Finding], steps: Steps) -> None:
    """Say what the update broke in the project's jobs; what was wrong before is not its doing."""
    from pixi_scaffold.check import finding_lines

    steps.start("jobs")
    now = _job_errors(folder)
    new = [finding for key, finding in now.items() if key not in before]
    if new:
        count = f"{len(new)} new error{'s' if len(new) > 1 else ''} in submit files"
        steps.failed(count, tuple(finding_lines(new, folder)), f"{program()} check")
    else:
        old = f"; {len(now)} as before: {program()} check" if now else ""
        steps.passed(f"nothing new in submit files{old}")


def continue_update(folder: Path, engine: str, progress: Progress) -> Report:
    """Lock, check and commit an update whose conflicts were edited.

    Raises ScaffoldError while there are conflict markers left, or when the project would not pass
    `check`; then only pixi.lock may be new.
    """
    steps = Steps(progress)
    steps.start("merge")
    project = read_project(folder)
    repository = open_repository(project.folder)
    landing = unfinished(repository)
    open_files = [
        path
        for path in landing.conflicts
        if (file := read_file(repository.top, path)) is not None
        and has_leftovers(path, file.content)
    ]
    if open_files:
        raise ScaffoldError(
            "\n".join(
                (
                    "conflict markers (<<<<<<<, =======, >>>>>>>) are left in:",
                    *open_files,
                )
            ),
            "edit them, then try again",
        )
    steps.passed(f"edited: {', '.join(landing.conflicts)}")
    lock = project.folder / LOCK
    before = lock.read_bytes() if lock.is_file() else None
    try:
        _relock(project.folder, None, project.folder, engine, steps)
        _check(project.folder, project.folder, engine, steps)
    except BaseException:
        if before is not None:
            lock.write_bytes(before)
        raise
    steps.start("commit")
    commit = finish_landing(repository, landing, [repository.prefix + LOCK] * lock.is_file())
    steps.passed(f"{commit[:7]} on the branch {landing.branch}")
    facts = {"project": str(project.folder), "branch": landing.branch, "commit": commit}
    undo = f"{program()} update --abort   # to undo all of it"
    merge = f"git switch {landing.from_branch or landing.from_commit} && git merge {landing.branch}"
    return Report("update", steps.results, facts, (*go_to(project.folder), merge, undo))


def abort_update(folder: Path, progress: Progress) -> Report:
    """Undo the last update of the project, finished or waiting for a hand."""
    steps = Steps(progress)
    steps.start("abort")
    landing = abort(open_repository(read_project(folder).folder))
    where = landing.from_branch or landing.from_commit[:12]
    steps.passed(f"back on {where}; the branch {landing.branch} is gone")
    return Report("update", steps.results, {"project": str(folder.absolute())})
