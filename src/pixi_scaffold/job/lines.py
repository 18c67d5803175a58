"""Logical lines of a submit description, and the conditions by which some of them count.

Source: getline_implementation, ConfigIfStack and Evaluate_config_if_version of config.cpp.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pixi_scaffold.job.evaluate import COMPARISONS

_SPACE = " \t\n\v\f\r"  # isspace() of C
READ_AS = (25, 14, 1)
"""`if version ...` is read as this release of HTCondor would."""
_WORDS = {"true": True, "yes": True, "t": True, "false": False, "no": False, "f": False}

_VERSION = re.compile(
    r"version\s*(!?)(<=|>=|==|=|<|>)\s*v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?", re.IGNORECASE
)


class Line(NamedTuple):
    """One logical line: its text, its file, its first and last line there, what is odd about it."""

    text: str
    file: Path
    first: int
    last: int
    oddity: str = ""


def logical_lines(text: str, file: Path) -> Iterator[Line]:
    """Yield the logical lines of the text of a file, comments and blank ones included.

    A comment is not continued. A comment inside a continued line does not end it, but its last
    character is kept (config.cpp, getline_implementation; seen with HTCondor 23.9 and 25.14).
    """
    physical = text.split("\n")
    unended = physical.pop()  # empty unless the file ends within a line, which is then not trimmed
    parts: list[str] = []
    first, oddity = 1, ""
    for number, raw in enumerate(physical, start=1):
        line = raw.strip(_SPACE)
        if not parts:
            first, oddity = number, ""
        if line.startswith("#"):
            if not any(parts):
                yield Line(line, file, number, number)
                parts = []
                continue
            oddity = "a comment inside a continued line"
            line = line[-1]
        # Spaces before a backslash belong to the value; those that begin a line do not.
        if line.endswith("\\"):
            parts.append(line[:-1])
            continue
        parts.append(line)
        yield Line("".join(parts), file, first, number, oddity)
        parts = []
    if parts or unended:
        last = len(physical) + 1 if unended else len(physical)
        first = first if parts else last
        yield Line("".join([*parts, unended]), file, first, last, oddity)


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
    held = COMPARISONS[str(comparison)](READ_AS, tuple(map(int, numbers))) != bool(negated)
    return held, f"`if {text}` is read as HTCondor {'.'.join(map(str, READ_AS))} would"
