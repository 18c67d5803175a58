"""The files of a project or of a render, in memory: what updates compare and merge."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple


class File(NamedTuple):
    """One file as git would keep it: its bytes (of a symbolic link: where it points) and kind."""

    content: bytes
    executable: bool = False
    link: bool = False

    @property
    def is_text(self) -> bool:
        """Whether lines of it can be merged; git's own test is a zero byte, too."""
        return not self.link and b"\0" not in self.content

    @property
    def has_crlf(self) -> bool:
        """Whether every line ends as on Windows."""
        lines = self.content.count(b"\n")
        return self.is_text and lines > 0 and self.content.count(b"\r\n") == lines


Tree = Mapping[str, File]
"""Files by their path below the root, with forward slashes."""


def read_file(root: Path, path: str) -> File | None:
    """Return one file, or None when there is none (a folder does not count)."""
    place = root / path
    if place.is_symlink():
        return File(os.fsencode(place.readlink()), link=True)
    if not place.is_file():
        return None
    return File(place.read_bytes(), bool(place.stat().st_mode & 0o100))


def read_tree(root: Path, paths: Iterable[str] | None = None) -> dict[str, File]:
    """Return the files below `root`; `paths`: only those, where they are there."""
    if paths is None:
        below = []
        for folder, folders, names in os.walk(root):
            links = [name for name in folders if (Path(folder) / name).is_symlink()]
            below += [(Path(folder) / name).relative_to(root).as_posix() for name in names + links]
        paths = below
    files = ((path, read_file(root, path)) for path in sorted(paths))
    return {path: file for path, file in files if file is not None}


def write_file(root: Path, path: str, file: File | None) -> None:
    """Make one file what it should be; None removes it, and folders that this empties."""
    place = root / path
    if place.is_symlink() or place.exists():
        place.unlink()
    if file is None:
        remove_empty_folders(root, path)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if file.link:
        place.symlink_to(os.fsdecode(file.content))
        return
    place.write_bytes(file.content)
    place.chmod(0o755 if file.executable else 0o644)


def remove_empty_folders(root: Path, path: str) -> None:
    """Remove the folders above `path` that have nothing in them any more, up to `root`."""
    for parent in list(PurePosixPath(path).parents)[:-1]:
        try:
            (root / parent).rmdir()
        except OSError:
            return


def in_the_way(root: Path, path: str) -> Path | None:
    """Return what keeps a file from being at `path`: a folder, or a parent that is no folder."""
    for parent in reversed(list(PurePosixPath(path).parents)[:-1]):
        place = root / parent
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            return place
    place = root / path
    return place if place.is_dir() and not place.is_symlink() else None
