"""Read a lock file, any format that the library knows, and say where it and a manifest part."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixi_scaffold.errors import LockError, UnsupportedError
from pixi_scaffold.workspace import (
    Environment,
    Platform,
    VirtualPackage,
    Workspace,
    platform_identity,
)

if TYPE_CHECKING:
    from rattler import PackageRecord, RepoDataRecord

FORMAT = 7
"""The newest lock format that is read, and the one that is written (Pixi 0.68 and newer)."""

Identity = tuple[str, tuple[str, ...]]
"""What a platform is matched by: subdir and the virtual packages that are not Pixi's defaults."""


@dataclass(frozen=True, slots=True)
class LockedEnvironment:
    """One environment of a lock: channel URLs by priority, conda records by platform.

    pypi: the platforms of this environment that also lock PyPI packages.
    """

    channels: tuple[str, ...]
    records: Mapping[Identity, tuple[RepoDataRecord, ...]]
    pypi: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file as read: its format and its environments."""

    path: Path
    format: int
    environments: Mapping[str, LockedEnvironment]

    def records(self, environment: str, platform: Platform) -> tuple[RepoDataRecord, ...] | None:
        """Return the packages of one environment on one platform; None when it has no row."""
        found = self.environments.get(environment)
        return None if found is None else found.records.get(platform.identity)

    @property
    def package_count(self) -> int:
        """How many different packages the lock names."""
        return len(
            {
                record.url
                for environment in self.environments.values()
                for records in environment.records.values()
                for record in records
            }
        )


def read_lock(path: Path) -> Lock:
    """Read a lock file of format 1 to 7.

    Raises LockError when it is missing, damaged, or of a format newer than FORMAT.
    """
    from rattler import LockFile
    from rattler.lock import CondaLockedBinaryPackage, PypiLockedPackage

    if not path.is_file():
        raise LockError(f"there is no {path}", "make it: pixi-scaffold lock")
    try:
        number = lock_format(path)
        if number > FORMAT:
            raise LockError(
                f"{path} has lock format {number}, newer than format {FORMAT} that this version "
                "of pixi-scaffold reads",
                "upgrade pixi-scaffold: uv tool upgrade pixi-scaffold (or pipx, pip)",
            )
        file = LockFile.from_path(path)
    except LockError:
        raise
    except Exception as error:  # the library has several, without a common base
        raise LockError(
            f"cannot read {path}: {error}", "make it anew: pixi-scaffold lock --upgrade"
        ) from error
    environments: dict[str, LockedEnvironment] = {}
    for name, environment in file.environments():
        records: dict[Identity, tuple[RepoDataRecord, ...]] = {}
        pypi: list[str] = []
        for platform in environment.platforms():
            packages = environment.packages(platform) or []
            identity = platform_identity(str(platform.subdir), platform.virtual_packages)
            records[identity] = tuple(
                p.repo_data_record() for p in packages if isinstance(p, CondaLockedBinaryPackage)
            )
            if any(isinstance(p, PypiLockedPackage) for p in packages):
                pypi.append(platform.name)
        channels = tuple(_slash(str(c)) for c in environment.channels())
        environments[name] = LockedEnvironment(channels, records, tuple(pypi))
    return Lock(path, number, environments)


def lock_format(path: Path) -> int:
    """Return the number in the `version:` line; raises LockError when there is none."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if found := re.match(r"version:\s*(\d+)\s*$", line):
                return int(found[1])
    raise LockError(
        f"{path} is not a Pixi lock file: it has no version line",
        "make it anew: pixi-scaffold lock --upgrade",
    )


