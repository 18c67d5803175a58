"""Expand $(macros) and $FUNCTIONS() as condor_submit does; what cannot be known here is named.

Source: expand_macro and evaluate_macro_func of config.cpp, and what condor_submit of HTCondor
25.14.1 makes of thousands of random values.
"""

import math
import random
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pixi_scaffold.job.classad import ExpressionError, literal
from pixi_scaffold.job.evaluate import NotKnownError, Value, as_integer, constant, evaluate
from pixi_scaffold.job.words import file_part

LIMIT = 1 << 20
"""Characters that one value may grow to; a real one has far less."""
_MOST = 10_000
"""So many macros are replaced in one value; condor_submit goes on without end."""
_DEEPEST = 50
_INT_MAX = 2**63 - 1
_GAPS = re.compile(r"[,\s]+")
_NUMBER_WIDTH = 55
"""Characters of a formatted number (a buffer of config.cpp)."""
_BUILT_IN = {
    "linux": "true", "windows": "", "osx": "", "islinux": "1", "iswindows": "0",
    "node": "", "arch": "X86_64", "opsys": "LINUX",
}  # fmt: skip
_KEPT = "\ud824"
"""Stands for a `$` that is no macro any more; no text that was read holds it."""
_MACRO = re.compile(r"\$(ENV)?\(([\w./]*)(?::((?:[\w.,:/\\$ ]|\([^)]*\))*))?\)", re.ASCII)
_FUNCTION = re.compile(
    r"\$(F[pnxdqabfwuPNXDQABFWU]*|BASENAME|CHOICE|DIRNAME|EVAL|INT|RANDOM_CHOICE|RANDOM_INTEGER|"
    r"REAL|STRING|SUBSTR)\(([^)]*)\)"
)
_LATE = re.compile(r"\$\$\w*", re.ASCII)
_AT_MATCH = re.compile(r"\$\$\((?:\[.*?\]|\w*(?::[^()]*)?)\)")
_UNCLOSED = re.compile(r"(?<!\$)\$\w*\([^)]*$", re.ASCII)
_BITS = {"hh": 8, "h": 16, "": 32, "l": 64, "ll": 64}
_FORMATS = {  # of printf(3); a width of more digits would fill the memory
    "INT": re.compile(r"[^%]*%[-+ 0#]*\d{0,3}(?:\.\d{1,2})?((?:hh?|ll?)?[dixXou])(?:[^%]|%%)*"),
    "REAL": re.compile(r"[^%]*%[-+ 0#]*\d{0,3}(?:\.\d{1,2})?(l?[aAeEfFgG])(?:[^%]|%%)*"),
    "STRING": re.compile(r"[^%]*%-?\d{0,3}(?:\.\d{1,3})?(s)(?:[^%]|%%)*"),
}


class Expanded(NamedTuple):
    """A value with its macros replaced."""

    text: str
    undefined: tuple[str, ...] = ()
    """Names that nothing sets, and functions that have no value: HTCondor puts nothing there."""
    unknown: tuple[str, ...] = ()
    """What only the submit machine or the worker can tell, as $ENV(X) or $$(Attr); it stays."""
    unclosed: str = ""
    """A macro without its closing parenthesis: HTCondor leaves it as it is."""


class Outside(NamedTuple):
    """What condor_submit takes from elsewhere."""

    environ: Mapping[str, str] | None = None
    """Its environment; None where it is not known, so that $ENV(X) stays."""
    chance: random.Random | None = None
    """For $RANDOM_...; None leaves them."""
    folder: Path | None = None
    """Where it runs."""


def expand(value: str, macros: Mapping[str, str], outside: Outside | None = None) -> Expanded:
    """Return `value` with macros replaced; the names in `macros` are in lower case."""
    if "$" not in value:
        return Expanded(value)
    work = _Expansion(macros, outside or Outside())
    text = work.expand(value)
    unknown = dict.fromkeys(_AT_MATCH.findall(text)) | work.unknown
    unclosed = _UNCLOSED.search(text)
    text = text.replace(_KEPT, "$")
    return Expanded(
        text, tuple(work.undefined), tuple(unknown), unclosed[0][:40] if unclosed else ""
    )


def references(value: str) -> set[str]:
    """Return the names (lower case) of the macros that a value mentions, also inside functions."""
    names = re.findall(r"\$[A-Za-z]*\(\s*([A-Za-z_0-9.]+)", value)
    return {name.lower() for name in names}


