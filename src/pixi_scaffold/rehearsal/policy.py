"""What the queue does with a job by its own expressions: hold it, remove it, or start it again.

Source: UserPolicy::AnalyzePolicy of condor_utils/user_job_policy.cpp and SetRetries of
submit_utils.cpp, HTCondor 25; the tests compare with a pool.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pixi_scaffold.job import ExpressionError, NotKnownError, as_integer, evaluate, job_ad, literal
from pixi_scaffold.rehearsal.outcome import Hold, Usage
from pixi_scaffold.rehearsal.plan import JobRun
from pixi_scaffold.rehearsal.slot import KNOWN, Expression, in_text, machine_ad

POLICY, BY_THE_USER, INPUT_SIZE, OUTPUT_SIZE = 3, 15, 32, 33
"""HoldReasonCodes: condor_holdcodes.h."""
SOON = 30
"""Seconds within which a job that is held is removed without a word about the hold."""
LATER = 10 * 24 * 3600
"""Seconds after which a job that is held by then would still be: people look after it."""


_QUEUED = 2
"""Seconds that a pool takes at least to start a job."""
_COMMANDS = (
    *(f"{kind}{part}" for kind in ("periodic_hold", "on_exit_hold")
      for part in ("", "_reason", "_subcode")),
    "periodic_release", "periodic_vacate", "periodic_remove", "on_exit_remove", "leave_in_queue",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """The attributes of one job that do not change, its expressions among them."""

    ad: Mapping[str, str]
    """Each with its text; names in lower case."""
    starts: int = 0
    """How often it was started before, by its own word."""
    notes: tuple[str, ...] = ()
    matched: Mapping[str, str] = field(default_factory=dict)
    """Attributes that it has from its slot while it runs, names in lower case."""
    unexpanded: str = ""
    """A `$$(...)` that is never filled in."""

    @property
    def watches(self) -> bool:
        """Whether anything is to be looked at while the job runs."""
        return not self.ad.keys().isdisjoint(("periodichold", "periodicremove", "periodicvacate"))

    @property
    def retries(self) -> int:
        """How often a job that failed is started again."""
        return as_integer(self.ad.get("jobmaxretries", "")) or 0

    def before(self) -> Hold | str | None:
        """Return the hold of a job that was just submitted, `removed`, or None."""
        if self.ad["jobstatus"] == "5":
            code = as_integer(self.ad.get("holdreasoncode", "")) or 0
            return Hold(code, 0, "submitted on hold at user's request")
        if self.unexpanded:
            return Hold(0, 0, f"Cannot expand $$ expression {self.unexpanded}.")
        now = dict.fromkeys(("qdate", "enteredcurrentstatus"), str(int(time.time())))
        now |= {"remotewallclocktime": "0", "imagesize": self.ad["executablesize"]}
        return self.periodic(now | {"jobstatus": "1", "numjobstarts": str(self.starts)})

    def periodic(self, now: Mapping[str, str]) -> Hold | str | None:
        """Return the same for a job that waits or runs; now: attributes that change."""
        if self.says("PeriodicHold", now):
            return self._hold("PeriodicHold", now)
        return "removed" if self.says("periodicremove", now) else None

    def at_exit(self, now: Mapping[str, str]) -> Hold | str | None:
        """Return what becomes of a job that ended by itself: None when it leaves the queue.

        `removed` by a periodic expression, `again` when it is started again.
        """
        if decided := self.periodic(now):
            return decided
        if self.says("OnExitHold", now):
            return self._hold("OnExitHold", now)
        return "again" if self.says("onexitremove", now) is False else None

    def says(self, name: str, now: Mapping[str, str], after: int = 0) -> bool | None:
        """Return what an expression says; None where that is neither true nor false.

        now: attributes that change. after: so many seconds from now on.
        """
        value = self._value(name, now, after)
        if isinstance(value, bool | int):
            return bool(value)
        return abs(value) >= 1 if isinstance(value, float) else None

    def _value(self, name: str, now: Mapping[str, str], after: int = 0) -> object:
        clock = int(time.time()) + after
        ad = {**self.ad, **now, "currenttime": str(clock)}
        try:
            return evaluate(self.ad.get(name.lower(), "undefined"), ad, now=clock)
        except (ExpressionError, NotKnownError):
            return None

    def too_much(self, code: int, size: int) -> Hold | None:
        """Return the hold of a job that transfers more than max_transfer_input_mb or _output_mb."""
        side = "input" if code == INPUT_SIZE else "output"
        name = f"MaxTransfer{side.capitalize()}MB"
        limit = self._value(name, {})
        if not isinstance(limit, int) or limit < 0 or size <= limit << 20:
            return None
        return Hold(code, 0, f"{name} = {limit} is exceeded: {size / (1 << 20):.1f} MB of {side}")

    def _hold(self, name: str, now: Mapping[str, str]) -> Hold:
        expression = self.ad[name.lower()]
        default = f"The job attribute {name} expression '{expression}' evaluated to TRUE"
        reason, code = (self._value(f"{name}{part}", now) for part in ("Reason", "SubCode"))
        number = int(code) if isinstance(code, int | float) else 0
        return Hold(POLICY, number, reason if isinstance(reason, str) and reason else default)


@dataclass(slots=True)
class History:
    """What the queue knows of a job so far."""

    starts: int = 0
    completions: int = 0
    """How often it ended by itself."""
    holds: int = 0
    vacated: int = 0
    """How often periodic_vacate threw it off."""
    started: int = 0
    """When the last run began, in seconds."""
    matched: Mapping[str, str] = field(default_factory=dict)
    """Attributes of its slot."""
    last: dict[str, str] = field(default_factory=dict)
    """How it ended, and why it was held, as attributes with names in lower case."""

    def end(self, code: int | None, number: int | None) -> None:
        """Note how a run ended by itself: by its exit code, or by a signal."""
        self.completions += 1
        self.last = {**lowered(KNOWN["ended"]), "exitbysignal": str(number is not None).lower()}
        ends = {"exitcode": code, "exitsignal": number}
        self.last |= {name: str(value) for name, value in ends.items() if value is not None}

    def hold(self, hold: Hold) -> None:
        """Note that it is held."""
        self.holds += 1
        self.last |= {
            "holdreasoncode": str(hold.code),
            "holdreasonsubcode": str(hold.subcode),
            "holdreason": literal(hold.reason),
            "enteredcurrentstatus": str(int(time.time())),
        }

    def attributes(self, usage: Usage, status: int = 2) -> dict[str, str]:
        """Return the attributes that change, names in lower case; status: JobStatus."""
        memory, disk = usage.memory >> 10, usage.disk >> 10
        given = {
            "jobstatus": str(status),
            **lowered(dict.fromkeys(KNOWN["numbers of starts"], self.starts)),
            **lowered(dict.fromkeys(KNOWN["times of a start"], self.started)),
            **self.matched,
            "qdate": str(self.started - _QUEUED),
            "numjobcompletions": str(self.completions),
            "remotewallclocktime": str(time.time() - self.started),
            "bytesrecvd": f"{usage.bytes_in}.0",
            "bytessent": f"{usage.bytes_out}.0",
            **dict.fromkeys(("imagesize", "imagesize_raw"), str(max(memory, 1))),
            "residentsetsize": str(memory),
            "memoryusage": str(-(-memory // 1024)),
            **dict.fromkeys(("diskusage", "diskusage_raw"), str(disk)),
        }
        if status == 2:
            given["remotehost"] = literal("slot1_1@rehearsal")
        if self.holds:  # before the first one it is not defined
            given["numholds"] = str(self.holds)
        return given if status == 2 else given | self.last


def read_policy(plan: JobRun) -> Policy:
    """Return what the queue would do with a job; what is not evaluated here is in its notes."""
    job = plan.meaning
    known = {"Owner": "nobody", "Iwd": str(plan.iwd)}
    known |= {"Cmd": str(plan.executable), "JobSubmitFile": str(plan.job.path)}
    known |= {"GlobalJobId": f"rehearsal#1.{job.proc}"}
    if log := job.of("log").text:
        known["UserLog"] = str(plan.iwd / log)
    attributes = in_text(KNOWN["job"] | KNOWN["submitted"]) | job_ad(job).attributes
    size = plan.executable.stat().st_size if plan.executable.is_file() else 0
    attributes["ExecutableSize"] = str(-(-size // 1024))
    del attributes["FileSystemDomain"]
    machine = machine_ad(
        plan.match.cpus, plan.match.memory, plan.match.disk, ("GPU",) * plan.match.gpus
    )
    listed = job.of("job_machine_attrs").text.replace(",", " ").split()
    attributes |= {f"MachineAttr{n}0": machine[n] for n in ("Cpus", *listed) if n in machine}
    attributes |= {name: literal(value) for name, value in known.items()}
    matched = {f"{n.lower()}provisioned": machine[n] for n in ("Cpus", "Disk", "GPUs", "Memory")}
    matched |= lowered(KNOWN["running"])
    ad = {name.lower(): value for name, value in attributes.items()}
    return Policy(
        ad=ad,
        starts=as_integer(ad.get("numjobstarts", "")) or 0,
        matched=matched,
        unexpanded=plan.match.never,
        notes=tuple(_not_evaluated({n: job.of(n).text for n in _COMMANDS if job.of(n).said})),
    )


def lowered(ad: Mapping[str, Expression]) -> dict[str, str]:
    """Return attributes as the evaluation wants them: names in lower case, values as texts."""
    return {name.lower(): value for name, value in in_text(ad).items()}


def _not_evaluated(expressions: Mapping[str, str]) -> list[str]:
    notes = []
    for name, text in expressions.items():
        try:
            evaluate(text, {}, now=0)
        except (ExpressionError, NotKnownError) as error:
            notes.append(f"{name} = {text} is not evaluated here: {error}")
    return notes
