"""What an update would do: the version to go to, and each file merged; nothing is touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import in_the_way, read_tree
from pixi_scaffold.template import FOLDER as MIGRATIONS
from pixi_scaffold.template import (
    Project,
    Renderer,
    is_older,
    migrate_answers,
    moved,
    moves,
    newer,
    parse_answers,
    read_migrations,
    releases,
    version_of,
)
from pixi_scaffold.update.merge import Action, Change, Sides, merge_trees


@dataclass(frozen=True, slots=True)
class Request:
    """What the user typed after `update`.

    to: a version; data: answers to change; ask: put new questions on the terminal; conflicts:
    whether files that need the user's hand may be left in the project.
    """

    folder: Path
    to: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    ask: bool = False
    engine: str = "auto"
    conflicts: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What an update would do. was, to: versions; branch: where it will be committed."""

    project: Project
    was: str
    to: str
    branch: str
    changes: tuple[Change, ...]

    @property
    def conflicts(self) -> tuple[Change, ...]:
        """The files that both sides changed in the same place."""
        return tuple(c for c in self.changes if c.action is Action.CONFLICT)

    @property
    def summary(self) -> str:
        """Return how many files there are of each kind, in one line."""
        counts = Counter(change.action for change in self.changes)
        return ", ".join(f"{counts[action]} {action}" for action in Action if counts[action])

    def facts(self) -> dict[str, Any]:
        """Return the plan as the JSON document has it."""
        return {
            "project": str(self.project.folder),
            "template": {"source": self.project.source, "from": self.was, "to": self.to},
            "branch": self.branch,
            "files": [
                {
                    "path": c.path,
                    "action": str(c.action),
                    "note": c.note,
                    "moved_from": c.moved_from,
                }
                for c in self.changes
            ],
        }


def choose_target(renderer: Renderer, project: Project, request: Request) -> str | None:
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
    if not releases(tags, prereleases=True):
        return "HEAD"
    return project.commit if request.data else None


def nothing_newer(renderer: Renderer, project: Project) -> str:
    """Say why there is no version to go to."""
    final = releases(renderer.tags())
    version = version_of(project.commit)
    if version is not None and version.is_prerelease and version.dev is None:
        newest = f"the newest is {final[-1]}" if final else "there is none yet"
        return f"at the pre-release {project.commit}; no final release is newer ({newest})"
    return f"already at the newest release, {project.commit}"


def make_plan(
    request: Request, project: Project, renderer: Renderer, target: str, root: Path
) -> Plan | None:
    """Render both versions and merge them with the project; None when nothing would change.

    root: a copy of the project as git holds it. Raises ScaffoldError when that cannot be done.
    """
    committed = root / project.answers_file
    if not committed.is_file():
        raise ScaffoldError(
            f"git does not hold {project.answers_file}, so it cannot be updated safely",
            f"git add --force {project.answers_file} && git commit -m 'Record the answers'",
        )
    text = committed.read_text(encoding="utf-8")
    project = parse_answers(text, project.folder, project.answers_file)
    migrations = read_migrations(renderer.files_in(target, MIGRATIONS), project.commit, target)
    new = renderer.render(
        target,
        request.data,
        remembered=migrate_answers(project.text, migrations),
        answers_file=project.answers_file,
        ask=request.ask,
    )
    if new.commit == project.commit and not request.data:
        return None
    base = renderer.render(
        project.commit, project.answers, answers_file=project.answers_file, exclude=new.exclude
    )
    paths = {*base.files, *new.files}
    _refuse_obstacles(root, paths)
    ours = read_tree(root, paths)
    to_move = moves(base.files, ours, migrations)
    sides = Sides(
        moved(base.files, to_move),
        moved(ours, to_move),
        new.files,
        new.seeded,
        project.answers_file,
        {new_path: old for new_path, old in to_move.items() if old in ours},
    )
    changes = merge_trees(sides)
    return Plan(project, project.commit, new.commit, f"template/{new.commit}", changes)


def _refuse_obstacles(root: Path, paths: set[str]) -> None:
    for path in sorted(paths):
        if (obstacle := in_the_way(root, path)) is not None:
            where = obstacle.relative_to(root)
            raise ScaffoldError(
                f"the template has a file {path}, but your {where} is in its place",
                f"git mv {where} another-name, commit, and try again",
            )
