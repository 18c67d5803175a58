"""The command line: parse, call, render. The only module that prints or exits."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from pixi_scaffold import __version__
from pixi_scaffold.errors import (
    EXIT_CHECK,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    Interrupted,
    ScaffoldError,
    UsageError,
)
from pixi_scaffold.report import SCHEMA_VERSION, Report
from pixi_scaffold.system import expanded

if TYPE_CHECKING:
    from pixi_scaffold.report import Progress
    from pixi_scaffold.update import Plan

app = typer.Typer(
    name="pixi-scaffold",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich for --help would cost more than the rest of it
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Start a PyTorch project for laptops, workstations and HTCondor, and prove that it works.",
)
channel_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The starter channel, for offline machines."
)
app.add_typer(channel_app, name="channel")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document; logs go to stderr.")]
EngineOption = Annotated[
    Literal["auto", "pixi", "rattler"],
    typer.Option(help="What locks: auto (Pixi when it is there), pixi or rattler."),
]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"pixi-scaffold {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def new(
    destination: Annotated[
        Path, typer.Argument(help="Folder to make; its name is the default project name.")
    ],
    template: Annotated[
        str | None,
        typer.Option(help="Another template: a git URL or a folder (default: the built-in one)."),
    ] = None,
    vcs_ref: Annotated[
        str | None, typer.Option(help="Tag, branch or commit of the template (default: newest).")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", metavar="QUESTION=VALUE", help="Answer a question."),
    ] = None,
    data_file: Annotated[
        Path | None, typer.Option(help="YAML file with answers; -d goes before it.")
    ] = None,
    defaults: Annotated[
        bool, typer.Option("--defaults", help="Do not ask: defaults for what -d does not answer.")
    ] = False,
    channel: Annotated[
        str | None,
        typer.Option(help="Conda channel: name, URL, folder, or `starter` (default: conda-forge)."),
    ] = None,
    engine: EngineOption = "auto",
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Only render: no lock, no environment, no training.")
    ] = False,
    no_git: Annotated[
        bool, typer.Option("--no-git", help="Do not make it a git repository.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a project and prove that it works.

    It is rendered, locked for every platform, installed here, trained for a few seconds, and its
    cluster job is rehearsed.
    """
    from pixi_scaffold.new import NewRequest
    from pixi_scaffold.new import new as make

    with _session("new", as_json) as session:
        request = NewRequest(
            destination=_named(expanded(destination)),
            template=template,
            ref=vcs_ref,
            data=_answers(data or [], data_file),
            ask=not (defaults or as_json) and sys.stdin.isatty() and sys.stdout.isatty(),
            channel=channel,
            engine=engine,
            check=not no_check,
            git=not no_git,
        )
        session.show(make(request, session.progress))


@app.command()
def lock(
    folder: Annotated[Path, typer.Argument(help="The workspace.")] = Path(),
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether pixi.lock is current (no network).")
    ] = False,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Take the newest versions, not those locked now.")
    ] = False,
    engine: EngineOption = "auto",
    as_json: Json = False,
) -> None:
    """Lock every platform of every environment of a workspace."""
    from pixi_scaffold.lock import check_lock, relock

    with _session("lock", as_json) as session:
        if check and upgrade:
            raise UsageError("--check only looks, --upgrade writes", "use one of them")
        session.show(
            check_lock(folder) if check else relock(folder, engine, upgrade, session.progress)
        )


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="The workspace.")] = Path(),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The archive (default: env.tar.gz there).")
    ] = None,
    platform: Annotated[
        str | None, typer.Option(help="Platform to pack (default: the first one for Linux).")
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

    with _session("pack", as_json) as session:
        session.show(make(folder, output, platform, lock_file, session.progress))


@app.command()
def rehearse(
    description: Annotated[
        Path, typer.Argument(help="The submit description, as given to condor_submit here.")
    ] = Path("htcondor") / "train.sub",
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
    more_arguments: Annotated[
        str, typer.Option(metavar="WORDS", help="Add to the job's arguments, to shorten it.")
    ] = "",
    scratch: Annotated[
        Path | None, typer.Option(help="Where to make the sandbox (default: TMPDIR or /var/tmp).")
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
    from pixi_scaffold.rehearsal import Limits, Request
    from pixi_scaffold.rehearsal import rehearse as run

    with _session("rehearse", as_json) as session:
        if every and proc is not None:
            raise UsageError("--proc names one job, --all takes every one", "use one of them")
        if jobs > 1 and not every:
            raise UsageError(f"--jobs {jobs} is for all jobs", f"add --all: --all --jobs {jobs}")
        request = Request(
            folder=Path(),
            description=expanded(description),
            proc=proc,
            every=every,
            at_once=jobs,
            evict_after=evict_after,
            evict_hard=evict_hard,
            compare=not no_compare,
            network=network,
            isolate=not no_isolation,
            environment=env,
            show=tuple(expanded(path) for path in show or []),
            variables=dict(_pair("--set", pair) for pair in variables or []),
            more_arguments=more_arguments,
            limits=Limits(timeout, grace),
            scratch=scratch,
            keep=keep,
            fix=fix,
        )
        session.show(run(request, session.progress))


@app.command()
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="A workspace, or submit files (default: here).")
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Also install here and run the task `smoke`.")
    ] = False,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Also --train, then rehearse the cluster job.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this stage and what it needs (repeat for more).", metavar="STAGE"),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(help="Leave this stage out (repeat for more).", metavar="STAGE"),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Correct what can be corrected safely in submit files.")
    ] = False,
    slots: Annotated[
        str | None,
        typer.Option(
            help="Where would it run? A file of `condor_status -long`, or `typical`.",
            metavar="FILE",
        ),
    ] = None,
    submit_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Folder where condor_submit is run (default: where the executable is found).",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Whatever was skipped counts as a failure.")
    ] = False,
    channel: Annotated[
        str | None, typer.Option(help="Prove it on another channel: URL, folder, or `starter`.")
    ] = None,
    engine: EngineOption = "auto",
    output: Annotated[
        Literal["text", "github", "sarif"],
        typer.Option("--format", help="text, GitHub's annotations, or SARIF."),
    ] = "text",
    as_json: Json = False,
) -> None:
    """Find what is wrong with a workspace or a job.

    Stages: manifest, lock, submit and worker (the rules on jobs and their scripts), slots (with
    --slots), install and train (with --train), rehearse (with --rehearse).
    """
    from pixi_scaffold.check import CheckRequest
    from pixi_scaffold.check import check as run

    with _session("check", as_json, output) as session:
        if channel is not None and not (train or rehearse):
            raise UsageError("--channel is for proving a project", "add: --train")
        if as_json and output != "text":
            raise UsageError(f"--json and --format {output} exclude each other", "use one of them")
        request = CheckRequest(
            tuple(expanded(p) for p in paths or [Path()]),
            train,
            rehearse,
            channel,
            engine,
            tuple(only or ()),
            tuple(skip or ()),
            None if submit_from is None else expanded(submit_from),
            slots,
            fix,
            strict,
        )
        session.show(run(request, session.progress))


