"""`watch`: follow the log of a cluster until its jobs end, and say what happens in plain words."""

import time
from pathlib import Path
from typing import Literal

from pixi_scaffold.errors import Interrupted, ScaffoldError
from pixi_scaffold.pool.access import AccessPoint, connect, kept_folder, spool_of
from pixi_scaffold.pool.events import LogEvent, ProcState, fold
from pixi_scaffold.pool.follow import Follower, QueueFollower
from pixi_scaffold.pool.metrics import find_metrics
from pixi_scaffold.pool.outcome import Watched, last_words, outcomes, save_picture, watch_facts
from pixi_scaffold.pool.receipt import SubmitReceipt
from pixi_scaffold.pool.show import Display
from pixi_scaffold.pool.why import evicted, held, idle, retried
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


class _ClusterWatch(Watched):
    """A cluster while it is watched."""

    def __init__(self, receipt: SubmitReceipt, root: Path, display: Display) -> None:
        super().__init__(receipt)
        self.root, self.display = root, display
        self.spool = spool_of(receipt)
        follows = QueueFollower(receipt) if receipt.spooled else Follower(Path(receipt.log))
        self.follower: Follower | QueueFollower = follows
        self.asked: dict[int, float] = {}
        self.thrown: dict[int, ProcState] = {}
        """How processes stood when they were evicted, which is still to be explained."""
        self.looked = 0.0

    def follow(self, until: Until) -> None:
        """Read and tell until the jobs end, or one is done or failed."""
        began, waiting = time.monotonic(), False
        while True:
            news = self.read()
            if not self.states and not waiting:
                self.display.say(f"waiting for {self.receipt.log or 'the access point'}")
                waiting = True
            if not self.states and time.monotonic() - began > _LOGLESS:
                self.follow_the_queue()
            self.explain_evictions(_SETTLED)
            if time.monotonic() - self.looked >= _SLOW:
                self.look_at_some(_PATIENCE)
            self.display.draw(self)
            if self.over(until):
                return
            if not news:
                time.sleep(_EVERY)

    def look_once(self) -> None:
        """Read what there is, and tell how it stands now."""
        self.read()
        self.explain_evictions(0.0)
        self.look_at_some(0.0)
        self.display.draw(self)

    def over(self, until: Until) -> bool:
        if until == "done" and any(s.succeeded for s in self.states.values()):
            return True
        return (until == "failed" and bool(self.bad())) or self.ended

    def bad(self) -> list[ProcState]:
        return [s for s in self.states.values() if s.state in ("failed", "removed", "held")]

    def follow_the_queue(self) -> None:
        if isinstance(self.follower, QueueFollower) or not self.receipt.schedd:
            return
        self.display.say(
            f"there is no {self.receipt.log}: was it moved, or can the access point not write "
            "there? The queue is followed instead"
        )
        self.follower = QueueFollower(self.receipt)

    def read(self) -> bool:
        """Take what is new in the log; return whether there was something."""
        events = [event for event in self.follower.new() if event.cluster == self.receipt.cluster]
        begins = {event.proc: n for n, event in enumerate(events) if event.kind == "SUBMIT"}
        news = False
        for n, event in enumerate(events):
            if n < begins.get(event.proc, 0):  # of another access point's cluster of this number
                continue
            if event.proc >= 0:
                self._take(event)
                news = True
            elif words := _COMMON.get(str(event.data.get("Type"))):  # of the whole cluster
                self.display.say(f"{event.cluster} the common input files {words}")
        return news

    def _take(self, event: LogEvent) -> None:
        before = self.states.get(event.proc)
        after = self.states[event.proc] = fold(self.states, event)
        self.display.event(event, before, after)
        job, ad = self.job(after.proc), self.receipt.ad_of(after.proc)
        if event.kind == "JOB_HELD":
            self.display.say(*(f"{job} {line}" for line in held(after, event.cluster)))
        elif before is not None and after.evictions > before.evictions:
            self.thrown[after.proc] = after
        elif before is not None and after.retries > before.retries:
            said = last_words(self.receipt, after.proc)
            self.display.say(f"{job} {retried(after, ad)}", *([f"  {said}"] if said else []))
        if before is not None and after.checkpoints > before.checkpoints:
            self.look(after.proc)

    def explain_evictions(self, patience: float) -> None:
        """Say who threw jobs off their machines; within so many seconds a hold or removal may."""
        for proc, thrown in list(self.thrown.items()):
            state, job = self.states[proc], self.job(proc)
            if state.state == "idle" and time.time() - thrown.since < patience:
                continue
            del self.thrown[proc]
            if state.state not in ("held", "removed"):
                lines = evicted(thrown, job, self.receipt.ad_of(proc))
                self.display.say(*(f"{job} {line}" for line in lines))

    def look(self, proc: int) -> None:
        """Read the metrics of a process from its last checkpoint, or from what came back."""
        receipt = self.receipt
        run = receipt.jobs[proc].run if proc < len(receipt.jobs) else ""
        state = self.states.get(proc)
        ended = state is not None and state.ended  # then what came back is newer than what is kept
        kept = None if ended else kept_folder(self.spool, receipt.cluster, proc)
        rows = find_metrics(kept, run) if kept else ()
        if not rows and run:
            rows = find_metrics(Path(receipt.folder) / "runs" / run, "")
        if rows:
            self.metrics[proc] = rows

    def look_at_some(self, patience: float) -> None:
        """Read metrics of jobs that run, and say why one is idle after so many seconds."""
        self.looked = time.monotonic()
        running = [s.proc for s in self.states.values() if s.began is not None]
        for proc in running[:30]:
            self.look(proc)
        self.ask_why(patience)

    def ask_why(self, patience: float) -> None:
        """Say why the first job that waits is idle, once it has waited for so many seconds."""
        waits = [s for s in self.states.values() if s.state == "idle"]
        if not waits or time.time() - waits[0].since < patience:
            return
        proc = waits[0].proc
        if time.monotonic() - self.asked.get(proc, -_AGAIN) < _AGAIN:
            return
        self.asked[proc] = time.monotonic()
        try:
            point = connect(self.receipt.schedd, self.receipt.pool)
            if self._take_holds(point):
                return
            lines = list(idle(point, self.receipt.cluster, proc))
        except ScaffoldError as error:
            lines = [f"idle: why is not known now, {error.message}"]
        others = f" (and {len(waits) - 1} more that wait)" if len(waits) > 1 else ""
        self.display.say(f"{self.job(proc)} {lines[0]}{others}", *lines[1:])

    def _take_holds(self, point: AccessPoint) -> bool:
        """Take over holds that no event tells of, as of a job that was submitted on hold."""
        names = ("ProcId", "JobStatus", "HoldReason", "HoldReasonCode", "HoldReasonSubCode")
        taken, cluster = False, self.receipt.cluster
        for ad in map(dict, point.jobs(cluster, *names)):
            before = self.states.get(int(ad["ProcId"]))
            if ad.get("JobStatus") == 5 and before is not None and before.state == "idle":
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
    watch = _ClusterWatch(receipt, root, display)
    try:
        watch.look_once() if once else watch.follow(until)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"the jobs go on: {watch.counts() or 'nothing in the log yet'}",
            f"{program()} watch {receipt.cluster}   # comes back to it",
        ) from stop
    finally:
        display.close()
    return _report(watch)


