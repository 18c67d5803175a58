"""A Pixi workspace as data: platforms, features, environments, and what each pair of them needs.

Read by manifest.py, and pure from there on. The rules are Pixi's own (0.77, crates/pixi_manifest);
docs/explanation/lock-compatibility.md has them in words.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from pixi_scaffold.errors import ManifestError
from pixi_scaffold.workspace.platform import UNIX, Platform, VirtualPackage, derived_name, united
from pixi_scaffold.workspace.pypi import NO_OPTIONS, PypiOptions, PypiRequirement
from pixi_scaffold.workspace.task import Task

DEFAULT = "default"
"""The name of the default feature and of the default environment."""


class Requirement(NamedTuple):
    """One dependency: a package name and the fields of its spec (version, build, channel...)."""

    name: str
    fields: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return it as a conda match spec in bracket form, which has no ambiguous cases."""
        kept = [(k, v) for k, v in self.fields if (k, v) != ("version", "*")]
        if not kept:
            return self.name
        inner = ", ".join(
            f"{key}={value}" if value.startswith("[") else f'{key}="{value}"' for key, value in kept
        )
        return f"{self.name}[{inner}]"


class Target(NamedTuple):
    """What a feature says for the platforms that `selector` matches (None: for all)."""

    selector: str | None
    dependencies: tuple[Requirement, ...] = ()
    constraints: tuple[Requirement, ...] = ()
    tasks: tuple[Task, ...] = ()
    activation_env: tuple[tuple[str, str], ...] = ()
    activation_scripts: tuple[str, ...] = ()
    pypi: tuple[PypiRequirement, ...] = ()

    def matches(self, platform: Platform) -> bool:
        """Whether this target speaks for `platform` (a family, a subdir, a name or a glob)."""
        family = platform.subdir.partition("-")[0]
        match self.selector:
            case None:
                return True
            case "unix":
                return family in UNIX
            case "linux" | "win":
                return family == self.selector
            case "osx" | "macos":
                return family == "osx"
        if "*" in self.selector:
            pattern = ".*".join(re.escape(part) for part in self.selector.split("*"))
            return re.fullmatch(pattern, platform.name) is not None
        return self.selector in (platform.subdir, platform.name)


class ChannelEntry(NamedTuple):
    """A channel as a manifest lists it: a name, a URL or a file URL, and its priority."""

    name: str
    priority: int = 0
    exclude_newer: str = ""
    """As the manifest writes it; empty where it does not."""


class Feature(NamedTuple):
    """A named set of requirements; None where it does not say."""

    name: str
    targets: tuple[Target, ...] = ()
    channels: tuple[ChannelEntry, ...] | None = None
    platforms: tuple[str, ...] | None = None
    """Names of platforms, or bare subdirs for all of that subdir."""
    channel_priority: str | None = None
    solve_strategy: str | None = None
    system: tuple[VirtualPackage, ...] = ()
    """The virtual packages of its [system-requirements]."""
    pypi_options: PypiOptions = NO_OPTIONS

    def allows(self, platform: Platform) -> bool:
        """Whether the feature can be used on `platform`."""
        names = self.platforms
        return names is None or platform.name in names or platform.subdir in names


class Environment(NamedTuple):
    """A set of features that is solved and installed together; the default one comes last."""

    name: str
    features: tuple[str, ...]
    solve_group: str | None = None


class ManifestWarning(NamedTuple):
    """What Pixi accepts and warns of."""

    kind: str
    """Ambiguous version, dead selector, deprecated, twin platforms or unused feature."""
    text: str


