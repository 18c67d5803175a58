"""The template that projects are made from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli.commands import COMMANDS, SETTINGS
from pixi_scaffold.cli.options import Json, Projects
from pixi_scaffold.cli.session import session_of

app = typer.Typer(help=COMMANDS["template"], **SETTINGS)


@app.command("move")
def move(
    url: Annotated[str, typer.Argument(help="Where the template is now.")],
    folders: Projects = None,
    as_json: Json = False,
) -> None:
    """Record another URL as the template of projects.

    The new place must have the version that each was made from.
    """
    from pixi_scaffold.system import expanded
    from pixi_scaffold.update import move_template

    with session_of("template move", as_json) as session:
        where = [expanded(folder) for folder in folders or [Path()]]
        session.show(move_template(url, where, session.progress))
