"""Values of submit commands: arguments and environment in both quotings, sizes, versions.

Source: condor_arglist.cpp, env.cpp and metric_units.cpp of HTCondor, and the manual's page of
condor_submit.
"""

from __future__ import annotations

import math
import re


class QuotingError(ValueError):
    """Arguments or environment that HTCondor cannot take apart; the text says why."""


def split_arguments(value: str) -> tuple[str, ...]:
    """Return the words of an `arguments` value.

    In double quotes: the new syntax, where single quotes group and a doubled quote is one. Without:
    the old one, parted at spaces, where backslash-quote is a quote. Raises QuotingError.
    """
    value = value.strip()
    if value.startswith('"'):
        return tuple(_new_words(_unquoted(value)))
    if re.search(r'(?<!\\)"', value):
        raise QuotingError("a double quote inside: put the whole value into double quotes")
    return tuple(word.replace('\\"', '"') for word in value.split())


def split_environment(value: str) -> dict[str, str]:
    """Return the variables of an `environment` value, old syntax (A=1;B=2) or new ("A=1 B='2 3'").

    Raises QuotingError.
    """
    value = value.strip()
    if value.startswith('"'):
        parts = _new_words(_unquoted(value))
    else:
        parts = [part.strip() for part in value.split(";") if part.strip()]
    found: dict[str, str] = {}
    for part in parts:
        name, equals, text = part.partition("=")
        if not equals or not name:
            raise QuotingError(f"{part!r} is not of the form NAME=value")
        found[name] = text
    return found


def _unquoted(value: str) -> str:
    """Return the inside of a value in double quotes, doubled ones made single."""
    if len(value) < 2 or not value.endswith('"'):
        raise QuotingError("the double quote at the start has no partner at the end")
    inside = value[1:-1]
    if re.search(r'(?<!")(?:"")*"(?!")', inside):
        raise QuotingError('a double quote inside must be doubled ("")')
    return inside.replace('""', '"')


def _new_words(text: str) -> list[str]:
    words: list[str] = []
    word: list[str] | None = None
    at = 0
    while at < len(text):
        char = text[at]
        if char == "'":
            word = word if word is not None else []
            at += 1
            while True:
                end = text.find("'", at)
                if end < 0:
                    raise QuotingError("a single quote has no partner")
                word.append(text[at:end])
                at = end + 1
                if text[at : at + 1] != "'":
                    break
                word.append("'")
                at += 1
            continue
        if char in " \t\n\r":
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = word if word is not None else []
            word.append(char)
        at += 1
    if word is not None:
        words.append("".join(word))
    return words


_SIZE = re.compile(r"\s*([-+]?\d+)(\.\d*)?\s*(?:([kmgtKMGT])[bB]?)?\s*")
_FACTORS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(text: str, unit: int) -> int | None:
    """Return a size such as `4GB`, `2.5 G` or `4000` in bytes; None when it is no plain size.

    unit: the bytes that a bare number counts (request_memory: MiB, request_disk: KiB). HTCondor
    rounds up to that unit.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        return None
    factor = _FACTORS[found[3].lower()] if found[3] else unit
    number = float(found[1] + (found[2] or ""))
    return math.ceil(number * factor / unit) * unit if abs(number) < 1e15 else None


def parse_runtime(text: str) -> tuple[int, int] | None:
    """Return the CUDA version of `gpus_minimum_runtime`: `12.4`, `12` or 12040; None otherwise."""
    found = re.fullmatch(r"\s*(\d{1,9})(?:\.(\d{1,2}))?\s*", text)
    if found is None:
        return None
    major, minor = int(found[1]), found[2]
    if minor is None and major > 1000:
        return major // 1000, major % 1000 // 10
    return major, int(minor or 0)
