"""Say how projects stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli.options import Json, Projects
from pixi_scaffold.cli.session import session_of


def status(
    folders: Projects = None,
    heal: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take one file back to what the template makes."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how projects stand, or take one file back.

    A line a project: its template's version, drifted files, lock, last proof.
    """
    from pixi_scaffold.system import expanded
    from pixi_scaffold.update import status_or_heal

    with session_of("status", as_json) as session:
        where = [expanded(folder) for folder in folders or [Path()]]
        session.show(status_or_heal(where, heal, session.progress))
