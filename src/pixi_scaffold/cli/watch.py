"""Watch jobs on an HTCondor pool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from pixi_scaffold.cli.session import session_of


def watch(
    job: Annotated[
        str, typer.Argument(help="Of its receipt (default: the newest).", metavar="[CLUSTER]")
    ] = "",
    log: Annotated[
        Path | None, typer.Option(help="Follow this event log, of a job sent otherwise.")
    ] = None,
    until: Annotated[
        Literal["all", "done", "failed"],
        typer.Option("--exit", help="End when all jobs ended, or the first is done, or failed."),
    ] = "all",
    once: Annotated[bool, typer.Option("--once", help="Say how it stands now, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Say what jobs on the pool are doing, and why one is not running.

    Ctrl-C leaves the jobs alone.
    """
    from pixi_scaffold.pool import display_for, named_receipt, watch_cluster
    from pixi_scaffold.report import out_and_err

    with session_of("watch", as_json) as session:
        receipt = named_receipt(Path(), job, log)
        out, _ = out_and_err()
        display = display_for(out, as_json=as_json)
        report = watch_cluster(receipt, Path(), display, until=until, once=once)
        if not as_json:
            session.show(report)
            return
        session.say(json.dumps({"event": "END", **report.to_dict()}))
        if report.exit_code:
            raise typer.Exit(report.exit_code)
