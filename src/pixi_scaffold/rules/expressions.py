"""Rules on ClassAd expressions: requirements, rank, periodic checks, attributes of one's own."""

import difflib
import re
from collections.abc import Iterator, Mapping

from pixi_scaffold.job import (
    Command,
    Compared,
    ExpressionError,
    Reference,
    alternatives,
    attributes,
    contradiction,
    custom_resource,
    gpu_names,
    in_parentheses,
    job_names,
    slot_names,
)
from pixi_scaffold.rules.commands import near_request
from pixi_scaffold.rules.finding import Found, Severity, at, refused, replaced, rule
from pixi_scaffold.rules.pools import OLD_GPU
from pixi_scaffold.rules.subject import Subject
from pixi_scaffold.rules.texts import table

EXPRESSIONS = frozenset(table("slots")["expressions"].split())
"""Commands whose value is a ClassAd expression."""


@rule("PS105")
def bad_expression(subject: Subject) -> Iterator[Found]:
    """An expression that does not parse."""
    for refusal, one in refused(subject, "expression"):
        name = refusal.command.name if refusal.command is not None else ""
        if not (custom_resource(name) and near_request(name)):  # PS102 says it
            yield one


@rule("PS106", Severity.WARNING)
def unknown_attribute(subject: Subject) -> Iterator[Found]:
    """Requirements that name an attribute no slot has."""
    defined = _own_attributes(subject)
    own_slots = subject.attributes | (subject.site.attributes if subject.site else frozenset())
    slot = {**slot_names(), **{name: name for name in own_slots}}
    for command, text in _expressions(subject):
        try:
            named = attributes(text)
        except ExpressionError:
            continue  # PS105 says so
        if command.name not in ("requirements", "rank", "require_gpus"):
            yield from _misspelt_job_attributes(command, named, defined)
            continue
        scope = gpu_names() if command.name == "require_gpus" else slot
        known = {**scope, **job_names()}
        guarded = defined | {a or b for a, b in _GUARDS.findall(text.lower())}
        for reference in named:
            if _known(reference, known, guarded, subject) or OLD_GPU.search(reference.name):
                continue  # PS127 speaks of the old names
            name = rf"'?(?<![.\w]){re.escape(reference.name)}'?(?![\w(.])"
            if re.search(rf"\b(?:{_TEXTS})\s*(?:=\?=|=!=|==|!=)\s*{name}", text, re.I):
                message = (
                    f"{command.spelled} compares with {reference.name}, which is read as the "
                    "name of an attribute"
                )
                yield at(command, message, f'a text stands in double quotes: "{reference.name}"')
                continue
            yield _unknown(command, reference.name, known)


def _unknown(command: Command, name: str, known: Mapping[str, str]) -> Found:
    """Return what to say of an attribute that typical slots do not have."""
    given = "if it is your pool's own, give its machine ads: check --slots FILE"
    if _SITE.match(name):
        message = f"{command.spelled} names {name}, which only a site's own slots can have"
        return at(command, message, given, severity=Severity.NOTE, about=name)
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.8)
    message = f"{command.spelled} names {name}, which typical slots do not have"
    return at(command, message, f"did you mean {known[near[0]]}?" if near else given, about=name)


@rule("PS118", Severity.WARNING)
def bare_word(subject: Subject) -> Iterator[Found]:
    """An attribute whose value is a word without quotes."""
    defined = _own_attributes(subject)
    for command, text in _expressions(subject):
        if not command.name.startswith("my.") or not re.fullmatch(r"[A-Za-z_]\w*", text):
            continue
        word = text.lower()
        if word in {"true", "false", "undefined", "error", *defined, *job_names()}:
            continue
        itself = command.value.strip() == text
        edits = replaced(subject, command, text, f'"{text}"') if itself else ()
        message = f"{command.spelled} = {text} names an attribute"
        yield at(command, message, f'write "{text}"', edits)


_GUARDS = re.compile(r"isundefined\(\s*(?:\w+\.)?(\w+)|(\w+)\s*(?:=[?!]=|is|isnt)\s*undefined")
"""How an expression asks whether there is an attribute, before it uses it."""
_SITE = re.compile(r"HAS_|Has[A-Z]|GLIDEIN_|OSG|Is[A-Z]")
"""How sites name attributes of their own; a near miss of another name is no proof.

Source: the OSPool's guide to requirements; HAS_CVMFS_NAME is there for every repository.
"""
_TEXTS = "Arch|OpSys|OpSysAndVer|OpSysName|OpSysShortName|Machine|Name|GPUs_DeviceName|DeviceName"


