"""Rules on attributes of one's own: what sites make of them, and commands behind a plus."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pixi_scaffold.job import specs
from pixi_scaffold.rules.finding import Edit, Found, Severity, at, line_of, replaced, rule
from pixi_scaffold.rules.subject import Subject
from pixi_scaffold.rules.texts import table

_KINDS = {
    "boolean": (r"true|false|[01]", "true or false, without quotes"),
    "integer": (r"[-+\d*/() .]+", "a number, without quotes: of seconds, 3600 is an hour"),
    "string": (r'"[^"]*"', "a text, in double quotes"),
}
_PLAIN = re.compile(r'"?[\w .:/-]*"?')
"""Values that are looked at; what is worked out is left alone."""


@lru_cache(maxsize=1)
def _attributes() -> dict[str, dict[str, Any]]:
    return {name.lower(): entry for name, entry in table("attributes").items()}


@rule("PS139", Severity.WARNING)
def attribute_without_effect(subject: Subject) -> Iterator[Found]:
    """An attribute that nobody reads, or with a value that its site does not take."""
    for command in subject.job.commands.values():
        if not command.name.startswith("my."):
            continue
        name, text = command.name.removeprefix("my."), subject.meaning.of(command.name).text
        if name in specs() and "_" in name and specs()[name].ad.lower() != name:
            message = f"{command.spelled} is only an attribute; condor_submit does not read it"
            edits: tuple[Edit, ...] = ()
            if command.line == command.last and name not in subject.job.commands:
                line = line_of(subject.description, command)
                edits = replaced(command, re.sub(r"^(\s*)(?:\+|MY\.)", r"\1", line, flags=re.I))
            yield at(command, message, f"write {name} = ..., without the plus", edits)
        elif name in _attributes() and _PLAIN.fullmatch(text) and (fix := _better(name, text)):
            message = f"{command.spelled} = {text}: sites that read it do not take that value"
            yield at(command, message, fix)


def _better(name: str, text: str) -> str:
    """Return what an attribute takes where a value is none of that; empty where it is."""
    entry = _attributes()[name]
    if "words" in entry:
        word = text.strip('"').lower()
        if word in entry["words"]:
            return ""
        near = difflib.get_close_matches(word, entry["words"], n=1)
        return f'did you mean "{near[0]}"?' if near else f"one of: {', '.join(entry['words'])}"
    pattern, fix = _KINDS[entry["kind"]]
    if re.fullmatch(r"[A-Za-z_]\w*", text) and entry["kind"] != "boolean":
        return ""  # PS118 speaks of a word without quotes
    return "" if re.fullmatch(pattern, text, re.IGNORECASE) else f"write {fix}"
