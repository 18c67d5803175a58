"""The environments that tasks run in: which this machine can run, installed where they are not yet.

What was found out is kept until the manifest, the lock or the environment changes, so that a task
starts without asking again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pixi_scaffold.errors import CheckFailed, ScaffoldError, Skipped
from pixi_scaffold.report import Progress
from pixi_scaffold.system import layout, program
from pixi_scaffold.tasks.activation import Activation
from pixi_scaffold.tasks.graph import TaskIndex
from pixi_scaffold.tasks.kept import digest, keep, read_kept
from pixi_scaffold.workspace import Environment, Platform, Task, Workspace

if TYPE_CHECKING:
    from pixi_scaffold.lock import Lock

_LOCAL = (
    "CONDA_OVERRIDE_CUDA",
    "CONDA_OVERRIDE_GLIBC",
    "CONDA_OVERRIDE_OSX",
    "PIXI_OVERRIDE_PLATFORM",
)

Installing = Callable[[], AbstractContextManager[Progress]]
"""Shows how far an installation is, while it is one."""


@dataclass(slots=True)
class Environments:
    """The environments of a workspace on this machine."""

    workspace: Workspace
    installing: Installing
    known: dict[str, Activation] = field(default_factory=dict)
    """Those that need not be looked at again."""
    frozen: bool = False
    """Whether the lock is taken as it is, without comparing it with the manifest."""

    def index(self, chosen: str | None) -> TaskIndex:
        """Return the tasks of all environments; raises ScaffoldError for an unknown one."""
        if chosen is not None:
            self.workspace.environment(chosen)
        tasks: dict[str, dict[str, Task]] = {}
        runnable, elsewhere = set(), dict[str, list[str]]()
        for environment in self.workspace.environments:
            name = environment.name
            platform, runs = self.platform(environment)
            tasks[name] = {} if platform is None else self.workspace.tasks(environment, platform)
            if runs:
                runnable.add(name)
            for other in self.workspace.environment_platforms(environment):
                for task in self.workspace.tasks(environment, other):
                    if name not in elsewhere.setdefault(task, []):
                        elsewhere[task].append(name)
        places = {task: tuple(names) for task, names in elsewhere.items()}
        return TaskIndex(tasks, frozenset(runnable), places, chosen)

    def platform(self, environment: Environment) -> tuple[Platform | None, bool]:
        """Return the platform whose tasks an environment has here, and whether it runs here."""
        if environment.name in self.known:
            return self.known[environment.name].platform, True
        declared = self.workspace.environment_platforms(environment)
        root, record = self.workspace.root, "platforms.json"
        key = digest(self.workspace.manifest.read_bytes(), *map(os.environ.get, _LOCAL))
        kept = read_kept(root, record, key)
        if environment.name not in kept:
            kept = {e.name: self._detect(e) for e in self.workspace.environments}
            keep(root, record, key, kept)
        name, runs = kept[environment.name]
        return next((p for p in declared if p.name == name), None), bool(runs)

    def _detect(self, environment: Environment) -> tuple[str | None, bool]:
        from pixi_scaffold.environment import host_platform

        declared = self.workspace.environment_platforms(environment)
        try:
            return host_platform(self.workspace, environment.name, None).name, True
        except Skipped:  # its tasks are found all the same, to say why they do not run
            return (declared[0].name if declared else None), not self._needs_packages(environment)

    def _needs_packages(self, environment: Environment) -> bool:
        workspace = self.workspace
        return any(
            workspace.requirements(environment, p) or workspace.pypi(environment, p)
            for p in workspace.environment_platforms(environment)
        )

    def installed(self, name: str) -> Activation:
        """Return an environment, installed from the lock where it is not; raises ScaffoldError."""
        if name not in self.known:
            prefix, platform = self._installed(self.workspace.environment(name))
            self.known[name] = Activation(self.workspace, name, prefix, platform)
        return self.known[name]

    def _installed(self, environment: Environment) -> tuple[Path, Platform]:
        name, workspace = environment.name, self.workspace
        lock, home = self._lock()
        prefix = home / name
        platform, _ = self.platform(environment)
        if not self._needs_packages(environment) and platform is not None:
            return prefix, platform
        record = f"installed-{name}.json"
        key = _installed_key(workspace.manifest, lock, prefix)
        if (kept := read_kept(workspace.root, record, key)) and prefix.is_dir():
            for one in workspace.environment_platforms(environment):
                if one.name == kept["platform"]:
                    return prefix, one
        platform = self._install(name, lock, prefix)
        key = _installed_key(workspace.manifest, lock, prefix)
        keep(workspace.root, record, key, {"platform": platform.name})
        return prefix, platform

    def _lock(self) -> tuple[Path, Path]:
        """Return the lock to install from, and the folder of its environments."""
        from pixi_scaffold.lock import environment_homes

        root = self.workspace.root
        home, starter = environment_homes(root)
        stand_in = root / layout.STARTER / layout.LOCK_FILE
        if not self.workspace.lock_file.is_file() and stand_in.is_file():
            return stand_in, starter
        return self.workspace.lock_file, home

    def _install(self, name: str, lock: Path, prefix: Path) -> Platform:
        from pixi_scaffold.environment import host_platform, install
        from pixi_scaffold.lock import current_lock, environments_folder, read_lock

        workspace, is_own = self.workspace, lock == self.workspace.lock_file
        if is_own:
            environments_folder(workspace.root)  # which may be a link, and that is not there yet
        if is_own and not (self.frozen and lock.is_file()):
            try:
                locked, _ = current_lock(workspace)
            except CheckFailed as error:
                raise ScaffoldError(error.message, error.hint) from error
        else:
            locked = read_lock(lock)
        try:
            host = host_platform(workspace, name, locked)
        except Skipped as error:
            reason, hint = error.reason, error.command
            if not is_own:
                reason = "it is not in the lock that stands in for pixi.lock"
                hint = f"once its channels can be reached: {program()} lock"
            raise ScaffoldError(f"the environment {name}: {reason}", hint) from error
        if not is_own and (lacking := self._lacking(name, locked, host)):
            raise ScaffoldError(
                f"{workspace.manifest.name} asks for {', '.join(lacking)}, which the lock that "
                "stands in for pixi.lock does not have",
                f"once its channels can be reached: {program()} lock",
            )
        with self.installing() as progress:
            progress.update(f"installing {name}")
            install(locked, name, host, prefix, progress)
        return host

    def _lacking(self, name: str, locked: Lock, host: Platform) -> list[str]:
        """Return what the manifest asks for by name and a lock does not have, on one platform."""
        environment = self.workspace.environment(name)
        asked = self.workspace.requirements(environment, host)
        has = {package.name for package in locked.packages(name, host)}
        lacking = [one.name for one in asked if one.name not in has]
        if all(kind == "conda" for kind, _ in locked.urls(name, host) or ()):
            lacking += [one.name for one in self.workspace.pypi(environment, host)
                        if one.name not in has]  # fmt: skip
        return lacking


def _installed_key(manifest: Path, lock: Path, prefix: Path) -> str:
    stamps = map(_stamp, (lock, prefix / "conda-meta"))
    return digest(manifest.read_bytes(), *stamps, *map(os.environ.get, _LOCAL))


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "none"
    return f"{path} {status.st_mtime_ns} {status.st_size if path.is_file() else ''}"
