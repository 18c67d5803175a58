"""Bring back what jobs on an HTCondor pool have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli.options import Json
from pixi_scaffold.cli.session import session_of


def fetch(
    job: Annotated[
        str, typer.Argument(help="Default: the newest.", metavar="[CLUSTER[.PROC]]")
    ] = "",
    as_json: Json = False,
) -> None:
    """Bring back the results of jobs, or what was kept of those that have not ended.

    Files here that are newer are left as they are.
    """
    from pixi_scaffold.pool import fetch_jobs, find_named

    with session_of("fetch", as_json) as session:
        receipt, proc = find_named(Path(), job)
        session.show(fetch_jobs(receipt, proc, session.progress))
