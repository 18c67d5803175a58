"""Run one job of a submit description here as an HTCondor worker would, and say how it ended."""

from __future__ import annotations

from pixi_scaffold.rehearsal.attempts import Eviction, Limits, Setting, rehearse_job
from pixi_scaffold.rehearsal.outcome import Attempt, Hold, Outcome, Usage
from pixi_scaffold.rehearsal.plan import Plan, read_plan

__all__ = [
    "Attempt",
    "Eviction",
    "Hold",
    "Limits",
    "Outcome",
    "Plan",
    "Setting",
    "Usage",
    "read_plan",
    "rehearse_job",
]
