"""Read a submit description into jobs that keep their line numbers; nothing is run."""

from __future__ import annotations

from pixi_scaffold.job.description import Command, Description, Job, Problem, Queue
from pixi_scaffold.job.reader import read_description

__all__ = ["Command", "Description", "Job", "Problem", "Queue", "read_description"]
