"""Plain arithmetic in a submit description, such as `15 * 1000`; nothing is looked up."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

_LENGTH = 60


def number(text: str) -> int | float | None:
    """Return what `15*1000` or `(2 + 1)` is; None for anything but plain arithmetic."""
    if len(text) > _LENGTH or not re.fullmatch(r"[-+*/() \t.\deE]+", text) or "**" in text:
        return None
    try:
        found = _value(ast.parse(text.strip(), mode="eval").body)
        return found if math.isfinite(found) else None
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError):
        return None


_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda a, b: _quotient(a, b) if isinstance(a, int) and isinstance(b, int) else a / b,
}


def _quotient(a: int, b: int) -> int:
    """Divide as C does, towards zero."""
    found = abs(a) // abs(b)
    return found if (a < 0) == (b < 0) else -found


def _value(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as found):
            return found
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=inner):
            return -_value(inner) if isinstance(sign, ast.USub) else _value(inner)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
    raise ValueError(ast.dump(node))
