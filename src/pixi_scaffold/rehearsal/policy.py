"""What the queue does with a job by its own expressions: hold it, remove it, or start it again.

Source: UserPolicy::AnalyzePolicy of condor_utils/user_job_policy.cpp and SetRetries of
submit_utils.cpp, HTCondor 25; the tests compare with a pool.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pixi_scaffold.job import (
    ExpressionError,
    Meaning,
    NotKnownError,
    as_integer,
    evaluate,
    job_ad,
    literal,
)
from pixi_scaffold.rehearsal.outcome import Hold, Usage

POLICY, BY_THE_USER, INPUT_SIZE, OUTPUT_SIZE = 3, 15, 32, 33
"""HoldReasonCodes: condor_holdcodes.h."""
DEFAULT_RETRIES = 2
"""Of a job that says what success is, but not how often to try (DEFAULT_JOB_MAX_RETRIES)."""
SOON = 30
"""Seconds within which a job that is held is removed without a word about the hold."""
LATER = 10 * 24 * 3600
"""Seconds after which a job that is held by then would still be: people look after it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The expressions of one job."""

    expressions: Mapping[str, str]
    """Commands such as periodic_hold, each with what it says."""
    submitted_on_hold: bool = False
    retries: int | None = None
    """How often a job that failed is started again; None where nothing is said of retries."""
    success: int = 0
    retry_until: str = ""
    max_input: int | None = None
    """Bytes that may be transferred to the job; None for any number."""
    max_output: int | None = None
    ad: Mapping[str, str] = field(default_factory=dict)
    """The attributes of the job that do not change, names in lower case."""
    notes: tuple[str, ...] = ()

    @property
    def watches(self) -> bool:
        """Whether anything is to be looked at while the job runs."""
        return not self.expressions.keys().isdisjoint(
            ("periodic_hold", "periodic_remove", "periodic_vacate")
        )

    def before(self) -> Hold | str | None:
        """Return the hold of a job that was just submitted, `removed`, or None."""
        if self.submitted_on_hold:
            return Hold(BY_THE_USER, 0, "submitted on hold at user's request")
        return self.periodic({"jobstatus": "1", "numjobstarts": "0"})

    def periodic(self, now: Mapping[str, str]) -> Hold | str | None:
        """Return the same for a job that waits or runs; now: attributes that change."""
        if self._holds("periodic_hold", now):
            return self._hold("periodic_hold", "PeriodicHold", now)
        return "removed" if self.removes(now) else None

    def vacates(self, now: Mapping[str, str]) -> bool:
        """Whether a running job is thrown off its machine."""
        return self._holds("periodic_vacate", now)

    def removes(self, now: Mapping[str, str], after: int = 0) -> bool:
        """Whether a job leaves the queue for good; after: so many seconds from now on."""
        return self._true("periodic_remove", now, after) is True

    def releases(self, now: Mapping[str, str], after: int = 0) -> bool:
        """Whether a job that is held goes back to the queue; after: so many seconds from now on."""
        return self._true("periodic_release", now, after) is True

    def stays(self, now: Mapping[str, str]) -> bool:
        """Whether a job that is done stays in the queue."""
        return self._holds("leave_in_queue", now)

    def at_exit(self, now: Mapping[str, str], completions: int) -> Hold | str | None:
        """Return what becomes of a job that ended by itself: None when it leaves the queue.

        `removed` by a periodic expression, `again` when it is started again. completions: how
        often it ended, with this time.
        """
        if decided := self.periodic(now):
            return decided
        if self._holds("on_exit_hold", now):
            return self._hold("on_exit_hold", "OnExitHold", now)
        return None if self._leaves(now, completions) else "again"

    def _leaves(self, now: Mapping[str, str], completions: int) -> bool:
        """Whether OnExitRemove is true, as condor_submit makes it of the retries."""
        expression = self.expressions.get("on_exit_remove")
        if self.retries is None:
            return expression is None or self._true("on_exit_remove", now) is not False
        succeeded = as_integer(now.get("exitcode", "")) == self.success
        if completions > self.retries or succeeded:
            return True
        until = self.retry_until and self._value(self.retry_until, now) is True
        return bool(until) or (expression is not None and self._true("on_exit_remove", now) is True)

    def _holds(self, name: str, now: Mapping[str, str]) -> bool:
        return self._true(name, now) is True

    def _true(self, name: str, now: Mapping[str, str], after: int = 0) -> bool | None:
        value = self._value(self.expressions.get(name, "false"), now, after)
        if isinstance(value, bool | int | float):
            return bool(value)
        return None

    def _value(self, text: str, now: Mapping[str, str], after: int = 0) -> object:
        clock = int(time.time()) + after
        ad = {**self.ad, **now, "currenttime": str(clock)}
        try:
            return evaluate(text, ad, now=clock)
        except (ExpressionError, NotKnownError):
            return None

    def _hold(self, command: str, attribute: str, now: Mapping[str, str]) -> Hold:
        said = self.expressions[command]
        reason = self._value(self.expressions.get(f"{command}_reason", "undefined"), now)
        code = self._value(self.expressions.get(f"{command}_subcode", "0"), now)
        default = f"The job attribute {attribute} expression '{said}' evaluated to TRUE"
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
    last: dict[str, str] = field(default_factory=dict)
    """How it ended, and why it was held, as attributes with names in lower case."""

    def end(self, code: int | None, number: int | None) -> None:
        """Note how a run ended by itself: by its exit code, or by a signal."""
        self.completions += 1
        self.last = {"exitbysignal": str(number is not None).lower()}
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
            "numjobstarts": str(self.starts),
            "numshadowstarts": str(self.starts),
            "numjobcompletions": str(self.completions),
            "enteredcurrentstatus": str(self.started),
            "jobcurrentstartdate": str(self.started),
            "jobstartdate": str(self.started),
            "qdate": str(self.started),
            "remotewallclocktime": str(time.time() - self.started),
            "imagesize": str(max(memory, 1)),
            "residentsetsize": str(memory),
            "memoryusage": str(-(-memory // 1024)),
            "diskusage": str(disk),
        }
        if self.holds:  # before the first one it is not defined
            given["numholds"] = str(self.holds)
        return given if status == 2 else given | self.last


def too_much(code: int, size: int, limit: int) -> Hold:
    """Return the hold of a job that transfers more than max_transfer_input_mb or _output_mb."""
    message = "input" if code == INPUT_SIZE else "output"
    kind = f"MaxTransfer{message.capitalize()}MB"
    return Hold(
        code, 0, f"{kind} = {limit >> 20} is exceeded: {size / (1 << 20):.1f} MB of {message}"
    )


def read_policy(job: Meaning) -> Policy:
    """Return what the queue would do with a job; what is not evaluated here is in its notes."""
    names = [
        f"{kind}{part}"
        for kind in ("periodic_hold", "on_exit_hold")
        for part in ("", "_reason", "_subcode")
    ]
    names += ["periodic_release", "periodic_vacate", "leave_in_queue"]
    said = {n: job.of(n).text for n in [*names, "periodic_remove", "on_exit_remove"]}
    expressions = {name: text for name, text in said.items() if text}
    until = job.of("retry_until").text
    if re.fullmatch(r"-?\d+", until):
        until = f"ExitCode =?= {until}"
    success = job.of("success_exit_code").value
    default = DEFAULT_RETRIES if until or success is not None else None
    asked = job.of("max_retries").value
    return Policy(
        expressions=expressions,
        submitted_on_hold=job.of("hold").value is True,
        retries=asked if isinstance(asked, int) else default,
        success=success if isinstance(success, int) else 0,
        retry_until=until,
        max_input=_megabytes(job, "max_transfer_input_mb"),
        max_output=_megabytes(job, "max_transfer_output_mb"),
        ad=_attributes(job),
        notes=tuple(_not_evaluated(expressions)),
    )


def _attributes(job: Meaning) -> dict[str, str]:
    known = {"ProcId": str(job.proc), "ClusterId": "1", "Owner": '"nobody"', "JobUniverse": "5"}
    said = {name: value.text for name, value in job.attributes.items()}
    ad = known | dict(job_ad(job).attributes) | said
    return {name.lower(): value for name, value in ad.items()}


def _megabytes(job: Meaning, name: str) -> int | None:
    number = as_integer(job.of(name).text)
    return None if number is None or number < 0 else number << 20


def _not_evaluated(expressions: Mapping[str, str]) -> list[str]:
    notes = []
    for name, text in expressions.items():
        try:
            evaluate(text, {}, now=0)
        except (ExpressionError, NotKnownError) as error:
            notes.append(f"{name} = {text} is not evaluated here: {error}")
    return notes