def _misspelt_job_attributes(
    command: Command, named: tuple[Reference, ...], defined: set[str]
) -> Iterator[Found]:
    """Yield names in an expression about the job that are nearly those of a job's attributes."""
    if command.name.startswith("my."):
        return
    for reference in named:
        name = reference.name.lower()
        known = name in job_names() or name in slot_names() or name in defined
        if reference.scope == "target" or known:
            continue
        near = difflib.get_close_matches(name, job_names(), n=1, cutoff=0.85)
        if near:
            message = f"{command.spelled} names {reference.name}, which no job has"
            yield at(command, message, f"did you mean {job_names()[near[0]]}?")


def _expressions(subject: Subject) -> Iterator[tuple[Command, str]]:
    """Yield the job's expressions with their texts, but for those that depend on the pool."""
    for command in subject.job.commands.values():
        if command.name not in EXPRESSIONS and not command.name.startswith("my."):
            continue
        field = subject.meaning.of(command.name)
        if field.said and not field.unknown:
            yield command, in_parentheses(command.name, field.text)


def _known(
    reference: Reference, known: Mapping[str, str], defined: set[str], subject: Subject
) -> bool:
    name = reference.name.lower()
    if re.match(r"lastremotehost|machineattr\w+\d+$", name):  # with job_machine_attrs
        return True
    if reference.scope == "my":
        return name in defined or name in job_names() or name in subject.job.macros
    of_kind = re.match(r"gpus_gpu_|total(slot)?\w+$", name) is not None
    return of_kind or name in known or name in defined


def _own_attributes(subject: Subject) -> set[str]:
    """Return the attributes that the description gives the job, in lower case."""
    return {name.removeprefix("my.") for name in subject.job.commands if name.startswith("my.")}


def is_expression(text: str, subject: Subject) -> bool:
    """Whether a text is an expression over attributes that exist."""
    try:
        named = attributes(text)
    except ExpressionError:
        return False
    defined = _own_attributes(subject)
    known = {**slot_names(), **job_names()}
    return bool(text) and all(_known(reference, known, defined, subject) for reference in named)


_KINDS = {
    **dict.fromkeys(table("slots")["numbers"].split(), (int, float)),
    **dict.fromkeys(table("slots")["texts"].split(), (str,)),
}
"""What attributes of every pool hold; a comparison with another kind of value is an error."""
_TRUTH = re.compile(r"has[a-z]\w*|is[a-z]\w*|partitionableslot|dynamicslot")
_ENDED = re.compile(
    r"(?:centos|rhel|redhat|scientific|sl|slc?|el)[a-z]*[5-7]|debian[6-9]|ubuntu1[0-8]"
)
"""OpSysAndVer of releases that no longer get updates. Source: their projects' calendars, 2026."""
_SIZES = (("memory", 1 << 20), ("disk", 1 << 10), ("cpus", 1), ("gpus", 1))


@rule("PS138", Severity.WARNING)
def no_slot_can_meet(subject: Subject) -> Iterator[Found]:
    """Requirements that no slot of any pool can meet."""
    for name, asked in (("requirements", tuple(_asked(subject))), ("require_gpus", ())):
        command, field = subject.job.command(name), subject.meaning.of(name)
        if command is None or field.unknown or field.refused:
            continue
        if pair := contradiction(field.text, asked):
            message = f"{command.spelled}: no slot has both {pair[0]} and {pair[1]}"
            words = next((part for part in pair if part in field.text), "")
            yield at(command, message, "correct one of them", about=words)
            continue
        ways = [next(filter(None, map(_never, way)), "") for way in alternatives(field.text)]
        if all(ways):
            yield at(command, f"{command.spelled}: {ways[0]}", "correct it")


def _never(compared: Compared) -> str:
    """Return why a comparison holds for no slot; empty where it may."""
    name, value = compared.name, compared.value
    kinds = (bool,) if _TRUTH.fullmatch(name) else _KINDS.get(name)
    if kinds is not None and isinstance(value, str) != (kinds == (str,)):
        if isinstance(value, str):
            return f"{compared.text} compares with a text, and the attribute holds none"
        return f"{compared.text} compares with a number, and the attribute holds a text"
    if compared.operator not in ("==", "=?=", "is"):
        return ""
    if name == "opsysmajorver" and value in (5, 6, 7):
        return f"hardly any pool has {compared.text} any more; a container image brings it along"
    if not isinstance(value, str):
        return ""
    if name.endswith("devicename") and re.fullmatch(r"[A-Za-z]*\d+[A-Za-z]*", value):
        return f'no GPU is named "{value}" and nothing else: write regexp("{value}", DeviceName)'
    if name == "opsysandver" and _ENDED.fullmatch(value.lower()):
        return f"hardly any pool has {value} any more; a container image brings it along"
    return ""


def _asked(subject: Subject) -> Iterator[Compared]:
    """Yield what the slot has to have for the job's requests."""
    for request, unit in _SIZES:
        field = getattr(subject.meaning.requests, request)
        if field.said and isinstance(field.value, int) and field.value > 0:
            text = f"request_{request} = {field.text}"
            yield Compared(request, ">=", field.value / unit, text)
