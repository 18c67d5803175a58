"""Expand $(macros) and $FUNCTIONS() as condor_submit does; what cannot be known here is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from pixi_scaffold.job.arithmetic import number

LIMIT = 1 << 20
"""Characters that one value may grow to; a real one has far less."""
_DEPTH = 50
_INT_MAX = 2**63
_BUILT_IN = {"dollar": "$", "linux": "true", "windows": "", "osx": ""}
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


def expand(value: str, macros: Mapping[str, str]) -> Expanded:
    """Return `value` with macros replaced; the names in `macros` are in lower case."""
    work = _Expansion(macros)
    text = work.expand(value, ())
    return Expanded(text, tuple(work.undefined), tuple(work.unknown))


def references(value: str) -> set[str]:
    """Return the names (lower case) of the macros that a value mentions, also inside functions."""
    found = re.findall(r"\$[A-Za-z]*\(\s*([A-Za-z_0-9.]+)", value)
    return {name.lower() for name in found}


class _Expansion:
    """One expansion: what it could not replace adds up."""

    def __init__(self, macros: Mapping[str, str]) -> None:
        self.macros = macros
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
        simple: dict[str, Callable[[str], str]] = {
            "BASENAME": lambda text: PurePosixPath(text).name,
            "DIRNAME": lambda text: str(PurePosixPath(text).parent),
        }
        if name in simple:
            return simple[name](self._argument(body, inside))
        arguments = [part.strip() for part in self.expand(body, inside).split(",")]
        if name == "SUBSTR" and len(arguments) == 3:  # with 2, releases differ in what they mean
            return _substring(self._argument(arguments[0], inside), arguments[1:])
        if name == "CHOICE" and len(arguments) >= 2:
            return self._choice(arguments, inside)
        if name in _FORMATS or (name == "STRING" and len(arguments) == 1):
            text = self._argument(arguments[0], inside).strip()
            form = self.expand(body, inside).partition(",")[2]  # with its spaces
            return text if name == "STRING" else _formatted(name, text, form)
        return None  # ENV, RANDOM_CHOICE, RANDOM_INTEGER, EVAL, or a pool's own

    def _argument(self, body: str, inside: tuple[str, ...]) -> str:
        """Return what a function is applied to: a macro's value, or the text itself."""
        text = self.expand(body, inside).strip()
        value = self.macros.get(text.lower())
        return text if value is None else self.expand(value, (*inside, text.lower()))

    def _choice(self, arguments: list[str], inside: tuple[str, ...]) -> str | None:
        index = self._argument(arguments[0], inside).strip()
        items = arguments[1:]
        if len(items) == 1:
            items = [i for i in re.split(r"[,\s]+", self._argument(items[0], inside)) if i]
        if not index.isdecimal() or int(index) >= len(items):
            return None
        return items[int(index)]


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
    pure = PurePosixPath(path)
    folder, parent = path[: len(path) - len(pure.name)], pure.parent.name
    parts = {"p": folder, "d": f"{parent}/" if parent else "", "n": pure.stem, "x": pure.suffix}
    if "b" in options:
        parts |= {"p": folder.rstrip("/"), "d": parent, "x": pure.suffix.lstrip(".")}
    chosen = [parts[c] for c in "pdnx" if c in options]
    text = "".join(chosen) if chosen or set(options) & set("pdnx") else path
    if "q" in options:
        return f"'{text}'" if "a" in options else f'"{text}"'
    return text


def _formatted(name: str, text: str, form: str) -> str | None:
    """Return what $INT(text,form) or $REAL(text,form) gives; None for no plain arithmetic."""
    value = number(text)
    found = _FORMATS[name].fullmatch(form or {"INT": "%d", "REAL": "%.16G"}[name])
    too_large = name == "INT" and abs(value or 0) >= _INT_MAX
    if value is None or found is None or too_large:
        return None
    return found[0] % (int(value) if name == "INT" else float(value))


def _substring(text: str, numbers: list[str]) -> str | None:
    """Return text[start:start+length]; a negative length counts from the end."""
    if not all(re.fullmatch(r"-?\d{1,9}", n) for n in numbers):
        return None
    return text[int(numbers[0]) :][: int(numbers[1])]
