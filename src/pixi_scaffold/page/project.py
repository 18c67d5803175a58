"""What the records of a project say, gathered for its page."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pixi_scaffold.check import CheckRequest, check
from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.lock import LockDiff, Package, PlatformDiff, last_change, locked_now, read_lock
from pixi_scaffold.page.jobs import PoolJob, read_jobs
from pixi_scaffold.page.runs import TrainingRun, read_runs
from pixi_scaffold.report import Progress, Report, Silent
from pixi_scaffold.system import layout, read_regular, sha256_of
from pixi_scaffold.workspace import find_manifest

LARGEST = 12
"""Packages of a platform that are listed."""


@dataclass(frozen=True, slots=True)
class LockedPlatform:
    """What is locked on one platform, and its largest packages: name, version, bytes."""

    now: PlatformDiff
    largest: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class ProjectRecords:
    """All that a project's page shows."""

    name: str
    written: str
    platforms: tuple[LockedPlatform, ...]
    locks: Mapping[str, str]
    """The sums of pixi.lock and of the starter channel's lock, those that are there, by name."""
    change: LockDiff | None
    receipts: tuple[Mapping[str, Any], ...]
    """What commands proved, and when: `written`."""
    runs: tuple[TrainingRun, ...]
    jobs: tuple[PoolJob, ...]
    checked: Report | None
    problems: tuple[str, ...]
    """What could not be read, and why."""


def now_in_words() -> str:
    """Return the time, as a page says when it was written."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def read_records(folder: Path, progress: Progress) -> ProjectRecords:
    """Read what a project says of itself; raises ScaffoldError where there is no workspace."""
    manifest = find_manifest(folder)
    root = manifest.parent
    problems: list[str] = []
    progress.update("the lock", 0.1)
    platforms, change = _locked(manifest, problems)
    progress.update("the runs", 0.3)
    runs = tuple(read_runs(root))
    problems += [f"{run.name}: {run.problem}" for run in runs if run.problem]
    progress.update("the rules on its jobs", 0.7)
    names = (layout.LOCK_FILE, str(layout.STARTER / layout.LOCK_FILE))
    places = (layout.RECEIPT, layout.REHEARSED)
    return ProjectRecords(
        root.resolve().name,
        now_in_words(),
        platforms,
        {name: sha256 for name in names if (sha256 := sha256_of(root / name))},
        change,
        tuple(r for place in places if (r := _receipt(root / place, problems))),
        runs,
        tuple(read_jobs(root)),
        _checked(root, problems),
        tuple(problems),
    )


def _locked(
    manifest: Path, problems: list[str]
) -> tuple[tuple[LockedPlatform, ...], LockDiff | None]:
    try:
        now = locked_now(manifest)
        lock = read_lock(manifest.parent / layout.LOCK_FILE)
        rows: dict[str, dict[str, Package]] = {}
        for environment in lock.environments:
            for name, _, packages in lock.rows(environment):
                rows.setdefault(name, {}).update({p.digest: p for p in packages})
        # The lock may call a platform otherwise than the workspace; their order is the same.
        platforms = tuple(
            LockedPlatform(said, _largest(tuple(row.values())))
            for said, row in zip(
                now.platforms, (rows.get(r.name, {}) for r in lock.layout.platforms), strict=True
            )
        )
        return platforms, last_change(manifest)
    except (ScaffoldError, ValueError) as error:
        problems.append(f"pixi.lock: {str(error).splitlines()[0]}")
        return (), None


def _largest(packages: Sequence[Package]) -> tuple[tuple[str, str, int], ...]:
    sized = sorted(packages, key=lambda p: -(p.size or 0))[:LARGEST]
    return tuple((p.name, p.version, p.size) for p in sized if p.size)


def _receipt(path: Path, problems: list[str]) -> Mapping[str, Any] | None:
    """Read a receipt; None where there is none, or none that can be read."""
    try:
        document = json.loads(read_regular(path, 64 << 20))
        if not isinstance(document, dict) or not isinstance(document.get("results"), list):
            raise ValueError("it is no receipt")
        if not isinstance(document.get("written"), str):  # of a version that did not write it down
            time = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            document["written"] = time.isoformat(timespec="seconds")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path.name}: {error}")
        return None
    return document


def _checked(root: Path, problems: list[str]) -> Report | None:
    """Return what `check` says now, without installing or training anything."""
    try:
        return check(CheckRequest((root,)), Silent())
    except ScaffoldError as error:
        problems.append(f"check: {error.message.splitlines()[0]}")
        return None
