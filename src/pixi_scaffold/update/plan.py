"""What an update would do: the version to go to, and each file merged; nothing is touched."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import File, read_blobs
from pixi_scaffold.template import FOLDER as MIGRATIONS
from pixi_scaffold.template import (
    Migration,
    Project,
    Render,
    Renderer,
    is_older,
    migrate_answers,
    moved,
    moves,
    newer,
    no_versions,
    parse_answers,
    read_migrations,
    releases,
    version_of,
)
from pixi_scaffold.update.merge import MANIFESTS, Action, Change, Sides, merge_trees
from pixi_scaffold.update.policy import Listing, declared, follow, follows, set_apart
from pixi_scaffold.update.repository import Repository, branch_folder


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """What the user typed after `update`."""

    folder: Path
    to: str | None = None
    """A version of the template."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Answers to change."""
    ask: bool = False
    """Whether new questions are put on the terminal."""
    engine: str = "auto"
    conflicts: bool = True
    """Whether files that need the user may be left in the project."""
    look_only: bool = False
    """Whether nothing but the plan is wanted."""
    push: bool = False
    """Whether the branch is pushed, and a request to merge it opened."""


@dataclass(frozen=True, slots=True)
class NewAnswer:
    """An answer that an update changes: added, changed or dropped."""

    name: str
    action: str
    was: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Plan:
    """What an update would do."""

    project: Project
    was: str
    to: str
    branch: str
    """Where it will be committed."""
    changes: tuple[Change, ...]
    answers: tuple[NewAnswer, ...] = ()
    news: Callable[[], str] = str
    """Returns what the template says of the versions in between."""

    @property
    def conflicts(self) -> tuple[Change, ...]:
        """The files that both sides changed in the same place."""
        return tuple(c for c in self.changes if c.action is Action.CONFLICT)

    @property
    def files(self) -> dict[str, File | None]:
        """What it writes, by path in the project; None takes a file away."""
        gone: dict[str, File | None] = {c.moved_from: None for c in self.changes if c.moved_from}
        return gone | {c.path: c.file for c in self.changes if c.writes}

    @property
    def created(self) -> list[str]:
        """The files that come where the project has none."""
        new = (c for c in self.changes if c.action is Action.NEW or c.moved_from)
        return [change.path for change in new if change.file is not None]

    @property
    def summary(self) -> str:
        """How many files there are of each kind, in one line."""
        counts = Counter(change.action for change in self.changes)
        return ", ".join(f"{counts[action]} {action}" for action in Action if counts[action])

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON document has it."""
        parts = ("path", "action", "note", "moved_from")
        return {
            "project": str(self.project.folder),
            "template": {"source": self.project.source, "from": self.was, "to": self.to},
            "branch": self.branch,
            "files": [{part: getattr(change, part) for part in parts} for change in self.changes],
            "answers": [asdict(answer) for answer in self.answers],
        }


@dataclass(frozen=True, slots=True)
class UpdateFacts:
    """A plan, and what was done of it."""

    plan: Plan
    applied: bool = False
    commit: str | None = None
    """What was made; None while there are conflicts."""

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        facts = {**self.plan.to_dict(), "applied": self.applied}
        if self.applied:
            facts["commit"] = self.commit
            if self.commit is None:
                facts["conflicts"] = [change.path for change in self.plan.conflicts]
        return facts

    @property
    def summary(self) -> str:
        """What happened, or would happen, in one line."""
        plan = self.plan
        how = f"on the branch {plan.branch}:" if self.applied else "would be"
        return f"{plan.was} to {plan.to}, {how} {plan.summary}"


def choose_target(renderer: Renderer, project: Project, request: UpdateRequest) -> str | None:
    """Return the version to go to; None when there is nothing to do.

    Without --to that is the newest final release: never a pre-release, never an older one. A
    template without any release is followed by its commits.
    """
    tags = renderer.tags()
    if request.to is not None:
        same = [t for t in tags if t == request.to] or [
            t for t in tags if version_of(t) == version_of(request.to) is not None
        ]
        target = same[0] if same else request.to
        if is_older(target, project.commit):
            raise UsageError(
                f"the project is at {project.commit}, and {target} is older",
                "take the project's own history instead: git log",
            )
        return target
    if later := newer(tags, project.commit):
        return later[-1]
    if not releases(tags, prereleases=True) and not no_versions(tags):
        return "HEAD"
    return project.commit if request.data else None


def nothing_newer(renderer: Renderer, project: Project) -> str:
    """Say why there is no version to go to."""
    final = releases(renderer.tags())
    version = version_of(project.commit)
    if version is not None and version.is_prerelease and version.dev is None:
        newest = f"the newest is {final[-1]}" if final else "there is none yet"
        return f"at the pre-release {project.commit}; no final release is newer ({newest})"
    other = no_versions(renderer.tags())
    also = f"; tags that are no version (PEP 440), so not counted: {', '.join(other)}"
    return f"already at the newest release, {project.commit}" + (also if other else "")


def why_ask(request: UpdateRequest, project: Project, renderer: Renderer, target: str) -> str:
    """Return why the new version has something to ask; empty when it has not."""
    migrations = read_migrations(renderer.files_in(target, MIGRATIONS), project.commit, target)
    text = migrate_answers(project.text, migrations)
    now = parse_answers(text, project.folder, project.answers_file)
    return renderer.has_questions(target, now, request.data)


def make_plan(
    request: UpdateRequest,
    project: Project,
    renderer: Renderer,
    target: str,
    repository: Repository,
) -> Plan | None:
    """Render both versions and merge them with the commit; None when nothing would change.

    Raises ScaffoldError when that cannot be done.
    """
    listing = repository.listing(repository.head)
    project, mine = _committed(project, repository, listing)
    migrations = read_migrations(renderer.files_in(target, MIGRATIONS), project.commit, target)
    remembered = migrate_answers(project.text, migrations)
    new = renderer.render(
        target,
        request.data,
        remembered=remembered,
        answers_file=project.answers_file,
        ask=request.ask,
    )
    if new.commit == project.commit and not request.data:
        return None
    base = renderer.render_recorded(project, exclude=new.exclude)
    apart = set_apart({*base.files, *new.files}, listing, mine)
    changes = _merged(project, repository, listing, base, new, apart, migrations)
    if new.commit == project.commit and not any(change.writes for change in changes):
        return None
    old = parse_answers(remembered, project.folder, project.answers_file).answers
    news = partial(renderer.news, project.commit, target)
    branch = branch_folder(repository.project, repository.top) + new.commit
    answers = new_answers(old, new.answers)
    return Plan(project, project.commit, new.commit, branch, changes, answers, news)


def _committed(
    project: Project, repository: Repository, listing: Listing
) -> tuple[Project, tuple[str, ...]]:
    """Return the project as the commit has it, and the files that its manifest says are its own."""
    if project.answers_file not in listing:
        raise ScaffoldError(
            f"git does not hold {project.answers_file}, so it cannot be updated safely",
            f"git add --force {project.answers_file} && git commit -m 'Record the answers'",
        )
    names = (project.answers_file, *MANIFESTS)
    files = read_blobs(repository.top, {p: listing[p] for p in names if p in listing})
    text = files[project.answers_file].content.decode()
    return parse_answers(text, project.folder, project.answers_file), declared(files)


def _merged(
    project: Project,
    repository: Repository,
    listing: Listing,
    base: Render,
    new: Render,
    apart: Mapping[str, str],
    migrations: Sequence[Migration],
) -> tuple[Change, ...]:
    """Merge the difference of two renders into the files of the commit, by path.

    apart: paths that are the user's alone, and why.
    """
    known = {path: f for path, f in base.files.items() if path not in apart}
    user_moves = follows(repository, known, listing, migrations, new.files)
    known, later, seeded = follow(user_moves, known, new.files, new.seeded)
    later = {path: file for path, file in later.items() if path not in apart}
    wanted = {*known, *later, *apart} & set(listing)
    ours = read_blobs(repository.top, {path: listing[path] for path in wanted})
    to_move = moves(known, ours, migrations)
    before = moved(ours, to_move)
    sides = Sides(
        moved(known, to_move),
        before,
        later,
        seeded,
        project.answers_file,
        {new_path: old for new_path, old in to_move.items() if old in ours},
        {move.here: move.old for move in user_moves},
    )
    left = [
        Change(path, Action.YOURS, ours.get(path), why)
        for path, why in apart.items()
        if new.files.get(path) != base.files.get(path)
    ]
    changes = sorted((*merge_trees(sides), *left), key=lambda change: change.path)
    return tuple(replace(change, before=before.get(change.path)) for change in changes)


def new_answers(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[NewAnswer, ...]:
    """Return what an update does to the recorded answers, by name."""
    answers = []
    for name in sorted({*old, *new}):
        action = "dropped" if name not in new else "added" if name not in old else "changed"
        if action != "changed" or old[name] != new[name]:
            answers.append(NewAnswer(name, action, old.get(name), new.get(name)))
    return tuple(answers)
