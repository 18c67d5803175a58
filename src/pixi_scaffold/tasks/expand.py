"""Make the arguments of a command of its words: variables, `$(...)`, `~`, braces, file patterns.

As deno_task_shell does it, which is not always what a POSIX shell does: a value is split at blanks
in double quotes, too, and put together again with one blank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path

from pixi_scaffold.tasks.patterns import find
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
            return self.scope.variables.get("HOME") or str(Path.home())
        except RuntimeError as error:
            raise CommandError("failed resolving home directory for tilde expansion") from error

    def _match(self, pieces: list[_Piece], *, quoted: bool) -> list[str]:
        """Return the files that a pattern names, or the text itself where it is none."""
        text = "".join(piece for piece, _ in pieces)
        if quoted or not any(set(piece) & set("*?[") for piece, q in pieces if not q):
            return [text]
        pattern = "".join(_literal(piece) if q else piece for piece, q in pieces)
        if "globstar" not in self.scope.options:
            while "**" in pattern:
                pattern = pattern.replace("**", "*")
        paths = find(pattern, self.scope.cwd)
        if paths:
            return paths
        if "failglob" in self.scope.options:
            raise CommandError(
                f"glob: no matches found '{self.scope.cwd}/{pattern}' (run `shopt -u failglob` to "
                "pass unmatched glob patterns literally)"
            )
        return [] if "nullglob" in self.scope.options else [pattern]


def _literal(text: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[]" else sign for sign in text)


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