def unsatisfied(workspace: Workspace, lock: Lock) -> list[str]:
    """Return why `lock` no longer serves the manifest, one line each; empty when it does.

    Needs no network: what Pixi compares when it decides to solve anew (docs, lock compatibility).
    Raises UnsupportedError when the manifest needs Pixi itself to judge.
    """
    refuse_unsupported(workspace)
    problems: list[str] = []
    wanted = {e.name for e in workspace.environments}
    for name in lock.environments:
        if name not in wanted:
            problems.append(f"environment {name} is locked, but not in the manifest")
    for environment in workspace.environments:
        locked = lock.environments.get(environment.name)
        if locked is None:
            problems.append(f"environment {environment.name} is not locked")
            continue
        channels = tuple(channel_url(c) for c in workspace.environment_channels(environment))
        if channels != locked.channels:
            problems.append(
                f"environment {environment.name} is locked from {', '.join(locked.channels)}; "
                f"the manifest says {', '.join(channels)}"
            )
        problems += _environment_problems(workspace, environment, locked)
    return problems


def _environment_problems(
    workspace: Workspace, environment: Environment, locked: LockedEnvironment
) -> Iterator[str]:
    platforms = workspace.environment_platforms(environment)
    known = {p.identity for p in platforms}
    for subdir, extra in locked.records:
        if (subdir, extra) not in known:
            what = f"{subdir} with {', '.join(extra)}" if extra else subdir
            yield f"{environment.name}: {what} is locked, but not one of its platforms"
    for platform in platforms:
        records = locked.records.get(platform.identity)
        where = f"{environment.name} on {platform.name}"
        if records is None:
            yield f"{where}: not locked"
        else:
            for problem in _platform_problems(workspace, environment, platform, records):
                yield f"{where}: {problem}"


def _platform_problems(
    workspace: Workspace,
    environment: Environment,
    platform: Platform,
    records: tuple[RepoDataRecord, ...],
) -> Iterator[str]:
    from rattler import MatchSpec

    have: dict[str, PackageRecord] = {r.name.normalized: r for r in records}
    have |= {p.name: virtual_record(p, platform.subdir) for p in platform.virtual_packages}
    reached: set[str] = set()
    todo = [(str(r), "the manifest") for r in workspace.requirements(environment, platform)]
    while todo:
        text, origin = todo.pop()
        spec = MatchSpec(text)
        name = spec.name.normalized
        record = have.get(name)
        if record is None:
            yield f"{origin} asks for {spec}, which is not locked"
        elif not record.matches(spec):
            yield f"{origin} asks for {spec}, but {name} {record.version} is locked"
        if record is not None and name not in reached:
            reached.add(name)
            todo += [(dependency, name) for dependency in record.depends]
    for constraint in workspace.constraints(environment, platform):
        record = have.get(constraint.name)
        if record is not None and not record.matches(MatchSpec(str(constraint))):
            yield f"the manifest allows only {constraint}, but {record.version} is locked"
    for name in sorted(set(have) - reached):
        if not name.startswith("__"):
            yield f"{name} is locked, but nothing asks for it"


def virtual_record(package: VirtualPackage, subdir: str) -> PackageRecord:
    """Return a virtual package as a record that a match spec can be held against.

    In a lock, `__archspec` has version 0; a solver sees version 1 (rattler_virtual_packages).
    """
    from rattler import BuildString, PackageRecord

    version = "1" if package.name == "__archspec" else package.version
    return PackageRecord(
        name=package.name,
        version=version,
        build=BuildString(package.build or "0"),
        build_number=0,
        subdir=subdir,
        arch=None,
        platform=None,
    )


def channel_url(channel: str) -> str:
    """Return the URL of a channel name, path or URL, with a slash at the end.

    Raises LockError when it is none of them.
    """
    from rattler import Channel
    from rattler.exceptions import InvalidChannelError

    try:
        return _slash(Channel(channel).base_url)
    except (InvalidChannelError, ValueError) as error:
        raise LockError(
            f"{channel!r} is not a conda channel: {error}",
            "use a name (conda-forge), an https URL, or a folder",
        ) from error


def refuse_unsupported(workspace: Workspace) -> None:
    """Raise UnsupportedError naming everything in the manifest that only Pixi can handle."""
    if workspace.unsupported:
        names = "\n".join(f"  {name}" for name in workspace.unsupported)
        raise UnsupportedError(
            f"{workspace.manifest} uses what only Pixi itself can lock:\n{names}",
            "install Pixi (https://pixi.sh), then: pixi lock",
        )


def _slash(url: str) -> str:
    return url if url.endswith("/") else url + "/"
