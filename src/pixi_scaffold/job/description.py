"""What a submit description says: commands with their lines, queue statements, jobs."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pixi_scaffold.job.commands import canonical, is_command
from pixi_scaffold.job.macros import Expanded, Outside, expand, references

_GAP, _COMMA, _SEPARATOR = re.compile(r"[, \t]"), re.compile(","), re.compile("\x1f")


class Command(NamedTuple):
    """One `name = value` line."""

    name: str
    """Canonical (lower case, `my.attr` for +Attr)."""
    spelled: str
    """As it stands there."""
    value: str
    """Macros not expanded."""
    file: Path
    """Where it stands; lines count from 1."""
    line: int
    last: int
    appends: bool = False
    """`name += value` or a value that refers to itself, so nothing of the earlier value is lost."""


class Problem(NamedTuple):
    """Something in the file that HTCondor refuses, or that cannot be known here."""

    kind: str
    """`refused` (condor_submit stops there), `queue` (a queue it refuses), `items` (of one,
    which only condor_submit sees), `unknown` (only the submit machine or the pool knows), `assumed`
    (the message says what), `odd`, `dag` (DAGMan refuses it), `old dag` (one as old as 23 does)."""
    file: Path
    line: int
    message: str
    about: str = ""
    """The file that is missing, as the description names it."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue statement."""

    file: Path
    line: int
    text: str
    count: int = 1
    """Jobs an item."""
    variables: tuple[str, ...] = ()
    """Names that each item sets."""
    items: tuple[str, ...] | None = None
    """One text an item, None for a bare `queue N`."""
    source: Path | None = None
    """The file that the items were read from."""
    item_lines: tuple[int, ...] = ()
    """Their lines there (or in the description)."""
    places: tuple[int, ...] = ()
    """Of a slice, where each item stands in the whole list."""
    commas_only: bool = False
    """Whether columns part at commas alone: `from table` of HTCondor 25."""

    def item(self, row: int) -> str:
        """Return an item; a blank one has the values of the one above (seen with 25.14)."""
        items = self.items or ("",)
        while row > 0 and not items[row].strip():
            row -= 1
        return items[row]

    @property
    def total(self) -> int:
        """How many jobs it makes: `queue 0` makes one (seen with 25.14.1)."""
        return max(self.count, 1) * (1 if self.items is None else len(self.items))

    def values(self, item: str) -> dict[str, str]:
        """Return the variables of one item (submit_utils.cpp, split_item).

        Columns part at commas, spaces and tabs; the last variable gets the rest of the line. A
        unit separator (0x1f) in the line parts them in place of these.
        """
        mark = _SEPARATOR if "\x1f" in item else _COMMA if self.commas_only else _GAP
        rest, row = item.strip(" \t"), dict[str, str]()
        for name in self.variables[:-1]:
            part, *more = mark.split(rest, maxsplit=1)
            row[name], rest = part.rstrip(" \t"), "".join(more).lstrip(" \t")
        return row | dict.fromkeys(self.variables[-1:], rest)


@dataclass(frozen=True, slots=True)
class Submission:
    """What condor_submit knows besides the file."""

    environ: Mapping[str, str] | None = None
    """Its environment; None where a description is only looked at, so that $ENV(X) is not known."""
    time: float = field(default_factory=time.time)
    """When it is submitted, in seconds."""
    seed: int | None = None
    """Of what $RANDOM_INTEGER and $RANDOM_CHOICE give; None leaves them unknown."""
    before: tuple[str, ...] = ()
    """Lines that are read before the file: `condor_submit NAME=VALUE`."""
    append: tuple[str, ...] = ()
    """Lines that are read before the first queue statement: `condor_submit -append LINE`."""
    queue: str = ""
    """What `condor_submit -queue` says, for a file without a queue statement."""
    requeue: str = ""
    """What stands in for the queue statement that the file has."""

    @property
    def words(self) -> tuple[str, ...]:
        """What stands after the file in the command line of condor_submit."""
        append = (word for line in self.append for word in ("-append", line))
        return (*self.before, *append, *(("-queue", self.queue) if self.queue else ()))

    def outside(self, value: str, proc: int, folder: Path) -> Outside:
        """Return what one value of one job is expanded with; folder: where it is submitted."""
        place = f"{self.seed} {proc} {value}"  # each place has its own number, the same each time
        chance = None if self.seed is None or "$" not in value else random.Random(place)  # noqa: S311
        return Outside(self.environ, chance, folder)

    def macros(self) -> dict[str, str]:
        """Return the macros that hold the time."""
        year, month, day = time.strftime("%Y %m %d", time.localtime(self.time)).split()
        return {"year": year, "month": month, "day": day, "submit_time": str(int(self.time))}


