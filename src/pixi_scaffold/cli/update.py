"""Projects and the versions of their template."""

import sys
from functools import partial
from pathlib import Path

import typer
from typer import Argument, Option

from pixi_scaffold.cli import complete
from pixi_scaffold.cli.commands import COMMANDS, SETTINGS, CheckedCommand
from pixi_scaffold.cli.options import EngineOption, Json, Projects, read_answers
from pixi_scaffold.cli.session import session_of
from pixi_scaffold.errors import UsageError


def update(
    folder: Path = Argument(
        Path(), help="The project (--all: a folder of them).", autocompletion=complete.projects
    ),
    to: str | None = Option(None, help="Version of the template (default: the newest release)."),
    data: list[str] | None = Option(
        None, "--data", "-d", metavar="QUESTION=VALUE", help="Change an answer."
    ),
    dry_run: bool = Option(
        False, "--dry-run", help="Show what would happen to each file, and stop."
    ),
    yes: bool = Option(False, "--yes", "-y", help="Do not ask before it is done."),
    resume: bool = Option(False, "--continue", help="Go on when the conflicts are edited."),
    undo: bool = Option(False, "--abort", help="Undo the last update, all of it."),
    every: bool = Option(
        False,
        "--all",
        help="Each project in FOLDER; needs --yes, --dry-run, --continue or --abort.",
    ),
    push: bool = Option(False, "--push", help="Push the branch, and open a request (gh or glab)."),
    engine: EngineOption = "auto",
    as_json: Json = False,
) -> None:
    """Bring a project to a newer template version.

    What would happen to each file is shown first; your changes stay.
    """
    from pixi_scaffold.system import expanded
    from pixi_scaffold.update import (
        UpdateRequest,
        abort_all,
        abort_update,
        continue_all,
        continue_update,
        update_all,
    )
    from pixi_scaffold.update import update as run

    with session_of("update", as_json) as session:
        if [resume, undo, dry_run].count(True) > 1:
            raise UsageError("--continue, --abort and --dry-run are each for one thing", "")
        terminal = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
        where = expanded(folder)
        if undo:
            abort = abort_all if every else abort_update
            session.show(abort(where, session.progress))
        elif resume:
            go_on = continue_all if every else continue_update
            session.show(go_on(where, engine, session.progress))
        elif not (yes or dry_run or (terminal and not every)):
            raise UsageError("an update asks before it changes anything", "add --yes or --dry-run")
        else:
            answers = read_answers(data or [], None)
            ask = terminal and not yes and not every
            request = UpdateRequest(where, to, answers, ask, engine, look_only=dry_run, push=push)
            if every:
                session.show(update_all(where, request, dry_run, session.progress))
            else:
                confirm = partial(session.confirm, dry_run=dry_run, yes=yes)
                session.show(run(request, confirm, session.progress))


def status(
    folders: Projects = None,
    heal: Path | None = Option(
        None, metavar="FILE", help="Take one file back to what the template makes."
    ),
    as_json: Json = False,
) -> None:
    """Say how projects stand, or take one file back.

    A line a project: its template's version, drifted files, lock, last proof.
    """
    from pixi_scaffold.system import expanded
    from pixi_scaffold.update import status_or_heal

    with session_of("status", as_json) as session:
        where = [expanded(folder) for folder in folders or [Path()]]
        session.show(status_or_heal(where, heal, session.progress))


template = typer.Typer(help=COMMANDS["template"], **SETTINGS)


@template.command("move", cls=CheckedCommand)
def move(
    url: str = Argument(help="Where the template is now."),
    folders: Projects = None,
    as_json: Json = False,
) -> None:
    """Record another URL as the template of projects.

    The new place must have the version that each was made from.
    """
    from pixi_scaffold.system import expanded
    from pixi_scaffold.update import move_template

    with session_of("template move", as_json) as session:
        where = [expanded(folder) for folder in folders or [Path()]]
        session.show(move_template(url, where, session.progress))
