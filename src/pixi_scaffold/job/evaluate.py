"""What a ClassAd expression comes to: by HTCondor's own library for its rarer functions.

That takes 40 ms to load and does not exist for macOS, so what descriptions mostly hold is worked
out here; tests compare with the library.
"""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pixi_scaffold.job.classad import (
    INVALID,
    UNDEFINED,
    Expression,
    ExpressionError,
    Invalid,
    Literal,
    Operation,
    Reference,
    Undefined,
    literal,
    parse,
)

Value = bool | int | float | str | Undefined | Invalid | tuple["Value", ...]
_DEPTH = 50
_LONGEST = 10_000
"""Characters of an expression that the library is given."""


class NotKnownError(Exception):
    """A function or a form that only HTCondor's library evaluates; the text names it."""


def evaluate(
    text: str,
    my: Mapping[str, str] | None = None,
    target: Mapping[str, str] | None = None,
    now: int | None = None,
) -> Value:
    """Return what an expression comes to.

    my, target: attributes of the two ads, names in lower case, each an expression. now: what
    time() is, in seconds. Raises ExpressionError where the text is no expression, NotKnownError
    where only HTCondor's library could tell and is not installed.
    """
    ads = my or {}, target or {}
    try:
        return _Evaluation(*ads, now).value(parse(text))
    except RecursionError as error:
        raise NotKnownError("an expression of such a length") from error
    except NotKnownError:
        from pixi_scaffold.job import htcondor

        if not htcondor.available() or len(text) > _LONGEST:
            raise
        return htcondor.evaluated(text, *ads, now)


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
    """Return what an expression over no attributes comes to; INVALID for what is no expression."""
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

    def value(self, expression: Expression) -> Value:
        match expression:
            case Literal(value=value):
                return value
            case Reference():
                return self.reference(expression)
            case Operation(operator=sign, operands=operands):
                return self.operation(sign, operands)

    def reference(self, reference: Reference) -> Value:
        both, name = (self.my, self.target), reference.name.lower()
        ads = {"my": both[:1], "target": both[1:]}.get(reference.scope, both)
        text = next((ad[name] for ad in ads if name in ad), None)
        if text is None or self.depth >= _DEPTH:  # attributes that name each other
            return UNDEFINED
        my, target = (self.target, self.my) if ads == (self.target,) else (self.my, self.target)
        try:
            return _Evaluation(my, target, self.now, self.depth + 1).value(parse(text))
        except ExpressionError:
            return INVALID

    def operation(  # noqa: PLR0911  one a kind
        self, sign: str, operands: Sequence[Expression]
    ) -> Value:
        if sign in ("&&", "||"):
            return self.junction(sign == "||", operands)
        if sign.endswith("("):
            return self.call(sign[:-1], operands)
        if sign == "{}":
            return tuple(map(self.value, operands))
        if sign == "[]":
            return INVALID  # a record is no value that a command could have
        if sign[0] == "." and getattr(operands[0], "operator", "") == "[]":
            raise NotKnownError("a part of a record")
        first = self.value(operands[0])
        if sign == "()":
            return first
        if sign == "?:":
            return self.value(operands[1]) if isinstance(first, Undefined) else first
        if sign == "?":
            truth = _truth(first)
            return self.value(operands[2 - truth]) if isinstance(truth, bool) else truth
        if len(operands) == 1:
            return _unary(sign, first)
        return _binary(sign, first, self.value(operands[1]))

    def junction(self, stops_at: bool, operands: Sequence[Expression]) -> Value:
        """Evaluate && or ||; an undefined side counts only where the other does not decide."""
        sides: list[Value] = []
        for operand in operands:
            side = _truth(self.value(operand))
            if side is stops_at or isinstance(side, Invalid):
                return side
            sides.append(side)
        return UNDEFINED if UNDEFINED in sides else not stops_at

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


def _unary(sign: str, value: Value) -> Value:
    if sign[0] == ".":  # a part of what is no record
        return INVALID if value is INVALID else UNDEFINED
    if isinstance(value, Undefined):
        return value
    if sign == "!":
        truth = _truth(value)
        return not truth if isinstance(truth, bool) else truth
    if not isinstance(value, int | float) or isinstance(value, bool):
        return INVALID
    if sign == "~":
        return ~value if isinstance(value, int) else INVALID
    return -value if sign == "-" else +value


def _binary(  # noqa: PLR0911  one a kind
    sign: str, left: Value, right: Value
) -> Value:
    if sign in ("=?=", "is", "=!=", "isnt"):
        same = type(left) is type(right) and left == right
        return same == (sign in ("=?=", "is"))
    for kind in (INVALID, UNDEFINED):
        if kind in (left, right):
            return kind
    if sign == "[":
        inside = isinstance(left, tuple) and isinstance(right, int) and 0 <= right < len(left)
        return left[right] if inside else INVALID  # type: ignore[index]
    if sign in COMPARISONS:
        if isinstance(left, str) and isinstance(right, str):
            return COMPARISONS[sign](left.lower(), right.lower())
        if isinstance(left, int | float) and isinstance(right, int | float):
            return COMPARISONS[sign](left, right)
        return INVALID
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return INVALID
    if sign in _BITS and (isinstance(left, bool) or isinstance(right, bool)):
        raise NotKnownError(f"{sign} of true or false")
    try:
        return _ARITHMETIC[sign](left, right)
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


COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge, "=": operator.eq,
}  # fmt: skip
_ARITHMETIC: Mapping[str, Callable[..., int | float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": _quotient, "%": _remainder,
    "&": operator.and_, "|": operator.or_, "^": operator.xor, ">>": operator.rshift,
    "<<": lambda a, b: a << min(b, 64), ">>>": lambda a, b: (a % (1 << 64)) >> b,
}  # fmt: skip
_BITS = frozenset({"&", "|", "^", "<<", ">>", ">>>"})
_TESTS: Mapping[str, type | tuple[type, ...]] = {
    "isundefined": Undefined, "iserror": Invalid, "isstring": str, "isboolean": bool,
    "isreal": float, "islist": tuple,
}  # fmt: skip


def _extreme(choose: Callable[[list[int | float]], int | float], values: Sequence[Value]) -> Value:
    """Return the least or greatest; one real among them makes it a real."""
    items = values[0] if len(values) == 1 and isinstance(values[0], tuple) else values
    numbers = [item for item in items if isinstance(item, int | float)]
    if len(numbers) != len(items):
        raise TypeError
    real = 1.0 if any(isinstance(n, float) for n in numbers) else 1
    return choose(numbers) * real if numbers else UNDEFINED


def _converted(kind: type[int] | type[float], value: Value) -> Value:
    if not isinstance(value, int | float):
        raise NotKnownError(f"a number of {value!r}")
    return kind(value)


def _text(value: Value) -> str:
    if isinstance(value, tuple):
        raise NotKnownError("a list as a text")
    return value if isinstance(value, str) else literal(value)


_FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "isinteger": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "int": partial(_converted, int),
    "real": partial(_converted, float),
    "string": _text,
    "floor": math.floor,
    "ceiling": math.ceil,
    "round": round,
    "min": lambda *values: _extreme(min, values),
    "max": lambda *values: _extreme(max, values),
    "size": len,
    "strcat": lambda *parts: "".join(map(_text, parts)),
    "toupper": str.upper,
    "tolower": str.lower,
    "member": lambda item, items: any(_binary("==", item, one) is True for one in items),
    "regexp": lambda pattern, text, options="": (
        re.search(pattern, text, re.IGNORECASE if "i" in options.lower() else 0) is not None
    ),
}
