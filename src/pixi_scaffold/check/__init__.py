"""The stages that prove a project, and the jobs in it: where the two halves of the tool meet."""

from pixi_scaffold.check.command import CheckFacts, check, prove
from pixi_scaffold.check.find import find_descriptions
from pixi_scaffold.check.review import finding_lines, review, shown
from pixi_scaffold.check.stages import CheckRequest

__all__ = [
    "CheckFacts",
    "CheckRequest",
    "check",
    "find_descriptions",
    "finding_lines",
    "prove",
    "review",
    "shown",
]
