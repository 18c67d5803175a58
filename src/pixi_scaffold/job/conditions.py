"""The conditions of `if` in a submit description (config.cpp, ConfigIfStack)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

READ_AS = (25, 14, 1)
"""`if version ...` is read as this release of HTCondor would."""
_WORDS = {"true": True, "yes": True, "t": True, "false": False, "no": False, "f": False}

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
    held = _version_holds(text, READ_AS)
    if held is None:
        return None, ""
    release = ".".join(map(str, READ_AS))
    return held, f"`if {text}` is read as HTCondor {release} would"


def _version_holds(text: str, release: tuple[int, int, int]) -> bool | None:
    """Return whether `version >= 25.14.0` holds for a release; None where it is no such condition.

    Source: config.cpp, Evaluate_config_if_version.
    """
    matched = _VERSION.fullmatch(text)
    if matched is None:
        return None
    wanted = (int(matched[3]), int(matched[4]), int(matched[5] or release[2]))
    sign = (wanted < release) - (wanted > release)
    held = {"<": sign < 0, ">": sign > 0, "=": sign == 0, "==": sign == 0}
    held |= {"<=": sign <= 0, ">=": sign >= 0}
    return held[matched[2]] != bool(matched[1])
