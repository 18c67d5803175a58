"""A script of Pixi's task shell as data, and why a text is none.

The shell is deno_task_shell (0.33, as Pixi 0.77 has it): much of a POSIX shell, nothing of bash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pixi_scaffold.errors import ScaffoldError


class ScriptError(ScaffoldError):
    """The shell does not take this text."""

    def __init__(self, reason: str, rest: str) -> None:
        line = rest.split("\n", 1)[0].rstrip("\r")[:60]
        super().__init__(f"{reason}\n  {line}\n  ~" if line else reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Plain:
    """Characters as they are; unquoted, `*`, `?` and `[` make a pattern of them."""

    text: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$NAME`, and `$?`."""

    name: str


@dataclass(frozen=True, slots=True)
class HomeFolder:
    """`~` at the start of a word."""


@dataclass(frozen=True, slots=True)
class Substitution:
    """`$(...)`: what a script prints."""

    script: Statements


@dataclass(frozen=True, slots=True)
class QuotedParts:
    """What stands in quotes."""

    parts: Word


@dataclass(frozen=True, slots=True)
class Alternatives:
    """`{a,b}` or `{1..3}`: the word once with each."""

    words: tuple[Word, ...]


Part: TypeAlias = Plain | Parameter | HomeFolder | Substitution | QuotedParts | Alternatives
Word: TypeAlias = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """`NAME=value`, alone or in front of a command."""

    name: str
    value: Word


@dataclass(frozen=True, slots=True)
class Redirection:
    """Where one stream of a command comes from or goes to."""

    operator: Literal["<", ">", ">>"]
    target: Word | int
    """A file, or the number of a stream (`2>&1`)."""
    stream: int | Literal["both"] | None = None
    """Which stream; None: stdin or stdout, as the operator says."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """A command with its arguments."""

    words: tuple[Word, ...]
    assignments: tuple[Assignment, ...] = ()


@dataclass(frozen=True, slots=True)
class Redirected:
    """A command, or statements in parentheses, and at most one redirection: it has no more."""

    body: Invocation | Statements
    redirection: Redirection | None = None
    joins_stderr: bool = False
    """Whether `|&` follows, which sends stderr through the pipe, too."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each of which reads what the one before prints."""

    stages: tuple[Redirected, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Conditional:
    """`first && rest`, `first || rest`; the rest may be another one."""

    first: Assignment | Pipeline
    operator: Literal["&&", "||"]
    rest: Sequence


Sequence: TypeAlias = Assignment | Pipeline | Conditional


@dataclass(frozen=True, slots=True)
class Statement:
    """One entry of a script."""

    sequence: Sequence
    in_background: bool = False


@dataclass(frozen=True, slots=True)
class Statements:
    """Statements that run one after another."""

    statements: tuple[Statement, ...]
