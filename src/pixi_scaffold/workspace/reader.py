"""Make a Workspace of the data of a manifest, which is checked against the grammar first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixi_scaffold.workspace import system
from pixi_scaffold.workspace.entries import (
    NO_BUILDS,
    read_channel_entry,
    read_platform,
    read_requirement,
    source_of,
)
from pixi_scaffold.workspace.grammar import GrammarError, Key, check_table
from pixi_scaffold.workspace.model import (
    DEFAULT,
    ChannelEntry,
    Environment,
    Feature,
    ManifestWarning,
    Requirement,
    Target,
    Workspace,
)
from pixi_scaffold.workspace.platform import Platform, loose_identity
from pixi_scaffold.workspace.pypi import conflicting_options, read_pypi, read_pypi_options
from pixi_scaffold.workspace.pyproject import FromProject
from pixi_scaffold.workspace.task import Task, read_task

_DEPENDENCIES = ("dependencies", "host-dependencies", "build-dependencies")


def read_workspace(document: dict[str, Any], path: Path, outside: FromProject) -> Workspace:
    """Return the workspace; `path` is the manifest's.

    outside: what the rest of a pyproject.toml adds; a feature of it that is not used is no mistake.
    Raises GrammarError.
    """
    return _ManifestReader(path, outside).workspace(document)


@dataclass
class _ManifestReader:
    """One reading of one manifest: collects warnings, and what only Pixi can lock."""

    path: Path
    outside: FromProject
    unsupported: list[str] = field(default_factory=list)
    warnings: dict[ManifestWarning, None] = field(default_factory=dict)
    pool: Mapping[str, Any] = field(default_factory=dict)
    builds: bool = False
    system: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def warn(self, kind: str, text: str) -> None:
        self.warnings[ManifestWarning(kind, text)] = None

    def workspace(self, doc: dict[str, Any]) -> Workspace:
        head = self.check(doc)
        table = doc[head]
        self.pool = {name.lower(): spec for name, spec in table.get("dependencies", {}).items()}
        platforms = self.platforms(table.get("platforms", []), (head, "platforms"))
        priority, strategy = table.get("channel-priority"), table.get("solve-strategy")
        default = self.feature(DEFAULT, doc, ())
        features = {DEFAULT: default._replace(channel_priority=priority, solve_strategy=strategy)}
        for name, entries in doc.get("feature", {}).items():
            if name == DEFAULT:
                raise GrammarError(("feature", name), "the default feature is the top of the file")
            features[name] = self.feature(name, entries, ("feature", name))
        named = doc.get("environments", {})
        named = named if DEFAULT in named else {DEFAULT: [], **named}
        environments = tuple(self.environment(n, entry, features) for n, entry in named.items())
        self.note_unused(doc, environments)
        self.note_dead_selectors(features, platforms)
        asking = frozenset(name for name, wanted in self.system.items() if wanted)
        try:
            settled, features = system.settle(platforms, features, environments, asking)
        except system.PlatformError as error:
            raise GrammarError((head, "platforms"), str(error)) from error
        self.note_twins(settled)
        return Workspace(
            manifest=self.path,
            name=str(table.get("name", self.path.parent.name)),
            channel_entries=self.channels(table["channels"]),
            platforms=settled,
            features=features,
            environments=environments,
            version=table.get("version", ""),
            requires_pixi=table.get("requires-pixi", ""),
            composed=all(p.is_bare for p in platforms),
            exclude_newer=table.get("exclude-newer", ""),
            exclude_newer_packages=tuple(doc.get("exclude-newer", {}).items()),
            unsupported=tuple(dict.fromkeys(self.unsupported)),
            warnings=tuple(self.warnings),
            pypi_options=read_pypi_options(table, (head, "pypi-options"), doc),
            pypi_map=table.get("conda-pypi-map"),
        )

    def check(self, doc: dict[str, Any]) -> str:
        """Check the document against the grammar; return the name of its head table."""
        if "workspace" not in doc and "project" not in doc:
            raise GrammarError((), "it has no [workspace] table")
        check_table(doc, "manifest", (), self.path.parent)
        head = "workspace" if "workspace" in doc else "project"
        if "project" in doc:
            if head == "workspace":
                raise GrammarError(("project",), "unknown key beside [workspace], its newer name")
            self.warn("deprecated", "[project] is called [workspace] now")
        preview = doc[head].get("preview", [])
        # `false` counts, too: Pixi asks only whether it is a boolean (toml/preview.rs).
        self.builds = isinstance(preview, bool) or "pixi-build" in preview
        if "package" in doc:
            if not self.builds:
                raise GrammarError(("package",), NO_BUILDS)
            self.unsupported.append("package")
        for name, spec in doc[head].get("dependencies", {}).items():
            if isinstance(spec, dict) and {"path", "git"} & spec.keys() and not self.builds:
                raise GrammarError((head, "dependencies", name), NO_BUILDS)
        mapping = doc[head].get("conda-pypi-map")
        if isinstance(mapping, dict) and {} in mapping.values():
            raise GrammarError((head, "conda-pypi-map"), "an empty table says nothing of a channel")
        if mapping == {}:
            self.warn("deprecated", f"{head}.conda-pypi-map: write false in place of {{}}")
        return head

    def platforms(self, entries: list[Any], key: Key) -> tuple[Platform, ...]:
        platforms = tuple(read_platform(entry, key) for entry in entries)
        names = [p.name for p in platforms]
        for name in names:
            if names.count(name) > 1:
                raise GrammarError(key, f"{name} is listed twice")
        return platforms

    def channels(self, entries: list[Any]) -> tuple[ChannelEntry, ...]:
        return tuple(read_channel_entry(entry, self.path.parent) for entry in entries)

    def feature(self, name: str, table: Mapping[str, Any], key: Key) -> Feature:
        general = self.target(None, table, key)
        more = self.outside.pypi.get(name, ())
        targets = {"": general._replace(pypi=(*general.pypi, *more))}
        for selector, value in table.get("target", {}).items():
            # macos is another word for osx; of two tables for one selector the later one stays.
            plain = "osx" if selector == "macos" else selector
            targets.pop(plain, None)
            targets[plain] = self.target(plain, value, (*key, "target", selector))
        wanted = table.get("system-requirements", {})
        self.system[name] = wanted
        if wanted:
            where = ".".join((*key, "system-requirements"))
            self.warn(
                "deprecated", f"[{where}] is deprecated: declare it on a platform (check --fix)"
            )
        is_named = name != DEFAULT  # the default feature's are the workspace's
        return Feature(
            name,
            tuple(targets.values()),
            self.channels(table["channels"]) if is_named and "channels" in table else None,
            tuple(table["platforms"]) if is_named and "platforms" in table else None,
            table.get("channel-priority") if is_named else None,
            table.get("solve-strategy") if is_named else None,
            system.requirements(wanted),
            read_pypi_options(table, (*key, "pypi-options")),
        )

    def target(self, selector: str | None, table: Mapping[str, Any], key: Key) -> Target:
        specs: dict[str, Requirement] = {}
        for name in _DEPENDENCIES:  # what is said for building replaces what is said for running
            if name in table and name != "dependencies" and self.builds:
                raise GrammarError((*key, name), "goes into [package] where pixi-build is enabled")
            if name in table and name != "dependencies" and selector is None:
                self.warn("deprecated", f"[{'.'.join((*key, name))}] belongs into [dependencies]")
            for requirement in self.requirements(table.get(name, {}), (*key, name)):
                specs[requirement.name] = requirement
        for name, spec in table.get("dev", {}).items():
            if not source_of(spec, (*key, "dev", name)):
                raise GrammarError((*key, "dev", name), "needs path, git or url")
            self.unsupported.append(".".join((*key, "dev")))
        activation = table.get("activation", {})
        return Target(
            selector,
            tuple(specs.values()),
            tuple(self.requirements(table.get("constraints", {}), (*key, "constraints"))),
            tuple(self.tasks(table.get("tasks", {}), (*key, "tasks"))),
            tuple(activation.get("env", {}).items()),
            tuple(activation.get("scripts", [])),
            read_pypi(table.get("pypi-dependencies", {}), (*key, "pypi-dependencies")),
        )

    def requirements(self, table: Mapping[str, Any], key: Key) -> Iterator[Requirement]:
        for name, spec in table.items():
            here = (*key, name)
            requirement, ambiguous, unsupported = read_requirement(
                name, spec, here, self.pool, builds=self.builds
            )
            if ambiguous:
                version = dict(requirement.fields)["version"]
                self.warn(
                    "ambiguous version",
                    f"{'.'.join(here)}: a bare version means {version}; did you mean "
                    f"{version.lstrip('=')}.*?",
                )
            self.unsupported += [".".join((*here, k)) for k in unsupported]
            yield requirement

    def tasks(self, table: Mapping[str, Any], key: Key) -> Iterator[Task]:
        for name, value in table.items():
            if isinstance(value, dict) and "depends_on" in value:
                self.warn("deprecated", f"{'.'.join((*key, name))}: depends_on is depends-on now")
            yield read_task(name, value, (*key, name))

    def environment(self, name: str, entry: Any, features: dict[str, Feature]) -> Environment:
        key = ("environments", name)
        table: dict[str, Any] = {"features": entry} if isinstance(entry, list) else entry
        plain = ("features", "solve-group", "no-default-feature")
        settings = {k: v for k, v in table.items() if k not in plain}
        says_nothing = all(k in ("target", "tasks") and not value for k, value in settings.items())
        if "features" not in table and "solve-group" not in table and says_nothing:
            raise GrammarError(key, "features is missing; write [] for none but the default one")
        names = tuple(table.get("features", ()))
        for feature in names:
            if feature not in features:
                raise GrammarError((*key, "features"), f"there is no feature {feature!r}")
            if names.count(feature) > 1:
                raise GrammarError((*key, "features"), f"feature {feature} is there twice")
        with_default = not table.get("no-default-feature", False)
        inline: tuple[str, ...] = ()
        if settings:  # Pixi treats it as a hidden feature in front of the others
            hidden = f"<environments.{name}>"
            features[hidden] = self.feature(hidden, settings, key)
            inline = (hidden,)
        chosen = inline + tuple(f for f in names if f != DEFAULT or not with_default)
        chosen += (DEFAULT,) if with_default else ()
        if why := system.conflict(self.system.get(f, {}) for f in chosen):
            raise GrammarError(key, why)
        if why := conflicting_options(features[f].pypi_options for f in chosen):
            raise GrammarError(key, why)
        return Environment(name, chosen, table.get("solve-group"))

    def note_unused(self, doc: Mapping[str, Any], environments: tuple[Environment, ...]) -> None:
        used = {name for environment in environments for name in environment.features}
        for name in doc.get("feature", {}):
            if name not in used | self.outside.features:
                self.warn("unused feature", f"no environment uses the feature {name}")

    def note_dead_selectors(
        self, features: Mapping[str, Feature], platforms: tuple[Platform, ...]
    ) -> None:
        for feature in features.values():
            for target in feature.targets[1:]:
                matched = [p for p in platforms if target.matches(p)]
                only = feature.platforms
                if not matched or (only is not None and all(p.name not in only for p in matched)):
                    where = "" if feature.name == DEFAULT else f"feature {feature.name}: "
                    self.warn(
                        "dead selector",
                        f"{where}target {target.selector} matches none of the platforms",
                    )

    def note_twins(self, platforms: tuple[Platform, ...]) -> None:
        """Warn of two platforms that a lock cannot tell apart by what they are."""
        seen: dict[tuple[str, tuple[str, ...]], Platform] = {}
        for platform in platforms:
            words = [str(p) for p in platform.virtual_packages]
            twin = seen.setdefault(loose_identity(platform.subdir, words), platform)
            if twin is not platform and not (twin.is_bare or platform.is_bare):
                self.warn(
                    "twin platforms",
                    f"{twin.name} and {platform.name} are the same machine, so that Pixi calls "
                    "its own lock of both stale at once: keep one of them",
                )
