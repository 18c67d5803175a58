"""Print the plan of an update, and how projects stand."""

from __future__ import annotations

from typing import TextIO

from pixi_scaffold.report import Report, print_error, print_report, sayer
from pixi_scaffold.update.merge import Action
from pixi_scaffold.update.plan import Plan

_ACTIONS = {
    Action.NEW: "green",
    Action.UPDATED: "green",
    Action.MERGED: "cyan",
    Action.DELETED: "yellow",
    Action.YOURS: "",
    Action.CONFLICT: "bold red",
}
"""How each looks, in the order of the table: what needs a hand comes last."""


def print_plan(plan: Plan, stream: TextIO) -> None:
    """Print what an update would do: a line a file, those that need a hand last."""
    say = sayer(stream)
    same = plan.was == plan.to
    say("", "")
    say(f"new answers at {plan.to}" if same else f"template {plan.was} to {plan.to}", "bold")
    say("", "")
    order = list(_ACTIONS)
    width = max((len(change.path) for change in plan.changes), default=0)
    for change in sorted(plan.changes, key=lambda c: order.index(c.action)):
        line = f"  {change.action:<16}  {change.path:<{width}}  {change.note}"
        say(line.rstrip(), _ACTIONS[change.action])


def print_status(report: Report, stream: TextIO) -> None:
    """Print a line a project; of a single one, also the files that are not as the template's."""
    projects = report.to_dict().get("projects")
    if projects is None:
        print_report(report, stream)
        return
    say = sayer(stream)
    say("", "")
    titles = {"template": "template", "files": "files", "lock": "lock", "proof": "last proof"}
    rows = [{"name": "project", **titles}, *({"name": p["name"], **p["words"]} for p in projects)]
    widths = {key: max(len(row[key]) for row in rows) for key in rows[0]}
    for number, row in enumerate(rows):
        line = "  ".join(f"{row[key]:<{width}}" for key, width in widths.items())
        style = "bold" if number == 0 else "yellow" if projects[number - 1]["todo"] else "green"
        say(line.rstrip(), style)
    for project in projects:
        if "error" in project:
            say("", "")
            print_error(f"{project['name']}: {project['error']}", (), "", stream)
    if len(projects) == 1:
        own = [d for d in projects[0].get("drift", ()) if d["owner"] != "yours"]
        for item in own:
            say(f"  {item['owner']:<8} {item['state']:<8} {item['path']}", "")
        for problem in projects[0]["lock"]["problems"]:
            say(f"  lock: {problem}", "")
    if report.next_commands:
        say("", "")
        say("next", "bold")
        for command in report.next_commands:
            say(f"  {command}", "")
