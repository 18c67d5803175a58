"""One rehearsed job: what it asked for, how it got its environment, what became of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixi_scaffold.rehearsal.comparison import Comparison
from pixi_scaffold.rehearsal.delivery import Delivery
from pixi_scaffold.rehearsal.outcome import Outcome
from pixi_scaffold.rehearsal.plan import JobRun


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One job and what became of it."""

    plan: JobRun
    delivery: Delivery
    outcome: Outcome
    real_gpu: bool = False
    shortened: bool = False
    whole: Outcome | None = None
    """The uninterrupted run, where one was made."""
    compared: Comparison | None = None
    evict_after: float | None = None
    chosen_at_random: bool = False
    fails_anyway: bool = False
    image: str = ""
    """The container's, when its file is not there and HTCondor would miss it."""

    @property
    def passed(self) -> bool:
        """Whether it completed with the exit code that means success."""
        return self.outcome.state == "completed" and self.succeeded

    @property
    def succeeded(self) -> bool:
        """Whether its last exit code means success, whatever became of its outputs."""
        return self.outcome.code == self.plan.success

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON document has it."""
        plan = self.plan
        document = self.outcome.to_dict()
        document["requested"] = {"memory": plan.memory, "disk": plan.disk, "cpus": plan.cpus}
        document["delivery"] = {"kind": self.delivery.kind, "staged": self.delivery.staged}
        if self.compared is not None:
            document["compared"] = asdict(self.compared)
        return document


@dataclass(frozen=True, slots=True)
class RehearsalFacts:
    """What a rehearsal found out."""

    description: Path
    """As it was named."""
    jobs: tuple[Rehearsed, ...]
    changed: tuple[str, ...]
    """What --fix wrote, a line each."""
    skipped: tuple[dict[str, str], ...]
    """What was not as on a worker."""
    lock: str | None
    """SHA-256 of the one lock that all of them ran with."""

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        return {
            "description": str(self.description),
            "jobs": [job.to_dict() for job in self.jobs],
            "changed": list(self.changed),
            "skipped": list(self.skipped),
            **({"lock": {"sha256": self.lock}} if self.lock else {}),
        }
