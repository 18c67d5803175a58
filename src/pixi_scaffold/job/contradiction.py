"""Comparisons in a condition on a slot of which no slot can meet all."""

from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

from pixi_scaffold.job.classad import (
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

_MOST = 64
"""Alternatives of one condition that are looked at; one with more is not understood here."""
_EQUAL = ("==", "=?=", "is")
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_COMPARED = (*_EQUAL, "!=", *_FLIPPED)


class Compared(NamedTuple):
    """An attribute of the slot compared with a value."""

    name: str
    """In lower case."""
    operator: str
    value: bool | int | float | str
    text: str
    """As a message shows it."""


def alternatives(text: str) -> tuple[tuple[Compared, ...], ...]:
    """Return the ways in which a condition can hold, each as comparisons that must all hold.

    What is no comparison with a value counts as true. One alternative without any comparison for a
    text that is no expression, or has too many.
    """
    try:
        return _alternatives(parse(text))
    except (ExpressionError, RecursionError):
        return ((),)


def _alternatives(expression: Expression) -> tuple[tuple[Compared, ...], ...]:
    match expression:
        case Operation(operator="()", operands=(inner,)):
            return _alternatives(inner)
        case Operation(operator="&&" | "||" as operator, operands=(left, right)):
            first, second = _alternatives(left), _alternatives(right)
            if operator == "||":
                ways = (*first, *second)
            else:
                ways = tuple((*a, *b) for a in first for b in second)
            return ways if len(ways) <= _MOST else ((),)
    compared = _compared(expression)
    return ((compared,),) if compared else ((),)


def _compared(expression: Expression) -> Compared | None:
    """Return an attribute compared with a value, whichever stands first; None for all else."""
    match expression:
        case Operation(operator=operator, operands=(Reference() as name, Literal(value=value))):
            pass
        case Operation(operator=operator, operands=(Literal(value=value), Reference() as name)):
            operator = _FLIPPED.get(operator, operator)
        case _:
            return None
    if operator not in _COMPARED or name.scope == "my" or isinstance(value, Undefined | Invalid):
        return None
    text = f"{name.name} {operator} {literal(value)}"
    return Compared(name.name.lower(), operator, value, text)


def contradiction(text: str, others: Iterable[Compared] = ()) -> tuple[str, str] | None:
    """Return two comparisons that exclude each other, where every way to meet a condition has two.

    others: what has to hold besides, such as that the slot has the memory that is asked for.
    """
    first: tuple[str, str] | None = None
    for way in alternatives(text):
        pairs = combinations((*way, *others), 2)
        pair = next(((a, b) for a, b in pairs if a.name == b.name and _exclude(a, b)), None)
        if pair is None:
            return None
        first = first or (pair[0].text, pair[1].text)
    return first


def _exclude(one: Compared, other: Compared) -> bool:
    equal = [c.operator in _EQUAL for c in (one, other)]
    if isinstance(one.value, str) and isinstance(other.value, str):
        differ = one.value.lower() != other.value.lower()
        if all(equal):
            return differ or ("==" not in (one.operator, other.operator) and one != other)
        return any(equal) and "!=" in (one.operator, other.operator) and not differ
    if isinstance(one.value, str) or isinstance(other.value, str):
        return all(equal)
    if "!=" in (one.operator, other.operator):
        return any(equal) and one.value == other.value
    return _below(one, other) or _below(other, one)


def _below(upper: Compared, lower: Compared) -> bool:
    """Whether one comparison allows only numbers below those that the other allows."""
    if upper.operator.startswith(">") or lower.operator.startswith("<"):
        return False
    if isinstance(upper.value, str) or isinstance(lower.value, str):
        return False
    strict = upper.operator == "<" or lower.operator == ">"
    return upper.value < lower.value or (strict and upper.value == lower.value)
