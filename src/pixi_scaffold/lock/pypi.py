"""Whether the PyPI packages of a lock are what is asked for, and no more: the walk that Pixi does.

crates/pixi_core, satisfiability/platform.rs and environment.rs.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pixi_scaffold.lock.file import Lock
from pixi_scaffold.lock.layout import LockedEnvironment, Package
from pixi_scaffold.pypi import (
    counts,
    is_wheel_for,
    marker_environment,
    meets,
    parsed,
    python_is_new_enough,
)
from pixi_scaffold.workspace import (
    Environment,
    Platform,
    PypiOptions,
    PypiRequirement,
    Workspace,
)

PURL = "pkg:pypi/"
PRERELEASE = "if-necessary-or-explicit"
"""The mode of prereleases that a lock does not write."""


@functools.cache
def default_index() -> str:
    """Return the index that counts where a manifest names none: that of pip, uv and Pixi."""
    from pip._internal.models.index import PyPI  # its constant; there is no public name for it

    return PyPI.simple_url


def index_urls(options: PypiOptions) -> tuple[str, ...]:
    """Return the indexes as a lock lists them."""
    return (options.index_url or default_index(), *options.extra_index_urls)


def provided_names(package: Package) -> Iterator[str]:
    """Yield the names under which PyPI knows a conda package, by its purls."""
    for purl in package.purls:
        if purl.startswith(PURL):
            yield canonicalize_name(unquote(purl.removeprefix(PURL).partition("?")[0]))


@dataclass(frozen=True, slots=True)
class PypiWalk:
    """Where a walk came."""

    problems: tuple[str, ...] = ()
    provided: tuple[str, ...] = ()
    """The conda packages that PyPI's requirements found."""


