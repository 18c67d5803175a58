"""Run a job to its end through checkpoints and an eviction, as the starter and the shadow do.

Measured with HTCondor 25.14: a job that is evicted starts again however it ended; at a graceful
eviction its outputs are kept only with ON_EXIT_OR_EVICT, and only when all of them are there; at a
hard one, or when the time to leave is over, what the last checkpoint kept is all there is.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.rehearsal.isolation import Start, Walls
from pixi_scaffold.rehearsal.meter import Meter
from pixi_scaffold.rehearsal.outcome import Attempt, Hold, Outcome, Usage
from pixi_scaffold.rehearsal.plan import Plan
from pixi_scaffold.rehearsal.running import Clock, Ran, Tell, run_once
from pixi_scaffold.rehearsal.sandbox import KEPT, STDERR, STDOUT, Sandbox, end_of, first_line
from pixi_scaffold.rehearsal.surroundings import Slot, environment, write_ads
from pixi_scaffold.rehearsal.transfer import FULL, Sent
from pixi_scaffold.rehearsal.workplace import remove, workplace

MACHINE_GRACE = 600.0
"""Seconds to leave, whatever the job asks for (MachineMaxVacateTime's default)."""
TAIL, WIDTH = 10, 300
"""Lines of a log that are shown, and characters of each."""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\t\x20-\x7e\xa0-\U0010ffff]")
CHECKPOINTS = 1000
"""More checkpoints than that without an end: the job does not get on."""
INPUT, OUTPUT, EXECUTE, CHECKPOINT, JOB_DURATION, EXECUTE_DURATION = 13, 12, 6, 36, 46, 47
"""HoldReasonCodes: condor_holdcodes.h."""


