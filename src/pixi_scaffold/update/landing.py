"""The last step of an update, in the user's repository: all or nothing, and how to undo it."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pixi_scaffold.errors import Interrupted, ScaffoldError, UsageError
from pixi_scaffold.system import program, remove_empty_folders, run, uninterrupted
from pixi_scaffold.template import identity
from pixi_scaffold.update.shadow import Shadow
from pixi_scaffold.update.worktree import Repository, refuse_unclean

STATE = "pixi-scaffold-update.json"


@dataclass(frozen=True, slots=True)
class Landing:
    """What an update did to the repository, written down before it begins, so it can be undone.

    branch_was: where the branch was before, empty when there was none. tip: where it is now.
    paths: what changes, below the top; created: those that were not there before.
    conflicts: those of them that have markers in them. landed: whether all of it was done. prefix:
    the project below the top.
    """

    branch: str
    branch_was: str
    tip: str
    from_branch: str | None
    from_commit: str
    paths: tuple[str, ...]
    created: tuple[str, ...]
    conflicts: tuple[str, ...]
    message: str
    landed: bool = False
    prefix: str | None = None


def land(
    repository: Repository, shadow: Shadow, commit: str, landing: Landing, sides: str = ""
) -> None:
    """Bring the shadow's commit over: its files, and the branch, which becomes the current one.

    Where the landing has conflicts the branch stays at the user's commit and nothing is committed;
    sides: the index entries of the conflicts (git update-index -z --index-info).
    A failure undoes what was done; Ctrl-C waits for the end of it.
    """
    try:
        with uninterrupted():
            index = repository.git_dir / "index"
            before = index.read_bytes()
            _write_landing(repository, landing)
            try:
                _copy_objects(shadow, repository)
                ref, was = f"refs/heads/{landing.branch}", landing.branch_was or "0" * len(commit)
                title = landing.message.splitlines()[0]
                _git(repository, "update-ref", "-m", title, ref, landing.tip, was)
                # A copied or unpacked project has new times; read-tree would take it for changed.
                _git(repository, "update-index", "-q", "--refresh")
                _git(repository, "read-tree", "-m", "-u", repository.head, commit)
                if sides:
                    _git(repository, "update-index", "-z", "--index-info", stdin=sides)
                _switch(repository, ref, title)
                _write_landing(repository, replace(landing, landed=True))
            except BaseException:
                try:
                    undo(repository, landing)
                finally:
                    index.write_bytes(before)
                raise
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"interrupted when the update was done: it is on the branch {landing.branch}",
            f"to undo it: {program()} update --abort",
        ) from stop


def undo(repository: Repository, landing: Landing) -> None:
    """Take the files, the index, the branch and HEAD back to where they were before `landing`.

    Every step is tried; raises the first error afterwards.
    """
    errors: list[Exception] = []
    for step in (_undo_files, _undo_head, _undo_branch):
        try:
            step(repository, landing)
        except (ScaffoldError, OSError) as error:
            errors.append(error)
    if errors:
        raise errors[0]
    (repository.git_dir / STATE).unlink(missing_ok=True)


def _undo_files(repository: Repository, landing: Landing) -> None:
    old = sorted({*landing.paths, *landing.conflicts} - set(landing.created))
    literal = ("--literal-pathspecs",)
    for path in landing.created:
        place = repository.top / path
        if place.is_symlink() or place.is_file():
            place.unlink()
            remove_empty_folders(repository.top, path)
    if landing.created:
        rm = ("rm", "--quiet", "--cached", "--force", "--ignore-unmatch", "--")
        _git(repository, *literal, *rm, *landing.created)
    if old:
        _git(repository, *literal, "checkout", "--quiet", landing.from_commit, "--", *old)


def _undo_head(repository: Repository, landing: Landing) -> None:
    if landing.from_branch is None:
        _git(repository, "update-ref", "--no-deref", "HEAD", landing.from_commit)
    elif _current(repository) != f"refs/heads/{landing.from_branch}":
        _switch(repository, f"refs/heads/{landing.from_branch}", "undo the update")


def _undo_branch(repository: Repository, landing: Landing) -> None:
    ref = f"refs/heads/{landing.branch}"
    if landing.branch_was:
        _git(repository, "update-ref", ref, landing.branch_was)
    elif (
        run(
            ["git", "rev-parse", "--verify", "--quiet", ref], cwd=repository.top, warnings=False
        ).code
        == 0
    ):
        _git(repository, "update-ref", "-d", ref)


def _refuse_other_work(repository: Repository, landing: Landing) -> None:
    """Raise ScaffoldError when a file of a broken landing is neither as before nor as after it."""
    for path in landing.paths:
        place = repository.top / path
        if place.is_symlink() or not place.is_file():
            continue
        now = _git(repository, "hash-object", "--", str(place)).strip()
        known = [
            run(
                ["git", "rev-parse", "--verify", "--quiet", f"{commit}:{path}"],
                cwd=repository.top,
                warnings=False,
            ).output.strip()
            for commit in (landing.from_commit, landing.tip)
        ]
        if now not in known:
            raise ScaffoldError(
                f"{path} has changes of yours that undoing the update would lose",
                "commit or copy them, then try again",
            )


def abort(repository: Repository) -> Landing:
    """Undo the last update, finished or not; return what it was.

    Raises UsageError when there is none, ScaffoldError when work of the user would be lost.
    """
    landing = read_landing(repository)
    if landing is None:
        raise UsageError("there is no update to undo", f"make one: {program()} update")
    ref = f"refs/heads/{landing.branch}"
    tip = run(
        ["git", "rev-parse", "--verify", "--quiet", ref], cwd=repository.top, warnings=False
    ).output.strip()
    if not tip:
        (repository.git_dir / STATE).unlink()
        raise UsageError(f"the branch {landing.branch} is gone already", "nothing is left to undo")
    on_it = _current(repository) == ref
    finished = not landing.conflicts
    if tip != landing.tip and tip not in (landing.branch_was,):
        raise ScaffoldError(
            f"the branch {landing.branch} has commits of yours after the update",
            f"if they are not needed: git switch {landing.from_branch or landing.from_commit} && "
            f"git branch -D {landing.branch}",
        )
    if not landing.landed and not on_it and repository.head == landing.from_commit:
        _refuse_other_work(repository, landing)
        on_it = True  # a landing that broke off in the middle
    if not on_it:
        raise ScaffoldError(
            f"you are on {repository.branch or repository.head[:12]}, not on {landing.branch}",
            f"go there: git switch {landing.branch}; or delete it: git branch -D {landing.branch}",
        )
    if finished and repository.head == landing.tip:
        refuse_unclean(repository)
    if landing.from_branch is not None:
        _refuse_moved(repository, landing, landing.from_branch)
    with uninterrupted():
        undo(repository, landing)
    return landing


def _refuse_moved(repository: Repository, landing: Landing, branch: str) -> None:
    """Raise ScaffoldError when the branch that the update began on is not where it was.

    Going back to it would then put the difference, work of the user, into the index as undone.
    """
    argv = ["git", "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"]
    now = run(argv, cwd=repository.top, warnings=False).output.strip()
    if now == landing.from_commit:
        return
    if not now:
        raise ScaffoldError(
            f"the branch {branch}, which the update began on, is gone",
            f"go on elsewhere: git switch OTHER && git branch -D {landing.branch}",
        )
    argv = ["git", "merge-base", "--is-ancestor", landing.tip, now]
    if run(argv, cwd=repository.top, warnings=False).code == 0:
        raise ScaffoldError(
            f"the update is in {branch} already",
            f"undo it there: git switch {branch} && git revert {landing.tip[:12]}",
        )
    raise ScaffoldError(
        f"{branch} has commits of yours since the update",
        f"go there without it: git switch {branch} && git branch -D {landing.branch}",
    )


def read_landing(repository: Repository) -> Landing | None:
    """Return the last update of this work tree that was not merged or undone yet."""
    try:
        data = json.loads((repository.git_dir / STATE).read_text(encoding="utf-8"))
        for key in ("paths", "created", "conflicts"):
            data[key] = tuple(data[key])
        landing = Landing(**data)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # The projects of one repository share the note: an update of another one is not this one's.
    return landing if landing.prefix in (None, repository.prefix) else None


def unfinished_branch(project: Path) -> str:
    """Return the branch of an update that waits for the user's hand; empty when none does.

    Looks at git's files only: `status` asks this of a hundred projects.
    """
    for folder in (project.absolute(), *project.absolute().parents):
        git = folder / ".git"
        if not git.is_dir():
            continue
        try:
            data = json.loads((git / STATE).read_text(encoding="utf-8"))
            below = project.absolute().relative_to(folder).as_posix()
            if data.get("prefix") not in (None, "" if below == "." else f"{below}/"):
                return ""
            branch, tip = str(data["branch"]), str(data["tip"])
            head = (git / "HEAD").read_text(encoding="utf-8").strip()
            now = (git / "refs" / "heads" / branch).read_text(encoding="utf-8").strip()
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        waits = data.get("conflicts") and head == f"ref: refs/heads/{branch}" and now == tip
        return branch if waits else ""
    return ""


def refuse_unfinished(repository: Repository) -> None:
    """Raise ScaffoldError when an update of this work tree waits for the user's hand."""
    landing = read_landing(repository)
    if landing is not None and not landing.landed and repository.head == landing.from_commit:
        raise ScaffoldError(
            "an update was cut off in the middle", f"undo it: {program()} update --abort"
        )
    if landing is None or not landing.conflicts or repository.head != landing.tip:
        return  # none, or the user has committed it already
    if _current(repository) == f"refs/heads/{landing.branch}":
        raise ScaffoldError(
            f"an update is not finished yet (branch {landing.branch})",
            f"finish it: {program()} update --continue, or undo it: {program()} update --abort",
        )


