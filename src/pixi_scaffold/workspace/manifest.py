"""Find and read a Pixi manifest (pixi.toml) into a Workspace.

What only Pixi can handle is collected by name in `Workspace.unsupported`; what is wrong raises
ManifestError with the file, and the line and column where the TOML reader knows them.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from pixi_scaffold.errors import ManifestError, NoWorkspaceError
from pixi_scaffold.system import program
from pixi_scaffold.workspace.model import (
    DEFAULT,
    ChannelEntry,
    Environment,
    Feature,
    Platform,
    Requirement,
    Target,
    Task,
    VirtualPackage,
    Workspace,
    default_virtual_packages,
)

_SUBDIR = re.compile(
    r"linux-(32|64|aarch64|armv6l|armv7l|ppc64le|ppc64|s390x|riscv32|riscv64)"
    r"|osx-(64|arm64)|win-(32|64|arm64)|emscripten-wasm32|wasi-wasm32|zos-z"
)
_PLATFORM_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_PACKAGE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_FAMILIES = frozenset({"linux", "unix", "win", "osx", "macos"})
_VIRTUAL_KEYS = {
    "cuda": "__cuda", "glibc": "__glibc", "linux": "__linux", "macos": "__osx", "osx": "__osx",
    "windows": "__win",
}  # fmt: skip
_SPEC_KEYS = {
    "version": "version", "build": "build", "build-number": "build_number", "channel": "channel",
    "md5": "md5", "sha256": "sha256",
}  # fmt: skip  # not subdir and file-name: the solver does not look at them
_WORKSPACE_METADATA = frozenset({
    "name", "version", "description", "authors", "license", "license-file", "readme", "homepage",
    "repository", "documentation", "channels", "platforms", "requires-pixi", "dependencies",
})  # fmt: skip
_HARMLESS_DEFAULTS: Mapping[str, object] = {
    "channel-priority": "strict", "solve-strategy": "highest", "preview": [],
}  # fmt: skip
_TARGET_KEYS = frozenset({"dependencies", "constraints", "tasks", "activation"})
_FEATURE_KEYS = _TARGET_KEYS | {"channels", "platforms", "target", "description"}
_ENVIRONMENT_KEYS = frozenset({"features", "solve-group", "no-default-feature"})
_TASK_KEYS = frozenset({"cmd", "cwd", "env", "description", "depends-on", "inputs", "outputs"})


_PIXI_KEYS = frozenset({
    "activation", "build-dependencies", "build-variants", "channel-priority", "conda-pypi-map",
    "constraints", "dependencies", "dev", "env", "environments", "exclude-newer", "extras",
    "feature", "flags", "host-dependencies", "package", "preview", "pypi-dependencies",
    "pypi-exclude-newer", "pypi-options", "run-dependencies", "s3-options", "solve-strategy",
    "system-requirements", "target", "tasks", "tool", "workspace",
})  # fmt: skip
"""Keys that are no misspelt ones, although most of them only Pixi itself handles."""


def find_manifest(start: Path) -> Path:
    """Return the absolute path of the manifest at `start` (a folder or the file itself).

    Raises NoWorkspaceError when there is none, ManifestError for one in pyproject.toml.
    """
    start = start.absolute()
    if start.is_file():
        return start
    manifest = start / "pixi.toml"
    if manifest.is_file():
        return manifest
    if (start / "pyproject.toml").is_file() and "[tool.pixi" in (
        start / "pyproject.toml"
    ).read_text(errors="replace"):
        raise ManifestError(
            f"{start / 'pyproject.toml'} keeps its Pixi workspace under [tool.pixi], "
            "which only Pixi itself reads",
            "use Pixi: pixi lock",
        )
    hint = f"go to a workspace, or make one: {program()} new myproject"
    if above := next((f for f in start.parents if (f / "pixi.toml").is_file()), None):
        hint = f"one is above: cd {shlex.quote(os.path.relpath(above))}"
    raise NoWorkspaceError(f"no pixi.toml in {start}", hint)


def read_manifest(path: Path) -> Workspace:
    """Read pixi.toml at `path`; raises ManifestError when it is not a valid manifest."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot read {path}: {error}", "is it a text file?") from error
    return parse_manifest(text, path)


def parse_manifest(text: str, path: Path) -> Workspace:
    """Parse the text of a manifest; `path` is where it came from. Raises ManifestError."""
    try:
        document = _load(text)
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).partition(" (at ")
        found = re.match(r"line (\d+), column (\d+)", place)
        line, column = found.groups() if found else (str(text.count("\n") + 1), "1")
        raise ManifestError(
            f"{path}:{line}:{column}: not valid TOML: {what}", f"correct line {line} of {path.name}"
        ) from error
    except RecursionError as error:
        raise ManifestError(f"{path}:1:1: nested too deeply", f"correct {path.name}") from error
    return _Reader(path).workspace(document)


