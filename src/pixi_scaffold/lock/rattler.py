"""The embedded engine: solve and write pixi.lock with py-rattler, the library under Pixi."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixi_scaffold.errors import LockError
from pixi_scaffold.lock.channels import channel_url
from pixi_scaffold.lock.current import LockComparison, compare, serves
from pixi_scaffold.lock.engine import EVERYTHING, Locked
from pixi_scaffold.lock.explain import FailedSolve, unsolvable
from pixi_scaffold.lock.file import Lock, NewerLockError, from_records, location, read_lock
from pixi_scaffold.lock.gateway import bounded_files, gateway
from pixi_scaffold.lock.layout import Package, read_package
from pixi_scaffold.lock.purls import Purls
from pixi_scaffold.lock.render import Contents, render_lock
from pixi_scaffold.lock.solve import Solve, names, problems, solve_one
from pixi_scaffold.lock.specs import check_specs, refuse_unsupported
from pixi_scaffold.lock.wheels import PypiSolve, Wheels, with_purls
from pixi_scaffold.report import Progress, Silent
from pixi_scaffold.system import replacing
from pixi_scaffold.workspace import Workspace

if TYPE_CHECKING:
    from rattler import RepoDataRecord


class RattlerEngine:
    """Solves all platforms at once with the user's Pixi configuration."""

    name = "rattler"

    def lock(
        self,
        workspace: Workspace,
        path: Path,
        progress: Progress,
        *,
        channels: Sequence[str] | None = None,
        upgrade: frozenset[str] = frozenset(),
    ) -> Locked:
        """Lock with py-rattler; see Engine.lock."""
        refuse_unsupported(workspace)
        check_specs(workspace)
        path = path.resolve()  # through a symbolic link, which stays
        old = old_lock(path, upgrade)
        if old and not upgrade and channels is None and serves(workspace, old):
            platforms = tuple(p.name for p in workspace.platforms)
            return Locked(path, changed=False, packages=old.package_count, platforms=platforms)
        solving = Solving(workspace, old, channels, upgrade)
        with bounded_files():
            answers = asyncio.run(_solve_all(solving, progress))
        contents, skipped = solving.contents(answers, progress)
        text = render_lock(workspace, contents)
        changed = _write(path, text)
        names = {name for (_, name), row in contents.rows.items() if row}
        return Locked(
            path,
            changed,
            packages=len({p for row in contents.rows.values() for p in row}),
            platforms=tuple(p.name for p in workspace.platforms if p.name in names),
            skipped=tuple(skipped),
            assumed=tuple(sorted(solving.purls.assumed)),
        )


