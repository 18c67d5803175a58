"""The folder that a job runs in: what is put into it, what is kept, and what comes back.

Measured with HTCondor 25.14 (tests/test_rehearsal_judge.py compares): the executable keeps its
name; stdout and stderr are _condor_stdout and _condor_stderr while the job runs; folders that an
output's new name needs are made, also in place of a file; a file never takes a folder's place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pixi_scaffold.rehearsal.plan import JobRun
from pixi_scaffold.rehearsal.transfer import (
    Failure,
    Place,
    Sent,
    Stop,
    allowed,
    copy,
    go_on,
    is_url,
    leads_out,
    of_contents,
    send,
)
from pixi_scaffold.rehearsal.urls import Urls
from pixi_scaffold.system import exists, layout

STDOUT, STDERR = "_condor_stdout", "_condor_stderr"
KEPT = "destination"
"""Folder of the results for what HTCondor would send to the URL of output_destination."""
_OWN = (".job.ad", ".machine.ad")
_CYCLE = 20


@dataclass(slots=True)
class Sandbox:
    """One scratch folder. `root` holds it and what belongs to it (private /tmp)."""

    plan: JobRun
    root: Path
    stop: Stop = go_on
    """Called while files are copied; what it raises ends that."""
    urls: Urls = field(default_factory=Urls)
    catalog: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def scratch(self) -> Path:
        """The job's working folder, _CONDOR_SCRATCH_DIR."""
        return self.root / "scratch"

    @property
    def program(self) -> str:
        """The executable, where it lies; an absolute path is of the worker."""
        executable = self.plan.executable
        name = executable.name if self.plan.transfer_executable else executable
        return str(self.scratch / name)

    @property
    def stdout(self) -> Path | None:
        """The job's output while it runs."""
        return self.scratch / STDOUT if self.plan.stdout else None

    @property
    def stderr(self) -> Path | None:
        """The job's errors while it runs."""
        name = STDOUT if self.same_log else STDERR
        return self.scratch / name if self.plan.stderr else None

    def fill(self, spool: Path, stand_ins: Mapping[str, Path | None]) -> Sent:
        """Make the folder with the executable, the inputs and what was kept in `spool`.

        stand_ins: files that are taken in place of inputs; None leaves one out.
        """
        sent = Sent()
        for name in ("scratch", "tmp", "var-tmp"):
            (self.root / name).mkdir(parents=True)
        self.scratch.chmod(0o700)
        plan = self.plan
        taken = {name: stand_ins.get(name, name) for name in plan.inputs}
        names = [str(path) for path in taken.values() if path is not None]
        names += [plan.stdin] if plan.stdin else []
        fetched = [self.urls.fetch(n, self.scratch, self.stop) for n in names if is_url(n)]
        common = [str(taken[n]) for n in plan.common_inputs if taken[n] is not None]
        sent.add(self._receive(common))
        for name in sent.names:
            path = self.scratch / name
            path.chmod(path.stat().st_mode & ~0o222)
        # a file of the same name takes the place of one that was fetched
        sent.add(self._receive([name for name in names if name not in common]))
        sent.fetched = sum(size for size, _ in fetched)
        sent.failures += [failed for _, failed in fetched if failed]
        self._log_of_events(names)
        if plan.transfer_executable and plan.executable.is_dir():
            (self.scratch / plan.executable.name).mkdir()
        elif plan.transfer_executable:
            executable = [str(plan.executable)]
            sent.add(send(executable, plan.iwd, self._into, preserve=False, stop=self.stop))
            with contextlib.suppress(FileNotFoundError):  # it could not be read
                (self.scratch / plan.executable.name).chmod(0o755)
        if spool.is_dir():
            for path in sorted(spool.iterdir()):
                self._overlay(path, self.scratch / path.name)
        return sent

    def _receive(self, names: list[str]) -> Sent:
        """Copy inputs, but no results of rehearsals that lie among them."""
        plan = self.plan
        results = plan.job.folder / layout.REHEARSALS
        above = results.parent
        lone = above.is_dir() and os.listdir(above) == [results.name]  # noqa: PTH208
        return send(
            names, plan.iwd, self._into, preserve=plan.preserve_paths, stop=self.stop,
            without=above if lone else results,
        )  # fmt: skip

    @property
    def writable(self) -> tuple[Path, ...]:
        """What the job could write to, as it really lies."""
        return tuple(Path(os.path.realpath(p)) for p in (self.scratch, *self.private.values()))

    @property
    def private(self) -> dict[str, Path]:
        """Where the job's own temporary folders really lie."""
        return {"/tmp/": self.root / "tmp", "/var/tmp/": self.root / "var-tmp"}  # noqa: S108

    def _send(self, names: list[str], place: Place) -> Sent:
        """Copy what the job left, wherever it says that it is, but from nowhere else."""
        preserve, private = self.plan.preserve_paths, self.writable
        return send(
            map(self._as_it_lies, names), self.scratch, place, preserve=preserve, stop=self.stop,
            within=private,
        )  # fmt: skip

    def _as_it_lies(self, name: str) -> str:
        for path, real in self.private.items():
            if name.startswith(path):
                return f"{real}/{name.removeprefix(path)}"
        return name

    def _log_of_events(self, names: list[str]) -> None:
        """Make the log that condor_submit makes before anything is sent, in a folder that is."""
        log = self.plan.meaning.of("log").text
        for name in names if log else []:
            path = self.plan.iwd / str(log)
            if of_contents(name) and path.parent.resolve() == (self.plan.iwd / name).resolve():
                (self.scratch / path.name).touch()

    def _into(self, name: str) -> Path:
        return self.scratch / name

    def _overlay(self, source: Path, target: Path) -> None:
        """Put a kept file or folder in place of what has its name."""
        _put_away(target)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=self._copy)
        else:
            self._copy(source, target)

    def _copy(self, source: str | Path, target: str | Path) -> None:
        self.stop()
        copy(Path(source), Path(target), self.stop)

    def open_logs(self) -> None:
        """Make stdout and stderr as HTCondor does: emptied, or continued for a checkpointing job.

        Then note what is there, to know later what is new.
        """
        known = {entry.name for entry in os.scandir(self.scratch)}
        for name, target in ((STDOUT, self.plan.stdout), (STDERR, self.plan.stderr)):
            if target and not (name == STDERR and self.same_log):
                self._open_log(self.scratch / name)
        if not self.catalog:
            self.catalog.update({n: _stamp(self.scratch / n) for n in (*known, *_OWN)})

    def _open_log(self, path: Path) -> None:
        """Make a log, or continue it; what a job put in its place is no log."""
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            _put_away(path)
        with path.open("ab" if self.plan.append else "wb"):
            pass

    @property
    def same_log(self) -> bool:
        """Whether stdout and stderr are one file."""
        return bool(self.plan.stdout) and self.plan.stdout == self.plan.stderr

    def changed(self) -> list[str]:
        """Return the files at the top that are new or changed since the job started."""
        skip, private = {self.plan.executable.name, *_OWN}, self.writable
        changed = []
        for entry in os.scandir(self.scratch):
            if entry.name in skip or entry.is_dir():
                continue
            if entry.is_symlink() and (
                leads_out(Path(entry.path), private) or not exists(Path(entry))
            ):
                continue
            if self.catalog.get(entry.name) != _stamp(Path(entry.path)):
                changed.append(entry.name)
        return sorted(changed)

    def _logs(self) -> list[str]:
        paths = {n: self.scratch / n for n in (STDOUT, STDERR)}
        return [
            n for n, path in paths.items() if exists(path) and not leads_out(path, self.writable)
        ]

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
        sent = self._send(wanted, lambda name: fresh / name)
        if not sent.failures:
            spool.mkdir(exist_ok=True)
            for path in sorted(fresh.iterdir()):
                _put_away(spool / path.name)
                path.rename(spool / path.name)
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
        sent = self._send(names, out.place)
        sent.failures += out.failures
        sent.urls += out.urls
        return sent


