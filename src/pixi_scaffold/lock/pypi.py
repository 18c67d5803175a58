"""Whether the PyPI packages of a lock are what is asked for, and no more: the walk that Pixi does.

crates/pixi_core, satisfiability/environment.rs.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pixi_scaffold.lock.file import FORMAT, Lock
from pixi_scaffold.lock.layout import LockedEnvironment, Package
from pixi_scaffold.workspace import Environment, Platform, PypiOptions, Workspace

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


def version_of(name: str, packages: Iterable[Package]) -> str:
    """Return the version of a package; empty without one."""
    return next((p.version for p in packages if p.name == name), "")


def twice(packages: Sequence[Package]) -> str:
    """Return a name that several of these packages have; empty for none."""
    counted = Counter(package.name for package in packages)
    return next((name for name, number in counted.items() if number > 1), "")


@dataclass(slots=True)
class PypiComparison:
    """The part of a comparison that is about PyPI."""

    workspace: Workspace
    lock: Lock
    asked: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    """What conda asks for, by environment and platform."""
    provided: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    unjudged: dict[str, None] = field(default_factory=dict)

    def environment_problem(self, environment: Environment, locked: LockedEnvironment) -> str:
        """Return why an environment is stale as a whole: its indexes, or a file."""
        if not self.workspace.may_ask_pypi(environment):
            return ""
        options = self.workspace.environment_pypi_options(environment)
        wanted = index_urls(options)
        has_wheels = any(kind == "pypi" for row in locked.rows.values() for kind, _ in row)
        if locked.indexes and (locked.indexes, locked.find_links) != (wanted, options.find_links):
            return (
                f"{environment.name}: PyPI packages are locked from {', '.join(locked.indexes)}; "
                f"the manifest says {', '.join(wanted)}"
            )
        if has_wheels and not locked.indexes and self.lock.format >= 6:
            return f"{environment.name}: it does not say from which index its PyPI packages are"
        return next(self._unusable(environment, options.no_build), "") if has_wheels else ""

    def _unusable(self, environment: Environment, no_build: Sequence[str]) -> Iterator[str]:
        """Yield what is locked and may not be built, or does not run there."""
        from pixi_scaffold.pypi import is_wheel_for

        name, lock = environment.name, self.lock
        for platform in self.workspace.environment_platforms(environment):
            python = version_of("python", lock.packages(name, platform))
            asked = self.workspace.pypi(environment, platform)
            editable = {one.name for one in asked if one.source == "editable"}
            urls = lock.urls(name, platform) or ()
            for one in (lock.layout.package(url) for kind, url in urls if kind == "pypi"):
                place = f"{name} on {platform.name}"
                built = not one.file.endswith(".whl") and one.name not in editable
                if built and {"*", one.name}.intersection(no_build):
                    yield f"{place}: {one.name} is no wheel, and no-build forbids building it"
                if python and not is_wheel_for(one.file, platform, python):
                    said = f"is no wheel for this platform and Python {python}"
                    yield f"{place}: {one.file} {said}"

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
    ) -> list[str]:
        """Return what is wrong with the PyPI packages of one row, walking from the manifest's.

        The conda packages that it finds are put to `provided`.
        """
        wheels = [self.lock.layout.package(url) for kind, url in urls if kind == "pypi"]
        wanted = self.workspace.pypi(environment, platform)
        asks = self.workspace.may_ask_pypi(environment)
        if asks and packages and not wheels and not any(p.has_purls for p in packages):
            return ["its packages do not say what they provide of PyPI (purls)"]
        if not wanted:
            return ["packages from PyPI are locked, but nothing asks for any"] if wheels else []
        if name := twice(wheels):
            return [f"{name} is locked twice from PyPI"]
        if wheels and not version_of("python", packages):
            return ["packages from PyPI need python, which is not locked"]
        from pixi_scaffold.lock.walking import Walking

        options = self.workspace.environment_pypi_options(environment)
        elsewhere = [one for one in wanted if one.source not in ("", "url")]
        self.unjudged |= {f"{one.name} ({one.source})": None for one in elsewhere}
        knows_indexes = self.lock.format >= FORMAT
        walk = Walking(platform, packages, wheels, options, knows_indexes=knows_indexes)
        problems = list(walk.problems(wanted))
        self.provided[environment.name, platform.name] = tuple(walk.used)
        return problems
