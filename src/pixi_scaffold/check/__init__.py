"""The stages that prove a project, and the jobs in it: where the two halves of the tool meet."""

from pixi_scaffold.check.command import NEW, Wanted, check, next_commands
from pixi_scaffold.check.review import find_descriptions, finding_lines, review, shown
from pixi_scaffold.check.stages import Options, State, run_stages

__all__ = [
    "NEW",
    "Options",
    "State",
    "Wanted",
    "check",
    "find_descriptions",
    "finding_lines",
    "next_commands",
    "review",
    "run_stages",
    "shown",
]
