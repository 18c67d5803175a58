"""What a pool has of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli.commands import COMMANDS, SETTINGS
from pixi_scaffold.cli.session import session_of

app = typer.Typer(help=COMMANDS["site"], **SETTINGS)


@app.command()
def capture(
    file: Annotated[Path, typer.Argument(help="The site file to write.")] = Path("site.toml"),
) -> None:
    """Ask the pool of this machine for its attributes, commands, GPUs and limits.

    Run it on an access point. The file serves check --site on any machine.
    """
    from pixi_scaffold.check import capture_site
    from pixi_scaffold.system import expanded

    with session_of("site capture", as_json=False) as session:
        said = capture_site(expanded(file), session.progress)
        session.close()
        session.say(said)
