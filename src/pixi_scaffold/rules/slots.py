"""Rules on requirements that no slot can meet, whatever the pool."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pixi_scaffold.job import Compared, alternatives, contradiction
from pixi_scaffold.rules.finding import Found, Severity, at, rule
from pixi_scaffold.rules.subject import Subject

_KINDS = {
    **dict.fromkeys(
        ("memory", "cpus", "disk", "gpus", "opsysmajorver", "totalmemory", "totalcpus", "totaldisk",
         "totalgpus", "gpus_capability", "gpus_driverversion", "gpus_globalmemorymb", "capability",
         "driverversion", "globalmemorymb", "detectedcpus", "detectedmemory", "kflops", "mips"),
        (int, float)),
    **dict.fromkeys(
        ("arch", "opsys", "opsysandver", "opsysname", "machine", "name", "devicename",
         "gpus_devicename", "microarch", "filesystemdomain", "condorversion"), (str,)),
}  # fmt: skip
"""What attributes of every pool hold; a comparison with another kind of value is an error."""
_TRUTH = re.compile(r"has[a-z]\w*|is[a-z]\w*|partitionableslot|dynamicslot")
_ENDED = re.compile(
    r"(?:centos|rhel|redhat|scientific|sl|slc?|el)[a-z]*[5-7]|debian[6-9]|ubuntu1[0-8]"
)
"""OpSysAndVer of releases that no longer get updates. Source: their projects' calendars, 2026."""
_SIZES = (("memory", 1 << 20), ("disk", 1 << 10), ("cpus", 1), ("gpus", 1))


@rule("PS138", Severity.WARNING)
def no_slot_can_meet(subject: Subject) -> Iterator[Found]:
    """Requirements that no slot of any pool can meet."""
    for name, asked in (("requirements", tuple(_asked(subject))), ("require_gpus", ())):
        command, field = subject.job.command(name), subject.meaning.of(name)
        if command is None or field.unknown or field.refused:
            continue
        if pair := contradiction(field.text, asked):
            message = f"{command.spelled}: no slot has both {pair[0]} and {pair[1]}"
            words = next((part for part in pair if part in field.text), "")
            yield at(command, message, "correct one of them", about=words)
            continue
        ways = [next(filter(None, map(_never, way)), "") for way in alternatives(field.text)]
        if all(ways):
            yield at(command, f"{command.spelled}: {ways[0]}", "correct it")


def _never(compared: Compared) -> str:
    """Return why a comparison holds for no slot; empty where it may."""
    name, value = compared.name, compared.value
    kinds = (bool,) if _TRUTH.fullmatch(name) else _KINDS.get(name)
    if kinds is not None and isinstance(value, str) != (kinds == (str,)):
        if isinstance(value, str):
            return f"{compared.text} compares with a text, and the attribute holds none"
        return f"{compared.text} compares with a number, and the attribute holds a text"
    if not isinstance(value, str) or compared.operator not in ("==", "=?=", "is"):
        return ""
    if name.endswith("devicename") and re.fullmatch(r"[A-Za-z]*\d+[A-Za-z]*", value):
        return f'no GPU is named "{value}" and nothing else: write regexp("{value}", DeviceName)'
    if name == "opsysandver" and _ENDED.fullmatch(value.lower()):
        return f"hardly any pool has {value} any more; a container image brings it along"
    return ""


def _asked(subject: Subject) -> Iterator[Compared]:
    """Yield what the slot has to have for the job's requests."""
    for request, unit in _SIZES:
        field = getattr(subject.meaning.requests, request)
        if field.said and isinstance(field.value, int) and field.value > 0:
            text = f"request_{request} = {field.text}"
            yield Compared(request, ">=", field.value / unit, text)
