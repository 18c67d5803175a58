"""What in a manifest only Pixi itself can lock or judge."""

from collections.abc import Iterable

from pixi_scaffold.errors import UnsupportedError
from pixi_scaffold.system import which
from pixi_scaffold.workspace import Workspace


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
            command if which("pixi") else f"install Pixi (https://pixi.sh), then: {command}",
        )
