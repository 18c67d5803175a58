"""What a job should ask for, from what it took, and writing that into the description."""

import math
import re
from dataclasses import dataclass

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.job import Job, Meaning, parse_size
from pixi_scaffold.rehearsal.slot import KIB, MIB
from pixi_scaffold.system import replacing

GIB = 1 << 30
HEADROOM = {"request_memory": 1.25, "request_disk": 1.2}
STEP = {"request_memory": 128 * MIB, "request_disk": 100 * MIB}
SLOWER = 3.0
"""So much longer a job may take on a worker before it is taken for one that hangs."""
_DURATIONS = ("allowed_execute_duration", "allowed_job_duration")
_SITES = ("jobflavour", "jobdurationcategory", "maxruntime", "requestruntime")
"""Attributes by which sites are told how long a job runs (CERN, CHTC, DESY)."""
WASTE = 2.0
"""A request of more than so many times the suggestion is too large; below, it is left alone."""


@dataclass(frozen=True, slots=True)
class Advice:
    """One request beside what was measured, in bytes."""

    command: str
    measured: int
    requested: int | None
    """None when nothing or an expression stands there."""
    suggested: int | None
    """None when the request is right."""
    why_not: str = ""
    """Why a smaller request is not suggested, where it would be."""
    default: bool = False
    """Whether `requested` is what HTCondor takes because nothing is said."""

    @property
    def over(self) -> bool:
        """Whether the job took more than it asked for."""
        return self.requested is not None and self.measured > self.requested

    def words(self) -> str:
        """Return it as one line."""
        asked = "not a plain size" if self.requested is None else amount(self.requested)
        asked = f"{self.command} = {asked}"
        if self.default:
            known = self.requested is not None
            asked = f"{asked} (the default)" if known else f"the default {self.command}"
        text = f"{amount(self.measured)} of {asked}"
        if self.suggested is not None:
            text += f"; right-sized: {self.command} = {amount(self.suggested, plain=True)}"
        return text + (f"; {self.why_not}" if self.why_not else "")


def advise(
    command: str,
    measured: int,
    requested: int | None,
    why_not: str = "",
    *,
    default: bool = False,
    unlike: str = "",
) -> Advice:
    """Return advice for `request_memory` or `request_disk`.

    why_not: a reason why the measurement is no base for a smaller request, empty when it is.
    unlike: a reason why it is no base for any request. default: whether nothing is said in the
    description.
    """
    step = STEP[command]
    needed = measured * HEADROOM[command]
    right = max(math.ceil(needed / step), 1) * step
    suggested: int | None = right
    if unlike:
        suggested, why_not = None, unlike
    elif requested is None:  # an expression is left alone: its author knows more
        suggested, why_not = right if default else None, ""
    elif needed <= requested <= max(WASTE * right, right + GIB):
        suggested, why_not = None, ""
    elif needed <= requested and why_not:
        suggested = None
    else:
        why_not = ""
    return Advice(command, measured, requested, suggested, why_not, default)


def time_words(measured: float, job: Meaning, why_not: str) -> str:
    """Return the time that a job took, beside what it may take, and a limit to paste.

    why_not: why the measurement is no base for a limit; empty when it is.
    """
    took = f"{measured:.1f} s"
    said = [job.of(name) for name in _DURATIONS]
    said += [field for name, field in job.attributes.items() if name.lower() in _SITES]
    limits = [f"{f.command.spelled} = {f.text}" for f in said if f.said and f.command]
    if limits:
        return f"{took} of {', '.join(limits)}" + (f"; {why_not}" if why_not else "")
    if why_not:
        return f"{took}; {why_not}"
    limit = max(math.ceil(measured * SLOWER / 600), 1) * 600
    return f"{took}, and no limit is set; one to paste: allowed_execute_duration = {limit}"


def amount(size: int, *, plain: bool = False) -> str:
    """Return a size as people write it (1 MB is 2^20 bytes here, as for HTCondor).

    plain: as a submit command takes it.
    """
    space = "" if plain else " "
    if size >= 10 * GIB or (size and size % GIB == 0):
        return f"{math.ceil(size / GIB)}{space}GB"
    if size >= MIB or plain:
        return f"{math.ceil(size / MIB)}{space}MB"
    return f"{math.ceil(size / KIB)}{space}KB" if size >= KIB else f"{size}{space}bytes"


def write(job: Job, advice: list[Advice]) -> list[str]:
    """Put the suggestions into the description; return what was changed, a line each.

    Every other byte stays. A command that is not there is put before its queue statement. Raises
    ScaffoldError when the value is made of macros or comes from an included file.
    """
    path = job.path
    lines = path.read_bytes().decode("utf-8", errors="surrogateescape").splitlines(keepends=True)
    changed = []
    added: list[str] = []
    for one in advice:
        if one.suggested is None:
            continue
        text = amount(one.suggested, plain=True)
        command = job.command(one.command)
        if command is None:
            added.append(f"{one.command} = {text}\n")
            changed.append(f"{one.command} = {text} (was not set)")
            continue
        line = lines[command.line - 1] if command.file == path else ""
        matched = re.match(r"(\s*[^=]*=\s*)(.*?)(\s*)\Z", line, re.DOTALL)
        if matched is None or command.line != command.last or parse_size(matched[2], 1) is None:
            raise ScaffoldError(
                f"{command.file}:{command.line}: {one.command} is no plain size to be replaced",
                f"write there: {text}",
            )
        lines[command.line - 1] = f"{matched[1]}{text}{matched[3]}"
        changed.append(f"{one.command} = {text} (was {matched[2]})")
    if added:
        at = job.queue.line - 1 if job.queue.line else len(lines)
        lines[at:at] = added
    if changed:
        with replacing(path) as new:
            new.write_bytes("".join(lines).encode("utf-8", errors="surrogateescape"))
    return changed
