"""What changed between two locks, platform by platform (pure)."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import product
from typing import Any

from pixi_scaffold.lock.file import Lock
from pixi_scaffold.lock.layout import Package, PlatformRow
from pixi_scaffold.workspace import Workspace, platform_identity

WATCHED = {
    "Python": ("python",),
    "PyTorch": ("pytorch", "torch"),
    "CUDA": ("cuda-version", "cudatoolkit"),
}
"""What is said of every platform, moved or not: the packages whose version is its version."""
Packages = Mapping[tuple[str, str], Package]
"""By kind (conda, pypi) and name."""
_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class LockState:
    """A lock at one moment, with the manifest that it was made from where that can be read."""

    label: str
    lock: Lock
    workspace: Workspace | None = None

    def rows(self) -> dict[str, PlatformRow]:
        """Return the platforms by the name that the workspace has for them."""
        return {self.lock.name(row): row for row in self.lock.layout.platforms}

    def packages(self, row: PlatformRow | None) -> dict[str, dict[tuple[str, str], Package]]:
        """Return environment -> (kind, name) -> package of one platform."""
        packages: dict[str, dict[tuple[str, str], Package]] = {}
        for name, environment in self.lock.environments.items():
            for kind, url in environment.rows.get(row.name, ()) if row else ():
                package = self.lock.layout.package(url)
                packages.setdefault(name, {})[kind.partition("_")[0], package.name] = package
        return packages

    def asked(self, environment: str, platform: str, packages: Iterable[Package]) -> list[str]:
        """Return the names that are asked for; without a manifest those that no package needs."""
        if workspace := self.workspace:
            for e, p in product(workspace.environments, workspace.platforms):
                if (e.name, p.name) == (environment, platform):
                    conda = [r.name for r in workspace.requirements(e, p)]
                    return [*conda, *(r.name for r in workspace.pypi(e, p))]
        packages = tuple(packages)
        needed = {name for package in packages for name in _needs(package)}
        return [package.name for package in packages if package.name not in needed]


def _needs(package: Package) -> list[str]:
    """Return the names that a package asks for; what only an extra brings is left out."""
    matches = (_NAME.match(text) for text in package.depends if "extra ==" not in text)
    names = [match[0].lower() for match in matches if match]
    return [n.replace("_", "-") for n in names] if package.from_pypi else names


def askers(
    state: LockState, environment: str, platform: str, packages: Packages
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


class Move(StrEnum):
    """How a package changed. REBUILT: the version stays, and the archive is another."""

    ADDED = "added"
    REMOVED = "removed"
    UP = "up"
    DOWN = "down"
    REBUILT = "rebuilt"


@dataclass(frozen=True, slots=True)
class PackageChange:
    """One package that is not as before, in the environments of one platform."""

    name: str
    kind: str
    change: Move
    before: str
    """Versions, builds where the version stays; empty where it is not there."""
    after: str
    asked_by: tuple[str, ...]
    """The names in the manifest that bring it, the nearest first."""
    download: int | None
    """Bytes, 0 for an archive that the old lock has too, None where the lock does not say."""
    environments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WatchedVersion:
    """Python, PyTorch or CUDA before and after: versions, empty where it is not there."""

    name: str
    before: str
    after: str
    moved: bool


@dataclass(frozen=True, slots=True)
class PlatformDiff:
    """One platform in both locks."""

    name: str
    state: str
    """"", added or removed as a whole."""
    packages: int
    changes: tuple[PackageChange, ...]
    watched: tuple[WatchedVersion, ...]
    download: int
    """Bytes of the archives that the old lock does not have for it."""
    unsized: int
    """How many of those have no size in the lock."""
    size: int
    """Bytes of all its archives, as far as they are known."""
    requires: tuple[tuple[str, ...], tuple[str, ...]] | None
    """Its virtual packages before and after, where they differ."""
    environments_added: tuple[str, ...]
    environments_removed: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether anything is not as before."""
        environments = self.environments_added or self.environments_removed
        return bool(self.state or self.changes or self.requires or environments)

    def count(self, move: Move) -> int:
        """How many packages changed in this way."""
        return sum(one.change is move for one in self.changes)


