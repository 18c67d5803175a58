"""Turn [system-requirements] into platforms, as Pixi asks for since 0.74 (pure)."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ManifestError
from pixi_scaffold.workspace.manifest import parse_manifest
from pixi_scaffold.workspace.model import Workspace
from pixi_scaffold.workspace.platform import FRIENDLY, Platform
from pixi_scaffold.workspace.pyproject import TOOL

_TIGHT = re.compile(r"(?m)^([^\s#].*)\n(?=\[)")
"""A line with a table's head right below it."""
_BASE = "base"
"""What the feature is called that keeps environments on the platforms without more requirements."""


def with_platforms(text: str, path: Path) -> str | None:
    """Return the manifest with platforms in place of its [system-requirements].

    A feature that has some lists the platforms that they make, and environments without such a
    feature get one that lists the others. None where there are none, or where the environments
    would not stay what they are.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        before = parse_manifest(text, path)
        document = tomlkit.parse(_with_comment_moved(text))
    except (ManifestError, TOMLKitError):
        return None
    table: Any = document
    for key in TOOL if path.name == "pyproject.toml" else ():
        table = table[key]
    head = table.get("workspace", table.get("project"))
    features = table.get("feature", {})
    asking = [name for name in features if "system-requirements" in features[name]]
    if head is None or not (asking or "system-requirements" in table):
        return None
    table.pop("system-requirements", None)
    _write_platforms(head, before.platforms, named=bool(asking))
    for name in asking:
        del features[name]["system-requirements"]
    if asking and not _write_features(table, features, before, asking):
        return None
    after_text = tomlkit.dumps(document)
    if not _TIGHT.search(text):  # tables that were apart stay so
        after_text = _TIGHT.sub(r"\1\n\n", after_text)
    try:
        after = parse_manifest(after_text, path)
    except ManifestError:
        return None
    return after_text if _meaning(before) == _meaning(after) else None


def _with_comment_moved(text: str) -> str:
    """Return the text with what is said above the top [system-requirements] above the platforms."""
    comment = re.search(r"(?m)^((?:#.*\n)+)(?=\[(?:tool\.pixi\.)?system-requirements\])", text)
    if comment is None:
        return text
    rest = text[: comment.start()] + text[comment.end() :]
    moved = re.sub(r"(?m)^(?=platforms\s*=)", lambda _: comment[1], rest, count=1)
    return text if moved == rest else moved


def _write_features(table: Any, features: Any, workspace: Workspace, asking: Sequence[str]) -> bool:
    """Let features list platforms, so that each environment keeps its own; False: it cannot."""
    import tomlkit

    with_some = [e for e in workspace.environments if {*asking}.intersection(e.features)]
    others = [e for e in workspace.environments if e not in with_some]
    for name in asking:
        users = [e for e in with_some if name in e.features]
        wanted = [p.name for e in users for p in workspace.environment_platforms(e)]
        platforms = workspace.features[name].platforms or ()
        features[name]["platforms"] = list(dict.fromkeys(wanted or platforms))
    if not others:
        return True
    if _BASE in workspace.features:
        return False
    wanted = [p.name for e in others for p in workspace.environment_platforms(e)]
    features[_BASE] = {"platforms": list(dict.fromkeys(wanted))}
    environments = table.setdefault("environments", tomlkit.table())
    for environment in others:
        entry = environments.get(environment.name)
        if isinstance(entry, list):
            entry.append(_BASE)
        elif entry is None:
            environments[environment.name] = [_BASE]
        else:
            entry["features"] = [*entry.get("features", []), _BASE]
    return True


def _write_platforms(head: Any, platforms: Sequence[Platform], *, named: bool) -> None:
    """Put the platforms into a manifest's head; where each has its place, its comment stays."""
    entries = [p.name if p.is_bare else _entry(p, named=named) for p in platforms]
    array = head["platforms"]
    if [p.subdir for p in platforms] != array.unwrap():
        array.clear()
        array.extend(entries)
        array.multiline(True)
        return
    for index, entry in enumerate(entries):
        if not isinstance(entry, str):
            array[index] = entry


def _entry(platform: Platform, *, named: bool) -> Any:
    import tomlkit

    said = {"name": platform.name} if named else {}
    said["platform"] = platform.subdir
    said |= {FRIENDLY.get(p.name, p.name): p.version for p in platform.declared}
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