@dataclass(frozen=True, slots=True)
class Job:
    """The commands in effect at one queue statement."""

    path: Path
    folder: Path
    """Where condor_submit is run; relative paths start there."""
    commands: Mapping[str, Command]
    """The last of each name."""
    macros: Mapping[str, str]
    """The same by lower-case spelled name, for $(...)."""
    queue: Queue
    proc: int = 0
    """Which of the statement's jobs is meant where a method is given none."""
    submission: Submission = field(default_factory=Submission)
    first: int = 0
    """The number of the statement's first job, where numbers count through all statements."""

    def variants(self, most: int) -> tuple[tuple[Job, ...], int]:
        """Return a job for each row of the queue statement that differs, and how many are left out.

        One job where there are no rows, or no command uses them.
        """
        first: dict[str, int] = {}
        for row, item in enumerate(self.queue.items or ()):
            first.setdefault(item, row * max(self.queue.count, 1))
        names = {name.lower() for name in self.queue.variables}
        used = any(names & references(command.value) for command in self.commands.values())
        if len(first) < 2 or not used:
            return (self,), 0
        procs = list(first.values())
        return tuple(replace(self, proc=proc) for proc in procs[:most]), max(len(procs) - most, 0)

    def of_row(self, proc: int) -> Job:
        """Return the job with what its queue statement sets of commands: `queue arguments from`."""
        queue = self.queue
        of_this_row = self.variables(proc) if queue.items else {}
        taken = {}
        for variable in queue.variables if of_this_row else ():
            name = canonical(variable)
            if is_command(name) and (variable.lower() == name or name not in self.commands):
                value = of_this_row[variable.lower()]
                taken[name] = Command(name, variable, value, queue.file, queue.line, queue.line)
        return replace(self, commands={**self.commands, **taken}) if taken else self

    def command(self, name: str) -> Command | None:
        """Return the command of this canonical name; None when it is not set or set to nothing."""
        command = self.commands.get(canonical(name))
        return command if command is not None and command.value.strip() else None

    def expand(self, value: str, proc: int | None = None) -> Expanded:
        """Expand the macros in `value` for one job of the queue statement (default: `proc`)."""
        proc = self.proc if proc is None else proc
        outside = self.submission.outside(value, proc, self.folder)
        return expand(value, self.known_macros(proc), outside)

    @property
    def undefined_by_queue(self) -> tuple[str, ...]:
        """The macros that the queue statement uses and nothing defines."""
        text = self.queue.text
        return self.expand(text).undefined if "queue" in text.lower() else ()

    def known_macros(self, proc: int) -> dict[str, str]:
        """Return all macros of one job by lower-case name; a description may define YEAR itself."""
        file = os.path.relpath(self.path, self.folder)  # as it is given to condor_submit there
        defaults = {**self.submission.macros(), "submit_file": file}
        return {**defaults, **self.macros, **self.variables(proc)}

    def variables(self, proc: int) -> dict[str, str]:
        """Return what the queue statement sets for a job, from `first` on; raises IndexError."""
        queue, number = self.queue, max(proc, self.first)  # without a number, it is the first one
        if not 0 <= number - self.first < max(queue.total, 1):
            raise IndexError(proc)
        row, step = divmod(number - self.first, max(queue.count, 1))
        place = queue.places[row] if queue.places else row
        given = {
            "cluster": "1", "clusterid": "1", "process": str(number), "procid": str(number),
            "step": str(step), "row": str(place), "itemindex": str(place), "jobid": f"1.{number}",
        }  # fmt: skip
        if queue.items:
            given |= {k.lower(): v for k, v in queue.values(queue.item(row)).items()}
        return given


class Description(NamedTuple):
    """A submit description as read."""

    path: Path
    folder: Path
    lines: tuple[str, ...]
    """The file's own, for suppressing comments."""
    commands: tuple[Command, ...]
    """Every one in effect, in order, those that were lost to a later one too."""
    lost: tuple[tuple[Command, Command], ...]
    """(lost, taken) pairs."""
    jobs: tuple[Job, ...]
    """One a queue statement, but for those beyond QUEUES_LIMIT; for a file without one, the job
    that it would be."""
    queues: tuple[Queue, ...]
    trailing: tuple[Command, ...] = ()
    """Commands after the last queue statement."""
    problems: tuple[Problem, ...] = ()
    included: Mapping[Path, tuple[str, ...]] = MappingProxyType({})

    def of_kind(self, kind: str) -> Iterator[Problem]:
        """Yield the problems of one kind."""
        return (p for p in self.problems if p.kind == kind)
