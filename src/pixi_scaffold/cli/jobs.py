"""Jobs on an HTCondor pool, from sending them to the table of their results."""

import json
from pathlib import Path
from typing import Literal

import typer
from typer import Argument, Option

from pixi_scaffold.cli.commands import COMMANDS, SETTINGS, CheckedCommand
from pixi_scaffold.cli.options import Append, Json
from pixi_scaffold.cli.session import session_of


def submit(
    description: Path = Argument(
        Path("htcondor") / "train.sub",
        help="The submit description; NAME is htcondor/NAME.sub.",
        metavar="[FILE.sub]",
    ),
    append: Append = None,
    queue: str = Option(
        "", help='In place of its queue statement: "lr from sweep.csv".', metavar="TEXT"
    ),
    no_check: bool = Option(False, "--no-check", help="Send it whatever the rules find."),
    dry_run: bool = Option(False, "--dry-run", help="Only show which jobs would be sent."),
    schedd: str = Option("", help="Another access point; files are spooled there.", metavar="NAME"),
    pool: str = Option("", help="The collector that knows it.", metavar="COLLECTOR"),
    spool: bool = Option(
        False, "--spool", help="Let the access point keep all files, until `fetch`."
    ),
    failed: bool = Option(
        False, "--failed", help="Only the rows of a sweep that failed or are missing."
    ),
    again: bool = Option(False, "--again", help="Also the rows that are done and unchanged."),
    go_on: str = Option(
        "", "--continue", help="Train finished or stopped jobs further.", metavar="CLUSTER[.PROC]"
    ),
    more_arguments: str = Option(
        "", metavar="WORDS", help='Add to the job\'s arguments, such as "--epochs 40".'
    ),
    retry_memory: str = Option(
        "", metavar="MOST", help="Out of memory: try again with twice as much, up to this."
    ),
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


def watch(
    job: str = Argument("", help="Of its receipt (default: the newest).", metavar="[CLUSTER]"),
    log: Path | None = Option(None, help="Follow this event log, of a job sent otherwise."),
    until: Literal["all", "done", "failed"] = Option(
        "all", "--exit", help="End when all jobs ended, or the first is done, or failed."
    ),
    once: bool = Option(False, "--once", help="Say how it stands now, and end."),
    as_json: bool = Option(False, "--json", help="Print one JSON object a line."),
) -> None:
    """Say what jobs on the pool are doing, and why one is not running.

    Ctrl-C leaves the jobs alone.
    """
    from pixi_scaffold.pool import display_for, named_receipt, watch_cluster

    with session_of("watch", as_json) as session:
        receipt = named_receipt(Path(), job, log)
        display = display_for(session.out, as_json=as_json)
        report = watch_cluster(receipt, Path(), display, until=until, once=once)
        if not as_json:
            session.show(report)
            return
        session.say(json.dumps({"event": "END", **report.to_dict()}))
        if report.exit_code:
            raise typer.Exit(report.exit_code)


def fetch(
    job: str = Argument("", help="Default: the newest.", metavar="[CLUSTER[.PROC]]"),
    as_json: Json = False,
) -> None:
    """Bring back the results of jobs, or what was kept of those that have not ended.

    Files here that are newer are left as they are.
    """
    from pixi_scaffold.pool import fetch_jobs, find_named

    with session_of("fetch", as_json) as session:
        receipt, proc = find_named(Path(), job)
        session.show(fetch_jobs(receipt, proc, session.progress))


def stop(
    job: str = Argument(metavar="CLUSTER[.PROC]"),
    timeout: float = Option(900, min=1, help="Seconds to wait for the jobs to save."),
    as_json: Json = False,
) -> None:
    """Let jobs save, bring back what they have, and take them out of the queue.

    condor_rm loses what was not handed over. `submit --continue` trains a stopped job further.
    """
    from pixi_scaffold.pool import find_named, stop_jobs

    with session_of("stop", as_json) as session:
        receipt, proc = find_named(Path(), job)
        session.show(stop_jobs(receipt, proc, session.progress, timeout=timeout))


def collect(
    cluster: str = Argument(
        "", help="Default: every submission of the newest one's file.", metavar="[CLUSTER]"
    ),
    output: Path = Option(
        Path("runs") / "collected", help="Name of the files, without an ending.", metavar="NAME"
    ),
    as_json: Json = False,
) -> None:
    """Write one table (CSV, and Parquet where pyarrow is) and one picture of a sweep's runs."""
    from pixi_scaffold.pool import collect_runs

    with session_of("collect", as_json) as session:
        session.show(collect_runs(cluster, output, session.progress))


site = typer.Typer(help=COMMANDS["site"], **SETTINGS)


@site.command("capture", cls=CheckedCommand)
def capture(
    file: Path = Argument(Path("site.toml"), help="The site file to write."),
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
