"""Undo the last update, finished or not, and no work of the user's."""

import shutil
from dataclasses import replace

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import GitError, program, uninterrupted
from pixi_scaffold.update.apply import SAVED, remove_branch, strange_files, undo_files, undo_refs
from pixi_scaffold.update.note import Landing, is_there, read_note, remove_note, waits
from pixi_scaffold.update.repository import Repository, in_words


def abort(repository: Repository) -> Landing:
    """Undo the last update, finished or not; return what it was.

    Raises UsageError when there is none, ScaffoldError when work of the user would be lost.
    """
    landing = read_note(repository)
    if landing is None:
        raise UsageError("there is no update to undo", f"make one: {program()} update")
    if not landing.landed and not is_there(repository, landing):
        _abort_broken(repository, landing)
        return landing
    tip = repository.commit_of(landing.ref)
    if not tip:
        remove_note(repository)
        raise UsageError(f"the branch {landing.branch} is gone already", "nothing is left to undo")
    if tip != landing.tip:  # a signature and another message leave it the update's
        ends = (landing.tip, tip)
        was, now = (repository.git("rev-parse", f"{c}^{{tree}}", f"{c}^@") for c in ends)
        if was != now:
            back = landing.from_branch or landing.from_commit
            raise ScaffoldError(
                f"the branch {landing.branch} has commits of yours after the update",
                f"if they are not needed: git switch {back} && git branch -D {landing.branch}",
            )
    landing = replace(landing, tip=tip)
    if repository.branch != landing.branch:
        raise ScaffoldError(
            f"you are on {repository.branch or repository.head[:12]}, not on {landing.branch}",
            f"go there: git switch {landing.branch}; or delete it: git branch -D {landing.branch}",
        )
    if landing.from_branch is not None:
        _refuse_moved(repository, landing, landing.from_branch)
    with uninterrupted():
        if waits(repository, landing):
            _refuse_work_in_conflict(repository, landing)
            repository.git("cherry-pick", "--abort")
        _go_back(repository, landing)
        remove_branch(repository, landing)
        remove_note(repository)
    return landing


def _go_back(repository: Repository, landing: Landing) -> None:
    where = (landing.from_branch,) if landing.from_branch else ("--detach", landing.from_commit)
    try:
        repository.git("switch", "--quiet", "--no-overwrite-ignore", *where)
    except GitError as error:
        raise in_words(error, "these files have work of yours that is not committed:") from error


def _abort_broken(repository: Repository, landing: Landing) -> None:
    """Undo a landing that was cut off in the middle, as by a power cut."""
    paths = tuple(p for p in landing.paths if (repository.top / p).is_file())
    strange = strange_files(repository, landing, paths) | _strangely_staged(repository, landing)
    if strange:
        raise ScaffoldError(
            "\n".join(("undoing the update would lose changes of yours in:", *sorted(strange))),
            "commit or copy them, then try again",
        )
    with uninterrupted():
        undo_files(repository, landing)
        undo_refs(repository, landing)
        repository.git("reset", "--quiet", landing.from_commit, "--", *landing.paths)
        shutil.rmtree(repository.git_dir / SAVED, ignore_errors=True)
        remove_note(repository)


def _refuse_work_in_conflict(repository: Repository, landing: Landing) -> None:
    """Raise ScaffoldError when undoing an update with conflicts would lose other work.

    As `git merge --abort` would: what is not staged in a file that the update changed; beyond
    that what the user staged. The files with conflicts themselves go back.
    """
    staged = repository.git("diff", "--cached", "--name-only", "--no-renames", "-z", "HEAD")
    other = set(filter(None, staged.split("\0"))) - {*landing.paths, *landing.conflicts}
    changed = set(repository.git("diff", "--name-only", "-z", "--no-ext-diff").split("\0"))
    edited = changed & set(landing.paths) - set(landing.conflicts)
    rows = repository.git("diff", "--cached", "--name-only", "-z", landing.commit).split("\0")
    restaged = set(rows) & set(landing.paths) - set(landing.conflicts)
    if work := sorted(other | edited | restaged):
        raise ScaffoldError(
            "\n".join(("undoing the update would lose work of yours in:", *work)),
            "copy it elsewhere or stash it: git stash push -- FILE",
        )


def _refuse_moved(repository: Repository, landing: Landing, branch: str) -> None:
    """Raise ScaffoldError when the branch that the update began on is not where it was."""
    now = repository.commit_of(f"refs/heads/{branch}")
    if now == landing.from_commit:
        return
    if not now:
        raise ScaffoldError(
            f"the branch {branch}, which the update began on, is gone",
            f"go on elsewhere: git switch OTHER && git branch -D {landing.branch}",
        )
    if repository.holds(landing.tip, now):
        raise ScaffoldError(
            f"the update is in {branch} already",
            f"undo it there: git switch {branch} && git revert {landing.tip[:12]}",
        )
    raise ScaffoldError(
        f"{branch} has commits of yours since the update",
        f"go there without it: git switch {branch} && git branch -D {landing.branch}",
    )


def _strangely_staged(repository: Repository, landing: Landing) -> set[str]:
    """Return the files whose staged content is neither as before the update nor as it makes it.

    The three sides of a conflict are the update's.
    """
    unmerged = repository.git("diff", "--name-only", "--diff-filter=U", "-z").split("\0")
    paths = set(landing.paths) - set(unmerged)
    for commit in (landing.from_commit, landing.commit):
        rows = repository.git("diff", "--cached", "--name-only", "--no-renames", "-z", commit)
        paths &= set(rows.split("\0"))
    return paths
