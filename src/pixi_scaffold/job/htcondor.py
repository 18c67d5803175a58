"""What HTCondor itself says: its parser, and matching against slots. Linux has its bindings."""

import contextlib
import importlib.util
import json
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pixi_scaffold.errors import ScaffoldError, Skipped, UsageError
from pixi_scaffold.job.ad import JobAd
from pixi_scaffold.job.classad import INVALID, UNDEFINED, well_formed
from pixi_scaffold.job.evaluate import Value
from pixi_scaffold.job.requirements import Clause, top_level_and
from pixi_scaffold.system import program

TYPICAL = "typical"
"""The name of the bundled slots."""
_PARTS_DEPTH = 5
_SAVE_SLOTS = f"condor_status -long > slots.ad, or: {program()} check --slots {TYPICAL}"
_BUNDLED = Path(__file__).with_name("slots") / "typical.ad"


def available() -> bool:
    """Whether HTCondor's bindings are installed."""
    return importlib.util.find_spec("htcondor2") is not None


def evaluated(
    text: str, my: Mapping[str, str], target: Mapping[str, str], now: int | None
) -> Value:
    """Return what the library makes of an expression; parameters as those of evaluate.evaluate."""
    bindings()
    import classad2

    def ad(attributes: Mapping[str, str]) -> Any:
        whole = ((name, value) for name, value in attributes.items() if well_formed(value))
        lines = (f"{name} = {value}".replace("\n", " ") for name, value in whole)
        clock = "time()" if now is None else str(now)
        return classad2.parseOne(re.sub(r"(?i)\btime\(\s*\)", clock, "\n".join(lines)))

    try:
        return _plain(ad({**my, _ASKED: text}).lookup(_ASKED).eval(ad(my), ad(target)))
    except (ValueError, AttributeError, SyntaxError, classad2.ClassAdException):
        return INVALID


_ASKED = "PixiScaffoldAsks"


def _plain(value: Any) -> Value:
    """Return a value of the library's as ours; one of records and times is no value of a job's."""
    import classad2

    if isinstance(value, classad2.ExprTree):
        return _plain(value.eval())
    if isinstance(value, list):
        return tuple(map(_plain, value))
    if isinstance(value, classad2.Value):  # which is a number, too
        return UNDEFINED if value is classad2.Value.Undefined else INVALID
    return value if isinstance(value, bool | int | float | str) else INVALID


