"""Make a project, or bring the scaffold to one that is there."""

import sys
from functools import partial
from pathlib import Path

import typer
from typer import Argument, Option

from pixi_scaffold.cli.options import (
    Answers,
    EngineOption,
    Json,
    TemplateOption,
    VcsRef,
    Verbose,
    read_answers,
)
from pixi_scaffold.cli.session import session_of
from pixi_scaffold.errors import Interrupted, UsageError


def new(
    destination: Path | None = Argument(
        None, help="Folder to make (on a terminal, asked where left out)."
    ),
    template: TemplateOption = None,
    vcs_ref: VcsRef = None,
    data: Answers = None,
    data_file: Path | None = Option(None, help="YAML file with answers; -d goes before it."),
    defaults: bool = Option(
        False, "--defaults", help="Do not ask: defaults for what -d does not answer."
    ),
    channel: str | None = Option(
        None, help="Conda channel: name, URL, folder, or `starter` (default: conda-forge)."
    ),
    engine: EngineOption = "auto",
    no_check: bool = Option(
        False, "--no-check", help="Only render: no lock, no environment, no training."
    ),
    no_git: bool = Option(False, "--no-git", help="Do not make it a git repository."),
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Make a project and prove that it works.

    It is rendered, locked for every platform, installed here, trained for a few seconds, and its
    cluster job is rehearsed.
    """
    from pixi_scaffold.new import NewRequest
    from pixi_scaffold.new import new as make
    from pixi_scaffold.system import expanded

    with session_of("new", as_json, verbose=verbose, asks=not defaults) as session:
        asks = not (defaults or as_json) and sys.stdin.isatty() and sys.stdout.isatty()
        if asks:
            place = "a folder" if destination is None else destination
            session.say(
                f"This makes a PyTorch project in {place} and proves it on this machine.",
                "Enter takes the default. Ctrl-C is safe: nothing is made before you agree.",
            )
        folder = expanded(destination or _asked_name(asks))
        folder = folder if folder.name not in ("", "..") else folder.resolve()  # `.`, `..`
        request = NewRequest(
            destination=folder,
            template=template,
            ref=vcs_ref,
            data=read_answers(data or [], data_file),
            ask=asks,
            confirm=partial(session.confirm_answers, folder) if asks else None,
            channel=channel,
            engine=engine,
            check=not no_check,
            git=not no_git,
        )
        session.show(make(request, session.progress))


def _asked_name(asks: bool) -> Path:
    """Ask for the folder; raises UsageError where nobody can be asked."""
    from pixi_scaffold.system import program

    if not asks:
        raise UsageError("the project needs a name", f"{program()} new myproject")
    try:
        return Path(typer.prompt("Name of the project", default="my-project"))
    except typer.Abort as error:
        print()  # behind the ^C
        raise Interrupted("nothing was made", "") from error


def adopt(
    folder: Path = Argument(Path(), help="The project, in a git repository."),
    sources: list[Path] | None = Option(
        None,
        "--from",
        metavar="FILE",
        help="What it needs: an environment.yml, a requirements.txt or a pyproject.toml "
        "(default: those that are there).",
    ),
    branch: str = Option("pixi-scaffold-adopt", help="The new branch that everything goes to."),
    template: TemplateOption = None,
    vcs_ref: VcsRef = None,
    data: Answers = None,
    dry_run: bool = Option(False, "--dry-run", help="Only say what would be brought."),
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Bring the scaffold to an existing project, on a branch of its own.

    Its packages go into pixi.toml, PyTorch from other channels or pip becomes conda-forge's. No
    file that is there is changed; what was left out and what is left to do by hand is listed.
    """
    from pixi_scaffold.adopt import AdoptRequest
    from pixi_scaffold.adopt import adopt as bring

    with session_of("adopt", as_json, verbose=verbose) as session:
        answers = read_answers(data or [], None)
        request = AdoptRequest(
            folder, tuple(sources or ()), branch, template, vcs_ref, answers, dry_run
        )
        session.show(bring(request, session.progress))
