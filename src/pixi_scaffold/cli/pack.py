"""Pack an environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli import complete
from pixi_scaffold.cli.options import Json, Workspace
from pixi_scaffold.cli.session import session_of


def pack(
    folder: Workspace = Path(),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The archive (default: env.tar.gz there).")
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(
            help="Platform to pack (default: the first one for Linux).",
            autocompletion=complete.platforms,
        ),
    ] = None,
    lock_file: Annotated[
        Path | None,
        typer.Option("--lock", help="Another lock file, such as .pixi/starter/pixi.lock."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Pack the locked environment for a job to take along.

    One platform, one archive; the same lock gives the same bytes.
    """
    from pixi_scaffold.environment import pack as make

    with session_of("pack", as_json) as session:
        session.show(make(folder, output, platform, lock_file, session.progress))
