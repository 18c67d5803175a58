"""Read a lock file, any format that the library knows, and say where it and a manifest part."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pixi_scaffold.errors import LockError, UnsupportedError
from pixi_scaffold.system import program
from pixi_scaffold.workspace import (
    Environment,
    Platform,
    VirtualPackage,
    Workspace,
    platform_identity,
)

if TYPE_CHECKING:
    from rattler import MatchSpec, PackageRecord, RepoDataRecord

FORMAT = 7
"""The newest lock format that is read, and the one that is written (Pixi 0.68 and newer)."""

Identity = tuple[str, tuple[str, ...]]
"""What a platform is matched by: subdir and the virtual packages that are not Pixi's defaults."""


@dataclass(frozen=True, slots=True)
class LockedEnvironment:
    """One environment of a lock: channel URLs by priority, conda records by platform.

    foreign: packages that are not conda packages from a channel (PyPI, built from source).
    options: solve options that are not the defaults.
    """

    channels: tuple[str, ...]
    records: Mapping[Identity, tuple[RepoDataRecord, ...]]
    foreign: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


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
    from rattler.lock import CondaLockedBinaryPackage

    if path.exists() and not path.is_file():
        raise LockError(f"{path} is not a file", f"move it away, then: {program()} lock")
    if not path.is_file():
        raise LockError(f"there is no {path}", f"make it: {program()} lock")
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
            f"cannot read {path}: {error}", f"make it anew: {program()} lock --upgrade"
        ) from error
    options = _options(path)
    environments: dict[str, LockedEnvironment] = {}
    for name, environment in file.environments():
        records: dict[Identity, tuple[RepoDataRecord, ...]] = {}
        foreign: list[str] = []
        for platform in environment.platforms():
            packages = environment.packages(platform) or []
            identity = platform_identity(str(platform.subdir), platform.virtual_packages)
            records[identity] = tuple(
                p.repo_data_record() for p in packages if isinstance(p, CondaLockedBinaryPackage)
            )
            foreign += [p.name for p in packages if not isinstance(p, CondaLockedBinaryPackage)]
        channels = tuple(_slash(str(c)) for c in environment.channels())
        environments[name] = LockedEnvironment(
            channels, records, tuple(dict.fromkeys(foreign)), options.get(name, ())
        )
    return Lock(path, number, environments)


def _options(path: Path) -> dict[str, tuple[str, ...]]:
    """Return each environment's solve options that are not Pixi's defaults.

    py-rattler does not show them, so only the head of the file is read, as YAML.
    """
    head: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("packages:"):
                break
            if not line.lstrip().startswith(("- conda:", "- pypi:", "- source:")):
                head.append(line)
    try:
        environments = (_read_yaml("".join(head)) or {}).get("environments") or {}
    except (yaml.YAMLError, AttributeError):
        return {}
    defaults = {
        "strategy": "highest",
        "channel-priority": "strict",
        "pypi-prerelease-mode": "if-necessary-or-explicit",
    }
    found = {}
    for name, environment in environments.items():
        options = (environment or {}).get("options") or {}
        found[name] = tuple(f"{k}: {v}" for k, v in options.items() if defaults.get(k) != v)
    return found


def _read_yaml(text: str) -> Any:
    """Read YAML by the parser in C where PyYAML has it: ten times as fast."""
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506


def lock_format(path: Path) -> int:
    """Return the number in the `version:` line; raises LockError when there is none."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if found := re.match(r"version:\s*(\d+)\s*$", line):
                return int(found[1])
    raise LockError(
        f"{path} is not a Pixi lock file: it has no version line",
        f"make it anew: {program()} lock --upgrade",
    )


def unsatisfied(workspace: Workspace, lock: Lock) -> list[str]:
    """Return why `lock` no longer serves the manifest, one line each; empty when it does.

    Needs no network: what Pixi compares when it decides to solve anew (docs, lock compatibility).
    Raises UnsupportedError when the manifest needs Pixi itself to judge.
    """
    refuse_unsupported(workspace)
    check_specs(workspace)
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
        problems += [f"{environment.name}: solved with {option}" for option in locked.options]
        problems += [
            f"{environment.name}: {name} is locked, but it is no conda package of a channel"
            for name in locked.foreign
        ]
        problems += _environment_problems(workspace, environment, locked)
    return problems


def _environment_problems(
    workspace: Workspace, environment: Environment, locked: LockedEnvironment
) -> Iterator[str]:
    platforms = workspace.environment_platforms(environment)
    known = {p.identity for p in platforms}
    for subdir, extra in locked.records:
        if locked.records[subdir, extra] and (subdir, extra) not in known:
            what = f"{subdir} with {', '.join(extra)}" if extra else subdir
            yield f"{environment.name}: {what} is locked, but not one of its platforms"
    for platform in platforms:
        where = f"{environment.name} on {platform.name}"
        records = locked.records.get(platform.identity)
        if records is None and workspace.requirements(environment, platform):
            yield f"{where}: not locked"
            continue
        # Without requirements there is nothing to lock, and Pixi accepts a missing row.
        for problem in _platform_problems(workspace, environment, platform, records or ()):
            yield f"{where}: {problem}"
        for record in records or ():
            if not record.url.startswith(locked.channels):
                yield f"{where}: {record.name.normalized} is locked from {record.url}"


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
        elif not record.matches(spec) or not from_channel(record, spec):
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


def from_channel(record: PackageRecord, spec: MatchSpec) -> bool:
    """Whether the record is from the channel that a spec names; `matches` does not look."""
    if spec.channel is None:
        return True
    return str(getattr(record, "url", "")).startswith(_slash(spec.channel.base_url))


def check_specs(workspace: Workspace) -> None:
    """Raise LockError naming the first requirement or virtual package that is not valid."""
    from rattler import MatchSpec

    for platform in workspace.platforms:
        for package in platform.declared:
            try:
                virtual_record(package, platform.subdir)
                if package.name == "__archspec" and not package.build:
                    raise ValueError("an archspec needs a name")
            except Exception as error:  # several kinds, no common base
                raise LockError(
                    f"the platform {platform.name} declares {package.name} {package.version!r}, "
                    f"which is not valid: {error}",
                    f"correct it in {workspace.manifest}",
                ) from error
    for environment in workspace.environments:
        for platform in workspace.environment_platforms(environment):
            wanted = workspace.requirements(environment, platform)
            for spec in (*wanted, *workspace.constraints(environment, platform)):
                try:
                    MatchSpec(str(spec))
                except Exception as error:  # several kinds, no common base
                    raise LockError(
                        f"{environment.name} on {platform.name}: {spec} is not a valid "
                        f"requirement: {error}",
                        f"correct it in {workspace.manifest}",
                    ) from error


def virtual_record(package: VirtualPackage, subdir: str) -> PackageRecord:
    """Return a virtual package as a record that a match spec can be held against."""
    from rattler import BuildString, PackageRecord

    version, build = package.for_solver
    return PackageRecord(
        name=package.name,
        version=version,
        build=BuildString(build),
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
