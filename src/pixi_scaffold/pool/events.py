"""What a job is doing, folded from the events of its log: pure, one state a process."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

_OUT_OF_MEMORY = 102
"""The subcode of an eviction for too much memory.

Source: what condor_submit makes of retry_request_memory_increase (TransformBody_RequestMemory).
"""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event of a job event log."""

    kind: str
    """As HTCondor's bindings call it, such as EXECUTE."""
    cluster: int
    proc: int
    time: float
    """Seconds since 1970."""
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProcState:
    """One process of a cluster, as its events tell it."""

    proc: int
    state: str = "idle"
    """idle, sending, running, returning, suspended, lost, held, done, failed or removed."""
    since: float = 0.0
    """When it came into this state."""
    host: str = ""
    gpu: str = ""
    """The name of the GPU that it holds, or held last."""
    gpus: int = 0
    starts: int = 0
    """How often it was started on a machine; a restart after a checkpoint is no start."""
    ran: float = 0.0
    """Seconds of the activations that ended."""
    began: float | None = None
    """When the activation began that goes on."""
    memory: float = 0.0
    """Most MB that were seen."""
    memory_request: float = 0.0
    disk: float = 0.0
    """KB, as the last event says."""
    disk_request: float = 0.0
    checkpoints: int = 0
    """How often files were handed over before the end."""
    kept: float | None = None
    """When that was last."""
    code: int | None = None
    signal: int | None = None
    reason: str = ""
    """Why it is held, was evicted or was removed, in HTCondor's words."""
    hold: tuple[int, int] | None = None
    """Code and subcode of the hold."""
    evictions: int = 0
    evicted: str = ""
    """Why it was evicted last."""
    outgrown: int = 0
    """How often it was evicted because it had used more memory than it had asked for."""
    retries: int = 0
    """How often it ended and was started again, as max_retries or on_exit_remove want it."""
    gpu_used: float | None = None
    """The mean share of the GPUs that was in use, where the pool measures it."""
    events: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("done", "failed", "removed")

    @property
    def succeeded(self) -> bool:
        """Whether it ended with exit code 0."""
        return self.state == "done"

    @property
    def words(self) -> str:
        """The state with what is most to the point."""
        if self.state == "failed":
            return f"failed (signal {self.signal})" if self.signal else f"failed (exit {self.code})"
        if self.state == "idle" and self.code is not None:
            return f"exit {self.code}, idle"
        if self.state == "idle" and self.evicted:
            return "evicted, idle"
        return {"lost": "out of contact"}.get(self.state, self.state)

    def seconds(self, now: float) -> float:
        """Return how long it has run in all activations, up to `now`."""
        return self.ran + (0.0 if self.began is None else max(now - self.began, 0.0))


def fold(states: Mapping[int, ProcState], event: LogEvent) -> ProcState:
    """Return the state of the event's process after it."""
    before = states.get(event.proc) or ProcState(event.proc, since=event.time)
    handle = _HANDLERS.get(event.kind)
    changes = _CHANGES.get(event.kind, {})
    after = handle(before, event) if handle else replace(before, **changes)
    since = event.time if after.state != before.state else before.since
    return replace(after, since=since, events=before.events + 1)


def _executing(state: ProcState, event: LogEvent) -> ProcState:
    props = event.data.get("ExecuteProps") or {}
    address = str(event.data.get("ExecuteHost") or "")
    named = re.search(r"alias=([^&>]+)", address)  # where there is no slot: DAGMan, older versions
    host = str(event.data.get("SlotName") or (named[1] if named else address.strip("<>")))
    return replace(
        _stopped(state, event.time), state="running", began=event.time, starts=state.starts + 1,
        host=host.rsplit("@", maxsplit=1)[-1], gpu=_gpu(props),
        gpus=int(number(props.get("GPUs"))), hold=None, reason="", code=None, evicted="",
    )  # fmt: skip


def _gpu(props: Mapping[str, Any]) -> str:
    if name := props.get("GPUs_DeviceName"):
        return str(name)
    for key, value in props.items():
        if str(key).startswith("GPUs_GPU_") and isinstance(value, Mapping):
            return str(value.get("DeviceName", ""))
    return ""


def _transfer(state: ProcState, event: LogEvent) -> ProcState:
    kind = int(number(event.data.get("Type")))
    if kind in (1, 2, 3) and state.began is None:
        return replace(state, state="sending")
    if kind == 5 and state.began is not None:
        return replace(state, state="returning")
    if kind == 6 and state.began is not None:  # without a start, its inputs could not be sent
        going = "running" if state.state == "returning" else state.state
        return replace(state, state=going, checkpoints=state.checkpoints + 1, kept=event.time)
    return state


