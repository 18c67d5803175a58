"""Run a job to its end through checkpoints and an eviction, as the starter and the shadow do.

Measured with HTCondor 25.14: a job that is evicted starts again however it ended; at a graceful
eviction its outputs are kept only with ON_EXIT_OR_EVICT, and only when all of them are there; at a
hard one, or when the time to leave is over, what the last checkpoint kept is all there is.
"""

import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.rehearsal import holds
from pixi_scaffold.rehearsal.isolation import Start
from pixi_scaffold.rehearsal.meter import Meter
from pixi_scaffold.rehearsal.outcome import Attempt, Hold, Outcome, Usage
from pixi_scaffold.rehearsal.plan import JobRun
from pixi_scaffold.rehearsal.policy import (
    INPUT_SIZE,
    LATER,
    OUTPUT_SIZE,
    SOON,
    History,
    Policy,
    read_policy,
)
from pixi_scaffold.rehearsal.results import KEPT, STDERR, STDOUT
from pixi_scaffold.rehearsal.running import Clock, Ran, Tell, clock_for, run_once
from pixi_scaffold.rehearsal.sandbox import Sandbox
from pixi_scaffold.rehearsal.setting import Setting
from pixi_scaffold.rehearsal.slot import slot_memory
from pixi_scaffold.rehearsal.surroundings import environment, write_ads
from pixi_scaffold.rehearsal.transfer import FULL, Sent
from pixi_scaffold.rehearsal.workplace import remove, workplace

CHECKPOINTS = 1000
"""More checkpoints than that without an end: the job does not get on."""
SHELL = ("/bin/bash", "-i")
SPOOL = "spool"
"""Folder of what HTCondor keeps of the job between two sandboxes."""
ENDLESS = 10
"""So often an expression starts a job again; a pool would not stop."""


def rehearse_job(plan: JobRun, setting: Setting, tell: Tell = lambda _: None) -> Outcome:
    """Run the job of `plan`; return how it ended.

    tell: called with what happens, in words. No process is left, whatever ends this; the sandboxes
    are removed unless `keep`. Raises ScaffoldError when the job cannot be started for a reason
    that lies here and not in the job.
    """
    new = workplace(setting.scratch, setting.keep, tell)
    with new if setting.kept is None else nullcontext(setting.kept.parent) as place:
        try:
            return _Rehearsal(plan, setting, place, tell, clock_for(plan, setting)).run()
        except BaseException as error:
            remove(setting.results)  # half of them would pass for all
            if isinstance(error, OSError) and error.errno in FULL:
                raise ScaffoldError(
                    f"no room on this machine: {error}",
                    "make room, or put the sandbox on a larger disk: --scratch FOLDER",
                ) from error
            raise


