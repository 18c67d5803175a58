"""What an update leaves to the user, whatever the template does; decided before any merge."""

import tomllib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import File, Tree, git, temporary_folder, write_blobs, write_tree
from pixi_scaffold.template import Migration
from pixi_scaffold.update.repository import Repository

_KINDS = {"160000": "a submodule", "120000": "a link"}
Listing = Mapping[str, tuple[str, str]]


def declared(files: Tree) -> tuple[str, ...]:
    """Return the patterns of files that the user keeps for good.

    They stand in pixi.toml or pyproject.toml: [tool.pixi-scaffold] mine = ["main.py", "docs/"].
    Raises ScaffoldError when that is no list of names.
    """
    patterns: list[str] = []
    for name, file in files.items():
        if not name.endswith(".toml"):
            continue
        try:
            document = tomllib.loads(file.content.decode())
            mine = document.get("tool", {}).get("pixi-scaffold", {}).get("mine", [])
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError):
            continue  # whoever reads the manifest says what is wrong with it
        if not isinstance(mine, list) or not all(isinstance(item, str) for item in mine):
            raise ScaffoldError(
                f"{name}: mine in [tool.pixi-scaffold] is no list of files",
                'write it so: mine = ["main.py", "docs/"]',
            )
        patterns += mine
    return tuple(patterns)


def is_declared(path: str, patterns: Iterable[str]) -> bool:
    """Whether a file is named, matched (*.md) or in a folder that is named."""
    return any(
        fnmatchcase(path, pattern) or path.startswith(f"{pattern.rstrip('/')}/")
        for pattern in patterns
    )


def set_apart(paths: Iterable[str], listing: Listing, mine: Sequence[str]) -> dict[str, str]:
    """Return the files that an update does not touch, each with the reason.

    listing: what the user's commit has. Raises ScaffoldError when a file or folder of the user's
    is where the template has another kind of thing.
    """
    apart, order = {}, sorted(listing)
    for path in sorted(paths):
        if is_declared(path, mine):
            apart[path] = "yours: [tool.pixi-scaffold] mine"
            continue
        for place in (path, *map(str, PurePosixPath(path).parents[:-1])):
            mode = listing.get(place, ("", ""))[0]
            if mode in _KINDS and (place != path or mode == "160000"):
                apart[path] = f"{place} is {_KINDS[mode]} of yours"
                break
            if mode and place != path:
                raise _in_place(path, place)
        at = bisect_left(order, f"{path}/")
        if at < len(order) and order[at].startswith(f"{path}/"):
            raise _in_place(path, path)
    return apart


def _in_place(path: str, place: str) -> ScaffoldError:
    kind = "folder" if place == path else "file"
    return ScaffoldError(
        f"the template has a file {path}, but your {kind} {place} is in its place",
        f"git mv {place} another-name, commit, and try again",
    )


@dataclass(frozen=True, slots=True)
class UserMove:
    """A file that the user renamed: its name in the old and new template, and in the project."""

    old: str
    upstream: str
    here: str


def follows(
    repository: Repository,
    base: Tree,
    listing: Listing,
    migrations: Iterable[Migration],
    new: Tree,
) -> tuple[UserMove, ...]:
    """Return the files of the template that git finds under another name in the user's commit."""
    gone = [path for path in base if path not in listing]
    if not gone or all(path in base for path in listing):
        return ()
    with temporary_folder() as spare:  # nothing is written to the user's
        env = {
            "GIT_OBJECT_DIRECTORY": str(spare),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(repository.common_dir / "objects"),
        }
        tree = write_tree(repository.top, "", dict(write_blobs(repository.top, base, env)), env)
        ours = f"{repository.head}:{repository.prefix.rstrip('/')}"
        argv = ("diff-tree", "-r", "-z", "-M", "--diff-filter=R", "--name-status", tree, ours)
        words = git(repository.top, *argv, env=env).split("\0")
    moves = []
    for _, old, here in zip(words[::3], words[1::3], words[2::3], strict=False):
        upstream = old
        for migration in migrations:
            upstream = migration.files.get(upstream, upstream)
        if here not in new:
            moves.append(UserMove(old, upstream, here))
    return tuple(moves)


def follow(
    user_moves: Iterable[UserMove], base: Tree, new: Tree, seeded: frozenset[str]
) -> tuple[dict[str, File], dict[str, File], frozenset[str]]:
    """Return both trees of the template, and its seeded files, by the user's names."""
    was, now, once = dict(base), dict(new), set(seeded)
    for move in user_moves:
        was[move.here] = was.pop(move.old)
        if move.upstream in now:
            now[move.here] = now.pop(move.upstream)
        if move.upstream in once:
            once.add(move.here)
    return was, now, frozenset(once)
