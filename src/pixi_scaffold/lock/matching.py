"""Whether locked packages are what is required, and no more: the walk that Pixi does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pixi_scaffold.lock.layout import Package, damaged
from pixi_scaffold.lock.specs import new_record, platform_records
from pixi_scaffold.workspace import Platform, Requirement

if TYPE_CHECKING:
    from rattler import MatchSpec, PackageRecord


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

    def walk(
        self,
        platform: Platform,
        packages: Sequence[Package],
        requirements: Sequence[Requirement],
        constraints: Sequence[Requirement],
        provided: Iterable[str] = (),
    ) -> tuple[list[str], frozenset[str]]:
        """Return why these packages are not what `requirements` ask for, and whom conda asks for.

        Every record must be reached from them, or from `provided`, the packages that PyPI's
        requirements find, and meet what asks for it
        (crates/pixi_core, satisfiability/platform.rs, verify_package_platform_satisfiability).
        """
        have = {package.name: package for package in packages}
        virtual = platform_records(platform)
        reached: set[str] = set()
        todo = [(str(r), "the manifest") for r in requirements]
        problems = list(self._follow(todo, have, virtual, reached))
        asked = frozenset(reached)
        rest = [(name, "PyPI") for name in provided if name not in reached]
        problems += self._follow(rest, have, virtual, reached)
        for constraint in constraints:
            package = have.get(constraint.name)
            if package and not self.record(package).matches(self.spec(str(constraint))):
                problems.append(
                    f"the manifest allows only {constraint}, but {package.version} is locked"
                )
        for name in sorted(set(have) - reached):
            problems.append(f"{name} is locked, but nothing asks for it")
        return problems, asked

    def _follow(
        self,
        todo: list[tuple[str, str]],
        have: Mapping[str, Package],
        virtual: Mapping[str, PackageRecord],
        reached: set[str],
    ) -> Iterator[str]:
        """Yield what is wrong on the way from (spec, who asks); what is met is put to `reached`."""
        followed: set[tuple[str, str]] = set()
        while todo:
            text, origin = todo.pop()
            spec = self.spec(text)
            if "when=" in text and not self.is_met(spec.condition, have, virtual):
                continue
            name = spec.name.normalized
            package = have.get(name)
            record = self.record(package) if package else virtual.get(name)
            if record is None:
                yield f"{origin} asks for {_shown(text)}, which is not locked"
                continue
            if not record.matches(spec):
                is_there = "is locked" if package else "is what the platform has"
                yield f"{origin} asks for {_shown(text)}, but {name} {record.version} {is_there}"
            if package is None:
                continue
            if name not in reached:
                reached.add(name)
                todo += [(dependency, name) for dependency in package.depends]
            for extra in (spec.extras or ()) if "[" in text else ():
                if (name, extra) not in followed:
                    followed.add((name, extra))
                    todo += [(d, name) for d in package.extra_depends.get(extra, ())]

    def is_met(
        self,
        condition: str | None,
        have: Mapping[str, Package],
        virtual: Mapping[str, PackageRecord],
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
        spec = self.spec(condition)
        name = spec.name.normalized
        if name in have:
            return self.record(have[name]).matches(spec)
        return name in virtual and virtual[name].matches(spec)


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
    return new_record(
        package.name,
        package.version,
        package.build,
        package.url.rsplit("/", 2)[-2] if package.url.count("/") > 1 else "noarch",
        build_number=package.build_number,
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
