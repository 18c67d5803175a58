"""What a conda platform and a Python are for PyPI: values of markers, tags of wheels."""

import functools
from collections.abc import Iterator

from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from pixi_scaffold.workspace import Platform

_SYSTEMS = {
    "linux": ("linux", "Linux", "posix"),
    "osx": ("darwin", "Darwin", "posix"),
    "win": ("win32", "Windows", "nt"),
}
_MACHINES = {
    "linux-32": "i386", "linux-64": "x86_64", "linux-aarch64": "aarch64", "linux-armv6l": "armv6l",
    "linux-armv7l": "armv7l", "linux-ppc64le": "ppc64le", "linux-ppc64": "ppc64",
    "linux-s390x": "s390x", "linux-riscv32": "riscv32", "linux-riscv64": "riscv64",
    "osx-64": "x86_64", "osx-arm64": "arm64", "win-32": "x86", "win-64": "AMD64",
    "win-arm64": "ARM64",
}  # fmt: skip
_LEGACY_MANYLINUX = {(2, 17): "2014", (2, 12): "2010", (2, 5): "1"}
"""PEP 600: older names of some tags."""


def marker_environment(platform: Platform, python: str) -> dict[str, str] | None:
    """Return what markers are evaluated with; None for a platform that PyPI has no name for.

    crates/pypi_modifiers, pypi_marker_env.rs. python: the version of the locked python.
    """
    system = _SYSTEMS.get(platform.subdir.partition("-")[0])
    if system is None:
        return None
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": system[2],
        "platform_machine": _MACHINES.get(platform.subdir, ""),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": system[1],
        "platform_version": "",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": system[0],
    }


def wheel_rank(file: str, platform: Platform, python: str) -> int | None:
    """Return how well a wheel suits, 0 best; None when it does not run there.

    file: the name of the wheel.
    """
    tags = _tags(platform.subdir, system_version(platform), _minor(python))
    try:
        _, _, _, offered = parse_wheel_filename(file)
    except InvalidWheelFilename:
        return None
    return min((tags[tag] for tag in offered if tag in tags), default=None)


def is_wheel_for(file: str, platform: Platform, python: str) -> bool:
    """Whether a file runs there, as far as its name says; one that says nothing does."""
    try:
        parse_wheel_filename(file)
    except InvalidWheelFilename:
        return True
    return wheel_rank(file, platform, python) is not None


def system_version(platform: Platform) -> tuple[int, int]:
    """Return the glibc of a Linux platform, the macOS of one for that, as (major, minor)."""
    wanted = "__osx" if platform.subdir.startswith("osx") else "__glibc"
    for package in platform.virtual_packages:
        if package.name == wanted:
            return _minor(package.version)
    return (0, 0)


def _minor(version: str) -> tuple[int, int]:
    parts = [part for part in version.split(".")[:2] if part.isdecimal()]
    return int(parts[0]) if parts else 0, int(parts[1]) if len(parts) > 1 else 0


@functools.cache
def _tags(subdir: str, system: tuple[int, int], python: tuple[int, int]) -> dict[Tag, int]:
    """Return the tags that run, the best first."""
    names = list(_platform_tags(subdir, system))
    interpreter = f"cp{python[0]}{python[1]}"
    ordered = dict.fromkeys(
        (
            *cpython_tags(python, platforms=names, abis=[interpreter]),
            *compatible_tags(python, interpreter, names),
        )
    )
    return {tag: number for number, tag in enumerate(ordered)}


def _platform_tags(subdir: str, system: tuple[int, int]) -> Iterator[str]:
    machine = _MACHINES.get(subdir, "")
    if subdir.startswith("win"):
        yield {"AMD64": "win_amd64", "ARM64": "win_arm64"}.get(machine, "win32")
    elif subdir.startswith("osx"):
        yield from mac_platforms(system, machine)
    else:
        for minor in range(system[1], 4, -1):
            yield f"manylinux_{system[0]}_{minor}_{machine}"
            if legacy := _LEGACY_MANYLINUX.get((system[0], minor)):
                yield f"manylinux{legacy}_{machine}"
        yield f"linux_{machine}"
