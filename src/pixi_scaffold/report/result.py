"""What a command found: frozen results, rendered as text or as one versioned JSON document."""

import json
import os
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from unicodedata import east_asian_width

from pixi_scaffold.errors import EXIT_CHECK, EXIT_OK

SCHEMA_VERSION = 1
"""Of the JSON document; a change that a reader could trip over raises it."""


class Status(StrEnum):
    """How a step ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Result(NamedTuple):
    """One step: what it is, how it ended, how long it took (seconds), and what there is to say."""

    name: str
    status: Status
    seconds: float = 0.0
    detail: str = ""
    """One line."""
    hint: str = ""
    """The next command to type."""
    lines: tuple[str, ...] = ()
    """More, for a failure (the last lines of a log, a solver's words)."""

    def to_dict(self) -> dict[str, Any]:
        """Return the step as the JSON document has it."""
        return {
            "name": self.name,
            "status": str(self.status),
            "seconds": round(self.seconds, 3),
            "detail": self.detail,
            "hint": self.hint,
            "lines": list(self.lines),
        }


class Facts(Protocol):
    """What a command found out besides its steps, where more than the JSON document reads it."""

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them, by key."""


class Verdict(NamedTuple):
    """How it ended, for people: one line, and a line each for what it does not stand for."""

    good: bool
    text: str
    notes: tuple[str, ...] = ()


class Report(NamedTuple):
    """All steps of one command, the facts it established, and what to type next."""

    command: str
    results: tuple[Result, ...]
    facts: Facts | Mapping[str, Any] = MappingProxyType({})
    next_commands: tuple[str, ...] = ()
    incomplete: bool = False
    """Whether a part was skipped that the user wanted without fail (check --strict)."""
    verdict: Verdict | None = None
    """In place of the table, where there is one."""

    @property
    def skipped(self) -> Sequence[Mapping[str, str]]:
        """What was skipped (`what`, `why`), parts of steps too."""
        if isinstance(self.facts, Mapping):
            return tuple(self.facts.get("skipped", ()))
        return tuple(getattr(self.facts, "skipped", ()))

    def facts_by_key(self) -> Mapping[str, Any]:
        """Return the facts as the document has them."""
        return self.facts if isinstance(self.facts, Mapping) else self.facts.to_dict()

    @property
    def failed(self) -> tuple[Result, ...]:
        """The steps that failed."""
        return tuple(r for r in self.results if r.status is Status.FAILED)

    @property
    def exit_code(self) -> int:
        """0 when all that ran passed, 3 when a check failed."""
        return EXIT_CHECK if self.failed or self.incomplete else EXIT_OK

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """(what, why) for what was skipped and is no step of its own: a platform, a file."""
        names = {r.name for r in self.results}
        return tuple((s["what"], s["why"]) for s in self.skipped if s["what"] not in names)

    def table(
        self, width: int, results: Sequence[Result] | None = None
    ) -> list[tuple[str, Status | None]]:
        """Return steps as lines of at most `width` columns; the heading has no status.

        results: those to list, default all; the parts that were skipped always are.
        """
        rows: list[tuple[str, str, str, str, Status | None]] = []
        for r in self.results if results is None else results:
            seconds = f"{r.seconds:.1f} s" if r.seconds >= 0.05 else ""
            rows.append((r.name, str(r.status), seconds, r.detail, r.status))
            if r.status is Status.SKIPPED and r.hint:
                rows.append(("", "", "", f"next: {r.hint}", r.status))
        if rows:
            time = "time" if any(row[2] for row in rows) else ""
            rows.insert(0, ("stage", "status", time, "detail", None))
        for part, why in self.parts:
            rows.append(("", "skipped", "", f"{part}: {why}", Status.SKIPPED))
        return _aligned(rows, width)

    def to_dict(self) -> dict[str, Any]:
        """Return the versioned document."""
        return {
            "schema": SCHEMA_VERSION,
            "command": self.command,
            "ok": self.exit_code == EXIT_OK,
            "exit_code": self.exit_code,
            "results": [r.to_dict() for r in self.results],
            **self.facts_by_key(),
            "next": list(self.next_commands),
        }

    def to_json(self) -> str:
        """Return the versioned document as JSON text with a newline at the end."""
        return json.dumps(self.to_dict(), indent=2) + "\n"


def _aligned(
    rows: Sequence[tuple[str, str, str, str, Status | None]], width: int
) -> list[tuple[str, Status | None]]:
    first, second, third = (max((len(str(row[i])) for row in rows), default=0) for i in range(3))
    lines: list[tuple[str, Status | None]] = []
    for name, status, seconds, detail, kind in rows:
        head = f"{name:<{first}}  {status:<{second}}  " + (f"{seconds:>{third}}  " if third else "")
        lines += [(line.rstrip(), kind) for line in wrapped(detail, width, head, len(head))]
    return lines


_UNIT = re.compile(r"(?<=\d) (?=([kKMGT]i?B|ms|s|min|h)\b)")
_ROOM = 20  # columns, at least, beside a head
_SECOND = "\ue000"  # for the second column of a wide letter; no text has it


def wrapped(text: str, width: int, head: str = "", indent: int = 0) -> list[str]:
    """Return a text as lines of at most `width` columns, broken between words only.

    head: what the first line begins with; indent: columns before each further one. A word that is
    longer stays whole: a URL or a path that is broken cannot be followed. So does 86 MB. Letters
    of East Asia and pictures take two columns each (Unicode's annex 11). Where there is little
    room beside the head, or not enough for a word, the text begins below it.
    """
    spaced = "".join(c + _SECOND * (east_asian_width(c) in "WF") for c in text)
    spaced = _UNIT.sub("\xa0", spaced)
    longest = max(map(len, re.split(r"[ \n]", spaced)))
    used = max(len(head), indent)
    lacks = width - used < _ROOM or width - used < longest <= width - 2
    if lacks and used > 2 and len(head) + len(spaced) > width:
        return [*filter(None, [head.rstrip()]), *wrapped(text, width, "  ", 2)]
    return [
        line.replace("\xa0", " ").replace(_SECOND, "")
        for number, part in enumerate(spaced.splitlines() or [""])
        for line in textwrap.wrap(
            part,
            max(width, indent + _ROOM),
            initial_indent=" " * indent if number else head,
            subsequent_indent=" " * indent,
            break_on_hyphens=False,
            break_long_words=False,
        )
        or ["" if number else head]
    ]


def go_to(folder: Path) -> tuple[str, ...]:
    """Return the command that goes from here to `folder`, by the shorter way; none when there."""
    relative = os.path.relpath(folder)
    if relative == ".":
        return ()
    return (f"cd {shlex.quote(min(relative, str(folder), key=len))}",)


def in_folder(folder: Path, command: str) -> str:
    """Return the line that runs `command` in `folder` from here."""
    return " && ".join((*go_to(folder), command))


class Progress(Protocol):
    """Where long work tells how far it is; cli.py draws it, a log gets plain lines."""

    def start(self, name: str) -> None:
        """Step `name` begins."""

    def update(self, text: str, fraction: float | None = None) -> None:
        """Say what is being done now; fraction 0 to 1 where it is known."""

    def note(self, text: str) -> None:
        """Say something that should stay readable (a warning, a fallback)."""

    def agree(self, question: str) -> bool:
        """Ask on a terminal, Enter is yes; elsewhere the answer is yes."""

    def finish(self, result: Result) -> None:
        """Step ended so."""


class Silent:
    """A Progress that says nothing, and agrees."""

    def agree(self, *_: Any, **__: Any) -> Any:
        """Return True, and do nothing; so do the others, whose answer nobody reads."""
        return True

    start = update = note = finish = agree
