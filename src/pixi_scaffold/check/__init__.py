"""Where the two halves meet: the stages that prove a project, loaded when asked for, and jobs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pixi_scaffold.check.find import find_descriptions
from pixi_scaffold.check.kept import kept_by_git
from pixi_scaffold.check.review import review
from pixi_scaffold.check.tell import finding_lines, shown

if TYPE_CHECKING:
    from pixi_scaffold.check.capture import capture_site
    from pixi_scaffold.check.command import CheckFacts, check, prove
    from pixi_scaffold.check.stages import CheckRequest

_HOMES = {"CheckFacts": "command", "CheckRequest": "stages", "capture_site": "capture",
          "check": "command", "prove": "command"}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
