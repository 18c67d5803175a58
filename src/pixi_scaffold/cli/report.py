"""What is known of a project, and of this machine."""

from pathlib import Path

from typer import Argument, Option

from pixi_scaffold.cli import complete
from pixi_scaffold.cli.options import Json
from pixi_scaffold.cli.session import session_of
from pixi_scaffold.errors import UsageError


def report(
    folder: Path = Argument(
        Path(),
        help="The project, or with --all a folder of them.",
        autocompletion=complete.projects,
    ),
    every: bool = Option(False, "--all", help="One page of all projects in the folder."),
    output: Path | None = Option(
        None, "--output", "-o", metavar="FILE", help="The page (default: report.html there)."
    ),
    as_json: Json = False,
) -> None:
    """Write one HTML page that shows what a project's own records say.

    What is locked and what changed, what was proved, runs and their curves, a sweep, the
    rehearsal, jobs on a pool, findings. Nothing in it is loaded from elsewhere.
    """
    from pixi_scaffold.page import lab_page, project_page
    from pixi_scaffold.system import expanded, is_folder

    with session_of("report", as_json) as session:
        where, path = expanded(folder), None if output is None else expanded(output)
        if not is_folder(where):
            raise UsageError(f"there is no folder {where}", "name a project")
        if path is not None and is_folder(path):
            raise UsageError(f"{path} is a folder", f"name the file: -o {path / 'report.html'}")
        session.show((lab_page if every else project_page)(where, path, session.progress))


def doctor(
    folder: Path = Argument(Path(), help="The workspace, if there is one."),
    as_json: Json = False,
) -> None:
    """Say what this machine has of what a project needs, and what to do about the rest."""
    from pixi_scaffold.doctor import doctor as look
    from pixi_scaffold.system import expanded, is_folder

    with session_of("doctor", as_json) as session:
        if not is_folder(expanded(folder)):
            raise UsageError(f"there is no folder {folder}", "name a project, or none")
        session.show(look(expanded(folder), session.progress))
