"""One run of a job's executable: started, watched, asked to leave when it is time, stopped."""

from __future__ import annotations

import ast
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.rehearsal.cgroup import memory_limit
from pixi_scaffold.rehearsal.holds import last_lines
from pixi_scaffold.rehearsal.isolation import Start, Walls, launched
from pixi_scaffold.rehearsal.meter import Meter
from pixi_scaffold.rehearsal.plan import JobRun
from pixi_scaffold.rehearsal.setting import Setting

Tell = Callable[[str], None]
MACHINE_GRACE = 600.0
"""Seconds to leave, whatever the job asks for (MachineMaxVacateTime's default)."""


@dataclass(slots=True)
class Clock:
    """When what is done to a job, over all of its runs."""

    kill_signal: int
    """How it is asked to leave, and the seconds that it then has."""
    grace: float
    setting: Setting
    evict_after: float | None = None
    """Seconds after the first start, None once it was done."""
    began: float = 0.0
    allowed: float | None = None
    """Seconds of the run that comes next, after which HTCondor ends the job."""
    judge: Callable[[], bool] | None = None
    """Asked every second whether the job's own expressions end it."""

    def go_on(self) -> None:
        """Raise KeyboardInterrupt when it was cancelled."""
        if self.setting.cancel.is_set():
            raise KeyboardInterrupt

    @property
    def evict_at(self) -> float | None:
        """When to evict, on the monotonic clock."""
        return (
            self.began + self.evict_after if self.began and self.evict_after is not None else None
        )


def clock_for(plan: JobRun, setting: Setting) -> Clock:
    """Return the clock of a job that is rehearsed in a setting."""
    most = MACHINE_GRACE if setting.limits.grace is None else setting.limits.grace
    vacate = plan.meant.number("job_max_vacate_time")
    return Clock(
        kill_signal=int(getattr(signal, plan.meant.signal.value)),
        grace=most if vacate is None else min(vacate, most),
        setting=setting,
        evict_after=setting.evict_after,
    )


@dataclass(slots=True)
class Ran:
    """How a run ended."""

    ended: str = "exited"
    """Exited, evicted, killed, overdue, policy, timeout, disk, memory, not-started."""
    status: int = 0
    """Exit code, or minus a signal."""
    seconds: float = 0.0
    error: int = 0
    """Errno of a failed exec."""
    largest: int = 0
    """Bytes of the largest process, which was a copy of the launcher before it executed the job, of
    `before` bytes."""
    before: int = 0
    left: int = 0
    """Processes that it left behind when it ended by itself."""
    isolated: tuple[str, ...] = ()
    """As the launcher says."""
    isolated_by: str = "none"
    problems: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    @property
    def code(self) -> int | None:
        """The exit code; None when it was not started, or died of a signal."""
        alive = self.status >= 0 and not self.error and self.ended != "not-started"
        return self.status if alive else None

    @property
    def signal(self) -> int | None:
        """The signal that it died of."""
        return -self.status if self.status < 0 else None


def run_once(start: Start, walls: Walls, clock: Clock, meter: Meter, tell: Tell) -> Ran:
    """Run the executable to its end, or to the end that the clock makes.

    Raises ScaffoldError when it cannot be started for a reason that lies here, KeyboardInterrupt
    when it was cancelled. Nothing that it started is left.
    """
    ran = Ran()
    said: list[str] = []
    with memory_limit(start.memory) as meter.limit, launched(start, walls, meter.limit) as child:
        watch = _Watch(clock, child.tell, meter, tell, start.stdout)
        while (lines := child.lines(watch.pause())) is not None:
            for line in lines:
                _hear(line, ran, said, watch)
            watch.look(child.pid)
        if not watch.ended and meter.out_of_memory():
            watch.ended = "memory"
    if watch.ended:
        ran.ended = watch.ended
        ran.left = ran.left if watch.ended == "evicted" else 0  # stopped: they are its own
    elif not watch.over and not ran.error:
        why = " ".join(said) or "the launcher ended early"
        raise ScaffoldError(f"the job could not be started: {why}", "try: --no-isolation")
    meter.look_at_disk()
    if ran.ended == "exited" and ran.status and meter.out_of_space():
        ran.ended = "disk"
    if ran.ended == "exited" and clock.allowed is not None and ran.seconds > clock.allowed:
        ran.ended = "overdue"
    if ran.largest > ran.before or not meter.memory:  # never seen: it is all that is known
        meter.memory = max(meter.memory, ran.largest)
    return ran


