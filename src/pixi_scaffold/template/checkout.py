"""Put one version of a template that lies on this machine into a folder, with two runs of git.

Copier would clone it first, which takes most of the time of a small update.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pixi_scaffold.system import list_tree, read_blobs, try_git, write_file
from pixi_scaffold.template.source import Template
from pixi_scaffold.template.versions import releases

if TYPE_CHECKING:
    from copier._main import Worker


def check_out_for(worker: Worker, template: Template, folder: Path) -> None:
    """Spare Copier its clone, where the template's repository is on this machine.

    folder: where the template's files go. Without a `ref` it is the newest release, as in Copier.
    Nothing is done where the version is not there, or needs more of git than the bytes that it
    holds (submodules, filters): that is for Copier.
    """
    if (repository := template.repository) is None:
        return
    tags = () if template.ref else try_git(repository, "tag", "--list").output.split()
    ref = template.ref or next(reversed(releases(tags)), "HEAD")
    commit = _commit(repository, ref) or _commit(repository, f"refs/remotes/origin/{ref}")
    listing = list_tree(repository, commit) if commit else {}
    if not listing or any(mode == "160000" for mode, _ in listing.values()):
        return
    files = read_blobs(repository, listing)
    attributes = [file for path, file in files.items() if path.endswith(".gitattributes")]
    described = try_git(repository, "describe", "--tags", "--always", commit)
    if described.code or any(b"filter=" in file.content for file in attributes):
        return
    for path, file in files.items():
        write_file(folder, path, file)
    worker.template.__dict__.update(
        local_abspath=folder,
        commit=described.output.strip(),  # as projects record it
        commit_hash=commit,
        git_index_modes={PurePosixPath(path): int(mode, 8) for path, (mode, _) in listing.items()},
    )


def _commit(repository: Path, ref: str) -> str:
    argv = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    done = try_git(repository, *argv)
    return done.output.strip() if done.code == 0 else ""