def _evicted(state: ProcState, event: LogEvent) -> ProcState:
    if event.data.get("TerminatedAndRequeued"):
        code = int(number(event.data.get("ReturnValue")))
        return replace(_at_end(state, event), state="idle", retries=state.retries + 1, code=code)
    outgrown = state.outgrown + (event.data.get("ReasonSubCode") == _OUT_OF_MEMORY)
    return replace(_thrown(_used(state, event), event), outgrown=outgrown)


def _thrown(state: ProcState, event: LogEvent) -> ProcState:
    why = str(event.data.get("Reason") or event.data.get("Message") or "it lost its machine")
    stopped = _stopped(state, event.time)
    return replace(stopped, state="idle", evictions=state.evictions + 1, evicted=why)


def _at_end(state: ProcState, event: LogEvent) -> ProcState:
    """Return the state after an activation's end: what came back then is no checkpoint."""
    last = state.began is not None and state.kept is not None
    used = _used(_stopped(state, event.time), event)
    return replace(used, checkpoints=max(state.checkpoints - last, 0))


def _terminated(state: ProcState, event: LogEvent) -> ProcState:
    normal = bool(event.data.get("TerminatedNormally", True))
    code = int(number(event.data.get("ReturnValue"))) if normal else None
    signal = None if normal else int(number(event.data.get("TerminatedBySignal")))
    name = "done" if code == 0 else "failed"
    return replace(_at_end(state, event), state=name, code=code, signal=signal)


def _off(state: ProcState, event: LogEvent, now: str, reason: str) -> ProcState:
    """Return the state of a job that is held or removed.

    That throws it off its machine first; nobody asks who evicted it then.
    """
    thrown = state.state == "idle" and state.evictions > 0 and event.time - state.since <= 2
    stopped = _stopped(state, event.time)
    why = str(event.data.get(reason) or "")
    return replace(stopped, state=now, reason=why, evictions=state.evictions - thrown, evicted="")


def _held(state: ProcState, event: LogEvent) -> ProcState:
    codes = (int(number(event.data.get("HoldReasonCode"))),
             int(number(event.data.get("HoldReasonSubCode"))))  # fmt: skip
    return replace(_off(state, event, "held", "HoldReason"), hold=codes)


def _updated(state: ProcState, event: LogEvent) -> ProcState:
    if str(event.data.get("Attribute")) == "RequestMemory":
        return replace(state, memory_request=number(event.data.get("Value")))
    return state


def _stopped(state: ProcState, time: float) -> ProcState:
    return replace(state, ran=state.seconds(time), began=None)


def _used(state: ProcState, event: LogEvent) -> ProcState:
    data = event.data
    used = data.get("GPUsAverageUsage", data.get("GPUsUsage"))
    return replace(
        state,
        memory=max(state.memory, number(data.get("MemoryUsage"))),
        memory_request=number(data.get("RequestMemory")) or state.memory_request,
        disk=number(data.get("DiskUsage")) or state.disk,
        disk_request=number(data.get("RequestDisk")) or state.disk_request,
        gpu_used=number(used) if isinstance(used, int | float) else state.gpu_used,
    )


def number(value: object) -> float:
    """Return what HTCondor says as a number; 0 for what is not one."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0.0


_HANDLERS: Mapping[str, Callable[[ProcState, LogEvent], ProcState]] = {
    "SUBMIT": lambda state, event: ProcState(state.proc, since=event.time, events=state.events),
    "EXECUTE": _executing,
    "IMAGE_SIZE": lambda state, event: replace(
        state, memory=max(state.memory, number(event.data.get("MemoryUsage")))
    ),
    "FILE_TRANSFER": _transfer,
    "CHECKPOINTED": lambda state, _: replace(state, checkpoints=state.checkpoints + 1),
    "JOB_EVICTED": _evicted,
    "JOB_TERMINATED": _terminated,
    "JOB_HELD": _held,
    "JOB_ABORTED": lambda state, event: _off(state, event, "removed", "Reason"),
    "JOB_RECONNECT_FAILED": _thrown,
    "SHADOW_EXCEPTION": lambda state, event: _thrown(_used(state, event), event),
    "ATTRIBUTE_UPDATE": _updated,
}
_CHANGES: Mapping[str, Mapping[str, Any]] = {
    "JOB_RELEASED": {"state": "idle", "reason": "", "hold": None},
    "JOB_SUSPENDED": {"state": "suspended"},
    "JOB_UNSUSPENDED": {"state": "running"},
    "JOB_DISCONNECTED": {"state": "lost"},
    # what was handed over meanwhile, by the end too, has left no event
    "JOB_RECONNECTED": {"state": "running", "kept": None},
}
"""Events that mean the same whatever was before, and have nothing to read."""
