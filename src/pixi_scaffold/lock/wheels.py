"""Resolve what a solved environment asks of PyPI, and write the rows of a lock for it."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pixi_scaffold.errors import LockError
from pixi_scaffold.lock.explain import unsolvable_pypi
from pixi_scaffold.lock.file import Lock, location, rewritten
from pixi_scaffold.lock.layout import Package, read_package
from pixi_scaffold.lock.pypi import default_index, version_of
from pixi_scaffold.lock.solve import Solve
from pixi_scaffold.lock.walking import Walking, provided_names
from pixi_scaffold.pypi import ChosenWheel, Described, Describing, Resolution, parsed, resolve
from pixi_scaffold.report import Progress
from pixi_scaffold.system import cores
from pixi_scaffold.workspace import Environment, PypiRequirement, Workspace

_PLATFORM_SYSTEM = re.compile(r"platform_system\s*(==|!=)\s*[\"'](Windows|Linux|Darwin)[\"']")
_SYS_PLATFORM = {"Windows": "win32", "Linux": "linux", "Darwin": "darwin"}


class Wheels:
    """The PyPI packages of all solves. blocks: their lines in a lock, by URL.

    forgotten: environments of which no old version is kept.
    """

    def __init__(
        self,
        workspace: Workspace,
        old: Lock,
        upgrade: frozenset[str] = frozenset(),
        forgotten: frozenset[str] = frozenset(),
    ) -> None:
        self.workspace = workspace
        self.old = old
        self.upgrade = upgrade
        self.forgotten = forgotten
        self.blocks: dict[str, str] = {}
        self.chosen: dict[Solve, tuple[Package, ...]] = {}

    def resolve(self, solved: Mapping[Solve, Sequence[Package]], progress: Progress) -> None:
        """Resolve all, at the same time; raises ScaffoldError where that cannot be done.

        solved: the conda packages of each solve.
        """
        asking = [problem for problem in solved if self._wanted(problem)]
        if not asking:
            return
        progress.update(f"resolving packages from PyPI for {len(asking)} platforms")
        questions = [self._question(problem, solved[problem]) for problem in asking]
        with Describing() as describing, ThreadPoolExecutor(max(cores(), 2)) as pool:

            def one(question: Resolution) -> tuple[ChosenWheel, ...] | str:
                answer = resolve(question, self.workspace.root)
                if not isinstance(answer, str):
                    describing.start(w for w in answer if not self._stays(w))
                return answer

            # The first fills uv's cache with what the others look at, too.
            answers = [one(questions[0]), *pool.map(one, questions[1:])]
            self._refuse_failed(dict(zip(asking, answers, strict=True)), solved)
            described = {self._place(url): one for url, one in describing.results().items()}
        resolved = [[self._place(w.url) for w in a] for a in answers if not isinstance(a, str)]
        new, layout = wheel_blocks(described), self.old.layout
        old = {place for places in resolved for place in places} - new.keys()
        self.blocks |= {place: layout.block(place) for place in old} | new
        for problem, places in zip(asking, resolved, strict=True):
            self.chosen[problem] = tuple(read_package(p, self.blocks[p]) for p in places)

    def _wanted(self, problem: Solve) -> tuple[PypiRequirement, ...]:
        """Return what all environments of a solve ask PyPI for."""
        every = (self.workspace.pypi(e, problem.platform) for e in problem.environments)
        return tuple(dict.fromkeys(one for asked in every for one in asked))

    def _stays(self, wheel: ChosenWheel) -> bool:
        """Whether the old lock has a wheel, from the index that it is taken from now."""
        layout, place = self.old.layout, self._place(wheel.url)
        if place not in layout.blocks:
            return False
        return not wheel.index or layout.package(place).field("index") == _written_index(wheel)

    def _place(self, url: str) -> str:
        """Return where a wheel is as a lock has it: in a folder of find-links a path.

        From the workspace where it lies below that (crates/pixi_core, get_url_or_path).
        """
        path, root = Path(location(url)), self.workspace.root.absolute()
        if not url.startswith("file:"):
            return url
        return f"./{path.relative_to(root)}" if path.is_relative_to(root) else str(path)

    def _refuse_failed(
        self,
        answers: Mapping[Solve, tuple[ChosenWheel, ...] | str],
        solved: Mapping[Solve, Sequence[Package]],
    ) -> None:
        """Raise LockError where uv found nothing."""
        failed = {problem: a for problem, a in answers.items() if isinstance(a, str)}
        if failed:
            texts = {problem.title: text for problem, text in failed.items()}
            provided = {n: p for one in failed for p in solved[one] for n in provided_names(p)}
            raise unsolvable_pypi(self.workspace, texts, provided)

    def _question(self, problem: Solve, packages: Sequence[Package]) -> Resolution:
        python = version_of("python", packages)
        if not python:
            raise LockError(
                f"{problem.title}: packages from PyPI need python, which is not among its conda "
                "packages",
                f'add python = ">=3.11" to [dependencies] in {self.workspace.manifest}',
            )
        moment = problem.exclude_newer
        return Resolution(
            self._wanted(problem),
            problem.platform,
            python,
            self.workspace.environment_pypi_options(problem.environments[0]),
            {name: p.version for p in packages for name in provided_names(p)},
            self._preferred(problem),
            moment.isoformat() if moment else "",
            problem.strategy,
        )

    def _preferred(self, problem: Solve) -> dict[str, str]:
        """Return the versions of the old lock that may stay."""
        group = self.workspace.group(problem.environments[0])
        if self.forgotten.intersection(e.name for e in group):
            return {}
        rows = [self.old.urls(e.name, problem.platform) or () for e in group]
        wheels = [self.old.layout.package(u) for row in rows for kind, u in row if kind == "pypi"]
        return {w.name: w.version for w in wheels if w.name not in self.upgrade}

    def row(
        self, environment: Environment, problem: Solve, packages: Sequence[Package]
    ) -> tuple[tuple[Package, ...], tuple[str, ...]]:
        """Return the wheels of one environment, and the conda packages that stand for others.

        Raises LockError where uv's answer does not fit.
        """
        wheels = self.chosen.get(problem, ())
        wanted = self.workspace.pypi(environment, problem.platform)
        options = self.workspace.environment_pypi_options(environment)
        walking = Walking(problem.platform, packages, wheels, options)
        wrong = [text for text in walking.problems(wanted) if "nothing asks for it" not in text]
        if wrong:
            raise LockError(
                f"{environment.name} on {problem.platform.name}: {wrong[0]}",
                f"loosen a requirement in {self.workspace.manifest}",
            )
        return tuple(w for w in wheels if w.name in walking.reached), tuple(walking.used)


def wheel_blocks(described: Mapping[str, Described]) -> dict[str, str]:
    """Return the lines of each wheel, by URL, as the library under Pixi writes them."""
    blocks = rewritten({("pypi", url): _raw(url, one) for url, one in described.items()})
    for url, one in described.items():
        if index := _written_index(one.wheel):
            lines = blocks[url].splitlines(keepends=True)
            lines.insert(4 if one.wheel.sha256 else 3, f"  index: {index}\n")
            blocks[url] = "".join(lines)
    return blocks


def _written_index(wheel: ChosenWheel) -> str:
    """Return the index that a lock has of a wheel: none for PyPI's own (pypi_package_data.rs)."""
    return "" if wheel.index == default_index() else wheel.index


