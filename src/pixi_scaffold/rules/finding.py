"""What a rule finds, and the table of rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixi_scaffold.job import Command, Description
from pixi_scaffold.rules.texts import DATA

if TYPE_CHECKING:
    from pixi_scaffold.rules.subject import Subject


class Severity(StrEnum):
    """How bad it is: an error makes the check fail (exit 3), a warning and a note do not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Edit:
    """A safe change of one file: lines `first` to `last` (from 1) become `lines`.

    With `last` one less than `first` they are put before line `first`, and nothing is replaced.
    """

    path: Path
    first: int = 0
    last: int = 0
    lines: tuple[str, ...] = ()
    whole: str = ""
    """In place of that, what is done to the whole file: `unix` line ends, `executable`, or `folder`
    (make it)."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule yields: where, what is wrong with these very words, and what to do."""

    file: Path
    line: int
    message: str
    fix: str
    edits: tuple[Edit, ...] = ()
    severity: Severity | None = None
    """In place of the rule's own."""
    about: str = ""
    """The words of that line that it is about; empty for all of it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A Found with the rule it came from; lines count from 1, 0 is the file as a whole."""

    rule: str
    severity: Severity
    file: Path
    line: int
    message: str
    fix: str
    edits: tuple[Edit, ...] = ()
    about: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON document has it."""
        return {
            "rule": self.rule,
            "severity": str(self.severity),
            "file": str(self.file),
            "line": self.line,
            "message": self.message,
            "why": RULES[self.rule].why,
            "fix": self.fix,
            "fixable": bool(self.edits),
        }


Check = Callable[["Subject"], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a stable id, its severity, and the function whose docstring is its title."""

    id: str
    severity: Severity
    check: Check

    @property
    def title(self) -> str:
        """What it finds, in a few words."""
        return (self.check.__doc__ or "").rstrip(".")

    @property
    def page(self) -> str:
        """The title, and what data/pages.txt has of it."""
        return f"{self.title}.\n\n{_pages()[self.id]}"

    @property
    def why(self) -> str:
        """Why it matters, as the page says it."""
        matched = re.search(r"^Why: (.*?)\nFix: ", self.page, re.DOTALL | re.MULTILINE)
        return " ".join(matched[1].split()).rstrip(".") if matched else ""

    def run(self, subject: Subject) -> Iterator[Finding]:
        """Yield what it finds."""
        for one in self.check(subject):
            yield Finding(
                self.id,
                one.severity or self.severity,
                one.file,
                one.line,
                one.message,
                one.fix,
                # none for the command line
                one.edits if all(edit.path.is_absolute() for edit in one.edits) else (),
                one.about,
            )


@lru_cache(maxsize=1)
def _pages() -> Mapping[str, str]:
    text = (DATA / "pages.txt").read_text(encoding="utf-8")
    _, *parts = re.split(r"^\[(PS\d+)\]\n", text, flags=re.MULTILINE)
    return {name: page.strip() for name, page in zip(parts[::2], parts[1::2], strict=True)}


RULES: dict[str, Rule] = {}
"""Every rule by its id; the modules of this package fill it when they are imported."""


def rule(id: str, severity: Severity = Severity.ERROR) -> Callable[[Check], Check]:  # noqa: A002
    """Enter a function into the table of rules."""

    def enter(check: Check) -> Check:
        assert id not in RULES  # noqa: S101  two rules with one id
        RULES[id] = Rule(id, severity, check)
        return check

    return enter


def at(
    command: Command,
    message: str,
    fix: str,
    edits: tuple[Edit, ...] = (),
    severity: Severity | None = None,
    about: str = "",
) -> Found:
    """Return a Found at a command's first line, about its value where nothing else is said."""
    words = about or command.value.split("\n")[0].strip()
    return Found(command.file, command.line, message, fix, edits, severity, words)


def commented(command: Command) -> bool:
    """Whether a comment stands behind the value, which is then PS119's alone to report."""
    matched = re.search(r"\s#", command.value)
    return (
        matched is not None
        and command.name not in _FREE_TEXT
        and '"' not in command.value[: matched.start()]
    )


_FREE_TEXT = frozenset({"arguments", "arguments2", "environment", "environment2", "description"})


def short(text: str) -> str:
    """Return a text as it fits into a message."""
    return text if len(text) <= 50 else f"{text[:47]}..."


def line_of(description: Description, command: Command) -> str:
    """Return the first line of a command as it stands in its file."""
    lines = description.included.get(command.file, description.lines)
    return lines[command.line - 1].rstrip("\r")


def replaced(command: Command, line: str) -> tuple[Edit, ...]:
    """Return the edit that puts `line` in a command's place."""
    return (Edit(command.file, command.line, command.last, (line,)),)


def value_edit(description: Description, command: Command, value: str) -> Edit:
    """Return the edit that gives a command another value; it stands in one line."""
    line = line_of(description, command)
    head = line[: line.index("=") + 1]
    return Edit(command.file, command.line, command.last, (f"{head} {value}",))


def added_inputs(subject: Subject, names: Sequence[str]) -> tuple[Edit, ...]:
    """Return the edit that adds files to transfer_input_files; none where it is not safe.

    Safe is: the command stands in one line of the description and uses no macro of the queue
    statement, or there is none and the executable's line is one; and each file lies where the
    job's names start.
    """
    if subject.job.command("transfer_input_files") is None and not subject.surely_transfers:
        return ()  # it may be meant for a shared file system
    if not all((subject.start / name).is_file() for name in names):
        return ()
    command = subject.job.command("transfer_input_files")
    if command is None:
        first = subject.job.command("executable")
        if first is None or first.file != subject.description.path:
            return ()
        line = f"transfer_input_files = {', '.join(names)}"
        return (Edit(first.file, first.last + 1, first.last, (line,)),)
    text = command.value.strip().rstrip(",")
    if command.line != command.last or '"' in text or command.appends:
        return ()
    line = line_of(subject.description, command)
    head = line[: line.index("=") + 1]
    return replaced(command, f"{head} {', '.join([text, *names])}")
