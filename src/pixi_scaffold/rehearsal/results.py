"""Where on the access point each output of a job goes, and why it cannot go there.

Measured with HTCondor 25.14: folders that an output's new name needs are made, also in place of a
file; a file never takes a folder's place, nor that of a file that may not be written (errno 13);
through a link it goes where the link leads, into a folder that is there (errno 2).
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pixi_scaffold.rehearsal.plan import JobRun
from pixi_scaffold.rehearsal.transfer import Failure, allowed, is_url
from pixi_scaffold.rehearsal.urls import PLUGIN_FAILED, file_of

STDOUT, STDERR = "_condor_stdout", "_condor_stderr"
ADS = (".job.ad", ".machine.ad")
"""Files of the sandbox that never come back."""
KEPT = "destination"
"""Folder of the results for what HTCondor would send to the URL of output_destination."""
_CYCLE = 20


def _why_not(folder: Path) -> int:
    """Return the errno of making files there, or folders that are missing; 0 when that goes."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return errno.ENOTDIR
    return 0 if allowed(folder, os.W_OK) else errno.EACCES


@dataclass(slots=True)
class Results:
    """Where each output goes: transfer_output_remaps, output, error, output_destination."""

    plan: JobRun
    results: Path
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
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
        if target in ("", os.devnull) or name in ADS:
            return None
        path = file_of(target) or self.plan.iwd / target
        if is_url(target) and path.parent.is_dir():
            self.notes.append(f"{target} is a file of the worker: here it is one of this machine")
        elif is_url(target) and file_of(target):
            self.failures.append(Failure(path, PLUGIN_FAILED, reading=False, url=target))
            return None
        elif is_url(target):
            self.notes.append(f"{name} goes to a URL: not sent from here")
            return None
        if number := 0 if path.parent in self.folders else self._why_not(name, target, path):
            self.failures.append(Failure(path, number, reading=False))
            return None
        if name.endswith("/") and path.is_file():
            self.folders.add(path)
        return inside(self.results, self.plan.job.folder, path)

    def _why_not(self, name: str, target: str, path: Path) -> int:
        """Return the errno of writing a file, or a folder, there; 0 when that goes."""
        if number := _why_not(path.parent):
            return number
        if name.endswith("/"):
            return 0
        if path.is_dir() or target.endswith("/"):
            return errno.EISDIR
        if path.is_file():
            return 0 if allowed(path, os.W_OK) else errno.EACCES
        linked = path.is_symlink() and not Path(os.path.realpath(path)).parent.is_dir()
        return errno.ENOENT if linked else 0

    @property
    def _folder(self) -> Path | None:
        """Where output_destination is a folder of this machine; HTCondor ignores a plain path."""
        return file_of(self.plan.destination)

    def _remapped(self, name: str) -> str:
        """Return the new name: by its own, or by its folder, again and again; empty for a cycle."""
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
        return ""


def inside(results: Path, folder: Path, path: Path) -> Path:
    """Return where under `results` a file of the access point is put.

    As it lies in `folder`; what lies elsewhere goes below `absolute/`.
    """
    absolute = Path(os.path.normpath(folder.absolute() / path))
    home = Path(os.path.normpath(folder.absolute()))
    if absolute.is_relative_to(home):
        return results / absolute.relative_to(home)
    return results / "absolute" / absolute.relative_to(absolute.anchor)
