"""Send a job to an HTCondor pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli.options import Json
from pixi_scaffold.cli.session import session_of


def submit(
    description: Annotated[
        Path,
        typer.Argument(
            help="The submit description; NAME is htcondor/NAME.sub.", metavar="[FILE.sub]"
        ),
    ] = Path("htcondor") / "train.sub",
    append: Annotated[
        list[str] | None,
        typer.Option(
            "--append", "-a", metavar="NAME=VALUE", help="A command, as condor_submit -append."
        ),
    ] = None,
    queue: Annotated[
        str,
        typer.Option(help='In place of its queue statement: "lr from sweep.csv".', metavar="TEXT"),
    ] = "",
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Send it whatever the rules find.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show which jobs would be sent.")
    ] = False,
    schedd: Annotated[
        str, typer.Option(help="Another access point; files are spooled there.", metavar="NAME")
    ] = "",
    pool: Annotated[
        str, typer.Option(help="The collector that knows it.", metavar="COLLECTOR")
    ] = "",
    spool: Annotated[
        bool, typer.Option("--spool", help="Let the access point keep all files, until `fetch`.")
    ] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only the rows of a sweep that failed or are missing.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also the rows that are done and unchanged.")
    ] = False,
    go_on: Annotated[
        str,
        typer.Option(
            "--continue", help="Train finished or stopped jobs further.", metavar="CLUSTER[.PROC]"
        ),
    ] = "",
    more_arguments: Annotated[
        str,
        typer.Option(metavar="WORDS", help='Add to the job\'s arguments, such as "--epochs 40".'),
    ] = "",
    retry_memory: Annotated[
        str,
        typer.Option(
            metavar="MOST", help="Out of memory: try again with twice as much, up to this."
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Check a job and send it to the HTCondor pool.

    A receipt stays in runs/submitted; watch, fetch, stop and collect work from it.
    """
    from pixi_scaffold.pool import SubmitRequest, submit_jobs
    from pixi_scaffold.system import expanded

    with session_of("submit", as_json) as session:
        request = SubmitRequest(
            expanded(description),
            tuple(append or ()),
            queue,
            check=not no_check,
            dry_run=dry_run,
            schedd=schedd,
            pool=pool,
            spool=spool,
            again=again,
            failed=failed,
            go_on=go_on,
            more_arguments=more_arguments,
            retry_memory=retry_memory,
        )
        session.show(submit_jobs(request, session.progress))
