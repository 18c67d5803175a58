"""The text of a lock, byte for byte as Pixi writes it (pure)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pixi_scaffold.lock.channels import channel_url
from pixi_scaffold.lock.current import options_of
from pixi_scaffold.lock.file import FORMAT
from pixi_scaffold.lock.pypi import index_urls
from pixi_scaffold.workspace import Environment, Platform, Workspace

Rows = dict[tuple[str, str], Sequence[tuple[str, str]]]
"""(kind, URL) of each package by environment and platform."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into a lock."""

    rows: Rows
    blocks: Mapping[str, str]
    """The lines of each package, by URL."""
    channels: Sequence[str] | None = None
    """In place of the manifest's. Then only platforms that have packages are named."""


def render_lock(workspace: Workspace, contents: Contents) -> str:
    """Return the lock as text.

    Platforms that are not called after their subdir are p1, p2, ... in the order of the manifest
    (crates/pixi_core, platform_rename.rs); everything is sorted by the name that is written.
    """
    aliases = alias_names(workspace.platforms)
    lines = [f"version: {FORMAT}", *_platforms(workspace, contents, aliases), "environments:"]
    for environment in sorted(workspace.environments, key=lambda e: e.name):
        lines += _environment(workspace, environment, contents, aliases)
    used = dict.fromkeys(package for row in contents.rows.values() for package in row)
    lines.append("packages:" if used else "packages: []")
    return "\n".join(lines) + "\n" + "".join(contents.blocks[url] for _, url in sorted(used))


def alias_names(platforms: Iterable[Platform]) -> dict[str, str]:
    """Return the name that a lock has for each platform."""
    names: dict[str, str] = {}
    number = 0
    for platform in platforms:
        number += not platform.is_bare
        names[platform.name] = platform.name if platform.is_bare else f"p{number}"
    return names


def _platforms(
    workspace: Workspace, contents: Contents, aliases: Mapping[str, str]
) -> Iterator[str]:
    used = {p.name for e in workspace.environments for p in workspace.environment_platforms(e)}
    if contents.channels is not None:
        used = {name for (_, name), row in contents.rows.items() if row}
    listed = sorted(
        (p for p in workspace.platforms if p.name in used), key=lambda p: aliases[p.name]
    )
    yield "platforms:" if listed else "platforms: []"
    for platform in listed:
        yield f"- name: {aliases[platform.name]}"
        if not platform.is_bare:
            yield f"  subdir: {platform.subdir}"
        if platform.virtual_packages:
            yield "  virtual-packages:"
        yield from (f"  - {package}" for package in platform.virtual_packages)


def _environment(
    workspace: Workspace, environment: Environment, contents: Contents, aliases: Mapping[str, str]
) -> Iterator[str]:
    yield f"  {environment.name}:"
    names = contents.channels or workspace.environment_channels(environment)
    urls = [channel_url(name) for name in names]  # one that has two names is written twice
    yield "    channels:" if urls else "    channels: []"
    yield from (f"    - url: {url}" for url in urls)
    pypi = workspace.environment_pypi_options(environment)
    rows = {
        aliases[platform]: row for (name, platform), row in contents.rows.items()
        if name == environment.name and row
    }  # fmt: skip
    if any(kind == "pypi" for row in rows.values() for kind, _ in row):
        yield "    indexes:"
        yield from (f"    - {url}" for url in index_urls(pypi))
        if pypi.find_links:
            yield "    find-links:"
            yield from (f"    - {kind}: {place}" for kind, place in pypi.find_links)
    options = options_of(workspace, environment, of_group=True)
    written = [f"      {key}: {value}" for key, value, default in options if value != default]
    yield from ("    options:", *written) if written else ()
    yield "    packages:" if rows else "    packages: {}"
    for alias in sorted(rows):
        yield f"      {alias}:"
        yield from (f"      - {kind}: {url}" for kind, url in sorted(rows[alias]))
