"""A Pixi workspace as data: platforms, features, environments, and what each pair of them needs.

Read by manifest.py, and pure from there on. The rules are Pixi's own (0.77, crates/pixi_manifest);
docs/explanation/lock-compatibility.md has them in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.errors import ManifestError

DEFAULT = "default"
"""The name of the default feature and of the default environment."""

_UNIX = ("linux", "osx", "emscripten")
_ARCHSPEC = {
    "64": "x86_64", "32": "x86", "aarch64": "aarch64", "arm64": "m1", "ppc64le": "ppc64le",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class VirtualPackage:
    """A property of a machine that packages can depend on, such as `__cuda` 12.0.

    build is empty unless the manifest or Pixi's default names one.
    """

    name: str
    version: str
    build: str = ""

    def __str__(self) -> str:
        """Return the text that a lock file has: `__cuda=12.0`, `__unix=0=0`."""
        return "=".join(part for part in (self.name, self.version, self.build) if part)

    @property
    def for_solver(self) -> tuple[str, str]:
        """Return version and build as a solver sees them (rattler_virtual_packages).

        In a lock, `__archspec` has version 0; for a solver it is 1.
        """
        return "1" if self.name == "__archspec" else self.version, self.build or "0"


def default_virtual_packages(subdir: str) -> tuple[VirtualPackage, ...]:
    """Return what Pixi assumes of a machine of this subdir (pixi_manifest, platform.rs)."""
    family, _, arch = subdir.partition("-")
    found: list[VirtualPackage] = []
    if family in _UNIX:
        found.append(VirtualPackage("__unix", "0", "0"))
    if family == "linux":
        found += [VirtualPackage("__linux", "4.18"), VirtualPackage("__glibc", "2.28")]
    if family == "osx":
        found.append(VirtualPackage("__osx", "13.0"))
    if family == "win":
        found.append(VirtualPackage("__win", "10.0"))
    if spec := _ARCHSPEC.get(arch if (family, arch) != ("win", "arm64") else "aarch64"):
        found.append(VirtualPackage("__archspec", "0", spec))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Platform:
    """A machine that the workspace supports: a conda subdir and what is declared beyond it."""

    name: str
    subdir: str
    declared: tuple[VirtualPackage, ...] = ()

    @property
    def virtual_packages(self) -> tuple[VirtualPackage, ...]:
        """Everything that a solve may count on: a declared one replaces Pixi's default."""
        names = {p.name for p in self.declared}
        defaults = default_virtual_packages(self.subdir)
        return self.declared + tuple(p for p in defaults if p.name not in names)

    @property
    def identity(self) -> tuple[str, tuple[str, ...]]:
        """What a lock file's platform is matched by: subdir and the non-default packages."""
        return platform_identity(self.subdir, (str(p) for p in self.virtual_packages))