def _load(text: str) -> dict[str, Any]:
    """Return the document. Pixi also takes TOML 1.1: line breaks and a last comma in `{...}`.

    Raises tomllib.TOMLDecodeError, whose places are exact, when neither reader takes it.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        try:
            return dict(tomlkit.parse(text).unwrap())
        except TOMLKitError:
            pass
        raise


@dataclass
class _Reader:
    """One reading of one manifest: knows the file for its errors, collects what Pixi must do."""

    path: Path
    unsupported: list[str] = field(default_factory=list)
    shared: Mapping[str, Any] = field(default_factory=dict)

    def fail(self, where: str, what: str) -> ManifestError:
        return ManifestError(f"{self.path}: {where}: {what}", f"correct {where} in {self.path}")

    def table(self, value: object, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.fail(where, f"expected a table, found {value!r}")
        return value

    def strings(self, value: object, where: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self.fail(where, f"expected a list of strings, found {value!r}")
        return tuple(value)

    def refuse(self, table: Mapping[str, Any], known: frozenset[str], where: str) -> None:
        for key in table:
            if key not in known:
                self.unknown(key, known, where)

    def unknown(self, key: str, known: frozenset[str], where: str) -> None:
        """Take a key for one that Pixi handles, unless it looks like a misspelt one."""
        near = difflib.get_close_matches(key, known | _PIXI_KEYS, 1, 0.8)
        if near and key not in _PIXI_KEYS:
            raise self.fail(where or key, f"unknown key {key!r}; did you mean {near[0]!r}?")
        self.unsupported.append(f"{where}.{key}" if where else key)

    def workspace(self, doc: dict[str, Any]) -> Workspace:
        head = "workspace" if "workspace" in doc else "project"
        if head not in doc:
            raise ManifestError(
                f"{self.path} has no [workspace] table", "make a workspace: pixi init"
            )
        table = self.table(doc[head], head)
        self.shared = self.table(table.get("dependencies", {}), f"{head}.dependencies")
        for key, value in table.items():
            if key not in _WORKSPACE_METADATA and _HARMLESS_DEFAULTS.get(key, ...) != value:
                self.unknown(key, _WORKSPACE_METADATA, head)
        platforms = self.platforms(table.get("platforms", []), f"{head}.platforms")
        if "channels" not in table:
            raise self.fail(head, "it names no channels, which Pixi asks for")
        features = {DEFAULT: self.feature(DEFAULT, doc, "")}
        for name, feature in self.table(doc.get("feature", {}), "feature").items():
            where = f"feature.{name}"
            features[name] = self.feature(name, self.table(feature, where), where)
        environments = tuple(self.environments(doc.get("environments", {}), features))
        top = _FEATURE_KEYS | {head, "feature", "environments", "$schema", "tool"}
        self.refuse(doc, frozenset(top - {"channels", "platforms"}), "")
        self.known_platforms(features, platforms)
        return Workspace(
            manifest=self.path,
            name=str(table.get("name", self.path.parent.name)),
            channel_entries=self.channels(table.get("channels", []), f"{head}.channels"),
            platforms=platforms,
            features=features,
            environments=environments,
            requires_pixi=str(table.get("requires-pixi", "")),
            unsupported=tuple(self.unsupported),
        )

    def channels(self, value: object, where: str) -> tuple[ChannelEntry, ...]:
        if not isinstance(value, list):
            raise self.fail(where, f"expected a list, found {value!r}")
        return tuple(self.channel(entry, where) for entry in value)

    def channel(self, entry: object, where: str) -> ChannelEntry:
        table = {"channel": entry} if isinstance(entry, str) else self.table(entry, where)
        name, priority = table.get("channel"), table.get("priority", 0)
        if not isinstance(name, str) or not name:
            raise self.fail(where, f"expected a channel, found {entry!r}")
        if not isinstance(priority, int):
            raise self.fail(where, f"the priority of {name} is a number, not {priority!r}")
        self.refuse(table, frozenset({"channel", "priority"}), where)
        if name.startswith(("./", "../", "/", "~")):  # a folder, seen from the manifest
            try:
                name = (self.path.parent / Path(name).expanduser()).resolve().as_uri()
            except (RuntimeError, ValueError) as error:
                raise self.fail(where, f"{name!r} is not a folder: {error}") from error
        return ChannelEntry(name, priority)

    def platforms(self, value: object, where: str) -> tuple[Platform, ...]:
        if not isinstance(value, list) or not value:
            raise self.fail(where, "a workspace needs at least one platform")
        found = tuple(self.platform(entry, where) for entry in value)
        names = [p.name for p in found]
        seen: dict[tuple[str, tuple[str, ...]], str] = {}
        for platform in found:
            if names.count(platform.name) > 1:
                raise self.fail(where, f"{platform.name} is listed twice")
            if twin := seen.get(platform.identity):
                raise self.fail(
                    where, f"{twin} and {platform.name} are the same machine; keep one of them"
                )
            seen[platform.identity] = platform.name
        return found

    def platform(self, entry: object, where: str) -> Platform:
        if isinstance(entry, str):
            if not _SUBDIR.fullmatch(entry):
                raise self.fail(where, f"{entry!r} is not a conda platform such as linux-64")
            return Platform(entry, entry)
        table = self.table(entry, where)
        subdir = table.get("platform", table.get("name"))
        if not isinstance(subdir, str) or not _SUBDIR.fullmatch(subdir):
            raise self.fail(where, f"{subdir!r} is not a conda platform such as linux-64")
        declared = tuple(self.virtual_packages(table, where))
        name = table.get("name", _derived_name(subdir, declared))
        if not isinstance(name, str) or not _PLATFORM_NAME.fullmatch(name) or name in _FAMILIES:
            raise self.fail(where, f"{name!r} is not a valid platform name")
        if name != subdir and _SUBDIR.fullmatch(name):
            raise self.fail(where, f"{name!r} is the name of another conda platform")
        if name == subdir and declared:
            raise self.fail(where, f"{name!r} declares virtual packages: give it another name")
        return Platform(name, subdir, declared)

    def virtual_packages(self, table: Mapping[str, Any], where: str) -> Iterator[VirtualPackage]:
        for key, value in table.items():
            if key in ("name", "platform"):
                continue
            if key == "cuda" and isinstance(value, dict):
                if "driver" not in value or set(value) - {"driver", "arch"}:
                    raise self.fail(where, f"cuda takes driver and arch, found {value!r}")
                yield VirtualPackage("__cuda", str(value["driver"]))
                if "arch" in value:
                    yield VirtualPackage("__cuda_arch", str(value["arch"]))
            elif not isinstance(value, str):
                raise self.fail(where, f"{key} needs a version in quotes, found {value!r}")
            elif key == "archspec":
                yield VirtualPackage("__archspec", "0", value)
            elif key in _VIRTUAL_KEYS:
                yield VirtualPackage(_VIRTUAL_KEYS[key], value)
            elif key.startswith("__"):
                version, _, build = value.partition("=")
                yield VirtualPackage(key, version, build)
            else:
                raise self.fail(where, f"unknown key {key!r} in a platform")

    def feature(self, name: str, table: dict[str, Any], where: str) -> Feature:
        if name != DEFAULT:
            self.refuse(table, _FEATURE_KEYS, where)
        prefix = f"{where}." if where else ""
        targets = [self.target(None, table, where)]
        for selector, value in self.table(table.get("target", {}), f"{prefix}target").items():
            here = f"{prefix}target.{selector}"
            if "(" in selector:  # if(...): for packages, not for workspaces
                raise self.fail(here, "not a platform, a family, or a pattern of one")
            self.refuse(self.table(value, here), _TARGET_KEYS, here)
            targets.append(self.target(selector, value, here))
        channels = platforms = None
        if name != DEFAULT:  # the default feature's are the workspace's
            if "channels" in table:
                channels = self.channels(table["channels"], f"{prefix}channels")
            if "platforms" in table:
                platforms = self.strings(table["platforms"], f"{prefix}platforms")
        return Feature(name, tuple(targets), channels, platforms)

    def target(self, selector: str | None, table: Mapping[str, Any], where: str) -> Target:
        prefix = f"{where}." if where else ""
        activation = self.table(table.get("activation", {}), f"{prefix}activation")
        self.refuse(activation, frozenset({"env", "scripts"}), f"{prefix}activation")
        env = self.table(activation.get("env", {}), f"{prefix}activation.env")
        scripts = activation.get("scripts", [])
        return Target(
            selector,
            self.requirements(table.get("dependencies", {}), f"{prefix}dependencies"),
            self.requirements(table.get("constraints", {}), f"{prefix}constraints"),
            self.tasks(table.get("tasks", {}), f"{prefix}tasks"),
            tuple((k, str(v)) for k, v in env.items()),
            self.strings(scripts, f"{prefix}activation.scripts"),
        )

    def requirements(self, value: object, where: str) -> tuple[Requirement, ...]:
        return tuple(
            self.requirement(name, spec, f"{where}.{name}")
            for name, spec in self.table(value, where).items()
        )

    def requirement(self, name: str, spec: object, where: str) -> Requirement:
        if isinstance(spec, dict) and spec.get("workspace") is True and len(spec) == 1:
            if name not in self.shared:
                raise self.fail(where, "not in [workspace.dependencies]")
            spec = self.shared[name]
        if not _PACKAGE_NAME.fullmatch(name):
            raise self.fail(where, f"{name!r} is not the name of a conda package")
        name = name.lower()  # conda names are compared so
        if isinstance(spec, str):
            return Requirement(name, (("version", spec.strip() or "*"),))
        fields = []
        for key, value in self.table(spec, where).items():
            if key not in _SPEC_KEYS:
                self.unsupported.append(f"{where}.{key}")
            else:
                fields.append((_SPEC_KEYS[key], str(value)))
        return Requirement(name, tuple(fields))

    def tasks(self, value: object, where: str) -> tuple[Task, ...]:
        return tuple(
            self.task(name, task, f"{where}.{name}")
            for name, task in self.table(value, where).items()
        )

    def task(self, name: str, value: object, where: str) -> Task:
        if isinstance(value, str):
            return Task(name, value)
        if isinstance(value, list):  # an alias: a list of other tasks
            return Task(name, "", depends_on=tuple(str(v) for v in value))
        table = self.table(value, where)
        cmd = table.get("cmd", "")
        if isinstance(cmd, list):
            cmd = " ".join(self.strings(cmd, f"{where}.cmd"))
        if not isinstance(cmd, str):
            raise self.fail(f"{where}.cmd", f"expected a command, found {cmd!r}")
        command = cmd
        depends = table.get("depends-on", [])
        if not cmd and not depends:
            raise self.fail(where, "a task needs cmd or depends-on")
        return Task(
            name,
            command,
            cwd=str(table.get("cwd", "")),
            env=tuple((k, str(v)) for k, v in self.table(table.get("env", {}), where).items()),
            description=str(table.get("description", "")),
            depends_on=tuple(str(d) for d in (depends if isinstance(depends, list) else [depends])),
            unsupported=tuple(k for k in table if k not in _TASK_KEYS),
        )

    def environments(self, value: object, features: dict[str, Feature]) -> Iterator[Environment]:
        table = self.table(value, "environments")
        if DEFAULT not in table:
            yield Environment(DEFAULT, (DEFAULT,))
        for name, entry in table.items():
            yield self.environment(name, entry, features)

    def environment(self, name: str, entry: object, features: dict[str, Feature]) -> Environment:
        where = f"environments.{name}"
        group, plain = None, True
        inline: tuple[str, ...] = ()
        if isinstance(entry, list):
            names = self.strings(entry, where)
        else:
            table = self.table(entry, where)
            if not table:
                raise self.fail(where, "an empty table; write [] for an environment of its own")
            names = self.strings(table.get("features", []), f"{where}.features")
            group = table.get("solve-group")
            plain = not table.get("no-default-feature", False)
            own = {k: v for k, v in table.items() if k not in _ENVIRONMENT_KEYS}
            if own:  # Pixi treats it as a hidden feature in front of the others
                hidden = f"<{where}>"
                features[hidden] = self.feature(hidden, own, where)
                inline = (hidden,)
        for feature in names:
            if feature not in features:
                raise self.fail(where, f"there is no feature {feature!r}")
        chosen = inline + tuple(f for f in names if f != DEFAULT or not plain)
        return Environment(name, chosen + ((DEFAULT,) if plain else ()), group)

    def known_platforms(
        self, features: Mapping[str, Feature], platforms: tuple[Platform, ...]
    ) -> None:
        names = {name for p in platforms for name in (p.name, p.subdir)}
        for feature in features.values():
            for platform in feature.platforms or ():
                if platform not in names:
                    raise self.fail(
                        f"feature.{feature.name}.platforms",
                        f"{platform!r} is not one of the workspace's platforms",
                    )


def _derived_name(subdir: str, declared: tuple[VirtualPackage, ...]) -> str:
    """Return the name that Pixi gives to a platform without one (toml/platform.rs)."""
    friendly = {v: k for k, v in _VIRTUAL_KEYS.items() if k != "osx"} | {"__archspec": "archspec"}
    order = ["__cuda", "__archspec", "__glibc", "__linux", "__osx", "__win"]
    defaults = default_virtual_packages(subdir)
    named: dict[str, str] = {}
    raw: dict[str, str] = {}
    for package in declared:
        if package in defaults:
            continue
        archspec = package.name == "__archspec" and package.version == "0"
        if package.name in friendly and (archspec or package.build in ("", "0")):
            value = package.build if archspec else package.version
            named[package.name] = f"{friendly[package.name]}-{value}"
        else:
            value = f"{package.version}={package.build}" if package.build else package.version
            raw[package.name] = f"{package.name.strip('_')}-{value}"
    parts = [named[name] for name in order if name in named] + [raw[name] for name in sorted(raw)]
    return "-".join([subdir, *(re.sub(r"[^A-Za-z0-9]+", "-", p).strip("-") for p in parts)])
