"""Go on with an update whose conflicts the user has edited."""

from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.report import Progress, Report, Run, go_to
from pixi_scaffold.system import program, read_blobs, read_file
from pixi_scaffold.template import read_project
from pixi_scaffold.update.apply import finish
from pixi_scaffold.update.merge import has_leftovers
from pixi_scaffold.update.note import Landing, unfinished
from pixi_scaffold.update.prepare import LOCK, check_project, lock_again, manifest_name
from pixi_scaffold.update.repository import (
    Repository,
    merge_commands,
    only_one,
    open_repository,
    take_whole,
)


def continue_update(folder: Path, engine: str, progress: Progress) -> Report:
    """Lock, check and commit an update whose conflicts were edited.

    Raises ScaffoldError while there are conflict markers left, or when the project would not pass
    `check`; then only pixi.lock may be new.
    """
    run = Run(progress)
    project = read_project(folder)
    repository = open_repository(project.folder)
    landing = unfinished(repository)
    with only_one(repository):
        with run.step("merge") as step:
            _refuse_unresolved(repository, landing)
            step.passed(f"edited: {', '.join(landing.conflicts)}")
        lock = project.folder / LOCK
        before = lock.read_bytes() if lock.is_file() else None
        try:
            if before is None and manifest_name(project.folder):
                run.skip("lock", f"the project has no {LOCK}", f"{program()} lock")
            elif before is not None:
                lock_again(project.folder, project.folder, engine, run)
            check_project(project.folder, project.folder, engine, run)
        except BaseException:
            if before is not None:
                lock.write_bytes(before)
            raise
        with run.step("commit") as step:
            ignored = repository.ask("check-ignore", "-q", str(lock)).code == 0
            more = (repository.prefix + LOCK,) if lock.is_file() and not ignored else ()
            commit = finish(repository, landing, more)
            step.passed(f"{commit[:7]} on the branch {landing.branch}")
    undo = f"{program()} update --abort   # to undo all of it"
    merge = merge_commands(repository, landing.from_branch or landing.from_commit, landing.branch)
    facts = {"project": str(project.folder), "branch": landing.branch, "commit": commit}
    return Report("update", run.results, facts, (*go_to(project.folder), *merge, undo))


def _refuse_unresolved(repository: Repository, landing: Landing) -> None:
    marked, whole = [], []
    sides: dict[tuple[str, str], tuple[str, str]] = {}
    for row in filter(None, repository.git("ls-files", "-u", "-z").split("\0")):
        entry, _, path = row.partition("\t")
        mode, name, stage = entry.split()
        sides[path, stage] = (mode, name)
    for path in landing.conflicts:
        file = read_file(repository.top, path)
        if file is None:
            continue  # the user deleted it
        stages = {stage: sides[path, stage] for stage in "123" if (path, stage) in sides}
        held = read_blobs(repository.top, stages)
        if all(side.is_text for side in held.values()):
            marked += [path] * has_leftovers(path, file.content)
        elif file == held.get("2"):
            whole.append(path)
    if marked:
        raise ScaffoldError(
            "\n".join(("conflict markers (<<<<<<<, =======, >>>>>>>) are left in:", *marked)),
            "edit them, then try again",
        )
    if whole:
        raise ScaffoldError(
            "\n".join(("these are no text, so one side has to be taken:", *whole)),
            take_whole(whole),
        )
