"""Lock a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli.options import EngineOption, Json
from pixi_scaffold.cli.session import session_of
from pixi_scaffold.errors import UsageError


def lock(
    folder: Annotated[Path, typer.Argument(help="The workspace.")] = Path(),
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether pixi.lock is current (no network).")
    ] = False,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Take the newest versions, not those locked now.")
    ] = False,
    engine: EngineOption = "auto",
    merge: Annotated[
        tuple[Path, Path, str] | None,
        typer.Option(
            "--merge",
            metavar="OURS THEIRS NAME",
            help="Be git's merge driver for pixi.lock: --merge %A %B %P",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Lock every platform of every environment of a workspace.

    A pixi.lock with a merge conflict keeps what both sides agree on.
    """
    from pixi_scaffold.lock import check_lock, merge_driver, relock

    with session_of("lock", as_json) as session:
        if check and upgrade:
            raise UsageError("--check only looks, --upgrade writes", "use one of them")
        if merge is not None:
            session.show(merge_driver(*merge))
            return
        session.show(
            check_lock(folder) if check else relock(folder, engine, upgrade, session.progress)
        )
