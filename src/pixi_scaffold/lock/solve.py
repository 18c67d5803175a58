"""One solve: environments of a solve group on one platform, given to the library."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pixi_scaffold.errors import LockError, causes
from pixi_scaffold.lock.channels import channel_url
from pixi_scaffold.lock.current import cutoffs
from pixi_scaffold.lock.explain import repodata_failed
from pixi_scaffold.workspace import Environment, Platform, Requirement, VirtualPackage, Workspace

if TYPE_CHECKING:
    from rattler import Gateway, GenericVirtualPackage, RepoDataRecord

LIMIT = 900.0
"""Seconds that fetching and solving for one platform may take."""


@dataclass(frozen=True, slots=True)
class Solve:
    """One solve: environments of one solve group (or one alone) on one platform."""

    environments: tuple[Environment, ...]
    platform: Platform
    channels: tuple[str, ...]
    specs: tuple[Requirement, ...]
    constraints: tuple[Requirement, ...]
    strategy: str = "highest"
    priority: str = "strict"
    exclude_newer: datetime | None = None

    @property
    def title(self) -> str:
        """Return what the solve is for, as a message names it."""
        return f"{', '.join(e.name for e in self.environments)} on {self.platform.name}"


def problems(workspace: Workspace, channels: Sequence[str] | None = None) -> tuple[Solve, ...]:
    """Return every solve that the manifest asks for.

    channels: URLs in place of the manifest's. Durations in exclude-newer count from now. Raises
    LockError when an environment has two channel priorities.
    """
    moment = datetime.now(UTC)
    solves = []
    for members in dict.fromkeys(workspace.group(e) for e in workspace.environments):
        features = workspace.group_features(members[0])
        priority = workspace.channel_priority(features)
        if priority is None:
            raise LockError(
                f"{', '.join(e.name for e in members)}: its features have several channel "
                "priorities",
                f"name one channel-priority in {workspace.manifest}",
            )
        urls = dict.fromkeys(
            channel_url(c) for c in channels or workspace.environment_channels(members[0])
        )
        whole = Environment("", tuple(f.name for f in features))
        general, _, _ = cutoffs(workspace, members[0], moment)
        for platform in workspace.platforms:
            here = tuple(e for e in members if platform in workspace.environment_platforms(e))
            if here:
                solves.append(
                    Solve(
                        here, platform, tuple(urls),
                        workspace.requirements(whole, platform),
                        workspace.constraints(whole, platform),
                        workspace.solve_strategy(features), priority, general,
                    )
                )  # fmt: skip
    return tuple(solves)


async def names(todo: Sequence[Solve], source: Gateway) -> frozenset[str]:
    """Return the names of all packages in the channels of some solves."""
    channels = list(dict.fromkeys(url for problem in todo for url in problem.channels))
    subdirs = [*dict.fromkeys(problem.platform.subdir for problem in todo), "noarch"]
    names_there = await source.names(channels, subdirs)  # type: ignore[arg-type]
    return frozenset(name.normalized for name in names_there)


async def solve_one(
    problem: Solve, source: Gateway, kept: Sequence[RepoDataRecord]
) -> tuple[RepoDataRecord, ...] | str:
    """Solve one problem; an unsolvable one gives the solver's explanation.

    Raises LockError when a channel cannot be read.
    """
    from rattler import Channel, ChannelPriority, MatchSpec, solve
    from rattler.exceptions import FetchRepoDataError, GatewayError, SolverError

    try:
        async with asyncio.timeout(LIMIT):
            records = await solve(
                [Channel(url) for url in problem.channels],
                [MatchSpec(str(spec)) for spec in (*problem.specs, *_only_queried(problem))],
                gateway=source,
                platforms=[problem.platform.subdir, "noarch"],  # type: ignore[list-item]
                virtual_packages=list(map(_generic, problem.platform.virtual_packages)),
                locked_packages=list(kept),
                constraints=[MatchSpec(str(spec)) for spec in problem.constraints],
                strategy=problem.strategy,  # type: ignore[arg-type]
                channel_priority=getattr(ChannelPriority, problem.priority.capitalize()),
                exclude_newer=problem.exclude_newer,
                timestamp_policy="allow-missing",
            )
    except SolverError as error:
        return str(error).strip()
    except TimeoutError as error:
        raise LockError(
            f"{problem.title}: the channel did not send its data within {LIMIT / 60:g} minutes",
            "try again later, or another mirror",
        ) from error
    except (FetchRepoDataError, GatewayError) as error:
        raise repodata_failed(problem.title, problem.channels, causes(error)) from error
    return tuple(sorted(records, key=lambda r: r.name.normalized))


def _only_queried(problem: Solve) -> Iterator[Requirement]:
    """Yield the constraints as specs that never require anything.

    Pixi gives them to the repodata query, too, which leaves out what does not match: a package then
    comes from the first channel that has it in a version that is allowed. (With lowest-direct they
    would make the package a direct one.)
    """
    if len(problem.channels) < 2 or problem.strategy == "lowest-direct":
        return
    for constraint in problem.constraints:
        yield constraint._replace(fields=(*constraint.fields, ("when", "__never")))


def _generic(package: VirtualPackage) -> GenericVirtualPackage:
    from rattler import GenericVirtualPackage, PackageName, Version
    from rattler.package import BuildString

    version, build = package.for_solver
    return GenericVirtualPackage(PackageName(package.name), Version(version), BuildString(build))
