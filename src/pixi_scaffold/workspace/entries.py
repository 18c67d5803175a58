"""Read one entry of a manifest: a platform, a channel, a requirement."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixi_scaffold.workspace.grammar import GrammarError, Key, check_git, shown
from pixi_scaffold.workspace.model import ChannelEntry, Requirement
from pixi_scaffold.workspace.platform import Platform, VirtualPackage, derived_name
from pixi_scaffold.workspace.values import (
    SUBDIR,
    BadValueError,
    check_archspec,
    check_platform_name,
    check_version,
    version_spec,
)

_VIRTUAL_KEYS = {
    "driver": "__cuda", "arch": "__cuda_arch", "archspec": "__archspec", "glibc": "__glibc",
    "linux": "__linux", "macos": "__osx", "osx": "__osx", "windows": "__win",
}  # fmt: skip  # in the order in which Pixi writes them (toml/platform.rs)
_SPEC_KEYS = {
    "version": "version", "build": "build", "build-number": "build_number", "channel": "channel",
    "md5": "md5", "sha256": "sha256", "license": "license", "subdir": "subdir",
    "extras": "extras", "flags": "flags", "when": "when",
}  # fmt: skip
_IGNORED = ("file-name", "license-family")
"""What neither Pixi's solver nor its comparison looks at."""
_ARCHIVE = (".conda", ".tar.bz2")
_NO_CONSTRAINT = "a package that is built from source is no constraint"
NO_BUILDS = 'a package that is built from source needs preview = ["pixi-build"]'


def read_platform(entry: Any, key: Key) -> Platform:
    """Return a platform as the workspace lists it; raises GrammarError."""
    table = {"name": entry} if isinstance(entry, str) else entry
    subdir = table.get("platform", table.get("name"))
    if subdir is None:
        raise GrammarError(key, "an entry needs platform, such as linux-64")
    if not SUBDIR.fullmatch(subdir):
        raise GrammarError(key, f"{subdir!r} is not a conda platform such as linux-64")
    declared = _virtual_packages(table, key)
    name = table.get("name", derived_name(subdir, declared))
    try:
        check_platform_name(name)
    except BadValueError as error:
        raise GrammarError(key, f"{name!r} is not {error}") from error
    if name == subdir and declared:
        raise GrammarError(
            key, f"{name!r} declares virtual packages: give it a name of its own, or drop them"
        )
    return Platform(name, subdir, declared)


def _virtual_packages(entry: dict[str, Any], key: Key) -> tuple[VirtualPackage, ...]:
    if "osx" in entry and "macos" in entry:
        raise GrammarError(key, "osx and macos are the same; set one of them")
    cuda = entry.get("cuda", {})
    said = entry | ({"driver": cuda} if isinstance(cuda, str) else cuda)
    packages = {
        name: VirtualPackage(name, *(("0", said[k]) if k == "archspec" else (said[k],)))
        for k, name in _VIRTUAL_KEYS.items()
        if k in said
    }
    for raw in sorted(k for k in entry if k.startswith("__")):
        if raw.lower() in packages:
            raise GrammarError(key, f"{raw} is declared twice")
        version, _, build = entry[raw].partition("=")
        try:
            check_version(version)
            if raw == "__archspec" and build not in ("", "0"):
                check_archspec(build)
        except BadValueError as error:
            raise GrammarError((*key, raw), f"{entry[raw]!r} is not {error}") from error
        packages[raw.lower()] = VirtualPackage(raw.lower(), version, build)
    if "__cuda_arch" in packages and "__cuda" not in packages:
        raise GrammarError(key, "__cuda_arch needs __cuda beside it")
    return tuple(packages.values())


def read_channel_entry(entry: Any, root: Path) -> ChannelEntry:
    """Return a channel; a folder is seen from `root`. Raises GrammarError."""
    table: Mapping[str, Any] = {"channel": entry} if isinstance(entry, str) else entry
    name = table["channel"]
    if name.startswith(("./", "../", "/", "~")):
        try:
            name = (root / Path(name).expanduser()).resolve().as_uri()
        except (RuntimeError, ValueError) as error:
            key = ("workspace", "channels")
            raise GrammarError(key, f"{name!r} is no folder: {error}") from error
    return ChannelEntry(name, table.get("priority", 0), table.get("exclude-newer", ""))


def read_requirement(
    name: str, spec: Any, key: Key, pool: Mapping[str, Any], *, builds: bool
) -> tuple[Requirement, bool, list[str]]:
    """Return a dependency, whether its version is ambiguous, and its keys that only Pixi follows.

    pool: [workspace.dependencies]. builds: whether packages may be built from source here.
    Raises GrammarError.
    """
    if isinstance(spec, dict) and "workspace" in spec:
        spec = _inherited(name, spec, key, pool)
    table = {"version": spec} if isinstance(spec, str) else spec
    _check_together(table, key, builds=builds)
    fields, unsupported, ambiguous = [], list[str](), False
    for one, value in table.items():
        if one == "version":
            text, ambiguous = version_spec(value)
            fields.append((one, text))
        elif one in _SPEC_KEYS and not isinstance(value, dict):
            text = f"[{','.join(value)}]" if isinstance(value, list) else str(value)
            fields.append((_SPEC_KEYS[one], text))
        elif one not in _IGNORED:
            unsupported.append(one)
    return Requirement(name.lower(), tuple(fields)), ambiguous, unsupported


def _inherited(name: str, spec: dict[str, Any], key: Key, pool: Mapping[str, Any]) -> Any:
    for owned in ("version", "path", "git", "url"):
        if owned in spec:
            raise GrammarError(key, f"{owned} does not go with workspace = true")
    if name.lower() not in pool:
        raise GrammarError(key, "it is not in [workspace.dependencies]")
    shared = pool[name.lower()]
    given = {k: v for k, v in spec.items() if k != "workspace"}
    if not given:
        return shared
    return ({"version": shared} if isinstance(shared, str) else shared) | given


def source_of(table: Mapping[str, Any], key: Key) -> str:
    """Return url, git or path, by which a spec says where its package is; empty for a channel.

    Raises GrammarError where it says several.
    """
    places = [one for one in ("url", "git", "path") if one in table]
    if len(places) > 1:
        raise GrammarError(key, f"only one of {', '.join(places)}")
    check_git(table, key)
    hashes = [one for one in ("sha256", "md5") if one in table]
    if places and places[0] != "url" and hashes:
        raise GrammarError(key, f"{hashes[0]} does not go with {places[0]}")
    return places[0] if places else ""


def _check_together(table: Mapping[str, Any], key: Key, *, builds: bool) -> None:
    """Raise GrammarError where keys of a spec do not go together (pixi_spec, toml.rs)."""
    place = source_of(table, key)
    if not place:
        if not set(table) - {"license-family", "subdirectory", "package"}:
            raise GrammarError(key, f"found {shown(dict(table))}: say a version, or * for any")
        return
    if odd := [k for k in ("channel", "file-name", "license-family") if k in table]:
        raise GrammarError(key, f"{odd[0]} does not go with {place}")
    if place != "git" and table[place].endswith(_ARCHIVE):
        if odd := [k for k in table if k not in (place, "md5", "sha256")]:
            raise GrammarError(key, f"{odd[0]} does not go with the archive of one package")
    elif "constraints" in key or not builds:
        raise GrammarError(key, _NO_CONSTRAINT if "constraints" in key else NO_BUILDS)
