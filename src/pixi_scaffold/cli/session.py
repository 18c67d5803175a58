"""One command from its start to its exit code: where progress goes and how its report is shown."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from pixi_scaffold.errors import EXIT_FAILED, EXIT_INTERRUPTED, Interrupted, ScaffoldError

if TYPE_CHECKING:
    from pixi_scaffold.report import LiveProgress, PlainProgress, Report
    from pixi_scaffold.update import Plan


class Session:
    """One command's output: where progress goes and how its report is shown."""

    def __init__(
        self, command: str, as_json: bool, output: str, *, verbose: bool, asks: bool
    ) -> None:
        self.command, self.as_json, self.output = command, as_json, output
        self.verbose, self.asks = verbose, asks
        self.out, self.err = sys.stdout, sys.stderr

    @cached_property
    def progress(self) -> LiveProgress | PlainProgress:
        """Where the command tells how far it is; what draws on a terminal costs time to load."""
        from pixi_scaffold.report import progress_for

        where = self.err if self.as_json or self.output != "text" else self.out
        return progress_for(where, asks=self.asks and not self.as_json)

    def close(self) -> None:
        """Draw no more."""
        if "progress" in vars(self):
            self.progress.close()

    def show(self, report: Report) -> None:
        """Print the report and end with its exit code."""
        from pixi_scaffold.report import print_report

        self.close()
        if self.as_json:
            sys.stdout.write(report.to_json())
        elif self.output != "text":
            from pixi_scaffold.report import github, sarif
            from pixi_scaffold.rules import RULES

            known = [(rule.id, rule.title) for rule in RULES.values()]
            sys.stdout.write(github(report) if self.output == "github" else sarif(report, known))
        elif not self._print_status(report):
            print_report(report, self.out, self.progress.told, verbose=self.verbose)
        sys.stdout.flush()
        if report.exit_code:
            raise typer.Exit(report.exit_code)

    def _print_status(self, report: Report) -> bool:
        if report.command != "status":
            return False
        from pixi_scaffold.update import StatusFacts, print_status

        if isinstance(report.facts, StatusFacts):
            print_status(report.facts.projects, report.next_commands, self.out)
            return True
        return False

    def say(self, *lines: str) -> None:
        """Print lines as they are."""
        for line in lines:
            self.out.write(f"{line}\n")
        self.out.flush()

    def confirm_answers(self, folder: Path, answers: Mapping[str, Any]) -> bool:
        """Show what a new project will be, and ask."""
        from pixi_scaffold.report import wrapped

        answers = {"folder": folder, **answers}
        answers = {name: value for name, value in answers.items() if value not in ("", None)}
        width = max((len(name) for name in answers), default=0)
        columns = shutil.get_terminal_size().columns
        self.say("")
        for name, value in answers.items():
            self.say(*wrapped(str(value), columns, f"  {name:<{width}}  ", width + 4))
        return self._answer("Make it?", "yn") == "y"

    def confirm(self, plan: Plan, *, dry_run: bool, yes: bool) -> bool:
        """Show what an update would do, and ask."""
        from pixi_scaffold.update import print_details, print_plan

        if not self.as_json:
            self.close()
            print_plan(plan, self.out)
        if dry_run or yes:
            return yes and not dry_run
        self.say("", "d shows the changes in full, and what the template says of them.")
        while (said := self._answer("Go on?", "ynd")) == "d":
            print_details(plan, self.out)
        if said == "n":
            self.say("nothing was changed")
        return said == "y"

    def _answer(self, question: str, answers: str) -> str:
        """Return the answer to a question, as one letter; Enter is y."""
        said = ""
        try:
            while said[:1] not in tuple(answers):
                said = typer.prompt(f"\n{question} [Y/n]", default="y", show_default=False)
                said = said.strip().lower()
        except typer.Abort as error:
            self.say("")
            raise KeyboardInterrupt from error
        return said[0]

    def fail(self, code: int, message: str, hint: str, kind: str = "error") -> NoReturn:
        """Print what failed and what to do, and end with `code`."""
        from pixi_scaffold.report import SCHEMA_VERSION, print_error

        self.close()
        first, *rest = message.splitlines() or [""]
        if self.as_json:
            error = {"message": message, "hint": hint}
            document = {"schema": SCHEMA_VERSION, "command": self.command, "ok": False}
            sys.stdout.write(json.dumps({**document, "exit_code": code, "error": error}) + "\n")
        else:
            print_error(": ".join(filter(None, (kind, first))), tuple(rest), hint, self.err)
        raise typer.Exit(code)


@contextmanager
def session_of(
    command: str,
    as_json: bool,
    output: str = "text",
    *,
    verbose: bool = False,
    asks: bool = True,
) -> Iterator[Session]:
    """Run a command's body; every way out of it has a message and a documented exit code.

    asks: whether long work may put questions to the user.
    """
    session = Session(command, as_json, output, verbose=verbose, asks=asks)
    try:
        yield session
    except ScaffoldError as error:
        session.fail(error.exit_code, error.message, error.hint)
    except Interrupted as stop:
        session.fail(EXIT_INTERRUPTED, stop.message, stop.hint, "interrupted")
    except KeyboardInterrupt:
        session.fail(EXIT_INTERRUPTED, "interrupted", "", "")
    except BrokenPipeError:  # `... | head`: whoever read has enough
        raise typer.Exit(EXIT_FAILED) from None
    except OSError as error:  # a full disk, a folder that vanished: the user's, not a bug
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        hint = "check the free space and who may write there"
        if not error.filename and error.strerror == os.strerror(errno.ENOENT):  # os.getcwd
            message, hint = "the folder that you are in was removed", "cd to one that is there"
        session.fail(EXIT_FAILED, message, hint)
    finally:
        session.close()
