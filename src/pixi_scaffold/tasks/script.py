"""A script of Pixi's task shell as data, and why a text is not one.

The shell is deno_task_shell (0.33, as Pixi 0.77 has it): much of a POSIX shell, nothing of bash.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from pixi_scaffold.errors import ScaffoldError


class ScriptError(ScaffoldError):
    """The shell does not take this text."""

    def __init__(self, reason: str, rest: str) -> None:
        line = rest.split("\n", 1)[0].rstrip("\r")[:60]
        super().__init__(f"{reason}\n  {line}\n  ~" if line else reason)
        self.reason = reason


class Parameter(NamedTuple):
    """`$NAME`, `$?`, and `~` at the start of a word."""

    name: str


class Substitution(NamedTuple):
    """`$(...)`: what a script prints."""

    script: Script


class QuotedParts(NamedTuple):
    """What stands in quotes."""

    parts: Word


class Alternatives(NamedTuple):
    """`{a,b}` or `{1..3}`: the word once with each."""

    words: tuple[Word, ...]


Part: TypeAlias = str | Parameter | Substitution | QuotedParts | Alternatives
"""A text is itself; unquoted, `*`, `?` and `[` make a pattern of it."""
Word: TypeAlias = tuple[Part, ...]


class Assignment(NamedTuple):
    """`NAME=value`, alone or in front of a command."""

    name: str
    value: Word


class Redirection(NamedTuple):
    """Where one stream of a command comes from or goes to."""

    operator: str
    """`<`, `>` or `>>`."""
    target: Word | int
    """A file, or the number of a stream (`2>&1`)."""
    stream: int | Literal["both"] | None = None
    """Which stream; None: stdin or stdout, as the operator says."""


class ShellCommand(NamedTuple):
    """A command with its arguments, an assignment alone, or a script in parentheses."""

    words: tuple[Word, ...] = ()
    assignments: tuple[Assignment, ...] = ()
    inner: Script = ()
    """What stands in the parentheses."""
    redirection: Redirection | None = None
    """At most one: the shell has no more."""
    joins_stderr: bool = False
    """Whether `|&` follows, which sends stderr through the pipe, too."""


class Pipeline(NamedTuple):
    """Commands, each of which reads what the one before prints."""

    commands: tuple[ShellCommand, ...]
    negated: bool = False


class Statement(NamedTuple):
    """One entry of a script: pipelines, each but the first behind `&&` or `||`."""

    steps: tuple[tuple[str, Pipeline], ...]
    in_background: bool = False


Script: TypeAlias = tuple[Statement, ...]
"""Statements that run one after another."""
