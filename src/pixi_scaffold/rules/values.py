"""Rules on the values of commands: what condor_submit refuses, and what it takes without a word."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pixi_scaffold.job import CommandSpec, Field, Refusal, size_advice, specs
from pixi_scaffold.rules.expressions import is_expression
from pixi_scaffold.rules.finding import (
    Edit,
    Found,
    Severity,
    at,
    commented,
    line_of,
    replaced,
    rule,
)
from pixi_scaffold.rules.subject import Subject
from pixi_scaffold.rules.texts import read_bytes
from pixi_scaffold.system import exists, is_elsewhere

_SMALL = 100 << 20
_NO = frozenset({"no", "n", "0", "never", "off"})


def _refused(subject: Subject, *kinds: str) -> Iterator[Refusal]:
    """Yield the refusals of these kinds, but for a comment behind a value, which is PS119's."""
    for refusal in subject.refusals:
        if refusal.kind in kinds and not (refusal.command and commented(refusal.command)):
            yield refusal


def _found(subject: Subject, refusal: Refusal, edits: tuple[Edit, ...] = ()) -> Found:
    """Return the finding; a warning where only some releases of HTCondor refuse it."""
    severity = Severity.WARNING if refusal.versions else Severity.ERROR
    message = refusal.message
    if refusal.versions and "HTCondor" not in message:
        message += f" (HTCondor {refusal.versions} refuses it)"
    if refusal.command is None:
        path, line = subject.description.path, subject.job.queue.line
        return Found(path, line, message, refusal.fix, edits, severity)
    return at(refusal.command, message, refusal.fix, edits, severity)


def _set(subject: Subject) -> Iterator[tuple[CommandSpec, Field[object]]]:
    """Yield the commands of the table that are set to something known, and not refused."""
    for name, field in subject.meaning.fields.items():
        known = name in specs() and field.said and not field.unknown and not field.refused
        if known and field.command is not None and not commented(field.command):
            yield specs()[name], field


@rule("PS103")
def bad_size(subject: Subject) -> Iterator[Found]:
    """A size that HTCondor cannot read."""
    for refusal in _refused(subject, "size"):
        yield _found(subject, refusal, _better_size(subject, refusal))
    for spec, field in _set(subject):
        command, value = field.command, field.value
        if spec.type != "size" or command is None:
            continue
        shown = f"{command.spelled} = {field.text}"
        if isinstance(value, int) and value <= 0:
            message, fix = f"{shown} asks for nothing", "write a number and a unit, such as 4GB"
            yield at(command, message, fix, severity=Severity.WARNING)
        elif isinstance(value, str) and not _comes_to_something(value, subject):
            message = f"{shown} is no size, but an expression that is undefined"
            refusal = Refusal("size", "", "", command)
            edits = _better_size(subject, refusal)
            yield at(command, message, size_advice(field.text), edits, Severity.WARNING)


def _comes_to_something(value: str, subject: Subject) -> bool:
    """Whether an expression may be a number: no text, and no word that nobody defines."""
    return value.lower() == "undefined" or (
        not value.startswith('"') and is_expression(value, subject)
    )


def _better_size(subject: Subject, refusal: Refusal) -> tuple[Edit, ...]:
    """Return the edit that writes `30G B` or `4 GiB` as it was meant."""
    command = refusal.command
    if command is None or command.line != command.last:
        return ()
    better = re.fullmatch(r"write (\S+B)", size_advice(command.value))
    line, text = line_of(subject.description, command), command.value.strip()
    return replaced(command, line.replace(text, better[1])) if better and text in line else ()


@rule("PS104", Severity.WARNING)
def size_without_unit(subject: Subject) -> Iterator[Found]:
    """A size without a unit that is very small."""
    for spec, field in _set(subject):
        if not spec.name.startswith("request_") or spec.type != "size" or field.command is None:
            continue
        text = field.text
        if text.isdecimal() and 0 < int(text) * spec.unit < _SMALL:
            words = "MiB" if spec.unit == 1 << 20 else "KiB"
            message = f"{field.command.spelled} = {text} asks for {text} {words}"
            yield at(field.command, message, f"write {text}GB")


@rule("PS113")
def bad_number(subject: Subject) -> Iterator[Found]:
    """A value that is not the number it must be."""
    for refusal in _refused(subject, "integer", "version"):
        yield _found(subject, refusal)
    asks = subject.meaning.requests.gpus.said
    for spec, field in _set(subject):
        if field.command is None or (spec.name.startswith("gpus_") and not asks):
            continue
        shown, value = f"{field.command.spelled} = {field.text}", field.value
        if spec.low is None and spec.high is None:
            continue
        number = subject.meaning.number(spec.name)
        if number is None:
            if isinstance(value, str) and not _comes_to_something(value, subject):
                message = f"{shown} is no number, but an expression that is undefined"
                yield at(field.command, message, "write a number", severity=Severity.WARNING)
        elif not (spec.low or 0) <= number <= (number if spec.high is None else spec.high):
            limits = f"at least {spec.low or 0}" + (f", at most {spec.high}" if spec.high else "")
            yield at(field.command, f"{shown} is out of range", limits, severity=Severity.WARNING)


