"""A lock file as text: the layout in which Pixi writes format 6 and 7, read line by line (pure).

A YAML reader needs seconds and a gigabyte for the large ones. What does not look as expected raises
LayoutError, and the library then reads the file.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from pixi_scaffold.errors import LockError
from pixi_scaffold.lock.channels import slash
from pixi_scaffold.system import program

_HEAD = re.compile(r"version:\s*(\d+)\s*\n")
_PACKAGE = re.compile(r"^- (conda|pypi|conda_source|source): (\S.*)$", re.MULTILINE)
_ROW = re.compile(r"      - (conda|pypi|conda_source|source): (\S.*)")
_LISTS = ("channels", "indexes", "find-links")
_PARTS = {*_LISTS, "options", "packages"}
_EMPTY = ("", "{}", "[]")
_QUOTED = re.compile(r"'[^']*'")
_SCALAR = re.compile(r"[^\s'\"&*!|>%@`{\[#,?:-][^'\"#\\]*|__\S*")


class LayoutError(ValueError):
    """The text is not laid out as Pixi does it."""


def damaged(place: object, error: Exception) -> LockError:
    """Return the error for a lock, or a part of one, that cannot be read."""
    why = str(error).partition("\nCaused by")[0]
    return LockError(f"cannot read {place}: {why}", f"make a new one: {program()} lock --upgrade")


class PlatformRow(NamedTuple):
    """A platform as a lock names it."""

    name: str
    subdir: str
    virtual_packages: tuple[str, ...] = ()
    """As written, such as `__cuda=12.0`."""


class LockedEnvironment(NamedTuple):
    """One environment of a lock."""

    channels: tuple[str, ...]
    """URLs with a slash at the end, by priority."""
    options: Mapping[str, str]
    """Solve options that are written."""
    rows: Mapping[str, tuple[tuple[str, str], ...]]
    """(kind, URL) of each package by the platform's name in the lock."""
    indexes: tuple[str, ...] = ()
    """URLs of PyPI indexes."""
    find_links: tuple[tuple[str, str], ...] = ()
    """(path or url, where)."""


class Package(NamedTuple):
    """What a lock says of one package, as far as a comparison needs it."""

    url: str
    name: str
    version: str
    build: str
    build_number: int
    depends: tuple[str, ...]
    """Of a package from PyPI its `requires_dist`."""
    constrains: tuple[str, ...]
    extra_depends: Mapping[str, tuple[str, ...]]
    fields: Mapping[str, str]
    """Every other key with one value, such as sha256, timestamp and license."""
    purls: tuple[str, ...] = ()

    def field(self, key: str) -> str:
        """Return such a value without its quotes; empty where it is not there."""
        try:
            return _field(self.fields, key, "")
        except LayoutError as error:
            raise damaged(f"{self.url} in pixi.lock", error) from error

    @property
    def file(self) -> str:
        """Return the name of its file."""
        return self.url.partition("#")[0].rsplit("/", 1)[-1]

    @property
    def from_pypi(self) -> bool:
        """Whether it comes from PyPI: only there a lock spells the name out."""
        return "name" in self.fields and not self.build

    @property
    def digest(self) -> str:
        """What makes an archive this one: its sum, or where it is."""
        return self.fields.get("sha256") or self.url

    @property
    def size(self) -> int | None:
        """The bytes of the archive; None where the lock does not say (PyPI, sources)."""
        text = self.fields.get("size", "")
        return int(text) if text.isdecimal() else None

    @property
    def has_purls(self) -> bool:
        """Whether it says which packages of PyPI it provides, be it none."""
        return "purls" in self.fields


class Layout(NamedTuple):
    """The parts of a lock's text."""

    text: str
    format: int
    platforms: tuple[PlatformRow, ...]
    environments: Mapping[str, LockedEnvironment]
    blocks: Mapping[str, tuple[int, int]]
    """Where in the text each package stands, by URL."""

    def block(self, url: str) -> str:
        """Return the lines of one package, the last line end included."""
        start, end = self.blocks[url]
        return self.text[start:end]

    def package(self, url: str) -> Package:
        """Return what the lock says of a package; raises LockError when that is damaged."""
        try:
            return read_package(url, self.block(url))
        except ValueError as error:
            raise damaged(f"{url} in pixi.lock", error) from error


def read_layout(text: str) -> Layout:
    """Take the text of a lock of format 6 or 7 apart; raises LayoutError."""
    head = _HEAD.match(text)
    if not head or int(head[1]) not in (6, 7):
        raise LayoutError("no format 6 or 7")
    start = text.find("\npackages:")
    if start < 0:
        raise LayoutError("no packages")
    lines = text[head.end() : start].split("\n")
    split = lines.index("environments:") if "environments:" in lines else -1
    if split < 0 and "environments: {}" not in lines:
        raise LayoutError("no environments")
    environments = dict(_environments(lines[split + 1 :])) if split >= 0 else {}
    platforms = tuple(_platforms(lines[:split] if split >= 0 else []))
    if int(head[1]) == 6:
        names = {name for e in environments.values() for name in e.rows}
        platforms = tuple(PlatformRow(name, name) for name in sorted(names))
    begins = [(package[2], package.start()) for package in _PACKAGE.finditer(text, start + 1)]
    ends = pairwise([*begins, ("", len(text))])
    blocks = {url: (begin, end) for (url, begin), (_, end) in ends}
    rows = (row for environment in environments.values() for row in environment.rows.values())
    if any(url not in blocks for row in rows for _, url in row):
        raise LayoutError("a row names a package that is not there")
    return Layout(text, int(head[1]), platforms, environments, blocks)


