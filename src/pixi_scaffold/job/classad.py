"""ClassAd expressions: parsed, the attributes they name, and written as HTCondor writes them.

HTCondor's own library has no wheels for macOS, where most laptops are; tests compare with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

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
_DEPTH = 100


class ExpressionError(ValueError):
    """An expression that is not well formed; the text says why."""


class Undefined:
    """The value of an attribute that is not there; there is one of it."""


class Invalid:
    """The value of an expression that makes no sense, such as `1 + "a"` (`error` in a ClassAd)."""


UNDEFINED, INVALID = Undefined(), Invalid()
_WORDS: dict[str, Any] = {"true": True, "false": False, "undefined": UNDEFINED, "error": INVALID}


@dataclass(frozen=True, slots=True)
class Literal:
    """A value that stands in the text."""

    value: bool | int | float | str | Undefined | Invalid


@dataclass(frozen=True, slots=True)
class Reference:
    """An attribute that an expression names."""

    name: str
    scope: str = ""
    """`my`, `target` or empty."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator and its operands.

    `()` are parentheses, `f(` a call, `[` an index, `?` and `?:` choices, `.a` a part of a record;
    `{}` is a list, and `[]` a record, of operands with the operator `a = `.
    """

    operator: str
    operands: tuple[Expression, ...]


Expression = Literal | Reference | Operation


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Return the expression that a text is; raises ExpressionError."""
    parser = _Parser(text)
    expression = parser.expression(0)
    if parser.peek() != "":
        raise ExpressionError(f"unexpected {parser.peek()!r}")
    return expression


def attributes(text: str) -> tuple[Reference, ...]:
    """Return the attributes that an expression names, each once; raises ExpressionError."""
    references: dict[Reference, None] = {}
    waiting: list[Expression] = [parse(text)]  # no recursion: a chain of && may be thousands long
    while waiting:
        match waiting.pop():
            case Reference() as reference:
                references[reference] = None
            case Operation(operands=parts):
                waiting += reversed(parts)
    return tuple(references)


def names_in(text: str) -> set[str]:
    """Return the names of these attributes in lower case; none of a text that is no expression."""
    return {one.name.lower() for one in attributes(text)} if well_formed(text) else set()


def unparse(expression: Expression) -> str:
    """Return an expression as it stands in a job ad of condor_submit."""
    match expression:
        case Literal(value=value):
            return literal(value)
        case Reference(name=name, scope=scope):
            return {"my": "MY.", "target": "TARGET."}.get(scope, scope) + name
        case Operation(operator=operator, operands=operands):
            return _unparsed_operation(operator, [unparse(operand) for operand in operands])


def _unparsed_operation(operator: str, parts: list[str]) -> str:
    operator = {"is": "=?=", "isnt": "=!="}.get(operator, operator)
    form = {"()": "({0})", "[": "{0}[{1}]", "?": "{0} ? {1} : {2}"}.get(operator)
    if form is not None:
        return form.format(*parts)
    if operator in ("{}", "[]"):
        return f"{operator[0]} {(',' if operator == '{}' else '; ').join(parts)} {operator[1]}"
    if operator.endswith("("):
        return f"{operator}{','.join(parts)})"
    if operator.startswith("."):
        return f"{parts[0]}{operator}"
    return f" {operator} ".join(parts) if len(parts) == 2 else f"{operator}{parts[0]}"


def well_formed(text: str) -> bool:
    """Whether a text is an expression; one that is not damages the ad that it stands in."""
    try:
        parse(text)
    except ExpressionError:
        return False
    return True


