"""Whether locked packages are what is required, and no more: the walk that Pixi does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING

from pixi_scaffold.errors import LockError
from pixi_scaffold.lock.layout import Package, damaged
from pixi_scaffold.workspace import Platform, Requirement, Workspace, lies_in

if TYPE_CHECKING:
    from rattler import MatchSpec, PackageRecord


_NAME, _BUILD = "(?P<name>[a-z0-9_.-]+)", "(?P<build>[A-Za-z0-9_.*]+)"
_PLAIN = re.compile(rf"{_NAME}(?: (?P<version>[^ ]+)(?: {_BUILD})?)?")
_OF_MANIFEST = re.compile(rf'{_NAME}\[(version="(?P<version>[^" ]+)")?(, )?(build="{_BUILD}")?\]')
"""A spec as most are: a name, a version and a build as repodata has them, or as a manifest does."""


@cache
def _plain(text: str) -> tuple[str, str, str] | None:
    """Return name, version and build (in lower case) of a spec, `*` for any.

    None: ask the library.
    """
    matched = _PLAIN.fullmatch(text) or _OF_MANIFEST.fullmatch(text)
    if matched is None:
        return None
    return matched["name"], matched["version"] or "*", (matched["build"] or "*").lower()


@cache
def _virtual_packages(platform: Platform) -> Mapping[str, Package]:
    """Return what a machine of a platform has, as packages that nobody fetches."""
    place = f"{platform.name}/{platform.subdir}"
    return {
        p.name: Package(f"{place}/{p}", p.name, *p.for_solver, 0, (), (), {}, {})
        for p in platform.virtual_packages
    }


def check_specs(workspace: Workspace) -> None:
    """Raise LockError naming the first requirement that the library cannot read."""
    for environment in workspace.environments:
        for platform in workspace.environment_platforms(environment):
            wanted = workspace.requirements(environment, platform)
            for spec in (*wanted, *workspace.constraints(environment, platform)):
                if _plain(str(spec)):  # its version was checked when the manifest was read
                    continue
                from rattler import MatchSpec

                try:
                    MatchSpec(str(spec))
                except Exception as error:  # several kinds, no common base
                    raise LockError(
                        f"{environment.name} on {platform.name}: {spec} is not a valid "
                        f"requirement: {error}",
                        f"correct it in {workspace.manifest}",
                    ) from error


@dataclass(slots=True)
class Matcher:
    """Compares packages with specs; each spec and each package is made into one object once."""

    specs: dict[str, MatchSpec] = field(default_factory=dict)
    records: dict[str, PackageRecord] = field(default_factory=dict)

    def spec(self, text: str) -> MatchSpec:
        """Return a spec of the library; one without a condition has none to be asked for."""
        parsed = self.specs.get(text)
        if parsed is None:
            from rattler import MatchSpec
            from rattler.exceptions import InvalidMatchSpecError

            try:
                parsed = self.specs[text] = MatchSpec(text)
            except InvalidMatchSpecError as error:  # the manifest's own were checked before
                raise damaged("pixi.lock", error) from error
        return parsed

    def record(self, package: Package) -> PackageRecord:
        """Return a locked package as a record of the library."""
        known = self.records.get(package.url)
        if known is None:
            try:
                known = self.records[package.url] = _record(package)
            except Exception as error:  # the library has several, without a common base
                raise damaged(f"{package.url} in pixi.lock", error) from error
        return known

    def meets(self, package: Package, text: str) -> bool:
        """Whether a package is what a spec asks for; the library takes 20 ms to load."""
        if plain := _plain(text):
            answer = lies_in(package.version, plain[1])
            if answer is not None:
                return answer and fnmatchcase(package.build.lower(), plain[2])
        return self.record(package).matches(self.spec(text))

    def walk(
        self,
        platform: Platform,
        packages: Sequence[Package],
        requirements: Sequence[Requirement],
        constraints: Sequence[Requirement],
        provided: Iterable[str] = (),
    ) -> tuple[list[str], frozenset[str]]:
        """Return why these packages are not what `requirements` ask for, and the names asked for.

        Every record must be reached from them, or from `provided`, the packages that PyPI's
        requirements find, and meet what asks for it
        (crates/pixi_core, satisfiability/platform.rs, verify_package_platform_satisfiability).
        """
        have = {package.name: package for package in packages}
        virtual = _virtual_packages(platform)
        reached: set[str] = set()
        todo = [(str(r), "the manifest") for r in requirements]
        problems = list(self._follow(todo, have, virtual, reached))
        asked = frozenset(reached)
        rest = [(name, "PyPI") for name in provided if name not in reached]
        problems += self._follow(rest, have, virtual, reached)
        for constraint in constraints:
            package = have.get(constraint.name)
            if package and not self.meets(package, str(constraint)):
                problems.append(
                    f"the manifest allows only {constraint}, but {package.version} is locked"
                )
        for name in sorted(set(have) - reached):
            problems.append(f"{name} is locked, but nothing asks for it")
        return problems, asked

    def needed(
        self, platform: Platform, packages: Sequence[Package], specs: Iterable[str]
    ) -> frozenset[str]:
        """Return the names of the packages that specs need: Pixi calls any other one stale."""
        have = {package.name: package for package in packages}
        reached: set[str] = set()
        todo = [(spec, "") for spec in specs]
        list(self._follow(todo, have, _virtual_packages(platform), reached))
        return frozenset(reached)

    def _follow(
        self,
        todo: list[tuple[str, str]],
        have: Mapping[str, Package],
        virtual: Mapping[str, Package],
        reached: set[str],
    ) -> Iterator[str]:
        """Yield what is wrong on the way from (spec, who asks); what is met is put to `reached`."""
        followed: set[tuple[str, str]] = set()
        while todo:
            text, origin = todo.pop()
            plain = _plain(text)
            spec = None if plain else self.spec(text)
            if spec and "when=" in text and not self.is_met(spec.condition, have, virtual):
                continue
            name = plain[0] if plain else self.spec(text).name.normalized
            package = have.get(name) or virtual.get(name)
            if package is None:
                yield f"{origin} asks for {_shown(text)}, which is not locked"
                continue
            if not self.meets(package, text):
                is_there = "is locked" if name in have else "is what the platform has"
                yield f"{origin} asks for {_shown(text)}, but {name} {package.version} {is_there}"
            if name not in have:
                continue
            if name not in reached:
                reached.add(name)
                todo += [(dependency, name) for dependency in package.depends]
            for extra in (spec.extras or ()) if spec and "[" in text else ():
                if (name, extra) not in followed:
                    followed.add((name, extra))
                    todo += [(d, name) for d in package.extra_depends.get(extra, ())]

    def is_met(
        self,
        condition: str | None,
        have: Mapping[str, Package],
        virtual: Mapping[str, Package],
    ) -> bool:
        """Whether a dependency's condition holds: some package, of the machine too, is so."""
        if condition is None:
            return True
        for sign, quantifier in ((" or ", any), (" and ", all)):
            parts = _split(condition, sign)
            if len(parts) > 1:
                return quantifier(self.is_met(part, have, virtual) for part in parts)
        if condition.startswith("(") and condition.endswith(")"):
            return self.is_met(condition[1:-1].strip(), have, virtual)
        name = self.spec(condition).name.normalized
        package = have.get(name) or virtual.get(name)
        return package is not None and self.meets(package, condition)


def _split(condition: str, sign: str) -> list[str]:
    """Split a condition at each `sign` that is not inside parentheses."""
    parts: list[str] = []
    for word in condition.split(sign):
        if parts and parts[-1].count("(") > parts[-1].count(")"):
            parts[-1] += sign + word
        else:
            parts.append(word)
    return [part.strip() for part in parts]


def _record(package: Package) -> PackageRecord:
    from rattler import BuildString, PackageRecord

    return PackageRecord(
        name=package.name,
        version=package.version,
        build=BuildString(package.build),
        build_number=package.build_number,
        subdir=package.url.rsplit("/", 2)[-2] if package.url.count("/") > 1 else "noarch",
        arch=None,
        platform=None,
        md5=bytes.fromhex(package.field("md5")) or None,
        sha256=bytes.fromhex(package.field("sha256")) or None,
        license=package.fields.get("license") or None,
    )


def _shown(spec: str) -> str:
    """Return a spec as people write it: `python >=3.12` for `python[version=">=3.12"]`."""
    name, bracket, rest = spec.partition('[version="')
    if bracket and rest.endswith('"]') and rest.count('"') == 1:
        return f"{name} {rest[:-2]}"
    return spec
