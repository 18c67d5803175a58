"""What changed between two locks, platform by platform (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from pixi_scaffold.lock.layout import Package, PlatformRow
from pixi_scaffold.lock.state import LockState, askers
from pixi_scaffold.workspace import platform_identity

WATCHED = {
    "Python": ("python",),
    "PyTorch": ("pytorch", "torch"),
    "CUDA": ("cuda-version", "cudatoolkit"),
}
"""What is said of every platform, moved or not: the packages whose version is its version."""


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
    move: Move
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

    label: str
    before: str
    after: str

    @property
    def moved(self) -> bool:
        """Whether it is not what it was."""
        return self.before != self.after


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
        return bool(
            self.state
            or self.changes
            or self.requires
            or self.environments_added
            or self.environments_removed
        )

    def count(self, move: Move) -> int:
        """How many packages changed in this way."""
        return sum(change.move is move for change in self.changes)


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
            asdict(p)
            | {
                "state": p.state or ("changed" if p.changed else "unchanged"),
                "watched": [
                    {"name": w.label, "before": w.before, "after": w.after, "moved": w.moved}
                    for w in p.watched
                ],
                "changes": [
                    {"change" if key == "move" else key: value for key, value in asdict(c).items()}
                    for c in p.changes
                ],
            }
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
        reach_old = askers(before, environment, name, had[environment])
        reach_new = askers(after, environment, name, has[environment])
        for change in _changes(had[environment], has[environment], reach_old, reach_new, archives):
            key = (change.kind, change.name, change.before, change.after)
            seen = changes.get(key)
            asked = dict.fromkeys((*(seen.asked_by if seen else ()), *change.asked_by))
            names = (*(seen.environments if seen else ()), environment)
            changes[key] = replace(change, asked_by=tuple(asked), environments=names)
    fresh = {k: size for k, size in _archives(has).items() if k not in archives}
    requires = None
    if old is not None and new is not None:
        sides = tuple(sorted(old.virtual_packages)), tuple(sorted(new.virtual_packages))
        # A format that does not write them is no change of what the platform asks for.
        requires = sides if sides[0] != sides[1] and all(sides) else None
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


def _archives(rows: Mapping[str, Mapping[tuple[str, str], Package]]) -> dict[str, int | None]:
    """Return the bytes of each archive, by its digest (or where it is, if it has none)."""
    packages = (package for row in rows.values() for package in row.values())
    return {package.digest: package.size for package in packages}


def _changes(
    had: Mapping[tuple[str, str], Package],
    has: Mapping[tuple[str, str], Package],
    reach_old: Mapping[str, tuple[str, ...]],
    reach_new: Mapping[str, tuple[str, ...]],
    archives: Mapping[str, int | None],
) -> Iterator[PackageChange]:
    for key in {**had, **has}:
        old, new = had.get(key), has.get(key)
        if old and new and old.digest == new.digest:
            continue
        move, before, after = _move(key[0], old, new)
        asked = (reach_new if new else reach_old).get(key[1], ())
        cost = 0 if new is None or new.digest in archives else new.size
        yield PackageChange(key[1], key[0], move, before, after, asked, cost, ())


def _move(kind: str, old: Package | None, new: Package | None) -> tuple[Move, str, str]:
    if old is None or new is None:
        return (
            (Move.REMOVED, old.version, "") if old else (Move.ADDED, "", new.version if new else "")
        )
    if old.version == new.version:
        if kind == "conda" and old.build != new.build:
            return Move.REBUILT, f"{old.version} {old.build}", f"{new.version} {new.build}"
        return Move.REBUILT, old.url, new.url
    return (
        Move.UP if is_newer(kind, new.version, old.version) else Move.DOWN,
        old.version,
        new.version,
    )


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


def _watched(
    had: Mapping[str, Mapping[tuple[str, str], Package]],
    has: Mapping[str, Mapping[tuple[str, str], Package]],
) -> Iterator[WatchedVersion]:
    for label, names in WATCHED.items():
        before, after = (_versions(rows, names) for rows in (had, has))
        if before or after:
            yield WatchedVersion(label, before, after)


def _versions(rows: Mapping[str, Mapping[tuple[str, str], Package]], names: tuple[str, ...]) -> str:
    """Return the versions that the environments have of a package, with what it was built for."""
    versions = {
        f"{package.version}{_built_for(package)}": None
        for row in rows.values() for (_, name), package in row.items() if name in names
    }  # fmt: skip
    return ", ".join(sorted(versions))


def _built_for(package: Package) -> str:
    """Return what a build of PyTorch is for, as conda-forge writes it in front of its build."""
    built = re.match(r"(cpu|cuda\d+)_", package.build)
    return f" ({built[1]})" if built and package.name in WATCHED["PyTorch"] else ""