def _report(watch: _ClusterWatch) -> Report:
    receipt = watch.receipt
    for proc in watch.states:
        watch.look(proc)
    notes = list(outcomes(watch))
    path = None
    try:
        path = save_picture(watch.root, receipt, watch.metrics)
    except OSError as error:
        notes.append(f"the picture of the curves could not be written: {error.strerror}")
    if path is not None:
        notes.append(f"curves: {path}")
    bad = watch.bad()
    run = Run(Silent())
    with run.step("jobs") as step:
        if bad:
            on_hold = sum(s.state == "held" for s in bad)
            numbers = ((len(bad) - on_hold, "did not succeed"), (on_hold, "on hold"))
            total = len(receipt.jobs) or len(watch.states)
            words = (f"{number} of {total} {word}" for number, word in numbers if number)
            step.failed(", ".join(words), hint=_next_command(watch, bad))
        else:
            step.passed(watch.counts())
    text = f"cluster {receipt.cluster}: {watch.counts() or 'nothing in its log'}"
    verdict = Verdict(not bad, text, tuple(notes))
    return Report("watch", run.results, watch_facts(watch, str(path or "")), (), verdict=verdict)


def _next_command(watch: _ClusterWatch, bad: list[ProcState]) -> str:
    """Return what to do about jobs that did not succeed."""
    receipt = watch.receipt
    if any(s.state == "held" for s in bad):
        return f"correct what holds them, then: condor_release {receipt.cluster}"
    if any(s.state == "removed" and s.proc in watch.metrics for s in bad):
        return f"{receipt.command} --continue {receipt.cluster}"
    if any(job.values for job in receipt.jobs):
        return f"{receipt.command} --failed"
    return f"{program()} fetch {receipt.cluster}" if receipt.schedd else "read its output"
