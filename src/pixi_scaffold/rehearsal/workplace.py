"""Where sandboxes are made, and how nothing is left of them."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pixi_scaffold.errors import UsageError
from pixi_scaffold.system import read_regular, run

_PREFIX, _LOCK = "rehearsal-", "lock"
_MARK = "a sandbox of pixi-scaffold: removed when nobody holds this lock\n"
_PARTS = re.compile(r"lock|spool(\.new)?|sandbox-\d+")
"""What a rehearsal makes in its folder."""


@contextlib.contextmanager
def workplace(scratch: Path | None, keep: bool, tell: Callable[[str], None]) -> Iterator[Path]:
    """Give a new folder, which is removed at the end; kept, it is named when the end is an error.

    What earlier rehearsals left there that were killed is removed, too.
    Raises UsageError when none can be made in `scratch`.
    """
    parent = scratch or scratch_folder()
    try:
        _sweep(parent)
        place = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    except OSError as error:
        raise UsageError(
            f"no sandbox can be made in {parent}: {error.strerror}",
            "name a folder that is there and that you may write to: --scratch FOLDER",
        ) from error
    with contextlib.ExitStack() as stack:
        if not keep:
            stack.enter_context(_claimed(place))
        try:
            yield Path(os.path.realpath(place))
        except BaseException:
            if keep:
                tell(f"the sandbox is kept: {place}")
            raise
        finally:
            if not keep:
                remove(place)


def kept_sandbox(folder: Path) -> Path:
    """Return the sandbox that --keep left there; raises UsageError where it left none.

    folder: the sandbox itself, its scratch folder, or the folder of a rehearsal: then its last one.
    """
    inside = sorted(folder.glob("sandbox-*"), key=lambda p: p.stat().st_mtime)
    for path in (folder, folder.parent, *inside[::-1]):
        if _PARTS.fullmatch(path.name) and (path / "scratch").is_dir():
            return Path(os.path.realpath(path))
    raise UsageError(f"{folder} is no sandbox of a rehearsal", "name one that --keep left")


@contextlib.contextmanager
def _claimed(place: Path) -> Iterator[None]:
    """Hold a lock in the folder, by which another rehearsal sees that this one lives."""
    import fcntl  # not on Windows, where all else of the program runs

    fresh = place / f"{_LOCK}.new"
    with fresh.open("w") as file:
        file.write(_MARK)
        file.flush()
        with contextlib.suppress(OSError):  # a file system without locks: nobody sweeps there
            fcntl.flock(file, fcntl.LOCK_EX)
            fresh.rename(place / _LOCK)  # nobody sees it without the lock
        yield


def _sweep(parent: Path) -> None:
    """Remove what rehearsals left that were killed (SIGKILL, or a machine that went down)."""
    import fcntl

    for place in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # it lives, it is somebody else's, or it just went
            if not _ours(place):
                continue
            with (place / _LOCK).open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(place)


def _ours(place: Path) -> bool:
    """Whether this is surely a sandbox: by its owner, its lock, and that nothing else is in it."""
    if place.is_symlink() or place.stat().st_uid != os.geteuid():
        return False
    lock = place / _LOCK
    if lock.is_symlink() or read_regular(lock, len(_MARK) + 1) != _MARK.encode():
        return False
    return all(_PARTS.fullmatch(entry.name) for entry in os.scandir(place))


def scratch_folder() -> Path:
    """Return where sandboxes are made: TMPDIR, or /var/tmp, which is seldom in memory."""
    if "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK):  # noqa: S108
        return Path("/var/tmp")  # noqa: S108
    return Path(tempfile.gettempdir())


def remove(folder: Path) -> None:
    """Remove a folder, also one in which the job took away its own rights."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):  # without rights, or nested deeper than Python follows
        run(["chmod", "-R", "u+rwx", folder])
        run(["rm", "-rf", "--", folder])
