"""What a manifest requires, as the library takes it; what only Pixi can lock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from pixi_scaffold.errors import LockError, UnsupportedError
from pixi_scaffold.system import which
from pixi_scaffold.workspace import Platform, Requirement, Workspace

if TYPE_CHECKING:
    from rattler import PackageRecord


def check_specs(workspace: Workspace) -> None:
    """Raise LockError naming the first requirement that the library cannot read."""
    for environment in workspace.environments:
        for platform in workspace.environment_platforms(environment):
            wanted = workspace.requirements(environment, platform)
            for spec in (*wanted, *workspace.constraints(environment, platform)):
                if _is_plain(spec):
                    continue
                from rattler import MatchSpec

                try:
                    MatchSpec(str(spec))
                except Exception as error:  # several kinds, no common base
                    raise LockError(
                        f"{environment.name} on {platform.name}: {spec} is not a valid "
                        f"requirement: {error}",
                        f"correct it in {workspace.manifest}",
                    ) from error


def _is_plain(requirement: Requirement) -> bool:
    """Whether the library need not be asked: it takes 0.1 s to load.

    The version was checked when the manifest was read; a build of these characters is a pattern
    that cannot be wrong.
    """
    return all(
        key == "version" or (key == "build" and _BUILD.fullmatch(str(value)) is not None)
        for key, value in requirement.fields
    )


_BUILD = re.compile(r"[A-Za-z0-9_.*]+")


def new_record(name: str, version: str, build: str, subdir: str, **more: Any) -> PackageRecord:
    """Return a package as the library compares it with specs; more: other fields of its record."""
    from rattler import BuildString, PackageRecord

    return PackageRecord(
        name=name, version=version, build=BuildString(build), subdir=subdir,
        arch=None, platform=None, **more,
    )  # fmt: skip


@cache
def platform_records(platform: Platform) -> Mapping[str, PackageRecord]:
    """Return the virtual packages of a platform as records, by name."""
    return {
        p.name: new_record(p.name, *p.for_solver, platform.subdir, build_number=0)
        for p in platform.virtual_packages
    }


def refuse_sources(workspace: Workspace) -> None:
    """Raise UnsupportedError naming what in the manifest only Pixi can judge."""
    _refuse(workspace, workspace.unsupported, "judge")


def refuse_unsupported(workspace: Workspace) -> None:
    """Raise UnsupportedError naming everything in the manifest that only Pixi can lock."""
    pypi = {
        f"{one.name} ({one.source}, in pypi-dependencies)"
        for environment in workspace.environments
        for platform in workspace.environment_platforms(environment)
        for one in workspace.pypi(environment, platform)
        if one.source
    }
    channels = [
        f"channel {entry.name}: exclude-newer"
        for environment in workspace.environments
        for entry in workspace.environment_channel_entries(environment)
        if entry.exclude_newer
    ]
    packages = [f"exclude-newer.{name}" for name, _ in workspace.exclude_newer_packages]
    names = (*workspace.unsupported, *dict.fromkeys(channels), *packages, *sorted(pypi))
    _refuse(workspace, names, "lock")


def _refuse(workspace: Workspace, names: Iterable[str], verb: str) -> None:
    listed = list(names)
    if listed:
        lines = "\n".join(f"  {name}" for name in listed[:20])
        more = f"\n  and {len(listed) - 20} more" if len(listed) > 20 else ""
        command = "pixi lock --check --dry-run" if verb == "judge" else "pixi lock"
        raise UnsupportedError(
            f"{workspace.manifest} uses what only Pixi itself can {verb}:\n{lines}{more}",
            pixi_command(command),
        )


def pixi_command(command: str) -> str:
    """Return a command of Pixi's as a hint, which says how to get Pixi where it is not."""
    return command if which("pixi") else f"install Pixi (https://pixi.sh), then: {command}"