@dataclass(slots=True)
class _Rehearsal:
    plan: JobRun
    setting: Setting
    place: Path
    tell: Tell
    clock: Clock
    attempts: list[Attempt] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    walls: Ran = field(default_factory=Ran)  # the last run: what kept it apart
    notes: dict[str, None] = field(default_factory=dict)
    sandboxes: int = 0
    sandbox_began: float = 0.0
    seconds_in: float = 0.0  # of the next attempt
    allowed_by: int = 0  # the code of the hold when the time of a run is over
    policy: Policy = field(init=False)
    meter: Meter | None = None
    verdict: Hold | str | None = None  # what its periodic expressions decided
    history: History = field(default_factory=History)

    def __post_init__(self) -> None:
        self.policy = read_policy(self.plan)
        self.history.starts, self.history.matched = self.policy.starts, self.policy.matched
        self.notes.update(dict.fromkeys((*self.setting.notes, *self.policy.notes)))

    def run(self) -> Outcome:
        if self.setting.results.exists():
            remove(self.setting.results)
        self.setting.results.mkdir(parents=True)
        verdict = self.policy.before()
        outcome: Outcome | None
        while True:
            if verdict:
                sandbox = Sandbox(self.plan, self.place / "none")
                outcome = self._decided(sandbox, Ran(ended="not-started"), verdict)
                verdict = None
            else:
                self.sandboxes += 1
                outcome = self._in_one_sandbox()
            if outcome is not None and outcome.hold is not None:
                outcome = self._held(outcome, outcome.hold)
            if outcome is not None:
                return outcome

    def _held(self, outcome: Outcome, hold: Hold) -> Outcome | None:
        """Return what becomes of a job that is held; None when periodic_release lets it go."""
        history, policy = self.history, self.policy
        history.hold(hold)
        now = history.attributes(self._used(), status=5)
        if policy.says("periodicremove", now, SOON):
            told = f"held ({hold.code}, {hold.subcode}) before it is removed: {hold.reason}"
            self.notes[told] = None
            return replace(outcome, state="removed", hold=None, notes=tuple(self.notes))
        released, later = (policy.says("periodicrelease", now, after) for after in (0, LATER))
        if history.holds > ENDLESS or not (released or later):
            return outcome
        message = f"held ({hold.code}, {hold.subcode}), and released by periodic_release"
        if not released:
            self.notes["periodic_release waits for some time, which was not waited for here"] = None
        self.tell(f"{message}; starting again in a new sandbox")
        if self.attempts and self.attempts[-1].sandbox == self.sandboxes:
            self.attempts[-1] = replace(self.attempts[-1], ended="released", note=message)
        return None

    def _in_one_sandbox(self) -> Outcome | None:
        """Run the job in a new sandbox; None when it was evicted from it."""
        self.sandbox_began = time.monotonic()
        root = self.setting.kept or self.place / f"sandbox-{self.sandboxes}"
        setting = self.setting
        sandbox = Sandbox(self.plan, root, self.clock.go_on, setting.urls, setting.walls.hide)
        if setting.kept is None and (hold := self._filled(sandbox)):
            return self._outcome(sandbox, Ran(ended="not-started"), "held", hold)
        self.history.starts += 1
        for _ in range(CHECKPOINTS):
            sandbox.open_logs()
            ran = self._once(sandbox)
            if self.setting.terminal >= 0:
                self._note(ran)
                return self._outcome(sandbox, ran, "completed")
            if ran.ended in ("evicted", "killed"):
                self._evicted(sandbox, ran)
                return None
            outcome = self._ended(sandbox, ran)
            if outcome is not None or ran.ended != "checkpoint":
                return outcome
        return self._outcome(sandbox, ran, "stopped")

    def _filled(self, sandbox: Sandbox) -> Hold | None:
        """Put into a sandbox what the job finds there; return why it is held instead, or None."""
        sandbox.make()
        write_ads(self.plan, sandbox.scratch, self.setting.gpus, self.history.starts)
        sent = sandbox.fill(self.place / SPOOL, self.setting.stand_ins)
        self.seconds_in = sent.seconds
        self.usage = replace(self.usage, bytes_in=self.usage.bytes_in + sent.size + sent.fetched)
        if sent.failures:
            return holds.transfer_hold(holds.INPUT, sent, "input", self.place)
        return self.policy.too_much(INPUT_SIZE, sent.size) or holds.no_stream(self.plan)

    def _ended(self, sandbox: Sandbox, ran: Ran) -> Outcome | None:
        """Return the outcome after a run; None after a checkpoint, and where it is tried again."""
        if ran.ended != "exited":
            self._note(ran)
            return self._decided(sandbox, ran, self._stopped(sandbox, ran))
        checkpoint = self.plan.meant.checkpoint_code.value
        if checkpoint is None or ran.code != checkpoint:
            return self._finished(sandbox, ran)
        sent = sandbox.keep(self.place / SPOOL, checkpoint=True)
        ran.ended = "checkpoint"
        self._note(ran, sent)
        if sent.failures:
            reason = f"Starter failed to upload checkpoint: {sent.failures[0]}"
            return self._outcome(sandbox, ran, "held", Hold(holds.CHECKPOINT, -1, reason))
        self.tell(f"checkpoint after {ran.seconds:.1f} s: kept {len(sent.names)} files")
        return None

    def _stopped(self, sandbox: Sandbox, ran: Ran) -> Hold | str | None:
        """Return why a run did not come to its own end: what decided, `again` for a limit here."""
        if ran.error:
            return holds.not_executed(ran.error, sandbox)
        if ran.ended == "overdue":
            return holds.overdue(self.allowed_by, self.plan.meant)
        if ran.ended == "memory":
            return holds.out_of_memory(slot_memory(self.plan.match.memory or 0))
        return self.verdict if ran.ended == "policy" else "again"

    def _finished(self, sandbox: Sandbox, ran: Ran) -> Outcome | None:
        plan = self.plan
        failed = plan.meant.number("success_exit_code") not in (None, ran.code)
        sent = sandbox.bring_back(self.setting.results, failed=failed)
        self._note(ran, seconds_out=sent.seconds)
        self.usage = replace(self.usage, bytes_out=sent.size)
        self.notes.update(dict.fromkeys(sent.notes))
        if (self.setting.results / KEPT).is_dir():
            self.notes[f"what goes to {plan.destination} is not sent: it is in {KEPT}/"] = None
        if sent.failures:
            hold = holds.transfer_hold(holds.OUTPUT, sent, "output", self.place)
            return self._outcome(sandbox, ran, "held", hold)
        if over := self.policy.too_much(OUTPUT_SIZE, sent.size):
            return self._outcome(sandbox, ran, "held", over)
        self.history.end(ran.code, ran.signal)
        now = self.history.attributes(self._used()) | self.history.last
        verdict = self.policy.at_exit(now)
        again = self.history.completions < max(ENDLESS, self.policy.retries + 1)
        if verdict == "again" and again:
            self.tell("HTCondor starts it again, in a new sandbox")
            if not self.setting.keep:
                remove(sandbox.root)
            return None
        if verdict is None and self.policy.says("leavejobinqueue", now | {"jobstatus": "4"}):
            self.notes["leave_in_queue keeps the job in the queue: condor_rm takes it away"] = None
        return self._decided(sandbox, ran, verdict)

    def _decided(self, sandbox: Sandbox, ran: Ran, verdict: Hold | str | None) -> Outcome:
        """Return the outcome of a job about which its own expressions decided."""
        if isinstance(verdict, Hold):
            return self._outcome(sandbox, ran, "held", verdict)
        states = {"removed": "removed", "again": "stopped", None: "completed"}
        return self._outcome(sandbox, ran, states[verdict])

    def _used(self) -> Usage:
        meter = self.meter
        return replace(self.usage, memory=meter.memory, disk=meter.disk) if meter else self.usage

    def _judge(self) -> bool:
        """Whether an expression of the job ends it now; one that vacates it only evicts it."""
        history, policy = self.history, self.policy
        now = history.attributes(self._used())
        self.verdict = policy.periodic(now)
        vacates = self.verdict is None and policy.says("periodicvacate", now)
        if vacates and history.vacated < ENDLESS:
            history.vacated += 1
            self.clock.evict_after = 0.0
        return self.verdict is not None

    def _evicted(self, sandbox: Sandbox, ran: Ran) -> None:
        """Keep what HTCondor keeps of a job that is thrown off."""
        when = self.plan.meant.when.value.upper()
        if ran.ended == "killed" or when != "ON_EXIT_OR_EVICT":
            why = "" if ran.ended == "killed" else f"{when} keeps nothing at an eviction"
            self._note(ran, note=why)
        else:
            sent = sandbox.keep(self.place / SPOOL, checkpoint=False)
            missing = f"nothing was kept: {sent.failures[0]}" if sent.failures else ""
            self._note(ran, None if missing else sent, missing)
        self.tell(f"evicted after {ran.seconds:.1f} s; starting again in a new sandbox")
        if not self.setting.keep:
            remove(sandbox.root)

    def _note(
        self, ran: Ran, sent: Sent | None = None, note: str = "", seconds_out: float = 0.0
    ) -> None:
        kept = tuple(sorted(set(sent.names))) if sent else ()
        times = (ran.seconds, self.seconds_in, sent.seconds if sent else seconds_out)
        run, into, out = (round(seconds, 3) for seconds in times)
        how = (self.sandboxes, ran.ended, ran.code, ran.signal, run, into, out)
        self.attempts.append(Attempt(*how, kept, ran.left, note))
        self.seconds_in = 0.0
        seconds = self.usage.seconds + ran.seconds
        self.usage = replace(self.usage, seconds=round(seconds, 3))

    def _allowed(self) -> tuple[float, int] | None:
        """Return the seconds that the next run may take, and the code of the hold after that."""
        limits = []
        for code, name in holds.DURATIONS.items():
            if (seconds := self.plan.meant.number(f"allowed_{name}_duration")) is not None:
                spent = time.monotonic() - self.sandbox_began if name == "job" else 0.0
                limits.append((max(seconds - spent, 0.0), code))
        return min(limits, default=None)

    def _once(self, sandbox: Sandbox) -> Ran:
        """Run the executable once, watch it, and evict it when it is time."""
        plan, setting, used = self.plan, self.setting, self.usage
        self.meter = meter = Meter(sandbox.scratch, used.memory, used.disk, sandbox.writable[1:])
        start = Start(
            argv=[sandbox.program, *plan.arguments],
            env=environment(plan, sandbox.scratch, setting.gpus) | dict(setting.added),
            root=sandbox.root,
            stdin=sandbox.scratch / Path(plan.stdin).name if plan.stdin else None,
            stdout=sandbox.stdout,
            stderr=sandbox.stderr,
            memory=slot_memory(plan.match.memory)
            if setting.hold_to_memory and plan.match.memory
            else None,
            core=plan.meant.number("coresize") or 0,
            stack=plan.meant.number("stack_size") or 0,
        )
        if setting.terminal >= 0:
            start = replace(start, argv=SHELL, terminal=setting.terminal, memory=None)
        self.clock.allowed, self.allowed_by = self._allowed() or (None, 0)
        self.clock.judge = self._judge if self.policy.watches else None
        self.history.started = int(time.time())
        ran = run_once(start, setting.walls, self.clock, meter, self.tell)
        with suppress(OSError):
            (sandbox.scratch / "core").rename(sandbox.core)
        self.walls = ran
        self.notes.update(dict.fromkeys(f"not isolated: {p}" for p in ran.problems))
        gpu = meter.gpu or self.usage.gpu
        self.usage = replace(self.usage, memory=meter.memory, disk=meter.disk, gpu=gpu)
        return ran

    def _outcome(self, sandbox: Sandbox, ran: Ran, state: str, hold: Hold | None = None) -> Outcome:
        results = self.setting.results
        lines = {
            stream: holds.last_lines(sandbox.scratch / name)
            for stream, name in (("output", STDOUT), ("error", STDERR))
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
            isolated=self.walls.isolated,
            isolated_by=self.walls.isolated_by,
            hidden=self.walls.hidden,
            notes=tuple(self.notes),
            sandbox=sandbox.scratch if self.setting.keep else None,
        )
