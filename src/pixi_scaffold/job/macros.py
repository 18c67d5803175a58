"""Expand $(macros) and $FUNCTIONS() as condor_submit does; what cannot be known here is named."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from pixi_scaffold.job.classad import ExpressionError, literal
from pixi_scaffold.job.evaluate import NotKnownError, as_integer, evaluate

LIMIT = 1 << 20
"""Characters that one value may grow to; a real one has far less."""
_DEPTH = 50
_INT_MAX = 2**63
_BUILT_IN = {
    "dollar": "$", "linux": "true", "windows": "", "osx": "", "islinux": "1", "iswindows": "0",
    "node": "", "arch": "X86_64", "opsys": "LINUX",
}  # fmt: skip
_START = re.compile(r"\$(\$?)([A-Za-z_]*)\(")
_NAME = re.compile(r"[A-Za-z_0-9.]*")
_FORMATS = {  # of printf(3); a width of more digits would fill the memory
    "INT": re.compile(r" *%[-+ 0#]{0,5}\d{0,3}(\.\d{1,2})?[dixXo]"),
    "REAL": re.compile(r" *%[-+ 0#]{0,5}\d{0,3}(\.\d{1,2})?[eEfFgG]"),
}


@dataclass(frozen=True, slots=True)
class Expanded:
    """A value with its macros replaced.

    undefined: names that nothing sets (HTCondor puts nothing in their place). unknown: what only
    the submit machine or the worker can tell, such as $ENV(X) or $$(Attr); it stays in the text.
    """

    text: str
    undefined: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outside:
    """What condor_submit takes from elsewhere: its environment, and chance.

    None: not known, as when a description is only looked at; $ENV(X) and $RANDOM_... stay.
    """

    environ: Mapping[str, str] | None = None
    chance: random.Random | None = None


def expand(value: str, macros: Mapping[str, str], outside: Outside | None = None) -> Expanded:
    """Return `value` with macros replaced; the names in `macros` are in lower case."""
    work = _Expansion(macros, outside or Outside())
    text = work.expand(value, ())
    return Expanded(text, tuple(work.undefined), tuple(work.unknown))


def references(value: str) -> set[str]:
    """Return the names (lower case) of the macros that a value mentions, also inside functions."""
    found = re.findall(r"\$[A-Za-z]*\(\s*([A-Za-z_0-9.]+)", value)
    return {name.lower() for name in found}


class _Expansion:
    """One expansion: what it could not replace adds up."""

    def __init__(self, macros: Mapping[str, str], outside: Outside) -> None:
        self.macros = macros
        self.outside = outside
        self.undefined: dict[str, None] = {}
        self.unknown: dict[str, None] = {}
        self.size = 0

    def expand(self, value: str, inside: tuple[str, ...]) -> str:
        if "$" not in value:
            return value
        parts: list[str] = []
        at = 0
        while found := _START.search(value, at):
            parts.append(value[at : found.start()])
            end = _closing(value, found.end() - 1)
            whole = value[found.start() : end + 1]
            if end < 0 or len(inside) > _DEPTH:
                self.unknown[value[found.start() : found.start() + 40]] = None
            if len(inside) > _DEPTH:
                return "".join([*parts, value[found.start() :]])
            if end < 0:  # no macro; what comes after its parenthesis can be one
                at = found.end()
                parts.append(value[found.start() : at])
                continue
            at = end + 1
            parts.append(self._one(found, whole, value[found.end() : end], inside))
            self.size += len(parts[-1])
            if self.size > LIMIT:
                self.unknown[whole[:40]] = None
                return "".join([*parts[:-1], whole])
        parts.append(value[at:])
        return "".join(parts)

    def _one(self, found: re.Match[str], whole: str, body: str, inside: tuple[str, ...]) -> str:
        late, function = found[1], found[2]
        if late:  # $$(Attr): the machine's, at match time
            self.unknown[whole] = None
            return whole
        if not function:
            return self._macro(whole, self.expand(body, inside), inside)
        answer = self._function(function.upper(), body, inside)
        if answer is None:
            self.unknown[whole] = None
            return whole
        return answer

    def _macro(self, whole: str, body: str, inside: tuple[str, ...]) -> str:
        name, colon, default = body.partition(":")
        key = name.lower()
        if not _NAME.fullmatch(key):  # no macro, with a space as much as with a slash
            self.unknown[whole] = None
            return f"$({body})"
        if key in inside:
            self.unknown[whole] = None
            return ""
        value = self.macros.get(key, _BUILT_IN.get(key))
        if value is None or (colon and not value):
            if not colon:
                self.undefined[name] = None
            return default
        return self.expand(value, (*inside, key))

    def _function(self, name: str, body: str, inside: tuple[str, ...]) -> str | None:
        """Return what a function gives; None when it cannot be known here."""
        if re.fullmatch(r"F[FPDUWNXBQA]*", name):
            return _file_part(name[1:], self._argument(body, inside))
        if name == "ENV":
            return self._environment(self.expand(body, inside))
        if name == "EVAL":
            return self._evaluated(self._argument(body, inside))
        arguments = [part.strip() for part in self.expand(body, inside).split(",")]
        found = _FUNCTIONS.get(name)
        if found is not None:
            return found(self, arguments, inside)
        if name in _FORMATS or (name == "STRING" and len(arguments) == 1):
            text = self._argument(arguments[0], inside).strip()
            form = self.expand(body, inside).partition(",")[2]  # with its spaces
            return _as_string(text) if name == "STRING" else _formatted(name, text, form)
        return None  # a pool's own

    def _argument(self, body: str, inside: tuple[str, ...]) -> str:
        """Return what a function is applied to: a macro's value, or the text itself."""
        text = self.expand(body, inside).strip()
        value = self.macros.get(text.lower())
        return text if value is None else self.expand(value, (*inside, text.lower()))

    def _environment(self, body: str) -> str | None:
        """Return $ENV(X), which is the word UNDEFINED where it is not set, or $ENV(X:default)."""
        if self.outside.environ is None:
            return None
        name, colon, default = body.partition(":")
        return self.outside.environ.get(name.strip()) or (default if colon else "UNDEFINED")

    @staticmethod
    def _evaluated(text: str) -> str | None:
        """Return $EVAL(expression); what is none stays as it is."""
        try:
            value = evaluate(text)
        except NotKnownError:
            return None
        except ExpressionError:
            return text
        if isinstance(value, tuple):
            return None
        return value if isinstance(value, str) else literal(value)

    def _basename(self, arguments: list[str], inside: tuple[str, ...]) -> str | None:
        name = PurePosixPath(self._argument(arguments[0], inside)).name
        return name.removesuffix(arguments[1]) if len(arguments) > 1 else name

    def _dirname(self, arguments: list[str], inside: tuple[str, ...]) -> str | None:
        return _file_part("p", self._argument(arguments[0], inside))

    def _choice(self, arguments: list[str], inside: tuple[str, ...]) -> str | None:
        index = as_integer(self._argument(arguments[0], inside))
        items = arguments[1:]
        if len(items) == 1:
            items = _items(self._argument(items[0], inside))
        return items[index] if index is not None and 0 <= index < len(items) else None

    def _substring(self, arguments: list[str], inside: tuple[str, ...]) -> str | None:
        """Return $SUBSTR(name,start) or $SUBSTR(name,start,length); negative ones count back."""
        text = self._argument(arguments[0], inside)
        numbers = [as_integer(self._argument(argument, inside)) for argument in arguments[1:]]
        if None in numbers or not 1 <= len(numbers) <= 2:
            return None
        start, length = numbers[0], numbers[1] if len(numbers) == 2 else len(text)
        assert start is not None and length is not None  # noqa: S101, PT018  None is ruled out above
        rest = text[max(start + len(text), 0) if start < 0 else start :]
        return rest[: max(length + len(rest), 0) if length < 0 else length]

    def _random_choice(self, arguments: list[str], inside: tuple[str, ...]) -> str | None:
        items = arguments
        if len(items) == 1:
            items = _items(self._argument(items[0], inside))
        if len(set(items)) == 1:
            return items[0]
        return self.outside.chance.choice(items) if self.outside.chance and items else None

    def _random_integer(self, arguments: list[str], _: tuple[str, ...]) -> str | None:
        """Return $RANDOM_INTEGER(least,most[,step])."""
        numbers = [as_integer(argument) for argument in arguments]
        least, most, step = (*numbers, 1)[:3] if len(numbers) > 1 else (None, None, None)
        if least is None or most is None or step is None or step < 1 or least > most:
            return None
        many = range(least, most + 1, step)
        if len(many) == 1:
            return str(least)
        return str(self.outside.chance.choice(many)) if self.outside.chance else None


