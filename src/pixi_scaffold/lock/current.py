"""Say where a lock and its manifest part, by Pixi's rules (pure; needs no network).

crates/pixi_core/src/lock_file: outdated.rs and satisfiability/.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product

from pixi_scaffold.lock.channels import channel_url, slash
from pixi_scaffold.lock.file import FORMAT, Lock
from pixi_scaffold.lock.layout import LockedEnvironment
from pixi_scaffold.lock.matching import Matcher, check_specs
from pixi_scaffold.lock.pypi import PRERELEASE, PypiComparison, twice
from pixi_scaffold.lock.specs import refuse_sources
from pixi_scaffold.workspace import Environment, Platform, Workspace, cutoff, platform_identity

Problem = tuple[str, *tuple[set[str], ...]]
STRATEGY = {
    "highest": "highest",
    "lowest": "lowest-version",
    "lowest-direct": "lowest-version-direct",
}
"""A strategy's name in a manifest and in a lock."""


def options_of(
    workspace: Workspace, environment: Environment, *, of_group: bool
) -> tuple[tuple[str, str, str], ...]:
    """Return each option that a lock can have of an environment: its key, value and default.

    of_group: what the whole solve group says, which is written; Pixi compares the environment's.
    """
    own_features = tuple(workspace.features[name] for name in environment.features)
    features = workspace.group_features(environment) if of_group else own_features
    mode = workspace.environment_pypi_options(environment).prerelease_mode
    return (
        ("strategy", STRATEGY[workspace.solve_strategy(features)], "highest"),
        ("channel-priority", workspace.channel_priority(features) or "strict", "strict"),
        ("pypi-prerelease-mode", mode or PRERELEASE, PRERELEASE),
    )


def unsatisfied(workspace: Workspace, lock: Lock) -> list[str]:
    """Return why `lock` no longer serves the manifest, one line each; empty when it does.

    Raises UnsupportedError when the manifest needs Pixi itself to judge.
    """
    return compare(workspace, lock).problems


def serves(workspace: Workspace, lock: Lock) -> bool:
    """Whether a lock is current and as new as can be: Pixi does not touch it then (update.rs)."""
    return lock.format == FORMAT and not unsatisfied(workspace, lock)


def compare(workspace: Workspace, lock: Lock, now: datetime | None = None) -> LockComparison:
    """Compare a lock with its manifest.

    now: the moment that durations in exclude-newer count from. Raises UnsupportedError and
    LockError, when the manifest needs Pixi itself to judge or the lock is damaged.
    """
    refuse_sources(workspace)
    check_specs(workspace)
    return LockComparison(workspace, lock.aligned(workspace), now or datetime.now(UTC))


