"""A project and other versions of its template: update, status, drift, a folder of projects."""

from pixi_scaffold.update.command import abort_update, continue_update, update
from pixi_scaffold.update.many import update_all
from pixi_scaffold.update.plan import Plan, Request
from pixi_scaffold.update.status import status_or_heal
from pixi_scaffold.update.text import print_plan, print_status

__all__ = [
    "Plan",
    "Request",
    "abort_update",
    "continue_update",
    "print_plan",
    "print_status",
    "status_or_heal",
    "update",
    "update_all",
]