def platform_identity(subdir: str, virtual_packages: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Return subdir and the sorted virtual packages that are not Pixi's defaults for it.

    The name of a platform does not count: Pixi writes aliases (p1, p2) into lock files.
    """
    defaults = {str(p) for p in default_virtual_packages(subdir)}
    return subdir, tuple(sorted(set(virtual_packages) - defaults))


@dataclass(frozen=True, slots=True)
class Requirement:
    """One dependency: a package name and the fields of its spec (version, build, channel...)."""

    name: str
    fields: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Return it as a conda match spec in bracket form, which has no ambiguous cases."""
        kept = [(k, v) for k, v in self.fields if (k, v) != ("version", "*")]
        if not kept:
            return self.name
        inner = ", ".join(f'{key}="{value}"' for key, value in kept)
        return f"{self.name}[{inner}]"


@dataclass(frozen=True, slots=True)
class Task:
    """A command of the workspace.

    command: one shell line. unsupported: the keys that only Pixi can honour.
    """

    name: str
    command: str
    cwd: str = ""
    env: tuple[tuple[str, str], ...] = ()
    description: str = ""
    depends_on: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """What a feature says for the platforms that `selector` matches (None: for all)."""

    selector: str | None
    dependencies: tuple[Requirement, ...] = ()
    constraints: tuple[Requirement, ...] = ()
    tasks: tuple[Task, ...] = ()
    activation_env: tuple[tuple[str, str], ...] = ()
    activation_scripts: tuple[str, ...] = ()

    def matches(self, platform: Platform) -> bool:
        """Whether this target speaks for `platform` (a family, a subdir, a name or a glob)."""
        family = platform.subdir.partition("-")[0]
        match self.selector:
            case None:
                return True
            case "unix":
                return family in _UNIX
            case "linux" | "win":
                return family == self.selector
            case "osx" | "macos":
                return family == "osx"
        if "*" in self.selector:
            pattern = ".*".join(re.escape(part) for part in self.selector.split("*"))
            return re.fullmatch(pattern, platform.name) is not None
        return self.selector in (platform.subdir, platform.name)


@dataclass(frozen=True, slots=True)
class ChannelEntry:
    """A channel as a manifest lists it: a name, a URL or a file URL, and its priority."""

    name: str
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Feature:
    """A named set of requirements; channels and platforms are None where it does not say.

    platforms: names of platforms, or bare subdirs for all of that subdir.
    """

    name: str
    targets: tuple[Target, ...] = ()
    channels: tuple[ChannelEntry, ...] | None = None
    platforms: tuple[str, ...] | None = None

    def allows(self, platform: Platform) -> bool:
        """Whether the feature can be used on `platform`."""
        names = self.platforms
        return names is None or platform.name in names or platform.subdir in names


@dataclass(frozen=True, slots=True)
class Environment:
    """A set of features that is solved and installed together; the default one comes last."""

    name: str
    features: tuple[str, ...]
    solve_group: str | None = None


@dataclass(frozen=True, slots=True)
class Workspace:
    """A parsed manifest. unsupported: what in it only Pixi itself can handle, by name."""

    manifest: Path
    name: str
    channel_entries: tuple[ChannelEntry, ...]
    platforms: tuple[Platform, ...]
    features: Mapping[str, Feature]
    environments: tuple[Environment, ...]
    requires_pixi: str = ""
    unsupported: tuple[str, ...] = ()

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

    def environment_platforms(self, environment: Environment) -> tuple[Platform, ...]:
        """Return the platforms that every feature of the environment allows, in manifest order.

        A bare subdir only widens: where a feature names a platform exactly, no other one of that
        subdir remains (prefix-dev/pixi issue 6493).
        """
        features = [self.features[name] for name in environment.features]
        exact = {name for feature in features for name in feature.platforms or ()}
        narrowed = {p.subdir for p in self.platforms if p.name in exact}
        return tuple(
            p
            for p in self.platforms
            if all(feature.allows(p) for feature in features)
            and (p.name in exact or p.subdir not in narrowed)
        )

    def environment_channels(self, environment: Environment) -> tuple[str, ...]:
        """Return the channels by priority, then in the order of its features, default last."""
        found: dict[ChannelEntry, None] = {}
        for feature in environment.features:
            own = self.features[feature].channels
            found |= dict.fromkeys(self.channel_entries if own is None else own)
        return by_priority(found)

    def requirements(self, environment: Environment, platform: Platform) -> tuple[Requirement, ...]:
        """Return every spec that must hold: features add up, targets inside one replace."""
        return self._collect(environment, platform, "dependencies")

    def constraints(self, environment: Environment, platform: Platform) -> tuple[Requirement, ...]:
        """Return the specs that bind only packages which something else brings in."""
        return self._collect(environment, platform, "constraints")

    def _collect(
        self, environment: Environment, platform: Platform, what: str
    ) -> tuple[Requirement, ...]:
        found: dict[Requirement, None] = {}
        for feature in environment.features:
            by_name: dict[str, Requirement] = {}
            for target in self.features[feature].targets:
                if target.matches(platform):
                    by_name |= {r.name: r for r in getattr(target, what)}
            found |= dict.fromkeys(by_name.values())
        return tuple(found)

    def tasks(self, environment: Environment, platform: Platform) -> dict[str, Task]:
        """Return the tasks that this environment has on this platform; the first feature wins."""
        found: dict[str, Task] = {}
        for feature in reversed(environment.features):
            for target in self.features[feature].targets:
                if target.matches(platform):
                    found |= {t.name: t for t in target.tasks}
        return found

    def activation(
        self, environment: Environment, platform: Platform
    ) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the variables and the scripts that activation adds, in order."""
        env: dict[str, str] = {}
        scripts: dict[str, None] = {}
        for feature in reversed(environment.features):
            for target in self.features[feature].targets:
                if target.matches(platform):
                    env |= dict(target.activation_env)
                    scripts |= dict.fromkeys(target.activation_scripts)
        return env, tuple(scripts)


def by_priority(entries: Iterable[ChannelEntry]) -> tuple[str, ...]:
    """Return the names, the highest priority first, in order among equals, each once."""
    ordered = sorted(entries, key=lambda entry: -entry.priority)
    return tuple(dict.fromkeys(entry.name for entry in ordered))
