"""Read the script of a task; pure. What the shell has not is refused with a reason.

Follows deno_task_shell's parser (src/parser.rs) rule by rule. A rule returns nothing where the text
is something else, and raises ScriptError where it can be nothing else.
"""

import re
from typing import Literal

from pixi_scaffold.tasks.script import (
    Assignment,
    Pipeline,
    Redirection,
    Script,
    ScriptError,
    ShellCommand,
    Statement,
    Word,
)
from pixi_scaffold.tasks.words import WordReader

_RESERVED = frozenset({
    "if", "then", "else", "elif", "fi", "do", "done", "case", "esac", "while", "until", "for", "in",
})  # fmt: skip
_IN_LINE = r"(?:[^\S\r\n]|\\\r?\n)*(?:#[^\r\n]*)?"
"""Blanks, line continuations and a comment, but no line's end."""
_GAP = r"(?:\s|#[^\r\n]*)*"
"""Blanks, line ends and comments."""
_INLINE, _BLANK = re.compile(_IN_LINE), re.compile(_GAP)
_SEPARATOR = re.compile(rf"(?:(&)(?![|&]){_IN_LINE}|;{_IN_LINE})?(?:\r?\n{_GAP})?")
_OPERATOR = re.compile(rf"(&&|\|\|)(?![|&]){_GAP}")
_PIPE = re.compile(rf"\|(&?)(?![|&]){_GAP}")
_NEGATION = re.compile(r"!\s+")
_ASSIGNS = re.compile(r"([A-Za-z0-9_]+)=")
_REDIRECTS = re.compile(r"(?:([0-9]{1,9})|(&))?(>>|>\||>|<)")
_STREAM = re.compile(r"&([0-9]{1,9})")
_ENDS_COMMAND = re.compile(rf"(?:&&|\|\||&|\|&?)(?![|&])|[;)]|\r?\n|{_REDIRECTS.pattern}")
_UNEXPECTED = "Unexpected character."


def parse(text: str) -> Script:
    """Return the script; raises ScriptError with what is wrong and where."""
    reader = _ScriptReader(text.strip())
    script = reader.script()
    if reader.at < len(reader.text):
        raise reader.refused(_UNEXPECTED)
    if not script:
        raise ScriptError("Empty command.", "")
    return script


class _ScriptReader(WordReader):
    def script(self) -> Script:
        self.take(_BLANK)
        statements = []
        while self.at < len(self.text) and (steps := self._steps()):
            separator = self.take(_SEPARATOR)
            statements.append(Statement(steps, bool(separator and separator[1])))
        return tuple(statements)

    def _steps(self) -> tuple[tuple[str, Pipeline], ...]:
        steps: list[tuple[str, Pipeline]] = []
        sign = ""
        while pipeline := self._pipeline():
            steps.append((sign, pipeline))
            self.take(_INLINE)
            operator = self.take(_OPERATOR)
            if operator is None:
                return tuple(steps)
            sign = operator[1]
        if steps:
            raise self.refused("Expected command following boolean operator.")
        return ()

    def _pipeline(self) -> Pipeline | None:
        start = self.at
        negated = self.take(_NEGATION) is not None
        if not negated and (alone := self._lone_assignment()):
            return Pipeline((alone,))
        commands: list[ShellCommand] = []
        while command := self._command():
            pipe = self.take(_PIPE)
            commands.append(command._replace(joins_stderr=bool(pipe and pipe[1])))
            if pipe is None:
                return Pipeline(tuple(commands), negated)
        if commands:
            raise self.refused("Expected command following pipeline operator.")
        self.at = start
        return None

    def _lone_assignment(self) -> ShellCommand | None:
        start = self.at
        assignments = self._assignments()
        if not assignments or self._words():
            self.at = start
            return None
        if len(assignments) > 1:
            raise self.refused(
                "Cannot set multiple environment variables when there is no following command.",
                start,
            )
        return ShellCommand(assignments=assignments)

    def _assignments(self) -> tuple[Assignment, ...]:
        assignments = []
        while name := self.take(_ASSIGNS):
            assignments.append(Assignment(name[1], self.word()))
            self._end_word("Invalid environment variable value. ")
        return tuple(assignments)

    def _end_word(self, context: str = "") -> None:
        """Pass over the blanks behind a word; raises ScriptError where something else follows."""
        sign = self.text[self.at : self.at + 1]
        if sign and not sign.isspace() and sign not in ";&|()":
            raise self.refused(context + _UNEXPECTED)
        self.take(_INLINE)

    def _command(self) -> ShellCommand | None:
        start = self.at
        if self.sees("("):
            command = ShellCommand(inner=self._parentheses())
        else:
            assignments = self._assignments()
            command = ShellCommand(self._words(), assignments)
            if not command.words:
                self.at = start
                return None
        self.take(_INLINE)
        start = self.at
        redirections = []
        while redirection := self._redirection():
            redirections.append(redirection)
            self.take(_INLINE)
        if len(redirections) > 1:
            raise self.refused("Multiple redirects are currently not supported.", start)
        return command._replace(redirection=redirections[0]) if redirections else command

    def _parentheses(self) -> Script:
        opening = self.at
        self.at += 1
        script = self.script()
        if not self.sees(")"):
            raise self.refused("Expected closing parenthesis on subshell.", opening)
        self.at += 1
        return script

    def _words(self) -> tuple[Word, ...]:
        """Read a command's name and arguments, up to an operator or a redirection."""
        words: list[Word] = []
        start = self.at
        while self.at < len(self.text) and not (words and _ENDS_COMMAND.match(self.text, self.at)):
            word = self.word()
            if not word:  # what follows in parentheses is a statement of its own
                break
            if not words and word[0] in _RESERVED and len(word) == 1:
                raise self.refused("Unsupported reserved word.", start)
            words.append(word)
            self._end_word()
        return tuple(words)

    def _redirection(self) -> Redirection | None:
        sign = self.take(_REDIRECTS)
        if sign is None:
            return None
        number, both, operator = sign.groups()
        stream: int | Literal["both"] | None = "both" if both else int(number) if number else None
        operator = operator.replace("|", "")
        if target := self.take(_STREAM):
            return Redirection(operator, int(target[1]), stream)
        self.take(_INLINE)
        if word := self.word():
            return Redirection(operator, word, stream)
        raise self.refused("Expected redirect path.", sign.start(3))
