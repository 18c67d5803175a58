"""Flags and arguments of the shell's own commands, and what `test`, `sleep` and `xargs` read."""

import operator
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import TIMEOUT_MAX

from pixi_scaffold.tasks.scope import CommandError


def flagged(args: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Yield each word behind a command, and whether it is a flag; `-ab` is two flags.

    What looks like a number is not one, nor is what stands behind `--`.
    """
    rest = False
    for arg in args:
        if rest or not arg.startswith("-") or arg == "-":
            yield arg, False
        elif arg.startswith("--"):
            rest = arg == "--"
            yield from () if rest else ((arg, True),)
        elif _is_number(arg[1:]):
            yield arg, False
        else:
            yield from ((f"-{sign}", True) for sign in arg[1:])


def flags_and_names(args: Sequence[str], allowed: str = "") -> tuple[set[str], list[str]]:
    """Return the flags, and the other words; raises CommandError for one that is not `allowed`."""
    flags, names = set(), []
    for text, is_flag in flagged(args):
        if not is_flag:
            names.append(text)
        elif text in allowed.split():
            flags.add(text)
        else:
            raise CommandError(f"unsupported flag: {text}")
    return flags, names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def seconds(text: str) -> float:
    """Return the seconds that a time such as 0.5, 2m or 1h means; raises CommandError."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in tuple("smhd") else (text, "s")
    if not _is_number(number):
        raise CommandError(f"error parsing argument '{text}' to number: invalid float literal")
    given = max(0.0, float(number)) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    return min(given, TIMEOUT_MAX)  # `sleep inf` waits for centuries


_COMPARE = {
    "-eq": operator.eq, "-ne": operator.ne, "-lt": operator.lt, "-le": operator.le,
    "-gt": operator.gt, "-ge": operator.ge,
}  # fmt: skip
_OF_FILES: Mapping[str, Callable[[Path], bool]] = {
    "-e": Path.exists, "-f": Path.is_file, "-d": Path.is_dir,
    "-s": lambda path: os.path.exists(path) and path.stat().st_size > 0,  # noqa: PTH110
}  # fmt: skip


def evaluate(args: Sequence[str], cwd: Path) -> bool:
    """Return what `test` says of its arguments; raises CommandError."""
    match [*args]:
        case []:
            return False
        case [one]:
            return bool(one)
        case ["!", one]:
            return not one
        case [sign, one]:
            return _of_one(sign, one, cwd)
        case ["!", sign, one]:
            return not _of_one(sign, one, cwd)
        case [left, sign, right] | ["!", left, sign, right]:
            return _of_two(left, sign, right) != (len(args) == 4)
    raise CommandError("too many arguments")


def _of_one(sign: str, text: str, cwd: Path) -> bool:
    if sign in ("-n", "-z"):
        return bool(text) == (sign == "-n")
    if sign not in _OF_FILES:
        raise CommandError(f"unary operator expected: {sign}")
    return _OF_FILES[sign](cwd / text)


def _of_two(left: str, sign: str, right: str) -> bool:
    if sign in ("=", "!="):
        return (left == right) == (sign == "=")
    if sign not in _COMPARE:
        raise CommandError(f"binary operator expected: {sign}")
    for text in (left, right):
        if not re.fullmatch(r"[+-]?[0-9]+", text):
            raise CommandError(f"integer expression expected: {text}")
    return bool(_COMPARE[sign](int(left), int(right)))


_GAP = re.compile(r"[ \t\n]*(?:#[^\n]*[ \t\n]*)*")
_PIECE = re.compile(
    r"""'([^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|\\\n()|\\(.)|([^ \t\n'"\\]+)""", re.DOTALL
)
_XARGS_GAP = re.compile(r"[ \t\n]*")
_XARGS_PIECE = re.compile(r"""'([^'\n]*)'|"([^"\n]*)"|\\([\n\t "'])|([^ \t\n"'])""")


def shell_words(text: str) -> list[str] | None:
    """Return the words of a command line as Rust's shlex takes it apart, not Python's.

    In double quotes a backslash escapes `$` and backticks, too, and `#` begins a comment. None
    where a quote is open.
    """
    return _split(text, _GAP, _PIECE)


def split_blanks(text: str) -> list[str]:
    """Return the words of a text as `xargs` reads them; raises CommandError for an open quote."""
    words = _split(text, _XARGS_GAP, _XARGS_PIECE)
    if words is None:
        raise CommandError(
            "unmatched quote; by default quotes are special to xargs unless you use the -0 option"
        )
    return [word for word in words if word]


def _split(text: str, gap: re.Pattern[str], piece: re.Pattern[str]) -> list[str] | None:
    words, at = list[str](), 0
    while (blank := gap.match(text, at)) and (at := blank.end()) < len(text):
        word = ""
        while part := piece.match(text, at):
            inner = part[part.lastindex or 0]
            is_double = part.lastgroup == "double"
            word += re.sub(r'\\(?:\n|([$`"\\]))', r"\1", inner) if is_double else inner
            at = part.end()
        if text[at : at + 1] not in ("", " ", "\t", "\n"):
            return None
        words.append(word)
    return words
