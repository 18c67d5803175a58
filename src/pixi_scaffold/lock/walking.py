"""The walk through the PyPI packages of a lock that Pixi does: what is reached, and what is wrong.

crates/pixi_core, satisfiability/platform.rs. Apart from the comparison, as reading requirements
takes time to load.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pixi_scaffold.lock.layout import Package
from pixi_scaffold.lock.pypi import PURL, index_urls
from pixi_scaffold.pypi import (
    counts,
    is_wheel_for,
    marker_environment,
    meets,
    parsed,
    python_is_new_enough,
)
from pixi_scaffold.workspace import Platform, PypiOptions, PypiRequirement


def provided_names(package: Package) -> Iterator[str]:
    """Yield the names under which PyPI knows a conda package, by its purls."""
    for purl in package.purls:
        if purl.startswith(PURL):
            yield canonicalize_name(unquote(purl.removeprefix(PURL).partition("?")[0]))


class Walking:
    """One walk: what is there, and what of it was reached.

    used: the conda packages that stand for what PyPI was asked for. reached: names of wheels.
    """

    def __init__(
        self,
        platform: Platform,
        python: str,
        packages: Sequence[Package],
        wheels: Sequence[Package],
        options: PypiOptions,
    ) -> None:
        self.platform = platform
        self.python = python
        self.environment = marker_environment(platform, python) if python else None
        self.provided = {name: p for p in packages for name in provided_names(p)}
        self.wheels = {wheel.name: wheel for wheel in wheels}
        self.overrides = {r.name: r for r in options.overrides}
        self.indexes = index_urls(options)
        self.used: dict[str, None] = {}
        self.reached: set[str] = set()

    def problems(self, wanted: Sequence[PypiRequirement]) -> Iterator[str]:
        """Walk from what a manifest asks for; yield what is wrong."""
        todo: deque[tuple[Requirement, str, PypiRequirement | None]] = deque()
        for one in wanted:
            requirement = parsed(str(one))
            if requirement and counts(requirement, self.environment, one.extras):
                todo.append((requirement, "the manifest", one))
        seen: set[str] = set()
        while todo:
            requirement, origin, of_manifest = todo.popleft()
            if (package := self.provided.get(requirement.name)) is not None:
                yield from self.conda_problems(requirement, origin, of_manifest, package)
                self.used[package.name] = None
                continue
            wheel = self.wheels.get(requirement.name)
            if wheel is None:
                yield f"{origin} asks PyPI for {_shown(requirement)}, which is not locked"
                continue
            yield from self.wheel_problems(requirement, origin, of_manifest, wheel)
            if wheel.name not in self.reached:
                self.reached.add(wheel.name)
                yield from self.python_problems(wheel)
            extras = sorted(self.overridden(requirement).extras)
            for text in wheel.depends:
                needed = parsed(text)
                if needed is None or not counts(needed, self.environment, extras):
                    continue
                if str(needed) not in seen:
                    seen.add(str(needed))
                    todo.append((needed, wheel.name, None))
        for name in sorted(self.wheels.keys() - self.reached):
            yield f"{name} is locked from PyPI, but nothing asks for it"

    def overridden(self, requirement: Requirement) -> Requirement:
        """Return what counts in place of a requirement."""
        other = self.overrides.get(requirement.name)
        return (parsed(str(other)) if other else None) or requirement

    def conda_problems(
        self,
        requirement: Requirement,
        origin: str,
        of_manifest: PypiRequirement | None,
        package: Package,
    ) -> Iterator[str]:
        """Yield why a conda package is not what PyPI is asked for."""
        if of_manifest and of_manifest.source:
            yield f"{requirement.name} is locked as the conda package {package.name}"
        elif not meets(self.overridden(requirement).specifier, package.version):
            yield (
                f"{origin} asks PyPI for {_shown(requirement)}, "
                f"but the conda package {package.name} {package.version} is locked"
            )

    def wheel_problems(
        self,
        requirement: Requirement,
        origin: str,
        of_manifest: PypiRequirement | None,
        wheel: Package,
    ) -> Iterator[str]:
        """Yield why a locked wheel is not what is asked for."""
        if of_manifest and of_manifest.source:
            return  # a place of its own: refused or left to Pixi before
        if "://" not in wheel.url and of_manifest is None:
            return  # a folder in place of what others ask for is meant
        if not meets(self.overridden(requirement).specifier, wheel.version):
            yield (
                f"{origin} asks PyPI for {_shown(requirement)}, "
                f"but {wheel.name} {wheel.version} is locked"
            )
        if of_manifest and (there := wheel.field("index").rstrip("/")):
            allowed = (of_manifest.index,) if of_manifest.index else self.indexes
            if there not in {url.rstrip("/") for url in allowed}:
                yield f"{wheel.name} is locked from another index than {' or '.join(allowed)}"

    def python_problems(self, wheel: Package) -> Iterator[str]:
        """Yield why a wheel does not run with the locked Python."""
        wanted = wheel.field("requires_python")
        if wanted and not python_is_new_enough(wanted, self.python):
            yield f"{wheel.name} needs Python {wanted}, but {self.python} is locked"
        if not is_wheel_for(wheel.file, self.platform, self.python):
            yield f"{wheel.file} is no wheel for this platform and Python {self.python}"


def _shown(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"
