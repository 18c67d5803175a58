"""Read the script of a task; pure. What the shell has not is refused with a reason.

Follows deno_task_shell's parser (src/parser.rs) rule by rule. A rule returns None where the text is
something else, and raises ScriptError where it can be nothing else.
"""

from __future__ import annotations

import re
from typing import Literal, TypeVar

from pixi_scaffold.tasks.script import (
    Assignment,
    Conditional,
    Invocation,
    Pipeline,
    Redirected,
    Redirection,
    ScriptError,
    Sequence,
    Statement,
    Statements,
    Word,
)
from pixi_scaffold.tasks.words import read_word

T = TypeVar("T")

_RESERVED = frozenset({
    "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in",
})  # fmt: skip
_INLINE = re.compile(r"(?:[^\S\r\n]|\\\r?\n)*(?:#[^\r\n]*)?")
_BLANK = re.compile(r"(?:\s|#[^\r\n]*)*")
_ASSIGNS = re.compile(r"([A-Za-z0-9_]+)=")
_REDIRECTS = re.compile(r"(?:([0-9]{1,9})|(&))?(>>|>\||>|<)")
_UNEXPECTED = "Unexpected character."


def parse(text: str) -> Statements:
    """Return the script; raises ScriptError with what is wrong and where."""
    text = text.strip()
    at, script = _script(text, 0)
    if text[at:].strip():
        raise ScriptError(_UNEXPECTED, text[at:])
    if not script.statements:
        raise ScriptError("Empty command.", "")
    return script


def _inline(text: str, at: int) -> int:
    """Skip blanks, line continuations and a comment, but no line's end."""
    blanks = _INLINE.match(text, at)
    return blanks.end() if blanks else at


def _blank(text: str, at: int) -> int:
    """Skip blanks, line ends and comments."""
    blanks = _BLANK.match(text, at)
    return blanks.end() if blanks else at


def _script(text: str, at: int) -> tuple[int, Statements]:
    at = _blank(text, at)
    statements = []
    while at < len(text):
        read = _sequence(text, at)
        if read is None:
            break
        at, sequence = _inline(text, read[0]), read[1]
        separator = _separator(text, at)
        at, in_background = separator or (at, False)
        statements.append(Statement(sequence, in_background))
    return at, Statements(tuple(statements))


def _separator(text: str, at: int) -> tuple[int, bool] | None:
    """Read what ends a statement; returns whether it was `&`."""
    start, in_background = at, False
    if text.startswith("&", at) and text[at + 1 : at + 2] not in ("|", "&"):
        at, in_background = _inline(text, at + 1), True
    elif text.startswith(";", at):
        at = _inline(text, at + 1)
    if text.startswith(("\r\n", "\n"), at):
        at = _blank(text, at)
    return None if at == start else (at, in_background)


def _sequence(text: str, at: int) -> tuple[int, Sequence] | None:
    first: tuple[int, Assignment | Pipeline] | None = _lone_assignment(text, at)
    first = first or _pipeline(text, at)
    if first is None:
        return None
    at = _inline(text, first[0])
    operator = _operator(text, at)
    if operator is None:
        return at, first[1]
    after, sign = operator
    rest = _required(
        _sequence(text, after), "Expected command following boolean operator.", text, after
    )
    return rest[0], Conditional(first[1], sign, rest[1])


def _required(read: T | None, reason: str, text: str, at: int) -> T:
    if read is None:
        raise ScriptError(reason, text[at:])
    return read


def _operator(text: str, at: int) -> tuple[int, Literal["&&", "||"]] | None:
    for sign in ("&&", "||"):
        if text.startswith(sign, at) and text[at + 2 : at + 3] not in ("|", "&"):
            return _blank(text, at + 2), "&&" if sign == "&&" else "||"
    return None


def _pipe(text: str, at: int) -> tuple[int, bool] | None:
    """Read `|` or `|&`; returns whether stderr goes through it, too."""
    for sign in ("|&", "|"):
        end = at + len(sign)
        if text.startswith(sign, at) and text[end : end + 1] not in ("|", "&"):
            return _blank(text, end), sign == "|&"
    return None


def _lone_assignment(text: str, at: int) -> tuple[int, Assignment] | None:
    start = at
    at, assignments = _assignments(text, at)
    if not assignments:
        return None
    words = _words(text, at)
    if words is None or words[1]:
        return None
    if len(assignments) > 1:
        raise ScriptError(
            "Cannot set multiple environment variables when there is no following command.",
            text[start:],
        )
    return words[0], assignments[0]