@rule("PS114")
def bad_choice(subject: Subject) -> Iterator[Found]:
    """A value that is not one of those allowed."""
    for refusal in _refused(subject, "choice", "switch", "signal"):
        yield _found(subject, _with_near_word(refusal))
    for spec, field in _set(subject):
        if field.text.lower() in spec.odd and field.command is not None:
            message = f"{field.command.spelled} = {field.text} is taken for {field.value}"
            yield at(field.command, message, "write what is meant", severity=Severity.WARNING)
    executable = subject.meaning.of("transfer_executable")
    if executable.command is not None and executable.text.lower() in _NO:
        message = f"{executable.command.spelled} = {executable.text} transfers it"
        fix = "write false: only a word that begins with f is"
        yield at(executable.command, message, fix, severity=Severity.WARNING)
    getenv = subject.meaning.getenv
    if getenv.command is not None and getenv.text.lower() in ("yes", "y", "t", "no", "n", "f"):
        message = f"{getenv.command.spelled} = {getenv.text} takes only a variable of that name"
        yield at(getenv.command, message, "write true or false", severity=Severity.WARNING)


def _with_near_word(refusal: Refusal) -> Refusal:
    """Return a refusal whose fix names the word that was meant, where one is near."""
    if refusal.kind != "choice" or refusal.command is None:
        return refusal
    words = refusal.fix.split(", ")
    near = difflib.get_close_matches(refusal.command.value.strip().upper(), words, n=1)
    fix = f"did you mean {near[0]}?" if near else f"one of: {refusal.fix.lower()}"
    return Refusal(refusal.kind, refusal.message, fix, refusal.command, refusal.versions)


@rule("PS115")
def bad_quoting(subject: Subject) -> Iterator[Found]:
    """Arguments, environment or remaps that HTCondor cannot take apart."""
    for refusal in _refused(subject, "arguments", "environment", "quoting"):
        yield _found(subject, refusal)


@rule("PS122")
def refused_together(subject: Subject) -> Iterator[Found]:
    """Commands that exclude each other, or that miss one they need."""
    for refusal in _refused(subject, "together", "missing", "text", "files"):
        yield _found(subject, refusal)
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
    wanted = subject.meaning.of("use_x509userproxy")
    if wanted.command is not None and wanted.value is True:
        default = f"/tmp/x509up_u{os.getuid()}"  # noqa: S108  where voms-proxy-init writes it
        if not exists(Path(os.environ.get("X509_USER_PROXY") or default)):
            message = f"{wanted.command.spelled}: there is no proxy here: condor_submit refuses"
            fix = "make it first: voms-proxy-init"
            yield at(wanted.command, message, fix, severity=Severity.WARNING)
    field = subject.meaning.of("docker_send_credentials")
    if field.command is not None and field.value is True:
        home = os.environ.get("HOME", "")
        if not exists(Path(home) / ".docker" / "config.json"):
            message = f"{field.command.spelled}: there is no ~/.docker/config.json here, without "
            message += "which condor_submit from HTCondor 25 on refuses the file"
            fix = "on the access point, first: docker login"
            yield at(field.command, message, fix, severity=Severity.WARNING)


@rule("PS140", Severity.WARNING)
def quotes_that_do_not_group(subject: Subject) -> Iterator[Found]:
    """Single quotes in arguments without double quotes around them."""
    command, text = subject.job.command("arguments"), subject.meaning.of("arguments").text
    matched = None if text.startswith('"') else re.search(r"(?:^|[\s=])('[^']*')(?=\s|$)", text)
    if command is not None and matched is not None:
        message = f"{command.spelled}: the quotes of {matched[1]} reach the program as they are"
        yield at(command, message, f'write "{text}"', about=matched[1])


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


@rule("PS145", Severity.WARNING)
def quotes_in_a_name(subject: Subject) -> Iterator[Found]:
    """Quotes that become a part of a file's name."""
    for command, text in subject.said("output", "error", "log", "transfer_input_files"):
        if re.fullmatch(r'"[^"]+"|\'[^\']+\'', text.strip()):
            inputs = command.name == "transfer_input_files"
            where = "in HTCondor 23.9 " if inputs else ""
            message = f"{command.spelled}: {where}the quotes are a part of the name"
            yield at(command, message, "leave them out")
