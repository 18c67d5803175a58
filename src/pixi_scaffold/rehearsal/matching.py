"""What a match with a slot fills into a job: `$$(NAME)`, and requests that are expressions.

Seen with HTCondor 25.14: a `$$(...)` that the slot does not fill in holds the job with code 0.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from pixi_scaffold.job import (
    Clause,
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
    slot_names,
    unexpanded,
)
from pixi_scaffold.rehearsal.slot import KIB, KNOWN, MIB, OF_ONE_MACHINE, in_text, machine_ad

_AT_MATCH = re.compile(r"\$\$\((?:(\w*)(?::([^()]*))?|\[(.*?)\])\)")


_FIXED = ("arch", "hasfiletransfer", "opsys")


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
    notes: tuple[str, ...] = ()
    """What it asks of a machine that one like this does not fulfil, or that is not known here."""


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
    notes = [*_unmatched(submitted_ad.clauses, my, fixed)]
    if isinstance(asked.cpus.value, str) and _amount(asked.cpus, my) is None:
        notes.append("request_cpus is an expression that only the pool evaluates: 1 is taken")
    return Match(cpus, gpus, memory, disk, never, tuple(notes)), meant


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
) -> Iterator[str]:
    """Yield what the description asks of a machine and is not so here, or names no known attribute.

    fixed: what is the same on all machines of a kind. What depends on the pool is left alone.
    """
    known = {name.lower() for name in (*slot_names(), *job_names())} | my.keys()
    for clause in (c for c in clauses if c.line and not c.gpu):
        with contextlib.suppress(ExpressionError, NotKnownError):
            names = {reference.name.lower() for reference in attributes(clause.text)}
            value = evaluate(clause.text, my, fixed)
            false = value is False and names <= fixed.keys() | my.keys()
            if false or (not names <= known and not isinstance(value, bool | int)):
                told = f"line {clause.line}: not true of a machine like this: {clause.text}"
                yield f"{told}; on a pool the job waits for one of which it is"


def _amount(field: Field[int | str | None], my: Mapping[str, str], unit: int = 1) -> int | None:
    """Return a request; None for an expression that only a pool evaluates."""
    value = field.value
    if isinstance(value, str):
        with contextlib.suppress(ExpressionError, NotKnownError):
            known = evaluate(value, my)
            value = int(known) * unit if isinstance(known, int | float) else None
    return value if isinstance(value, int) and abs(value) < 1 << 60 else None