class Solving:
    """What is to be solved for a workspace, what of its old lock stays, and what comes of it."""

    def __init__(
        self,
        workspace: Workspace,
        old: Lock | None,
        channels: Sequence[str] | None = None,
        upgrade: frozenset[str] = frozenset(),
    ) -> None:
        self.workspace = workspace
        self.channels = channels
        self.upgrade = upgrade
        old = old and old.as_format_7().aligned(workspace)
        self.purls = Purls(workspace, old)
        self.old = None if EVERYTHING in upgrade else old
        self.comparison: LockComparison | None = None
        if self.old and channels is None:
            self.comparison = compare(workspace, self.old)
        every = problems(workspace, channels)
        self.todo = tuple(problem for problem in every if self._is_outdated(problem))
        self.done = tuple(problem for problem in every if not self._is_outdated(problem))
        self.hints = self._hints()
        self.known: frozenset[str] = frozenset()  # the names that the channels have, once asked

    def _is_outdated(self, problem: Solve) -> bool:
        if self.comparison is None:
            return True
        pairs = {(e.name, problem.platform.name) for e in problem.environments}
        return bool(pairs & self.comparison.outdated) or self._has(problem, self.upgrade)

    def _has(self, problem: Solve, names: frozenset[str]) -> bool:
        """Whether the old lock has one of these packages there."""
        rows = [
            self.old.urls(e.name, problem.platform) or () for e in problem.environments if self.old
        ]
        return bool(names) and any(
            self.old.layout.package(url).name in names for row in rows for _, url in row if self.old
        )

    def _hints(self) -> dict[str, RepoDataRecord]:
        """Return the old records that solves may keep, by URL."""
        if self.old is None:
            return {}
        wanted = dict.fromkeys(url for problem in self.todo for url in self._locked(problem))
        return dict(zip(wanted, self.old.as_records(wanted), strict=True)) if wanted else {}

    def _locked(self, problem: Solve) -> list[str]:
        if self.old is None:
            return []
        if self.comparison and {e.name for e in problem.environments} & self.comparison.discarded:
            return []
        group = self.workspace.group(problem.environments[0])
        rows = [self.old.urls(e.name, problem.platform) or () for e in group]
        urls = dict.fromkeys(url for row in rows for kind, url in row if kind == "conda")
        if self.upgrade:
            names = {url: self.old.layout.package(url).name for url in urls}
            urls = dict.fromkeys(url for url in urls if names[url] not in self.upgrade)
        # Records of stand-in channels are no hint for the manifest's own, and the other way round.
        channels = tuple(location(channel) for channel in problem.channels)
        return [url for url in urls if url.startswith(channels)]

    def kept(self, problem: Solve) -> list[RepoDataRecord]:
        """Return the records that the solver prefers: the newest where a group has several."""
        best: dict[str, RepoDataRecord] = {}
        for url in self._locked(problem):
            record = self.hints[url]
            name = record.name.normalized
            if name not in best or best[name].version < record.version:
                best[name] = record
        return list(best.values())

    def contents(
        self,
        answers: Sequence[tuple[RepoDataRecord, ...] | str],
        progress: Progress | None = None,
    ) -> tuple[Contents, list[tuple[str, str]]]:
        """Return what the new lock has, and what the stand-in channels could not serve.

        PyPI's packages are resolved here. Raises LockError when there is no solution.
        """
        solved, skipped = self._solved(answers)
        blocks = from_records({r.url: r for answer in solved.values() for r in answer})
        blocks |= self._with_purls(solved, blocks)
        solves = {
            problem: PypiSolve(problem, self._packages(problem, records, blocks))
            for problem, records in solved.items()
        }
        wheels = Wheels(self.workspace, self.old, self.upgrade)
        wheels.resolve(tuple(solves.values()), progress or Silent())
        rows: dict[tuple[str, str], Sequence[tuple[str, str]]] = {}
        for problem, records in solved.items():
            for environment in problem.environments:
                of_pypi, provided = wheels.row(environment, solves[problem])
                asked = [str(r) for r in self.workspace.requirements(environment, problem.platform)]
                kept = _closure((*asked, *provided), records)
                rows[environment.name, problem.platform.name] = [
                    *(("conda", location(record.url)) for record in kept),
                    *(("pypi", wheel.url) for wheel in of_pypi),
                ]
        old_rows, old_blocks = self._unchanged()
        rows, blocks = old_rows | rows, old_blocks | blocks | wheels.blocks
        platforms = None
        if self.channels is not None:
            platforms = frozenset(name for (_, name), row in rows.items() if row)
        return Contents(rows, blocks, self.channels, platforms), skipped

    def _solved(
        self, answers: Sequence[tuple[RepoDataRecord, ...] | str]
    ) -> tuple[dict[Solve, tuple[RepoDataRecord, ...]], list[tuple[str, str]]]:
        """Return what has a solution, and what the stand-in channels could not serve."""
        failed = [(p, a) for p, a in zip(self.todo, answers, strict=True) if isinstance(a, str)]
        has_packages = any(answer for answer in answers if not isinstance(answer, str))
        if failed and (self.channels is None or not has_packages):
            failures = [
                FailedSolve(", ".join(e.name for e in p.environments), p.platform.name, why)
                for p, why in failed
            ]
            stand_in = "" if self.channels is None else "the stand-in channel"
            raise unsolvable(self.workspace, failures, self.known, stand_in=stand_in)
        solved = {
            problem: answer
            for problem, answer in zip(self.todo, answers, strict=True)
            if not isinstance(answer, str)
        }
        return solved, [(problem.title, why) for problem, why in failed]

    def _unchanged(
        self,
    ) -> tuple[dict[tuple[str, str], Sequence[tuple[str, str]]], dict[str, str]]:
        """Return the rows of the old lock that stay as they are, and their blocks."""
        rows: dict[tuple[str, str], Sequence[tuple[str, str]]] = {}
        blocks: dict[str, str] = {}
        for problem in self.done:
            for environment in problem.environments:
                if self.old:
                    there = self.old.urls(environment.name, problem.platform) or ()
                    rows[environment.name, problem.platform.name] = there
                    blocks |= {url: self.old.layout.block(url) for _, url in there}
        return rows, blocks

    def _asks_pypi(self, problem: Solve) -> bool:
        return any(self.workspace.may_ask_pypi(e) for e in problem.environments)

    def _with_purls(
        self, solved: Mapping[Solve, tuple[RepoDataRecord, ...]], blocks: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the blocks that must say what they provide of PyPI, and do not yet."""
        wanted = {}
        for problem, records in solved.items():
            if self._asks_pypi(problem):
                stand_in = channel_url("conda-forge") if self.channels is not None else ""
                for record in records:
                    place = location(record.url)
                    if "\n  purls:" not in blocks[place]:
                        channel = stand_in or _channel(problem, record)
                        wanted[place] = self.purls.of(record.name.normalized, channel)
        return with_purls({place: blocks[place] for place in wanted}, wanted)

    def _packages(
        self, problem: Solve, records: Sequence[RepoDataRecord], blocks: Mapping[str, str]
    ) -> tuple[Package, ...]:
        """Return solved packages as a lock has them, where PyPI's are resolved beside them."""
        if not self._asks_pypi(problem):
            return ()
        places = [location(record.url) for record in records]
        return tuple(read_package(place, blocks[place]) for place in places)


def _channel(problem: Solve, record: RepoDataRecord) -> str:
    """Return the channel of a solve that a record is from; a mirror keeps the channel's own URL."""
    return next((c for c in problem.channels if record.url.startswith(c)), "")


def old_lock(path: Path, upgrade: frozenset[str]) -> Lock | None:
    """Return the lock whose versions or purls are kept; a newer format is never overwritten."""
    if not path.exists():
        return None
    try:
        lock = read_lock(path)
        for url in lock.layout.blocks if EVERYTHING in upgrade else ():
            lock.layout.package(url)
        return lock
    except NewerLockError:
        raise
    except LockError:  # damaged: that is what an upgrade is for
        if EVERYTHING not in upgrade:
            raise
    return None


async def _solve_all(
    solving: Solving, progress: Progress
) -> list[tuple[RepoDataRecord, ...] | str]:
    """Solve concurrently; an unsolvable problem gives the solver's explanation in its place."""
    if not solving.todo:
        return []
    source = gateway(solving.workspace.root)
    done = 0

    async def one(problem: Solve) -> tuple[RepoDataRecord, ...] | str:
        nonlocal done
        answer = await solve_one(problem, source, solving.kept(problem))
        done += 1
        progress.update(f"solved {problem.title}", done / len(solving.todo))
        return answer

    progress.update(f"solving {len(solving.todo)} combinations of environment and platform", 0.0)
    solves = [one(problem) for problem in solving.todo]
    ended = await asyncio.gather(*solves, return_exceptions=True)
    if failed := [end for end in ended if isinstance(end, BaseException)]:
        # Of solves that waited for one download, only the one that began it has the reason.
        raise min(failed, key=lambda error: "coalesced request" in str(error))
    answers = [end for end in ended if not isinstance(end, BaseException)]
    if any(isinstance(answer, str) and "No candidates were found" in answer for answer in answers):
        solving.known = await names(solving.todo, source)
    return answers


def _closure(
    requirements: Iterable[str], records: Sequence[RepoDataRecord]
) -> tuple[RepoDataRecord, ...]:
    """Return the records that are needed, directly or not: Pixi calls any other one stale."""
    from rattler import MatchSpec

    by_name = {r.name.normalized: r for r in records}
    reached: set[str] = set()
    followed: set[tuple[str, str]] = set()
    todo = list(requirements)
    while todo:
        spec = MatchSpec(todo.pop())
        name = spec.name.normalized
        if name not in by_name:  # a virtual package has no record
            continue
        if name not in reached:
            reached.add(name)
            todo += by_name[name].depends
        for extra in {(name, one) for one in spec.extras or ()} - followed:
            followed.add(extra)
            todo += by_name[name].extra_depends.get(extra[1], [])
    return tuple(r for r in records if r.name.normalized in reached)


def _write(path: Path, text: str) -> bool:
    """Write the lock beside `path` and swap it in; return whether its bytes changed."""
    new = text.encode()
    if path.exists() and path.read_bytes() == new:
        return False
    with replacing(path) as new_file:
        new_file.write_bytes(new)
    return True