_FUNCTIONS: Mapping[str, Callable[[_Expansion, list[str], tuple[str, ...]], str | None]] = {
    "BASENAME": _Expansion._basename, "DIRNAME": _Expansion._dirname,
    "CHOICE": _Expansion._choice, "SUBSTR": _Expansion._substring,
    "RANDOM_CHOICE": _Expansion._random_choice, "RANDOM_INTEGER": _Expansion._random_integer,
}  # fmt: skip


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _as_string(text: str) -> str | None:
    """Return $STRING(text): what it comes to where that is a text, or the text itself."""
    try:
        value = evaluate(text)
    except (ExpressionError, NotKnownError):
        return text
    return value if isinstance(value, str) else text


def _closing(value: str, at: int) -> int:
    """Return where the parenthesis at `at` closes, or -1."""
    depth = 0
    for found in re.finditer(r"[()]", value[at:]):
        depth += 1 if found[0] == "(" else -1
        if depth == 0:
            return at + found.start()
    return -1


def _file_part(options: str, path: str) -> str | None:
    """Return what $Fpdnxbqa(path) gives; None for options that need the submit machine.

    p: folders, d: the last of them, n: name, x: extension, b: bare of its separators, q: quoted
    (with a: in single quotes). Seen with HTCondor 25.14.
    """
    options = options.lower()
    if set(options) & set("fuw"):
        return None
    pure, bare = PurePosixPath(path), "b" in options
    folder = path[: len(path) - len(pure.name)]
    if "p" not in options and (depth := options.count("d")):
        folder = "".join(f"{part}/" for part in folder.rstrip("/").split("/")[-depth:] if part)
    name = "n" in options or ("x" in options and bool(set(options) & set("pd")) and bool(folder))
    parts = [folder if set(options) & set("pd") else "", pure.stem if name else ""]
    parts.append(pure.suffix if "x" in options else "")
    if bare and not name and "x" not in options:
        parts[0] = parts[0].rstrip("/")
    elif bare and not name:
        parts[2] = parts[2].lstrip(".")
    text = "".join(parts) if set(options) & set("pdnx") else path
    if "q" in options:
        return f"'{text}'" if "a" in options else f'"{text}"'
    return text


