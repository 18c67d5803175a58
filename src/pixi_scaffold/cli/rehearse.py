"""Rehearse a cluster job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixi_scaffold.cli.options import Append, Json, read_pair
from pixi_scaffold.cli.session import session_of
from pixi_scaffold.errors import UsageError

if TYPE_CHECKING:
    from pixi_scaffold.rehearsal import Submission


def rehearse(
    description: Annotated[
        Path,
        typer.Argument(
            help="The submit description, as given to condor_submit; NAME is htcondor/NAME.sub."
        ),
    ] = Path("htcondor") / "train.sub",
    assignments: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=VALUE", help="As given to condor_submit, too."),
    ] = None,
    append: Append = None,
    queue: Annotated[
        str,
        typer.Option(
            "--queue", "-queue", help="As for condor_submit, for a file without a queue statement."
        ),
    ] = "",
    proc: Annotated[
        int | None, typer.Option(help="Number of the job (default: the first).")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every job that the description queues.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="With --all: so many at a time.")] = 1,
    evict_after: Annotated[
        str | None,
        typer.Option(metavar="SECONDS|random", help="Throw the job off once, and let it go on."),
    ] = None,
    evict_hard: Annotated[
        bool, typer.Option("--evict-hard", help="Evict at once: no signal, no time to save.")
    ] = False,
    no_compare: Annotated[
        bool,
        typer.Option("--no-compare", help="Do not also run it uninterrupted to compare metrics."),
    ] = False,
    grace: Annotated[
        float | None,
        typer.Option(min=0, help="Most seconds that a machine gives the job to leave (600)."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Stop the job after so many seconds.")
    ] = None,
    network: Annotated[
        bool, typer.Option("--network", help="Let the job use the network (then Pixi is fetched).")
    ] = False,
    no_isolation: Annotated[
        bool, typer.Option("--no-isolation", help="Let it see all of this machine.")
    ] = False,
    env: Annotated[
        Path | None, typer.Option(help="Stage this installed environment for the worker script.")
    ] = None,
    show: Annotated[
        list[Path] | None,
        typer.Option(help="A folder that every worker has, too: the job may read it here."),
    ] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Add to the job's environment."),
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="URL=FILE", help="A file in place of an input at a URL."),
    ] = None,
    condor: Annotated[
        str,
        typer.Option(metavar="VERSION", help="HTCondor's release there (default: the one here)."),
    ] = "",
    more_arguments: Annotated[
        str, typer.Option(metavar="WORDS", help="Add to the job's arguments, to shorten it.")
    ] = "",
    scratch: Annotated[
        Path | None, typer.Option(help="Where to make the sandbox (default: TMPDIR or /var/tmp).")
    ] = None,
    shell: Annotated[
        bool, typer.Option("--shell", help="Open a shell where the job would run, as it sees it.")
    ] = False,
    sandbox: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Open the shell in this one, which --keep left."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the sandbox.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write right-sized requests into the description.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a cluster job here, as a worker would.

    What would go wrong on the pool is said, with what the job used of memory, disk and time.
    """
    from pixi_scaffold import rehearsal
    from pixi_scaffold.lock import environment_homes
    from pixi_scaffold.report import Silent
    from pixi_scaffold.system import expanded

    with session_of("rehearse", as_json) as session:
        if every and proc is not None:
            raise UsageError("--proc names one job, --all takes every one", "use one of them")
        if jobs > 1 and not every:
            raise UsageError(f"--jobs {jobs} is for all jobs", f"add --all: --all --jobs {jobs}")
        if shell and (every or evict_after is not None):
            raise UsageError("--shell is for one job", "leave out --all and --evict-after")
        if sandbox is not None and not shell:
            raise UsageError("--sandbox is for a shell", "add --shell")
        request = rehearsal.Request(
            shell=shell,
            sandbox=None if sandbox is None else expanded(sandbox),
            description=_named(expanded(description)),
            submission=_submission(assignments or [], append or [], queue),
            proc=proc,
            every=every,
            at_once=jobs,
            evict_after=evict_after,
            evict_hard=evict_hard,
            compare=not no_compare,
            network=network,
            isolate=not no_isolation,
            environment=env,
            homes=environment_homes,
            show=tuple(expanded(path) for path in show or []),
            variables=dict(read_pair("--set", pair) for pair in variables or []),
            condor=condor,
            more_arguments=more_arguments,
            stand_ins=dict(_stand_in(pair) for pair in inputs or []),
            limits=rehearsal.Limits(timeout, grace),
            scratch=scratch,
            keep=keep,
            fix=fix,
        )
        session.show(rehearsal.rehearse(request, Silent() if shell else session.progress))


def _named(description: Path) -> Path:
    """Return the file that is meant, as `submit` finds it."""
    short = Path("htcondor") / f"{description}.sub"
    return short if not description.exists() and short.is_file() else description


def _submission(assignments: list[str], append: list[str], queue: str) -> Submission:
    from pixi_scaffold.rehearsal import Submission

    before = tuple("=".join(read_pair("NAME=VALUE", one)) for one in assignments)
    return Submission(os.environ, seed=0, before=before, append=tuple(append), queue=queue)


def _stand_in(pair: str) -> tuple[str, Path]:
    """Return the URL and the file of --input; the URL may have a `=`, too."""
    from pixi_scaffold.system import expanded

    url, separator, name = pair.rpartition("=")
    path = expanded(Path(name)).absolute()
    if not separator or "://" not in url:
        raise UsageError(f"--input {pair}: no URL=FILE", "--input osdf:///a/b.tar=b.tar")
    if not path.exists():
        raise UsageError(f"--input {pair}: {name} is not there", "name a file of this machine")
    return url, path
