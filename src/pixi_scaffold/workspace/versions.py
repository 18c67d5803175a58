"""Conda versions of the usual forms, compared without the library, which takes long to load (pure).

Whatever looks otherwise is None here, and is then asked of the library.
"""

import re
from functools import cache
from itertools import zip_longest
from typing import Any

_VERSION = re.compile(r"\d+[a-z\d]*(?:\.[a-z\d]+)*")
_RUN = re.compile(r"\d+|[a-z]+")
_CLAUSE = re.compile(r"(>=|<=|>|<|==|!=)?([a-z\d.]+?)(\.\*)?")
_WANTED = {">=": (0, 1), "<=": (-1, 0), ">": (1,), "<": (-1,), "==": (0,), "!=": (-1, 1)}
_RANKS = {"dev": 0, "post": 3}
"""Before any other word, and after any number."""
_ZERO = (2, 0)
"""What is missing."""

Parts = tuple[tuple[tuple[int, Any], ...], ...]
"""A version at its dots, each part where digits and letters meet: a rank and what is there."""


@cache
def _parts(version: str) -> Parts | None:
    if not _VERSION.fullmatch(version):
        return None
    parts = []
    for part in version.split("."):
        runs = [
            (2, int(run)) if run.isdigit() else (_RANKS.get(run, 1), run)
            for run in _RUN.findall(part)
        ]
        parts.append((*([_ZERO] if part[0].isalpha() else []), *runs))  # it begins with a number
    return tuple(parts)


def _order(one: Parts, other: Parts) -> int:
    """Return -1, 0 or 1."""
    for mine, its in zip_longest(one, other, fillvalue=(_ZERO,)):
        for x, y in zip_longest(mine, its, fillvalue=_ZERO):
            if x != y:
                return 1 if x > y else -1
    return 0


@cache
def _clauses(wanted: str) -> tuple[tuple[str, Parts, bool], ...] | None:
    """Return a specifier as (sign, version, whether `.*` follows); None for one of another form."""
    clauses = []
    for clause in wanted.split(","):
        matched = _CLAUSE.fullmatch(clause)
        parts = _parts(matched[2]) if matched else None
        sign = matched[1] or "==" if matched else ""
        if matched is None or parts is None or (matched[3] and matched[1] not in (None, "!=")):
            return None
        clauses.append((sign, parts, bool(matched[3])))
    return tuple(clauses)


@cache
def lies_in(version: str, wanted: str) -> bool | None:
    """Whether a version lies in a specifier such as `>=1.2,<2.0a0`; None: ask the library."""
    have, clauses = _parts(version), _clauses(wanted)
    if wanted == "*" or have is None or clauses is None:
        return True if wanted == "*" else None
    for sign, parts, begins in clauses:
        if not begins:
            if _order(have, parts) not in _WANTED[sign]:
                return False
            continue
        if len(have) < len(parts) or any(len(part) > 1 for part in (*have[: len(parts)], *parts)):
            return None
        if (have[: len(parts)] == parts) != (sign == "=="):
            return False
    return True