def _formatted(name: str, text: str, form: str) -> str | None:
    """Return what $INT(text,form) or $REAL(text,form) gives; None for no number."""
    try:
        value = evaluate(text)
    except (ExpressionError, NotKnownError):
        return None
    found = _FORMATS[name].fullmatch(form or {"INT": "%d", "REAL": "%.16G"}[name])
    if found is None or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if name == "INT":
        return found[0] % int(value) if abs(value) < _INT_MAX else None
    text = found[0] % float(value)
    return text if "." in text or not form else f"{text}.0"


_OWN = re.compile(r"\$\(([A-Za-z_0-9.]+)(?::([^$()]*))?\)")
_OWN_PARTS = re.compile(r"\$F[a-z]*\(([A-Za-z_0-9.]+)\)", re.IGNORECASE)


def with_itself(value: str, name: str, macros: Mapping[str, str]) -> tuple[str, bool, str]:
    """Return a value with $(name) and $F(name) replaced by what it was before.

    With it: whether there was a $(name), and a function in it that cannot be known here, which
    HTCondor calls at this point, or nothing.
    """
    found, unknown = False, ""
    before = macros.get(name)

    def whole(match: re.Match[str]) -> str:
        nonlocal found
        if match[1].lower() != name:
            return match[0]
        found = True
        return before or match[2] or ""

    def part(match: re.Match[str]) -> str:
        nonlocal unknown
        if match[1].lower() != name:
            return match[0]
        known = macros if before else {k: v for k, v in macros.items() if k != name}
        expanded = expand(match[0], known)
        calls = [u for u in expanded.unknown if re.match(r"\$[A-Za-z]", u)]
        unknown = unknown or next(iter(calls), "")
        return expanded.text

    return _OWN_PARTS.sub(part, _OWN.sub(whole, value)), found, unknown
