"""The Pixi workspaces that submit files lie in, and what their locks say; each read once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pixi_scaffold.errors import ManifestError, ScaffoldError
from pixi_scaffold.rules import LockedWorkspace, Row, Subject, within_review
from pixi_scaffold.system import is_file, real
from pixi_scaffold.workspace import DEFAULT, Workspace, find_manifest, read_manifest, satisfies

if TYPE_CHECKING:
    from pixi_scaffold.lock import Lock, Package


@dataclass(slots=True)
class Surroundings:
    """Projects by manifest, read once."""

    projects: dict[Path, LockedWorkspace] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def project(self, path: Path) -> LockedWorkspace | None:
        """Return the Pixi workspace that a submit file lies in; None when there is none."""
        for folder in (beside := own_folder(path), *beside.parents):
            try:
                manifest = find_manifest(folder)
            except ManifestError:
                continue
            if manifest not in self.projects:
                self.projects[manifest] = self._read(manifest)
            return self.projects[manifest]
        return None

    def _read(self, manifest: Path) -> LockedWorkspace:
        """Return what is known of a workspace; of a broken one, where it is."""
        try:
            workspace = read_manifest(manifest)
        except ManifestError as error:
            self.problems[f"rules against {manifest.name}"] = error.message.splitlines()[0]
            return LockedWorkspace(manifest, manifest.with_name("pixi.lock"))
        path = workspace.lock_file
        project = LockedWorkspace(manifest, path, partial(_refuses_pixi, workspace))
        if not is_file(path):
            self.problems["rules against the lock"] = f"there is no {path.name}"
            return project
        from pixi_scaffold.lock import read_lock  # a submit file without a lock needs none of it

        try:
            lock = read_lock(path)
        except ScaffoldError as error:
            self.problems["rules against the lock"] = error.message.splitlines()[0]
            return project
        rows = {name: tuple(locked_rows(workspace, lock, name)) for name in lock.environments}
        return project._replace(lock_format=lock.format, rows=rows.get(DEFAULT, ()), rows_of=rows)


def _refuses_pixi(workspace: Workspace, version: str) -> str:
    """Return why a version of Pixi does not read the workspace; empty when it does."""
    wanted = workspace.requires_pixi
    if not wanted or satisfies(version, wanted):
        return ""
    return f"{workspace.manifest.name} says requires-pixi = {wanted!r}"


def rows_for(subject: Subject, project: LockedWorkspace) -> tuple[tuple[Row, ...], str]:
    """Return the platforms of the locked environment that a job uses; none, and why, if unknown."""
    names = subject.environments or (DEFAULT,)
    if len(names) > 1:
        return (), f"it uses several environments: {', '.join(names)}"
    name = names[0]
    if name not in project.rows_of:
        return (), f"it uses the environment {name}, which is not locked"
    rows = project.rows_of[name]
    for row in rows:
        on_cpu = row.cuda or row.subdir.startswith("osx") or "+cpu" in row.pytorch
        if not on_cpu and (unknown := sorted(row.names & _WITH_CUDA)):
            why = f"{unknown[0]} on {row.name} is from PyPI, without packages that say its CUDA"
            return (), why
    return rows, ""


def locked_rows(workspace: Workspace, lock: Lock, name: str = DEFAULT) -> Iterator[Row]:
    """Yield the platforms of a locked environment, in the manifest's order."""
    aligned = lock.aligned(workspace)
    places = {platform.name: place for place, platform in enumerate(workspace.platforms)}
    rows = sorted(aligned.rows(name), key=lambda row: places.get(row[0], len(places)))
    for platform, subdir, packages in rows:
        yield _row(platform, subdir, packages, aligned.from_elsewhere(name, platform))


_WITH_CUDA = frozenset({"torch", "jaxlib"})
"""Names on PyPI of what may need a GPU's driver; conda-forge's pytorch says so itself."""


def _version_of(wheels: Mapping[str, str], prefix: str) -> str:
    """Return the version of one of NVIDIA's wheels, whose names end with CUDA's major version."""
    return next((version for name, version in wheels.items() if name.startswith(prefix)), "")


def _row(name: str, subdir: str, records: Sequence[Package], wheels: Mapping[str, str]) -> Row:
    versions = {record.name: record.version for record in records}
    needs = any(d.split()[0] == "__cuda" for record in records for d in record.depends)
    driver: tuple[int, int] | None = (0, 0) if needs else None
    for record in records:
        for constraint in record.constrains:
            package, _, limit = constraint.partition(" ")
            if package == "__cuda" and limit.startswith(">=") and "cuda-version" in versions:
                major, _, minor = limit[2:].strip().partition(".")
                if major.isdecimal():
                    driver = (int(major), int(minor) if minor.isdecimal() else 0)
    uses_cuda = needs or "cuda-cudart" in versions
    cuda = versions.get("cuda-version", "")
    runtime = _version_of(wheels, "nvidia-cuda-runtime").split(".")
    if runtime[0].isdecimal():
        # A driver of any minor version does: https://docs.nvidia.com/deploy/cuda-compatibility
        uses_cuda, driver = True, max(driver or (0, 0), (int(runtime[0]), 0))
        cuda = cuda or ".".join(runtime[:2])
    size = sum(int(record.fields.get("size") or 0) for record in records)
    return Row(
        name, subdir, len(records), size, driver if uses_cuda else None, cuda,
        versions.get("libcudnn") or versions.get("cudnn") or _version_of(wheels, "nvidia-cudnn"),
        versions.get("pytorch") or wheels.get("torch", ""), frozenset((*versions, *wheels)),
        frozenset(f"{r.name}-{r.version}-{r.build}" for r in records),
    )  # fmt: skip


def own_folder(path: Path) -> Path:
    """Return the folder that a submit file lies in; of a symlinked one that of the link."""
    return real_folder(path.absolute().parent)


real_folder = within_review(real)
