"""Print the plan of an update, and how projects stand."""

import difflib
from collections.abc import Iterator, Sequence
from typing import TextIO

from pixi_scaffold.report import print_error, sayer
from pixi_scaffold.update.drift import Owner
from pixi_scaffold.update.merge import Action, Change
from pixi_scaffold.update.plan import Plan
from pixi_scaffold.update.status import Standing

_ACTIONS = {
    Action.NEW: "green",
    Action.UPDATED: "green",
    Action.MERGED: "cyan",
    Action.DELETED: "yellow",
    Action.YOURS: "",
    Action.CONFLICT: "bold red",
}
"""How each looks, in the order of the table: what is left to do comes last."""


def print_plan(plan: Plan, stream: TextIO) -> None:
    """Print what an update would do: a line a file, those with something left to do last."""
    say = sayer(stream)
    same = plan.was == plan.to
    say("", "")
    say(f"new answers at {plan.to}" if same else f"template {plan.was} to {plan.to}", "bold")
    say("", "")
    for answer in plan.answers:
        was, now = answer.was, answer.now
        words = {"added": f"{now}", "dropped": f"{was}"}.get(answer.action, f"{was} -> {now}")
        say(f"  answer {answer.action:<9}  {answer.name}: {words}", "cyan")
    order = list(_ACTIONS)
    width = max((len(change.path) for change in plan.changes), default=0)
    for change in sorted(plan.changes, key=lambda c: order.index(c.action)):
        line = f"  {change.action:<16}  {change.path:<{width}}  {change.note}"
        say(line.rstrip(), _ACTIONS[change.action])


def print_details(plan: Plan, stream: TextIO) -> None:
    """Print what the template says of the versions in between, and every change line by line."""
    say = sayer(stream)
    if news := plan.news():
        say("", "")
        say(f"what the template says of {plan.was} to {plan.to}", "bold")
        for line in news.splitlines():
            say(f"  {line}", "")
    for change in plan.changes:
        if not change.writes or change.before == change.file:
            continue
        say("", "")
        for line in _diff(change):
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            say(line, "bold" if line[:3] in ("+++", "---") else style)


def _diff(change: Change) -> Iterator[str]:
    old, new = change.before, change.file
    if any(file is not None and not file.is_text for file in (old, new)):
        yield f"--- {change.path}: not text, so not shown"
        return
    was, now = (
        [] if file is None else file.content.decode(errors="replace").splitlines()
        for file in (old, new)
    )
    names = (f"a/{change.path}", f"b/{change.path}")
    yield from difflib.unified_diff(was, now, *names, lineterm="")


def print_status(standings: Sequence[Standing], todo: Sequence[str], stream: TextIO) -> None:
    """Print a line a project; of a single one, also the files that are not as the template's.

    todo: the commands to type next.
    """
    say = sayer(stream)
    say("", "")
    titles = {"template": "template", "files": "files", "lock": "lock", "proof": "last proof"}
    rows = [{"name": "project", **titles}, *({"name": s.name, **s.words} for s in standings)]
    widths = {key: max(len(row[key]) for row in rows) for key in rows[0]}
    for number, row in enumerate(rows):
        line = "  ".join(f"{row[key]:<{width}}" for key, width in widths.items())
        style = "bold" if number == 0 else "yellow" if standings[number - 1].todo else "green"
        say(line.rstrip(), style)
    for one in standings:
        for note in one.notes:
            say(f"  {one.name}: {note}", "yellow")
    for one in standings:
        if one.error:
            say("", "")
            print_error(f"{one.name}: {one.error}", (), "", stream)
    if len(standings) == 1:
        for item in standings[0].drift:
            if item.owner is not Owner.YOURS:
                say(f"  {item.owner:<8} {item.state:<8} {item.path}", "")
        for problem in standings[0].problems:
            say(f"  lock: {problem}", "")
    if todo:
        say("", "")
        say("next", "bold")
        for command in todo:
            say(f"  {command}", "")
