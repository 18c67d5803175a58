"""The user's git repository and the project in it: may an update begin, and on which branch."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import in_the_way, run


@dataclass(frozen=True, slots=True)
class Repository:
    """The user's repository and the project in it.

    top: the work tree; prefix: the project in it, empty or with a slash at the end. git_dir: of
    this work tree, common_dir: of the repository. head: the commit; branch: None when detached.
    """

    project: Path
    top: Path
    prefix: str
    git_dir: Path
    common_dir: Path
    head: str
    branch: str | None


def open_repository(project: Path) -> Repository:
    """Return the repository that holds `project`; raises ScaffoldError where there is none."""
    words = ("--show-toplevel", "--absolute-git-dir", "--git-common-dir", "--show-prefix")
    done = run(["git", "rev-parse", *words], cwd=project, timeout=60, warnings=False)
    lines = done.output.splitlines()
    if done.code != 0 or len(lines) < 3:
        raise ScaffoldError(
            f"{project.absolute()} is not in a git work tree: {done.output.strip()}",
            'start with: git init && git add --all && git commit -m "Before the update"',
        )
    top, git_dir = Path(lines[0]), Path(lines[1])
    head = run(
        ["git", "rev-parse", "--verify", "--quiet", "HEAD"], cwd=project, timeout=60, warnings=False
    )
    if head.code != 0:
        raise ScaffoldError(
            f"{top} has no commit yet", 'git add --all && git commit -m "Before the update"'
        )
    branch = run(
        ["git", "symbolic-ref", "--quiet", "--short", "HEAD"],
        cwd=project,
        timeout=60,
        warnings=False,
    )
    return Repository(
        project.resolve(),
        top,
        lines[3] if len(lines) > 3 else "",
        git_dir,
        (project / lines[2]).resolve(),
        head.output.strip(),
        branch.output.strip() if branch.code == 0 else None,
    )


def refuse_unclean(repository: Repository) -> None:
    """Raise ScaffoldError when there is something in the project that git does not hold."""
    for name, what in (
        ("MERGE_HEAD", "a merge"),
        ("rebase-merge", "a rebase"),
        ("rebase-apply", "a rebase"),
        ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ):
        if (repository.git_dir / name).exists():
            raise ScaffoldError(f"{what} is under way in {repository.top}", "finish it first")
    argv = ["git", "--no-optional-locks", "status", "--porcelain", "--ignore-submodules=dirty"]
    argv += ["--", "."]
    done = run(argv, cwd=repository.project, timeout=300, warnings=False)
    if done.code != 0:
        raise ScaffoldError(f"git status failed: {done.output.strip()}")
    lines = done.output.splitlines()
    if lines:
        here = repository.project == Path.cwd()
        there = "" if here else f"cd {shlex.quote(str(repository.project))} && "
        shown = [f"  {line}" for line in lines[:10]]
        shown += [f"  and {len(lines) - 10} more"] * (len(lines) > 10)
        raise ScaffoldError(
            "\n".join((f"{repository.project} has changes that are not committed", *shown)),
            f'{there}git add --all && git commit -m "Before the update"   '
            "# or: git stash --include-untracked",
        )


def check_branch(repository: Repository, branch: str) -> str:
    """Return where `branch` is now (empty: nowhere); raises ScaffoldError when it cannot be used.

    One whose commits are all in the user's branch has done its work, and can be used again.
    """
    columns = "--format=%(objectname) %(refname) %(worktreepath)"
    argv = ["git", "for-each-ref", columns, "refs/heads/template"]
    rows = [
        line.split(" ", 2)
        for line in run(argv, cwd=repository.top, warnings=False).output.splitlines()
    ]
    refs = {row[1]: row[0] for row in rows}
    elsewhere = {row[1]: row[2] for row in rows if len(row) > 2 and row[2]}
    if "refs/heads/template" in refs:
        raise ScaffoldError(
            f"there is a branch `template`, so git cannot make one named {branch}",
            "rename it: git branch -m template my-template",
        )
    tip = refs.get(f"refs/heads/{branch}", "")
    if branch == repository.branch:
        raise ScaffoldError(
            f"you are on the branch {branch}, which this update would make",
            f"merge it first: git switch main && git merge {branch}",
        )
    if place := elsewhere.get(f"refs/heads/{branch}"):
        raise ScaffoldError(
            f"the branch {branch} is checked out in {place}", f"git worktree remove {place}"
        )
    if tip:
        argv = ["git", "merge-base", "--is-ancestor", tip, repository.head]
        if run(argv, cwd=repository.top, warnings=False).code != 0:
            raise ScaffoldError(
                f"there is a branch {branch} already, with commits that are not in yours",
                f"merge it: git merge {branch}, or delete it: git branch -D {branch}",
            )
    return tip


def refuse_hidden(top: Path, paths: Iterable[str]) -> None:
    """Raise ScaffoldError when git was told not to look at a file below `top` that would change.

    `git update-index --assume-unchanged` and `--skip-worktree` keep local settings out of git's
    sight; nobody could bring their content back.
    """
    names = [path for path in paths if os.path.lexists(top / path)]
    if not names:
        return
    argv = ["git", "--literal-pathspecs", "ls-files", "-v", "-z", "--", *names]
    done = run(argv, cwd=top, timeout=60, warnings=False)
    rows = [row.split(" ", 1) for row in done.output.split("\0") if " " in row]
    hidden = [path for flag, path in rows if flag.islower() or flag == "S"]
    if hidden:
        raise ScaffoldError(
            "\n".join(("git was told to overlook files that would change:", *hidden)),
            "git update-index --no-assume-unchanged --no-skip-worktree FILE, then commit or undo "
            "what is different in it",
        )


def refuse_covered(repository: Repository, created: Iterable[str]) -> None:
    """Raise ScaffoldError when a file that git does not hold lies where a new one will be."""
    covered = [
        path
        for path in created
        if in_the_way(repository.top, path) is not None or os.path.lexists(repository.top / path)
    ]
    if covered:
        raise ScaffoldError(
            "\n".join(("files that git does not hold are where new ones will be:", *covered)),
            "move them away, then try again",
        )
