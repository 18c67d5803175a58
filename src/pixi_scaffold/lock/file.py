"""A lock file: read it, any format that the library knows, and find the packages of a platform."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from pixi_scaffold.errors import LockError
from pixi_scaffold.lock.layout import (
    Layout,
    LayoutError,
    LockedEnvironment,
    Package,
    PlatformRow,
    damaged,
    read_layout,
)
from pixi_scaffold.system import program, temporary_folder
from pixi_scaffold.workspace import Platform, Workspace, loose_identity, platform_identity

if TYPE_CHECKING:
    from rattler import RepoDataRecord

FORMAT = 7
"""The newest lock format that is read, and the one that is written (Pixi 0.68 and newer)."""


class NewerLockError(LockError):
    """The lock has a format that this version does not read, and must not overwrite."""


class Lock(NamedTuple):
    """A lock file as read."""

    path: Path
    format: int
    """What the file has, whatever it was read through."""
    layout: Layout
    names: Mapping[str, str] | None = None
    """The workspace's names for platforms that the lock calls otherwise; None before `aligned`."""

    @property
    def environments(self) -> Mapping[str, LockedEnvironment]:
        """What is locked, by the name of the environment."""
        return self.layout.environments

    def aligned(self, workspace: Workspace) -> Lock:
        """Return the lock with the platforms under the names that `workspace` has for them.

        Pixi matches them by what they are, where that is only one of the workspace's
        (crates/pixi_core, platform_rename.rs).
        """
        known = {platform.name for platform in workspace.platforms}
        taken = {row.name for row in self.layout.platforms}
        names = {}
        for row in self.layout.platforms:
            kind = loose_identity(row.subdir, row.virtual_packages)
            same = [
                p for p in workspace.platforms
                if loose_identity(p.subdir, map(str, p.virtual_packages)) == kind
            ]  # fmt: skip
            if len(same) == 1 and row.name not in known and same[0].name not in taken:
                names[row.name] = same[0].name
        # Two rows under one name cannot be had: Pixi then leaves all names as they are.
        return self._replace(names=names if len({*names.values()}) == len(names) else {})

    def name(self, row: PlatformRow) -> str:
        """Return the workspace's name for a platform of the lock."""
        return (self.names or {}).get(row.name, row.name)

    def row(self, platform: Platform) -> PlatformRow | None:
        """Return the platform of the lock that serves this one of a workspace, or None.

        By its name; then the row of its bare subdir, if that records no virtual packages or all
        that this one declares (crates/pixi_core, resolve_lock_platform_for). Before `aligned`, what
        a platform is counts first.
        """
        rows = self.layout.platforms
        if self.names is None:
            kind = platform.identity
            same = [r for r in rows if platform_identity(r.subdir, r.virtual_packages) == kind]
            named = [r for r in same if r.name in (platform.name, platform.subdir)]
            if same:
                return (named or same)[0]
        for row in rows:
            if self.name(row) == platform.name:
                return row
        declared = {str(package) for package in platform.virtual_packages}
        for row in rows:
            trusted = not row.virtual_packages or declared <= set(row.virtual_packages)
            if self.name(row) == platform.subdir and trusted:
                return row
        return None

    def urls(self, environment: str, platform: Platform) -> tuple[tuple[str, str], ...] | None:
        """Return (kind, URL) of the packages of one environment; None when it has no row."""
        locked, row = self.environments.get(environment), self.row(platform)
        return locked.rows.get(row.name) if locked and row else None

    def packages(self, environment: str, platform: Platform) -> tuple[Package, ...]:
        """Return the conda packages of one environment; none when it has no row."""
        urls = self.urls(environment, platform) or ()
        return tuple(self.layout.package(url) for kind, url in urls if kind == "conda")

    def records(self, environment: str, platform: Platform) -> tuple[RepoDataRecord, ...]:
        """Return the same as the library installs them."""
        return self.as_records(package.url for package in self.packages(environment, platform))

    def as_records(self, urls: Iterable[str]) -> tuple[RepoDataRecord, ...]:
        """Return the conda packages at `urls` as the library has them, in their order."""
        from rattler import LockFile
        from rattler.lock import CondaLockedBinaryPackage

        wanted = list(urls)
        blocks = "".join(self.layout.block(url) for url in dict.fromkeys(wanted))
        text = _lock_of([("conda", url) for url in wanted], blocks, self.layout.format)
        with temporary_folder() as folder:
            path = folder / "pixi.lock"
            path.write_text(text, encoding="utf-8")
            try:
                environment = LockFile.from_path(path).environment("default")
            except Exception as error:  # the library has several, without a common base
                raise damaged(self.path, error) from error
        packages = [] if environment is None else environment.packages(environment.platforms()[0])
        records = {
            package.location: package.repo_data_record()
            for package in packages or []
            if isinstance(package, CondaLockedBinaryPackage)
        }
        return tuple(records[url] for url in wanted)

    def as_format_7(self) -> Lock:
        """Return the same with every package written as format 7 does."""
        layout = self.layout
        if layout.format == FORMAT:
            return self
        return self._replace(layout=_by_library(layout.text, self.path))

    def rows(self, environment: str) -> Iterator[tuple[str, str, tuple[Package, ...]]]:
        """Yield name, subdir and conda packages of each platform of an environment that has any."""
        environment_rows = self.environments.get(environment)
        for row in self.layout.platforms:
            urls = environment_rows.rows.get(row.name, ()) if environment_rows else ()
            packages = tuple(self.layout.package(url) for kind, url in urls if kind == "conda")
            if packages:
                yield self.name(row), row.subdir, packages

    def from_elsewhere(self, environment: str, platform: str) -> dict[str, str]:
        """Return name and version of what an environment has there that is from no channel."""
        there = self.environments[environment].rows
        rows = [there.get(r.name, ()) for r in self.layout.platforms if self.name(r) == platform]
        packages = [self.layout.package(u) for row in rows for kind, u in row if kind != "conda"]
        return {package.name: package.version for package in packages}