@dataclass(slots=True)
class LockComparison:
    """How a lock and a manifest compare; parsed specs and records are shared by all rows."""

    workspace: Workspace
    lock: Lock
    now: datetime
    problems: list[str] = field(default_factory=list)
    """Why the lock is not current, one line each."""
    notes: list[str] = field(default_factory=list)
    """What is worth saying of a lock that is."""
    outdated: set[tuple[str, str]] = field(default_factory=set)
    """(environment, platform) pairs to be solved again."""
    discarded: set[str] = field(default_factory=set)
    """Environments of which no version is kept then."""
    discarded_wheels: set[str] = field(default_factory=set)
    """Those of which none from PyPI is kept."""
    matcher: Matcher = field(default_factory=Matcher)
    pypi: PypiComparison = field(init=False)
    elsewhere: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pypi = PypiComparison(self.workspace, self.lock)
        wanted = {e.name for e in self.workspace.environments}
        for name in self.lock.environments:
            if name not in wanted:
                self.problems.append(f"environment {name} is locked, but not in the manifest")
        for environment in self.workspace.environments:
            self.environment(environment)
        self.spread_over_groups()
        self.inconsistent_groups()
        for name, platform, text in self.pypi.only_for_pypi(self.outdated):
            self.problems.append(text)
            self.outdated.add((name, platform))
        self.spread_over_groups()
        if self.pypi.unjudged:
            names = ", ".join(self.pypi.unjudged)
            self.notes.append(f"not compared: {names}; only Pixi judges where those come from")
        if self.elsewhere:
            names = ", ".join(list(self.elsewhere)[:3])
            more = " ..." if len(self.elsewhere) > 3 else ""
            self.notes.append(
                f"from another host than the channels, which Pixi does not mind: {names}{more}"
            )
        if self.lock.format < FORMAT:
            self.notes.append(
                f"pixi.lock has format {self.lock.format}: Pixi rewrites it as {FORMAT} when it can"
            )

    def environment(self, environment: Environment) -> None:
        """Compare one environment, row by row."""
        name = environment.name
        platforms = self.workspace.environment_platforms(environment)
        locked = self.lock.environments.get(name)
        if locked is None:
            self.problems.append(f"environment {name} is not locked")
            self.outdated |= {(name, p.name) for p in platforms}
            return
        if problem := self.environment_problem(environment, locked, platforms):
            text, *lost = problem
            self.problems.append(text)
            self.outdated |= {(name, p.name) for p in platforms}
            for names in lost:
                names.add(name)
            if name in self.discarded:
                return
        for platform in platforms:
            problems = list(self.platform_problems(environment, platform))
            if problems:
                self.problems += [f"{name} on {platform.name}: {text}" for text in problems]
                self.outdated.add((name, platform.name))

    def environment_problem(
        self, environment: Environment, locked: LockedEnvironment, platforms: tuple[Platform, ...]
    ) -> Problem | None:
        """Return the first thing that makes all of an environment stale.

        Behind it stand the sets of environments of which nothing is kept (outdated.rs).
        """
        everything = self.discarded_wheels, self.discarded
        workspace, name = self.workspace, environment.name
        channels = tuple(channel_url(c) for c in workspace.environment_channels(environment))
        if channels != locked.channels:
            return (
                f"environment {name} is locked from {', '.join(locked.channels) or 'no channel'}; "
                f"the manifest says {', '.join(channels) or 'none'}",
                *(everything if channels[: len(locked.channels)] != locked.channels else ()),
            )
        if problem := self.row_problem(environment, locked, platforms):
            return problem
        if text := self.pypi.environment_problem(environment, locked):
            return text, self.discarded_wheels
        for key, wanted, default in options_of(workspace, environment, of_group=False):
            if (have := locked.options.get(key, default)) != wanted:
                said = key.removeprefix("pypi-")
                text = f"{name}: solved with {said} {have}; the manifest says {wanted}"
                return text, *(everything if said == key else everything[:1])
        return self.newer_problem(environment, locked)

    def row_problem(
        self, environment: Environment, locked: LockedEnvironment, platforms: tuple[Platform, ...]
    ) -> Problem | None:
        """Return which locked platform is not one of the environment's, or another machine."""
        subdirs = {p.subdir for p in platforms}
        named = {p.name: p for p in platforms}
        rows = [row for row in self.lock.layout.platforms if row.name in locked.rows]
        for row in rows:
            name = self.lock.name(row)
            if row.subdir not in subdirs and name not in named:
                return (f"{environment.name}: {name} is locked, but not one of its platforms",)
        for row in rows:
            platform = named.get(self.lock.name(row))
            identity = platform_identity(row.subdir, row.virtual_packages)
            if platform and platform.identity != identity:
                text = f"{environment.name}: {platform.name} is locked as another machine"
                return text, self.discarded_wheels, self.discarded
        return None

    def newer_problem(self, environment: Environment, locked: LockedEnvironment) -> Problem | None:
        """Return why packages of an environment are newer than exclude-newer allows."""
        general, channels, packages = cutoffs(self.workspace, environment, self.now)
        if general is None and not channels and not packages:
            return None
        for url in dict.fromkeys(
            u for row in locked.rows.values() for kind, u in row if kind == "conda"
        ):
            package = self.lock.layout.package(url)
            channel = next((c for c in channels if url.startswith(c)), "")
            limit = packages.get(package.name, channels.get(channel, general))
            stamp = package.fields.get("timestamp", "")
            if limit and stamp.isdigit() and int(stamp) > limit.timestamp() * 1000:
                text = f"{environment.name}: {package.name} is newer than exclude-newer allows"
                return text, self.discarded_wheels, self.discarded
        return None

    def platform_problems(self, environment: Environment, platform: Platform) -> Iterator[str]:
        """Yield why the row of an environment on a platform is not what is asked for."""
        urls = self.lock.urls(environment.name, platform) or ()
        packages = self.lock.packages(environment.name, platform)
        wanted = self.workspace.pypi(environment, platform)
        specs = self.workspace.requirements(environment, platform)
        if not urls and not specs and not wanted:
            return
        if not urls and self.lock.urls(environment.name, platform) is None:
            yield "not locked"
            return
        if any(kind not in ("conda", "pypi") for kind, _ in urls):
            yield "a package that is built from source is locked"
            return
        if name := twice(packages):
            yield f"{name} is locked twice"
            return
        channels = self.lock.environments[environment.name].channels
        self.elsewhere |= {p.name: None for p in packages if not p.url.startswith(channels)}
        pair = environment.name, platform.name
        of_pypi = self.pypi.walk(environment, platform, packages, urls)
        provided = self.pypi.provided.get(pair, ())
        constraints = self.workspace.constraints(environment, platform)
        of_conda, self.pypi.asked[pair] = self.matcher.walk(
            platform, packages, specs, constraints, provided
        )
        yield from (*of_conda, *of_pypi)

    def spread_over_groups(self) -> None:
        """Where one environment of a solve group is outdated, all of the group are."""
        for environment in self.workspace.environments:
            others = self.workspace.group(environment)
            stale = {p for name, p in self.outdated if name in {e.name for e in others}}
            platforms = {p.name for p in self.workspace.environment_platforms(environment)}
            self.outdated |= {(environment.name, p) for p in stale & platforms}

    def inconsistent_groups(self) -> None:
        """Find packages that two environments of a solve group have in different builds."""
        workspace = self.workspace
        groups = dict.fromkeys(workspace.group(e) for e in workspace.environments if e.solve_group)
        for members, platform in product(groups, workspace.platforms):
            here = [e for e in members if platform in workspace.environment_platforms(e)]
            pairs = [(e.name, platform.name) for e in here]
            if self.outdated.isdisjoint(pairs) and (name := self.differing(here, platform)):
                group = members[0].solve_group
                self.problems.append(
                    f"{name} differs inside solve group {group} on {platform.name}"
                )
                self.outdated.update(pairs)

    def differing(self, members: Sequence[Environment], platform: Platform) -> str:
        """Return a package that environments have from different places; empty for none."""
        have: dict[tuple[str, str], str] = {}
        rows = (self.lock.urls(e.name, platform) or () for e in members)
        for kind, url in (package for row in rows for package in row):
            name = self.lock.layout.package(url).name
            if have.setdefault((kind, name), url) != url:
                return name
        return ""


def cutoffs(
    workspace: Workspace, environment: Environment, now: datetime
) -> tuple[datetime | None, dict[str, datetime], dict[str, datetime]]:
    """Return the moments of exclude-newer: for all, by channel, by package."""
    general = cutoff(workspace.exclude_newer, now) if workspace.exclude_newer else None
    channels = {
        slash(channel_url(entry.name)): cutoff(entry.exclude_newer, now)
        for entry in workspace.environment_channel_entries(environment)
        if entry.exclude_newer
    }
    packages = {n.lower(): cutoff(text, now) for n, text in workspace.exclude_newer_packages}
    return general, channels, packages
