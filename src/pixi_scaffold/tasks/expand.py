"""Make the arguments of a command of its words: variables, `$(...)`, `~`, braces, file patterns.

As deno_task_shell does it, which is not always what a POSIX shell does: a value is split at blanks
in double quotes, too, and put together again with one blank. Files are found as by its library glob
0.3: without case, in order, no hidden ones; what begins with a dot matches `.` and `..`, too.
"""

import fnmatch
import os
import pwd
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import TypeAlias

from pixi_scaffold.tasks.scope import CommandError, Scope
from pixi_scaffold.tasks.script import (
    Alternatives,
    Parameter,
    QuotedParts,
    Script,
    Substitution,
    Word,
)

_Piece = tuple[str, bool]  # a text, and whether it was quoted
_Parts: TypeAlias = "list[re.Pattern[str] | str | None]"
_META = re.compile(r"[*?\[]")
_META_SIGN = re.compile(r"[*?\[\]]")
_BRACKETS = re.compile(r"\[!?.[^]]*\]", re.DOTALL)
"""Signs to choose from; a `]` right behind the bracket is one of them."""
_DOT = fnmatch.translate(".")[:5]
"""What the expression of a name with a dot in front begins with."""


class Expander:
    """Expands words where the variables are those of `scope`.

    output: runs a script and returns what it prints.
    """

    def __init__(self, scope: Scope, output: Callable[[Script], bytes]) -> None:
        self.scope, self.output = scope, output

    def arguments(self, words: Iterable[Word]) -> list[str]:
        """Return the arguments that words become; raises CommandError."""
        single = (one for word in words for one in _without_braces(word))
        return [text for one in single for text in self._expand(one, quoted=False)]

    def text(self, word: Word) -> str:
        """Return the value that a word becomes; raises CommandError."""
        return " ".join(self.arguments([word]))

    def _expand(self, word: Word, *, quoted: bool) -> list[str]:
        done: list[str] = []
        current: list[_Piece] = []
        for part in word:
            if isinstance(part, str):
                current.append((part, False))
            elif isinstance(part, QuotedParts):
                current.append((" ".join(self._expand(part.parts, quoted=True)), True))
            else:
                assert not isinstance(part, Alternatives)  # noqa: S101  taken apart before
                first, *others = [p for p in self._value(part).split(" ") if p] or [""]
                current += [(first, False)] if first else []
                for piece in others:
                    done += self._match(current, quoted=quoted)
                    current = [(piece, False)]
        return done + self._match(current, quoted=quoted) if current else done

    def _value(self, part: Parameter | Substitution) -> str:
        if isinstance(part, Substitution):
            data = self.output(part.script)
            for sign in (b"\n", b"\r", b"\t"):
                data = data.replace(sign, b" ")
            return data.decode(errors="surrogateescape")
        if part.name != "~":
            return self.scope.get(part.name) or ""
        try:
            return self.scope.variables.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
        except KeyError as error:
            raise CommandError("failed resolving home directory for tilde expansion") from error

    def _match(self, pieces: list[_Piece], *, quoted: bool) -> list[str]:
        """Return the files that a pattern names, or the text itself where it is not one."""
        text = "".join(piece for piece, _ in pieces)
        if quoted or not any(set(piece) & set("*?[") for piece, q in pieces if not q):
            return [text]
        pattern = "".join(_META_SIGN.sub(r"[\g<0>]", piece) if q else piece for piece, q in pieces)
        if "globstar" not in self.scope.options:
            while "**" in pattern:
                pattern = pattern.replace("**", "*")
        paths = _find(pattern, self.scope.cwd)
        if paths:
            return paths
        if "failglob" in self.scope.options:
            raise CommandError(
                f"glob: no matches found '{self.scope.cwd}/{pattern}' (run `shopt -u failglob` to "
                "pass unmatched glob patterns literally)"
            )
        return [] if "nullglob" in self.scope.options else [pattern]


def _without_braces(word: Word) -> Iterable[Word]:
    """Yield the word once with each alternative, those of several braces combined."""
    choices = [
        [one for inner in part.words for one in _without_braces(inner)]
        if isinstance(part, Alternatives)
        else [(part,)]
        for part in word
    ]
    for combination in product(*choices):
        yield tuple(part for parts in combination for part in parts)


def _find(pattern: str, folder: Path) -> list[str] | None:
    """Return the paths that match, as the pattern has them; None where it is no valid pattern."""
    absolute = pattern.startswith("/")
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    parts: _Parts = []
    for name in names:
        if name == "**":
            if not parts or parts[-1] is not None:
                parts.append(None)
        elif "**" in name or (compiled := _compiled(name)) is None:
            return None
        else:
            parts.append(compiled if _META.search(name) else name)
    start = Path("/") if absolute else folder
    paths = _walk(start, "/" if absolute else "", parts)
    if pattern.endswith("/"):
        paths = (path for path in paths if (start / path).is_dir())
    if absolute:
        return list(paths)
    return ["/".join(name for name in path.split("/") if name != ".") for path in paths]


def _walk(folder: Path, prefix: str, parts: _Parts, *, is_nested: bool = False) -> Iterator[str]:
    """Yield what matches below a folder; is_nested: `**` led there, which names no `.` and `..`."""
    if not parts:
        return
    part, rest = parts[0], parts[1:]
    if isinstance(part, str):
        path = folder / part
        if os.path.lexists(path):
            yield from _further(path, prefix + part, rest)
    elif part is None:
        if rest:
            yield from _walk(folder, prefix, rest, is_nested=True)
        for name in _names(folder):
            if not name.startswith(".") and (folder / name).is_dir():
                if not rest:
                    yield prefix + name
                yield from _walk(folder / name, f"{prefix}{name}/", parts, is_nested=True)
    else:
        names = _names(folder) if is_nested else ["..", ".", *_names(folder)]
        for name in names:
            if (name[0] != "." or part.pattern.startswith(_DOT)) and part.fullmatch(name):
                yield from _further(folder / name, prefix + name, rest)


def _further(path: Path, shown: str, rest: _Parts) -> Iterator[str]:
    if not rest:
        yield shown
    elif path.is_dir():
        yield from _walk(path, f"{shown}/", rest)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  names, not paths
    except OSError:
        return []


def _compiled(name: str) -> re.Pattern[str] | None:
    """Return the expression of one part of a path; None where a bracket is not closed."""
    if "[" in _BRACKETS.sub("", name):
        return None
    return re.compile(fnmatch.translate(name), re.IGNORECASE)
