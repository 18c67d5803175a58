"""Values of submit commands: arguments and environment in both quotings, sizes, versions.

Source: condor_arglist.cpp, env.cpp and metric_units.cpp of HTCondor, and the manual's page of
condor_submit.
"""

import re
import signal
from collections.abc import Iterable
from pathlib import Path


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

    The old one may begin with the character that parts the variables. Raises QuotingError.
    """
    value = value.strip()
    if value.startswith('"'):
        parts = _new_words(_unquoted(value))
    else:
        first = value[:1]
        between = first if first and first in _SEPARATORS else ";"
        parts = [part.lstrip(" \t\n\r") for part in re.split(f"[{re.escape(between)}\n]", value)]
    variables: dict[str, str] = {}
    for part in filter(None, parts):
        name, equals, text = part.partition("=")
        if "$$" in part and not equals:
            continue  # filled in when the job starts
        if not equals or not name:
            raise QuotingError(f"{part!r} is not of the form NAME=value")
        variables[name] = text
    return variables


_SEPARATORS = "!#$%&*+,-/:;<>?@^`|~\x1f"


def split_list(value: str) -> tuple[str, ...]:
    """Return the items of a comma-separated value such as transfer_input_files."""
    return split_commas(stripped(value))


def split_commas(value: str) -> tuple[str, ...]:
    """Return the items of a value of which double quotes are a part (transfer_checkpoint_files)."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def stripped(value: str) -> str:
    """Return a value without double quotes around it."""
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def join_words(words: Iterable[str]) -> str:
    """Return words in the new syntax, without its double quotes, as they stand in an ad."""
    quoted = (re.sub(r"([\s']+)", lambda m: "'" + m[1].replace("'", "''") + "'", w) for w in words)
    return " ".join(word or "''" for word in quoted)


def _unquoted(value: str) -> str:
    """Return the inside of a value in double quotes, doubled ones made single."""
    if len(value) < 2 or not value.endswith('"'):
        raise QuotingError("the double quote at the start has no partner at the end")
    inside = value[1:-1]
    if re.search(r'(?<!")(?:"")*"(?!")', inside):
        raise QuotingError('a double quote inside must be doubled ("")')
    return inside.replace('""', '"')


_QUOTED = re.compile(r"'((?:[^']|'')*)'")
_WORD = re.compile(r"(?:[^ \t\n\r']|'(?:[^']|'')*')+")


def _new_words(text: str) -> list[str]:
    if text.count("'") % 2:
        raise QuotingError("a single quote has no partner")
    return [_QUOTED.sub(lambda part: part[1].replace("''", "'"), w) for w in _WORD.findall(text)]


_SIZE = re.compile(r"\s*([-+]?\d*)(?:\.(\d*))?\s*(?:([kmgtKMGT])[bB]?)?\s*", re.ASCII)
_FACTORS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(text: str, unit: int) -> int | None:
    """Return a size such as `4GB`, `2.5 G` or `4000` in bytes; None when it is no plain size.

    unit: the bytes that a bare number counts (request_memory: MiB, request_disk: KiB). HTCondor
    rounds up to that unit, and takes three digits after the point.
    """
    matched = _SIZE.fullmatch(text)
    if matched is None or not re.search(r"[\d.]", text) or len(matched[1]) > 16:
        return None
    factor = _FACTORS[matched[3].lower()] if matched[3] else unit
    number = int(matched[1] or 0) + int(f"{matched[2] or ''}000"[:3]) / 1000
    return int((int(number * factor) + unit - 1) / unit) * unit


def parse_runtime(text: str) -> tuple[int, int] | None:
    """Return the CUDA version of `gpus_minimum_runtime`: `12.4`, `12` or 12040; None otherwise."""
    matched = re.fullmatch(r"\s*(\d{1,9})(?:\.(\d{1,2}))?\s*", text)
    if matched is None:
        return None
    major, minor = int(matched[1]), matched[2]
    if minor is None and major > 1000:
        return major // 1000, major % 1000 // 10
    return major, int(minor or 0)


def parse_signal(text: str) -> str | None:
    """Return the name of a signal, from a name or a number; None for none.

    Whatever follows the number is not looked at, as in atoi(3). HTCondor knows the signals below;
    not the real-time ones.
    """
    matched = re.match(r"\s*([-+]?\d+)", text)
    if matched is not None and int(matched[1]):
        number = int(matched[1])
        return next((name for name in _SIGNALS if getattr(signal, name, None) == number), None)
    return text.upper() if text.upper() in _SIGNALS else None


_NAMES_OF_SIGNALS = """
SIGKILL SIGCONT SIGTERM SIGQUIT SIGHUP SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGCHLD SIGABRT SIGALRM
SIGFPE SIGILL SIGINT SIGPIPE SIGSEGV SIGTRAP SIGTTIN SIGTTOU SIGIO SIGBUS SIGURG SIGPROF SIGWINCH
SIGSYS SIGXCPU SIGXFSZ
"""
_SIGNALS = tuple(_NAMES_OF_SIGNALS.split())


def file_part(options: str, path: str, folder: Path | None) -> str:
    """Return what $Fpdnxbqafwu(path) gives.

    p: folders, d: the last of them, n: name, x: extension, b: bare of its separators, q: quoted
    (with a: in single quotes), f: from the root on, w and u: with the slashes of Windows or Unix.
    """
    if len(path) > 1 and path[0] == path[-1] and path[0] in "\"'":
        path = path[1:-1]
    if "f" in options and folder is not None and not path.startswith("/"):
        path = f"{folder}/{path.removeprefix('./')}"
    if "w" in options or "u" in options:
        path = path.replace("/", "\\") if "w" in options else path.replace("\\", "/")
    start = max(path.rfind("/"), path.rfind("\\")) + 1
    dot = path.rfind(".", start + 1)
    head, name, extension = path[:start], path[start:], ""
    if dot > 0:
        name, extension = path[start:dot], path[dot:]
    bare, wants = "b" in options, set(options) & set("nx")
    if "p" not in options and (depth := options.count("d")):
        parts = re.findall(r"[^/\\]*[/\\]", head)
        head = "".join(parts[-depth:])
    elif "p" not in options:
        head = path if not wants else ""
    if not wants and set(options) & set("pd"):
        text = head[:-1] if bare else head
    elif not wants:
        text = path
    elif wants == {"x"} and not (head and set(options) & set("pd")):
        text = extension[1:] if bare else extension
    else:
        text = head + name + (extension if "x" in wants else "")
    if "q" in options:
        return f"'{text}'" if "a" in options else f'"{text}"'
    return text
