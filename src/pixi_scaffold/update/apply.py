"""The last step of an update, in the user's repository: git makes it, and what undoes it is kept.

git itself switches to the update's commit, so work that came while the update was prepared is
carried along or refused by name, never overwritten. Conflicts are left as a cherry-pick that waits.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pixi_scaffold.errors import Interrupted, ScaffoldError
from pixi_scaffold.system import (
    GitError,
    list_tree,
    program,
    read_blobs,
    read_file,
    remove_empty_folders,
    replacing,
    uninterrupted,
    write_tree,
)
from pixi_scaffold.template import identity
from pixi_scaffold.update.note import Landing, remove_note, write_note
from pixi_scaffold.update.repository import (
    Repository,
    in_words,
    open_repository,
    refuse_covered,
    refuse_hidden,
    refuse_under_way,
)

SAVED = "pixi-scaffold-saved"

_MEANWHILE = "these files changed while the update was prepared, so nothing of it was done:"


def land(repository: Repository, landing: Landing, stages: str) -> None:
    """Make the update's branch the current one, with its files.

    stages: the index entries of the conflicts (git update-index --index-info); nothing is committed
    then. Raises ScaffoldError when the user's work is in the way or git fails; what was done is
    undone then. Ctrl-C waits for the end of it.
    """
    try:
        with uninterrupted():
            _refuse_changed(repository, landing)
            saved = _save(repository, landing)
            try:
                _land(repository, landing, stages)
                _refuse_written_into(saved)
            except ScaffoldError as error:
                if kept := _undo(repository, landing, saved):
                    more = f"what was in the way is kept in {kept}"
                    raise ScaffoldError(f"{error.message}\n{more}", error.hint) from error
                raise
            except BaseException:
                _undo(repository, landing, saved)
                raise
            write_note(repository, replace(landing, landed=True))
            shutil.rmtree(saved.folder, ignore_errors=True)
    except KeyboardInterrupt as stop:
        raise interrupted(landing.branch) from stop


def interrupted(branch: str) -> Interrupted:
    """Return what is said where Ctrl-C came too late: the update is done."""
    return Interrupted(
        f"interrupted when the update was done: it is on the branch {branch}",
        f"to undo it: {program()} update --abort",
    )


def _refuse_changed(repository: Repository, landing: Landing) -> None:
    now = open_repository(repository.project)
    if (now.head, now.branch) != (repository.head, repository.branch):
        raise ScaffoldError(
            "there is a new commit or another branch here since the update was prepared, so "
            "nothing of it was done",
            f"{program()} update",
        )
    refuse_under_way(repository)
    refuse_covered(repository, landing.created)
    refuse_hidden(repository.top, landing.paths)


def _land(repository: Repository, landing: Landing, stages: str) -> None:
    title = landing.message.splitlines()[0]
    was = landing.branch_was or "0" * len(landing.commit)
    repository.git("update-ref", "-m", title, landing.ref, landing.commit, was)
    # A copied or unpacked project has new times, which git would take for changes.
    repository.ask("update-index", "-q", "--refresh")
    try:
        repository.git("switch", "--quiet", "--no-overwrite-ignore", landing.branch)
    except GitError as error:
        raise in_words(error, _MEANWHILE) from error
    if landing.conflicts:  # what `git cherry-pick` leaves where it cannot go on
        repository.git("update-ref", "-m", title, landing.ref, landing.tip, landing.commit)
        repository.git("update-index", "-z", "--index-info", stdin=stages)
        message = repository.git_dir / "MERGE_MSG"
        message.write_text(f"{landing.message}\n", encoding="utf-8")
        repository.git("update-ref", "CHERRY_PICK_HEAD", landing.commit)


@dataclass(frozen=True, slots=True)
class _Saved:
    """The files that an update changes as they were, and git's index."""

    folder: Path
    index: bytes
    times: Mapping[str, tuple[int, int]]


def _save(repository: Repository, landing: Landing) -> _Saved:
    """Keep the files as they are: as another name of the same file where that can be made."""
    folder = repository.git_dir / SAVED
    shutil.rmtree(folder, ignore_errors=True)
    times = {}
    try:
        for path in landing.paths:
            place, copy = repository.top / path, folder / path
            if not place.is_symlink() and not place.is_file():
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(place, copy, follow_symlinks=False)
            except OSError:
                shutil.copy2(place, copy, follow_symlinks=False)
            status = copy.lstat()
            times[path] = (status.st_mtime_ns, status.st_size)
        index = (repository.git_dir / "index").read_bytes()
        write_note(repository, landing)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return _Saved(folder, index, times)


def _refuse_written_into(saved: _Saved) -> None:
    """Raise ScaffoldError when somebody wrote into a file in the moment that git replaced it."""
    for path, before in saved.times.items():
        status = (saved.folder / path).lstat()
        if (status.st_mtime_ns, status.st_size) != before:
            raise ScaffoldError(f"{_MEANWHILE}\n  {path}", f"{program()} update")


