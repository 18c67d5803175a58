"""`watch`: follow the log of a cluster until its jobs end, and say what happens in plain words."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from pixi_scaffold.errors import Interrupted, ScaffoldError
from pixi_scaffold.pool.access import AccessPoint, connect, kept_folder, spool_of
from pixi_scaffold.pool.events import LogEvent, ProcState, fold
from pixi_scaffold.pool.follow import Follower
from pixi_scaffold.pool.idle import idle
from pixi_scaffold.pool.metrics import find_metrics
from pixi_scaffold.pool.outcome import Watched, last_words, outcomes, save_picture, watch_facts
from pixi_scaffold.pool.queue import QueueFollower
from pixi_scaffold.pool.receipt import SubmitReceipt
from pixi_scaffold.pool.show import Display
from pixi_scaffold.pool.why import evicted, held, retried
from pixi_scaffold.report import Report, Run, Silent, Verdict
from pixi_scaffold.system import program

_EVERY = 0.2
"""Seconds between two looks at the log."""
_SLOW = 5.0
"""Seconds between two looks at checkpoints."""
_PATIENCE = 30.0
"""Seconds that a job is idle before it is asked why."""
_AGAIN = 600.0
_SETTLED = 2.0
"""Seconds between an eviction and the hold that was the reason for it."""
_LOGLESS = 6.0
"""Seconds without a log after which the queue is followed instead."""

_COMMON = {
    "TransferQueued": "wait for their turn to be sent",
    "TransferStarted": "are being sent to a machine; its jobs start after that",
    "TransferFinished": "have been sent",
}
"""What the event COMMON_FILES says of transfer_common_input."""

Until = Literal["all", "done", "failed"]


class _Watch:
    """One watch while it runs."""

    def __init__(self, receipt: SubmitReceipt, root: Path, display: Display) -> None:
        self.watched = Watched(receipt)
        self.root, self.display = root, display
        self.spool = spool_of(receipt)
        follows = QueueFollower(receipt) if receipt.spooled else Follower(Path(receipt.log))
        self.follower: Follower | QueueFollower = follows
        self.asked: dict[int, float] = {}
        self.thrown: dict[int, ProcState] = {}
        """How processes stood when they were evicted, which is still to be explained."""
        self.looked = 0.0

    def follow_the_queue(self) -> None:
        receipt = self.watched.receipt
        if isinstance(self.follower, QueueFollower) or not receipt.schedd:
            return
        self.display.say(
            f"there is no {receipt.log}: was it moved, or can the access point not write there? "
            "The queue is followed instead"
        )
        self.follower = QueueFollower(receipt)

    def read(self) -> bool:
        """Take what is new in the log; return whether there was something."""
        news, cluster = False, self.watched.receipt.cluster
        events = [event for event in self.follower.new() if event.cluster == cluster]
        begins = {event.proc: n for n, event in enumerate(events) if event.kind == "SUBMIT"}
        for n, event in enumerate(events):
            if n < begins.get(event.proc, 0):  # of another access point's cluster of this number
                continue
            if event.proc < 0:  # of the whole cluster
                if words := _COMMON.get(str(event.data.get("Type"))):
                    self.display.say(f"{event.cluster} the common input files {words}")
                continue
            self._take(event)
            news = True
        return news

    def _take(self, event: LogEvent) -> None:
        before = self.watched.states.get(event.proc)
        after = self.watched.states[event.proc] = fold(self.watched.states, event)
        self.display.event(event, before, after)
        job, ad = self.watched.job(after.proc), self.watched.receipt.ad_of(after.proc)
        if event.kind == "JOB_HELD":
            self.display.say(*(f"{job} {line}" for line in held(after, event.cluster)))
        elif before is not None and after.evictions > before.evictions:
            self.thrown[after.proc] = after
        elif before is not None and after.retries > before.retries:
            said = last_words(self.watched.receipt, after.proc)
            self.display.say(f"{job} {retried(after, ad)}", *([f"  {said}"] if said else []))
        if after.checkpoints and before is not None and after.checkpoints > before.checkpoints:
            self.look(after.proc)

    def explain_evictions(self, patience: float) -> None:
        """Say who threw jobs off their machines; within so many seconds a hold or removal may."""
        for proc, thrown in list(self.thrown.items()):
            state, job = self.watched.states[proc], self.watched.job(proc)
            if state.state == "idle" and time.time() - thrown.since < patience:
                continue
            del self.thrown[proc]
            if state.state not in ("held", "removed"):
                lines = evicted(thrown, job, self.watched.receipt.ad_of(proc))
                self.display.say(*(f"{job} {line}" for line in lines))

    def look(self, proc: int) -> None:
        """Read the metrics of a process from its last checkpoint, or from what came back."""
        receipt = self.watched.receipt
        run = receipt.jobs[proc].run if proc < len(receipt.jobs) else ""
        state = self.watched.states.get(proc)
        ended = state is not None and state.ended  # then what came back is newer than what is kept
        kept = None if ended else kept_folder(self.spool, receipt.cluster, proc)
        rows = find_metrics(kept, run) if kept else ()
        if not rows and run:
            rows = find_metrics(Path(receipt.folder) / "runs" / run, "")
        if rows:
            self.watched.metrics[proc] = rows

    def look_at_some(self) -> None:
        now = time.monotonic()
        if now - self.looked < _SLOW:
            return
        self.looked = now
        running = [s.proc for s in self.watched.states.values() if s.began is not None]
        for proc in running[:30]:
            self.look(proc)
        self.ask_why(_PATIENCE)

    def ask_why(self, patience: float) -> None:
        """Say why the first job that waits is idle, once it has waited for so many seconds."""
        waits = [s for s in self.watched.states.values() if s.state == "idle"]
        if not waits or time.time() - waits[0].since < patience:
            return
        proc = waits[0].proc
        if time.monotonic() - self.asked.get(proc, -_AGAIN) < _AGAIN:
            return
        self.asked[proc] = time.monotonic()
        receipt = self.watched.receipt
        try:
            point = connect(receipt.schedd, receipt.pool)
            if self._take_holds(point):
                return
            lines = list(idle(point, receipt.cluster, proc))
        except ScaffoldError as error:
            lines = [f"idle: why is not known now, {error.message}"]
        others = f" (and {len(waits) - 1} more that wait)" if len(waits) > 1 else ""
        self.display.say(f"{self.watched.job(proc)} {lines[0]}{others}", *lines[1:])

    def _take_holds(self, point: AccessPoint) -> bool:
        """Take over holds that no event tells of, as of a job that was submitted on hold."""
        names = ("ProcId", "JobStatus", "HoldReason", "HoldReasonCode", "HoldReasonSubCode")
        taken = False
        for ad in map(dict, point.jobs(self.watched.receipt.cluster, *names)):
            before = self.watched.states.get(int(ad["ProcId"]))
            if ad.get("JobStatus") == 5 and before is not None and before.state == "idle":
                cluster = self.watched.receipt.cluster
                self._take(LogEvent("JOB_HELD", cluster, before.proc, time.time(), ad))
                taken = True
        return taken


def watch_cluster(
    receipt: SubmitReceipt, root: Path, display: Display, *, until: Until = "all",
    once: bool = False,
) -> Report:  # fmt: skip
    """Follow a cluster's log until its jobs end, or until one is done or failed; return the report.

    once: only say how it stands now. Raises ScaffoldError for a log that cannot be read, and
    Interrupted when it is stopped: the jobs go on.
    """
    if not receipt.log and not receipt.spooled:
        raise ScaffoldError(
            f"cluster {receipt.cluster} writes no event log, so nothing can be followed",
            "add to the description: log = logs/$(Cluster).log",
        )
    running = _Watch(receipt, root, display)
    try:
        if once:
            running.read()
            running.explain_evictions(0.0)
            running.looked = -_SLOW
            running.look_at_some()
            running.ask_why(0.0)
            display.draw(running.watched)
        else:
            _follow(running, until)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"the jobs go on: {running.watched.counts() or 'nothing in the log yet'}",
            f"{program()} watch {receipt.cluster}   # comes back to it",
        ) from stop
    finally:
        display.close()
    return _report(running)


def _follow(running: _Watch, until: Until) -> None:
    began, waiting = time.monotonic(), False
    while True:
        news = running.read()
        if not running.watched.states and not waiting:
            running.display.say(f"waiting for {running.watched.receipt.log or 'the access point'}")
            waiting = True
        if not running.watched.states and time.monotonic() - began > _LOGLESS:
            running.follow_the_queue()
        running.explain_evictions(_SETTLED)
        running.look_at_some()
        running.display.draw(running.watched)
        if _over(running.watched, until):
            return
        if not news:
            time.sleep(_EVERY)


def _over(watched: Watched, until: Until) -> bool:
    states = watched.states.values()
    if until == "done" and any(s.succeeded for s in states):
        return True
    if until == "failed" and any(s.state in ("failed", "removed", "held") for s in states):
        return True
    return watched.ended


def _report(running: _Watch) -> Report:
    watched, receipt = running.watched, running.watched.receipt
    for proc in watched.states:
        running.look(proc)
    notes = list(outcomes(watched))
    try:
        path = save_picture(running.root, receipt, watched.metrics)
    except OSError as error:
        path = None
        notes.append(f"the picture of the curves could not be written: {error.strerror}")
    run = Run(Silent())
    bad = [s for s in watched.states.values() if s.state in ("failed", "removed", "held")]
    on_hold = sum(s.state == "held" for s in bad)
    if path is not None:
        notes.append(f"curves: {path}")
    with run.step("jobs") as step:
        if bad:
            hint = f"{program()} fetch {receipt.cluster}" if receipt.schedd else "read its output"
            if on_hold:
                hint = f"correct what holds them, then: condor_release {receipt.cluster}"
            elif any(s.state == "removed" and s.proc in watched.metrics for s in bad):
                hint = f"{receipt.command} --continue {receipt.cluster}"
            elif any(job.values for job in receipt.jobs):
                hint = f"{receipt.command} --failed"
            numbers = ((len(bad) - on_hold, "did not succeed"), (on_hold, "on hold"))
            total = len(receipt.jobs) or len(watched.states)
            words = (f"{number} of {total} {word}" for number, word in numbers if number)
            step.failed(", ".join(words), hint=hint)
        else:
            step.passed(watched.counts())
    text = f"cluster {receipt.cluster}: {watched.counts() or 'nothing in its log'}"
    verdict = Verdict(not bad, text, tuple(notes))
    return Report("watch", run.results, watch_facts(watched, str(path or "")), (), verdict=verdict)
