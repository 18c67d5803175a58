"""The value of one submit command by its type, or why condor_submit refuses it.

Source: SetSimpleJobExprs and its kin in submit_utils.cpp of HTCondor 25; the tests compare with
what condor_submit 25.14.1 said of 1,718 descriptions.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from pixi_scaffold.job.classad import ExpressionError, literal, parse, unparse, well_formed
from pixi_scaffold.job.commands import CommandSpec
from pixi_scaffold.job.description import Command
from pixi_scaffold.job.evaluate import NotKnownError, as_integer, as_switch, evaluate
from pixi_scaffold.job.words import (
    QuotingError,
    parse_runtime,
    parse_signal,
    parse_size,
    split_arguments,
    split_commas,
    split_environment,
    split_list,
    stripped,
)

T = TypeVar("T")
LIST_OF_SIZES = "25.10"
"""The first release that takes several sizes, `request_memory = 1GB, 2GB`, for retries."""


class Field(NamedTuple, Generic[T]):
    """What one command comes to."""

    value: T
    """What holds: text, bool, int (bytes for a size), tuple, mapping, of an expression its text.

    The default where nothing is set, or nothing is known."""
    ad: str = ""
    """The same as it stands in the job ad."""
    refused: str = ""
    """Why condor_submit refuses it."""
    fix: str = ""
    """What to write."""
    versions: str = ""
    """Which releases of HTCondor refuse it, such as `before 25.10`; empty: all do."""
    command: Command | None = None
    """The line that sets it, also where it sets nothing, as `name =` does."""
    text: str = ""
    """What the line says, macros expanded."""
    undefined: tuple[str, ...] = ()
    """Macros that nothing defines, and functions that have no value."""
    unknown: tuple[str, ...] = ()
    """What only the submit machine or the pool can tell, such as `$$(Name)`."""
    unclosed: str = ""
    """A macro without its closing parenthesis."""

    @property
    def said(self) -> bool:
        """Whether the description sets it to something."""
        return bool(self.text)


def _refused(why: str, fix: str) -> Field[Any]:
    return Field(None, refused=why, fix=fix)


def read_value(spec: CommandSpec, text: str) -> Field[Any]:
    """Return what the value of a command is; text: macros expanded, not empty."""
    return _READERS[spec.type](spec, text)


def normal(expression: str) -> str:
    """Return an expression as it stands in an ad."""
    try:
        return unparse(parse(expression))
    except (ExpressionError, RecursionError):
        return expression


def _text(spec: CommandSpec, text: str) -> Field[Any]:
    value = text if spec.quotes else stripped(text)
    return Field(value, literal(value))


def _plain(spec: CommandSpec, text: str) -> Field[Any]:
    """Read a switch or a whole number, which may be an expression."""
    read, lacks, wanted = _PLAIN[spec.type]
    value = read(text)
    if value is not None:
        return Field(value, literal(value))
    try:
        evaluate(text)
    except NotKnownError:
        return Field(text, normal(text))
    except ExpressionError:
        pass
    return _refused(f"it is {lacks}", f"write {wanted}")


_PLAIN: Mapping[str, tuple[Callable[[str], int | None], str, str]] = {
    "switch": (as_switch, "neither true nor false", "true or false"),
    "integer": (as_integer, "no whole number", "a whole number"),
}


def _expression(spec: CommandSpec, text: str) -> Field[Any]:
    try:
        parse(in_parentheses(spec.name, text))
    except ExpressionError as error:
        return _refused(f"it does not parse: {error}", expression_advice(text))
    return Field(text, normal(text))


def in_parentheses(name: str, text: str) -> str:
    """Return an expression as condor_submit reads it: it puts parentheses around requirements.

    So `true) && (x` is taken. Source: SetRequirements of submit_utils.cpp; a dry run.
    """
    return f"({text})" if name == "requirements" else text


def expression_advice(text: str) -> str:
    """Return what is most likely meant in place of an expression that does not parse."""
    if re.search(r"(?<![=!<>?])=(?![=?!])", text):
        return "to compare, write == (or =?= where the attribute may be missing)"
    if re.search(r"\b(?:and|or|not)\b", text, re.IGNORECASE):
        return "write && for and, || for or, ! for not"
    return "close the parentheses and quotes; strings stand in double quotes"


def _size(spec: CommandSpec, text: str) -> Field[Any]:
    """Read a size; those of requests may be an expression, or a list for retries."""
    size = parse_size(text, spec.unit)
    if size is not None:
        return Field(size, str(size // spec.unit))
    if not spec.name.startswith(("request_", "retry_", "gpus_")):
        return _refused("it is no size", size_advice(text))
    first, comma, rest = text.partition(",")
    if comma and (size := parse_size(first, spec.unit)) is not None:
        wrong = _further_sizes(spec, rest)
        read = Field(size, str(size // spec.unit))
        if wrong:
            return _refused(wrong, size_advice(text))
        if rest.strip():
            why = f"HTCondor before {LIST_OF_SIZES} takes one size only"
            read = Field(size, read.ad, why, size_advice(text), f"before {LIST_OF_SIZES}")
        return read
    if not well_formed(text):
        return _refused("it is no size", size_advice(text))
    return Field(text, normal(text))


def _further_sizes(spec: CommandSpec, text: str) -> str:
    parts = text.split(",")
    sizes = [parse_size(part, spec.unit) for part in parts]
    for part, size in zip(parts, sizes, strict=True):
        if size is None and not well_formed(part):
            return f"{part.strip()!r} is no size"
    known = [size for size in sizes if size is not None]
    grows = all(b > a for a, b in zip([0, *known], known, strict=False))
    return "" if grows or len(known) < 2 else "each size must be greater than the one before"


def size_advice(text: str) -> str:
    """Return what `30G B`, `4 GiB` or `1,000` was meant to be."""
    plain = text.strip().strip('"').replace(",", "")
    units = r"i?b|ig|igs|igabytes?|egs?|egabytes?"
    matched = re.fullmatch(rf"(\d+(?:\.\d+)?)\s*([kmgt])\s*(?:{units})?", plain, re.IGNORECASE)
    if matched is None:
        return "write a number and a unit, such as 4GB"
    return f"write {matched[1]}{matched[2].upper()}B"


def _version(spec: CommandSpec, text: str) -> Field[Any]:
    if spec.name == "cuda_version":
        matched = re.fullmatch(r"([-+]?\d{1,9})(?:\.(\d{1,9}))?", text)
        if matched is None:
            return _refused("it is no version", "write it as 12.4")
        major, minor = int(matched[1]), matched[2]
        number = major if minor is None and major >= 1000 else major * 1000 + int(minor or 0) % 100
        return Field(number, str(number))
    runtime = parse_runtime(text) if spec.name == "gpus_minimum_runtime" else None
    if runtime is not None:
        number = int(text) if text.strip().isdecimal() and int(text) > 1000 else 0
        number = number or runtime[0] * 1000 + runtime[1] * 10
        return Field(number, str(number))
    read = _expression(spec, text)
    return _refused("it is no version", "write it as 8.0") if read.refused else read


def _signal(_: CommandSpec, text: str) -> Field[Any]:
    name = parse_signal(text)
    if name is None:
        hint = "write a number, or a name such as SIGTERM"
        return _refused("it is no signal that HTCondor knows", hint)
    return Field(name, literal(name))


def _choice(spec: CommandSpec, text: str) -> Field[Any]:
    word = text.lower()
    if spec.name == "universe" and (number := re.match(r"[-+]?\d+", word)) and int(number[0]):
        word = str(int(number[0]))  # atoi(3): what follows is not looked at
    if word not in spec.words:
        words = [w.upper() for w in spec.words if not w.isdecimal() and w not in spec.odd]
        return _refused("it is not one of the words that are known", ", ".join(words))
    meant = spec.words[word]
    shown = meant if meant.isdecimal() else literal(meant.upper())
    if word in spec.since:
        since = spec.since[word]
        return Field(meant, shown, f"HTCondor before {since} refuses it", "", f"before {since}")
    return Field(meant, shown)


def _files(spec: CommandSpec, text: str) -> Field[Any]:
    names = split_commas(text) if spec.quotes else split_list(text)
    return Field(names, literal(",".join(names)))


def _taken_apart(spec: CommandSpec, text: str) -> Field[Any]:
    if spec.name.endswith("2") and not text.startswith('"'):  # arguments2, environment2
        return _refused("it must stand in double quotes", "put it into double quotes")
    try:
        return Field(split_arguments(text) if spec.type == "arguments" else split_environment(text))
    except QuotingError as error:
        words = "one 'two words' three" if spec.type == "arguments" else "A=1 B='two words'"
        return _refused(str(error), f'write it as "{words}"')


_READERS: Mapping[str, Callable[[CommandSpec, str], Field[Any]]] = {
    "text": _text, "expression": _expression, "size": _size, "version": _version,
    "signal": _signal, "choice": _choice, "files": _files, "switch": _plain, "integer": _plain,
    "arguments": _taken_apart, "environment": _taken_apart,
}  # fmt: skip
