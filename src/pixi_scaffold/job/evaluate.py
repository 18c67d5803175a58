"""What a ClassAd expression comes to, by HTCondor's rules; tests compare with its library."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pixi_scaffold.job.classad import (
    INVALID,
    UNDEFINED,
    Call,
    Expression,
    ExpressionError,
    Invalid,
    Listing,
    Literal,
    Operation,
    Record,
    Reference,
    Selection,
    Undefined,
    literal,
    parse,
)

Value = bool | int | float | str | Undefined | Invalid | tuple["Value", ...]
_DEPTH = 50


class NotKnownError(ValueError):
    """A function or a form that only HTCondor evaluates; the text names it."""


def evaluate(
    text: str,
    my: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    now: int | None = None,
) -> Value:
    """Return what an expression comes to.

    my, target: attributes of the two ads, names in lower case, each an expression. now: what
    time() is, in seconds. Raises ExpressionError where the text is no expression, NotKnownError
    where only HTCondor can tell.
    """
    try:
        return _Evaluation(my or {}, target or {}, now).value(parse(text))
    except RecursionError as error:
        raise NotKnownError("an expression of such a length") from error


def as_integer(text: str) -> int | None:
    """Return a text as a whole number, as commands such as `priority` take it; None for none.

    `1.5` and `3/2` are 1, `true` is 1 (string_is_long_param of condor_config.cpp).
    """
    if re.fullmatch(r"\s*[-+]?\d{1,18}\s*", text):
        return int(text)
    value = constant(text)
    finite = isinstance(value, int | float) and math.isfinite(value)
    return int(value) if finite and isinstance(value, int | float) else None


def as_switch(text: str) -> bool | None:
    """Return a text as true or false, as most switches take it; None for neither.

    `yes` and `no` are neither; a number is false only if it is 0 (string_is_boolean_param).
    """
    word = text.strip().lower()
    if word in ("true", "1", "false", "0"):
        return word in ("true", "1")
    value = constant(text)
    return bool(value) if isinstance(value, bool | int | float) else None


def constant(text: str) -> Value:
    """Return what an expression over no attributes comes to; INVALID for what is none."""
    try:
        return evaluate(text)
    except (ExpressionError, NotKnownError):
        return INVALID


@dataclass(slots=True)
class _Evaluation:
    my: Mapping[str, str]
    target: Mapping[str, str]
    now: int | None = None
    depth: int = 0

    def value(self, expression: Expression) -> Value:  # noqa: PLR0911  one a kind
        match expression:
            case Literal(value=value):
                return value
            case Reference():
                return self.reference(expression)
            case Listing(items=items):
                return tuple(self.value(item) for item in items)
            case Call(function=name, arguments=arguments):
                return self.call(name, arguments)
            case Selection(record=Record(attributes=pairs), name=name):
                inner = {key.lower(): part for key, part in pairs}
                return self.value(inner[name.lower()]) if name.lower() in inner else UNDEFINED
            case Selection(record=record):
                return INVALID if self.value(record) is INVALID else UNDEFINED
            case Record():
                return INVALID  # a record is no value that a command could have
            case Operation(operator=operator, operands=operands):
                return self.operation(operator, operands)

    def reference(self, reference: Reference) -> Value:
        ads = {"my": (self.my,), "target": (self.target,)}.get(
            reference.scope, (self.my, self.target)
        )
        name = reference.name.lower()
        text = next((ad[name] for ad in ads if name in ad), None)
        if text is None:
            return UNDEFINED
        if self.depth >= _DEPTH:  # attributes that name each other
            return UNDEFINED
        my, target = (self.target, self.my) if ads == (self.target,) else (self.my, self.target)
        try:
            return _Evaluation(my, target, self.now, self.depth + 1).value(parse(text))
        except ExpressionError:
            return INVALID

    def operation(  # noqa: PLR0911  one a kind
        self, operator: str, operands: Sequence[Expression]
    ) -> Value:
        if operator == "()":
            return self.value(operands[0])
        if operator in ("&&", "||"):
            return self.junction(operator == "||", operands)
        if operator == "?:":
            first = self.value(operands[0])
            return self.value(operands[1]) if isinstance(first, Undefined) else first
        if operator == "?":
            condition = _truth(self.value(operands[0]))
            if not isinstance(condition, bool):
                return condition
            return self.value(operands[1 if condition else 2])
        values = [self.value(operand) for operand in operands]
        if len(values) == 1:
            return _unary(operator, values[0])
        return _binary(operator, values[0], values[1])

    def junction(self, stops_at: bool, operands: Sequence[Expression]) -> Value:
        """Evaluate && or ||; an undefined side counts only where the other does not decide."""
        left = _truth(self.value(operands[0]))
        if left is stops_at or isinstance(left, Invalid):
            return left
        right = _truth(self.value(operands[1]))
        if right is stops_at or isinstance(right, Invalid):
            return right
        return left if isinstance(left, Undefined) else right

    def call(self, name: str, arguments: Sequence[Expression]) -> Value:
        word = name.lower()
        if word == "ifthenelse" and len(arguments) == 3:
            return self.operation("?", arguments)
        if word == "time" and not arguments and self.now is not None:
            return self.now
        values = [self.value(argument) for argument in arguments]
        if word in _TESTS and len(values) == 1:
            return isinstance(values[0], _TESTS[word])
        function = _FUNCTIONS.get(word)
        if function is None:
            raise NotKnownError(f"{name}()")
        for kind in (INVALID, UNDEFINED):
            if kind in values:
                return kind
        try:
            return function(*values)
        except (TypeError, ValueError, ArithmeticError):
            return INVALID


def _truth(value: Value) -> bool | Undefined | Invalid:
    if isinstance(value, bool | Undefined):
        return value
    return bool(value) if isinstance(value, int | float) else INVALID


def _unary(operator: str, value: Value) -> Value:
    if isinstance(value, Undefined):
        return value
    if operator == "!":
        truth = _truth(value)
        return not truth if isinstance(truth, bool) else truth
    if not isinstance(value, int | float) or isinstance(value, bool):
        return INVALID
    if operator == "~":
        return ~value if isinstance(value, int) else INVALID
    return -value if operator == "-" else +value


def _binary(  # noqa: PLR0911  one a kind
    operator: str, left: Value, right: Value
) -> Value:
    if operator in ("=?=", "is", "=!=", "isnt"):
        same = type(left) is type(right) and left == right
        return same == (operator in ("=?=", "is"))
    for kind in (INVALID, UNDEFINED):
        if kind in (left, right):
            return kind
    if operator == "[":
        inside = isinstance(left, tuple) and isinstance(right, int) and 0 <= right < len(left)
        return left[right] if inside else INVALID  # type: ignore[index]
    if operator in _COMPARISONS:
        if isinstance(left, str) and isinstance(right, str):
            return _COMPARISONS[operator](left.lower(), right.lower())
        if isinstance(left, int | float) and isinstance(right, int | float):
            return _COMPARISONS[operator](left, right)
        return INVALID
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return INVALID
    if operator in _BITS and (isinstance(left, bool) or isinstance(right, bool)):
        raise NotKnownError(f"{operator} of true or false")
    try:
        return _ARITHMETIC[operator](left, right)
    except (ArithmeticError, TypeError, ValueError):
        return INVALID


def _quotient(a: int | float, b: int | float) -> int | float:
    """Divide as C does, whole numbers towards zero."""
    if isinstance(a, int) and isinstance(b, int):
        quotient = abs(a) // abs(b)
        return quotient if (a < 0) == (b < 0) else -quotient
    return a / b


def _remainder(a: int | float, b: int | float) -> int | float:
    if not isinstance(a, int) or not isinstance(b, int):
        raise TypeError  # only of whole numbers
    return a - b * _quotient(a, b)


_COMPARISONS: Mapping[str, Callable[[object, object], bool]] = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,  # type: ignore[operator]
    ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,  # type: ignore[operator]
}  # fmt: skip
_ARITHMETIC: Mapping[str, Callable[..., int | float]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
    "/": _quotient, "%": _remainder,
    "&": lambda a, b: a & b, "|": lambda a, b: a | b, "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << min(b, 64), ">>": lambda a, b: a >> b,
    ">>>": lambda a, b: (a % (1 << 64)) >> b,
}  # fmt: skip
_BITS = frozenset({"&", "|", "^", "<<", ">>", ">>>"})
_TESTS: Mapping[str, type | tuple[type, ...]] = {
    "isundefined": Undefined, "iserror": Invalid, "isstring": str, "isboolean": bool,
    "isreal": float, "islist": tuple,
}  # fmt: skip


def _numbers(values: Sequence[Value]) -> list[int | float]:
    items = values[0] if len(values) == 1 and isinstance(values[0], tuple) else values
    numbers = [item for item in items if isinstance(item, int | float)]
    if len(numbers) != len(items):
        raise TypeError
    return numbers


def _extreme(choose: Callable[[list[int | float]], int | float], values: Sequence[Value]) -> Value:
    """Return the least or greatest; one real among them makes it a real."""
    numbers = _numbers(values)
    if not numbers:
        return UNDEFINED
    return choose(numbers) * (1.0 if any(isinstance(n, float) for n in numbers) else 1)


def _words(text: str, separators: str = ", ") -> list[str]:
    return [word.strip() for word in re.split(f"[{re.escape(separators)}]+", text) if word.strip()]


def _substring(text: str, start: int, length: int | None = None) -> str:
    rest = text[start:] if start >= 0 or -start <= len(text) else text
    return rest if length is None else rest[:length]


def _version(text: str) -> tuple[int | str, ...]:
    return tuple(int(p) if p.isdecimal() else p for p in re.findall(r"\d+|\D+", text))


def _text(value: Value) -> str:
    if isinstance(value, tuple):
        raise NotKnownError("a list as a text")
    return value if isinstance(value, str) else literal(value)


_FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "isinteger": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "int": lambda v: int(float(v)) if isinstance(v, str) else int(v),
    "real": float,
    "string": _text,
    "floor": math.floor,
    "ceiling": math.ceil,
    "round": round,
    "pow": lambda a, b: a**b if isinstance(a, float) or b >= 0 else float(a) ** b,
    "quantize": lambda a, b: math.ceil(a / b) * b,
    "min": lambda *values: _extreme(min, values),
    "max": lambda *values: _extreme(max, values),
    "sum": lambda items: sum(_numbers([items])),
    "size": len,
    "strcat": lambda *parts: "".join(map(_text, parts)),
    "substr": _substring,
    "strcmp": lambda a, b: (_text(a) > _text(b)) - (_text(a) < _text(b)),
    "stricmp": lambda a, b: (
        (_text(a).lower() > _text(b).lower()) - (_text(a).lower() < _text(b).lower())
    ),
    "toupper": str.upper,
    "tolower": str.lower,
    "join": lambda between, *items: between.join(
        map(_text, items[0] if isinstance(items[0], tuple) else items)
    ),
    "split": lambda text, by=", ": tuple(_words(text, by)),
    "member": lambda item, items: item in items,
    "stringlistmember": lambda item, text, by=", ": item in _words(text, by),
    "stringlistimember": lambda item, text, by=", ": item.lower() in _words(text.lower(), by),
    "stringlistsize": lambda text, by=", ": len(_words(text, by)),
    "versioncmp": lambda a, b: (_version(a) > _version(b)) - (_version(a) < _version(b)),
    "versionge": lambda a, b: _version(a) >= _version(b),
    "regexp": lambda pattern, text, options="": (
        re.search(pattern, text, re.IGNORECASE if "i" in options.lower() else 0) is not None
    ),
}
