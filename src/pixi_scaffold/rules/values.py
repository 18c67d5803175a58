"""Rules on the values of commands: what condor_submit refuses, and what it takes without a word."""

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pixi_scaffold.job import Command, CommandSpec, Field, Refusal, size_advice, specs
from pixi_scaffold.rules.expressions import is_expression
from pixi_scaffold.rules.finding import (
    Edit,
    Found,
    Severity,
    at,
    commented,
    refused,
    replaced,
    rule,
)
from pixi_scaffold.rules.subject import Subject
from pixi_scaffold.rules.texts import read_bytes
from pixi_scaffold.rules.trouble import trouble
from pixi_scaffold.system import exists, is_elsewhere

_SMALL = 100 << 20


def _set(subject: Subject) -> Iterator[tuple[CommandSpec, Field[object], Command]]:
    """Yield the commands of the table that are set to something known, and not refused."""
    for name, field in subject.meaning.fields.items():
        known = name in specs() and field.said and not field.unknown and not field.refused
        if known and field.command is not None and not commented(field.command):
            yield specs()[name], field, field.command


@rule("PS103")
def bad_size(subject: Subject) -> Iterator[Found]:
    """A size that HTCondor cannot read."""
    for refusal, one in refused(subject, "size"):
        yield one._replace(edits=_better_size(subject, refusal.command))
    for spec, field, command in _set(subject):
        if spec.type != "size":
            continue
        value = field.value
        shown = f"{command.spelled} = {field.text}"
        if isinstance(value, int) and value <= 0:
            message, fix = f"{shown} asks for nothing", "write a number and a unit, such as 4GB"
            yield at(command, message, fix, severity=Severity.WARNING)
        elif isinstance(value, str) and not _comes_to_something(value, subject):
            message = f"{shown} is no size, but an expression that is undefined"
            edits = _better_size(subject, command)
            yield at(command, message, size_advice(field.text), edits, Severity.WARNING)


def _comes_to_something(value: str, subject: Subject) -> bool:
    """Whether an expression may be a number: no text, and no word that nobody defines."""
    undefined, text = value.lower() == "undefined", value.startswith('"')
    return undefined or (not text and is_expression(value, subject))


def _better_size(subject: Subject, command: Command | None) -> tuple[Edit, ...]:
    """Return the edit that writes `30G B` or `4 GiB` as it was meant."""
    better = re.fullmatch(r"write (\S+B)", size_advice(command.value)) if command else None
    if command is None or better is None:
        return ()
    return replaced(subject, command, command.value.strip(), better[1])


@rule("PS104", Severity.WARNING)
def size_without_unit(subject: Subject) -> Iterator[Found]:
    """A size without a unit that is very small."""
    for spec, field, command in _set(subject):
        text, asks = field.text, spec.name.startswith("request_") and spec.type == "size"
        if asks and text.isdecimal() and 0 < int(text) * spec.unit < _SMALL:
            words = "MiB" if spec.unit == 1 << 20 else "KiB"
            message = f"{command.spelled} = {text} asks for {text} {words}"
            yield at(command, message, f"write {text}GB")


@rule("PS113")
def bad_number(subject: Subject) -> Iterator[Found]:
    """A value that is not the number it must be."""
    yield from (one for _, one in refused(subject, "integer", "version"))
    asks = subject.meaning.requests.gpus.said
    for spec, field, command in _set(subject):
        unlimited = spec.low is None and spec.high is None
        if unlimited or (spec.name.startswith("gpus_") and not asks):
            continue
        shown, value = f"{command.spelled} = {field.text}", field.value
        number = subject.meaning.number(spec.name)
        if number is None:
            if isinstance(value, str) and not _comes_to_something(value, subject):
                message = f"{shown} is no number, but an expression that is undefined"
                yield at(command, message, "write a number", severity=Severity.WARNING)
        elif not (spec.low or 0) <= number <= (number if spec.high is None else spec.high):
            limits = f"at least {spec.low or 0}" + (f", at most {spec.high}" if spec.high else "")
            yield at(command, f"{shown} is out of range", limits, severity=Severity.WARNING)