def _hear(line: str, ran: Ran, said: list[str], watch: _Watch) -> None:
    """Take in what the launcher says; what is no dict is a failure of its own."""
    try:
        told = ast.literal_eval(line)
    except (ValueError, SyntaxError):
        said.append(line)
        return
    if "isolated" in told:
        ran.isolated, ran.problems = tuple(told["isolated"]), tuple(told["problems"])
        ran.isolated_by = told["by"]
        ran.hidden = tuple(told["hidden"])
    if "failed" in told:
        said.append(told["failed"])
    if "started" in told:
        watch.start()
    ran.error = told.get("error", ran.error)
    if ran.error:
        ran.ended = "not-started"
    if "ended" in told:
        watch.over = True
        ran.status, ran.seconds = told["ended"], told["seconds"]
        ran.largest, ran.before, ran.left = told["largest"], told["before"], told["left"]


@dataclass(slots=True)
class _Watch:
    clock: Clock
    send: Tell
    meter: Meter
    tell: Tell
    log: Path | None = None
    follow_at: float = 1.0
    running: bool = False
    over: bool = False
    ended: str = ""
    kill_at: float | None = None
    due_at: float | None = None
    judge_at: float = 0.0
    """When to ask `judge` next: a pool looks from time to time."""

    def start(self) -> None:
        now = time.monotonic()
        self.running = True
        self.judge_at = now + 1
        self.clock.began = self.clock.began or now
        if self.clock.allowed is not None:
            self.due_at = now + self.clock.allowed

    def pause(self) -> float:
        """Return how long to wait for news: shortly, but not past the next thing to do."""
        due = [t for t in (self.clock.evict_at, self.kill_at, self.due_at) if t is not None]
        return max(0.0, min([0.05, *(t - time.monotonic() for t in due)]))

    def look(self, pid: int) -> None:
        self.clock.go_on()
        if not self.running or self.over:
            return
        self.meter.look(pid)
        now = time.monotonic()
        if self.log is not None and now >= self.follow_at:
            self.follow_at = now + 1
            if lines := last_lines(self.log):
                self.clock.setting.follow(lines[-1][:80])
        evict_at, timeout = self.clock.evict_at, self.clock.setting.limits.timeout
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = None
            self._kill("killed" if self.ended == "evicted" else self.ended)
        elif self.ended:
            return
        elif self.due_at is not None and now >= self.due_at:
            self._ask_to_leave("overdue", now)
        elif evict_at is not None and now >= evict_at:
            self._evict(now)
        elif timeout is not None and now > self.clock.began + timeout:
            self._kill("timeout")
        elif self.clock.judge is not None and now >= self.judge_at:
            self.judge_at = now + 1
            if self.clock.judge():
                self._ask_to_leave("policy", now)
        elif full := self.meter.full():
            self._kill(full)

    def _kill(self, why: str) -> None:
        self.ended = why
        self.send(str(int(signal.SIGKILL)))

    def _evict(self, now: float) -> None:
        self.clock.evict_after = None
        if self.clock.setting.evict_hard:
            self._kill("killed")
        else:
            self._ask_to_leave("evicted", now)

    def _ask_to_leave(self, why: str, now: float) -> None:
        clock = self.clock
        self.ended, self.due_at = why, None
        self.kill_at = now + clock.grace
        name = signal.Signals(clock.kill_signal).name
        after = f"{name} after {now - clock.began:.1f} s"
        self.tell(f"{after}: the job is asked to leave, within {clock.grace:g} s")
        self.send(str(clock.kill_signal))
