"""Temporary folders and files: removed at the end; after a kill, by the next command."""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_NAME = "pixi-scaffold-"
_OURS = re.compile(rf"\.?{_NAME}[a-z0-9_]{{8}}")
"""What tempfile makes of the prefix."""


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder in `parent` (default: where the system has such), removed at the end.

    It is locked as long as this process lives. First, what killed commands left in the same place
    is removed. Raises OSError when none can be made.
    """
    place, prefix = parent or Path(tempfile.gettempdir()), f".{_NAME}" if parent else _NAME
    _sweep(place, os.getpid())
    handle = None
    while handle is None:  # a sweep of somebody else can take it between the two
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        handle = _lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


@contextlib.contextmanager
def temporary_file(parent: Path) -> Iterator[Path]:
    """Yield a new empty file in `parent`; what is still there at the end is removed. See above."""
    _sweep(parent, os.getpid())
    with contextlib.ExitStack() as stack:
        handle = None
        while handle is None:
            made, name = tempfile.mkstemp(prefix=f".{_NAME}", dir=parent)
            os.close(made)
            stack.callback(Path(name).unlink, missing_ok=True)
            handle = _lock(Path(name))
        stack.callback(os.close, handle)
        yield Path(name)


@contextlib.contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Let libraries make their temporary files in `folder`, which goes with them."""
    before = tempfile.tempdir
    tempfile.tempdir = str(folder.absolute())
    try:
        yield
    finally:
        tempfile.tempdir = before


def _lock(path: Path) -> int | None:
    """Return a descriptor that holds a lock on what is at `path`; None when it went meanwhile."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:  # a file system without locks: nobody sweeps there either
        return handle
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(handle), path.stat()):
            return handle
    os.close(handle)
    return None


@cache
def _sweep(place: Path, _process: int) -> None:
    """Remove what nobody holds any more; once a process and place."""
    try:
        names = [entry.name for entry in os.scandir(place) if _OURS.fullmatch(entry.name)]
    except OSError:
        return
    for path in (place / name for name in names):
        with contextlib.suppress(OSError):  # it lives, it is somebody else's, or it just went
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                if os.fstat(handle).st_uid == os.geteuid():
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            finally:
                os.close(handle)
