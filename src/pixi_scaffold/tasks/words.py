"""Read one word of a task's script: quotes, variables, substitutions, braces.

Rules and their order are deno_task_shell's (src/parser.rs), also where a POSIX shell differs: in
double quotes two backslashes stay two, and `~` is the home folder at their start.
"""

import re
from abc import ABC, abstractmethod

from pixi_scaffold.tasks.script import (
    Alternatives,
    Parameter,
    Part,
    QuotedParts,
    Script,
    ScriptError,
    Substitution,
    Word,
)

_NAME = re.compile(r"[A-Za-z0-9_]+")
_LINE_BREAK = re.compile(r"\\\r?\n")
_SCANNED = re.compile(r"""\\.|'[^']*'?|"(?:\\.|[^"\\])*"?|.""", re.DOTALL)
_ENDS_WORD = frozenset("()<>|&;\"'")
_OPERATORS = "&;<>|"
"""Escaped by one backslash, and not by the last one of several (0.33.3)."""
_ESCAPED = '$~`"()'
"""What a backslash escapes in quotes and outside."""
_MOST = 1_000_000  # numbers in a range, as there


class WordReader(ABC):
    """Reads a text from `at` on; what is read is passed over."""

    def __init__(self, text: str, *, in_quotes: bool = False) -> None:
        """in_quotes: the text is what stands in double quotes."""
        self.text, self.at, self.in_quotes = text, 0, in_quotes

    @abstractmethod
    def script(self) -> Script:
        """Read a script, which ends before what belongs to none; raises ScriptError."""

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Pass over what matches here."""
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match

    def sees(self, *texts: str) -> bool:
        """Whether one of them stands here."""
        return self.text.startswith(texts, self.at)

    def refused(self, reason: str, at: int | None = None) -> ScriptError:
        """Return the error that says so of the text from `at`, or from here, on."""
        return ScriptError(reason, self.text[self.at if at is None else at :])

    def word(self) -> Word:
        """Read a word; an empty one where none begins. Raises ScriptError."""
        quoted = (QuotedParts(self._quoted()),) if self.sees("'", '"') else ()
        return (*quoted, *self._parts())

    def _quoted(self) -> Word:
        parts: list[Part] = []
        while self.sees("'", '"'):
            if self.text[self.at] == '"':
                parts += self._double_quoted()
                continue
            end = self.text.find("'", self.at + 1)
            if end < 0:
                raise self.refused("Expected closing single quote.")
            parts.append(self.text[self.at + 1 : end])
            self.at = end + 1
        return tuple(parts)

    def _double_quoted(self) -> list[Part]:
        parts: list[Part] = []
        opening, begin, escaped = self.at, self.at + 1, False
        self.at = begin
        while self.at < len(self.text):
            sign = self.text[self.at]
            if not escaped and self.sees("`", "$("):
                parts += self._within(begin)
                parts.append(self._backticks() if sign == "`" else self._substitution())
                begin = self.at
                continue
            if sign == '"' and not escaped:
                parts += self._within(begin)
                self.at += 1
                return parts
            escaped = sign == "\\"
            self.at += 1
        raise self.refused("Expected closing double quote.", opening)

    def _within(self, begin: int) -> Word:
        """Return the parts of what was passed over in double quotes."""
        inner = type(self)(self.text[begin : self.at], in_quotes=True)
        parts = inner._parts()
        if rest := inner.text[inner.at :]:
            reason = f"Failed parsing within double quotes. Unexpected character: {rest}"
            raise inner.refused(reason, 0)
        return parts

    def _parts(self) -> Word:
        parts: list[Part] = []
        start = self.at
        while self.at < len(self.text):
            is_home = self.at == start and self.sees("~")
            part = self._tilde() if is_home else self._part()
            if part is None:
                break
            if isinstance(part, str) and parts and isinstance(last := parts[-1], str):
                parts[-1] = last + part
            elif part != "":
                parts.append(part)
        return tuple(parts)

    def _part(self) -> Part | None:
        """Read one more piece; None where none is."""
        sign = self.text[self.at]
        read = {"\\": self._escaped, "$": self._dollar, "`": self._backticks}.get(sign)
        if read is not None:
            return read()
        if not self.in_quotes and sign == "{" and (braces := self._braces()):
            return braces
        if not self.in_quotes and sign in "'\"":
            return QuotedParts(self._quoted())
        ends = sign == '"' if self.in_quotes else sign.isspace() or sign in _ENDS_WORD
        return None if ends else self._sign()

    def _sign(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def _escaped(self) -> str:
        if self.take(_LINE_BREAK):
            return ""
        after = self.text[self.at + 1 : self.at + 2]
        is_second = self.text[: self.at].endswith("\\") and after in _OPERATORS
        escaped = _ESCAPED + ("'" if self.in_quotes else " " + _OPERATORS)
        if after and after in escaped and not is_second:
            self.at += 1
        return self._sign()

    def _dollar(self) -> Part:
        after = self.text[self.at + 1 : self.at + 2]
        if after == "(":
            return self._substitution()
        self.at += 1
        if after and after in "$#*":
            raise self.refused(f"${after} is currently not supported.")
        if after == "?":
            return Parameter(self._sign())
        name = self.take(_NAME)
        return Parameter(name[0]) if name else "$"

    def _tilde(self) -> Parameter:
        after = self.text[self.at + 1 : self.at + 2]
        ends = not after or (not self.in_quotes and (after.isspace() or after in "()<>|&;"))
        if after != "/" and not ends:
            raise self.refused("Unsupported tilde expansion.")
        self.at += 1
        return Parameter("~")

    def _substitution(self) -> Substitution:
        opening = self.at
        self.at += 2
        inner = self.script()
        if not self.sees(")"):
            raise self.refused("Expected closing parenthesis for command substitution.", opening)
        self.at += 1
        return Substitution(inner)

    def _backticks(self) -> Substitution:
        opening, escaped = self.at, False
        for place in range(opening + 1, len(self.text)):
            if self.text[place] == "`" and not escaped:
                inner = type(self)(self.text[opening + 1 : place].replace("\\`", "`"))
                script = inner.script()
                if rest := inner.text[inner.at :]:
                    reason = f"Failed parsing within backticks. Unexpected character: {rest}"
                    raise self.refused(reason)
                self.at = place + 1
                return Substitution(script)
            escaped = self.text[place] == "\\"
        raise self.refused("Expected closing backtick.")

    def _braces(self) -> Alternatives | None:
        """Read `{a,b}` or `{1..3}`; None where the brace is only a character."""
        segments, end = self._segments()
        words: list[Word] = []
        if len(segments) == 1:
            words = _range(segments[0])
        else:
            for segment in segments:
                inner = type(self)(segment)
                words.append(inner._parts())
                if inner.at < len(segment):
                    return None
        if not words:
            return None
        self.at = end
        return Alternatives(tuple(words))

    def _segments(self) -> tuple[list[str], int]:
        """Return what commas separate in the braces here, and where these end; none: nowhere."""
        depth, begin, segments = 0, self.at + 1, list[str]()
        for piece in _SCANNED.finditer(self.text, begin):
            match piece[0]:
                case "{":
                    depth += 1
                case "}" if depth:
                    depth -= 1
                case "," | "}" if not depth:
                    segments.append(self.text[begin : piece.start()])
                    begin = piece.end()
                    if piece[0] == "}":
                        return segments, begin
        return [], begin


def _range(body: str) -> list[Word]:
    """Return the words of `1..3` or `a..c`; none where it is no range."""
    first, *rest = body.split("..", 2)
    if not rest or not first or not rest[0]:
        return []
    last, step = rest[0], rest[1] if len(rest) > 1 else None
    number = re.compile(r"[+-]?[0-9]+")
    if number.fullmatch(first) and number.fullmatch(last):
        if step is not None and (not number.fullmatch(step) or int(step) == 0):
            return []
        values = _from_to(int(first), int(last), abs(int(step or 1)))
        return [(str(n),) for n in values] if len(values) <= _MOST + 1 else []
    if step is not None or len(first) != 1 or len(last) != 1 or not (first + last).isascii():
        return []
    return [(chr(n),) for n in _from_to(ord(first), ord(last), 1)]


def _from_to(low: int, high: int, step: int) -> range:
    return range(low, high + 1, step) if low <= high else range(low, high - 1, -step)
