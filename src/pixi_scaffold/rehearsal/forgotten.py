"""What a job missed that lies on this machine, from what it said about it."""

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from pixi_scaffold.rehearsal.isolation import of_the_system
from pixi_scaffold.rehearsal.plan import JobRun

_MISSING = re.compile(r"No such file|not found|does not exist|annot open|No module named")
_MODULE = re.compile(r"No module named '?([\w.]+)")
_QUOTED = re.compile(r"(?<!\w)'([^']+)'|\"([^\"]+)\"")  # not the apostrophe of "can't"
_BARE = re.compile(r"(?:^|[\s=])([^\s'\":;,()=]+)(?=:|\s*$| (?:not found|does not exist)\.?\s*$)")
_SCRATCH = re.compile(r"^/.*/sandbox-\d+/scratch/")
_LIST = "transfer_input_files"


def forgotten(plan: JobRun, lines: Iterable[str]) -> str:
    """Return a hint when `lines` name a file of this machine that the job could not find.

    Empty when they name none, or one that was transferred to where the job looked.
    """
    lines = tuple(lines)
    for word in _words(lines):
        name = _relative(plan.iwd, word)
        if name is None or not os.path.lexists(plan.iwd / name):
            continue
        if name == PurePosixPath(plan.executable.name):
            continue
        arrived = [there for one in plan.inputs if (there := _arrives(plan, one, name)) is not None]
        if name in arrived:
            continue
        if arrived:
            keep = "set preserve_relative_paths = true"
            return f"{name} arrives as {arrived[0]}: let the job read that, or {keep}"
        message = f"{name} is here and was not transferred"
        if name.parent == PurePosixPath() or plan.preserve_paths:
            return f"{message}: add it to {_LIST}"
        return f"{message}: add its folder, {name.parts[0]}, to {_LIST}"
    return _flat(plan, lines) or next(_elsewhere(plan, lines), "")


def _flat(plan: JobRun, lines: Iterable[str]) -> str:
    """Return a hint when a file that the job looks for in a folder arrives without that folder."""
    for word in _words(lines):
        name = PurePosixPath(word)
        if name.is_absolute() or name.parent == PurePosixPath():
            continue
        for one in plan.inputs:
            if PurePosixPath(one).name == name.name and not one.endswith("/"):
                message = (
                    f"{name.name} arrives at the top of the job's folder, not in {name.parent}"
                )
                return f"{message}: let the job read {name.name}, or transfer the folder"
    return ""


def _elsewhere(plan: JobRun, lines: Iterable[str]) -> Iterator[str]:
    """Yield hints for files outside of the project, such as those in a lab's data folder."""
    for word in _words(lines):
        path = Path(word)
        known = path.is_absolute() and _relative(plan.iwd, word) is None
        if known and os.path.lexists(path) and not of_the_system(path):
            show = " ".join(f"--show {shlex.quote(str(folder))}" for folder in _around(path))
            yield (
                f"{path} is of this machine: transfer it; or, where all workers have that folder, "
                f"too: {show}"
            )


def _around(path: Path) -> dict[Path, None]:
    """Return the folders that a file needs: a venv's python is a link to another installation."""
    links = dict.fromkeys((path, path.resolve()))
    parents = (one.parent for one in links if not of_the_system(one))
    return dict.fromkeys(one.parent if one.name == "bin" else one for one in parents)


def _words(lines: Iterable[str]) -> Iterator[str]:
    """Yield what may be the name of a file in the lines about something missing."""
    for line in lines:
        if not _MISSING.search(line):
            continue
        words = [a or b for a, b in _QUOTED.findall(line)] + _BARE.findall(line)
        if module := _MODULE.search(line):
            top = module[1].partition(".")[0]
            words = [f"{top}.py", top]
        yield from (_SCRATCH.sub("", word) for word in words)


def _relative(iwd: Path, word: str) -> PurePosixPath | None:
    """Return the name as it stands below the folder of the description; None outside of it."""
    path = os.path.relpath(iwd / word, iwd)
    return None if path == "." or path.startswith("..") else PurePosixPath(path)


def _arrives(plan: JobRun, given: str, name: PurePosixPath) -> PurePosixPath | None:
    """Return where `name` lies in the sandbox because of one input; None when not by that one."""
    source = _relative(plan.iwd, given)
    if source is None or not name.is_relative_to(source):
        return None
    if plan.preserve_paths and not given.startswith("/"):
        return name
    inner = name.relative_to(source)
    return inner if given.endswith("/") else PurePosixPath(source.name) / inner
