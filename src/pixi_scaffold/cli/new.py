"""Make a project."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli.options import EngineOption, Json, Verbose, read_answers
from pixi_scaffold.cli.session import session_of
from pixi_scaffold.system import expanded


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
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Make a project and prove that it works.

    It is rendered, locked for every platform, installed here, trained for a few seconds, and its
    cluster job is rehearsed.
    """
    from pixi_scaffold.new import NewRequest
    from pixi_scaffold.new import new as make

    with session_of("new", as_json, verbose=verbose) as session:
        request = NewRequest(
            destination=_named(expanded(destination)),
            template=template,
            ref=vcs_ref,
            data=read_answers(data or [], data_file),
            ask=not (defaults or as_json) and sys.stdin.isatty() and sys.stdout.isatty(),
            channel=channel,
            engine=engine,
            check=not no_check,
            git=not no_git,
        )
        session.show(make(request, session.progress))


def _named(folder: Path) -> Path:
    """Return a folder with a name of its own, also for `.` and `..`."""
    return folder if folder.name not in ("", "..") else folder.resolve()
