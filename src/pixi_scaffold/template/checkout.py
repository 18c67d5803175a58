"""Put one version of a template that lies on this machine into a folder, with two runs of git.

Copier would clone it first, which takes most of the time of a small update.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pixi_scaffold.system import File, list_tree, read_blobs, try_git, write_file
from pixi_scaffold.template.migrations import FOLDER
from pixi_scaffold.template.source import Template
from pixi_scaffold.template.versions import releases

if TYPE_CHECKING:
    from copier._main import Worker

_SUBDIRECTORY = re.compile(rb"^_subdirectory:[ \t]*(['\"]?)([\w-]+)\1[ \t]*(?:#.*)?$", re.MULTILINE)
_READS = re.compile(rb"\{%[-+]?\s*(?:extends|from|import|include)\b(.*?)%\}", re.DOTALL)
"""A tag that reads another file."""
_FOLDER = re.compile(rb"\s*['\"]([\w-]+)/(?!.*(?:\||\b(?:and|else|if|or)\b))", re.DOTALL)
"""In which folder at the top that file lies; nothing where it may be in another one."""
_ELSEWHERE = re.compile(
    rb"src_path|!include|^['\"]?_(?:envops|jinja_extensions|migrations|tasks)\b", re.M
)
"""What may read any file of the template."""


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
    files = needed_files(repository, listing)
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


def needed_files(repository: Path, listing: Mapping[str, tuple[str, str]]) -> dict[str, File]:
    """Return the files that a render can read; all of them, where that cannot be told.

    The repository of a template has others, such as its tests, and on a file system of the network
    each file that is made counts.
    """
    files = read_blobs(repository, {path: e for path, e in listing.items() if "/" not in path})
    folders = {path.partition("/")[0] for path in listing} - files.keys()
    texts = [files[name].content for name in ("copier.yml", "copier.yaml") if name in files]
    due = {name.decode() for text in texts for _, name in _SUBDIRECTORY.findall(text)}
    unclear = not due or any(mode == "120000" for mode, _ in listing.values())
    due |= {FOLDER.partition("/")[0]} & folders
    taken: set[str] = set()
    while texts and not unclear:
        tags = (_FOLDER.match(tag) for text in texts for tag in _READS.findall(text))
        due |= {tag[1].decode() if tag else "" for tag in tags}
        unclear = not due <= folders or any(map(_ELSEWHERE.search, texts))
        part = {path: e for path, e in listing.items() if path.partition("/")[0] in due - taken}
        files |= (more := read_blobs(repository, part))
        texts, taken = [file.content for file in more.values()], taken | due
    return read_blobs(repository, listing) if unclear else files


def _commit(repository: Path, ref: str) -> str:
    argv = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    done = try_git(repository, *argv)
    return done.output.strip() if done.code == 0 else ""