class Workspace(NamedTuple):
    """A parsed manifest."""

    manifest: Path
    name: str
    channel_entries: tuple[ChannelEntry, ...]
    platforms: tuple[Platform, ...]
    """After [system-requirements] became platforms, and with those that environments are composed
    of."""
    features: Mapping[str, Feature]
    environments: tuple[Environment, ...]
    version: str = ""
    requires_pixi: str = ""
    composed: bool = False
    """Every declared platform was a bare subdir, so that features match a platform by subdir and
    not by name."""
    exclude_newer: str = ""
    exclude_newer_packages: tuple[tuple[str, str], ...] = ()
    unsupported: tuple[str, ...] = ()
    """What only Pixi itself can lock, by name."""
    warnings: tuple[ManifestWarning, ...] = ()
    pypi_options: PypiOptions = NO_OPTIONS
    """The workspace's, below those of features."""
    pypi_map: Mapping[str, Any] | bool | None = None
    """Conda-pypi-map as written."""

    @property
    def root(self) -> Path:
        """The folder of the manifest."""
        return self.manifest.parent

    @property
    def channels(self) -> tuple[str, ...]:
        """The workspace's own channels by priority."""
        return by_priority(self.channel_entries)

    @property
    def lock_file(self) -> Path:
        """Where Pixi keeps this workspace's lock."""
        return self.root / "pixi.lock"

    def environment(self, name: str) -> Environment:
        """Return the environment; raises ManifestError with the names that there are."""
        for environment in self.environments:
            if environment.name == name:
                return environment
        known = ", ".join(e.name for e in self.environments)
        raise ManifestError(f"{self.manifest} has no environment {name!r}", f"it has: {known}")

    def group(self, environment: Environment) -> tuple[Environment, ...]:
        """Return the environments that are solved together with this one, itself among them."""
        if environment.solve_group is None:
            return (environment,)
        return tuple(e for e in self.environments if e.solve_group == environment.solve_group)

    def group_features(self, environment: Environment) -> tuple[Feature, ...]:
        """Return the features of all environments of its solve group, in order, each once."""
        names = dict.fromkeys(name for e in self.group(environment) for name in e.features)
        return tuple(self.features[name] for name in names)

    def environment_platforms(self, environment: Environment) -> tuple[Platform, ...]:
        """Return the platforms that every feature of the environment allows, in manifest order.

        Composed: one platform a subdir. Otherwise a bare subdir only widens: where a feature names
        a platform exactly, no other one of that subdir remains (prefix-dev/pixi issue 6493).
        """
        features = [self.features[name] for name in environment.features]
        if self.composed:
            chosen = {name for name, _, _ in compositions(features, self.platforms)}
            return tuple(p for p in self.platforms if p.name in chosen)
        exact = {name for feature in features for name in feature.platforms or ()}
        narrowed = {p.subdir for p in self.platforms if p.name in exact}
        return tuple(
            p
            for p in self.platforms
            if all(feature.allows(p) for feature in features)
            and (p.name in exact or p.subdir not in narrowed)
        )

    def environment_channels(self, environment: Environment) -> tuple[str, ...]:
        """Return the channels of its whole solve group by priority, then in order of features.

        Pixi's GroupedEnvironment::channels (crates/pixi_manifest, features_ext.rs).
        """
        return by_priority(self.environment_channel_entries(environment))

    def environment_channel_entries(self, environment: Environment) -> tuple[ChannelEntry, ...]:
        """Return what `environment_channels` sorts."""
        return tuple(
            entry
            for feature in self.group_features(environment)
            for entry in (self.channel_entries if feature.channels is None else feature.channels)
        )

    def solve_strategy(self, features: Iterable[Feature]) -> str:
        """Return the first strategy that one of `features` names; highest without any."""
        return next((f.solve_strategy for f in features if f.solve_strategy), "highest")

    def channel_priority(self, features: Iterable[Feature]) -> str | None:
        """Return the one priority that `features` name; None when they name several."""
        named = {f.channel_priority for f in features if f.channel_priority}
        return None if len(named) > 1 else next(iter(named), "strict")

    def requirements(self, environment: Environment, platform: Platform) -> tuple[Requirement, ...]:
        """Return every spec that must hold: features add up, targets inside one replace."""
        return self._collect(environment, platform, "dependencies")

    def constraints(self, environment: Environment, platform: Platform) -> tuple[Requirement, ...]:
        """Return the specs that bind only packages which something else brings in."""
        return self._collect(environment, platform, "constraints")

    def pypi(self, environment: Environment, platform: Platform) -> tuple[PypiRequirement, ...]:
        """Return what is asked of PyPI: features add up, targets inside one replace."""
        return self._collect(environment, platform, "pypi")

    def may_ask_pypi(self, environment: Environment) -> bool:
        """Whether a feature of the environment asks for packages from PyPI, wherever that is."""
        features = [self.features[name] for name in environment.features]
        return any(target.pypi for feature in features for target in feature.targets)

    def environment_pypi_options(self, environment: Environment) -> PypiOptions:
        """Return the options of its whole solve group: features over the workspace's own."""
        options = NO_OPTIONS
        for feature in self.group_features(environment):
            options = options.with_more(feature.pypi_options)
        return replace(
            self.pypi_options.with_more(options),
            overrides=options.with_more(self.pypi_options).overrides,
        )

    def _collect(
        self, environment: Environment, platform: Platform, attribute: str
    ) -> tuple[Any, ...]:
        collected: dict[Any, None] = {}
        for feature in (self.features[name] for name in environment.features):
            speaks = (
                platform.subdir in feature_subdirs(feature, self.platforms)
                if self.composed
                else feature.allows(platform)
            )
            by_name: dict[str, list[Any]] = {}
            for target in feature.targets if speaks else ():
                if target.matches(platform):
                    said: dict[str, list[Any]] = {}  # several of one package: from pyproject.toml
                    for requirement in getattr(target, attribute):
                        said.setdefault(requirement.name, []).append(requirement)
                    by_name |= said
            collected |= dict.fromkeys(one for every in by_name.values() for one in every)
        return tuple(collected)

    def tasks(self, environment: Environment, platform: Platform) -> dict[str, Task]:
        """Return the tasks that this environment has on this platform; the first feature wins."""
        by_name: dict[str, Task] = {}
        for feature in reversed(environment.features):
            for target in self.features[feature].targets:
                if target.matches(platform):
                    by_name |= {t.name: t for t in target.tasks}
        return by_name

    def activation(
        self, environment: Environment, platform: Platform
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the variables and the scripts that activation adds, in order.

        A feature's variables stand before those of the later ones and win over them; of its
        scripts only those of its most specific target run (crates/pixi_core, environment.rs).
        """
        env: dict[str, str] = {}
        scripts: dict[str, None] = {}
        for feature in environment.features:
            targets = [t for t in self.features[feature].targets if t.matches(platform)]
            for target in reversed(targets):
                env = env | {k: v for k, v in target.activation_env if k not in env}
            lists = [t.activation_scripts for t in targets if t.activation_scripts]
            scripts |= dict.fromkeys(lists[-1] if lists else ())
        return env, tuple(scripts)


def feature_subdirs(feature: Feature, platforms: Sequence[Platform]) -> set[str]:
    """Return the subdirs that a feature covers where platforms are composed."""
    names = feature.platforms
    return {p.subdir for p in platforms if names is None or p.name in names}


def compositions(
    features: Sequence[Feature], platforms: Sequence[Platform]
) -> Iterator[tuple[str, str, tuple[Platform, ...]]]:
    """Yield (name, subdir, pinned) of the one platform a subdir that `features` make together.

    pinned: the platforms that the features name. Several give one with the virtual packages of all
    (crates/pixi_manifest/src/platform_composition.rs).
    """
    for subdir in dict.fromkeys(p.subdir for p in platforms):
        if not all(subdir in feature_subdirs(f, platforms) for f in features):
            continue
        names = dict.fromkeys(name for f in features for name in f.platforms or ())
        here = [p for p in platforms if p.subdir == subdir]
        pinned = tuple(p for name in names for p in here if p.name == name)
        name = pinned[0].name if len(pinned) == 1 else derived_name(subdir, united(pinned))
        yield name, subdir, pinned


def by_priority(entries: Iterable[ChannelEntry]) -> tuple[str, ...]:
    """Return the names, the highest priority first, in order among equals, each once."""
    ordered = sorted(entries, key=lambda entry: -entry.priority)
    return tuple(dict.fromkeys(entry.name for entry in ordered))
