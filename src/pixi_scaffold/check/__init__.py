"""The stages that prove a project, and the jobs in it: where the two halves of the tool meet."""

from pixi_scaffold.check.capture import capture_site
from pixi_scaffold.check.command import CheckFacts, check, prove
from pixi_scaffold.check.find import find_descriptions
from pixi_scaffold.check.kept import kept_by_git
from pixi_scaffold.check.review import review
from pixi_scaffold.check.stages import CheckRequest
from pixi_scaffold.check.tell import finding_lines, shown
