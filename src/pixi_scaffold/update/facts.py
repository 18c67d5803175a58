"""What an update found out and did, as the JSON document has it: one frozen class an outcome."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixi_scaffold.report import Report
from pixi_scaffold.template import Project
from pixi_scaffold.update.plan import Plan


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """The project is at that version, with those answers."""

    project: Project

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        at = self.project.commit
        template = {"source": self.project.source, "from": at, "to": at}
        folder = str(self.project.folder)
        return {"project": folder, "template": template, "files": [], "applied": False}


@dataclass(frozen=True, slots=True)
class Planned:
    """What an update would do, and was not told to."""

    plan: Plan

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        return {**_plan(self.plan), "applied": False}

    @property
    def summary(self) -> str:
        """What would happen, in one line."""
        return f"{self.plan.was} to {self.plan.to}, would be {_counts(self.plan)}"


@dataclass(frozen=True, slots=True)
class Applied:
    """What an update did: the commit that it made, or none while there are conflicts."""

    plan: Plan
    commit: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        done = {**_plan(self.plan), "applied": True, "commit": self.commit}
        if self.commit is None:
            done["conflicts"] = [change.path for change in self.plan.conflicts]
        return done

    @property
    def summary(self) -> str:
        """What happened, in one line."""
        plan = self.plan
        return f"{plan.was} to {plan.to}, on the branch {plan.branch}: {_counts(plan)}"


@dataclass(frozen=True, slots=True)
class Continued:
    """The commit of an update whose conflicts were edited."""

    folder: Path
    branch: str
    commit: str

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        return {"project": str(self.folder), "branch": self.branch, "commit": self.commit}


@dataclass(frozen=True, slots=True)
class Aborted:
    """The project whose last update was undone."""

    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        return {"project": str(self.folder)}


@dataclass(frozen=True, slots=True)
class Moved:
    """Where the template of the projects is now."""

    source: str

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        return {"source": self.source}


@dataclass(frozen=True, slots=True)
class Untouched:
    """A project of several to which nothing was done, and why."""

    folder: Path
    note: str = ""
    error: str = ""
    hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        if self.error:
            return {"project": str(self.folder), "error": self.error, "hint": self.hint}
        return {"project": str(self.folder), "ok": True, "note": self.note}


@dataclass(frozen=True, slots=True)
class UpdatedAll:
    """What became of each project of a folder."""

    projects: tuple[Report | Untouched, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        return {
            "projects": [
                one.to_dict()
                if isinstance(one, Untouched)
                else {**one.facts_by_key(), "ok": not one.failed}
                for one in self.projects
            ]
        }


def _counts(plan: Plan) -> str:
    counts = Counter(str(change.action) for change in plan.changes)
    return ", ".join(f"{number} {action}" for action, number in sorted(counts.items()))


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "project": str(plan.project.folder),
        "template": {"source": plan.project.source, "from": plan.was, "to": plan.to},
        "branch": plan.branch,
        "files": [
            {"path": c.path, "action": str(c.action), "note": c.note, "moved_from": c.moved_from}
            for c in plan.changes
        ],
        "answers": [asdict(answer) for answer in plan.answers],
    }
