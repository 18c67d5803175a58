"""Turn [system-requirements] into platforms, as Pixi asks for since 0.74 (pure)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ManifestError
from pixi_scaffold.workspace.manifest import parse_manifest
from pixi_scaffold.workspace.model import DEFAULT, Workspace
from pixi_scaffold.workspace.platform import Platform
from pixi_scaffold.workspace.pyproject import TOOL

_KEYS = {"__cuda": "cuda", "__glibc": "glibc", "__linux": "linux", "__osx": "macos"}


def with_platforms(text: str, path: Path) -> str | None:
    """Return the manifest with platforms in place of its [system-requirements].

    None where there are none, or where the environments would not stay what they are: those of
    features are not turned, as which environments they go into has no other spelling.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        before = parse_manifest(text, path)
        document = tomlkit.parse(text)
    except (ManifestError, TOMLKitError):
        return None
    table: Any = document
    for key in TOOL if path.name == "pyproject.toml" else ():
        table = table[key]
    head = table.get("workspace", table.get("project"))
    if "system-requirements" not in table or head is None:
        return None
    del table["system-requirements"]
    made = {p.subdir: p for p in before.platforms if p.name in _own(before)}
    for index, subdir in enumerate(head["platforms"].unwrap()):
        if isinstance(subdir, str) and (platform := made.get(subdir)) and not platform.is_bare:
            head["platforms"][index] = _entry(platform)
    after_text = tomlkit.dumps(document)
    try:
        after = parse_manifest(after_text, path)
    except ManifestError:
        return None
    return after_text if _meaning(before) == _meaning(after) else None


def _own(workspace: Workspace) -> tuple[str, ...]:
    """Return the platforms that the default feature's system requirements made."""
    return workspace.features[DEFAULT].platforms or ()


def _entry(platform: Platform) -> Any:
    import tomlkit

    said = {"platform": platform.subdir}
    said |= {_KEYS.get(p.name, p.name): p.version for p in platform.declared}
    text = ", ".join(f'{key} = "{value}"' for key, value in said.items())
    return tomlkit.parse(f"entry = {{ {text} }}")["entry"]  # with the usual spaces


def _meaning(workspace: Workspace) -> dict[str, Any]:
    """Return what each environment needs, platform by platform, whatever those are called."""
    return {
        environment.name: {
            platform.identity: (
                workspace.requirements(environment, platform),
                workspace.constraints(environment, platform),
                workspace.pypi(environment, platform),
            )
            for platform in workspace.environment_platforms(environment)
        }
        for environment in workspace.environments
    }
