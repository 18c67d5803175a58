"""The commands by name; each is loaded when it is wanted, so that `--help` loads none of them."""

import importlib
import shutil
from types import ModuleType
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

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
"""The first line of each one's help."""
_MODULES = {
    "check": ("check", "rule"),
    "jobs": ("submit", "watch", "fetch", "stop", "collect", "site"),
    "lock": ("lock", "pack", "channel"),
    "new": ("new", "adopt"),
    "rehearse": ("rehearse",),
    "report": ("report", "doctor"),
    "run": ("run",),
    "update": ("update", "status", "template"),
}
"""Where each one is: a function, or a Typer with further commands."""
DOCUMENTATION = "https://github.com/pixi-scaffold/pixi-scaffold/tree/main/docs"

_EXAMPLES = {
    "": (
        ("new myproject", "make a project and prove it"),
        ("new myproject --defaults", "the same, without a question"),
        ("check", "what is wrong with it?"),
        ("rehearse", "run its cluster job here"),
        ("doctor", "what this machine lacks"),
    ),
    "new": (
        ("new myproject", "asks first, then makes it"),
        ("new .", "into a fresh clone"),
        ("new mine -d example=none", "without the example network"),
        ("new mine -d layout=package", "code in src/, as a package"),
        ("new mine -d site=chtc --defaults", "for CHTC, no questions"),
    ),
    "lock": (
        ("lock", "write pixi.lock for all platforms"),
        ("lock --check", "does it still serve pixi.toml?"),
    ),
    "pack": (("pack", "write env.tar.gz from pixi.lock"),),
    "rehearse": (
        ("rehearse", "the job of htcondor/train.sub"),
        ("rehearse --evict-after random", "throw it off once"),
        ("rehearse --all --jobs 4", "a sweep, four jobs at a time"),
        ("rehearse other.sub lr=0.1", "what condor_submit takes, too"),
    ),
    "check": (
        ("check", "the workspace and its jobs"),
        ("check job.sub", "one submit description"),
        ("check --train", "also install here, and train for seconds"),
        ("check --fix", "correct what can be corrected safely"),
    ),
    "update": (
        ("update --dry-run", "what would change?"),
        ("update", "shows it, asks, then does it"),
        ("update -d site=chtc", "another answer to a question"),
        ("update --abort", "undo the last update"),
    ),
    "run": (("run train --epochs 20", "as pixi run does, without Pixi"),),
    "status": (
        ("status", "this project"),
        ("status ~/projects", "each project in a folder"),
    ),
}


def home_of(name: str) -> ModuleType:
    """Return the module that a command is in."""
    home = next(module for module, names in _MODULES.items() if name in names)
    return importlib.import_module(f"pixi_scaffold.cli.{home}")


def load(name: str) -> Any:
    """Return a command, with what its module says of it in EXTRAS."""
    home = home_of(name)
    one = getattr(home, name)
    if isinstance(one, typer.Typer):
        group = typer.main.get_group(one)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, **SETTINGS)
    settings = {"cls": CheckedCommand, **getattr(home, "EXTRAS", {}).get(name, {})}
    alone.command(name, epilog=epilog(name), **settings)(one)
    return typer.main.get_command(alone)


def epilog(command: str = "") -> str:
    """Return the end of the help of a command; of the program where none is named."""
    rows = _EXAMPLES.get(command, ())
    width = max((len(words) for words, _ in rows), default=0)
    width, gap = (width, "  ") if width + 46 <= _columns() else (0, "\n    ")
    lines = [f"  pixi-scaffold {words:<{width}}{gap}{why}" for words, why in rows]
    examples = "\n".join(("\b", "Examples:", *lines)) if lines else ""
    where = f"\b\nDocumentation: {DOCUMENTATION}"
    return "\n\n".join(filter(None, (examples, where)))


def _columns() -> int:
    """Return how wide a help text is; Click's own would have no fewer than 50 columns."""
    return max(min(shutil.get_terminal_size().columns, 80) - 2, 20)


class Fitting:
    """A command whose help text fits a narrow terminal."""

    def get_help(self, ctx: Any) -> str:
        """Return it, with room for what its lists say."""
        base, ctx.terminal_width = ctx.formatter_class, _columns()
        widest = max(_columns() - 48, 12)

        def write_dl(self: Any, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
            base.write_dl(self, rows, min(col_max, widest), col_spacing)

        ctx.formatter_class = type("Formatter", (base,), {"write_dl": write_dl})
        return str(super().get_help(ctx))  # type: ignore[misc]


class CheckedCommand(Fitting, TyperCommand):
    """A command that takes no empty path: as a Path it would be this folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an empty path, such as `"$UNSET"`, before it is one."""
        given, _, parameters = self.make_parser(ctx).parse_args(args=list(args))
        for one in parameters:
            texts = given.get(one.name or "")
            several = texts if isinstance(texts, list | tuple) else [texts]
            if one.type.name == "path" and "" in several:
                raise typer.BadParameter("it is empty", ctx, one)
        return super().parse_args(ctx, args)


class Commands(Fitting, TyperGroup):
    """The program: it knows the names of its commands, and loads the one that is named."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # what a misspelt name is compared with
        self.commands: dict[str, Any] = dict.fromkeys(COMMANDS)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `help new` for `new --help`, as git and Pixi do."""
        return super().parse_args(ctx, [*args[1:2], "--help"] if args[:1] == ["help"] else args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return the command of that name, or None."""
        return load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
