"""Pack a locked environment of one platform into one relocatable archive, with conda-pack.

The same lock gives the same bytes, also for another platform than this machine's.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pixi_scaffold.environment.archive import Member, write_archive
from pixi_scaffold.environment.install import install
from pixi_scaffold.errors import LockError, ScaffoldError, UsageError
from pixi_scaffold.lock import Lock, read_lock, unsatisfied
from pixi_scaffold.report import Progress, Report, Run
from pixi_scaffold.system import layout, program, real, replacing, temporary_folder
from pixi_scaffold.workspace import Platform, Workspace, find_manifest, read_manifest

ENVIRONMENT = "default"
PREFIX_LENGTH = 200
"""Characters of the path that an environment is packed from: longer ones on a worker do not fit."""
RECORD = "conda-meta/pixi-scaffold"
"""A file of the archive, in JSON. It is no package, whose files end in .json there."""
LINGER = 30.0
"""Seconds that downloads may still take to end after one has failed."""
PLACEHOLDER = b"/pixi-scaffold/pack/"
"""What that path is in the archive, filled up to the same length; conda-unpack replaces it."""


def pack(
    folder: Path,
    output: Path | None,
    platform: str | None,
    lock: Path | None,
    progress: Progress,
) -> Report:
    """Write the locked default environment as an archive; return where and how large.

    output: default env.tar.gz in the workspace. platform: default the first one for Linux, which
    is the one with CUDA; it need not be this machine's. lock: default pixi.lock, which must be
    current; where there is none yet, the starter channel's, for the first platform for Linux that
    it has. Raises LockError, UsageError, or ScaffoldError when a package cannot be had.
    """
    run = Run(progress)
    workspace = read_manifest(find_manifest(folder))
    chosen = _platform(workspace, platform, None)
    target = output or workspace.root / layout.ARCHIVE
    stand_in = workspace.root / layout.STARTER / layout.LOCK_FILE
    stands_in = lock is None and not workspace.lock_file.is_file() and stand_in.is_file()
    path = stand_in if stands_in else lock or workspace.lock_file
    with run.step("pack") as step:
        locked = read_lock(path)
        if stands_in:
            chosen = _platform(workspace, platform, locked)
            progress.note("there is no pixi.lock yet: the starter channel's stands in for it")
        elif lock is None and (stale := unsatisfied(workspace, locked)):
            raise LockError(f"{path} is not current: {stale[0]}", f"{program()} lock")
        _refuse_unlocked(workspace, locked, chosen, path)
        with _workshop() as workshop:
            prefix = _padded(workshop)
            installed = install(locked, ENVIRONMENT, chosen, prefix, progress)
            progress.update("collecting")
            entries = _collected(prefix)
            entries[RECORD] = Member(None, _record(path, chosen))
            here = os.fsencode(prefix)
            names = {here: PLACEHOLDER.ljust(len(here), b"_")}
            with replacing(target) as new:  # a job never gets half of it
                write_archive(entries, new, names, partial(progress.update, "compressing"))
        size = target.stat().st_size
        packages = f"{installed.packages} packages for {chosen.name}"
        step.passed(f"{target.name}: {packages}, {size / 1e6:.0f} MB")
    facts = {"archive": str(target), "bytes": size, "platform": chosen.name, "lock": str(path)}
    then = (f"{program()} rehearse", f"{program()} submit")
    return Report("pack", run.results, facts, then)


def _refuse_unlocked(workspace: Workspace, locked: Lock, chosen: Platform, path: Path) -> None:
    if locked.urls(ENVIRONMENT, chosen) is None:
        known = workspace.environment_platforms(workspace.environment(ENVIRONMENT))
        there = [p.name for p in known if locked.urls(ENVIRONMENT, p) is not None]
        raise UsageError(
            f"{path} does not lock {ENVIRONMENT} for {chosen.name}",
            f"it has: --platform {' or '.join(there)}" if there else f"{program()} lock",
        )


def _platform(workspace: Workspace, name: str | None, locked: Lock | None) -> Platform:
    """Return the platform of that name, or the first for Linux, if it can be one in `locked`."""
    known = workspace.environment_platforms(workspace.environment(ENVIRONMENT))
    fit = [p for p in known if p.name == name or (not name and p.subdir.startswith("linux-"))]
    if locked is not None:
        fit.sort(key=lambda p: locked.urls(ENVIRONMENT, p) is None)
    if fit:
        return fit[0]
    names = ", ".join(p.name for p in known)
    missing = f"no platform {name!r}" if name else "no platform for Linux"
    raise UsageError(f"{workspace.manifest} has {missing}", f"its platforms are: {names}")


def _padded(folder: Path) -> Path:
    """Return a folder below that one whose path has PREFIX_LENGTH characters.

    Binaries keep the room that the path has at this moment; on the worker it is a longer one.
    """
    room = PREFIX_LENGTH - len(os.fsencode(folder)) - 1
    if not 0 < room < 250:
        raise ScaffoldError(
            f"{folder} is too long a path to pack in", "set TMPDIR to a shorter one"
        )
    return folder / ("e" * room)


@contextlib.contextmanager
def _workshop() -> Iterator[Path]:
    """Give a folder that is removed at the end, also while downloads that failed still write.

    rattler's threads go on for a moment after one of them failed, and put new files there.
    """
    with temporary_folder() as folder:
        try:
            yield real(folder)
        finally:
            end = time.monotonic() + LINGER
            shutil.rmtree(folder, ignore_errors=True)
            while folder.exists() and time.monotonic() < end:
                time.sleep(0.1)
                shutil.rmtree(folder, ignore_errors=True)


def _record(lock: Path, platform: Platform) -> bytes:
    """Return what the archive says of itself: the lock that it was made of, and for what."""
    record = {
        "platform": platform.name,
        "cuda": any(v.name == "__cuda" for v in platform.declared),
        "pixi_lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest(),
    }
    return f"{json.dumps(record)}\n".encode()


@dataclass(slots=True)
class _Collector:
    """Takes what conda-pack adds to an archive: its paths, and texts that it made."""

    prefix: Path
    entries: dict[str, Member] = field(default_factory=dict)

    def add(self, source: str, target: str) -> None:
        path = Path(source)
        if path.is_relative_to(self.prefix):
            self.entries[target] = Member(path)
        else:  # a temporary file, gone in a moment
            self.add_bytes(source, path.read_bytes(), target)

    def add_bytes(self, source: str, data: bytes, target: str) -> None:
        executable = os.access(source, os.X_OK)
        self.entries[target] = Member(None, data, executable)


def _collected(prefix: Path) -> dict[str, Member]:
    """Let conda-pack say what a relocatable copy of the environment consists of."""
    import conda_pack
    from conda_pack.core import Packer

    collector = _Collector(prefix)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it talks about its own progress
            # packages may change each other's byte code: that is not a missing file
            environment = conda_pack.CondaEnv.from_prefix(str(prefix), ignore_missing_files=True)
            packer = Packer(str(prefix), collector)
            for file in sorted(environment.files, key=lambda file: str(file.target)):
                packer.add(file)
            packer.finish()
    except conda_pack.CondaPackException as error:
        raise ScaffoldError(f"conda-pack failed: {error}") from error
    return collector.entries
