"""Read a submit description the way condor_submit does, without running anything.

Source of the rules: config.cpp (Parse_macros, ConfigIfStack) and submit_utils.cpp of HTCondor.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from pixi_scaffold.job.commands import canonical
from pixi_scaffold.job.description import Command, Description, Job, Problem, Queue, Submission
from pixi_scaffold.job.lines import Branch, Line, logical_lines, truth
from pixi_scaffold.job.macros import Expanded, with_itself
from pixi_scaffold.job.queue import (
    ITEMS_LIMIT,
    QueueError,
    queue_arguments,
    read_queue,
    skip_queue,
    variables_of,
)
from pixi_scaffold.system import read_regular

LIMIT = 8 << 20
"""Bytes of a description, its included files together, that are read."""
QUEUES_LIMIT = 50
"""Queue statements whose jobs are looked at."""
GIVEN = Path("<command line>")  # stands for the file of commands that were given there
_INCLUDE_DEPTH = 20
_IF_DEPTH = 63
_LOST_LIMIT = 100  # more need not be told
_COMMAND = re.compile(
    r"(?P<name>[^\s=:]+)\s*(?:(?P<here>@=)|\+(?P<plus>[^\s=]{0,2})=|(?P<op>[=:]))\s*"
)
_NAME = re.compile(r"[A-Za-z_0-9.]+")
_LOCAL = "submit."
_DIRECTIVE = re.compile(
    r"@?(include|use|error|warning)\b([^:=]*):\s*(.*)", re.IGNORECASE | re.DOTALL
)
_CONDITION = re.compile(r"(if|elif|else|endif)(?:\s+(.*))?$", re.IGNORECASE | re.DOTALL)
_NO_QUEUE = Queue(Path(), 0, "")


class RefusedError(Exception):
    """condor_submit stops at this line; what follows is not read."""


@dataclass(slots=True)
class _DescriptionReader:
    path: Path
    folder: Path
    submission: Submission
    commands: list[Command] = field(default_factory=list)
    current: dict[str, Command] = field(default_factory=dict)
    macros: dict[str, str] = field(default_factory=dict)
    lost: list[tuple[Command, Command]] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    queued: int = 0  # how many commands stood above the last queue statement
    local: set[str] = field(default_factory=set)  # set by `submit.NAME`, which NAME never changes
    places: dict[str, int] = field(default_factory=dict)  # name -> index of its last command
    included: dict[Path, tuple[str, ...]] = field(default_factory=dict)
    branches: list[Branch] = field(default_factory=list)
    size: int = 0
    items: int = 0  # of all queue statements so far

    def problem(self, kind: str, line: Line, message: str, about: str = "") -> None:
        self.problems.append(Problem(kind, line.file, line.first, message, about))

    def refuse(self, line: Line, message: str) -> RefusedError:
        self.problem("refused", line, message)
        return RefusedError()

    def read(self, text: str, file: Path, depth: int) -> None:
        """Read the lines of one file; raises RefusedError where condor_submit stops."""
        outer, self.branches = self.branches, []
        lines = logical_lines(text, file)
        for line in lines:
            if not line.text.strip() or line.text.startswith("#"):
                continue
            if "\0" in line.text:
                raise self.refuse(line, "a NUL byte: this is no text file")
            if line.oddity:
                self.problem("odd", line, line.oddity)
            content = line.text
            if content[0].isspace():
                why = "the file ends within this line, which HTCondor then takes with its spaces"
                raise self.refuse(line, why)
            if content.startswith(":") and (self.branches or re.match(r":if(\s|$)", content)):
                content = content[1:]
            if self._condition(content, line):
                continue
            if all(branch.active for branch in self.branches):
                self._statement(content, line, lines, depth)
        if self.branches:
            end = Line("", file, text.count("\n") + (not text.endswith("\n")), 0)
            raise self.refuse(end, "the file ends within an `if`: its `endif` is missing")
        self.branches = outer

    def given(self, texts: tuple[str, ...]) -> None:
        """Read NAME=VALUE, or what follows each -append, whose `if` may stay open."""
        for text in texts:
            self.included[GIVEN] = (*self.included.get(GIVEN, ()), text)
            at = len(self.included[GIVEN])
            outer, self.branches = self.branches, []
            for inner in logical_lines(f"{text}\n", GIVEN):
                content, line = inner.text, inner._replace(first=at, last=at)
                if not content or content[0] == "#" or self._condition(content, line):
                    continue
                matched = _COMMAND.match(content)
                attribute = texts is self.submission.before and content.startswith(("+", "-"))
                if matched is None or matched["here"] or attribute:
                    raise self.refuse(line, f"not a command: {content[:60]!r}")
                if all(branch.active for branch in self.branches):
                    self._assign(matched, content[matched.end() :].rstrip(), line)
            self.branches = outer

    def _condition(self, content: str, line: Line) -> bool:
        matched = _CONDITION.match(content)
        if matched is None:
            return False
        word, condition = matched[1].lower(), (matched[2] or "").strip()
        if word == "if":
            if len(self.branches) >= _IF_DEPTH:
                raise self.refuse(line, "`if` is nested too deep")
            outer = all(branch.active for branch in self.branches)
            holds = outer and self._holds(condition, line)
            self.branches.append(Branch(holds, holds))
            return True
        if not self.branches:
            raise self.refuse(line, f"`{word}` without an `if`")
        branch = self.branches[-1]
        if word == "endif":
            self.branches.pop()
            return True
        if branch.else_seen:
            raise self.refuse(line, f"`{word}` after `else`")
        outer = all(b.active for b in self.branches[:-1])
        branch.turn(word, lambda: outer and self._holds(condition, line))
        return True

    def _holds(self, condition: str, line: Line) -> bool:
        """Return what an `if` condition is; raises RefusedError for what is no condition."""
        expanded = self._expand(condition)
        if expanded.unknown:
            self.problem("unknown", line, f"the condition depends on {expanded.unknown[0]}")
            return False
        text = expanded.text.strip()
        negated = text.startswith("!")
        text = text.removeprefix("!").strip()
        if not text and "$" in condition:
            return negated
        value, assumed = truth(text, self.macros)
        if assumed:
            self.problem("assumed", line, assumed)
        if value is None:
            raise self.refuse(line, f"`{condition}` is not a condition")
        return value != negated

    def _statement(self, content: str, line: Line, following: Iterator[Line], depth: int) -> None:
        matched = _COMMAND.match(content)
        if (arguments := queue_arguments(content)) is not None:
            self._queue(arguments, line, following)
            return
        if directive := _DIRECTIVE.match(content):
            self._directive(directive, line, depth)
            return
        if matched is None or matched["op"] == ":":
            raise self.refuse(line, f"not a command: {content[:60]!r}")
        value, last = content[matched.end() :].rstrip(), line.last
        if matched["here"]:
            value, last = self._here(value, line, following)
        self._assign(matched, value, line._replace(last=last))

    def _here(self, tag: str, line: Line, following: Iterator[Line]) -> tuple[str, int]:
        """Return the text of `name @=tag`, up to the line `@tag`."""
        body: list[str] = []
        for after in following:
            if after.text == f"@{tag}":
                return "\n".join(body), after.last
            if after.text.strip() and not after.text.startswith("#"):
                body.append(after.text)
        raise self.refuse(line, f"the text has no end: no line says @{tag}")

    def _assign(self, matched: re.Match[str], value: str, line: Line) -> None:
        spelled = self._expand(matched["name"]).text
        key, plus = spelled, matched["plus"]
        if spelled.startswith(("+", "-")) and matched["op"] == "=":
            key, value = f"MY.{spelled[1:]}", value if spelled[0] == "+" else ""
        if not _NAME.fullmatch(key) or key.lower() == "queue":
            raise self.refuse(line, f"{spelled!r} is not a name")
        before = self.macros.get(key.lower())
        appends = plus is not None
        if plus is not None and before:
            separator = plus if len(plus) == 1 else f" {plus} " if plus else " "
            value = f"{before}{separator}{value}"
        if "$" in value:  # a value that names itself takes the earlier one now; others wait
            value, names_itself, unknown = with_itself(value, key.lower(), self.macros)
            appends = appends or names_itself
            if unknown:
                self.problem("unknown", line, f"{spelled} depends on {unknown}")
        if len(value) > LIMIT:
            raise self.refuse(line, f"{spelled} grows beyond {LIMIT >> 20} MiB")
        if local := key.lower().startswith(_LOCAL) and not key.lower().startswith(f"{_LOCAL}my."):
            self.macros[key.lower()] = value
            key = key[len(_LOCAL) :]
            self.local.add(canonical(key))
        name = canonical(key)
        command = Command(name, spelled, value, line.file, line.first, line.last, appends)
        earlier = self.current.get(name)
        unused = self.places.get(name, -1) >= self.queued
        meant = appends or GIVEN in (line.file, earlier and earlier.file)
        if earlier is not None and not meant and unused and len(self.lost) < _LOST_LIMIT:
            self.lost.append((earlier, command))
        self.places[name] = len(self.commands)
        self.commands.append(command)
        if name in self.local and not local:
            return
        if local or earlier is None or key.lower() == name or earlier.spelled.lower() != name:
            self.current[name] = command  # a second name counts only where the first is not set
        self.macros[key.lower()] = value

    def _queue(self, arguments: str, line: Line, following: Iterator[Line]) -> None:
        if line.file != self.path:
            raise self.refuse(line, "a queue statement in an included file")
        if not self.jobs:
            self.given(self.submission.append)
        if self.submission.requeue:
            skip_queue(arguments, following)
            arguments = self.submission.requeue
        if len(self.jobs) >= QUEUES_LIMIT or self.items > ITEMS_LIMIT:
            skip_queue(arguments, following)
            self.queues.append(Queue(line.file, line.first, line.text))
            self.queued = len(self.commands)
            return
        expanded = self._expand(arguments)
        if expanded.unknown:
            self.problem("unknown", line, f"the queue statement depends on {expanded.unknown[0]}")
            queue = Queue(line.file, line.first, line.text)
        else:
            try:
                wanted = self._expand(self.macros.get("submitmatchdirectories", "")).text
                text = expanded.text.lstrip()  # a blank at the end is of a macro without a value
                queue = read_queue(text, line, self.folder, following, wanted)
            except QueueError as error:
                self.problem(error.kind, line, *error.args)
                queue = Queue(line.file, line.first, line.text, 1, variables_of(expanded.text))
        if self.branches:  # the next part of the file is read as if it were a file of its own
            message = "a queue statement inside an `if`, which HTCondor forgets here"
            self.problem("odd", line, message)
            self.branches = []
        self.items += len(queue.items or ())
        self.queues.append(queue)
        self.jobs.append(self._job(queue))
        self.queued = len(self.commands)

    def _expand(self, value: str) -> Expanded:
        return self._job(_NO_QUEUE).expand(value) if "$" in value else Expanded(value)

    def _job(self, queue: Queue) -> Job:
        commands, macros = dict(self.current), dict(self.macros)
        return Job(self.path, self.folder, commands, macros, queue, submission=self.submission)

    def _directive(self, matched: re.Match[str], line: Line, depth: int) -> None:
        word, options, rest = matched[1].lower(), matched[2].strip().lower(), matched[3].strip()
        if word == "warning":
            return
        if word == "error":
            text = self._expand(rest).text
            raise self.refuse(line, f"the description stops itself: {text}")
        if word == "use" and options != "template":
            raise self.refuse(line, f"`use {options}`: a submit description takes templates only")
        if word == "use":
            message = f"`use {rest}` names a template of the pool's configuration"
            self.problem("unknown", line, message)
            return
        expanded, runs = self._expand(rest), "command" in options or rest.endswith("|")
        kept = re.search(r"\binto\s+(\S+)", matched[2], re.IGNORECASE)
        if kept and not runs:
            raise self.refuse(line, f"`into {kept[1]}` without `command`")
        path = self.folder / (kept[1] if kept else expanded.text)
        if (runs or expanded.unknown) and not (kept and path.is_file()):  # of an earlier run
            message = f"`include` of {rest!r} depends on the submit machine; it was not read"
            self.problem("unknown", line, message)
            return
        if depth + 1 >= _INCLUDE_DEPTH:
            raise self.refuse(line, "includes are nested too deep")
        try:
            text = self._text(path)
        except (OSError, ValueError) as error:
            if "ifexist" in options:
                return
            why = getattr(error, "strerror", None) or str(error)
            raise self.refuse(line, f"cannot include {rest}: {why}") from error
        self.included[path] = tuple(text.split("\n"))
        self.read(text, path, depth + 1)

    def _text(self, path: Path) -> str:
        data = read_regular(path, LIMIT - self.size + 1)
        self.size += len(data)
        if self.size > LIMIT:
            raise ValueError(f"more than {LIMIT >> 20} MiB")
        return data.decode("utf-8", errors="surrogateescape")


def _with_queue(given: Submission) -> Submission:
    """Take a queue statement after -append as one after -queue (submit.cpp), which allows one."""
    stated = [line for line in given.append if queue_arguments(line) is not None]
    if len(stated) != 1 or given.queue:
        return given
    append = tuple(line for line in given.append if line not in stated)
    return replace(given, append=append, queue=queue_arguments(stated[0]) or "1")


def read_description(path: Path, folder: Path, submission: Submission | None = None) -> Description:
    """Read the submit description at `path` as if condor_submit were run in `folder`.

    What HTCondor refuses, and what only the pool knows, is in `problems`. Raises OSError.
    """
    reader = _DescriptionReader(path, folder, _with_queue(submission or Submission()))
    try:
        text = reader._text(path)
    except ValueError as error:
        text = ""
        reader.problem("refused", Line("", path, 1, 1), f"{error}: not a submit description")
    with contextlib.suppress(RefusedError):
        reader.given(reader.submission.before)
        reader.read(text, path, 0)
        if reader.queues and reader.submission.queue and not reader.submission.requeue:
            line = Line("", path, reader.queues[0].line, 0)
            raise reader.refuse(line, "a queue statement beside the one of -queue")
        if not reader.jobs:
            reader.given(reader.submission.append)
            if reader.submission.queue:  # as if it stood below the last line
                reader.read("\n" * text.count("\n") + f"queue {reader.submission.queue}\n", path, 0)
    refused = any(p.kind == "refused" for p in reader.problems)
    trailing = () if refused or not reader.queues else tuple(reader.commands[reader.queued :])
    jobs = tuple(reader.jobs) or (reader._job(Queue(reader.path, 0, "")),)
    return Description(
        reader.path, reader.folder, tuple(text.split("\n")), tuple(reader.commands),
        tuple(reader.lost), jobs, tuple(reader.queues), trailing, tuple(reader.problems),
        reader.included,
    )  # fmt: skip
