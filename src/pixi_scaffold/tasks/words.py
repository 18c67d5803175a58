"""Read one word of a task's script: quotes, variables, substitutions, braces.

Rules and their order are deno_task_shell's (src/parser.rs), also where a POSIX shell differs: in
double quotes two backslashes stay two, and `~` is the home folder at their start.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pixi_scaffold.tasks.script import (
    Alternatives,
    HomeFolder,
    Parameter,
    Part,
    Plain,
    QuotedParts,
    ScriptError,
    Statements,
    Substitution,
    Word,
)

ReadScript = Callable[[str, int], tuple[int, Statements]]
"""Reads a script from a place in a text on; returns where it ends."""

NAME = re.compile(r"[A-Za-z0-9_]+")
_ENDS_WORD = frozenset("~()<>|&;\"'")
_OPERATORS = "&;<>|"
"""Escaped by one backslash, and not by the last one of several (0.33.3)."""
_MOST = 1_000_000  # numbers in a range, as there


def read_word(text: str, at: int, script: ReadScript) -> tuple[int, Word]:
    """Return where the word at `at` ends, and the word; an empty one where none begins.

    Raises ScriptError.
    """
    parts: list[Part] = []
    while True:
        if text[at : at + 1] in ("'", '"') and at < len(text):
            at, quoted = _read_quoted(text, at, script)
            more: list[Part] = [QuotedParts(quoted)]
        else:
            at, more = _Parts(text, at, script, in_quotes=False).read()
        if not more:
            return at, tuple(parts)
        parts += more


def _read_quoted(text: str, at: int, script: ReadScript) -> tuple[int, Word]:
    parts: list[Part] = []
    while at < len(text) and text[at] in "'\"":
        if text[at] == "'":
            end = text.find("'", at + 1)
            if end < 0:
                raise ScriptError("Expected closing single quote.", text[at:])
            parts.append(Plain(text[at + 1 : end]))
            at = end + 1
        else:
            at, inner = _read_double(text, at, script)
            parts += inner
    return at, tuple(parts)


def _read_double(text: str, start: int, script: ReadScript) -> tuple[int, list[Part]]:
    parts: list[Part] = []
    at = begin = start + 1
    escaped = False
    while at < len(text):
        sign = text[at]
        if not escaped and (text.startswith("$(", at) or sign == "`"):
            parts += _within(text[begin:at], script)
            read = _read_backticks if sign == "`" else _read_substitution
            at, part = read(text, at, script)
            parts.append(part)
            begin = at
            continue
        if sign == '"' and not escaped:
            return at + 1, parts + _within(text[begin:at], script)
        escaped = sign == "\\"
        at += 1
    raise ScriptError("Expected closing double quote.", text[start:])


def _within(inner: str, script: ReadScript) -> list[Part]:
    end, parts = _Parts(inner, 0, script, in_quotes=True).read()
    if end < len(inner):
        raise ScriptError(
            f"Failed parsing within double quotes. Unexpected character: {inner[end:]}", inner
        )
    return parts


def _read_substitution(text: str, at: int, script: ReadScript) -> tuple[int, Part]:
    end, inner = script(text, at + 2)
    if not text.startswith(")", end):
        raise ScriptError("Expected closing parenthesis for command substitution.", text[at:])
    return end + 1, Substitution(inner)


def _read_backticks(text: str, at: int, script: ReadScript) -> tuple[int, Part]:
    escaped = False
    for place in range(at + 1, len(text)):
        if text[place] == "`" and not escaped:
            inner = text[at + 1 : place].replace("\\`", "`")
            end, parts = script(inner, 0)
            if end < len(inner):
                reason = f"Failed parsing within backticks. Unexpected character: {inner[end:]}"
                raise ScriptError(reason, text[at:])
            return place + 1, Substitution(parts)
        escaped = text[place] == "\\"
    raise ScriptError("Expected closing backtick.", text[at:])


class _Parts:
    """Reads the parts of a word from a place on, until something that is no part of one."""

    def __init__(self, text: str, at: int, script: ReadScript, *, in_quotes: bool) -> None:
        self.text, self.start, self.at = text, at, at
        self.script, self.in_quotes = script, in_quotes
        self.escapes = '$~`"()' + ("'" if in_quotes else " " + _OPERATORS)
        self.parts: list[Part] = []
        self.count = 0

    def read(self) -> tuple[int, list[Part]]:
        while self.at < len(self.text) and self._step():
            self.count += 1
        return self.at, self.parts

    def _step(self) -> bool:
        """Read one more piece; False where none is."""
        text, at = self.text, self.at
        sign, after = text[at], text[at + 1 : at + 2]
        if sign == "\\":
            return self._escape(after)
        if sign == "$":
            return self._dollar(after)
        if sign == "`":
            self.at, part = _read_backticks(text, at, self.script)
            self.parts.append(part)
        elif sign == "~":
            self._tilde(after)
        elif self.in_quotes:
            return sign != '"' and self._plain(sign)
        elif sign == "{" and (braces := _read_braces(text, at, self.script)):
            self.at, part = braces
            self.parts.append(part)
        elif sign in "'\"":
            self.at, quoted = _read_quoted(text, at, self.script)
            self.parts.append(QuotedParts(quoted))
        else:
            return not sign.isspace() and sign not in _ENDS_WORD and self._plain(sign)
        return True

    def _escape(self, after: str) -> bool:
        for line_break in ("\\\r\n", "\\\n"):
            if self.text.startswith(line_break, self.at):
                self.at += len(line_break)
                return True
        is_second = self.text[: self.at].endswith("\\") and after in _OPERATORS
        if after and after in self.escapes and not is_second:
            self.at += 1
            return self._plain(after)
        return self._plain("\\")

    def _dollar(self, after: str) -> bool:
        if after == "?":
            self.at += 2
            self.parts.append(Parameter("?"))
        elif after and after in "$#*":
            raise ScriptError(f"${after} is currently not supported.", self.text[self.at + 1 :])
        elif after == "(":
            self.at, part = _read_substitution(self.text, self.at, self.script)
            self.parts.append(part)
        elif name := NAME.match(self.text, self.at + 1):
            self.at = name.end()
            self.parts.append(Parameter(name[0]))
        else:
            self._plain("$")
        return True

    def _tilde(self, after: str) -> None:
        if self.count:
            self._plain("~")
            return
        self.at += 1
        ends = not after or (not self.in_quotes and (after.isspace() or after in "()<>|&;"))
        if after != "/" and not ends:
            raise ScriptError("Unsupported tilde expansion.", self.text[self.start :])
        self.parts.append(HomeFolder())

    def _plain(self, sign: str) -> bool:
        self.at += 1
        last = self.parts[-1] if self.parts else None
        if isinstance(last, Plain):
            self.parts[-1] = Plain(last.text + sign)
        else:
            self.parts.append(Plain(sign))
        return True


def _read_braces(text: str, at: int, script: ReadScript) -> tuple[int, Part] | None:
    """Read `{a,b}` or `{1..3}`; None where the brace is only a character."""
    body, commas, end = _scan_braces(text, at + 1)
    if end < 0:
        return None
    if not commas:
        words = _range(body)
        return None if words is None else (end, Alternatives(words))
    alternatives = []
    for begin, stop in zip([0, *(c + 1 for c in commas)], [*commas, len(body)], strict=True):
        segment = body[begin:stop]
        read, parts = _Parts(segment, 0, script, in_quotes=False).read()
        if read < len(segment):
            return None
        alternatives.append(tuple(parts))
    return end, Alternatives(tuple(alternatives))


_SCANNED = re.compile(r"""\\.|'[^']*'?|"(?:\\.|[^"\\])*"?|.""", re.DOTALL)


