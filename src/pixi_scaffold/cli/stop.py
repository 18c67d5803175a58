"""Stop jobs on an HTCondor pool without losing what they have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli.options import Json
from pixi_scaffold.cli.session import session_of


def stop(
    job: Annotated[str, typer.Argument(metavar="CLUSTER[.PROC]")],
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for the jobs to save.")
    ] = 900,
    as_json: Json = False,
) -> None:
    """Let jobs save, bring back what they have, and take them out of the queue.

    condor_rm loses what was not handed over. `submit --continue` trains a stopped job further.
    """
    from pixi_scaffold.pool import find_named, stop_jobs

    with session_of("stop", as_json) as session:
        receipt, proc = find_named(Path(), job)
        session.show(stop_jobs(receipt, proc, session.progress, timeout=timeout))
