"""Run a task without Pixi."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from typer import Argument, Option

from pixi_scaffold.cli import complete
from pixi_scaffold.cli.commands import SETTINGS
from pixi_scaffold.cli.session import session_of

if TYPE_CHECKING:
    from pixi_scaffold.report import Progress

# what stands behind the task is the task's, options too
_CONTEXT = {**SETTINGS["context_settings"], "allow_interspersed_args": False}
EXTRAS = {"run": {"context_settings": _CONTEXT}}


def run(
    args: list[str] | None = Argument(
        None,
        metavar="[TASK [ARGS]...]",
        help="A task and what it gets, or a command; without one: the tasks there are.",
        autocompletion=complete.tasks,
    ),
    environment: str | None = Option(
        None, "--environment", "-e", help="Where to run it.", autocompletion=complete.environments
    ),
    listed: bool = Option(False, "--list", help="Print the tasks and what they are for."),
    manifest_path: Path | None = Option(
        None, "--manifest-path", "-m", help="The workspace (default: here or above)."
    ),
    clean_env: bool = Option(False, "--clean-env", help="Keep only a few of your variables."),
    skip_deps: bool = Option(False, "--skip-deps", help="Leave out what the task depends on."),
    executable: bool = Option(
        False, "--executable", "-x", help="Run a command, not a task of that name."
    ),
    templated: bool = Option(False, "--templated", help="Fill in {{ ... }} in a command, too."),
    dry_run: bool = Option(False, "--dry-run", "-n", help="Only say what would run."),
    frozen: bool = Option(
        False, "--frozen", help="Take pixi.lock as it is, whether it fits or not."
    ),
) -> None:
    """Run a task of the workspace as `pixi run` does, where there is no Pixi.

    In Pixi's own shell, in the environment from pixi.lock, which is installed first where it is
    not; a name that is no task is a command. The exit code is the task's own.
    """
    from pixi_scaffold import tasks

    with session_of("run", as_json=False) as session:
        manifest = tasks.find_workspace(manifest_path)
        environment = environment or tasks.outer_environment(manifest)
        if listed or not args:
            session.say(*tasks.list_tasks(manifest, environment))
            return
        request = tasks.RunRequest(
            manifest, tuple(args), environment, clean_env, skip_deps, executable, templated,
            dry_run, frozen,
        )  # fmt: skip
        tell = partial(print, file=sys.stderr, flush=True)
        code = tasks.run_tasks(request, _installing, tell)
    if code:
        raise typer.Exit(code)


@contextmanager
def _installing() -> Iterator[Progress]:
    from pixi_scaffold.report import progress_for

    display = progress_for(sys.stderr, asks=False)
    try:
        display.start("install")
        yield display
    finally:
        display.close()
