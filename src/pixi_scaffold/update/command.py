"""Bring a project to another version of its template: prepared beside it, moved in one step."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pixi_scaffold import __version__
from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.report import Progress, Report, Run, go_to
from pixi_scaffold.system import File, program, write_blobs, write_tree
from pixi_scaffold.template import Project, Renderer, Renderers, read_project
from pixi_scaffold.update.apply import commit_tree, interrupted, land
from pixi_scaffold.update.merge import Change
from pixi_scaffold.update.note import Landing, refuse_unfinished
from pixi_scaffold.update.plan import (
    Plan,
    UpdateFacts,
    UpdateRequest,
    choose_target,
    make_plan,
    nothing_newer,
    why_ask,
)
from pixi_scaffold.update.prepare import check_jobs, manifest_name, old_errors, prepare
from pixi_scaffold.update.push import push
from pixi_scaffold.update.repository import (
    Repository,
    check_branch,
    merge_commands,
    only_one,
    open_repository,
    refuse_covered,
    refuse_hidden,
    refuse_unclean,
    refuse_under_way,
    take_whole,
    uncommitted,
)
from pixi_scaffold.update.undo import abort

Confirm = Callable[[Plan], bool]


def update(
    request: UpdateRequest, confirm: Confirm, progress: Progress, renderers: Renderers | None = None
) -> Report:
    """Update one project; return the report.

    confirm: is shown the plan while nothing is touched yet, and says whether to go on.
    Raises ScaffoldError or KeyboardInterrupt; then the project is as it was.
    """
    if renderers is None:
        with Renderers() as kept:
            return update(request, confirm, progress, kept)
    run = Run(progress)
    with run.step("template", asks=request.ask) as step:
        project = read_project(request.folder)
        repository = open_repository(project.folder)
        refuse_unfinished(repository)
        refuse_under_way(repository)
        dirty = uncommitted(repository, look_only=True) if request.look_only else []
        if not request.look_only:
            refuse_unclean(repository)
        renderer = renderers.of(project.source)
        target = choose_target(renderer, project, request)
        same = target == project.commit
        way = f"new answers at {target}" if same else f"{project.commit} to {target}"
        detail = nothing_newer(renderer, project) if target is None else f"{project.source}: {way}"
        names = ", ".join(line[3:] for line in dirty)
        step.passed(f"{detail}; as committed, without your changes in {names}" if dirty else detail)
    plan = target and _planned(request, project, repository, renderer, target, run)
    if not plan:
        at = {"source": project.source, "from": project.commit, "to": project.commit}
        facts = {"project": str(project.folder), "template": at, "files": [], "applied": False}
        return Report("update", run.results, facts)
    branch_was = check_branch(repository, plan.branch)
    refuse_covered(repository, [repository.prefix + path for path in plan.created])
    refuse_hidden(repository.project, plan.files)
    if not confirm(plan):
        return Report("update", run.results, UpdateFacts(plan))
    if plan.conflicts and not request.conflicts:
        names = ", ".join(change.path for change in plan.conflicts)
        raise ScaffoldError(
            f"conflicts in {names}; nothing was changed", f"{program()} update {project.folder}"
        )
    with only_one(repository):
        return _apply(request, plan, repository, branch_was, run)


def _planned(
    request: UpdateRequest,
    project: Project,
    repository: Repository,
    renderer: Renderer,
    target: str,
    run: Run,
) -> Plan | None:
    """Make the plan, with the questions that the new version has; None when nothing changes."""
    why = why_ask(request, project, renderer, target) if request.ask else ""
    if why:
        run.progress.note(why)
    with run.step("merge", asks=bool(why)) as step:
        request = replace(request, ask=bool(why))
        plan = make_plan(request, project, renderer, target, repository)
        also = ", with these answers" if request.data else ""
        step.passed(plan.summary if plan else f"already at {project.commit}{also}")
    return plan


def _apply(
    request: UpdateRequest, plan: Plan, repository: Repository, branch_was: str, run: Run
) -> Report:
    files = plan.files
    manifest = manifest_name(repository.project)
    if any(c.path == manifest for c in plan.conflicts):
        run.skip("lock", f"{manifest} has a conflict")
    else:
        files |= prepare(repository, files, request.engine, run)
    with run.step("commit") as step:
        message = _message(plan, request.data)
        landing, stages = _committed(plan, repository, branch_was, files, message)
        land(repository, landing, stages)
        if plan.conflicts:
            lines = tuple(f"{c.path}  {c.note}".rstrip() for c in plan.conflicts)
            count = "1 file" if len(lines) == 1 else f"{len(lines)} files"
            waits = f"waits for you to edit {count}, on the branch {plan.branch}"
            step.failed(waits, lines, _how_to_resolve(plan))
        else:
            detail = f"{landing.commit[:7]} on the branch {plan.branch}"
            if names := ", ".join(line[3:] for line in uncommitted(repository)):
                detail += f"; changes of yours came along, not committed: {names}"
            step.passed(detail)
    if not plan.conflicts:
        _jobs(plan, repository, run)
        if request.push:
            with run.step("push", catch=True) as step:
                push(repository, landing, step)
    facts = UpdateFacts(plan, applied=True, commit=None if plan.conflicts else landing.commit)
    return Report("update", run.results, facts, _next(plan, repository, run))


def _committed(
    plan: Plan,
    repository: Repository,
    branch_was: str,
    files: Mapping[str, File | None],
    message: str,
) -> tuple[Landing, str]:
    """Commit what an update makes, on no branch yet; return it and the stages of its conflicts."""
    top, prefix = repository.top, repository.prefix
    there = {path: file for path, file in files.items() if file is not None}
    blobs = write_blobs(top, there)
    tree = write_tree(top, repository.head, {prefix + path: blobs.get(path) for path in files})
    commit = commit_tree(repository, tree, repository.head, message)
    rows = repository.git("diff-tree", "-r", "-z", "--name-status", repository.head, commit)
    words = rows.split("\0")
    changed = dict(zip(words[1::2], words[::2], strict=False))
    landing = Landing(
        plan.branch,
        branch_was,
        commit,
        repository.head if plan.conflicts else commit,
        repository.branch,
        repository.head,
        tuple(changed),
        tuple(path for path, kind in changed.items() if kind == "A"),
        tuple(prefix + c.path for c in plan.conflicts),
        message,
        prefix=prefix,
    )
    return landing, _stages(plan.conflicts, repository)


def _stages(conflicts: tuple[Change, ...], repository: Repository) -> str:
    """Return base, ours and theirs of each conflict, for `git update-index -z --index-info`."""
    rows = []
    for change in conflicts:
        name = repository.prefix + change.path
        sides = {str(n): side for n, side in enumerate(change.sides, 1) if side is not None}
        rows.append(f"0 {'0' * len(repository.head)}\t{name}\0")
        blobs = write_blobs(repository.top, sides)
        rows += [f"{entry} {stage}\t{name}\0" for stage, entry in blobs.items()]
    return "".join(rows)


def _jobs(plan: Plan, repository: Repository, run: Run) -> None:
    try:
        with run.step("jobs", catch=True) as step:
            before = partial(old_errors, repository, repository.head)
            check_jobs(plan.project.folder, before, step)
    except KeyboardInterrupt as stop:
        raise interrupted(plan.branch) from stop


def _how_to_resolve(plan: Plan) -> str:
    whole = [c.path for c in plan.conflicts if not _has_lines(c)]
    lines = [c.path for c in plan.conflicts if _has_lines(c)]
    words = ["edit them: each conflict begins with <<<<<<<"] if lines else []
    if whole:
        words.append(f"take {take_whole(whole)}")
    return "; ".join(words)


def _has_lines(change: Change) -> bool:
    return all(side is None or side.is_text for side in change.sides)


def _message(plan: Plan, data: Mapping[str, Any]) -> str:
    if plan.was == plan.to:
        title = f"Change the answers to the template: {', '.join(data)}"
    else:
        title = f"Update the template from {plan.was} to {plan.to}"
    return f"{title}\n\n{plan.project.source}\npixi-scaffold {__version__}"


def _next(plan: Plan, repository: Repository, run: Run) -> tuple[str, ...]:
    there = go_to(plan.project.folder)
    undo = f"{program()} update --abort   # to undo all of it"
    if plan.conflicts:
        return (*there, f"{program()} update --continue   # after editing", undo)
    lock = [r.hint for r in run.results if r.name == "lock" and r.hint]
    return (*there, *lock, *merge_commands(repository, repository.branch, plan.branch), undo)


def abort_update(folder: Path, progress: Progress) -> Report:
    """Undo the last update of the project, finished or with conflicts."""
    run = Run(progress)
    with run.step("abort") as step:
        repository = open_repository(read_project(folder).folder)
        with only_one(repository):
            landing = abort(repository)
        where = landing.from_branch or landing.from_commit[:12]
        step.passed(f"back on {where}; the branch {landing.branch} is gone")
    return Report("update", run.results, {"project": str(folder.absolute())})