@rule("PS114")
def bad_choice(subject: Subject) -> Iterator[Found]:
    """A value that is not one of those allowed."""
    for refusal, one in refused(subject, "choice", "switch", "signal"):
        yield one._replace(fix=_near_word(refusal)) if refusal.kind == "choice" else one
    for spec, field, command in _set(subject):
        if field.text.lower() in spec.odd:
            message = f"{command.spelled} = {field.text} is taken for {field.value}"
            yield at(command, message, "write what is meant", severity=Severity.WARNING)
    yield from trouble(subject, "PS114")


def _near_word(refusal: Refusal) -> str:
    """Return the fix, which names the word that was meant where one is near."""
    given = refusal.command.value.strip().upper() if refusal.command is not None else ""
    near = difflib.get_close_matches(given, refusal.fix.split(", "), n=1)
    return f"did you mean {near[0]}?" if near else f"one of: {refusal.fix.lower()}"


@rule("PS115")
def bad_quoting(subject: Subject) -> Iterator[Found]:
    """Arguments, environment or remaps that HTCondor cannot take apart."""
    yield from (one for _, one in refused(subject, "arguments", "environment", "quoting"))


@rule("PS122")
def refused_together(subject: Subject) -> Iterator[Found]:
    """Commands that exclude each other, or that miss one they need."""
    yield from (one for _, one in refused(subject, "together", "missing", "text", "files"))
    yield from _credentials(subject)
    proxy = subject.meaning.of("x509userproxy")
    if proxy.command is not None and proxy.said and not proxy.unknown:
        path = subject.start / proxy.text
        data = read_bytes(path)
        made_later = data is None and Path(proxy.text).is_absolute()  # by voms-proxy-init, there
        if b"-----BEGIN CERTIFICATE-----" not in (data or b"") and not is_elsewhere(path):
            message = f"{proxy.command.spelled} = {proxy.text}: there is no proxy in that file"
            severity = Severity.WARNING if made_later else Severity.ERROR
            yield at(proxy.command, message, "make it first: voms-proxy-init", severity=severity)


def _credentials(subject: Subject) -> Iterator[Found]:
    """Yield credentials that condor_submit looks for, where there are none: Docker's, a proxy."""
    proxy = os.environ.get("X509_USER_PROXY") or f"/tmp/x509up_u{os.getuid()}"  # noqa: S108
    config = os.path.join(os.environ.get("HOME", ""), ".docker", "config.json")  # noqa: PTH118
    for name, path, lacks, fix in (
        ("use_x509userproxy", proxy, "there is no proxy here: condor_submit refuses",
         "make it first: voms-proxy-init"),
        ("docker_send_credentials", config, "there is no ~/.docker/config.json here, without which "
         "condor_submit from HTCondor 25 on refuses the file", "there, first: docker login"),
    ):  # fmt: skip
        field = subject.meaning.of(name)
        if field.command is not None and field.value is True and not exists(Path(path)):
            message = f"{field.command.spelled}: {lacks}"
            yield at(field.command, message, fix, severity=Severity.WARNING)


_SUM = re.compile(
    r"(?:^|(?<=[\s=]))\$\((?:Process|ProcId|Step|Row|ItemIndex)\)\s*[+*]\s*\d+(?=\s|$)",
    re.IGNORECASE,
)


@rule("PS144", Severity.WARNING)
def arguments_as_they_are(subject: Subject) -> Iterator[Found]:
    """Arguments that begin with the program's own name, or hold a sum that nobody works out."""
    command, text = subject.job.command("arguments"), subject.meaning.of("arguments").text
    if command is None:
        return
    if matched := _SUM.search(command.value):
        message = f"HTCondor does not calculate here: the program gets {text.strip()}"
        fix = f"N = {matched[0]} above it, and $INT(N) here"
        yield at(command, message, fix, about=matched[0])
    name = PurePosixPath(subject.meaning.executable.value).name
    first = text.strip("\"' ").split(" ")[0].removeprefix("./")
    interpreter = re.fullmatch(r"(python|Rscript|julia|bash|sh|perl)[0-9.]*", name)
    again = re.fullmatch(rf"{interpreter[1]}[0-9.]*", first) if interpreter else first == name
    if name and again:
        message = f"the first argument is the program's own name: it runs {name} {first} ..."
        yield at(command, message, "leave it out", about=first)