def unfinished(repository: Repository) -> Landing:
    """Return the update that waits for the user's hand; raises UsageError when there is none."""
    landing = read_landing(repository)
    if landing is None or not landing.conflicts or repository.head != landing.tip:
        raise UsageError("no update waits to be continued", f"make one: {program()} update")
    if _current(repository) != f"refs/heads/{landing.branch}":
        raise UsageError(
            f"the update is on the branch {landing.branch}, and you are not", "go there"
        )
    return landing


def finish_landing(repository: Repository, landing: Landing, paths: list[str]) -> str:
    """Commit what the user made of the conflicts; return the commit.

    paths: more files that changed since, below the top.
    """
    literal = "--literal-pathspecs"
    known = tuple(dict.fromkeys((*landing.paths, *landing.conflicts, *paths)))
    held = set(_git(repository, literal, "ls-files", "-z", "--", *known).split("\0"))
    there = [p for p in known if p in held or os.path.lexists(repository.top / p)]
    with uninterrupted():
        _git(repository, literal, "add", "--all", "--force", "--", *there)
        options = identity(repository.project)
        commit = ("commit", "--quiet", "--no-verify", "-m", landing.message)
        was = set(
            _git(repository, literal, "ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0")
        )
        mine = [p for p in known if p in was or p in there]  # and nothing else that is staged
        _git(repository, literal, *options, *commit, "--only", "--", *mine)
        tip = _git(repository, "rev-parse", "HEAD").strip()
        _write_landing(
            repository, replace(landing, tip=tip, paths=known, conflicts=(), landed=True)
        )
    return tip


