"""Run jobs of a submit description here as an HTCondor worker would, and say how they ended."""

from pixi_scaffold.job import Submission
from pixi_scaffold.rehearsal.attempts import rehearse_job
from pixi_scaffold.rehearsal.choosing import DESCRIPTION
from pixi_scaffold.rehearsal.command import Request, rehearse, rehearse_here
from pixi_scaffold.rehearsal.isolation import Walls, hidden
from pixi_scaffold.rehearsal.outcome import Attempt, Hold, Outcome, Usage
from pixi_scaffold.rehearsal.plan import JobRun, read_plan
from pixi_scaffold.rehearsal.setting import Eviction, Limits, Setting

__all__ = [
    "DESCRIPTION",
    "Attempt",
    "Eviction",
    "Hold",
    "JobRun",
    "Limits",
    "Outcome",
    "Request",
    "Setting",
    "Submission",
    "Usage",
    "Walls",
    "hidden",
    "read_plan",
    "rehearse",
    "rehearse_here",
    "rehearse_job",
]
