"""The embedded engine: solve and write pixi.lock with py-rattler, the library under Pixi."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixi_scaffold.errors import LockError
from pixi_scaffold.lock.current import LockComparison, compare
from pixi_scaffold.lock.engine import Locked
from pixi_scaffold.lock.explain import FailedSolve, unsolvable
from pixi_scaffold.lock.file import Lock, NewerLockError, from_records, location, read_lock
from pixi_scaffold.lock.gateway import bounded_files, gateway
from pixi_scaffold.lock.render import Contents, render_lock
from pixi_scaffold.lock.solve import Solve, names, problems, solve_one
from pixi_scaffold.lock.specs import check_specs, refuse_unsupported
from pixi_scaffold.report import Progress
from pixi_scaffold.system import replacing
from pixi_scaffold.workspace import Requirement, Workspace

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
        upgrade: bool = False,
    ) -> Locked:
        """Lock with py-rattler; see Engine.lock."""
        refuse_unsupported(workspace)
        check_specs(workspace)
        path = path.resolve()  # through a symbolic link, which stays
        old = _old_lock(path, upgrade)
        solving = Solving(workspace, old, channels)
        with bounded_files():
            answers = asyncio.run(_solve_all(solving, progress))
        contents, skipped = solving.contents(answers)
        text = render_lock(workspace, contents)
        changed = _write(path, text)
        names = {name for (_, name), row in contents.rows.items() if row}
        return Locked(
            path,
            changed,
            packages=len({p for row in contents.rows.values() for p in row}),
            platforms=tuple(p.name for p in workspace.platforms if p.name in names),
            skipped=tuple(skipped),
        )


class Solving:
    """What is to be solved for a workspace, what of its old lock stays, and what comes of it."""

    def __init__(
        self, workspace: Workspace, old: Lock | None, channels: Sequence[str] | None = None
    ) -> None:
        self.workspace = workspace
        self.channels = channels
        self.old = old and old.as_format_7().aligned(workspace)
        self.found: LockComparison | None = None
        if self.old and channels is None:
            self.found = compare(workspace, self.old)
        every = problems(workspace, channels)
        self.todo = tuple(problem for problem in every if self._is_outdated(problem))
        self.done = tuple(problem for problem in every if not self._is_outdated(problem))
        self.hints = self._hints()
        self.known: frozenset[str] = frozenset()  # the names that the channels have, once asked

    def _is_outdated(self, problem: Solve) -> bool:
        if self.found is None:
            return True
        pairs = {(e.name, problem.platform.name) for e in problem.environments}
        return bool(pairs & self.found.outdated)

    def _hints(self) -> dict[str, RepoDataRecord]:
        """Return the old records that solves may keep, by URL."""
        if self.old is None:
            return {}
        wanted = dict.fromkeys(url for problem in self.todo for url in self._locked(problem))
        return dict(zip(wanted, self.old.as_records(wanted), strict=True)) if wanted else {}

    def _locked(self, problem: Solve) -> list[str]:
        if self.old is None:
            return []
        if self.found and {e.name for e in problem.environments} & self.found.discarded:
            return []
        group = self.workspace.group(problem.environments[0])
        rows = [self.old.urls(e.name, problem.platform) or () for e in group]
        urls = dict.fromkeys(url for row in rows for kind, url in row if kind == "conda")
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
        self, answers: Sequence[tuple[RepoDataRecord, ...] | str]
    ) -> tuple[Contents, list[tuple[str, str]]]:
        """Return what the new lock has, and what the stand-in channels could not serve.

        Raises LockError when there is no solution.
        """
        failed = [(p, a) for p, a in zip(self.todo, answers, strict=True) if isinstance(a, str)]
        if failed and (self.channels is None or len(failed) == len(self.todo)):
            failures = [
                FailedSolve(", ".join(e.name for e in p.environments), p.platform.name, why)
                for p, why in failed
            ]
            raise unsolvable(self.workspace, failures, self.known)
        solved = {
            problem: answer
            for problem, answer in zip(self.todo, answers, strict=True)
            if not isinstance(answer, str)
        }
        rows: dict[tuple[str, str], Sequence[tuple[str, str]]] = {}
        blocks: dict[str, str] = {}
        for problem in self.done:
            for environment in problem.environments:
                if self.old is None:
                    continue
                there = self.old.urls(environment.name, problem.platform) or ()
                rows[environment.name, problem.platform.name] = there
                blocks |= {url: self.old.layout.block(url) for _, url in there}
        for problem, records in solved.items():
            for environment in problem.environments:
                own = self.workspace.requirements(environment, problem.platform)
                kept = _closure(own, records)
                rows[environment.name, problem.platform.name] = [
                    ("conda", location(record.url)) for record in kept
                ]
        blocks |= from_records({r.url: r for answer in solved.values() for r in answer})
        platforms = None
        if self.channels is not None:
            platforms = frozenset(name for (_, name), row in rows.items() if row)
        skipped = [(problem.title, why) for problem, why in failed]
        return Contents(rows, blocks, self.channels, platforms), skipped


def _old_lock(path: Path, upgrade: bool) -> Lock | None:
    """Return the lock whose versions are kept; a newer format is never overwritten."""
    if not path.exists():
        return None
    if not upgrade:
        return read_lock(path)
    try:
        read_lock(path)
    except NewerLockError:
        raise
    except LockError:  # damaged: that is what an upgrade is for
        pass
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
    answers = await asyncio.gather(*(one(problem) for problem in solving.todo))
    if any(isinstance(answer, str) and "No candidates were found" in answer for answer in answers):
        solving.known = await names(solving.todo, source)
    return answers


def _closure(
    requirements: Iterable[Requirement], records: Sequence[RepoDataRecord]
) -> tuple[RepoDataRecord, ...]:
    """Return the records that are needed, directly or not: Pixi calls any other one stale."""
    from rattler import MatchSpec

    by_name = {r.name.normalized: r for r in records}
    reached: set[str] = set()
    followed: set[tuple[str, str]] = set()
    todo = [str(requirement) for requirement in requirements]
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
