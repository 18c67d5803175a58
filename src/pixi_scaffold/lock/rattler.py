"""The embedded engine: solve and write pixi.lock with py-rattler, the library under Pixi."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixi_scaffold.errors import LockError
from pixi_scaffold.lock.engine import Locked
from pixi_scaffold.lock.file import (
    FORMAT,
    Lock,
    channel_url,
    check_specs,
    from_channel,
    lock_format,
    read_lock,
    refuse_unsupported,
)
from pixi_scaffold.report import Progress
from pixi_scaffold.workspace import Environment, Platform, VirtualPackage, Workspace

if TYPE_CHECKING:
    from rattler import Gateway, GenericVirtualPackage, RepoDataRecord


@dataclass(frozen=True, slots=True)
class Problem:
    """One solve: environments of one solve group (or one alone) on one platform."""

    environments: tuple[Environment, ...]
    platform: Platform
    channels: tuple[str, ...]
    specs: tuple[str, ...]
    constraints: tuple[str, ...]

    @property
    def title(self) -> str:
        """Return what the solve is for, as a message names it."""
        return f"{', '.join(e.name for e in self.environments)} on {self.platform.name}"


def problems(workspace: Workspace, channels: Sequence[str] | None = None) -> tuple[Problem, ...]:
    """Return every solve that the manifest asks for; pure.

    channels: URLs in place of the manifest's.
    """
    groups: dict[str, list[Environment]] = {}
    for environment in workspace.environments:
        key = f"group {environment.solve_group}" if environment.solve_group else environment.name
        groups.setdefault(key, []).append(environment)
    found = []
    for members in groups.values():
        for platform in workspace.platforms:
            here = tuple(e for e in members if platform in workspace.environment_platforms(e))
            if not here:
                continue
            urls: dict[str, None] = {}
            specs: dict[str, None] = {}
            limits: dict[str, None] = {}
            for environment in here:
                for channel in channels or workspace.environment_channels(environment):
                    urls[channel_url(channel)] = None
                specs |= dict.fromkeys(map(str, workspace.requirements(environment, platform)))
                limits |= dict.fromkeys(map(str, workspace.constraints(environment, platform)))
            found.append(Problem(here, platform, tuple(urls), tuple(specs), tuple(limits)))
    return tuple(found)


class RattlerEngine:
    """Solves all platforms at once with the user's Pixi configuration."""

    name = "rattler"

    def lock(
        self,
        workspace: Workspace,
        path: Path,
        progress: Progress,
        *,
        channels: Sequence[str] | None = None,
        upgrade: bool = False,
    ) -> Locked:
        """Lock with py-rattler; see Engine.lock."""
        refuse_unsupported(workspace)
        check_specs(workspace)
        path = path.resolve()  # through a symbolic link, which stays
        old = _old_lock(path, upgrade)
        todo = problems(workspace, channels)
        answers = asyncio.run(_solve_all(todo, old, progress))
        solved: dict[tuple[str, str], tuple[RepoDataRecord, ...]] = {}
        skipped: list[tuple[str, str]] = []
        failures: list[str] = []
        for problem, answer in zip(todo, answers, strict=True):
            if isinstance(answer, str):
                if channels is None:
                    failures.append(f"{problem.title}:\n{_indent(answer)}")
                else:
                    skipped.append((problem.title, answer))
                continue
            for environment in problem.environments:
                own = workspace.requirements(environment, problem.platform)
                kept = _closure((r.name for r in own), answer)
                if kept:  # Pixi accepts a missing row where nothing is required
                    solved[environment.name, problem.platform.name] = kept
        if failures or (skipped and not solved):
            raise LockError(
                "no lock was written: the solver found no solution for\n"
                + "\n".join(failures or [f"{t}:\n{_indent(w)}" for t, w in skipped]),
                f"loosen one of these requirements in {workspace.manifest}",
            )
        changed = _write(workspace, path, solved, channels)
        names = {name for _, name in solved}
        return Locked(
            path,
            changed,
            packages=len({r.url for records in solved.values() for r in records}),
            platforms=tuple(p.name for p in workspace.platforms if p.name in names),
            skipped=tuple(skipped),
        )


def gateway() -> Gateway:
    """Return the source of repodata, set up by the files that Pixi reads.

    Mirrors, proxies, TLS and credentials; raises LockError when one of the files is broken.
    """
    from rattler import Config, Gateway

    try:
        return Gateway.from_config(Config.load_from_default_locations("pixi"))
    except Exception as error:  # several kinds, no common base
        raise LockError(
            f"the Pixi configuration cannot be used: {error}",
            "correct it, see: pixi config list",
        ) from error


