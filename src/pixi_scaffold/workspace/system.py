"""[system-requirements], which Pixi turns into platforms (pure).

crates/pixi_manifest/src/toml/manifest.rs, migrate_system_requirements_to_platforms.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pixi_scaffold.workspace.model import Environment, Feature, compositions
from pixi_scaffold.workspace.platform import Platform, VirtualPackage, derived_name, united
from pixi_scaffold.workspace.values import SUBDIR


class PlatformError(ValueError):
    """The platforms of the manifest do not go together; the text says why."""


def requirements(table: Mapping[str, Any]) -> tuple[VirtualPackage, ...]:
    """Return the virtual packages of a [system-requirements] table; archspec counts no longer."""
    packages = []
    for key, name in (("linux", "__linux"), ("cuda", "__cuda"), ("macos", "__osx")):
        if key in table:
            packages.append(VirtualPackage(name, table[key]))
    if isinstance(libc := table.get("libc"), str):
        packages.append(VirtualPackage("__glibc", libc))
    elif libc:
        packages.append(VirtualPackage(f"__{libc.get('family', 'glibc')}", libc["version"]))
    return tuple(packages)


def _applies(package: VirtualPackage, subdir: str) -> bool:
    family = subdir.partition("-")[0]
    if package.name in ("__linux", "__glibc", "__musl", "__eglibc"):
        return family == "linux"
    if package.name == "__osx":
        return family == "osx"
    return package.name != "__cuda" or family != "osx"


def settle(
    declared: tuple[Platform, ...],
    features: Mapping[str, Feature],
    environments: Sequence[Environment],
    asking: frozenset[str],
) -> tuple[tuple[Platform, ...], dict[str, Feature]]:
    """Return the workspace's platforms, and the features with the platforms that they use.

    asking: the names of the features that have [system-requirements]. Raises PlatformError.
    """
    simple = all(platform.is_bare for platform in declared)
    originals = {platform.name: platform for platform in declared}
    if simple:
        _add_referenced(originals, features.values())
    if asking:
        if not simple:
            raise PlatformError(
                "[system-requirements] beside platforms with names of their own: declare what is "
                'required on the platforms, such as { platform = "linux-64", cuda = "12.0" }'
            )
        platforms, changed = _migrated(originals, features, asking)
    else:
        for feature in features.values():
            _check_references(feature, originals)
        platforms, changed = originals, dict(features)
    if simple:
        _add_composed(platforms, changed, environments)
    return tuple(platforms.values()), changed


def _add_referenced(platforms: dict[str, Platform], features: Iterable[Feature]) -> None:
    """Add each subdir that a feature names and the workspace does not list."""
    for feature in features:
        for name in feature.platforms or ():
            if SUBDIR.fullmatch(name):
                platforms.setdefault(name, Platform(name, name))
        _check_references(feature, platforms)


def _check_references(feature: Feature, platforms: Mapping[str, Platform]) -> None:
    for name in feature.platforms or ():
        if name not in platforms:
            raise PlatformError(
                f"feature {feature.name} names the platform {name}, which is not one of the "
                f"workspace's platforms: {', '.join(platforms) or 'none'}"
            )


def _migrated(
    originals: Mapping[str, Platform], features: Mapping[str, Feature], asking: frozenset[str]
) -> tuple[dict[str, Platform], dict[str, Feature]]:
    platforms: dict[str, Platform] = {}
    changed = dict(features)
    for name, feature in features.items():
        if name in asking:
            every = tuple(p.subdir for p in originals.values())
            subdirs = every if feature.platforms is None else feature.platforms
            used = [_required(subdir, feature) for subdir in subdirs]
            names = dict.fromkeys(platform.name for platform in used)
            changed[name] = feature._replace(platforms=tuple(names))
        else:
            used = [originals[wanted] for wanted in feature.platforms or ()]
        for platform in used:
            platforms.setdefault(platform.name, platform)
    covered = {p.subdir for p in platforms.values()}
    return platforms | {n: p for n, p in originals.items() if p.subdir not in covered}, changed


def _required(subdir: str, feature: Feature) -> Platform:
    """Return the platform that a feature's system requirements make of a subdir."""
    declared = tuple(p for p in feature.system if _applies(p, subdir))
    name = derived_name(subdir, declared)
    return Platform(subdir, subdir) if name == subdir else Platform(name, subdir, declared)


def _add_composed(
    platforms: dict[str, Platform],
    features: Mapping[str, Feature],
    environments: Sequence[Environment],
) -> None:
    """Add the platforms that environments and solve groups put together from several."""
    groups: dict[str, dict[str, None]] = {}
    for environment in environments:
        if environment.solve_group is not None:
            group = groups.setdefault(environment.solve_group, {})
            group.update(dict.fromkeys(environment.features))
    declared = tuple(platforms.values())
    for names in (*(e.features for e in environments), *groups.values()):
        for name, subdir, pinned in compositions([features[n] for n in names], declared):
            packages = united(pinned) if len(pinned) > 1 else ()
            platforms.setdefault(name, Platform(name, subdir, packages))


def conflict(tables: Iterable[Mapping[str, Any]]) -> str | None:
    """Return why several [system-requirements] tables cannot hold together, or None."""
    named = list(tables)
    libcs = [table["libc"] for table in named if "libc" in table]
    families = {"glibc" if isinstance(libc, str) else libc.get("family", "glibc") for libc in libcs}
    archspecs = {table["archspec"] for table in named if "archspec" in table}
    for kind, names in (("families of libc", families), ("archspecs", archspecs)):
        if len(names) > 1:
            return f"its features require two {kind}: {' and '.join(sorted(names))}"
    return None
