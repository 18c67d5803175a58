"""The lock of a workspace at revisions of git, and what changed between two of them."""

from collections.abc import Callable
from pathlib import Path

from pixi_scaffold.errors import LockError, ScaffoldError, UsageError
from pixi_scaffold.lock.diff import LockDiff, LockState, lock_diff
from pixi_scaffold.lock.file import Lock, no_lock, parse_lock, read_lock
from pixi_scaffold.system import GitError, git, layout, try_git
from pixi_scaffold.workspace import Workspace, find_manifest, parse_manifest, read_manifest


def diff_since(folder: Path, revisions: str) -> LockDiff:
    """Return what changed in the lock of a workspace.

    revisions: what git calls a commit, which is compared with the files as they are now, or A..B;
    A...B begins where B left A, as in git diff.
    Raises UsageError for an unknown revision, and ScaffoldError where there is no repository.
    """
    manifest = find_manifest(folder)
    first, dots, second = revisions.partition("..")
    first, last = first or "HEAD", second.removeprefix(".") or "HEAD"
    if second.startswith("."):
        ends = _commit(manifest.parent, first), _commit(manifest.parent, last)
        first = git(manifest.parent, "merge-base", *ends).strip()[:10]
    before = state_at(manifest, first)
    after = state_at(manifest, last) if dots else state_now(manifest)
    return lock_diff(before, after)


def last_change(manifest: Path) -> LockDiff | None:
    """Return what is not committed of the lock, or else its last commit; None without a history."""
    folder = manifest.parent
    log = try_git(folder, "log", "-2", "--format=%h", "--", layout.LOCK_FILE)
    commits = log.output.split() if log.code == 0 else []
    if not commits:
        return None
    now = diff_since(folder, commits[0])
    if now.changed or len(commits) == 1:
        return now
    return diff_since(folder, f"{commits[1]}..{commits[0]}")


def locked_now(manifest: Path) -> LockDiff:
    """Return all that is locked, as a change from nothing; raises LockError without a lock."""
    return lock_diff(LockState("nothing", no_lock(manifest)), state_now(manifest))


def state_now(manifest: Path) -> LockState:
    """Return the lock that is there; raises LockError when there is none."""
    lock = read_lock(manifest.parent / layout.LOCK_FILE)
    return _state("now", lock, lambda: read_manifest(manifest))


def state_at(manifest: Path, revision: str) -> LockState:
    """Return the lock at a revision; one of nothing where it had none."""
    folder, path = manifest.parent, manifest.parent / layout.LOCK_FILE
    commit = _commit(folder, revision)
    text, said = (
        try_git(folder, "show", f"{commit}:./{name}") for name in (path.name, manifest.name)
    )
    if text.code:
        return LockState(revision, no_lock(path))
    lock = parse_lock(text.output.replace("\r\n", "\n"), Path(f"{revision}:{path.name}"))
    return _state(
        revision, lock, lambda: parse_manifest("" if said.code else said.output, manifest)
    )


def _state(label: str, lock: Lock, manifest: Callable[[], Workspace]) -> LockState:
    """Return a lock with its manifest; it can be told without one, or one for a newer Pixi."""
    try:
        workspace = manifest()
    except ScaffoldError:
        return LockState(label, lock)
    return LockState(label, lock.aligned(workspace), workspace)


def _commit(folder: Path, revision: str) -> str:
    if not revision.startswith("-"):
        done = try_git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if done.code == 0:
            return done.output.strip()
    try:
        git(folder, "rev-parse", "--git-dir")
    except GitError as error:
        message = f"{folder} is in no git repository, so its lock has no history"
        raise LockError(message, "git init, and commit pixi.lock") from error
    hint = "the commits of the lock: git log --oneline -- pixi.lock"
    if (folder / revision).is_dir() or Path(revision).is_dir():
        hint = f"the folder comes first: pixi-scaffold lock {revision} --diff"
    raise UsageError(f"git knows no revision {revision}", hint)
