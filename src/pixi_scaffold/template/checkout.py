"""Put one version of a template that lies on this machine into a folder, with two runs of git.

Copier would clone it first, which takes most of the time of a small update.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pixi_scaffold.system import list_tree, read_blobs, try_git, write_file
from pixi_scaffold.template.source import Template
from pixi_scaffold.template.versions import releases

if TYPE_CHECKING:
    from copier._main import Worker


@dataclass(frozen=True, slots=True)
class Checkout:
    """One version of a template in a folder."""

    folder: Path
    commit: str
    version: str
    """As projects record it: a tag, or what `git describe` makes of the commit."""
    modes: Mapping[PurePosixPath, int]


def check_out_for(worker: Worker, template: Template, folder: Path) -> None:
    """Spare Copier its clone, where the template's repository is on this machine.

    folder: where the template's files go. Without a `ref` it is the newest release, as in Copier.
    """
    if (repository := template.repository) is None:
        return
    tags = () if template.ref else try_git(repository, "tag", "--list").output.split()
    ref = template.ref or next(reversed(releases(tags)), "HEAD")
    if checkout := check_out(repository, ref, folder):
        worker.template.__dict__.update(
            local_abspath=checkout.folder,
            commit=checkout.version,
            commit_hash=checkout.commit,
            git_index_modes=checkout.modes,
        )


def check_out(repository: Path, ref: str, folder: Path) -> Checkout | None:
    """Write the files of `ref` into `folder`.

    None where Copier has to do it: the version is not there, or it needs more of git than the
    bytes that it holds (submodules, filters).
    """
    commit = _commit(repository, ref) or _commit(repository, f"refs/remotes/origin/{ref}")
    if not commit:
        return None
    listing = list_tree(repository, commit)
    if any(mode == "160000" for mode, _ in listing.values()):
        return None
    files = read_blobs(repository, listing)
    attributes = [file for path, file in files.items() if path.endswith(".gitattributes")]
    if any(b"filter=" in file.content for file in attributes):
        return None
    described = try_git(repository, "describe", "--tags", "--always", commit)
    if described.code:
        return None
    for path, file in files.items():
        write_file(folder, path, file)
    modes = {PurePosixPath(path): int(mode, 8) for path, (mode, _) in listing.items()}
    return Checkout(folder, commit, described.output.strip(), modes)


def _commit(repository: Path, ref: str) -> str:
    argv = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    done = try_git(repository, *argv)
    return done.output.strip() if done.code == 0 else ""
