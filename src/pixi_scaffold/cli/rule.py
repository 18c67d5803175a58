"""Print the page of a rule."""

from __future__ import annotations

from typing import Annotated

import typer

from pixi_scaffold.cli import complete
from pixi_scaffold.cli.session import session_of
from pixi_scaffold.errors import UsageError


def rule(
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RULE...",
            help="Such as PS209 (default: a list).",
            autocompletion=complete.rules,
        ),
    ] = None,
) -> None:
    """Say what a rule of `check` finds, why it matters, and how to mend it.

    Without a rule: all of them, a line each.
    """
    from pixi_scaffold.rules import RULES

    with session_of("rule", as_json=False) as session:
        if not ids:
            session.say(*(f"{r.id}  {r.severity:<7}  {r.title}" for _, r in sorted(RULES.items())))
        for number, id_ in enumerate(ids or ()):
            page = RULES.get(id_.upper())
            if page is None:
                raise UsageError(f"there is no rule {id_}", "all of them: pixi-scaffold rule")
            title, _, body = page.page.partition("\n")
            head = f"{page.id} ({page.severity}): {title}"
            session.say(*([""] if number else []), head, *body.splitlines())
