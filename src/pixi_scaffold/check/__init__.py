"""Where the two halves meet: the stages that prove a project, loaded when asked for, and jobs."""

from typing import TYPE_CHECKING

from pixi_scaffold.check.dag import read_dag
from pixi_scaffold.check.find import find_descriptions
from pixi_scaffold.check.kept import kept_by_git
from pixi_scaffold.check.review import review
from pixi_scaffold.check.tell import finding_lines, shown
from pixi_scaffold.system import loader

if TYPE_CHECKING:
    from pixi_scaffold.check.capture import capture_site
    from pixi_scaffold.check.command import CheckFacts, check, prove
    from pixi_scaffold.check.stages import CheckRequest

__getattr__ = loader(__name__, {
    "capture": ("capture_site",), "command": ("CheckFacts", "check", "prove"),
    "stages": ("CheckRequest",),
})  # fmt: skip
