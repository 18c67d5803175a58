"""The embedded engine: solve and write pixi.lock with py-rattler, the library under Pixi."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixi_scaffold.errors import LockError
from pixi_scaffold.lock.channels import channel_url
from pixi_scaffold.lock.current import compare, serves
from pixi_scaffold.lock.engine import EVERYTHING, Locked
from pixi_scaffold.lock.explain import unsolvable
from pixi_scaffold.lock.file import Lock, NewerLockError, from_records, location, no_lock, read_lock
from pixi_scaffold.lock.gateway import bounded_files, gateway
from pixi_scaffold.lock.layout import Package, read_package
from pixi_scaffold.lock.matching import check_specs
from pixi_scaffold.lock.purls import Purls
from pixi_scaffold.lock.render import Contents, Rows, render_lock
from pixi_scaffold.lock.solve import Solve, names, problems, solve_one
from pixi_scaffold.lock.specs import refuse_unsupported
from pixi_scaffold.lock.wheels import Wheels, with_purls
from pixi_scaffold.report import Progress, Silent
from pixi_scaffold.system import replacing
from pixi_scaffold.workspace import Environment, Platform, Workspace

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
        if not upgrade and channels is None and serves(workspace, old):
            platforms = tuple(p.name for p in workspace.platforms)
            return Locked(path, False, len(old.layout.blocks), platforms)
        solving = Solving(workspace, old, channels, upgrade)
        with bounded_files():
            answers = asyncio.run(_solve_all(solving, progress))
        contents, skipped = solving.contents(answers, progress)
        text = render_lock(workspace, contents).encode()
        if changed := not path.exists() or path.read_bytes() != text:
            with replacing(path) as new_file:
                new_file.write_bytes(text)
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
        old: Lock,
        channels: Sequence[str] | None = None,
        upgrade: frozenset[str] = frozenset(),
    ) -> None:
        self.workspace = workspace
        self.channels = channels
        self.upgrade = upgrade
        none = no_lock(old.path)
        old = old.as_format_7().aligned(workspace)
        self.purls = Purls(workspace, old)
        self.old = none if EVERYTHING in upgrade else old
        self.comparison = compare(workspace, self.old if channels is None else none)
        every = problems(workspace, channels)
        self.todo = tuple(problem for problem in every if self._is_outdated(problem))
        self.done = tuple(problem for problem in every if not self._is_outdated(problem))
        kept = dict.fromkeys(url for problem in self.todo for url in self._locked(problem))
        self.hints = dict(zip(kept, self.old.as_records(kept), strict=True)) if kept else {}
        self.known: frozenset[str] = frozenset()  # the names that the channels have, once asked

    def _is_outdated(self, problem: Solve) -> bool:
        there = self._there(problem.environments, problem.platform)
        return any(
            (e.name, problem.platform.name) in self.comparison.outdated
            for e in problem.environments
        ) or any(package.name in self.upgrade for package in there)

    def _there(self, environments: Iterable[Environment], platform: Platform) -> list[Package]:
        """Return what the old lock has in these environments, each package once."""
        rows = (self.old.urls(e.name, platform) or () for e in environments)
        return [
            self.old.layout.package(u) for u in dict.fromkeys(u for row in rows for _, u in row)
        ]

    def _locked(self, problem: Solve) -> list[str]:
        """Return where the old records are that a solve may keep."""
        if {e.name for e in problem.environments} & self.comparison.discarded:
            return []
        there = self._there(self.workspace.group(problem.environments[0]), problem.platform)
        # Records of stand-in channels are no hint for the manifest's own, and the other way round.
        channels = tuple(location(channel) for channel in problem.channels)
        return [
            package.url
            for package in there
            if package.name not in self.upgrade
            and not package.from_pypi
            and package.url.startswith(channels)
        ]

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
        packages = {
            problem: tuple(read_package(p, blocks[p]) for p in (location(r.url) for r in records))
            for problem, records in solved.items()
        }
        forgotten = frozenset(self.comparison.discarded_wheels)
        wheels = Wheels(self.workspace, self.old, self.upgrade, forgotten)
        wheels.resolve(packages, progress or Silent())
        rows, old_blocks = self._unchanged()
        for problem, there in packages.items():
            for environment in problem.environments:
                of_pypi, provided = wheels.row(environment, problem, there)
                asked = map(str, self.workspace.requirements(environment, problem.platform))
                needed = self.comparison.matcher.needed(
                    problem.platform, there, (*asked, *provided)
                )
                rows[environment.name, problem.platform.name] = [
                    *(("conda", package.url) for package in there if package.name in needed),
                    *(("pypi", wheel.url) for wheel in of_pypi),
                ]
        return Contents(rows, old_blocks | blocks | wheels.blocks, self.channels), skipped

    def _solved(
        self, answers: Sequence[tuple[RepoDataRecord, ...] | str]
    ) -> tuple[dict[Solve, tuple[RepoDataRecord, ...]], list[tuple[str, str]]]:
        """Return what has a solution, and what the stand-in channels could not serve."""
        pairs = list(zip(self.todo, answers, strict=True))
        failed = [(problem, why) for problem, why in pairs if isinstance(why, str)]
        solved = {problem: answer for problem, answer in pairs if not isinstance(answer, str)}
        if failed and (self.channels is None or not any(solved.values())):
            failures = [
                (", ".join(e.name for e in p.environments), p.platform.name, why)
                for p, why in failed
            ]
            stand_in = "" if self.channels is None else "the stand-in channel"
            raise unsolvable(self.workspace, failures, self.known, stand_in=stand_in)
        return solved, [(problem.title, why) for problem, why in failed]

    def _unchanged(self) -> tuple[Rows, dict[str, str]]:
        """Return the rows of the old lock that stay as they are, and their blocks."""
        rows: Rows = {
            (e.name, problem.platform.name): self.old.urls(e.name, problem.platform) or ()
            for problem in self.done
            for e in problem.environments
        }
        return rows, {url: self.old.layout.block(url) for row in rows.values() for _, url in row}

    def _with_purls(
        self, solved: Mapping[Solve, tuple[RepoDataRecord, ...]], blocks: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the blocks that must say what they provide of PyPI, and do not yet."""
        wanted = {}
        for problem, records in solved.items():
            if any(map(self.workspace.may_ask_pypi, problem.environments)):
                stand_in = channel_url("conda-forge") if self.channels is not None else ""
                for record in records:
                    place = location(record.url)
                    if "\n  purls:" not in blocks[place]:  # a mirror keeps the channel's own URL
                        there = (c for c in problem.channels if record.url.startswith(c))
                        channel = stand_in or next(there, "")
                        wanted[place] = self.purls.of(record.name.normalized, channel)
        return with_purls({place: blocks[place] for place in wanted}, wanted)


def old_lock(path: Path, upgrade: frozenset[str]) -> Lock:
    """Return the lock whose versions or purls are kept; a newer format is never overwritten."""
    if not path.exists():
        return no_lock(path)
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
    return no_lock(path)


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