@app.command()
def update(
    folder: Annotated[Path, typer.Argument(help="The project (--all: a folder of them).")] = Path(),
    to: Annotated[
        str | None, typer.Option(help="Version of the template (default: the newest release).")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", metavar="QUESTION=VALUE", help="Change an answer."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would happen to each file, and stop.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it is done.")] = False,
    resume: Annotated[
        bool, typer.Option("--continue", help="Go on when the conflicts are edited.")
    ] = False,
    undo: Annotated[bool, typer.Option("--abort", help="Undo the last update, all of it.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Update each project in FOLDER; needs --yes or --dry-run.")
    ] = False,
    engine: EngineOption = "auto",
    as_json: Json = False,
) -> None:
    """Bring a project to a newer template version.

    What would happen to each file is shown first; your changes stay.
    """
    from pixi_scaffold.update import Request, abort_update, continue_update, update_all
    from pixi_scaffold.update import update as run

    with _session("update", as_json) as session:
        if [resume, undo, every, dry_run].count(True) > 1 and not (every and dry_run):
            raise UsageError("--continue, --abort, --all and --dry-run are each for one thing", "")
        terminal = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
        where = expanded(folder)
        if undo:
            session.show(abort_update(where, session.progress))
        elif resume:
            session.show(continue_update(where, engine, session.progress))
        elif not (yes or dry_run or (terminal and not every)):
            raise UsageError("an update asks before it changes anything", "add --yes or --dry-run")
        else:
            answers = _answers(data or [], None)
            request = Request(where, to, answers, terminal and not yes, engine)
            if every:
                request = replace(request, ask=False)
                session.show(update_all(where, request, dry_run, session.progress))
            else:
                confirm = partial(session.confirm, dry_run=dry_run, yes=yes)
                session.show(run(request, confirm, session.progress))


@app.command()
def status(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Projects, or folders of them (default: this folder)."),
    ] = None,
    heal: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take one file back to what the template makes."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say how projects stand, or take one file back.

    A line a project: its template's version, drifted files, lock, last proof.
    """
    from pixi_scaffold.update import status_or_heal

    with _session("status", as_json) as session:
        where = [expanded(folder) for folder in folders or [Path()]]
        session.show(status_or_heal(where, heal, session.progress))


@channel_app.command("build")
def channel_build(
    folder: Annotated[
        Path | None, typer.Argument(help="Also put a copy there (default: only the cache).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Build the starter channel from this Python and pinned PyPI wheels."""
    from pixi_scaffold.starter import build_report

    with _session("channel build", as_json) as session:
        session.show(build_report(folder, session.progress))


