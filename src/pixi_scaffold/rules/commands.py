"""Rules on which commands stand in a description, and how often."""

import difflib
import re
from collections.abc import Iterator
from functools import lru_cache

from pixi_scaffold.job import custom_resource, is_command, references, specs
from pixi_scaffold.rules.finding import (
    Edit,
    Found,
    Severity,
    at,
    commented,
    line_of,
    replaced,
    rule,
    short,
)
from pixi_scaffold.rules.subject import Subject
from pixi_scaffold.rules.texts import table

_MOST = 100
"""Unknown commands in one file that are looked up; more is another kind of file."""


@rule("PS101", Severity.WARNING)
def set_twice(subject: Subject) -> Iterator[Found]:
    """A command is set twice."""
    main = subject.description.path
    for earlier, later in subject.description.lost:
        if earlier.file != main and later.file == main:
            continue  # a default of an included file
        if earlier.spelled.lower() in references(later.value):
            continue  # args = ... and arguments = $(args): a macro, whatever else it is called
        known = is_command(earlier.name)
        line = f"line {earlier.line}"
        where = line if earlier.file == later.file else f"{line} of {earlier.file.name}"
        if earlier.value == later.value:
            message = f"{later.spelled} is set on {where} already, to the same value"
            fix = "remove one of the two"
            edits = (Edit(later.file, later.line, later.last),)
            yield at(later, message, fix, edits, Severity.NOTE)
        elif known or earlier.name in used_macros(subject):
            lost = short(earlier.value)
            message = f"{later.spelled} is set on {where} already; that value ({lost}) is lost"
            yield at(later, message, "keep one line; conditions are joined with &&")


@rule("PS102", Severity.WARNING)
def unknown_command(subject: Subject) -> Iterator[Found]:
    """A command that HTCondor does not know."""
    used = used_macros(subject) | (set(subject.site.commands) if subject.site else set())
    last = {c.name: c for c in subject.description.commands}
    unknown = [
        c
        for name, c in last.items()
        if not is_command(name) and name not in used and c.spelled.lower() not in used
    ]
    others = table("elsewhere").items()
    for command in unknown[:_MOST]:
        name = command.name
        resource = custom_resource(name) and name not in _REFUSED
        near = near_request(name) if custom_resource(name) else _near(name)
        if near:
            edits = replaced(subject, command, command.spelled, near)
            edits = () if near in subject.job.commands else edits
            message = f"HTCondor has no command {command.spelled!r}; condor_submit ignores it"
            if resource:
                message = f"HTCondor takes {command.spelled!r} for a resource that a pool has added"
            refused = subject.meaning.of(name).refused
            severity = Severity.ERROR if refused else Severity.WARNING
            yield at(command, message, f"did you mean {near}?", edits, severity)
        elif not resource and command.file.is_absolute():  # VARS of a DAG may go unused
            unused = "is no command of HTCondor, and nothing uses it as a macro"
            message = f"{command.spelled!r} {unused}"
            fix = next((f"HTCondor's own is: {k}" for k, v in others if name in v), _UNUSED)
            yield at(command, message, fix, about=command.spelled)


_UNUSED = "remove the line, or write +NAME for an attribute of the job"
_REFUSED = frozenset({"request_cpu", "request_gpu"})
"""The only misspelt requests that condor_submit warns of (a dry run of 25.14)."""


def _near(name: str) -> str:
    """Return the command that a name is nearly; empty for none."""
    near = difflib.get_close_matches(name, specs(), n=1, cutoff=0.75 if "_" in name else 0.82)
    return near[0] if near else ""


def near_request(name: str) -> str:
    """Return the request that a name is nearly; empty for what a pool may really have added.

    Every other `request_...` asks for a custom resource: TPUs, NPUs, FPGAs, licenses.
    """
    if name in _REFUSED:
        return f"{name}s"
    if name.endswith(("pu", "pus")):
        return ""
    requests = [known for known in specs() if known.startswith("request_")]
    near = difflib.get_close_matches(name, requests, n=1, cutoff=0.9)
    return near[0] if near else ""


@rule("PS143", Severity.WARNING)
def of_another_universe(subject: Subject) -> Iterator[Found]:
    """A command that only the parallel universe has."""
    command = subject.where("machine_count", "node_count", "nodecount")
    of_many = subject.universe in ("parallel", "vm", "grid")
    if command and command.value.strip() != "1" and not of_many:
        message = f"{command.spelled} counts only in the parallel universe: the job gets one core"
        yield at(command, message, f"request_cpus = {command.value.strip()}")


@rule("PS119")
def comment_in_value(subject: Subject) -> Iterator[Found]:
    """A comment behind a value."""
    for command in subject.job.commands.values():
        if not commented(command):
            continue
        comment = re.split(r"\s(?=#)", command.value, maxsplit=1)[1].strip()
        edits: tuple[Edit, ...] = ()
        line = line_of(subject.description, command)
        if command.line == command.last and comment in line:  # it may come from an earlier value
            indent = line[: len(line) - len(line.lstrip())]
            kept = line[: line.rindex(comment)].rstrip()
            edits = (Edit(command.file, command.line, command.line, (indent + comment, kept)),)
        message = f"HTCondor has no comments behind a value: {command.spelled} is now all of it, "
        severity = Severity.ERROR if subject.meaning.of(command.name).refused else Severity.WARNING
        fix = "move the comment to the line above"
        yield at(command, f"{message}{comment!r} too", fix, edits, severity)


def used_macros(subject: Subject) -> frozenset[str]:
    """Return the names (lower case) that the file mentions as macros or in `if defined`."""
    description = subject.description
    files = (description.lines, *description.included.values())
    return frozenset().union(*map(_macros_in, files))


@lru_cache(maxsize=16)
def _macros_in(lines: tuple[str, ...]) -> frozenset[str]:
    """Return the names that one file mentions; every job of a description asks."""
    names: set[str] = set()
    for text in lines:
        if "$" in text:
            names |= references(text)
        if "defined" in text.lower():
            names |= {word.lower() for word in re.findall(r"defined\s+(\S+)", text, re.IGNORECASE)}
    return frozenset(names)