def _scan_braces(text: str, start: int) -> tuple[str, list[int], int]:
    """Return what stands in the braces, its commas, and where it ends (-1: nowhere)."""
    depth, commas = 0, list[int]()
    for piece in _SCANNED.finditer(text, start):
        match piece[0]:
            case "{":
                depth += 1
            case "}" if depth == 0:
                return text[start : piece.start()], commas, piece.end()
            case "}":
                depth -= 1
            case "," if depth == 0:
                commas.append(piece.start() - start)
    return "", [], -1


def _range(body: str) -> tuple[Word, ...] | None:
    first, *rest = body.split("..", 2)
    if not rest or not first or not rest[0]:
        return None
    last, step = rest[0], rest[1] if len(rest) > 1 else None
    number = re.compile(r"[+-]?[0-9]+")
    if number.fullmatch(first) and number.fullmatch(last):
        if step is not None and (not number.fullmatch(step) or int(step) == 0):
            return None
        low, high, by = int(first), int(last), abs(int(step or 1))
        if abs(high - low) // by > _MOST:
            return None
        numbers = range(low, high + 1, by) if low <= high else range(low, high - 1, -by)
        return tuple((Plain(str(n)),) for n in numbers)
    if step is not None or len(first) != 1 or len(last) != 1 or not (first + last).isascii():
        return None
    low, high = ord(first), ord(last)
    signs = range(low, high + 1) if low <= high else range(low, high - 1, -1)
    return tuple((Plain(chr(n)),) for n in signs)
