"""Pack a locked environment of one platform into one relocatable archive, with conda-pack."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
from pathlib import Path

from pixi_scaffold.environment import install
from pixi_scaffold.errors import LockError, ScaffoldError, UsageError
from pixi_scaffold.lock.file import read_lock, unsatisfied
from pixi_scaffold.manifest import find_manifest, read_manifest
from pixi_scaffold.process import program
from pixi_scaffold.report import Progress, Report, Result, Status
from pixi_scaffold.workspace import Platform, Workspace

ENVIRONMENT = "default"


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
    current. Raises LockError, UsageError, or ScaffoldError when a package cannot be had.
    """
    start = time.perf_counter()
    workspace = read_manifest(find_manifest(folder))
    chosen = _platform(workspace, platform)
    target = output or workspace.root / "env.tar.gz"
    progress.start("pack")
    path = lock or workspace.lock_file
    locked = read_lock(path)
    if lock is None and (stale := unsatisfied(workspace, locked)):
        raise LockError(f"{path} is not current: {stale[0]}", f"{program()} lock")
    if locked.records(ENVIRONMENT, chosen) is None:
        raise UsageError(
            f"{path} does not lock {ENVIRONMENT} for {chosen.name}",
            f"name another one: --platform {' or '.join(p.name for p in workspace.platforms)}",
        )
    with tempfile.TemporaryDirectory(prefix="pixi-scaffold-pack-") as temporary:
        prefix = Path(temporary) / "env"
        installed = install(locked, ENVIRONMENT, chosen, prefix, progress)
        progress.update("compressing")
        _write(prefix, target)
    size = target.stat().st_size
    detail = f"{target.name}: {installed.packages} packages for {chosen.name}, {size / 1e6:.0f} MB"
    result = Result("pack", Status.PASSED, time.perf_counter() - start, detail)
    facts = {"archive": str(target), "bytes": size, "platform": chosen.name, "lock": str(path)}
    return Report("pack", (result,), facts, ("condor_submit htcondor/train.sub",))


def _platform(workspace: Workspace, name: str | None) -> Platform:
    known = workspace.environment_platforms(workspace.environment(ENVIRONMENT))
    for platform in known:
        if platform.name == name or (name is None and platform.subdir.startswith("linux-")):
            return platform
    names = ", ".join(p.name for p in known)
    what = f"no platform {name!r}" if name else "no platform for Linux"
    raise UsageError(f"{workspace.manifest} has {what}", f"its platforms are: {names}")


def _write(prefix: Path, target: Path) -> None:
    """Write the archive beside `target` and swap it in, so that a job never gets half of it."""
    import conda_pack

    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{os.getpid()}-{target.name}")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it talks about its own progress
            conda_pack.pack(
                prefix=str(prefix),
                output=str(temporary),
                format="tar.gz",
                compress_level=1,  # four times as fast as the default, 5 % larger
                n_threads=-1,
                force=True,
                ignore_missing_files=True,  # packages may change each other's byte code
            )
        temporary.replace(target)
    except conda_pack.CondaPackException as error:
        raise ScaffoldError(f"conda-pack failed: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