@dataclass(slots=True)
class PypiComparison:
    """The part of a comparison that is about PyPI."""

    workspace: Workspace
    lock: Lock
    asked: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    provided: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    unjudged: dict[str, None] = field(default_factory=dict)

    def environment_problem(self, environment: Environment, locked: LockedEnvironment) -> str:
        """Return why an environment is stale as a whole: its indexes, prereleases, files."""
        options = self.workspace.environment_pypi_options(environment)
        mode = options.prerelease_mode or PRERELEASE
        if (have := locked.options.get("pypi-prerelease-mode", PRERELEASE)) != mode:
            return (
                f"{environment.name}: solved with prerelease-mode {have}; the manifest says {mode}"
            )
        if not self.workspace.may_ask_pypi(environment):
            return ""
        wanted = index_urls(options)
        has_wheels = any(kind == "pypi" for row in locked.rows.values() for kind, _ in row)
        if locked.indexes and (locked.indexes, locked.find_links) != (wanted, options.find_links):
            return (
                f"{environment.name}: PyPI packages are locked from {', '.join(locked.indexes)}; "
                f"the manifest says {', '.join(wanted)}"
            )
        if has_wheels and not locked.indexes and self.lock.format >= 6:
            return f"{environment.name}: it does not say from which index its PyPI packages are"
        return ""

    def note(self, environment: Environment, platform: Platform, asked: frozenset[str]) -> None:
        """Remember which packages conda asks for in an environment on a platform."""
        self.asked[environment.name, platform.name] = asked

    def only_for_pypi(self, outdated: set[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
        """Yield (environment, platform, text) of conda packages that only PyPI asks for.

        Environments of a solve group are looked at together; those that are outdated are not.
        """
        for (name, platform), provided in self.provided.items():
            group = self.workspace.group(self.workspace.environment(name))
            pairs = [(e.name, platform) for e in group]
            if outdated.intersection(pairs):
                continue
            asked = frozenset().union(*(self.asked.get(pair, frozenset()) for pair in pairs))
            if alone := sorted(set(provided) - asked):
                yield (
                    name, platform,
                    f"{name} on {platform}: {alone[0]} is locked as a conda package, "
                    "but only PyPI asks for it",
                )  # fmt: skip

    def walk(
        self,
        environment: Environment,
        platform: Platform,
        packages: Sequence[Package],
        urls: Sequence[tuple[str, str]],
    ) -> PypiWalk:
        """Walk from the manifest's requirements through the PyPI packages of one row."""
        wheels = [self.lock.layout.package(url) for kind, url in urls if kind == "pypi"]
        wanted = self.workspace.pypi(environment, platform)
        if not wanted:
            if not wheels:
                return PypiWalk()
            return PypiWalk(("packages from PyPI are locked, but nothing asks for any",))
        if any(not package.has_purls for package in packages):
            return PypiWalk(("its packages do not say what they provide of PyPI (purls)",))
        python = next((p.version for p in packages if p.name == "python"), "")
        if wheels and not python:
            return PypiWalk(("packages from PyPI need python, which is not locked",))
        options = self.workspace.environment_pypi_options(environment)
        self.unjudged |= {f"{one.name} ({one.source})": None for one in wanted if one.source}
        walk = Walking(platform, python, packages, wheels, options)
        problems = tuple(walk.problems(wanted))
        self.provided[environment.name, platform.name] = tuple(walk.used)
        return PypiWalk(problems, tuple(walk.used))


class Walking:
    """One walk: what is there, and what of it was reached.

    used: the conda packages that stand for what PyPI was asked for. reached: names of wheels.
    """

    def __init__(
        self,
        platform: Platform,
        python: str,
        packages: Sequence[Package],
        wheels: Sequence[Package],
        options: PypiOptions,
    ) -> None:
        self.platform = platform
        self.python = python
        self.environment = marker_environment(platform, python) if python else None
        self.provided = {name: p for p in packages for name in provided_names(p)}
        self.wheels = {wheel.name: wheel for wheel in wheels}
        self.overrides = {r.name: r for r in options.overrides}
        self.indexes = index_urls(options)
        self.used: dict[str, None] = {}
        self.reached: set[str] = set()

    def problems(self, wanted: Sequence[PypiRequirement]) -> Iterator[str]:
        """Walk from what a manifest asks for; yield what is wrong."""
        todo: deque[tuple[Requirement, str, PypiRequirement | None]] = deque()
        for one in wanted:
            requirement = parsed(str(one))
            if requirement and counts(requirement, self.environment, one.extras):
                todo.append((requirement, "the manifest", one))
        seen: set[str] = set()
        while todo:
            requirement, origin, of_manifest = todo.popleft()
            if (package := self.provided.get(requirement.name)) is not None:
                yield from self.conda_problems(requirement, origin, of_manifest, package)
                self.used[package.name] = None
                continue
            wheel = self.wheels.get(requirement.name)
            if wheel is None:
                yield f"{origin} asks PyPI for {_shown(requirement)}, which is not locked"
                continue
            yield from self.wheel_problems(requirement, origin, of_manifest, wheel)
            if wheel.name not in self.reached:
                self.reached.add(wheel.name)
                yield from self.python_problems(wheel)
            extras = sorted(self.overridden(requirement).extras)
            for text in wheel.depends:
                needed = parsed(text)
                if needed is None or not counts(needed, self.environment, extras):
                    continue
                if str(needed) not in seen:
                    seen.add(str(needed))
                    todo.append((needed, wheel.name, None))
        for name in sorted(self.wheels.keys() - self.reached):
            yield f"{name} is locked from PyPI, but nothing asks for it"

    def overridden(self, requirement: Requirement) -> Requirement:
        """Return what counts in place of a requirement."""
        other = self.overrides.get(requirement.name)
        return (parsed(str(other)) if other else None) or requirement

    def conda_problems(
        self,
        requirement: Requirement,
        origin: str,
        of_manifest: PypiRequirement | None,
        package: Package,
    ) -> Iterator[str]:
        """Yield why a conda package is not what PyPI is asked for."""
        if of_manifest and of_manifest.source:
            yield f"{requirement.name} is locked as the conda package {package.name}"
        elif not meets(self.overridden(requirement).specifier, package.version):
            yield (
                f"{origin} asks PyPI for {_shown(requirement)}, "
                f"but the conda package {package.name} {package.version} is locked"
            )

    def wheel_problems(
        self,
        requirement: Requirement,
        origin: str,
        of_manifest: PypiRequirement | None,
        wheel: Package,
    ) -> Iterator[str]:
        """Yield why a locked wheel is not what is asked for."""
        if of_manifest and of_manifest.source:
            return  # a place of its own: refused or left to Pixi before
        if "://" not in wheel.url and of_manifest is None:
            return  # a folder in place of what others ask for is meant
        if not meets(self.overridden(requirement).specifier, wheel.version):
            yield (
                f"{origin} asks PyPI for {_shown(requirement)}, "
                f"but {wheel.name} {wheel.version} is locked"
            )
        if of_manifest and (there := wheel.field("index").rstrip("/")):
            allowed = (of_manifest.index,) if of_manifest.index else self.indexes
            if there not in {url.rstrip("/") for url in allowed}:
                yield f"{wheel.name} is locked from another index than {' or '.join(allowed)}"

    def python_problems(self, wheel: Package) -> Iterator[str]:
        """Yield why a wheel does not run with the locked Python."""
        wanted = wheel.field("requires_python")
        if wanted and not python_is_new_enough(wanted, self.python):
            yield f"{wheel.name} needs Python {wanted}, but {self.python} is locked"
        if not is_wheel_for(wheel.file, self.platform, self.python):
            yield f"{wheel.file} is no wheel for this platform and Python {self.python}"


def _shown(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"
