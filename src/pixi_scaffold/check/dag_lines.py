"""The lines of a DAG file, and what may follow each command."""

import re
from collections.abc import Iterator
from pathlib import Path

from pixi_scaffold.system import read_regular

_LIMIT = 4 << 20
_WORDS = re.compile(r'"[^"]*"|\S+')
_DATA = Path(__file__).with_name("data") / "dag.txt"
FORMS = dict(
    line.split(" ", 1) for line in _DATA.read_text(encoding="utf-8").splitlines() if line[0] != "#"
)
"""Command -> what follows it; `-` and `_` are the same in a command."""
DESCRIPTION = "SUBMIT-DESCRIPTION"
ALONE = ("FINAL", "PROVISIONER", "SERVICE")
"""Nodes that none waits for, and that wait for none."""
NODES = ("JOB", *ALONE)
_KINDS = {
    "NUMBER": r"[-+]?\d+", "COUNT": r"\d+", "PRE/POST/HOLD": "(?:PRE|POST|HOLD)",
    **dict.fromkeys(("NAME", "FILE", "FOLDER", "NODE"), r"\S+"), "NAME=VALUE": ".+",
}  # fmt: skip
"""Words of a form, as patterns."""


def lines_of(
    path: Path, seen: frozenset[Path] = frozenset()
) -> Iterator[tuple[int, list[str], str]]:
    """Yield the commands of a DAG, with those that it includes: line, words, and the whole.

    Descriptions that stand in it are left out. Raises OSError.
    """
    text = read_regular(path, _LIMIT).decode("utf-8", errors="replace")
    start, goes_on, end = 0, "", ""
    for number, line in enumerate(text.splitlines(), start=1):
        start = start if goes_on else number
        whole = f"{goes_on} {line}" if goes_on else line
        goes_on = whole[:-1] if whole.endswith("\\") else ""
        words = [word.strip('"') for word in _WORDS.findall(whole)]
        if goes_on or not words or words[0].startswith("#"):
            continue
        if end:  # a description that stands in the DAG goes on
            end = "" if words[0].startswith(end) else end
            continue
        if words[0].upper().replace("_", "-") in (*NODES, DESCRIPTION) and len(words) > 2:
            end = "}" if words[2] == "{" else words[2].replace("=", "") * (words[2][:2] == "@=")
        if words[0].upper() == "INCLUDE" and len(words) > 1:
            other = path.parent / words[1]
            if other not in seen:
                yield from lines_of(other, seen | {path, other})
            continue
        yield start, words, whole


def fits(command: str, given: list[str]) -> bool:
    """Whether words are as the form of a command says; what may follow at its end has any order."""
    groups = re.sub(r" \[([^.].*?)\]", r"(?: \1)*", f" {FORMS[command]}").replace(")*(?:", "|")
    pattern = re.sub(
        "[A-Z/=]+", lambda m: _KINDS.get(m[0], m[0]), groups.replace(" [...]", "(?: .*)?")
    )
    return re.fullmatch(pattern, "".join(f" {w.replace(' ', '_')}" for w in given)) is not None
