"""Where on the access point each output of a job goes, and why it cannot go there.

Measured with HTCondor 25.14: folders that an output's new name needs are made, also in place of a
file; a file never takes a folder's place, nor that of a file that may not be written (errno 13);
through a link it goes where the link leads, into a folder that is there (errno 2).
"""

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from pixi_scaffold.rehearsal.plan import JobRun
from pixi_scaffold.rehearsal.transfer import Failure, allowed, is_url
from pixi_scaffold.rehearsal.urls import PLUGIN_FAILED, file_of

STDOUT, STDERR = "_condor_stdout", "_condor_stderr"
ADS = (
    ".job.ad", ".machine.ad", ".update.ad", ".execution_overlay.ad", ".chirp.config", ".docker_sock"
)  # fmt: skip
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
    plugged: dict[Path, int] = field(default_factory=dict)
    """What a plugin writes, and the mode that it then has."""

    def place(self, name: str) -> Path | None:
        """Return where an output is put here; what it is called with, see transfer.Place."""
        logs = {STDOUT: self.plan.stdout, STDERR: self.plan.stderr}
        if name.removeprefix("./") in ADS:
            return None
        if name not in logs and is_url(self.plan.destination):
            url = f"{self.plan.destination}{name}"
            kept = self.results / KEPT / name
            return self._plugged(name, self.by_plugin / name, url) if self.by_plugin else kept
        named = name if name in self.plan.meant.remaps else logs.get(name, name)
        streams = {STDOUT: "stream_output", STDERR: "stream_error"}  # to the access point itself
        streamed = name in logs and self.plan.meaning.of(streams[name]).value
        folder = logs.get(name, "").endswith("/")
        target = logs[name] if streamed or folder else self._remapped(named)
        if target == os.devnull:
            return None
        if is_url(target) and name not in logs:
            return self._plugged(name, file_of(target), target)
        path = self.plan.iwd / target
        number = errno.EPERM if is_url(target) else 0
        if path.parent not in self.folders and not number:
            number = self._why_not(name, target, path)
        if number:
            self.failures.append(Failure(path, number, reading=False))
            return None
        if name.endswith("/") and path.is_file():
            self.folders.add(path)
        return inside(self.results, self.plan.job.folder, path)

    def _plugged(self, name: str, path: Path | None, url: str) -> Path | None:
        """Return where a file is put that a transfer plugin writes."""
        if path is None:
            self.notes.append(f"{name} goes to a URL: not sent from here")
        elif not name.endswith("/") and not (
            path.is_file() and allowed(path, os.W_OK) if path.exists() else path.parent.is_dir()
        ):  # a plugin makes no folder for it
            self.failures.append(Failure(path, PLUGIN_FAILED, reading=False, url=url))
        elif not name.endswith("/"):
            if not self.by_plugin:
                told = "is a file of the worker: here it is one of this machine"
                self.notes.append(f"{url} {told}")
            target = inside(self.results, self.plan.job.folder, path)
            mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else 0o644
            self.plugged[target] = mode
            return target
        return None

    def _why_not(self, name: str, target: str, path: Path) -> int:
        """Return the errno of writing a file, or a folder, there; 0 when that goes."""
        if (number := _why_not(path.parent)) or name.endswith("/"):
            return number
        if path.is_dir() or target.endswith("/"):
            return errno.EISDIR
        if path.is_file():
            return 0 if allowed(path, os.W_OK) else errno.EACCES
        linked = path.is_symlink() and not Path(os.path.realpath(path)).parent.is_dir()
        return errno.ENOENT if linked else 0

    @property
    def by_plugin(self) -> Path | None:
        """Where output_destination is a folder of this machine; HTCondor ignores a plain path."""
        return file_of(self.plan.destination)

    def _remapped(self, name: str) -> str:
        """Return the new name of an output, or of its folder; /dev/null in a cycle.

        What a remap gives is looked up again; a name of which only the folder is new is not
        (25.14.1, on a pool).
        """
        folder, last, changes = name.rstrip("/"), "", 0
        while folder not in ("", "."):
            target = self.plan.meant.remaps.get(folder)
            if target is not None:
                changes, folder = changes + 1, target
            if changes > _CYCLE:
                self.failures.append(Failure(Path(name), errno.EPERM, reading=False))
                return os.devnull
            if target is None:
                folder, slash, part = folder.rpartition("/")
                last = f"{slash}{part}{last}"
            elif is_url(target):
                break
        return f"{folder}{last}"


def inside(results: Path, folder: Path, path: Path) -> Path:
    """Return where under `results` a file of the access point is put.

    As it lies in `folder`; what lies elsewhere goes below `absolute/`.
    """
    absolute = Path(os.path.normpath(folder.absolute() / path))
    home = Path(os.path.normpath(folder.absolute()))
    if absolute.is_relative_to(home):
        return results / absolute.relative_to(home)
    return results / "absolute" / absolute.relative_to(absolute.anchor)