def _write_landing(repository: Repository, landing: Landing) -> None:
    path = repository.git_dir / STATE
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(landing), indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)


def _copy_objects(shadow: Shadow, repository: Repository) -> None:
    """Copy the shadow's own objects: each is a file named by its content."""
    source, target = shadow.top / ".git" / "objects", repository.common_dir / "objects"
    for path in source.glob("??/*"):
        place = target / path.parent.name / path.name
        if place.exists():
            continue
        place.parent.mkdir(exist_ok=True)
        temporary = place.with_name(f"tmp_obj_{os.getpid()}_{path.name}")
        try:
            shutil.copy(path, temporary)
            temporary.replace(place)
        finally:
            with suppress(OSError):
                temporary.unlink()


def _switch(repository: Repository, ref: str, message: str) -> None:
    _git(repository, "symbolic-ref", "-m", message, "HEAD", ref)


def _current(repository: Repository) -> str:
    done = run(
        ["git", "symbolic-ref", "--quiet", "HEAD"], cwd=repository.top, timeout=60, warnings=False
    )
    return done.output.strip()


def _git(repository: Repository, *args: str, stdin: str | None = None) -> str:
    argv = ["git", "-c", "core.hooksPath=/dev/null", *args]
    done = run(argv, cwd=repository.top, timeout=600, stdin=stdin, warnings=False)
    if done.code != 0:
        verb = next(a for a in args if not a.startswith("-"))
        raise ScaffoldError(f"git {verb} failed: {done.output.strip()}")
    return done.output
