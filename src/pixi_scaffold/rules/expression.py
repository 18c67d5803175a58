"""ClassAd expressions: whether they are well formed, and which attributes they name.

HTCondor's own library has no wheels for macOS, where most laptops are; tests hold this against it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s+|/\*.*?\*/
    |(?P<string>"(?:\\.|[^"\\])*")|(?P<quoted>'(?:\\.|[^'\\])*')
    |(?P<number>(?:(?:0|[1-9]\d*)?\.\d+|0|[1-9]\d*)(?:[eE][-+]?\d+)?(?![A-Za-z_0-9.]))
    |(?P<name>[A-Za-z_][A-Za-z_0-9]*)
    |(?P<op>=\?=|=!=|>>>|<<|>>|<=|>=|==|!=|&&|\|\||\?:|[-+*/%<>!~&|^?:.,;=(){}\[\]])""",
    re.VERBOSE | re.DOTALL,
)
_BINARY = {
    "||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "=?=": 6, "=!=": 6, "is": 6,
    "isnt": 6, "<": 7, ">": 7, "<=": 7, ">=": 7, "<<": 8, ">>": 8, ">>>": 8, "+": 9, "-": 9,
    "*": 10, "/": 10, "%": 10,
}  # fmt: skip
_LITERALS = frozenset({"true", "false", "undefined", "error"})
_DEPTH = 100


class ExpressionError(ValueError):
    """An expression that is not well formed; the text says why."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An attribute that an expression names; scope: `my`, `target` or empty."""

    name: str
    scope: str = ""


def attributes(text: str) -> tuple[Reference, ...]:
    """Return the attributes that an expression names, each once.

    Raises ExpressionError when the expression is not well formed.
    """
    parser = _Parser(text)
    parser.expression(0)
    if parser.peek() != "":
        raise ExpressionError(f"unexpected {parser.peek()!r}")
    return tuple(parser.found)


class _Parser:
    """A recursive descent over the tokens; the grammar is that of the ClassAd manual."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0
        self.found: dict[Reference, None] = {}

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise ExpressionError("it ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, text: str) -> None:
        kind, token = self.next() if self.at < len(self.tokens) else ("", "the end")
        if token != text or kind == "string":
            raise ExpressionError(f"{token!r} where {text!r} was expected")

    def expression(self, level: int) -> None:
        self.depth += 1
        if self.depth > _DEPTH:
            raise ExpressionError("it is nested too deep")
        self.unary()
        while (power := _BINARY.get(self.peek().lower(), 0)) > level:
            self.next()
            self.expression(power)
        if level == 0 and self.peek() in ("?", "?:"):
            if self.next()[1] == "?":
                if self.peek() != ":":
                    self.expression(0)
                self.expect(":")
            self.expression(0)
        self.depth -= 1

    def unary(self) -> None:
        while self.peek() in ("-", "+", "!", "~"):
            self.next()
        self.primary()
        while self.peek() in (".", "["):
            if self.next()[1] == ".":
                kind, _ = self.next()
                if kind not in ("name", "quoted"):
                    raise ExpressionError("a dot without a name after it")
            else:
                self.expression(0)
                self.expect("]")

    def primary(self) -> None:
        kind, token = self.next()
        if kind in ("string", "number"):
            while (
                kind == "string" and self.at < len(self.tokens) and self.tokens[self.at][0] == kind
            ):
                self.next()  # as in C, strings side by side are one
            return
        if kind in ("name", "quoted"):
            self.name(kind, token)
        elif token == "(":
            self.expression(0)
            self.expect(")")
        elif token == "." and self.next()[0] in ("name", "quoted"):
            self.found[Reference(self.tokens[self.at - 1][1].strip("'"))] = None
        elif token == "{":
            self.series("}")
        elif token == "[":
            self.record()
        else:
            raise ExpressionError(f"unexpected {token!r}")

    def record(self) -> None:
        while self.peek() != "]":
            if self.peek() == ";":
                self.next()
                continue
            if self.next()[0] not in ("name", "quoted"):
                raise ExpressionError("a record without a name")
            self.expect("=")
            self.expression(0)
            if self.peek() != "]":
                self.expect(";")
        self.expect("]")

    def name(self, kind: str, token: str) -> None:
        word = token.lower() if kind == "name" else ""
        if word in ("is", "isnt"):
            raise ExpressionError(f"unexpected {token!r}")
        if word in _LITERALS:
            return
        if self.peek() == "(" and kind == "name":
            self.next()
            self.series(")")
            return
        if kind == "name" and token.lower() in ("my", "target") and self.peek() == ".":
            self.next()
            inner, name = self.next()
            if inner not in ("name", "quoted"):
                raise ExpressionError("a dot without a name after it")
            self.found[Reference(name.strip("'"), token.lower())] = None
            return
        self.found[Reference(token.strip("'"))] = None

    def series(self, end: str) -> None:
        if self.peek() != end:
            self.expression(0)
            while self.peek() == ",":
                self.next()
                self.expression(0)
        self.expect(end)


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise ExpressionError(f"unexpected {text[at : at + 12]!r}")
        if token.lastgroup is not None:
            found.append((token.lastgroup, token[0]))
        at = token.end()
    return found
