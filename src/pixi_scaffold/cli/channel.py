"""The starter channel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli.commands import COMMANDS, SETTINGS
from pixi_scaffold.cli.options import Json
from pixi_scaffold.cli.session import session_of

app = typer.Typer(help=COMMANDS["channel"], **SETTINGS)


@app.command("build")
def build(
    folder: Annotated[
        Path | None, typer.Argument(help="Also put a copy there (default: only the cache).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Build the starter channel from this Python and pinned PyPI wheels."""
    from pixi_scaffold.starter import build_report

    with session_of("channel build", as_json) as session:
        session.show(build_report(folder, session.progress))
