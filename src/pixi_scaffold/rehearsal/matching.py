"""What a match with a slot fills into a job: `$$(NAME)`, and requests that are expressions.

Seen with HTCondor 25.14: a `$$(...)` that the slot does not fill in holds the job with code 0.
"""

import contextlib
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from pixi_scaffold.job import (
    Clause,
    Command,
    ExpressionError,
    Field,
    Job,
    Meaning,
    NotKnownError,
    attributes,
    evaluate,
    job_ad,
    job_names,
    literal,
    meaning,
    oversized,
    slot_names,
    unexpanded,
)
from pixi_scaffold.rehearsal.slot import KIB, KNOWN, MIB, OF_ONE_MACHINE, in_text, machine_ad

_AT_MATCH = re.compile(r"\$\$\((?:(\w*)(?::([^()]*))?|\[(.*?)\])\)")
_FIXED = ("arch", "hasfiletransfer", "opsys")


class Waits(NamedTuple):
    """Why a job that is queued may not start."""

    why: str
    certain: bool = False
    """Whether that is so on any machine, not only on one like this."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a job asks for, and what its slot fills in."""

    cpus: int
    gpus: int
    memory: int | None
    """Bytes; None for an expression that only a pool evaluates."""
    disk: int | None
    never: str = ""
    """A `$$(...)` that no slot fills in, without its dollars: the job is held."""
    waits: tuple[Waits, ...] = ()
    notes: tuple[str, ...] = ()
    """What is taken for something that only the pool knows."""


def matched(job: Job, submitted: Meaning) -> tuple[Match, Meaning]:
    """Return the match of a job with a slot here, and what the job then means."""
    proc = submitted.proc
    meant = submitted if job == submitted.job else meaning(job, proc)
    known = in_text(KNOWN["submitted"] | {"NumJobStarts": 0})
    submitted_ad = job_ad(meant)
    ad = known | submitted_ad.attributes | in_text({"Owner": "nobody"})
    my = {name.lower(): value for name, value in ad.items()}
    asked = meant.requests
    cpus, gpus = _amount(asked.cpus, my) or 1, _amount(asked.gpus, my) or 0
    memory, disk = _amount(asked.memory, my, MIB), _amount(asked.disk, my, KIB)
    machine = machine_ad(cpus, memory, disk, ("GPU",) * gpus)
    machine["Activity"] = literal("Idle")  # busy once it has the job
    hidden = {*OF_ONE_MACHINE, *(() if memory else ("Memory",)), *(() if disk else ("Disk",))}
    slot = {name.lower(): value for name, value in machine.items() if name not in hidden}

    def text(value: str) -> str:
        fill = partial(_filled, my=my, slot=slot)
        return _AT_MATCH.sub(fill, value) if "$$" in value else value

    commands = {n: c._replace(value=text(c.value)) for n, c in job.commands.items()}
    macros = {n: text(v) for n, v in job.macros.items()}
    filled = replace(job, commands=commands, macros=macros)
    meant = meant if filled == job else meaning(filled, proc)
    never = next(_never(meant, slot.keys()), "")
    if meant.common_inputs.value:  # beside them, none is filled in
        never = unexpanded(ad.values())
    fixed = {name: slot[name] for name in _FIXED}
    clauses, forced = submitted_ad.clauses, submitted.attributes.get("Requirements")
    if forced is not None and forced.command is not None:  # +Requirements comes last in its ad
        clauses = (Clause(forced.text, forced.command.spelled, forced.command.line),)
    waits = (*_unmatched(clauses, my, fixed), *_not_yet(meant))
    notes: tuple[str, ...] = ()
    if isinstance(asked.cpus.value, str) and _amount(asked.cpus, my) is None:
        notes = ("request_cpus is an expression that only the pool evaluates: 1 is taken",)
    return Match(cpus, gpus, memory, disk, never, waits, notes), meant


def _filled(match: re.Match[str], my: Mapping[str, str], slot: Mapping[str, str]) -> str:
    """Return what a slot fills in for `$$(...)`; what only a pool knows stays."""
    name, default, expression = match.groups()
    if name and name.lower() not in slot:
        return "$$" if name.upper() == "DOLLARDOLLAR" else match[0] if default is None else default
    value = None
    with contextlib.suppress(ExpressionError, NotKnownError):
        value = evaluate(name or expression or "", slot if name else my, slot)
    if isinstance(value, str):
        return value
    return literal(value) if isinstance(value, bool | int | float) else match[0]


def _never(meant: Meaning, slot: Collection[str]) -> Iterator[str]:
    """Yield each `$$(...)` that was not filled in and names nothing that some slot has."""
    possible = {name.lower() for name in slot_names()} - {*slot}
    fields = (*meant.fields.values(), *meant.attributes.values())
    left = (_AT_MATCH.fullmatch(text) for field in fields for text in field.unknown)
    for match in (match for match in left if match and match[2] is None):
        names = {match[1] or ""}
        with contextlib.suppress(ExpressionError):
            names |= {reference.name for reference in attributes(match[3] or "undefined")}
        if possible.isdisjoint(map(str.lower, names)):
            yield match[0].removeprefix("$$")


def _unmatched(
    clauses: Iterable[Clause], my: Mapping[str, str], fixed: Mapping[str, str]
) -> Iterator[Waits]:
    """Yield what the description asks of a machine and is not so here, or names no known attribute.

    fixed: what is the same on all machines of a kind. What depends on the pool is left alone.
    """
    known = {name.lower() for name in (*slot_names(), *job_names())} | my.keys()
    for clause in (c for c in clauses if c.line and not c.gpu):
        with contextlib.suppress(ExpressionError, NotKnownError):
            names = {reference.name.lower() for reference in attributes(clause.text)}
            value = evaluate(clause.text, my, fixed)
            met = isinstance(value, bool | int | float) and value != 0
            false = not met and names <= fixed.keys() | my.keys()
            if false or (not names <= known and not isinstance(value, bool | int)):
                certain = false and names.isdisjoint(fixed) and "time" not in clause.text.lower()
                where = "any machine" if certain else "a machine like this"
                yield Waits(f"line {clause.line}: not true of {where}: {clause.text}", certain)


def _not_yet(meant: Meaning) -> Iterator[Waits]:
    """Yield what else keeps a job in the queue: more than machines have, no lease, a time."""
    for command, _, _ in oversized(meant):
        yield Waits(f"{_said(command)}: hardly any machine has so much")
    lease, start = (meant.of(name).command for name in ("job_lease_duration", "deferral_time"))
    if lease is not None and meant.number("job_lease_duration") == 0:
        yield Waits(f"{_said(lease)}: no machine takes a job without a lease", certain=True)
    when = meant.number("deferral_time")
    late = when is not None and when + (meant.number("deferral_window") or 0) < time.time()
    if start is not None and late:
        yield Waits(f"{_said(start)}: that time is over", certain=True)


def _said(command: Command) -> str:
    return f"line {command.line}: {command.spelled} = {command.value}"


def _amount(field: Field[int | str | None], my: Mapping[str, str], unit: int = 1) -> int | None:
    """Return a request; None for an expression that only a pool evaluates."""
    value = field.value
    if isinstance(value, str):
        with contextlib.suppress(ExpressionError, NotKnownError):
            known = evaluate(value, my)
            value = int(known) * unit if isinstance(known, int | float) else None
    return value if isinstance(value, int) and abs(value) < 1 << 60 else None