def _assignments(text: str, at: int) -> tuple[int, tuple[Assignment, ...]]:
    assignments = []
    while name := _ASSIGNS.match(text, at):
        at, value = read_word(text, name.end(), _script)
        _end_of_word(text, at, "Invalid environment variable value. ")
        assignments.append(Assignment(name[1], value))
        at = _inline(text, at)
    return at, tuple(assignments)


def _end_of_word(text: str, at: int, context: str = "") -> None:
    """Raise ScriptError where something stands right behind a word that may not."""
    sign = text[at : at + 1]
    if sign and not sign.isspace() and sign not in ";&|()":
        raise ScriptError(context + _UNEXPECTED, text[at:])


def _pipeline(text: str, at: int) -> tuple[int, Pipeline] | None:
    negated = text.startswith("!", at) and text[at + 1 : at + 2].isspace()
    if negated:
        at = at + 1 + len(text[at + 1 :]) - len(text[at + 1 :].lstrip())
    stages: list[Redirected] = []
    while True:
        command = _command(text, at)
        if command is None:
            if not stages:
                return None
            raise ScriptError("Expected command following pipeline operator.", text[at:])
        at, body, redirection = command
        pipe = _pipe(text, at)
        stages.append(Redirected(body, redirection, pipe is not None and pipe[1]))
        if pipe is None:
            return at, Pipeline(tuple(stages), negated)
        at = pipe[0]


def _command(text: str, at: int) -> tuple[int, Invocation | Statements, Redirection | None] | None:
    read = _subshell(text, at) or _invocation(text, at)
    if read is None:
        return None
    at = start = _inline(text, read[0])
    redirections = []
    while one := _redirection(text, at):
        at = _inline(text, one[0])
        redirections.append(one[1])
    if len(redirections) > 1:
        raise ScriptError("Multiple redirects are currently not supported.", text[start:])
    return at, read[1], redirections[0] if redirections else None


def _subshell(text: str, at: int) -> tuple[int, Invocation | Statements] | None:
    if not text.startswith("(", at):
        return None
    end, script = _script(text, at + 1)
    if not text.startswith(")", end):
        raise ScriptError("Expected closing parenthesis on subshell.", text[at:])
    return end + 1, script


def _invocation(text: str, at: int) -> tuple[int, Invocation | Statements] | None:
    at, assignments = _assignments(text, at)
    words = _words(text, at)
    if words is None or not words[1]:
        return None
    return words[0], Invocation(words[1], assignments)


def _words(text: str, at: int) -> tuple[int, tuple[Word, ...]] | None:
    """Read a command's name and arguments, up to an operator or a redirection."""
    end, name = read_word(text, at, _script)
    if not name:
        return at, ()
    if len(name) == 1 and getattr(name[0], "text", None) in _RESERVED:
        raise ScriptError("Unsupported reserved word.", text[at:])
    words = [name]
    _end_of_word(text, end)
    at = _inline(text, end)
    while at < len(text) and not _ends_command(text, at):
        end, word = read_word(text, at, _script)
        if not word:  # what follows in parentheses is a statement of its own
            break
        _end_of_word(text, end)
        words.append(word)
        at = _inline(text, end)
    return at, tuple(words)


def _ends_command(text: str, at: int) -> bool:
    return bool(
        _operator(text, at)
        or _separator(text, at)
        or _redirection(text, at)
        or _pipe(text, at)
        or text.startswith(")", at)
    )


def _redirection(text: str, at: int) -> tuple[int, Redirection] | None:
    sign = _REDIRECTS.match(text, at)
    if sign is None:
        return None
    number, both, operator = sign.groups()
    stream: int | Literal["both"] | None = "both" if both else int(number) if number else None
    kind: Literal["<", ">", ">>"] = "<" if operator == "<" else ">>" if operator == ">>" else ">"
    if target := re.compile(r"&([0-9]{1,9})").match(text, sign.end()):
        return target.end(), Redirection(kind, int(target[1]), stream)
    end, word = read_word(text, _inline(text, sign.end()), _script)
    if not word:
        raise ScriptError("Expected redirect path.", text[sign.start(3) :])
    return end, Redirection(kind, word, stream)