def no_lock(path: Path) -> Lock:
    """Return the lock of a workspace that has none: nothing is locked."""
    return Lock(path, FORMAT, Layout("", FORMAT, (), {}, {}))


def _lock_of(packages: Iterable[tuple[str, str]], blocks: str, number: int = FORMAT) -> str:
    """Return a lock with these packages, as (kind, URL), in one environment on one platform."""
    rows = "".join(f"      - {kind}: {url}\n" for kind, url in packages)
    platforms = "platforms:\n- name: linux-64\n" if number == FORMAT else ""
    head = f"version: {number}\n{platforms}environments:"
    if not rows:
        return f"{head} {{}}\npackages: []\n"
    environment = "  default:\n    channels: []\n    packages:\n      linux-64:\n"
    return f"{head}\n{environment}{rows}packages:\n{blocks}"


def read_lock(path: Path) -> Lock:
    """Read a lock file of format 1 to 7.

    Raises LockError when it is missing, damaged, or of a format newer than FORMAT.
    """
    if path.exists() and not path.is_file():
        raise LockError(f"{path} is not a file", f"move it away, then: {program()} lock")
    if not path.is_file():
        raise LockError(f"there is no {path}", f"make it: {program()} lock")
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise damaged(path, error) from error
    return parse_lock(text.replace("\r\n", "\n"), path)


def parse_lock(text: str, path: Path) -> Lock:
    """Read the text of a lock; `path` is where it came from. Raises LockError."""
    if re.search(r"^<{7}( |$)", text, re.MULTILINE):
        raise LockError(f"{path} has conflict markers of a merge", f"solve it: {program()} lock")
    number = lock_format(text, path)
    if number > FORMAT:
        raise NewerLockError(
            f"{path} has lock format {number}, newer than format {FORMAT} that this version "
            "of pixi-scaffold reads",
            "upgrade pixi-scaffold: uv tool upgrade pixi-scaffold (or pipx, pip)",
        )
    try:
        return Lock(path, number, read_layout(text))
    except LayoutError:
        return Lock(path, number, _by_library(text, path))


def _by_library(text: str, path: Path) -> Layout:
    """Have the library write the lock as format 7, and read that."""
    from rattler import LockFile

    with temporary_folder() as folder:
        copy = folder / "pixi.lock"
        copy.write_text(text, encoding="utf-8")
        try:
            LockFile.from_path(copy).to_path(copy)
            return read_layout(copy.read_text(encoding="utf-8"))
        except Exception as error:  # the library has several, without a common base
            raise damaged(path, error) from error


def from_records(records: Mapping[str, RepoDataRecord]) -> dict[str, str]:
    """Return the lines that the library writes for each record, by where it is."""
    from rattler import LockChannel, LockFile, LockPlatform

    platform = LockPlatform("linux-64")
    file = LockFile([platform])
    file.set_channels("default", [LockChannel("https://conda.anaconda.org/conda-forge/")])
    for record in records.values():
        file.add_conda_package("default", platform, record)
    with temporary_folder() as folder:
        path = folder / "pixi.lock"
        file.to_path(path)
        layout = read_layout(path.read_text(encoding="utf-8"))
    return {place: layout.block(place) for place in layout.blocks}


def rewritten(blocks: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """Return blocks, by URL, as the library spells and orders them; keys: (kind, URL).

    Without the index of each wheel, which Pixi writes only where it is one of its own.
    """
    if not blocks:
        return {}
    layout = _by_library(_lock_of(blocks, "".join(blocks.values())), Path("pixi.lock"))
    return {
        url: re.sub(r"^  index: .*\n", "", layout.block(url), flags=re.MULTILINE)
        for url in layout.blocks
    }


def location(url: str) -> str:
    """Return where a package is as a lock has it: a URL, or a path on this machine."""
    return unquote(urlsplit(url).path) if url.startswith("file:") else url


def lock_format(text: str, path: Path) -> int:
    """Return the number in the `version:` line; raises LockError when there is none."""
    if matched := re.search(r"^version:[ \t]*(\d+)[ \t]*$", text, re.MULTILINE):
        return int(matched[1])
    raise LockError(
        f"{path} is not a Pixi lock file: it has no version line",
        f"make a new one: {program()} lock --upgrade",
    )
