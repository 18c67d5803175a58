"""The starter channel: a real local conda channel for machines that cannot reach conda-forge.

Python is packed from the interpreter that runs this, the rest from pinned PyPI wheels. Solving,
installing and training treat it like any other channel.
"""

import asyncio
import hashlib
import json
import multiprocessing
import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from pixi_scaffold.errors import ScaffoldError, Skipped, UsageError
from pixi_scaffold.report import Progress
from pixi_scaffold.starter.interpreter import base_executable, pack_interpreter
from pixi_scaffold.starter.wheel import convert, read_distribution, unknown_extras
from pixi_scaffold.starter.wheels import (
    WheelSet,
    check_python,
    choose,
    download_bytes,
    fetch,
    missing,
    pins,
)
from pixi_scaffold.system import cores, end_with, temporary_folder

LAYOUT = 2
"""Raised when a channel built by an older version must not be used any more."""

_BUILDING = ".building-"
_MARK = "starter.json"
_SELECTION = "wheels.json"
_ON_DISK = 3.9
"""Bytes on disk for one of PyTorch's CUDA wheels: itself, its package, and what is in it once."""
_ON_DISK_WITHOUT = 2_000_000_000
"""The same for all wheels where none is of CUDA."""


@dataclass(frozen=True, slots=True)
class Starter:
    """A built starter channel: its folder, the one subdir that it serves, and its packages."""

    folder: Path
    subdir: str
    packages: int

    @property
    def url(self) -> str:
        """The channel as a URL."""
        return self.folder.absolute().as_uri()


def starter_key() -> str:
    """Return what a cached channel is found by: the interpreter and the pins."""
    facts = [LAYOUT, sys.version, sysconfig.get_platform(), str(base_executable()), pins()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def cached_folder() -> Path:
    """Return where the channel of this interpreter and these pins is kept."""
    return platformdirs.user_cache_path("pixi-scaffold") / "channels" / starter_key()


def build_channel(progress: Progress, folder: Path | None = None) -> Starter:
    """Return the starter channel, built when the cache does not have it whole.

    folder: also put a copy there (it must be new, empty, or an earlier copy). Raises UsageError
    for a folder with something else in it, ScaffoldError when the wheels cannot be had.
    """
    if folder is not None and folder.exists() and not _may_hold_channel(folder):
        raise UsageError(f"{folder} exists and is not a starter channel", "choose another folder")
    cached = cached_folder()
    starter = _read(cached)
    if starter is None:
        _build(cached, progress)
        starter = _read(cached)
    if starter is None:
        raise ScaffoldError(
            f"the starter channel in {cached} is damaged",
            f"remove it: rm -r {shlex.quote(str(cached))}",
        )
    if folder is None:
        return starter
    folder = folder.resolve()
    copy = _read(folder)
    if copy is None:
        progress.update(f"copying to {folder}")
        copy = _copy(cached, folder)
    return copy


def _may_hold_channel(folder: Path) -> bool:
    """Whether nothing of the user's is lost when `folder` is replaced: empty, or only ours."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    if not names:
        return True
    try:
        facts = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        ours = {_MARK, "noarch", facts["subdir"], ".tmp"}  # the indexer makes .tmp
        return names <= ours and "key" in facts
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _read(folder: Path) -> Starter | None:
    """Return the channel in `folder`, when it is of this interpreter and these pins, and whole."""
    try:
        facts = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        if facts["key"] != starter_key():
            return None
        home = folder / facts["subdir"]
        repodata = json.loads((home / "repodata.json").read_text(encoding="utf-8"))
        records = repodata["packages.conda"]
        whole = all((home / name).stat().st_size == r["size"] for name, r in records.items())
        return Starter(folder, facts["subdir"], len(records)) if whole and records else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _copy(cached: Path, folder: Path) -> Starter:
    """Put a copy at `folder` when all of it is there; what was an earlier copy goes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folder.parent) as temporary:
        new = temporary / "channel"
        shutil.copytree(cached, new)
        if folder.exists():
            folder.rename(temporary / "old")
        new.rename(folder)
    starter = _read(folder)
    if starter is None:
        raise ScaffoldError(f"the copy in {folder} is not whole", "try again")
    return starter


def _build(cached: Path, progress: Progress) -> None:
    """Build in a folder beside the cache and move it in place when it is whole.

    The folder has a name of its own: a build that was stopped goes on from there.
    """
    check_python()
    work = cached.parent / f"{_BUILDING}{cached.name}"
    wheels = cached.parent.parent / "wheels"
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with _alone(work.with_suffix(".lock"), progress):
            if _read(cached) is not None:  # somebody else was building it
                return
            _remove_others(work)
            work.mkdir(exist_ok=True)
            chosen = _choice(work, wheels, progress)
            new = work / "channel"
            try:
                count = _convert_all(chosen, wheels, new / _subdir(), progress)
            except ScaffoldError:
                (work / _SELECTION).unlink(missing_ok=True)  # the next build asks again
                raise
            progress.update("indexing")
            (new / "noarch").mkdir(exist_ok=True)
            asyncio.run(_index(new))
            facts = {"key": starter_key(), "subdir": _subdir(), "packages": count, "pins": pins()}
            (new / _MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            if cached.exists():
                cached.rename(work / "damaged")
            new.rename(cached)
            shutil.rmtree(work)
    except OSError as error:
        raise ScaffoldError(
            f"cannot build the starter channel in {cached.parent}: {error}",
            "free some space, or set XDG_CACHE_HOME to a folder that has it",
        ) from error


def _subdir() -> str:
    from rattler import Subdir

    return str(Subdir.current())


def _remove_others(work: Path) -> None:
    """Remove what stopped builds of other interpreters or pins left, where none goes on."""
    import fcntl

    for lock in set(work.parent.glob(f"{_BUILDING}*.lock")) - {work.with_suffix(".lock")}:
        with suppress(OSError), lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)