def _raw(url: str, described: Described) -> str:
    """Return a block that the library reads, in no particular spelling."""
    wheel = described.wheel
    lines = [
        f"- pypi: {url}",
        f"  name: {json.dumps(wheel.name)}",
        f"  version: {json.dumps(wheel.version)}",
        f"  sha256: {wheel.sha256}",
    ]
    requires = [_plain(text) for text in described.requires_dist if parsed(text)]
    lines += ["  requires_dist:", *(f"  - {json.dumps(r)}" for r in requires)] if requires else []
    if described.requires_python:
        lines.append(f"  requires_python: {json.dumps(described.requires_python)}")
    return "\n".join(lines) + "\n"


def _plain(requirement: str) -> str:
    """Return a requirement with platform_system as sys_platform, which Pixi writes in its place."""
    return _PLATFORM_SYSTEM.sub(
        lambda m: f"sys_platform {m[1]} '{_SYS_PLATFORM[m[2]]}'", requirement
    )


def with_purls(blocks: Mapping[str, str], purls: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Return the blocks of conda packages, by URL, with what they provide of PyPI."""
    lines = {url: "".join(f"  - {one}\n" for one in some) for url, some in purls.items()}
    return rewritten({
        ("conda", url): f"{block}  purls:{'' if lines[url] else ' []'}\n{lines[url]}"
        for url, block in blocks.items()
    })  # fmt: skip
