"""A project and other versions of its template: update, status, drift, a folder of projects."""

from pixi_scaffold.update.command import abort_update, update
from pixi_scaffold.update.many import abort_all, continue_all, update_all
from pixi_scaffold.update.move import move_template
from pixi_scaffold.update.plan import Plan, UpdateRequest
from pixi_scaffold.update.resume import continue_update
from pixi_scaffold.update.status import StatusFacts, status_or_heal
from pixi_scaffold.update.text import print_details, print_plan, print_status