def _platforms(lines: list[str]) -> Iterator[PlatformRow]:
    name, subdir = "", ""
    packages: list[str] = []
    for line in [*lines[1:], "- name: "]:
        _, _, value = line.strip().partition(": ")
        if line.startswith("- name: "):
            if name:
                yield PlatformRow(name, subdir or name, tuple(packages))
            name, subdir, packages = _plain(value) if value else "", "", []
        elif line.startswith("  subdir: "):
            subdir = _plain(value)
        elif line.startswith("  - "):
            packages.append(_plain(line[4:]))
        elif line != "  virtual-packages:" and line:
            raise LayoutError(line)
    if lines and lines[0] not in ("platforms:", "platforms: []"):
        raise LayoutError(lines[0])


def _environments(lines: list[str]) -> Iterator[tuple[str, LockedEnvironment]]:
    """Yield each environment: its parts begin at column 4, their options and rows at column 6."""
    environments: dict[str, dict[str, Any]] = {}
    parts: dict[str, Any] = {}
    part, row = "", None
    for line in lines:
        if row is not None and (matched := _ROW.fullmatch(line)):
            row.append((matched[1], matched[2]))
            continue
        text = line.lstrip(" ")
        depth = len(line) - len(text)
        key, colon, value = text.partition(":")
        if depth == 2 and (name := _plain(text.removesuffix(":"))) not in environments:
            parts = environments[name] = {}
            part, row = "", None
        elif depth == 4 and text.startswith("- ") and part in _LISTS:
            parts[part].append(text[2:])
        elif depth == 4 and environments and key not in parts and value.strip() in _EMPTY:
            part, row = key, None
            parts[part] = [] if part in _LISTS else {}
        elif depth == 6 and (text.startswith("- ") or key in parts.get(part, ())):
            raise LayoutError(line)  # said twice, like other such keys: the library refuses it
        elif depth == 6 and part == "options" and colon:
            parts[part][key] = _plain(value.strip())
        elif depth == 6 and part == "packages" and colon and value in ("", " []"):
            parts[part][_plain(key)] = row = list[tuple[str, str]]()
        else:
            raise LayoutError(line)
    for name, said in environments.items():
        yield name, _environment(said)


def _environment(parts: Mapping[str, Any]) -> LockedEnvironment:
    channels, find_links = (
        [entry.partition(": ")[::2] for entry in parts.get(part, ())]
        for part in ("channels", "find-links")
    )
    if parts.keys() - _PARTS or any(kind != "url" for kind, _ in channels):
        raise LayoutError("an environment that says something else")
    return LockedEnvironment(
        tuple(slash(_plain(url)) for _, url in channels),
        parts.get("options", {}),
        {name: tuple(row) for name, row in parts.get("packages", {}).items()},
        tuple(map(_text, parts.get("indexes", ()))),
        tuple((kind, _text(place)) for kind, place in find_links),
    )


def _plain(text: str) -> str:
    """Return a scalar of YAML; raises LayoutError for what is not one."""
    if _SCALAR.fullmatch(text):
        return text
    if _QUOTED.fullmatch(text):
        return text[1:-1]
    value = _yaml(text)
    if not isinstance(value, str):
        raise LayoutError(text)
    return value


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LayoutError(text) from error


@lru_cache(maxsize=4096)  # platforms and environments share most of their packages
def read_package(url: str, block: str) -> Package:
    """Return what a block says; raises ValueError."""
    fields: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    key = ""
    for line in block.split("\n")[1:]:
        if line.startswith("  - "):
            lists.setdefault(key, []).append(line[4:])
        elif line[:2] == "  " and line[2:3] not in (" ", ""):
            key, _, value = line[2:].partition(":")
            fields[key] = value.strip()
        elif line and not line.startswith("   "):
            raise LayoutError(line)
    stem = url.rsplit("/", 1)[-1].removesuffix(".conda").removesuffix(".tar.bz2")
    parts = stem.rsplit("-", 2)
    name, version, build = parts if len(parts) == 3 else (stem, "", "")
    digits = re.search(r"(?:^|_)(\d+)$", build)
    for key in ("md5", "sha256"):
        bytes.fromhex(_field(fields, key, ""))
    return Package(
        url,
        _field(fields, "name", name).lower(),
        _field(fields, "version", version),
        _field(fields, "build", build),
        int(fields.get("build_number") or (digits[1] if digits else "0")),
        tuple(map(_text, lists.get("depends") or lists.get("requires_dist") or ())),
        tuple(map(_text, lists.get("constrains", ()))),
        _extra(block) if "extra_depends" in fields else {},
        fields,
        tuple(map(_text, lists.get("purls", ()))),
    )


def _text(value: str) -> str:
    """Return an entry of a list, of which only a quote in front matters here."""
    return value if value[:1] not in ("'", '"') else _plain(value)


def _field(fields: Mapping[str, str], key: str, default: str) -> str:
    value = fields.get(key)
    return default if value is None else _text(value)


def _extra(block: str) -> dict[str, tuple[str, ...]]:
    try:
        [data] = _yaml(block)
    except (ValueError, TypeError) as error:
        raise LayoutError("a package that cannot be read") from error
    extras: dict[str, Any] = data.get("extra_depends") or {}
    return {str(name): tuple(map(str, entries)) for name, entries in extras.items()}