class _Expansion:
    def __init__(self, macros: Mapping[str, str], outside: Outside) -> None:
        self.macros = macros
        self.outside = outside
        self.undefined: dict[str, None] = {}
        self.unknown: dict[str, None] = {}
        self.replaced = self.depth = 0

    def expand(self, value: str) -> str:
        """Replace the first macro until there is none: what it comes to may hold others.

        One inside a name, as in $(a_$(b)), is replaced first, since the outer one is not whole yet.
        """
        text, at = value, 0
        self.depth += 1
        while match := self._first(text, at):
            at = match.start() if "$" not in text[at : match.start()] else text.index("$", at)
            answer = self._answer(match) if self.depth < _DEEPEST else None
            if answer is None:
                self.unknown[match[0].replace(_KEPT, "$")] = None
                answer = match[0].replace("$", _KEPT)
            text = f"{text[: match.start()]}{answer}{text[match.end() :]}"
            self.replaced += 1
            if self.replaced > _MOST or len(text) > LIMIT:
                self.unknown[value[:40]] = None
                text = ""
        self.depth -= 1
        return text

    @staticmethod
    def _first(text: str, at: int) -> re.Match[str] | None:
        while (at := text.find("$", at)) >= 0:
            if late := _LATE.match(text, at):
                at = late.end()
            elif match := _MACRO.match(text, at) or _FUNCTION.match(text, at):
                return match
            else:
                at += 1
        return None

    def _answer(self, match: re.Match[str]) -> str | None:
        """Return what comes in place of a macro; None when it cannot be known here."""
        if match.re is _MACRO:
            return self._environment(match) if match[1] else self._macro(match[2], match[3])
        name, body = match[1], match[2]
        if name.startswith("F"):
            return file_part(name[1:].lower(), self._looked_up(body), self.outside.folder)
        known = _FUNCTIONS.get(name)
        answer = known(self, body) if known else self._formatted(name, body)
        if answer == "":
            self.undefined[match[0]] = None
        return answer

    def _macro(self, name: str, default: str | None) -> str:
        key = name.lower()
        if key == "dollar" and default is None:
            return _KEPT
        value = self.macros.get(key, _BUILT_IN.get(key))
        if value is None and default is None:
            self.undefined[name] = None
        return value or default or ""

    def _environment(self, match: re.Match[str]) -> str | None:
        """Return $ENV(X), which is the word UNDEFINED where it is not set, or $ENV(X:default)."""
        if self.outside.environ is None:
            return None
        value = self.outside.environ.get(match[2])
        if value is None:
            value = "UNDEFINED" if match[3] is None else match[3]
        return value

    def _value_of(self, name: str) -> str | None:
        value = self.macros.get(name.lower(), _BUILT_IN.get(name.lower()))
        return value if value is None else self.expand(value)

    def _looked_up(self, name: str) -> str:
        """Return what a function is applied to: a macro's value, or the text itself."""
        value = self._value_of(name)
        return self.expand(name) if value is None else value

    def _evaluated(self, body: str) -> str | None:
        """Return $EVAL(expression); what is no expression is left out, unless it has macros."""
        raw = self.macros.get(body.lower(), body)
        text = self.expand(raw)
        try:
            value = evaluate(text)
        except NotKnownError:
            return None
        except ExpressionError:
            return text if "$" in raw else ""
        return value if isinstance(value, str) else _unparsed(value)

    def _number(self, body: str) -> int | None:
        return as_integer(self._looked_up(body))

    def _formatted(self, kind: str, body: str) -> str | None:
        name, comma, form = body.partition(",")
        text = self._looked_up(name)
        if not comma:
            return _as_text(kind, text)
        if not form:
            return ""
        match = _FORMATS[kind].fullmatch(form)
        if match is None or (kind != "STRING" and re.search(r"%[^%]*\d{3}", form)):
            return None if re.search(r"\d{3}", form) else form.replace("$", _KEPT)
        if kind == "STRING":
            return form % _as_text(kind, text)
        number = _as_number(kind, text)
        return "" if number is None else _printed(form, match[1], number)

    def _basename(self, body: str) -> str:
        name, _, suffix = body.rpartition(",") if "," in body else (body, "", "")
        name_part, suffix = file_part("nx", self._looked_up(name), None), suffix.strip()
        ends = suffix and name_part.lower().endswith(suffix.lower())
        return name_part[: -len(suffix)] if ends else name_part

    def _choice(self, body: str) -> str:
        """Return $CHOICE(index,list) or $CHOICE(index,a,b,...); an odd index is the first."""
        index, *items = (part.strip() for part in body.split(","))
        if len(items) == 1:
            items = _items(self._value_of(items[0]) or "")
        number = max(self._number(index) or 0, 0)
        return items[number] if number < len(items) else ""

    def _substring(self, body: str) -> str:
        """Return $SUBSTR(name,start) or $SUBSTR(name,start,length); negative ones count back."""
        name, *arguments = body.split(",", 2)
        text = self._value_of(name) or ""
        numbers = [self._number(argument) for argument in arguments]
        if not numbers or None in numbers:
            return ""
        start, length = numbers[0] or 0, numbers[1] if len(numbers) == 2 else len(text)
        rest = text[max(start + len(text), 0) if start < 0 else start :]
        return rest[: max(length + len(rest), 0) if length and length < 0 else length]

    def _random_choice(self, body: str) -> str | None:
        items = _items(body) if "," in body else _GAPS.split(self._looked_up(body.strip()).strip())
        if len(set(items)) < 2:
            return items[0] if items else ""
        return self.outside.chance.choice(items) if self.outside.chance else None

    def _random_integer(self, body: str) -> str | None:
        """Return $RANDOM_INTEGER(least,most[,step]); what is no number is 0, a step of none 1."""
        bounds = [re.match(r"\s*[-+]?\d+", part) for part in body.split(",")]
        least, most, step = [*(int(n[0]) if n else 0 for n in bounds), 0, 0][:3]
        if len(bounds) < 2 or not bounds[1]:
            most = least
        many = range(min(least, most), most + 1, max(step, 1))
        if len(many) == 1:
            return str(many[0])
        return str(self.outside.chance.choice(many)) if self.outside.chance else None


