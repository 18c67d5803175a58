"""Logical lines of a submit description: continued ones joined the way HTCondor joins them."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


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


_SPACE = " \t\n\v\f\r"  # isspace() of C
