"""Which wheels the starter channel is made of, and which Pythons have them."""

import importlib.resources
import platform
import sys
from collections.abc import Mapping

from packaging.requirements import Requirement
from packaging.tags import sys_tags

from pixi_scaffold.errors import ScaffoldError

PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64", "macosx_14_0_arm64")
"""The newest platform tags among the pinned wheels: what has them can install all the others."""


def pins(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the exact requirements, PyTorch first, without the part of PyTorch's CUDA libraries.

    environment: markers of another Python, as `packaging` names them.
    """
    text = (importlib.resources.files(__package__) / "starter.txt").read_text(encoding="utf-8")
    wanted = map(
        Requirement, filter(None, (li.partition("#")[0].strip() for li in text.split("\n")))
    )
    here = dict(environment) if environment else None
    chosen = [r for r in wanted if r.marker is None or r.marker.evaluate(here)]
    return tuple(f"{r.name}{r.specifier}" for r in sorted(chosen, key=lambda r: r.name != "torch"))


def check_python() -> None:
    """Raise ScaffoldError, naming the Pythons that work, when this one has no wheels."""
    tags = {str(tag) for tag in sys_tags()}
    pythons = [version.replace(".", "") for version in PYTHONS]
    if any(f"cp{v}-cp{v}-{p}" in tags for v in pythons for p in PLATFORMS):
        return
    build = " (free-threaded)" if "t" in getattr(sys, "abiflags", "") else ""
    system = " ".join((platform.system(), platform.machine(), *platform.libc_ver())).strip()
    raise ScaffoldError(
        f"the starter channel needs wheels of PyTorch and others, and there are none for Python "
        f"{platform.python_version()}{build} on {system}\n"
        f"there are for Python {PYTHONS[0]} to {PYTHONS[-1]} on Linux x86-64 and aarch64 with "
        "glibc 2.28 or newer, and on macOS 14 or newer on Apple silicon",
        "run pixi-scaffold with one of these Pythons; or let conda-forge be reached",
    )
