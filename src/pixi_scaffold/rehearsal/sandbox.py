"""The folder that a job runs in: what is put into it, what is kept, and what comes back.

Measured with HTCondor 25.14 (tests/test_rehearsal_judge.py compares): the executable keeps its
name; stdout and stderr are _condor_stdout and _condor_stderr while the job runs.
"""

import contextlib
import errno
import os
import shutil
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pixi_scaffold.rehearsal.isolation import SYSTEM
from pixi_scaffold.rehearsal.plan import JobRun
from pixi_scaffold.rehearsal.results import ADS, STDERR, STDOUT, Results
from pixi_scaffold.rehearsal.transfer import (
    Failure,
    Place,
    Reach,
    Sent,
    Stop,
    go_on,
    is_url,
    of_contents,
    searchable,
    send,
)
from pixi_scaffold.rehearsal.urls import PLUGIN_FAILED, Urls
from pixi_scaffold.system import exists, layout


@dataclass(slots=True)
class Sandbox:
    """One scratch folder. `root` holds it and what belongs to it (private /tmp)."""

    plan: JobRun
    root: Path
    stop: Stop = go_on
    """Called while files are copied; what it raises ends that."""
    urls: Urls = field(default_factory=Urls)
    hidden: tuple[Path, ...] = ()
    """Folders that the job cannot see."""
    catalog: dict[str, tuple[int, int]] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    """What an earlier attempt left."""

    @property
    def scratch(self) -> Path:
        """The job's working folder, _CONDOR_SCRATCH_DIR."""
        return self.root / "scratch"

    @property
    def program(self) -> str:
        """The executable, where it lies; an absolute path is of the worker.

        One in a folder of the inputs is not found there, unless its name begins with `./` (25.14).
        """
        executable = self.plan.executable
        if self.plan.transfer_executable or executable.is_absolute():
            name = executable.name if self.plan.transfer_executable else executable
            return str(self.scratch / name)
        name = self.plan.meant.executable.value  # with the `./` that a Path has not
        in_sight = name.startswith(".") or "/" not in name
        return f"{self.scratch}/{name}" if in_sight else f"{self.root}/none"

    def _make_executable(self) -> None:
        """Let the executable be run, also one that came as an input; it may not have come."""
        plan = self.plan
        if plan.transfer_executable or not plan.executable.is_absolute():
            with contextlib.suppress(FileNotFoundError):
                (self.scratch / plan.executable.name).chmod(0o755)

    @property
    def stdout(self) -> Path | None:
        """The job's output while it runs."""
        return self.scratch / STDOUT if self.plan.stdout else None

    @property
    def stderr(self) -> Path | None:
        """The job's errors while it runs."""
        name = STDOUT if self.same_log else STDERR
        return self.scratch / name if self.plan.stderr else None

    def make(self) -> None:
        """Make its folders."""
        for name in ("scratch", "tmp", "var-tmp"):
            (self.root / name).mkdir(parents=True)
        self.scratch.chmod(0o700)

    def fill(self, spool: Path, stand_ins: Mapping[str, Path | None]) -> Sent:
        """Put in the executable, the inputs and what was kept in `spool`.

        stand_ins: files that are taken in place of inputs; None leaves one out.
        """
        sent = Sent()
        plan = self.plan
        taken = {name: stand_ins.get(name, name) for name in plan.inputs}
        once = Counter(plan.inputs) - Counter(plan.meant.common_inputs.value)
        common, names = (
            [str(taken[name]) for name in listed if taken[name] is not None]
            for listed in (plan.meant.common_inputs.value, once)
        )
        names += [plan.stdin] if plan.stdin else []
        urls = [name for name in (*common, *names) if is_url(name)]
        fetched = [self.urls.fetch(url, self.scratch, self.stop) for url in urls]
        log = self._log_of_events(names)
        # flat whatever preserve_relative_paths says, and for reading: 25.14.1, on a pool
        sent.add(self._receive(common, preserve=False))
        shared = [*sent.names]
        for name in shared:
            path = self.scratch / name
            path.chmod(path.stat().st_mode & ~0o222)
        # a file of the same name takes the place of one that was fetched
        absent = {n for n in log if not (plan.iwd / n).exists()}
        sent.add(self._receive([n for n in names if n not in absent], preserve=plan.preserve_paths))
        for one in fetched:
            sent.add(one)
        for path in log.values():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        if plan.transfer_executable and plan.executable.is_dir():
            (self.scratch / plan.executable.name).mkdir()
        elif plan.transfer_executable:
            sent.add(self._receive([str(plan.executable)], preserve=False))
        self._make_executable()
        again = [self.scratch / name for name in sent.names[len(shared) :] if name in shared]
        sent.failures += [Failure(p, errno.EACCES, reading=False) for p in again if p.is_file()]
        if spool.is_dir():
            for path in sorted(spool.iterdir()):
                self.kept.add(path.name)
                _put_away(self.scratch / path.name)
            send(["./"], spool, self.scratch.joinpath, preserve=False, stop=self.stop)
        return sent

    def _receive(self, names: list[str], *, preserve: bool) -> Sent:
        """Copy inputs, but no results of rehearsals that lie among them."""
        plan = self.plan
        results = plan.job.folder / layout.REHEARSALS
        above = results.parent
        lone = above.is_dir() and os.listdir(above) == [results.name]  # noqa: PTH208
        return send(
            names, plan.iwd, self.scratch.joinpath, preserve=preserve, stop=self.stop,
            without=above if lone else results,
        )  # fmt: skip

    @property
    def writable(self) -> tuple[Path, ...]:
        """What the job could write to, as it really lies."""
        return tuple(Path(os.path.realpath(p)) for p in (self.scratch, *self.private.values()))

    @property
    def reach(self) -> Reach:
        """How far what the job left is followed."""
        return Reach(self.writable, SYSTEM, self.hidden)

    @property
    def private(self) -> dict[str, Path]:
        """Where the job's own temporary folders really lie."""
        return {"/tmp/": self.root / "tmp", "/var/tmp/": self.root / "var-tmp"}  # noqa: S108

    def _send(self, names: list[str], place: Place) -> Sent:
        """Copy what the job left, wherever it says that it is, but from nowhere else."""
        for path, real in self.private.items():
            names = [f"{real}/{n.removeprefix(path)}" if n.startswith(path) else n for n in names]
        preserve = self.plan.preserve_paths
        return send(names, self.scratch, place, preserve=preserve, stop=self.stop, reach=self.reach)

    def _log_of_events(self, names: list[str]) -> dict[str, Path]:
        """Return where the log arrives that condor_submit makes before anything is sent.

        By the input that brings it; empty where none does, or it is there already.
        """
        text = self.plan.meaning.of("log").text
        plan, arrives = self.plan, {}
        log = Path(os.path.realpath(plan.iwd / text))
        for name in names if text and not log.exists() else []:
            source = Path(os.path.realpath(plan.iwd / name))
            if log == source or (log.is_relative_to(source) and (plan.iwd / name).exists()):
                top = Path() if of_contents(name) else Path(source.name)
                arrives[name] = self.scratch / top / log.relative_to(source)
        return arrives

    def open_logs(self) -> None:
        """Make stdout and stderr as HTCondor does: emptied, or continued for a checkpointing job.

        Before that, note what is there, to know later what is new; logs that an eviction brought
        are noted once they are emptied.
        """
        logs = [path.name for path in dict.fromkeys((self.stdout, self.stderr)) if path]
        first = not self.catalog
        if first:
            self.catalog.update({e.name: _stamp(Path(e.path)) for e in os.scandir(self.scratch)})
        for path in (self.scratch / name for name in logs):
            if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
                _put_away(path)  # what a job put in its place is no log
            with path.open("ab" if self.plan.append else "wb"):
                pass
        if first:
            kept = [name for name in logs if name in self.kept]
            self.catalog.update({name: _stamp(self.scratch / name) for name in kept})

    @property
    def same_log(self) -> bool:
        """Whether stdout and stderr are one file."""
        return bool(self.plan.stdout) and self.plan.stdout == self.plan.stderr

    @property
    def core(self) -> Path:
        """Where the starter puts a file `core`, named by the job; it always comes back."""
        return self.scratch / f"core.1.{self.plan.proc}"

    def changed(self) -> list[str]:
        """Return the files at the top that are new or changed since the job started."""
        skip, reach = {self.plan.executable.name, *ADS, STDOUT, STDERR}, self.reach
        changed = []
        for entry in os.scandir(self.scratch) if searchable(self.scratch) else ():
            path = Path(entry.path)
            if entry.name in skip or path.is_dir() or not exists(path):
                continue
            if reach.leads_out(path) and not reach.of_the_system(path):
                continue
            if self.catalog.get(entry.name) != _stamp(path):
                changed.append(entry.name)
        logs = [n for n in self._logs() if self.catalog.get(n) != _stamp(self.scratch / n)]
        return [*sorted(changed), *logs]

    def _logs(self, *, named: bool = False) -> list[str]:
        """Return the logs that are sent: beside named outputs also those that are missing."""
        if not searchable(self.scratch):  # the job took that away from itself
            return []
        streams = {self.stdout: "stream_output", self.stderr: "stream_error"} if named else {}
        due = [path for path, how in streams.items() if not self.plan.meaning.of(how).value]
        paths = [self.scratch / name for name in (STDOUT, STDERR)]
        there = [p for p in paths if exists(p) and not self.reach.leads_out(p)]
        return [path.name for path in paths if path in there or path in due]

    def keep(self, spool: Path, *, checkpoint: bool) -> Sent:
        """Copy what HTCondor keeps at a checkpoint or at an eviction; commit it when all is there.

        A kept folder replaces the one that was kept before; names that are only in an earlier
        checkpoint stay. When something is missing, nothing of it is kept.
        """
        plan = self.plan
        names = plan.meant.checkpoint_files if checkpoint else None
        if names is None:
            names = plan.meant.outputs.value
        wanted = self.changed() if names is None else [*names, *self._logs(named=True)]
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
        names = [*(plan.meant.outputs.value or ()), *self._logs(named=True)]
        if plan.meant.outputs.value is None:
            names = self.changed()
        if self.core.exists() and self.core.name not in names:
            names.append(self.core.name)
        if failed:
            names = self._logs()
        to_url = {f"{n}/" for n, target in plan.meant.remaps.items() if is_url(target)}
        plugged = is_url(plan.destination)
        names = [n[:-1] if n in to_url or (plugged and n[-1:] == "/") else n for n in names]
        out = Results(plan, results)
        sent = self._send(names, out.place)
        for path, mode in out.plugged.items():
            if path.is_file():
                path.chmod(mode)
        if out.by_plugin:  # which could not read it
            sent.failures = [replace(f, number=PLUGIN_FAILED) for f in sent.failures]
        sent.failures += out.failures
        sent.notes += out.notes
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