class SlotMatch(NamedTuple):
    """One slot: its name, what it is in words, and what refused; nothing when it matches."""

    name: str
    words: str
    refused: tuple[Clause, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return it as the JSON document has it."""
        refused = [{"clause": c.text, "origin": c.origin, "line": c.line} for c in self.refused]
        return {"name": self.name, "matches": not self.refused, "refused": refused}


class SlotReport(NamedTuple):
    """Where a job would run."""

    slots: tuple[SlotMatch, ...]

    @property
    def matching(self) -> int:
        """How many slots match."""
        return sum(not slot.refused for slot in self.slots)

    def to_dict(self) -> dict[str, object]:
        """Return it as the JSON document has it."""
        return {"matching": self.matching, "slots": [slot.to_dict() for slot in self.slots]}

    def lines(self) -> Iterator[str]:
        """Yield what there is to say, slots of one kind together."""
        groups = Counter((len(slot.refused), slot.words, slot.refused) for slot in self.slots)
        for (_, words, refused), count in sorted(groups.items(), key=lambda group: group[0][:2]):
            many = f" ({count} slots)" if count > 1 else ""
            if not refused:
                yield f"matches  {words}{many}"
                continue
            why = "; ".join(_clause_words(clause) for clause in refused)
            yield f"refused  {words}{many}: {why}"


def _clause_words(clause: Clause) -> str:
    if clause.gpu or clause.origin == "request_gpus":
        return f"{clause.origin} (line {clause.line})"
    where = f"line {clause.line}, " if clause.line else ""
    return f"{clause.text} ({where}{clause.origin})"


def read_slots(source: str) -> tuple[Any, ...]:
    """Return the machine ads that `condor_status -long` or `-json` wrote, or the bundled ones.

    Raises UsageError when there are none in it, Skipped where the bindings are missing.
    """
    path = _BUNDLED if source == TYPICAL else Path(source)
    bindings()
    import classad2

    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", _SAVE_SLOTS) from error
    try:
        if text.lstrip().startswith("["):
            blocks = [ad_text(ad) for ad in json.loads(text)]
        else:
            blocks = _blocks(text)
        ads = [classad2.parseOne(block) for block in blocks]
    except (ValueError, AttributeError, SyntaxError, classad2.ClassAdException) as error:
        raise UsageError(f"{path} holds no machine ads: {error}", _SAVE_SLOTS) from error
    of_machines = (ad for ad in ads if str(ad.get("MyType", "Machine")).lower() == "machine")
    slots = tuple(ad for ad in of_machines if len(ad) > 3)
    if not slots:
        raise UsageError(f"{path} holds no machine ads", _SAVE_SLOTS)
    return slots


def ad_text(ad: Mapping[str, Any]) -> str:
    """Return an ad of `condor_status -json` in the old form, an attribute a line.

    A text `/Expr(...)/` holds an expression. Source: classad_jsonSink.cpp.
    """
    return "\n".join(f"{name} = {_value_text(value)}" for name, value in ad.items())


def _value_text(value: Any) -> str:
    if isinstance(value, str):
        if value.startswith("/Expr(") and value.endswith(")/"):
            return value[6:-2]
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "{" + ", ".join(map(_value_text, value)) + "}"
    if isinstance(value, dict):
        return "[" + "; ".join(f"{k} = {_value_text(v)}" for k, v in value.items()) + "]"
    return "undefined" if value is None else json.dumps(value)


def slot_attributes(ads: Sequence[Any]) -> frozenset[str]:
    """Return the names (lower case) of all attributes that some slot has."""
    return frozenset(key.lower() for ad in ads for key in ad)


def match(job: JobAd, ads: Sequence[Any]) -> SlotReport:
    """Match a job against machine ads with the ClassAd library, both ways.

    A clause that is undefined refuses, as in a negotiation. Raises ScaffoldError for a job whose
    requirements or requests do not parse.
    """
    bindings()
    import classad2

    try:
        ad = classad2.parseOne(job.text)
        return SlotReport(tuple(_match_one(classad2, job, ad, slot) for slot in ads))
    except (ValueError, SyntaxError, classad2.ClassAdException) as error:
        why = "its requirements, or what it requests, do not parse"
        raise ScaffoldError(f"the job cannot be matched: {why}", "correct them first") from error


def _match_one(classad2: Any, job: JobAd, ad: Any, slot: Any) -> SlotMatch:
    refused: list[Clause] = []
    if not ad.symmetricMatch(slot):
        for clause in job.clauses:
            if clause.gpu:
                continue
            if classad2.ExprTree(clause.text).eval(ad, slot) is True:
                continue
            some = clause.origin == "request_gpus" and slot.get("GPUs", 0)
            limits = [c for c in job.clauses if c.gpu] if some else []
            causes = [limit for limit in limits if not _some_gpu(classad2, limit, ad, slot)]
            refused += causes or [clause]
        if not refused and "Requirements" in slot:
            wanted = str(slot.lookup("Requirements"))
            by_job = _refusing(classad2, wanted, slot, ad)
            refused += [Clause(text, "the slot's own Requirements") for text in by_job]
        if not refused:
            refused.append(Clause(job.requirements, "requirements as a whole"))
    return SlotMatch(str(slot.get("Name", "?")), _slot_words(slot), tuple(refused))


def _refusing(classad2: Any, text: str, slot: Any, ad: Any, depth: int = 0) -> list[str]:
    """Return the parts of a slot's expression that are not true for the job.

    A part that is only the name of another expression of the slot is taken apart as well.
    """
    refusing: list[str] = []
    for part in top_level_and(text):
        bare = part.strip()
        if bare.startswith("(") and bare.endswith(")") and depth < _PARTS_DEPTH:
            refusing += _refusing(classad2, bare[1:-1], slot, ad, depth + 1)
        elif classad2.ExprTree(bare).eval(slot, ad) is not True:
            named = str(slot.lookup(bare)) if bare.isidentifier() and bare in slot else ""
            inner = named.lower() not in ("", "true", "false") and depth < _PARTS_DEPTH
            parts = _refusing(classad2, named, slot, ad, depth + 1) if inner else []
            refusing += parts or [bare]
    return refusing


def _some_gpu(classad2: Any, limit: Clause, ad: Any, slot: Any) -> bool:
    """Whether as many GPUs of the slot as are asked for satisfy this one limit."""
    text = f"countMatches({limit.text}, TARGET.AvailableGPUs) >= RequestGPUs"
    names = ("GPUsMinCapability", "GPUsMaxCapability", "GPUsMinMemory", "GPUsMinRuntime")
    for name in names:
        if name in ad:
            text = text.replace(name, str(ad.lookup(name)))
    return classad2.ExprTree(text).eval(ad, slot) is True


def _slot_words(slot: Any) -> str:
    gpus = slot.get("GPUs", 0)
    parts = [f"{slot.get('Cpus', '?')} CPUs", f"{_number(slot, 'Memory') / 1024:.0f} GiB"]
    if isinstance(gpus, int) and gpus > 0:
        capability, driver = slot.get("GPUs_Capability"), slot.get("GPUs_DriverVersion")
        known = [f"{capability:.1f}"] if isinstance(capability, int | float) else []
        known += [f"CUDA {driver:.1f}"] if isinstance(driver, int | float) else []
        about = f" ({', '.join(known)})" if known else ""
        parts.insert(0, f"{gpus} x {slot.get('GPUs_DeviceName') or 'mixed GPUs'}{about}")
    else:
        parts.insert(0, "no GPU")
    return ", ".join(parts)


def _number(slot: Any, name: str) -> float:
    value = slot.get(name, 0)
    return value if isinstance(value, int | float) else 0


def _blocks(text: str) -> list[str]:
    """Return the ads of a text, between which there is a blank line; comments are left out."""
    plain = re.sub(r"^#.*\n?", "", text, flags=re.MULTILINE)
    return [block for block in re.split(r"\n\s*\n", plain) if block.strip()]


def bindings() -> Any:
    """Return the module htcondor2; raises Skipped where its wheels do not exist."""
    if not available():
        raise Skipped("HTCondor's Python bindings exist for Linux only", "check it on Linux")
    if not os.environ.get("CONDOR_CONFIG") and not Path("/etc/condor/condor_config").exists():
        os.environ["CONDOR_CONFIG"] = "ONLY_ENV"  # or importing warns that there is no pool here
    with quiet():
        import htcondor2  # before classad2 evaluates: it brings countMatches and split
    return htcondor2


_ONE_AT_A_TIME = threading.RLock()
"""Of two threads one would put the other's silence back in place of stderr."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the C++ library writes to stderr away from the user's terminal."""
    with _ONE_AT_A_TIME:
        sys.stderr.flush()
        try:
            saved = os.dup(2)
        except OSError:
            yield
            return
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            os.close(null)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