class _Session:
    """One command's output: where progress goes and how its report is shown."""

    def __init__(self, command: str, as_json: bool, output: str = "text") -> None:
        from pixi_scaffold.report import out_and_err, progress_for

        self.command, self.as_json, self.output = command, as_json, output
        self.out, self.err = out_and_err()
        self.display = progress_for(self.err if as_json or output != "text" else self.out)

    @property
    def progress(self) -> Progress:
        return self.display

    def show(self, report: Report) -> None:
        from pixi_scaffold.report import print_report

        self.display.close()
        if self.as_json:
            sys.stdout.write(report.to_json())
        elif self.output != "text":
            sys.stdout.write(_annotated(report, self.output))
        elif report.command == "status":
            from pixi_scaffold.update import print_status

            print_status(report, self.out)
        else:
            print_report(report, self.out)
        sys.stdout.flush()
        if report.exit_code:
            raise typer.Exit(report.exit_code)

    def confirm(self, plan: Plan, *, dry_run: bool, yes: bool) -> bool:
        """Show what an update would do, and ask."""
        from pixi_scaffold.update import print_plan

        if not self.as_json:
            self.display.close()
            print_plan(plan, self.out)
        if dry_run or yes:
            return yes and not dry_run
        try:
            agreed = typer.confirm("\nGo on?", default=True)
        except typer.Abort as error:
            print()
            raise KeyboardInterrupt from error
        if not agreed:
            print("nothing was changed")
        return agreed

    def fail(self, code: int, message: str, hint: str) -> NoReturn:
        from pixi_scaffold.report import print_error

        self.display.close()
        first, *rest = message.splitlines() or [""]
        if self.as_json:
            error = {"message": message, "hint": hint}
            document = {"schema": SCHEMA_VERSION, "command": self.command, "ok": False}
            sys.stdout.write(json.dumps({**document, "exit_code": code, "error": error}) + "\n")
        else:
            print_error(f"error: {first}", tuple(rest), hint, self.err)
        raise typer.Exit(code)


@contextmanager
def _session(command: str, as_json: bool, output: str = "text") -> Iterator[_Session]:
    """Run a command's body; every way out of it has a message and a documented exit code."""
    session = _Session(command, as_json, output)
    try:
        yield session
    except ScaffoldError as error:
        session.fail(error.exit_code, error.message, error.hint)
    except Interrupted as stop:
        session.fail(EXIT_INTERRUPTED, stop.message, stop.hint)
    except KeyboardInterrupt:
        session.fail(EXIT_INTERRUPTED, "interrupted", "")
    except BrokenPipeError:  # `... | head`: whoever read has enough
        raise typer.Exit(EXIT_FAILED) from None
    except OSError as error:  # a full disk, a folder that vanished: the user's, not a bug
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        session.fail(EXIT_FAILED, what, "check the free space and who may write there")
    finally:
        session.display.close()


def _annotated(report: Report, output: str) -> str:
    """Return the report for continuous integration."""
    from pixi_scaffold.report import github, sarif
    from pixi_scaffold.rules import RULES

    if output == "github":
        return github(report)
    return sarif(report, [(rule.id, rule.title) for rule in RULES.values()])


def _named(folder: Path) -> Path:
    """Return a folder with a name of its own, also for `.` and `..`."""
    return folder if folder.name not in ("", "..") else folder.resolve()


def _answers(pairs: list[str], file: Path | None) -> dict[str, Any]:
    """Return the answers of -d and --data-file; raises UsageError when they cannot be read."""
    answers: dict[str, Any] = {}
    if file is not None:
        import yaml

        try:
            loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(
                f"cannot read the answers in {file}: {error}", "write lines as question: value"
            ) from error
        if loaded is None:
            loaded = {}  # an empty file
        if not isinstance(loaded, dict):
            raise UsageError(f"{file} is not a table of answers", "write lines as question: value")
        answers |= {str(k): v for k, v in loaded.items() if not str(k).startswith("_")}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"-d {pair}: not of the form question=value", "-d cuda_version=12.6")
        answers[key] = value
    return answers


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{option} {text}: no value", f"write: {option} {name or 'NAME'}=VALUE")
    return name, value


def _on_term(_signum: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main(run: Callable[[], Any] = app) -> NoReturn:
    """Run the command line and end; SIGTERM and SIGHUP end a command as cleanly as Ctrl-C."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):  # a log in ASCII must not stop the work
            stream.reconfigure(errors="backslashreplace")
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # SIGHUP: the terminal was closed; Windows has none
            signal.signal(getattr(signal, name), _on_term)
    code = EXIT_FAILED
    try:
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:  # before a command began
        code = EXIT_INTERRUPTED
    except OSError as error:  # stdout is full or gone: nothing more can be said there
        with contextlib.suppress(OSError):
            sys.stderr.write(f"error: cannot write the output: {error.strerror}\n")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or EXIT_FAILED
    # rattler's threads outlive a failed solve, and can crash the interpreter while it shuts down
    # (seen with 0.28: SIGSEGV or SIGABRT in 8 of 45 runs). Nothing is left to be done here.
    os._exit(code)


EXIT_CODES = {
    0: "all that ran passed",
    EXIT_FAILED: "the command could not do its work: something cannot be read, reached or written",
    2: "wrong usage: an option, an answer, a file or a folder that is not there; nothing was done",
    EXIT_CHECK: "a check failed",
    EXIT_INTERRUPTED: "interrupted (Ctrl-C or SIGTERM)",
}
