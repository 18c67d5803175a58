"""A lock at one moment, and which names in its manifest bring a package (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pixi_scaffold.lock.file import Lock
from pixi_scaffold.lock.layout import Package, PlatformRow
from pixi_scaffold.workspace import Workspace

_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class LockState:
    """A lock at one moment, with the manifest that it was made from where that can be read."""

    label: str
    lock: Lock | None
    workspace: Workspace | None = None

    def rows(self) -> dict[str, PlatformRow]:
        """Return the platforms by the name that the workspace has for them."""
        return {self.lock.name(row): row for row in self.lock.layout.platforms} if self.lock else {}

    def packages(self, row: PlatformRow | None) -> dict[str, dict[tuple[str, str], Package]]:
        """Return environment -> (kind, name) -> package of one platform."""
        if self.lock is None or row is None:
            return {}
        packages = {}
        for name, environment in self.lock.environments.items():
            read = [
                (kind, self.lock.layout.package(u))
                for kind, u in environment.rows.get(row.name, ())
            ]
            if read:
                packages[name] = {
                    (kind.partition("_")[0], package.name): package for kind, package in read
                }
        return packages

    def asked(self, environment: str, platform: str, packages: Iterable[Package]) -> list[str]:
        """Return the names that are asked for; without a manifest those that no package needs."""
        if self.workspace is not None:
            known = {e.name: e for e in self.workspace.environments}
            for p in self.workspace.platforms:
                if p.name == platform and environment in known:
                    conda = [r.name for r in self.workspace.requirements(known[environment], p)]
                    pypi = self.workspace.pypi(known[environment], p)
                    return [*conda, *(r.name for r in pypi)]
        packages = tuple(packages)
        needed = {name for package in packages for name in _needs(package)}
        return [package.name for package in packages if package.name not in needed]


def _needs(package: Package) -> list[str]:
    """Return the names that a package asks for; what only an extra brings is left out."""
    matches = (_NAME.match(text) for text in package.depends if "extra ==" not in text)
    names = [match[0].lower() for match in matches if match]
    return [n.replace("_", "-") for n in names] if package.from_pypi else names


def askers(
    state: LockState, environment: str, platform: str, packages: Mapping[tuple[str, str], Package]
) -> dict[str, tuple[str, ...]]:
    """Return package -> the names in the manifest that bring it, the nearest first."""
    needs = {package.name: _needs(package) for package in packages.values()}
    distances: dict[str, list[tuple[int, str]]] = {}
    for root in dict.fromkeys(state.asked(environment, platform, packages.values())):
        depth, level, seen = 0, [root], {root}
        while level:
            for name in level:
                distances.setdefault(name, []).append((depth, root))
            level = [n for name in level for n in needs.get(name, ()) if n not in seen]
            level = list(dict.fromkeys(level))
            seen.update(level)
            depth += 1
    return {name: tuple(root for _, root in sorted(roots)) for name, roots in distances.items()}