def _old_lock(path: Path, upgrade: bool) -> Lock | None:
    """Return the lock whose versions are kept; a newer format is never overwritten."""
    if not path.exists():
        return None
    if not upgrade:
        return read_lock(path)
    try:
        number = lock_format(path)
    except LockError:  # damaged: that is what an upgrade is for
        return None
    return read_lock(path) if number > FORMAT else None  # raises with the reason


async def _solve_all(
    todo: Sequence[Problem], old: Lock | None, progress: Progress
) -> list[tuple[RepoDataRecord, ...] | str]:
    """Solve concurrently; an unsolvable problem gives the solver's explanation in its place."""
    source = gateway()
    done = 0

    async def one(problem: Problem) -> tuple[RepoDataRecord, ...] | str:
        nonlocal done
        answer = await _solve(problem, source, old)
        done += 1
        progress.update(f"solved {problem.title}", done / len(todo))
        return answer

    progress.update(f"solving {len(todo)} combinations of environment and platform", 0.0)
    return await asyncio.gather(*(one(problem) for problem in todo))


async def _solve(
    problem: Problem, source: Gateway, old: Lock | None
) -> tuple[RepoDataRecord, ...] | str:
    from rattler import Channel, MatchSpec, solve
    from rattler.exceptions import SolverError

    specs: dict[str, list[MatchSpec]] = {}
    for spec in map(MatchSpec, problem.specs):
        specs.setdefault(spec.name.normalized, []).append(spec)
    locked: dict[str, RepoDataRecord] = {}
    for environment in problem.environments:
        for record in (old and old.records(environment.name, problem.platform)) or ():
            # One from a channel that is gone would be kept without being looked for.
            wanted = specs.get(record.name.normalized, ())
            if record.url.startswith(problem.channels) and all(
                from_channel(record, spec) for spec in wanted
            ):
                locked.setdefault(record.name.normalized, record)
    try:
        records = await solve(
            [Channel(url) for url in problem.channels],
            problem.specs,
            gateway=source,
            platforms=[problem.platform.subdir, "noarch"],  # type: ignore[list-item]
            virtual_packages=[_generic(p) for p in problem.platform.virtual_packages],
            locked_packages=list(locked.values()),
            constraints=problem.constraints,
        )
    except SolverError as error:
        return str(error).strip()
    except Exception as error:  # fetching: GatewayError and others without a common base
        raise LockError(
            f"{problem.title}: the channel failed: {error}",
            "check the network and the channel, then try again",
        ) from error
    return tuple(sorted(records, key=lambda r: r.name.normalized))


def _generic(package: VirtualPackage) -> GenericVirtualPackage:
    from rattler import GenericVirtualPackage, PackageName, Version
    from rattler.package import BuildString

    version, build = package.for_solver
    return GenericVirtualPackage(PackageName(package.name), Version(version), BuildString(build))


def _closure(names: Iterable[str], records: Sequence[RepoDataRecord]) -> tuple[RepoDataRecord, ...]:
    """Return the records that `names` need, directly or not: Pixi calls any other one stale."""
    from rattler import MatchSpec

    by_name = {r.name.normalized: r for r in records}
    reached: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in reached or name not in by_name:  # a virtual package has no record
            continue
        reached.add(name)
        todo += [MatchSpec(d).name.normalized for d in by_name[name].depends]
    return tuple(r for r in records if r.name.normalized in reached)


def _write(
    workspace: Workspace,
    path: Path,
    solved: dict[tuple[str, str], tuple[RepoDataRecord, ...]],
    channels: Sequence[str] | None,
) -> bool:
    """Write the lock beside `path` and swap it in; return whether its bytes changed."""
    from rattler import LockChannel, LockFile, LockPlatform, Subdir

    names = {name for _, name in solved}
    platforms = {
        p.name: LockPlatform(p.name, Subdir(p.subdir), [str(v) for v in p.virtual_packages])
        for p in workspace.platforms
        if p.name in names or channels is None
    }
    file = LockFile(list(platforms.values()))
    for environment in workspace.environments:
        urls = channels or workspace.environment_channels(environment)
        file.set_channels(environment.name, [LockChannel(channel_url(c)) for c in urls])
    for (environment_name, platform_name), records in solved.items():
        for record in records:
            file.add_conda_package(environment_name, platforms[platform_name], record)
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        file.to_path(temporary)
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        new = temporary.read_bytes()
        if path.exists() and path.read_bytes() == new:
            return False
        temporary.replace(path)
        return True
    finally:
        temporary.unlink(missing_ok=True)


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
