"""Look at this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli.options import Json
from pixi_scaffold.cli.session import session_of


def doctor(
    folder: Annotated[Path, typer.Argument(help="The workspace, if there is one.")] = Path(),
    as_json: Json = False,
) -> None:
    """Say what this machine has of what a project needs, and what to do about the rest."""
    from pixi_scaffold.doctor import doctor as look
    from pixi_scaffold.system import expanded

    with session_of("doctor", as_json) as session:
        session.show(look(expanded(folder), session.progress))
