"""What a workspace's environments are installed from: its lock, an archive, a channel."""

from pathlib import Path
from typing import Any, Literal

import typer
from typer import Argument, Option

from pixi_scaffold.cli import complete
from pixi_scaffold.cli.commands import COMMANDS, SETTINGS, CheckedCommand
from pixi_scaffold.cli.options import EngineOption, Json, Workspace
from pixi_scaffold.cli.session import Session, session_of
from pixi_scaffold.errors import UsageError


class LockCommand(CheckedCommand):
    """Takes --diff and --upgrade without a value, too. Typer has no such options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put HEAD behind a --diff that has nothing behind it, * behind such an --upgrade.

        A folder behind --upgrade is the workspace.
        """
        following = [*args[1:], "-"]
        given = []
        for arg, after in zip(args, following, strict=False):
            alone = after.startswith("-")
            if arg == "--diff" and alone:
                given.append("--diff=HEAD")
            elif arg == "--upgrade" and (alone or Path(after).is_dir()):
                given.append("--upgrade=*")
            else:
                given.append(arg)
        return super().parse_args(ctx, given)


EXTRAS = {"lock": {"cls": LockCommand}}


def lock(
    folder: Workspace = Path(),
    check: bool = Option(
        False, "--check", help="Only say whether pixi.lock is current (no network)."
    ),
    upgrade: list[str] | None = Option(
        None,
        "--upgrade",
        metavar="[NAME]",
        help="Take the newest version of one package (can be repeated), or of all.",
    ),
    diff: str | None = Option(
        None,
        "--diff",
        metavar="[REV]",
        help="Say what changed since a commit (HEAD), or with A..B from one to another.",
    ),
    engine: EngineOption = "auto",
    merge: tuple[Path, Path, str] | None = Option(
        None,
        "--merge",
        metavar="OURS THEIRS NAME",
        help="Be git's merge driver for pixi.lock: --merge %A %B %P",
    ),
    output: Literal["text", "json", "github"] = Option(
        "text", "--output-format", help="Of --diff: text, json, or Markdown for GitHub."
    ),
    as_json: Json = False,
) -> None:
    """Lock every platform of every environment of a workspace.

    A pixi.lock with a merge conflict keeps what both sides agree on.
    """
    from pixi_scaffold import lock  # each of its names is loaded when it is used

    with session_of("lock", as_json or output == "json", output) as session:
        if check and upgrade:
            raise UsageError("--check only looks, --upgrade writes", "use one of them")
        if diff is not None and (check or upgrade or merge):
            raise UsageError("--diff only compares two locks", "leave the other options out")
        if diff is None and output != "text":
            raise UsageError("--output-format belongs to --diff", "add --diff, or use --json")
        if diff is not None:
            _show_diff(session, folder, diff)
            return
        if merge is not None:
            session.show(lock.merge_driver(*merge))
        elif check:
            session.show(lock.check_lock(folder))
        else:
            names = frozenset(upgrade or ())
            session.show(lock.relock(folder, engine, names, session.progress))


def _show_diff(session: Session, folder: Path, revisions: str) -> None:
    from pixi_scaffold.lock import diff_lines, diff_report, markdown
    from pixi_scaffold.report import sayer

    report, diff = diff_report(folder, revisions)
    if session.as_json:
        session.show(report)
    elif session.output == "github":
        session.say(markdown(diff).rstrip())
    else:
        say = sayer(session.out)
        for line in diff_lines(diff):
            say(line, "bold" if line[0] != " " else "")


def pack(
    folder: Workspace = Path(),
    output: Path | None = Option(
        None, "--output", "-o", help="The archive (default: env.tar.gz there)."
    ),
    platform: str | None = Option(
        None,
        help="Platform to pack (default: the first one for Linux).",
        autocompletion=complete.platforms,
    ),
    lock_file: Path | None = Option(
        None, "--lock", help="Another lock file, such as .pixi/starter/pixi.lock."
    ),
    as_json: Json = False,
) -> None:
    """Pack the locked environment for a job to take along.

    One platform, one archive; the same lock gives the same bytes.
    """
    from pixi_scaffold.environment import pack as make

    with session_of("pack", as_json) as session:
        session.show(make(folder, output, platform, lock_file, session.progress))


channel = typer.Typer(help=COMMANDS["channel"], **SETTINGS)


@channel.command("build", cls=CheckedCommand)
def build(
    folder: Path | None = Argument(None, help="Also put a copy there (default: only the cache)."),
    as_json: Json = False,
) -> None:
    """Build the starter channel from this Python and pinned PyPI wheels."""
    from pixi_scaffold.starter import build_report

    with session_of("channel build", as_json) as session:
        session.show(build_report(folder, session.progress))
