"""The folder that a job runs in: what is put into it, what is kept, and what comes back.

Measured with HTCondor 25.14 (tests/test_rehearsal_judge.py compares): the executable keeps its
name; stdout and stderr are _condor_stdout and _condor_stderr while the job runs; folders that an
output's new name needs are made.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pixi_scaffold.rehearsal.plan import Plan
from pixi_scaffold.rehearsal.transfer import Failure, Sent, is_url, send

STDOUT, STDERR = "_condor_stdout", "_condor_stderr"
_OWN = (".job.ad", ".machine.ad")
_CYCLE = 20


@dataclass(slots=True)
class Sandbox:
    """One scratch folder. `root` holds it and what belongs to it (private /tmp)."""

    plan: Plan
    root: Path
    catalog: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def scratch(self) -> Path:
        """The job's working folder, _CONDOR_SCRATCH_DIR."""
        return self.root / "scratch"

    def fill(self, spool: Path, stand_ins: Mapping[str, Path | None]) -> Sent:
        """Make the folder with the executable, the inputs and what was kept in `spool`.

        stand_ins: files that are taken in place of inputs; None leaves one out.
        """
        for name in ("scratch", "tmp", "var-tmp"):
            (self.root / name).mkdir(parents=True)
        self.scratch.chmod(0o700)
        plan = self.plan
        taken = [stand_ins.get(name, name) for name in plan.inputs]
        names = [str(name) for name in taken if name is not None]
        names += [plan.stdin] if plan.stdin else []
        sent = send(names, plan.iwd, self._into, preserve=plan.preserve_paths)
        if plan.transfer_executable and plan.executable.is_dir():
            (self.scratch / plan.executable.name).mkdir()
        elif plan.transfer_executable:
            own = send([str(plan.executable)], plan.iwd, self._into, preserve=False)
            sent.size += own.size
            sent.failures += own.failures
            (self.scratch / plan.executable.name).chmod(0o755)
        if spool.is_dir():
            for path in sorted(spool.iterdir()):
                _overlay(path, self.scratch / path.name)
        return sent

    def _into(self, name: str) -> Path:
        return self.scratch / name

    def open_logs(self) -> None:
        """Make stdout and stderr as HTCondor does: emptied, or continued for a checkpointing job.

        Then note what is there, to know later what is new.
        """
        known = {entry.name for entry in os.scandir(self.scratch)}
        for name, target in ((STDOUT, self.plan.stdout), (STDERR, self.plan.stderr)):
            if target and not (name == STDERR and self.same_log):
                with (self.scratch / name).open("ab" if self.plan.append else "wb"):
                    pass
        if not self.catalog:
            self.catalog.update({n: _stamp(self.scratch / n) for n in (*known, *_OWN)})

    @property
    def same_log(self) -> bool:
        """Whether stdout and stderr are one file."""
        return bool(self.plan.stdout) and self.plan.stdout == self.plan.stderr

    def changed(self) -> list[str]:
        """Return the files at the top that are new or changed since the job started."""
        skip = {self.plan.executable.name, *_OWN}
        found = []
        for entry in os.scandir(self.scratch):
            if entry.name in skip or entry.is_dir():
                continue
            if self.catalog.get(entry.name) != _stamp(Path(entry.path)):
                found.append(entry.name)
        return sorted(found)

    def _logs(self) -> list[str]:
        return [n for n in (STDOUT, STDERR) if (self.scratch / n).exists()]

    def keep(self, spool: Path, *, checkpoint: bool) -> Sent:
        """Copy what HTCondor keeps at a checkpoint or at an eviction; commit it when all is there.

        A kept folder replaces the one that was kept before; names that are only in an earlier
        checkpoint stay. When something is missing, nothing of it is kept.
        """
        plan = self.plan
        names = plan.checkpoint_files if checkpoint else None
        if names is None:
            names = plan.outputs
        wanted = self.changed() if names is None else [*names, *self._logs()]
        fresh = spool.with_name(spool.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        sent = send(wanted, self.scratch, lambda name: fresh / name, preserve=plan.preserve_paths)
        if not sent.failures:
            spool.mkdir(exist_ok=True)
            for path in sorted(fresh.iterdir()):
                _overlay(path, spool / path.name, move=True)
        shutil.rmtree(fresh, ignore_errors=True)
        return sent

    def bring_back(self, results: Path, *, failed: bool) -> Sent:
        """Copy the outputs under `results`, laid out like the folder of the description.

        failed: by success_exit_code, so only the logs come back.
        """
        plan = self.plan
        names = self.changed() if plan.outputs is None else [*plan.outputs, *self._logs()]
        if failed:
            names = self._logs()
        out = _Results(plan, results)
        sent = send(names, self.scratch, out.place, preserve=plan.preserve_paths)
        sent.failures += out.failures
        return sent


def _overlay(source: Path, target: Path, *, move: bool = False) -> None:
    """Put a kept file or folder in place of what has its name."""
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    elif os.path.lexists(target):
        target.unlink()
    if move:
        source.rename(target)
    elif source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, -1)
    return (found.st_mtime_ns, found.st_size)


def _can_be_made(folder: Path) -> bool:
    """Whether the user may write there, and so make folders that are missing."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)


@dataclass(slots=True)
class _Results:
    """Where each output goes: transfer_output_remaps, output, error, output_destination."""

    plan: Plan
    results: Path
    failures: list[Failure] = field(default_factory=list)

    def place(self, name: str) -> Path | None:
        logs = {STDOUT: self.plan.stdout, STDERR: self.plan.stderr}
        if name in logs:
            target = logs[name]
        elif self.plan.destination:
            return None
        else:
            target = self._remapped(name)
        if is_url(target):
            return None
        path = self.plan.iwd / target
        number = 0
        if not _can_be_made(path.parent):
            number = errno.EACCES
        elif name in logs and path.is_dir():
            number = errno.EISDIR
        if number:
            self.failures.append(Failure(path, number, reading=False))
            return None
        return inside(self.results, self.plan.job.folder, path)

    def _remapped(self, name: str) -> str:
        """Return the new name: by its own, or by the folder that it is in; again and again."""
        for _ in range(_CYCLE):
            pure = PurePosixPath(name)
            for parent in (pure, *pure.parents):
                target = self.plan.remaps.get(str(parent))
                if target is not None and str(parent) != ".":
                    name = str(PurePosixPath(target) / pure.relative_to(parent))
                    break
            else:
                return name
            if is_url(target):
                return target
        self.failures.append(Failure(Path(name), errno.EPERM, reading=False))
        return name


def inside(results: Path, folder: Path, path: Path) -> Path:
    """Return where under `results` a file of the access point is put.

    As it lies in `folder`; what lies elsewhere goes below `absolute/`.
    """
    absolute = Path(os.path.normpath(folder.absolute() / path))
    home = Path(os.path.normpath(folder.absolute()))
    if absolute.is_relative_to(home):
        return results / absolute.relative_to(home)
    return results / "absolute" / absolute.relative_to(absolute.anchor)