@contextmanager
def _alone(lock: Path, progress: Progress) -> Iterator[None]:
    """Keep other builds waiting, as long as this process lives."""
    import fcntl

    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.update("waiting for another process that builds it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _choice(work: Path, wheels: Path, progress: Progress) -> WheelSet:
    """Return the wheels: those that a stopped build had chosen, or as pip says now.

    Raises Skipped when the user does not want so large a download, ScaffoldError when the disk is
    too small for it.
    """
    try:
        chosen = WheelSet.from_json((work / _SELECTION).read_text(encoding="utf-8"))
        agreed = True
    except (OSError, ValueError, KeyError, TypeError):
        chosen, agreed = choose(wheels, progress), False
    if wanted := missing(chosen, wheels):
        _prepare_for(chosen, download_bytes(wanted), work, agreed, progress)
    (work / _SELECTION).write_text(chosen.to_json(), encoding="utf-8")
    return chosen


def _prepare_for(chosen: WheelSet, size: int, work: Path, agreed: bool, progress: Progress) -> None:
    """Say what a download of `size` bytes means, see that the disk is large enough, and ask."""
    large = bool(chosen.no_cpu_build)
    needed = int(size * _ON_DISK) if large else _ON_DISK_WITHOUT
    if large:
        progress.note(
            f"{chosen.no_cpu_build}, so PyTorch comes with its CUDA libraries: {_gb(size)} to "
            f"download, {_gb(needed)} on disk; without a GPU it trains on the CPU"
        )
    free = shutil.disk_usage(work).free
    if free < needed:
        raise ScaffoldError(
            f"the starter channel needs {_gb(needed)} on the disk of {work.parent}, which has "
            f"{_gb(free)} free; nothing was downloaded",
            "free some space, or set XDG_CACHE_HOME to a folder that has it",
        )
    if large and not agreed and not progress.agree("Go on?"):
        raise Skipped(
            f"{_gb(size)} were not to be downloaded",
            "where PyTorch's index or conda-forge can be reached it is less",
        )


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


async def _index(folder: Path) -> None:
    from rattler.index import index_fs

    # A file:// channel is read without decompression.
    await index_fs(folder, write_zst=False, write_shards=False)


def _convert_all(chosen: WheelSet, kept: Path, folder: Path, progress: Progress) -> int:
    """Pack Python and every wheel, one process a core, while others are still fetched.

    Returns how many packages there are. Those that a stopped build left are taken; others are
    removed.
    """
    pool = ProcessPoolExecutor(
        max_workers=cores(),
        mp_context=multiprocessing.get_context("spawn"),  # threads of rattler may be running
        initializer=end_with,
        initargs=(os.getpid(),),
    )
    subdir = folder.name
    try:
        jobs = {pool.submit(pack_interpreter, folder, subdir): base_executable()}
        for wheel, others in _ready(fetch(chosen, kept, progress)):
            jobs[pool.submit(convert, wheel, folder, subdir, others)] = wheel
        packages = set()
        for job in as_completed(jobs):
            with _fetched_again(jobs[job]):
                packages.add(job.result())
            progress.update(f"packed {jobs[job].name.partition('-')[0]}", len(packages) / len(jobs))
    except BrokenProcessPool as error:
        raise ScaffoldError(
            "packing was ended from outside (too little memory?)", "try again"
        ) from error
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    for stale in set(folder.glob("*.conda")) - packages:
        stale.unlink()
    return len(packages)


@contextmanager
def _fetched_again(wheel: Path) -> Iterator[None]:
    """Remove a kept wheel that is damaged, so that the next build has it fetched again."""
    try:
        yield
    except ScaffoldError:
        if wheel.suffix == ".whl":
            wheel.unlink(missing_ok=True)
        raise


def _ready(wheels: Iterable[Path]) -> Iterator[tuple[Path, Mapping[str, Sequence[str]]]]:
    """Yield each wheel once those are here that it wants with extras, with their Requires-Dist."""
    here: dict[str, Sequence[str]] = {}
    waiting: dict[Path, Sequence[str]] = {}
    for wheel in wheels:
        with _fetched_again(wheel):
            distribution = read_distribution(wheel)
        here[distribution.name] = waiting[wheel] = distribution.requires
        for path in [p for p, requires in waiting.items() if not unknown_extras(requires, here)]:
            yield path, dict(here)
            del waiting[path]
    yield from ((path, here) for path in waiting)