def literal(value: bool | int | float | str | Undefined | Invalid) -> str:
    """Return a value as it stands in an ad."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace('"', '\\"')  # a backslash is one: ads have the old syntax
        return f'"{escaped}"'
    if isinstance(value, float):
        text = f"{value:.15g}"
        return text if re.search(r"[.eni]", text) else f"{text}.0"
    if isinstance(value, int):
        return str(value)
    return "undefined" if isinstance(value, Undefined) else "error"


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise ExpressionError("it ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, text: str) -> None:
        kind, token = self.next() if self.peek() else ("", "the end")
        if token != text or kind == "string":
            raise ExpressionError(f"{token!r} where {text!r} was expected")

    def expression(self, level: int) -> Expression:
        self.depth += 1
        if self.depth > _DEPTH:
            raise ExpressionError("it is nested too deep")
        left = self.unary()
        while (power := _BINARY.get(self.peek().lower(), 0)) > level:
            operator = self.next()[1].lower()
            left = Operation(operator, (left, self.expression(power)))
        if level == 0 and self.peek() == "?":
            left = self.choice(left)
        self.depth -= 1
        return left

    def choice(self, condition: Expression) -> Expression:
        self.next()
        if self.peek() == ":":  # `a ? : b`
            self.next()
            return Operation("?:", (condition, self.expression(0)))
        chosen = self.expression(0)
        self.expect(":")
        return Operation("?", (condition, chosen, self.expression(0)))

    def unary(self) -> Expression:
        signs = []
        while self.peek() in ("-", "+", "!", "~"):
            signs.append(self.next()[1])
        operand = self.postfix()
        for sign in reversed(signs):
            operand = Operation(sign, (operand,))
        return operand

    def postfix(self) -> Expression:
        base = self.primary()
        while self.peek() in (".", "[", "?:"):
            operator = self.next()[1]
            if operator == ".":
                base = Operation(f".{self.attribute_name()}", (base,))
            elif operator == "?:":  # binds tighter than a sign (seen with 25.14)
                base = Operation("?:", (base, self.unary()))
            else:
                base = Operation("[", (base, self.expression(0)))
                self.expect("]")
        return base

    def attribute_name(self) -> str:
        kind, token = self.next()
        if kind not in ("name", "quoted"):
            raise ExpressionError("a dot without a name after it")
        return token.strip("'")

    def primary(self) -> Expression:  # noqa: PLR0911  one a kind
        kind, token = self.next()
        if kind == "string":
            text = _unescaped(token)
            while self.at < len(self.tokens) and self.tokens[self.at][0] == kind:
                text += _unescaped(self.next()[1])  # as in C, strings side by side are one
            return Literal(text)
        if kind == "number":
            return Literal(float(token) if re.search(r"[.eE]", token) else int(token))
        if kind in ("name", "quoted"):
            return self.name(kind, token)
        if token == "(":  # noqa: S105
            inner = self.expression(0)
            self.expect(")")
            return Operation("()", (inner,))
        if token == ".":  # noqa: S105
            return Reference(self.attribute_name(), ".")
        if token == "{":  # noqa: S105
            return Operation("{}", self.series("}"))
        if token == "[":  # noqa: S105
            return self.record()
        raise ExpressionError(f"unexpected {token!r}")

    def record(self) -> Expression:
        parts: list[Expression] = []
        while self.peek() != "]":
            if self.peek() == ";":
                self.next()
                continue
            kind, name = self.next()
            if kind not in ("name", "quoted"):
                raise ExpressionError("a record without a name")
            self.expect("=")
            bare = name.strip("'")
            parts.append(Operation(f"{bare} = ", (self.expression(0),)))
            if self.peek() != "]":
                self.expect(";")
        self.expect("]")
        return Operation("[]", tuple(parts))

    def name(self, kind: str, token: str) -> Expression:
        word = token.lower() if kind == "name" else ""
        if word in ("is", "isnt"):
            raise ExpressionError(f"unexpected {token!r}")
        if word in _WORDS:
            return Literal(_WORDS[word])
        if self.peek() == "(" and kind == "name":
            self.next()
            return Operation(f"{token}(", self.series(")"))
        if word in ("my", "target") and self.peek() == ".":
            self.next()
            return Reference(self.attribute_name(), word)
        return Reference(token.strip("'"))

    def series(self, end: str) -> tuple[Expression, ...]:
        items: list[Expression] = []
        if self.peek() != end:
            items.append(self.expression(0))
            while self.peek() == ",":
                self.next()
                items.append(self.expression(0))
        self.expect(end)
        return tuple(items)


def _unescaped(token: str) -> str:
    return token[1:-1].replace('\\"', '"')  # ads have the old syntax: a backslash is one


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise ExpressionError(f"unexpected {text[at : at + 12]!r}")
        if token.lastgroup is not None:
            tokens.append((token.lastgroup, token[0]))
        at = token.end()
    return tokens