@dataclass(frozen=True, slots=True)
class Eviction:
    """When the job is thrown off: seconds after its first start; hard: without a signal."""

    after: float
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """timeout: seconds for all attempts together. grace: the most that a machine gives to leave."""

    timeout: float | None = None
    grace: float | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how a job is rehearsed.

    results: folder for what comes back. scratch: where sandboxes are made. added: environment
    variables that a worker would not have. stand_ins: files in place of inputs, None where one is
    left out. notes: what else is different, in words. cancel: set from another thread, it ends
    the job.
    """

    results: Path
    scratch: Path | None = None
    walls: Walls = field(default_factory=Walls)
    slot: Slot = field(default_factory=Slot)
    added: Mapping[str, str] = field(default_factory=dict)
    stand_ins: Mapping[str, Path | None] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    eviction: Eviction | None = None
    keep: bool = False
    notes: tuple[str, ...] = ()
    cancel: threading.Event = field(default_factory=threading.Event)


def rehearse_job(plan: Plan, setting: Setting, tell: Tell = lambda _: None) -> Outcome:
    """Run the job of `plan`; return how it ended.

    tell: called with what happens, in words. No process is left, whatever ends this; the sandboxes
    are removed unless `keep`. Raises ScaffoldError when the job cannot be started for a reason
    that lies here and not in the job.
    """
    with workplace(setting.scratch, setting.keep, tell) as place:
        try:
            return _Rehearsal(plan, setting, place, tell, _clock(plan, setting)).run()
        except BaseException as error:
            remove(setting.results)  # half of them would pass for all
            if isinstance(error, OSError) and error.errno in FULL:
                raise ScaffoldError(
                    f"no room on this machine: {error}",
                    "make room, or put the sandbox on a larger disk: --scratch FOLDER",
                ) from error
            raise


def _clock(plan: Plan, setting: Setting) -> Clock:
    limits, eviction = setting.limits, setting.eviction
    most = MACHINE_GRACE if limits.grace is None else limits.grace
    return Clock(
        kill_signal=plan.kill_signal,
        grace=most if plan.vacate is None else min(plan.vacate, most),
        evict_after=eviction.after if eviction else None,
        hard=eviction is not None and eviction.hard,
        timeout=limits.timeout,
        cancel=setting.cancel,
    )


@dataclass(slots=True)
class _Rehearsal:
    plan: Plan
    setting: Setting
    place: Path
    tell: Tell
    clock: Clock
    attempts: list[Attempt] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    isolated: tuple[str, ...] = ()
    isolated_by: str = "none"
    hidden: tuple[str, ...] = ()
    notes: dict[str, None] = field(default_factory=dict)
    sandboxes: int = 0
    sandbox_began: float = 0.0
    allowed_by: int = 0  # the code of the hold when the time of a run is over

    @property
    def spool(self) -> Path:
        """What HTCondor keeps of the job between two sandboxes."""
        return self.place / "spool"

    def run(self) -> Outcome:
        self.notes.update(dict.fromkeys(self.setting.notes))
        if self.setting.results.exists():
            remove(self.setting.results)
        self.setting.results.mkdir(parents=True)
        while True:
            self.sandboxes += 1
            outcome = self._in_one_sandbox()
            if outcome is not None:
                return outcome

    def _in_one_sandbox(self) -> Outcome | None:
        """Run the job in a new sandbox; None when it was evicted from it."""
        self.sandbox_began = time.monotonic()
        sandbox = Sandbox(self.plan, self.place / f"sandbox-{self.sandboxes}", self.clock.go_on)
        sent = sandbox.fill(self.spool, self.setting.stand_ins)
        self.usage = replace(self.usage, bytes_in=self.usage.bytes_in + sent.size)
        for url in sent.urls:
            self.notes[f"{url} is at a URL: not fetched here, the job finds no such file"] = None
        if sent.failures:
            hold = _hold(INPUT, sent, "input", self.place)
            return self._outcome(sandbox, Ran(ended="not-started"), "held", hold)
        write_ads(self.plan, sandbox.scratch, self.setting.slot, self.sandboxes - 1)
        for _ in range(CHECKPOINTS):
            sandbox.open_logs()
            ran = self._once(sandbox)
            if ran.ended in ("evicted", "killed"):
                self._evicted(sandbox, ran)
                return None
            outcome = self._ended(sandbox, ran)
            if outcome is not None:
                return outcome
        return self._outcome(sandbox, ran, "stopped")

    def _ended(self, sandbox: Sandbox, ran: Ran) -> Outcome | None:
        """Return the outcome after a run; None when that was a checkpoint."""
        if ran.error:
            what = f"Failed to execute {self.plan.executable.name}: {_exec_error(ran, sandbox)}"
            self._note(ran)
            return self._outcome(sandbox, ran, "held", Hold(EXECUTE, ran.error, what))
        if ran.ended == "overdue":
            self._note(ran)
            return self._outcome(sandbox, ran, "held", self._overdue())
        if ran.ended != "exited":
            self._note(ran)
            return self._outcome(sandbox, ran, "stopped")
        if self.plan.checkpoint_code is None or ran.code != self.plan.checkpoint_code:
            return self._finished(sandbox, ran)
        sent = sandbox.keep(self.spool, checkpoint=True)
        ran.ended = "checkpoint"
        self._note(ran, sent)
        if sent.failures:
            reason = f"Starter failed to upload checkpoint: {sent.failures[0]}"
            return self._outcome(sandbox, ran, "held", Hold(CHECKPOINT, -1, reason))
        self.tell(f"checkpoint after {ran.seconds:.1f} s: kept {len(sent.names)} files")
        return None

    def _finished(self, sandbox: Sandbox, ran: Ran) -> Outcome:
        self._note(ran)
        plan = self.plan
        failed = plan.when == "ON_SUCCESS" and plan.said_success not in (None, ran.code)
        sent = sandbox.bring_back(self.setting.results, failed=failed)
        self.usage = replace(self.usage, bytes_out=sent.size)
        for url in sent.urls:
            self.notes[f"{url} goes to a URL: not sent from here"] = None
        if (self.setting.results / KEPT).is_dir():
            what = f"what goes to {plan.destination} is not sent from here: it is in {KEPT}/"
            self.notes[what] = None
        if sent.failures:
            hold = _hold(OUTPUT, sent, "output", self.place)
            return self._outcome(sandbox, ran, "held", hold)
        return self._outcome(sandbox, ran, "completed")

    def _evicted(self, sandbox: Sandbox, ran: Ran) -> None:
        """Keep what HTCondor keeps of a job that is thrown off."""
        if ran.ended == "killed" or not self.plan.keeps_at_eviction:
            why = "" if ran.ended == "killed" else f"{self.plan.when} keeps nothing at an eviction"
            self._note(ran, note=why)
        else:
            sent = sandbox.keep(self.spool, checkpoint=False)
            note = f"nothing was kept: {sent.failures[0]}" if sent.failures else ""
            self._note(ran, None if sent.failures else sent, note)
        self.tell(f"evicted after {ran.seconds:.1f} s; starting again in a new sandbox")
        if not self.setting.keep:
            remove(sandbox.root)

    def _note(self, ran: Ran, sent: Sent | None = None, note: str = "") -> None:
        kept = tuple(sorted(set(sent.names))) if sent else ()
        seconds = round(ran.seconds, 3)
        self.attempts.append(
            Attempt(self.sandboxes, ran.ended, ran.code, ran.signal, seconds, kept, ran.left, note)
        )
        seconds = self.usage.seconds + ran.seconds
        self.usage = replace(self.usage, seconds=round(seconds, 3))

    def _allowed(self) -> tuple[float, int] | None:
        """Return the seconds that the next run may take, and the code of the hold after that."""
        limits = []
        if self.plan.execute_duration is not None:
            limits.append((self.plan.execute_duration, EXECUTE_DURATION))
        if self.plan.job_duration is not None:
            spent = time.monotonic() - self.sandbox_began
            limits.append((max(self.plan.job_duration - spent, 0.0), JOB_DURATION))
        return min(limits, default=None)

    def _overdue(self) -> Hold:
        plan, code = self.plan, self.allowed_by
        what = "job" if code == JOB_DURATION else "execute"
        seconds = int((plan.job_duration if what == "job" else plan.execute_duration) or 0)
        time_ = f"{seconds // 60:02}:{seconds % 60:02}"
        return Hold(code, 0, f"The job exceeded allowed {what} duration of {time_}")

    def _once(self, sandbox: Sandbox) -> Ran:
        """Run the executable once, watch it, and evict it when it is time."""
        plan, setting = self.plan, self.setting
        private = (sandbox.root / "tmp", sandbox.root / "var-tmp")
        meter = Meter(sandbox.scratch, self.usage.memory, self.usage.disk, private)
        own = environment(plan, sandbox.scratch, setting.slot) | dict(setting.added)
        program = (
            str(sandbox.scratch / plan.executable.name)
            if plan.transfer_executable
            else str(sandbox.scratch / plan.executable)
        )
        start = Start(
            argv=[program, *plan.arguments],
            env=own,
            root=sandbox.root,
            stdin=sandbox.scratch / Path(plan.stdin).name if plan.stdin else None,
            stdout=sandbox.scratch / STDOUT if plan.stdout else None,
            stderr=self._stderr(sandbox),
        )
        self.clock.allowed, self.allowed_by = self._allowed() or (None, 0)
        ran = run_once(start, setting.walls, self.clock, meter, self.tell)
        self.isolated, self.hidden = ran.isolated, ran.hidden
        self.isolated_by = ran.isolated_by
        self.notes.update(dict.fromkeys(f"not isolated: {p}" for p in ran.problems))
        self.usage = replace(self.usage, memory=meter.memory, disk=meter.disk)
        return ran

    def _stderr(self, sandbox: Sandbox) -> Path | None:
        if not self.plan.stderr:
            return None
        return sandbox.scratch / (STDOUT if sandbox.same_log else STDERR)

    def _outcome(self, sandbox: Sandbox, ran: Ran, state: str, hold: Hold | None = None) -> Outcome:
        results = self.setting.results
        lines = {
            what: _last_lines(sandbox.scratch / name)
            for what, name in (("output", STDOUT), ("error", STDERR))
        }
        brought = tuple(
            sorted(str(p.relative_to(results)) for p in results.rglob("*") if p.is_file())
        )
        return Outcome(
            name=self.plan.name,
            proc=self.plan.proc,
            state=state,
            code=ran.code,
            signal=ran.signal,
            hold=hold,
            attempts=tuple(self.attempts),
            brought=brought,
            results=results,
            usage=self.usage,
            last_lines=lines,
            added=dict(self.setting.added),
            isolated=self.isolated,
            isolated_by=self.isolated_by,
            hidden=self.hidden,
            notes=tuple(self.notes),
            sandbox=sandbox.scratch if self.setting.keep else None,
        )


def _hold(code: int, sent: Sent, what: str, place: Path) -> Hold:
    first = sent.failures[0]
    where = str(first).replace(f"{place}/", "", 1)
    where = re.sub(r"^(\w+ \w+ file )sandbox-\d+/scratch/", r"\1", where)
    reason = f"Transfer {what} files failure: {where}"
    if first.number == 21 and first.reading:
        reason += " - Transfer of symlinks to directories is not supported."
    if len(sent.failures) > 1:
        others = (f"{f.path.name} ({os.strerror(f.number)})" for f in sent.failures[1:])
        reason += f"; also: {', '.join(others)}"
    return Hold(code, first.number, reason)


def _exec_error(ran: Ran, sandbox: Sandbox) -> str:
    """Return why it was not executed, with the interpreter that is not there."""
    words = os.strerror(ran.error)
    first = first_line(sandbox.scratch / sandbox.plan.executable.name)
    if first.startswith(b"#!") and first.endswith(b"\r\n"):
        words += " (it has Windows line ends (CRLF))"
    elif first.startswith(b"#!") and ran.error == 2:
        words += f" (its first line asks for {first[2:].decode(errors='replace').strip()})"
    elif ran.error == 8:
        words += " (a script needs a first line such as #!/bin/bash)"
    return words


def _last_lines(path: Path) -> tuple[str, ...]:
    text = end_of(path, 8192).decode("utf-8", errors="replace")
    lines = text.replace("\r", "\n").splitlines()[-TAIL:]
    return tuple(_CONTROL.sub("", line)[:WIDTH] for line in lines)
