"""The walk through the PyPI packages of a lock that Pixi does: what is reached, and what is wrong.

crates/pixi_core, satisfiability/platform.rs. Apart from the comparison, as reading requirements
takes time to load.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pixi_scaffold.lock.layout import Package
from pixi_scaffold.lock.pypi import PURL, index_urls, version_of
from pixi_scaffold.pypi import counts, marker_environment, meets, parsed, python_is_new_enough
from pixi_scaffold.workspace import Platform, PypiOptions, PypiRequirement


def provided_names(package: Package) -> Iterator[str]:
    """Yield the names under which PyPI knows a conda package, by its purls.

    Of conda-forge it is its own where it has none, as in old locks (package_identifier.rs).
    """
    for purl in package.purls:
        if purl.startswith(PURL):
            yield canonicalize_name(unquote(purl.removeprefix(PURL).partition("?")[0]))
    old = not package.has_purls and urlsplit(package.url).path.startswith("/conda-forge")
    if old and meets(SpecifierSet(), package.version):  # some that conda has PyPI cannot have
        yield canonicalize_name(package.name)


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@dataclass(frozen=True, slots=True)
class AskedOfPypi:
    """A requirement, who has it, and its entry in the manifest where that is who."""

    requirement: Requirement
    origin: str
    entry: PypiRequirement | None = None

    def __str__(self) -> str:
        wanted = self.requirement
        extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
        return f"{self.origin} asks PyPI for {wanted.name}{extras}{wanted.specifier}"


class Walking:
    """One walk: what is there, and what of it was reached.

    used: the conda packages that stand for what PyPI was asked for. reached: names of wheels.
    """

    def __init__(
        self,
        platform: Platform,
        packages: Sequence[Package],
        wheels: Sequence[Package],
        options: PypiOptions,
        *,
        knows_indexes: bool = True,
    ) -> None:
        self.python = version_of("python", packages)
        self.environment = marker_environment(platform, self.python) if self.python else None
        self.provided = {name: p for p in packages for name in provided_names(p)}
        self.wheels = {wheel.name: wheel for wheel in wheels}
        self.overrides = {r.name: r for r in options.overrides}
        links = (url for kind, url in options.find_links if kind == "url")
        self.indexes = (*index_urls(options), *links)
        # Since format 7 a wheel without an index is from the first (rattler_lock, deserialize.rs).
        self.unnamed = self.indexes[0] if knows_indexes else ""
        self.used: dict[str, None] = {}
        self.reached: set[str] = set()

    def problems(self, wanted: Sequence[PypiRequirement]) -> Iterator[str]:
        """Walk from what a manifest asks for; yield what is wrong."""
        todo: deque[AskedOfPypi] = deque()
        for one in wanted:
            requirement = parsed(str(one))
            if requirement and counts(requirement, self.environment, one.extras):
                todo.append(AskedOfPypi(requirement, "the manifest", one))
        seen: set[str] = set()
        while todo:
            asked = todo.popleft()
            if (package := self.provided.get(asked.requirement.name)) is not None:
                yield from self.conda_problems(asked, package)
                self.used[package.name] = None
                continue
            wheel = self.wheels.get(asked.requirement.name)
            if wheel is None:
                yield f"{asked}, which is not locked"
                continue
            yield from self.wheel_problems(asked, wheel)
            if wheel.name not in self.reached:
                self.reached.add(wheel.name)
                least = wheel.field("requires_python")
                if least and not python_is_new_enough(least, self.python):
                    yield f"{wheel.name} needs Python {least}, but {self.python} is locked"
            extras = sorted(self.overridden(asked.requirement).extras)
            for text in wheel.depends:
                needed = parsed(text)
                if needed is None or not counts(needed, self.environment, extras):
                    continue
                if str(needed) not in seen:
                    seen.add(str(needed))
                    todo.append(AskedOfPypi(needed, wheel.name))
        for name in sorted(self.wheels.keys() - self.reached):
            yield f"{name} is locked from PyPI, but nothing asks for it"

    def overridden(self, requirement: Requirement) -> Requirement:
        """Return what counts in place of a requirement."""
        other = self.overrides.get(requirement.name)
        return (parsed(str(other)) if other else None) or requirement

    def conda_problems(self, asked: AskedOfPypi, package: Package) -> Iterator[str]:
        """Yield why a conda package is not what PyPI is asked for."""
        if asked.entry and asked.entry.source:
            yield f"{asked.requirement.name} is locked as the conda package {package.name}"
        elif not meets(self.overridden(asked.requirement).specifier, package.version):
            yield f"{asked}, but the conda package {package.name} {package.version} is locked"

    def wheel_problems(self, asked: AskedOfPypi, wheel: Package) -> Iterator[str]:
        """Yield why a locked wheel is not what is asked for."""
        entry = asked.entry
        if entry and entry.source == "url":
            there = wheel.url.removeprefix("direct+")
            if there == wheel.url or _without_user(there) != _without_user(entry.url):
                yield f"{wheel.name} is locked from {there}; the manifest says {entry.url}"
        if entry and entry.source:
            return  # another place of its own is left to Pixi
        if "://" not in wheel.url and entry is None:
            return  # a folder in place of what others ask for is meant
        if not meets(self.overridden(asked.requirement).specifier, wheel.version):
            yield f"{asked}, but {wheel.name} {wheel.version} is locked"
        if entry and (there := wheel.field("index") or self.unnamed):
            allowed = (entry.index,) if entry.index else self.indexes
            is_known = there.rstrip("/") in {url.rstrip("/") for url in self.indexes}
            if there != entry.index if entry.index else not is_known:
                yield f"{wheel.name} is locked from another index than {' or '.join(allowed)}"
