"""The conditions of `if` in a submit description.

Source: ConfigIfStack and Evaluate_config_if_version of config.cpp.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

READ_AS = (25, 14, 1)
"""`if version ...` is read as this release of HTCondor would."""
_WORDS = {"true": True, "yes": True, "t": True, "false": False, "no": False, "f": False}

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, ">": operator.gt, "=": operator.eq, "==": operator.eq, "<=": operator.le,
    ">=": operator.ge,
}  # fmt: skip
_VERSION = re.compile(
    r"version\s*(!?)(<=|>=|==|=|<|>)\s*v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?", re.IGNORECASE
)


@dataclass(slots=True)
class Branch:
    """One `if`: whether the branch that is read now holds, whether one held, whether else came."""

    active: bool
    taken: bool
    else_seen: bool = False

    def turn(self, word: str, holds: Callable[[], bool]) -> None:
        """Go on to its `elif` or `else`."""
        self.else_seen = word == "else"
        self.active = not self.taken and (self.else_seen or holds())
        self.taken = self.taken or self.active


def truth(text: str, macros: Mapping[str, str]) -> tuple[bool | None, str]:
    """Return what a condition comes to, None for none, and what was assumed for it, if anything.

    text: macros expanded, without a `!` before it. macros: names in lower case.
    """
    if text.lower() in _WORDS:
        return _WORDS[text.lower()], ""
    if re.fullmatch(r"[-+]?\d{1,18}(\.\d*)?", text):
        return float(text) != 0, ""
    if matched := re.fullmatch(r"defined(?:\s+(.*))?", text, re.IGNORECASE | re.DOTALL):
        name = (matched[1] or "").strip()
        return bool(macros.get(name.lower())) or bool(re.fullmatch(r"-?\d+", name)), ""
    if (matched := _VERSION.fullmatch(text)) is None:
        return None, ""
    negated, comparison, *numbers = matched.groups(READ_AS[2])
    held = _COMPARISONS[str(comparison)](READ_AS, tuple(map(int, numbers))) != bool(negated)
    return held, f"`if {text}` is read as HTCondor {'.'.join(map(str, READ_AS))} would"
