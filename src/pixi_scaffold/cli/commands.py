"""The commands by name; each is loaded when it is wanted, so that `--help` loads none of them."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

from pixi_scaffold.cli.examples import epilog

SETTINGS: dict[str, Any] = {
    "no_args_is_help": True,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,  # importing rich for --help would cost more than the rest of it
    "context_settings": {"help_option_names": ["-h", "--help"]},
}
"""Of the program and of each of its commands."""
COMMANDS = {
    "new": "Make a project and prove that it works.",
    "adopt": "Bring the scaffold to an existing project, on a branch of its own.",
    "lock": "Lock every platform of every environment of a workspace.",
    "pack": "Pack the locked environment for a job to take along.",
    "rehearse": "Run a cluster job here, as a worker would.",
    "check": "Find what is wrong with a workspace or a job.",
    "rule": "Say what a rule of `check` finds, why it matters, and how to mend it.",
    "submit": "Check a job and send it to the HTCondor pool.",
    "watch": "Say what jobs on the pool are doing, and why one is not running.",
    "fetch": "Bring back the results of jobs, or what was kept of those that have not ended.",
    "stop": "Let jobs save, bring back what they have, and take them out of the queue.",
    "collect": (
        "Write one table (CSV, and Parquet where pyarrow is) and one picture of a sweep's runs."
    ),
    "update": "Bring a project to a newer template version.",
    "status": "Say how projects stand, or take one file back.",
    "report": "Write one HTML page that shows what a project's own records say.",
    "doctor": "Say what this machine has of what a project needs, and what to do about the rest.",
    "run": "Run a task of the workspace as `pixi run` does, where there is no Pixi.",
    "channel": "The starter channel, for offline machines.",
    "template": "Where the template of projects lives.",
    "site": "What a pool has of its own, for check --site.",
}
"""The first line of each one's help. It is NAME in cli/NAME.py, or a group, `app`."""


def load(name: str) -> Any:
    """Return a command, with what its module says of it in SETTINGS."""
    module = importlib.import_module(f"pixi_scaffold.cli.{name}")
    one = getattr(module, "app", None)
    if one is None:
        one = typer.Typer(add_completion=False, **SETTINGS)
        more = getattr(module, "SETTINGS", {})
        one.command(name, epilog=epilog(name), **more)(getattr(module, name))
        return typer.main.get_command(one)
    group = typer.main.get_group(one)
    group.name = name
    return group


class Commands(TyperGroup):
    """The program: it knows the names of its commands, and loads the one that is named."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # what a misspelt name is compared with
        self.commands: dict[str, Any] = dict.fromkeys(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return the command of that name, or None."""
        return load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