def _undo(repository: Repository, landing: Landing, saved: _Saved) -> Path | None:
    """Take back what a landing did that failed: files, index, HEAD and branch.

    Returns the folder with files that lay there and were neither the user's nor the update's.
    """
    kept: Path | None = None
    try:
        kept = undo_files(repository, landing)
        undo_refs(repository, landing)
        index = repository.git_dir / "index"
        if index.read_bytes() != saved.index:
            with replacing(index) as new:
                new.write_bytes(saved.index)
    except (ScaffoldError, OSError) as error:
        raise ScaffoldError(
            f"the update failed, and so did its undoing: {error}",
            f"your files are in {saved.folder}; then: {program()} update --abort",
        ) from error
    remove_note(repository)
    shutil.rmtree(saved.folder, ignore_errors=True)
    return kept


def undo_files(repository: Repository, landing: Landing) -> Path | None:
    """Put the saved files back where git replaced them; anything else there is kept beside it."""
    folder, aside = repository.git_dir / SAVED, repository.git_dir / "pixi-scaffold-kept"
    now = {path: read_file(repository.top, path) for path in landing.paths}
    before = {path: read_file(folder, path) for path in landing.paths}
    changed = tuple(path for path in landing.paths if now[path] != before[path])
    strange = strange_files(repository, landing, changed)
    for path in changed:
        place = repository.top / path
        if path in strange:
            (aside / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(place, aside / path)
        if before[path] is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            shutil.move(folder / path, place)  # git's folder can be on another disk
        elif path not in landing.created:  # somebody removed what was saved; git has it, too
            repository.git("checkout", "--quiet", landing.from_commit, "--", path)
        else:
            place.unlink(missing_ok=True)
            remove_empty_folders(repository.top, path)
    return aside if strange else None


def undo_refs(repository: Repository, landing: Landing) -> None:
    """Take HEAD and the branch back to where they were; no file and no index changes."""
    if repository.ask("symbolic-ref", "--quiet", "HEAD").output.strip() == landing.ref:
        if landing.from_branch is None:
            repository.git("update-ref", "--no-deref", "HEAD", landing.from_commit)
        else:
            was = f"refs/heads/{landing.from_branch}"
            repository.git("symbolic-ref", "-m", "undo the update", "HEAD", was)
    repository.git("cherry-pick", "--quit")  # its message may be there without it
    remove_branch(repository, landing)


def remove_branch(repository: Repository, landing: Landing) -> None:
    """Take the branch back to where it was, if it is still where the update put it."""
    now = repository.commit_of(landing.ref)
    if not now or now not in (landing.tip, landing.commit):
        return
    if landing.branch_was:
        repository.git("update-ref", landing.ref, landing.branch_was, now)
    else:
        repository.git("update-ref", "-d", landing.ref, now)


def strange_files(repository: Repository, landing: Landing, paths: tuple[str, ...]) -> set[str]:
    """Return the files that are neither as before the update nor as it makes them."""
    now = {path: read_file(repository.top, path) for path in paths}
    present = {path for path, file in now.items() if file is not None}
    for commit in (landing.from_commit, landing.commit):
        listing = list_tree(repository.top, f"{commit}:") if present else {}
        held = read_blobs(repository.top, {p: listing[p] for p in present if p in listing})
        present -= {path for path, file in held.items() if file == now[path]}
    return present


def finish(repository: Repository, landing: Landing, more: tuple[str, ...]) -> str:
    """Commit what the user made of the conflicts, and nothing else that is staged.

    more: other files that changed since, below the top. Returns the commit.
    """
    known = tuple(dict.fromkeys((*landing.paths, *landing.conflicts, *more)))
    held = set(repository.git("ls-files", "-z", "--", *known).split("\0"))
    there = [p for p in known if p in held or os.path.lexists(repository.top / p)]
    with uninterrupted():
        repository.git("add", "--all", "--force", "--", *there)
        entries: dict[str, str | None] = dict.fromkeys(known)
        for row in filter(None, repository.git("ls-files", "-s", "-z", "--", *known).split("\0")):
            entry, _, path = row.partition("\t")
            entries[path] = entry.rpartition(" ")[0]  # without the stage
        tree = write_tree(repository.top, repository.head, entries)
        tip = commit_tree(repository, tree, repository.head, landing.message)
        title = landing.message.splitlines()[0]
        repository.git("update-ref", "-m", title, "HEAD", tip, repository.head)
        repository.git("cherry-pick", "--quit")
        write_note(
            repository,
            replace(landing, commit=tip, tip=tip, paths=known, conflicts=(), landed=True),
        )
    return tip


def commit_tree(repository: Repository, tree: str, parent: str, message: str) -> str:
    """Commit a tree in the user's name, not signed; no branch moves. Returns the commit."""
    options = identity(repository.project)
    argv = (*options, "commit-tree", tree, "-p", parent)
    return repository.git(*argv, stdin=f"{message}\n").strip()
