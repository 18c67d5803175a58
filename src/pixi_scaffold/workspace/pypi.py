"""What a manifest asks of PyPI: packages, and where and how they are looked for (pure).

crates/pixi_manifest/src/pypi and crates/pixi_pypi_spec.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from pixi_scaffold.workspace.grammar import GrammarError, Key, check_git

_PLACES = ("path", "git", "url")


@dataclass(frozen=True, slots=True)
class PypiRequirement:
    """One package that is asked of PyPI."""

    name: str
    """Normalised."""
    version: str = "*"
    """Specifiers, `*` for any."""
    extras: tuple[str, ...] = ()
    markers: str = ""
    """Where it counts; empty for everywhere."""
    index: str = ""
    """The URL of an index of its own."""
    source: str = ""
    """Git, path, url or editable, where it is not taken from an index."""
    url: str = ""
    """Where it is, of the source url."""

    def __str__(self) -> str:
        """Return it as a requirement of PEP 508, without its source."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        version = "" if self.version == "*" else self.version
        return f"{self.name}{extras}{version}" + (f" ; {self.markers}" if self.markers else "")


@dataclass(frozen=True, slots=True)
class PypiOptions:
    """How packages of PyPI are looked for. Empty where nothing is said; see [pypi-options]."""

    index_url: str = ""
    index_strategy: str = ""
    prerelease_mode: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[tuple[str, str], ...] = ()
    """(path or url, where)."""
    skip_wheel_filename_check: str = ""
    no_binary: tuple[str, ...] = ()
    """Names of packages that are only built, `*` for all."""
    no_build: tuple[str, ...] = ()
    """The same of those that are never built."""
    overrides: tuple[PypiRequirement, ...] = ()
    """What counts in place of every requirement on a package."""
    exclude_newer: tuple[tuple[str, str], ...] = ()
    """By package."""

    def with_more(self, other: PypiOptions) -> PypiOptions:
        """Return what both say: lists add up, of single values `other`'s counts.

        Of two overrides of a package the first counts (crates/pixi_manifest, pypi_options.rs).
        """
        changes: dict[str, Any] = {}
        for key in fields(self):
            one, two = getattr(self, key.name), getattr(other, key.name)
            if key.name == "overrides":
                named = {r.name: r for r in (*two, *one)}
                changes[key.name] = tuple(named.values())
            elif isinstance(one, tuple):
                changes[key.name] = tuple(dict.fromkeys((*one, *two)))
            else:
                changes[key.name] = two or one
        return replace(self, **changes)


NO_OPTIONS = PypiOptions()


def conflicting_options(options: Iterable[PypiOptions]) -> str:
    """Return which single value several of `options` set differently; empty for none."""
    every = tuple(options)
    for key in (f.name for f in fields(PypiOptions) if f.default == ""):
        values = dict.fromkeys(getattr(one, key) for one in every if getattr(one, key))
        if len(values) > 1:
            return f"its features have several {key.replace('_', '-')}: {', '.join(values)}"
    return ""


def normalised(name: str) -> str:
    """Return a package's name as indexes have it (PEP 503); packaging takes 20 ms to load."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pypi(table: Mapping[str, Any], key: Key) -> tuple[PypiRequirement, ...]:
    """Return the packages that a table asks PyPI for; raises GrammarError."""
    requirements: dict[str, PypiRequirement] = {}
    for name, spec in table.items():
        one = _requirement(name, spec, (*key, name))
        requirements[one.name] = one
    return tuple(requirements.values())


def _requirement(name: str, spec: Any, key: Key) -> PypiRequirement:
    if isinstance(spec, str):
        return PypiRequirement(normalised(name), spec)
    places = [one for one in ("url", "path", "git", "index") if one in spec]
    if len(places) > 1:
        raise GrammarError(key, f"only one of {', '.join(places)}")
    if "version" in spec and places and places != ["index"]:
        raise GrammarError(key, f"version does not go with {places[0]}")
    check_git(spec, key)
    source = next((one for one in _PLACES if one in spec), "")
    return PypiRequirement(
        normalised(name),
        spec.get("version", "*"),
        tuple(normalised(extra) for extra in spec.get("extras", ())),
        spec.get("env-markers", ""),
        spelled(spec.get("index", "")),
        "editable" if source == "path" and spec.get("editable") else source,
        spelled(spec.get("url", "")),
    )


def read_pypi_options(
    holder: Mapping[str, Any], key: Key, document: Mapping[str, Any] = MappingProxyType({})
) -> PypiOptions:
    """Return the [pypi-options] of a workspace or feature; raises GrammarError.

    document: the manifest, where its [pypi-exclude-newer] counts, too.
    """
    table = holder.get("pypi-options", {})
    return PypiOptions(
        spelled(table.get("index-url", "")),
        table.get("index-strategy", ""),
        table.get("prerelease-mode", ""),
        tuple(map(spelled, table.get("extra-index-urls", ()))),
        tuple(_find_link(entry, key) for entry in table.get("find-links", ())),
        str(table.get("skip-wheel-filename-check", "")).lower(),
        _names(table.get("no-binary", False)),
        _names(table.get("no-build", False)),
        read_pypi(table.get("dependency-overrides", {}), (*key, "dependency-overrides")),
        tuple(document.get("pypi-exclude-newer", {}).items()),
    )


def _find_link(entry: Mapping[str, str], key: Key) -> tuple[str, str]:
    places = [(kind, entry[kind]) for kind in ("path", "url") if kind in entry]
    if len(places) != 1:
        raise GrammarError((*key, "find-links"), "each has either path or url")
    [(kind, place)] = places
    return kind, spelled(place) if kind == "url" else place


def spelled(url: str) -> str:
    """Return an http(s) URL as Rust's url library spells it: a lock has `https://example.org/`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return url
    user, at, host = parts.netloc.rpartition("@")
    host = host.lower().removesuffix(":443" if parts.scheme == "https" else ":80")
    return parts._replace(netloc=f"{user}{at}{host}", path=parts.path or "/").geturl()


def _names(value: Any) -> tuple[str, ...]:
    """Return the packages of a switch or a list, `*` for all."""
    if isinstance(value, bool):
        return ("*",) if value else ()
    return tuple(normalised(name) for name in value)
