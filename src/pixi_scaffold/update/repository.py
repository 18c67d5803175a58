"""The user's git repository and the project in it: may an update begin, and on which branch."""

import fcntl
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.report import in_folder
from pixi_scaffold.system import (
    Completed,
    GitError,
    git,
    in_the_way,
    list_tree,
    program,
    refuse_old_git,
    try_git,
)

_UNDER_WAY = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """The user's repository and the project in it."""

    project: Path
    top: Path
    """The work tree."""
    prefix: str
    """The project in it: empty, or a path with a slash at the end."""
    git_dir: Path
    """Of this work tree."""
    common_dir: Path
    """Of the repository: the same for all of its work trees."""
    head: str
    branch: str | None
    """None when HEAD is detached."""

    def git(self, *args: str | Path, stdin: str | None = None) -> str:
        """Run git at the top of the work tree and return what it prints; raises GitError."""
        return git(self.top, *args, stdin=stdin)

    def ask(self, *args: str | Path) -> Completed:
        """Run git at the top of the work tree, where a failure is an answer."""
        return try_git(self.top, *args)

    def commit_of(self, ref: str) -> str:
        """Return the commit of a full ref name; empty when there is none."""
        done = self.ask("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
        return done.output.strip() if done.code == 0 else ""

    def holds(self, ancestor: str, commit: str) -> bool:
        """Whether `commit` has `ancestor` in its history."""
        return self.ask("merge-base", "--is-ancestor", ancestor, commit).code == 0

    def listing(self, commit: str) -> dict[str, tuple[str, str]]:
        """Return what a commit has below the project: path in the project -> mode and object."""
        return list_tree(self.top, f"{commit}:{self.prefix.rstrip('/')}")


def open_repository(project: Path) -> Repository:
    """Return the repository that holds `project`.

    Raises ScaffoldError where there is none, or none that git would work in.
    """
    refuse_old_git()
    words = ("--show-toplevel", "--absolute-git-dir", "--git-common-dir", "--show-prefix")
    done = try_git(project, "rev-parse", *words, "HEAD", "--symbolic-full-name", "HEAD")
    start = 'git add --all && git commit -m "Before the update"'
    if done.code:
        if "dubious ownership" in done.output or "safe.directory" in done.output:
            git(project, "rev-parse", *words)  # says so, with git's own line
        where = try_git(project, "rev-parse", "--show-toplevel")
        if where.code == 0:
            raise ScaffoldError(f"{where.output.strip()} has no commit yet", start)
        raise ScaffoldError(
            f"{project.absolute()} is not in a git work tree: {where.output.strip()}",
            f"start with: git init && {start}",
        )
    top, git_dir, common, prefix, head, ref = done.output.splitlines()
    return Repository(
        project.resolve(),
        Path(top),
        prefix,
        Path(git_dir),
        (project / common).resolve(),
        head,
        ref.removeprefix("refs/heads/") if ref.startswith("refs/heads/") else None,
    )


@contextmanager
def only_one(repository: Repository) -> Iterator[None]:
    """Let one update at a time change this repository; raises ScaffoldError for the second."""
    path = repository.common_dir / "pixi-scaffold.lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            who = f" (process {pid})" if (pid := file.read().strip()) else ""
            raise ScaffoldError(
                f"another update is at work in {repository.top}{who}; nothing was done",
                "wait for it, then try again",
            ) from error
        except OSError:  # a file system without locks: git's own have to do
            pass
        try:
            if not (path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno()))):
                raise ScaffoldError("another update just ended here", "try again")
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield
        finally:
            path.unlink(missing_ok=True)


def refuse_under_way(repository: Repository) -> None:
    """Raise ScaffoldError while a merge, a rebase or the like waits to be finished."""
    for name, command in _UNDER_WAY.items():
        if (repository.git_dir / name).exists():
            raise ScaffoldError(
                f"a {command} is under way in {repository.top}",
                f"finish it: git {command} --continue, or undo it: git {command} --abort",
            )


def uncommitted(repository: Repository, *, look_only: bool = False) -> list[str]:
    """Return the changes to files that git holds, below the project, as `git status` writes them.

    look_only: start no filter that the repository's configuration names.
    """
    ask = ("config", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process)$")
    filters = repository.ask(*ask).output.splitlines() if look_only else []
    names = sorted({key.rpartition(".")[0] for key in filters})
    off = [*(f"{key}=" for key in filters), *(f"{name}.required=false" for name in names)]
    options = [part for setting in off for part in ("-c", setting)]
    argv = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
    return repository.git(*options, *argv, "--", repository.prefix or ".").splitlines()