@dataclass(frozen=True, slots=True)
class LockDiff:
    """What changed between two locks, and what people call those."""

    before: str
    after: str
    platforms: tuple[PlatformDiff, ...]

    @property
    def changed(self) -> bool:
        """Whether anything is not as before."""
        return any(platform.changed for platform in self.platforms)

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON document has it."""
        platforms = [
            asdict(p) | {"state": p.state or ("changed" if p.changed else "unchanged")}
            for p in self.platforms
        ]
        return {"diff": {"before": self.before, "after": self.after, "platforms": platforms}}


def lock_diff(before: LockState, after: LockState) -> LockDiff:
    """Compare two locks; raises LockError when one is damaged.

    A platform is the same by its name, and otherwise by what it is, so that a renamed one is no
    new one.
    """
    old, new = before.rows(), after.rows()
    for name, row in list(old.items()):
        kind = platform_identity(row.subdir, row.virtual_packages)
        twins = [n for n, r in new.items() if n not in old and
                 platform_identity(r.subdir, r.virtual_packages) == kind]  # fmt: skip
        if name not in new and twins:
            old[twins[0]] = old.pop(name)
    names = [*new, *(name for name in old if name not in new)]
    pairs = [(name, old.get(name), new.get(name)) for name in names]
    return LockDiff(before.label, after.label, tuple(_platform(before, after, *p) for p in pairs))


def _platform(
    before: LockState, after: LockState, name: str, old: PlatformRow | None, new: PlatformRow | None
) -> PlatformDiff:
    had, has = before.packages(old), after.packages(new)
    state = "added" if old is None else "removed" if new is None else ""
    changes: dict[tuple[str, str, str, str], PackageChange] = {}
    archives = _archives(had)
    for environment in sorted(has.keys() & had.keys()) if not state else ():
        sides = ((before, had[environment]), (after, has[environment]))
        reach = [askers(state, environment, name, packages) for state, packages in sides]
        for change in _changes(had[environment], has[environment], reach, archives):
            key = (change.kind, change.name, change.before, change.after)
            seen = changes.get(key)
            asked = dict.fromkeys((*(seen.asked_by if seen else ()), *change.asked_by))
            names = (*(seen.environments if seen else ()), environment)
            changes[key] = replace(change, asked_by=tuple(asked), environments=names)
    fresh = {k: size for k, size in _archives(has).items() if k not in archives}
    requires = None
    if old is not None and new is not None:
        was, now = (tuple(sorted(row.virtual_packages)) for row in (old, new))
        # A format that does not write them is no change of what the platform asks for.
        requires = (was, now) if was and now and was != now else None
    return PlatformDiff(
        name,
        state,
        len(_archives(has or had)),
        tuple(sorted(changes.values(), key=lambda c: (c.asked_by[:1], c.name))),
        tuple(_watched(had, has)),
        sum(size or 0 for size in fresh.values()),
        sum(size is None for size in fresh.values()),
        sum(size or 0 for size in _archives(has).values()),
        requires,
        tuple(sorted(has.keys() - had.keys())) if not state else (),
        tuple(sorted(had.keys() - has.keys())) if not state else (),
    )


def _archives(rows: Mapping[str, Packages]) -> dict[str, int | None]:
    """Return the bytes of each archive, by its digest (or where it is, if it has none)."""
    packages = (package for row in rows.values() for package in row.values())
    return {package.digest: package.size for package in packages}


def _changes(
    had: Packages,
    has: Packages,
    reach: Sequence[Mapping[str, tuple[str, ...]]],
    archives: Mapping[str, int | None],
) -> Iterator[PackageChange]:
    for key in {**had, **has}:
        old, new = had.get(key), has.get(key)
        if old and new and old.digest == new.digest:
            continue
        move, before, after = _move(key[0], old, new)
        asked = reach[new is not None].get(key[1], ())
        cost = 0 if new is None or new.digest in archives else new.size
        yield PackageChange(key[1], key[0], move, before, after, asked, cost, ())


def _move(kind: str, old: Package | None, new: Package | None) -> tuple[Move, str, str]:
    before, after = (package.version if package else "" for package in (old, new))
    if not (old and new):
        return Move.ADDED if new else Move.REMOVED, before, after
    if before != after:
        return Move.UP if is_newer(kind, after, before) else Move.DOWN, before, after
    if kind == "conda" and old.build != new.build:
        return Move.REBUILT, f"{before} {old.build}", f"{after} {new.build}"
    return Move.REBUILT, old.url, new.url


def is_newer(kind: str, one: str, other: str) -> bool:
    """Whether a version is newer than another, by the order of conda or of PEP 440."""
    if kind == "pypi":
        from packaging.version import InvalidVersion
        from packaging.version import Version as Pep440

        try:
            return Pep440(one) > Pep440(other)
        except InvalidVersion:
            return one > other
    from rattler import Version

    return Version(one) > Version(other)


def _watched(had: Mapping[str, Packages], has: Mapping[str, Packages]) -> Iterator[WatchedVersion]:
    for label, names in WATCHED.items():
        before, after = (_versions(rows, names) for rows in (had, has))
        if before or after:
            yield WatchedVersion(label, before, after, before != after)


def _versions(rows: Mapping[str, Packages], names: tuple[str, ...]) -> str:
    """Return the versions that the environments have of a package, with what it was built for."""
    of_name = (p for row in rows.values() for (_, name), p in row.items() if name in names)
    return ", ".join(sorted({f"{package.version}{_built_for(package)}" for package in of_name}))


def _built_for(package: Package) -> str:
    """Return what a build of PyTorch is for, as conda-forge writes it in front of its build."""
    built = re.match(r"(cpu|cuda\d+)_", package.build)
    return f" ({built[1]})" if built and package.name in WATCHED["PyTorch"] else ""
