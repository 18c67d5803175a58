"""Find submit descriptions, and the folder in which condor_submit would be run on one."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pixi_scaffold.check.locked import own_folder, real_folder
from pixi_scaffold.job import Description, Submission, meaning, read_description
from pixi_scaffold.rules import within_review
from pixi_scaffold.system import exists, is_file, is_folder

SUFFIXES = (".sub", ".submit", ".jdl", ".condor")
"""What submit descriptions are named by."""
OTHER_SUFFIXES = (".cmd", ".job", ".sub.txt")
"""What else they are named by; other kinds of files have these names, too."""
_OF_DAGMAN = ".dag.condor.sub"
"""What condor_submit_dag writes."""
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "runs", "data", "site-packages"})
_FIRST_BYTES = 64 << 10
_LEVELS = 6
_WITHOUT_GIT = 2


def find_descriptions(root: Path, on_error: Callable[[OSError], None] | None = None) -> list[Path]:
    """Return the submit descriptions in a folder and below it, hidden folders left out.

    Whatever has such a name and is no folder is returned; of the names that other files have as
    well those with a queue statement in them. on_error: told of a folder that cannot be read.
    """
    return [
        path
        for path in _files(root, on_error)
        if path.name.endswith(SUFFIXES) or (path.name.endswith(OTHER_SUFFIXES) and _queues(path))
    ]


def find_dags(root: Path) -> list[Path]:
    """Return the DAGs in a folder and below it, hidden folders left out."""
    return [path for path in _files(root) if path.name.endswith(".dag")]


def _files(root: Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    for folder, folders, files in os.walk(root, onerror=on_error):
        seen = (f for f in folders if not f.startswith(".") and f not in _SKIPPED_FOLDERS)
        folders[:] = sorted(seen)
        named = (name for name in sorted(files) if not name.endswith(_OF_DAGMAN))
        yield from (Path(folder) / name for name in named)


def _queues(path: Path) -> bool:
    """Whether a file looks like a submit description: an executable, and a queue statement."""
    try:
        with path.open("rb") as file:
            lines = file.read(_FIRST_BYTES).lower().splitlines()
    except OSError:
        return False
    starts = [line.strip() for line in lines]
    queue = any(line == b"queue" or line.startswith((b"queue ", b"queue\t")) for line in starts)
    return queue and any(line.startswith((b"executable", b"container_image")) for line in starts)


def read_where_submitted(
    path: Path,
    given: Path | None,
    root: Path | None,
    checked: Path | None = None,
    submission: Submission | None = None,
) -> Description:
    """Read a description as from the folder in which condor_submit would be run.

    That is the one given; otherwise the first of: the project's, the one that is checked, the
    description's own, those above it in its repository, the current one, in which its executable is
    found and most of its inputs; otherwise the project's or its own. An absolute executable says
    nothing about the folder. submission: what condor_submit knows besides. Raises OSError when it
    cannot be read.
    """
    path = path.absolute()
    if given is not None:
        return read_description(path, real_folder(given.absolute()), submission)
    beside = own_folder(path)
    first = read_description(path, real_folder(root) if root else beside, submission)
    above = [real_folder(folder) for folder in (root, checked) if folder is not None]
    best, (seen, every) = first, _seen(first)
    for folder in dict.fromkeys([*above, beside, *_above(beside), Path.cwd()]):
        if folder == first.folder or seen == every:
            continue
        if seen[0] and folder not in (*above, beside):
            continue  # the executable is found already
        other = read_description(path, folder, submission)
        if (now := _seen(other))[0] > seen:
            best, (seen, every) = other, now
    return best


@within_review
def _above(start: Path) -> list[Path]:
    """Return the folders above one, up to the top of its repository; without one, the next few."""
    folders = list(start.parents[:_LEVELS])
    top = next((n for n, f in enumerate((start, *folders)) if exists(f / ".git")), _WITHOUT_GIT)
    home = Path.home()
    return [f for f in folders[:top] if len(f.parts) > 2 and f not in (home, *home.parents)]


def _seen(description: Description) -> tuple[tuple[bool, int], tuple[bool, int]]:
    """Return whether the executable is where the description was read, and how many inputs are.

    Both a second time, as they would be where everything is found; only relative names count.
    """
    job = description.jobs[0]
    meant = meaning(job)
    name, start = meant.executable.value, meant.folder.value
    inputs = [n for n in meant.inputs.value if not ("$" in n or "://" in n or n.startswith("/"))]
    moves = job.command("initialdir") is not None
    here = sum(exists(start / item) for item in inputs) + (moves and is_folder(start))
    relative = bool(name) and not name.startswith("/")
    is_here = relative and is_file(description.folder / name)
    return (is_here, here), (relative, len(inputs) + moves)