def refuse_unclean(repository: Repository) -> None:
    """Raise ScaffoldError when a file that git holds has changes that are not committed.

    Files that git does not hold are no reason: nothing but what is in their place touches them.
    """
    if lines := uncommitted(repository):
        shown = [f"  {line}" for line in lines[:10]]
        shown += [f"  and {len(lines) - 10} more"] * (len(lines) > 10)
        command = 'git commit --all -m "Before the update"'
        raise ScaffoldError(
            "\n".join((f"{repository.project} has changes that are not committed", *shown)),
            in_folder(repository.project, f"{command}   # or: git stash"),
        )


def check_branch(repository: Repository, branch: str) -> str:
    """Return where `branch` is now (empty: nowhere); raises ScaffoldError when it cannot be used.

    One whose commits are all in the user's branch has done its work, and can be used again.
    """
    columns = "--format=%(objectname) %(refname) %(worktreepath)"
    output = repository.git("for-each-ref", columns, "refs/heads/template")
    rows = [line.split(" ", 2) for line in output.splitlines()]
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
            f"merge it first: git switch {main_branch(repository)} && git merge {branch}",
        )
    if place := elsewhere.get(f"refs/heads/{branch}"):
        raise ScaffoldError(
            f"the branch {branch} is checked out in {place}",
            f"merge it or delete it, then: git worktree remove {shlex.quote(place)}",
        )
    if tip and not repository.holds(tip, repository.head):
        raise ScaffoldError(
            f"there is a branch {branch} already, with commits that are not in yours",
            f"merge it: git merge {branch}, or delete it: git branch -D {branch}",
        )
    return tip


def branch_folder(project: Path, top: Path) -> str:
    """Return what an update's branch begins with, for a project in a repository."""
    below = project.relative_to(top).as_posix()
    name = "" if below == "." else re.sub(r"[^\w.-]+", "-", below).strip(".-")
    return f"template/{name}/" if name else "template/"


def main_branch(repository: Repository) -> str:
    """Return the branch that updates are merged into: where the user was before, or the usual."""
    before = repository.ask("rev-parse", "--abbrev-ref", "@{-1}")
    if before.code == 0 and (name := before.output.strip()) and not name.startswith("template/"):
        return name
    names = repository.git("for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    usual = [name for name in ("main", "master") if name in names]
    others = [name for name in names if not name.startswith("template/")]
    return (*usual, *others, "main")[0]


def refuse_hidden(top: Path, paths: Iterable[str]) -> None:
    """Raise ScaffoldError when git was told not to look at a file below `top` that would change.

    `git update-index --assume-unchanged` and `--skip-worktree` keep local settings out of git's
    sight; nobody could bring their content back.
    """
    names = [path for path in paths if os.path.lexists(top / path)]
    if not names:
        return
    rows = git(top, "ls-files", "-v", "-z", "--", *names).split("\0")
    flags = [row.split(" ", 1) for row in rows if " " in row]
    hidden = [path for flag, path in flags if flag.islower() or flag == "S"]
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


def in_words(error: GitError, action: str) -> ScaffoldError:
    """Return git's refusal to overwrite work as an error that names the files."""
    names: Sequence[str] = re.findall(r"(?m)^\t(.+)$", error.output)
    names = names or re.findall(r"Entry '(.+)' not uptodate", error.output)
    if not names:
        return error
    return ScaffoldError(
        "\n".join((action, *(f"  {name}" for name in names))),
        f"commit them, or put them aside (git stash --include-untracked), then: {program()} update",
    )


def merge_commands(repository: Repository, onto: str | None, branch: str) -> tuple[str, ...]:
    """Return the commands that take a finished update over."""
    signed = repository.ask("config", "--type=bool", "commit.gpgSign").output.strip() == "true"
    sign = ("git commit --amend --no-edit -S   # commit.gpgSign is set, and it is not signed",)
    merge = f"git switch {onto} && git merge {branch}" if onto else f"git log --stat -1 {branch}"
    return (*(sign if signed else ()), merge)


def take_whole(paths: Sequence[str]) -> str:
    """Return how one side of files that are no text is taken."""
    names = shlex.join(paths)
    return (
        f"the template's: git checkout --theirs {names}, or yours: git checkout --ours {names}; "
        f"then: git add {names}"
    )
