"""A platform of a workspace: a conda subdir and the virtual packages that it counts on (pure)."""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

from pixi_scaffold.workspace.values import newer

UNIX = ("linux", "osx", "emscripten")
_LIBC = frozenset({"__glibc", "__musl", "__eglibc"})
_VERSIONS = {
    "linux": (("__linux", "4.18"), ("__glibc", "2.28")), "osx": (("__osx", "13.0"),),
    "win": (("__win", "10.0"),),
}  # fmt: skip
_ARCHSPEC = {
    "64": "x86_64", "32": "x86", "aarch64": "aarch64", "arm64": "m1", "ppc64le": "ppc64le",
}  # fmt: skip


class VirtualPackage(NamedTuple):
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


@cache
def default_virtual_packages(subdir: str) -> tuple[VirtualPackage, ...]:
    """Return what Pixi assumes of a machine of this subdir (pixi_manifest, platform.rs)."""
    family, _, arch = subdir.partition("-")
    packages = [VirtualPackage("__unix", "0", "0")] if family in UNIX else []
    packages += [VirtualPackage(*one) for one in _VERSIONS.get(family, ())]
    if spec := _ARCHSPEC.get(arch if (family, arch) != ("win", "arm64") else "aarch64"):
        packages.append(VirtualPackage("__archspec", "0", spec))
    return tuple(packages)


class Platform(NamedTuple):
    """A machine that the workspace supports: a conda subdir and what is declared beyond it."""

    name: str
    subdir: str
    declared: tuple[VirtualPackage, ...] = ()

    @property
    def virtual_packages(self) -> tuple[VirtualPackage, ...]:
        """Everything that a solve may count on: a declared one replaces Pixi's default."""
        names = {p.name for p in self.declared}
        names |= _LIBC if names & _LIBC else set()
        defaults = default_virtual_packages(self.subdir)
        return self.declared + tuple(p for p in defaults if p.name not in names)

    @property
    def is_bare(self) -> bool:
        """Whether it is its subdir and no more: Pixi then calls it by that in a lock, too."""
        return self.name == self.subdir

    @property
    def identity(self) -> tuple[str, tuple[str, ...]]:
        """What a lock file's platform is matched by: subdir and the non-default packages."""
        return platform_identity(self.subdir, (str(p) for p in self.virtual_packages))


def platform_identity(subdir: str, virtual_packages: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Return subdir and the sorted virtual packages that are not Pixi's defaults for it.

    The name of a platform does not count: Pixi writes aliases (p1, p2) into lock files.
    """
    return subdir, tuple(sorted(set(virtual_packages) - _default_texts(subdir)))


@cache
def _default_texts(subdir: str) -> frozenset[str]:
    return frozenset(map(str, default_virtual_packages(subdir)))


def loose_identity(subdir: str, virtual_packages: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Return the same with versions compared as versions: 12 and 12.0 are one."""
    _, packages = platform_identity(subdir, virtual_packages)
    return subdir, tuple(sorted(_without_zeros(package) for package in packages))


def _without_zeros(package: str) -> str:
    name, _, rest = package.partition("=")
    version, separator, build = rest.partition("=")
    while version.endswith(".0"):
        version = version[:-2]
    return f"{name}={version}{separator}{build}"


def united(platforms: Sequence[Platform]) -> tuple[VirtualPackage, ...]:
    """Return what any of `platforms` declares beyond Pixi's defaults, the newest of each."""
    packages: dict[str, VirtualPackage] = {}
    for platform in platforms:
        defaults = default_virtual_packages(platform.subdir)
        for package in (p for p in platform.declared if p not in defaults):
            have = packages.get(package.name)
            if have is None or (have != package and newer(package.version, have.version)):
                packages[package.name] = package
    return tuple(packages[name] for name in sorted(packages))


FRIENDLY = {
    "__cuda": "cuda", "__archspec": "archspec", "__glibc": "glibc", "__linux": "linux",
    "__osx": "macos", "__win": "windows",
}  # fmt: skip
"""What a manifest calls virtual packages, in the order in which Pixi writes them."""


def derived_name(subdir: str, declared: Iterable[VirtualPackage]) -> str:
    """Return the name that Pixi gives to a platform without one (toml/platform.rs)."""
    defaults = default_virtual_packages(subdir)
    named: dict[str, str] = {}
    raw: dict[str, str] = {}
    for package in declared:
        if package in defaults:
            continue
        archspec = package.name == "__archspec" and package.version == "0"
        if package.name in FRIENDLY and (archspec or package.build in ("", "0")):
            value = package.build if archspec else package.version
            named[package.name] = f"{FRIENDLY[package.name]}-{value}"
        else:
            value = f"{package.version}={package.build}" if package.build else package.version
            raw[package.name] = f"{package.name.strip('_')}-{value}"
    parts = [named[n] for n in FRIENDLY if n in named] + [raw[n] for n in sorted(raw)]
    return "-".join([subdir, *(re.sub(r"[^A-Za-z0-9]+", "-", p).strip("-") for p in parts)])
