"""Install a locked environment."""

import asyncio
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pixi_scaffold.environment.damage import refuse_damaged_archives
from pixi_scaffold.errors import ScaffoldError, Skipped, UnsupportedError, causes
from pixi_scaffold.lock import Lock, cache_folder, pixi_config, why_fetching_failed
from pixi_scaffold.pypi import ChosenWheel, install_wheels
from pixi_scaffold.report import Progress
from pixi_scaffold.system import layout, program
from pixi_scaffold.workspace import Platform, Workspace

if TYPE_CHECKING:
    from rattler.install import InstallerReporter


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment on disk: where, for which platform, how many packages."""

    prefix: Path
    platform: Platform
    packages: int


def host_platform(workspace: Workspace, environment: str, locked: Lock | None) -> Platform:
    """Return the platform that Pixi would choose on this machine.

    The first declared one of this machine's subdir whose virtual packages the machine has; with
    `locked`, among those that it has. Raises Skipped, naming the machine, when there is none.
    """
    from rattler import Subdir, Version, VirtualPackage, VirtualPackageOverrides

    detected = VirtualPackage.detect(VirtualPackageOverrides.from_env())
    have = {g.name.normalized: g.version for g in (v.into_generic() for v in detected)}
    subdir = str(Subdir.current())
    wanted = workspace.environment(environment)
    for platform in workspace.environment_platforms(wanted):
        if platform.subdir != subdir:
            continue
        if locked is not None and locked.urls(environment, platform) is None:
            continue
        needs = [v for v in platform.declared if v.name != "__archspec"]
        if all(v.name in have and have[v.name] >= Version(v.version) for v in needs):
            return platform
    if not any(workspace.requirements(wanted, p) for p in workspace.platforms):
        raise Skipped(f"the environment {environment} requires no package")
    declared = ", ".join(p.name for p in workspace.environment_platforms(wanted))
    raise Skipped(
        f"this machine ({subdir}) is none of the environment's platforms that are locked "
        f"(declared: {declared})"
    )


def install(
    lock: Lock, environment: str, platform: Platform, prefix: Path, progress: Progress
) -> Installed:
    """Install the locked packages of one environment and platform into `prefix`.

    Downloads go through the user's Pixi configuration into the cache that Pixi shares. Raises
    ScaffoldError when a package cannot be had or the folder not written.
    """
    from rattler import Subdir
    from rattler import install as rattler_install

    records = lock.records(environment, platform)
    wheels = _wheels(lock, environment, platform)
    root = lock.path.parent
    try:
        asyncio.run(
            rattler_install(
                list(records),
                prefix,
                cache_dir=cache_folder("pkgs", root),
                platform=Subdir(platform.subdir),
                show_progress=False,
                reporter=cast("InstallerReporter", _Reporter(progress)),
                config=pixi_config(root),
            )
        )
    except Exception as error:  # several kinds, no common base
        refuse_damaged_archives((r.url, r.sha256) for r in records)
        said = causes(error)
        why, hint = why_fetching_failed(said, "a package arrived damaged")
        is_full = re.search(r"os error (28|122)\b", said)
        if is_full and _free(prefix) <= _free(cache_folder("pkgs", root)):
            why, hint = "its disk is full", "free some space there, or use another disk"
        raise ScaffoldError(
            f"installing {environment} for {platform.name} into {prefix} failed: {why}: {said}",
            f"{hint}; then: {program()} check --train",
        ) from error
    if wheels:
        progress.update(f"installing {len(wheels)} packages from PyPI")
    install_wheels(prefix, wheels)
    return Installed(prefix, platform, len(records) + len(wheels))


def _free(folder: Path) -> int:
    """Return the bytes that are free on the disk of a folder, which need not be there yet."""
    return shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free


def _wheels(lock: Lock, environment: str, platform: Platform) -> list[ChosenWheel]:
    """Return what is locked from PyPI; raises UnsupportedError for what uv cannot put in place."""
    from rattler import Subdir

    wheels = []
    root = lock.path.absolute().parent
    if root.parts[-2:] == layout.STARTER.parts:
        root = root.parents[1]
    for kind, url in lock.urls(environment, platform) or ():
        if kind == "conda":
            continue
        package = lock.layout.package(url)
        if "://" not in url and not (root / url).is_file() and package.file.endswith(".whl"):
            raise ScaffoldError(
                f"{package.name} is locked from {root / url}, which is not there",
                f"bring it back, or lock again: {program()} lock",
            )
        if kind != "pypi" or not package.file.endswith(".whl"):
            raise UnsupportedError(
                f"only Pixi installs {package.name}, which is built from its source",
                "with Pixi: pixi install --locked",
            )
        digest = package.field("sha256")
        place = url if "://" in url else (root / url).resolve().as_uri()
        wheels.append(ChosenWheel(package.name, package.version, place, digest))
    if wheels and platform.subdir != str(Subdir.current()):
        raise UnsupportedError(
            f"{wheels[0].name} is from PyPI, and such packages can only be put into an "
            f"environment of this machine, not of {platform.name}",
            f"do it on a {platform.subdir} machine",
        )
    return wheels


class _Reporter:
    """Turns rattler's callbacks into one fraction: packages linked of packages to link."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.total = 0
        self.linked = 0

    def on_transaction_start(self, total_operations: int) -> None:
        self.total = total_operations

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:  # noqa: ARG002
        self._tell(f"fetching {package_name}")
        return 0

    def on_link_start(self, operation: int, package_name: str) -> int:  # noqa: ARG002
        self._tell(f"linking {package_name}")
        return 0

    def on_link_complete(self, index: int) -> None:  # noqa: ARG002
        self.linked += 1

    def _tell(self, text: str) -> None:
        self.progress.update(text, self.linked / max(self.total, 1))

    def __getattr__(self, name: str) -> Callable[..., int]:
        """Answer the callbacks that are of no interest here."""
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *_args: 0