def _put_away(target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    elif os.path.lexists(target):
        target.unlink()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return (0, -1)
    return (state.st_mtime_ns, state.st_size)


def _why_not(folder: Path) -> int:
    """Return the errno of making files there, or folders that are missing; 0 when that goes."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return errno.ENOTDIR
    return 0 if allowed(folder, os.W_OK) else errno.EACCES


@dataclass(slots=True)
class _Results:
    """Where each output goes: transfer_output_remaps, output, error, output_destination."""

    plan: JobRun
    results: Path
    failures: list[Failure] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)
    """Those that are made in place of a file."""

    def place(self, name: str) -> Path | None:
        """Return where an output is put here; what it is called with, see transfer.Place."""
        logs = {STDOUT: self.plan.stdout, STDERR: self.plan.stderr}
        if name not in logs and is_url(self.plan.destination) and self._folder is None:
            return self.results / KEPT / name
        named = logs.get(name, name)
        if name in logs and name in self.plan.remaps:
            named = name
        target = self._remapped(named) if self._folder is None else str(self._folder / name)
        if name in logs and self._folder is not None:
            target = named
        if is_url(target):
            self.urls.append(name)
            return None
        path = self.plan.iwd / target
        number = 0 if path.parent in self.folders else _why_not(path.parent)
        if not number and not name.endswith("/") and (path.is_dir() or target.endswith("/")):
            number = errno.EISDIR
        if number:
            self.failures.append(Failure(path, number, reading=False))
            return None
        if name.endswith("/") and path.is_file():
            self.folders.add(path)
        return inside(self.results, self.plan.job.folder, path)

    @property
    def _folder(self) -> Path | None:
        """Where output_destination is a folder of this machine; HTCondor ignores a plain path."""
        scheme, separator, path = self.plan.destination.partition("://")
        return Path(path) if separator and scheme == "file" else None

    def _remapped(self, name: str) -> str:
        """Return the new name: by its own, or by the folder that it is in; again and again."""
        for _ in range(_CYCLE):
            pure = PurePosixPath(name)
            for parent in (pure, *pure.parents):
                target = self.plan.remaps.get(str(parent))
                if target is not None and str(parent) != ".":
                    rest = pure.relative_to(parent)
                    name = str(PurePosixPath(target) / rest) if parent != pure else target
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
