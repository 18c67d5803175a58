"""Rules on what was left behind by accident: placeholders, conflict markers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pixi_scaffold.rules.finding import Found, Severity, at, rule
from pixi_scaffold.rules.subject import Subject
from pixi_scaffold.rules.texts import read_bytes

PLACEHOLDER = re.compile(
    r"\bmy(?:user|username|name|org|repo)/|<[A-Za-z][\w -]*>|(?<![A-Za-z])__[A-Z][A-Z_]+__"
    r"|\bYOUR[_-]?[A-Z]+\b|\byour[_-](?:name|image|user|netid|repo|org|data|path|file)\w*"
    r"|\bCHANGE[_-]?ME\b|\bREPLACE[_-]?ME\b|\bREGISTRY/NAME\b|\bnetid\b|\busername/|\buser/(?:repo|image)"
    r"|path[/_]to[/_]|example\.(?:com|org)|(?-i:\bTODO\b|\bFIXME\b|\bXXX\b)|placeholder",
    re.IGNORECASE,
)
_NAMES = (
    "container_image", "docker_image", "my.singularityimage", "transfer_input_files", "executable",
    "accounting_group", "my.projectname", "output_destination", "arguments",
    "transfer_output_files",
    "transfer_output_remaps", "environment", "initialdir", "log", "output", "error", "notify_user",
)  # fmt: skip
_FREE = frozenset({"arguments", "environment"})
_NEVER = re.compile(r"[<>]|__[A-Z]")
"""What no name of an image has."""


@rule("PS405", Severity.WARNING)
def placeholder(subject: Subject) -> Iterator[Found]:
    """A placeholder that nobody replaced."""
    for command, text in subject.said(*_NAMES):
        for matched in PLACEHOLDER.finditer(text):
            if command.name in _FREE and not re.search(
                r"[<_/]|CHANGE|REPLACE|YOUR", matched[0], re.I
            ):
                continue  # `--mode netid`, `TODO` in a text: words that a program may take
            message = f"{command.spelled} has a placeholder: {matched[0]}"
            image = command.name.endswith("_image") and _NEVER.search(matched[0]) is not None
            severity = Severity.ERROR if image else None
            yield at(command, message, "put the real name in its place", (), severity, matched[0])
            break


_TEXTS = ("", ".sh", ".bash", ".py", ".toml", ".lock", ".yaml", ".yml", ".json")
_MARKER = re.compile(rb"^(?:<{7} |={7}$|>{7} )", re.MULTILINE)


@rule("PS309")
def conflict_markers(subject: Subject) -> Iterator[Found]:
    """Conflict markers of git in a file that travels."""
    for path in subject.files:
        if path.suffix not in _TEXTS:
            continue
        data = read_bytes(path) or b""
        if b"<<<<<<< " not in data:
            continue
        marks = [m.group() for m in _MARKER.finditer(data)]
        if b"<<<<<<< " in marks and b"=======" in marks and b">>>>>>> " in marks:
            number = data[: data.index(b"<<<<<<< ")].count(b"\n") + 1
            sure = path == subject.executable or path.suffix == ".py"
            yield Found(
                path, number, "conflict markers of git stand in the file", "keep one version",
                severity=None if sure else Severity.WARNING, about="<<<<<<<",
            )  # fmt: skip
