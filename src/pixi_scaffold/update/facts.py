"""What an update would do, and what it did."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from pixi_scaffold.update.plan import Plan


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
