"""Rehearse a cluster job."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from typer import Argument, Option

from pixi_scaffold.cli.options import Append, Json, read_pair
from pixi_scaffold.cli.session import session_of
from pixi_scaffold.errors import UsageError

if TYPE_CHECKING:
    from pixi_scaffold.rehearsal import Submission


def rehearse(
    description: Path = Argument(
        Path("htcondor") / "train.sub",
        help="The submit description, as given to condor_submit; NAME is htcondor/NAME.sub.",
    ),
    assignments: list[str] | None = Argument(
        None, metavar="NAME=VALUE", help="As given to condor_submit, too."
    ),
    append: Append = None,
    queue: str = Option(
        "", "--queue", "-queue", help="As for condor_submit, for a file without a queue statement."
    ),
    proc: int | None = Option(None, help="Number of the job (default: the first)."),
    every: bool = Option(False, "--all", help="Every job that the description queues."),
    jobs: int = Option(1, min=1, help="With --all: so many at a time."),
    evict_after: str | None = Option(
        None, metavar="SECONDS|random", help="Throw the job off once, and let it go on."
    ),
    evict_hard: bool = Option(
        False, "--evict-hard", help="Evict at once: no signal, no time to save."
    ),
    no_compare: bool = Option(
        False, "--no-compare", help="Do not also run it uninterrupted to compare metrics."
    ),
    grace: float | None = Option(
        None, min=0, help="Most seconds that a machine gives the job to leave (600)."
    ),
    timeout: float | None = Option(None, min=0, help="Stop the job after so many seconds."),
    network: bool = Option(
        False, "--network", help="Let the job use the network (then Pixi is fetched)."
    ),
    no_isolation: bool = Option(False, "--no-isolation", help="Let it see all of this machine."),
    env: Path | None = Option(None, help="Stage this installed environment for the worker script."),
    show: list[Path] | None = Option(
        None, help="A folder that every worker has, too: the job may read it here."
    ),
    variables: list[str] | None = Option(
        None, "--set", metavar="NAME=VALUE", help="Add to the job's environment."
    ),
    inputs: list[str] | None = Option(
        None, "--input", metavar="URL=FILE", help="A file in place of an input at a URL."
    ),
    condor: str = Option(
        "", metavar="VERSION", help="HTCondor's release there (default: the one here)."
    ),
    more_arguments: str = Option(
        "", metavar="WORDS", help="Add to the job's arguments, to shorten it."
    ),
    scratch: Path | None = Option(
        None, help="Where to make the sandbox (default: TMPDIR or /var/tmp)."
    ),
    shell: bool = Option(
        False, "--shell", help="Open a shell where the job would run, as it sees it."
    ),
    sandbox: Path | None = Option(
        None, metavar="FOLDER", help="Open the shell in this one, which --keep left."
    ),
    keep: bool = Option(False, "--keep", help="Keep the sandbox."),
    fix: bool = Option(False, "--fix", help="Write right-sized requests into the description."),
    as_json: Json = False,
) -> None:
    """Run a cluster job here, as a worker would.

    What would go wrong on the pool is said, with what the job used of memory, disk and time.
    """
    from pixi_scaffold import rehearsal
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
            homes=_homes,
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


def _homes(root: Path) -> tuple[Path, Path]:
    from pixi_scaffold.lock import environment_homes  # it reads Pixi's settings: when asked for

    return environment_homes(root)


def _named(description: Path) -> Path:
    """Return the file that is meant, as `submit` finds it; raises UsageError for a DAG."""
    if description.suffix == ".dag" and description.is_file():
        raise _for_its_nodes(description)
    short = Path("htcondor") / f"{description}.sub"
    return short if not description.exists() and short.is_file() else description


def _for_its_nodes(path: Path) -> UsageError:
    """Return what to type in place of rehearsing a DAG: a command for each of its nodes."""
    from pixi_scaffold.check import read_dag
    from pixi_scaffold.report import in_folder
    from pixi_scaffold.system import program

    try:
        nodes = read_dag(path)
    except OSError as error:
        return UsageError(f"cannot read {path}: {error.strerror}", f"{program()} check {path}")
    lines = []
    for node in nodes:
        if node.path == node.dag:
            lines.append(f"{node.name} is described in the DAG itself: write that into a file")
            continue
        given = [shlex.join(one.replace(" = ", "=", 1) for one in node.before)]
        given += [f"--append {shlex.quote(one)}" for one in node.append]
        named = shlex.quote(os.path.relpath(node.path, node.folder))
        lines.append(in_folder(node.folder, f"{program()} rehearse {named} {' '.join(given)}"))
    told = "is for DAGMan; its nodes are rehearsed one by one, each where its inputs are:"
    return UsageError("\n".join([f"{path} {told}", *lines]), f"{program()} check {path}")


def _submission(assignments: list[str], append: list[str], queue: str) -> "Submission":
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