_FUNCTIONS: Mapping[str, Callable[[_Expansion, str], str | None]] = {
    "BASENAME": _Expansion._basename,
    "DIRNAME": lambda work, body: file_part("p", work._looked_up(body), None),
    "CHOICE": _Expansion._choice, "EVAL": _Expansion._evaluated,
    "RANDOM_CHOICE": _Expansion._random_choice, "RANDOM_INTEGER": _Expansion._random_integer,
    "SUBSTR": _Expansion._substring,
}  # fmt: skip


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")] if text else []


def _unparsed(value: Value) -> str:
    """Return a value in the words of ClassAds' own unparser."""
    if isinstance(value, tuple):
        inner = [f'"{v}"' if isinstance(v, str) else _unparsed(v) for v in value]
        return f"{{ {','.join(inner)} }}"
    return f"{value:.15E}" if isinstance(value, float) else literal(value)


def _as_text(kind: str, text: str) -> str:
    """Return what $INT(text), $REAL(text) or $STRING(text) gives; nothing for no number."""
    if kind == "STRING":
        value = constant(text)
        return value if isinstance(value, str) else text
    number = _as_number(kind, text)
    if number is None:
        return ""
    return str(number) if kind == "INT" else f"{float(number):.16G}"


def _as_number(kind: str, text: str) -> int | float | None:
    value = constant(text)
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    whole = max(min(int(value), _INT_MAX), -_INT_MAX - 1)
    return whole if kind == "INT" else float(value)


def _printed(form: str, conversion: str, number: int | float) -> str | None:
    """Return a number as printf(3) does; None for what Python prints otherwise."""
    length, kind = conversion[:-1], conversion[-1]
    if isinstance(number, int):
        values = 1 << _BITS[length]
        number %= values
        if kind in "di" and number >= values >> 1:
            number -= values
    elif kind in "aA":
        return None
    text = (form.replace(conversion, kind) % number)[:_NUMBER_WIDTH]
    return text if isinstance(number, int) or "." in text else f"{text}.0"


_OWN = re.compile(r"\$\(([A-Za-z_0-9.]+)(?::([^$()]*))?\)")
_OWN_PARTS = re.compile(r"\$F[a-z]*\(([A-Za-z_0-9.]+)\)", re.IGNORECASE)


def with_itself(value: str, name: str, macros: Mapping[str, str]) -> tuple[str, bool, str]:
    """Return a value with $(name) and $F(name) replaced by what it was before.

    With it: whether there was a $(name), and a function in it that cannot be known here, which
    HTCondor calls at this point, or nothing.
    """
    before = macros.get(name)
    known = macros if before else {k: v for k, v in macros.items() if k != name}
    refers = any(match[1].lower() == name for match in _OWN.finditer(value))
    unknown: list[str] = []

    def whole(match: re.Match[str]) -> str:
        return match[0] if match[1].lower() != name else before or match[2] or ""

    def part(match: re.Match[str]) -> str:
        if match[1].lower() != name:
            return match[0]
        expanded = expand(match[0], known)
        unknown.extend(call for call in expanded.unknown if re.match(r"\$[A-Za-z]", call))
        return expanded.text

    return _OWN_PARTS.sub(part, _OWN.sub(whole, value)), refers, next(iter(unknown), "")


def unexpanded(values: Iterable[str]) -> str:
    """Return the first `$$(NAME)` or `$$([EXPRESSION])` without a default, without its dollars."""
    matches = (re.search(r"\$\$(\(\[.*?\]\)|\([^():]*\))", value) for value in values)
    return next((match[1] for match in matches if match), "")
