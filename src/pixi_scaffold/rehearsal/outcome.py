"""How a rehearsed job ended: frozen data, the same for a person, for JSON and for a test."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixi_scaffold.rehearsal.delivery import Delivery
from pixi_scaffold.rehearsal.plan import JobRun

if TYPE_CHECKING:
    from pixi_scaffold.rehearsal.comparison import Comparison


@dataclass(frozen=True, slots=True)
class Hold:
    """Why HTCondor would put the job on hold: HoldReasonCode, HoldReasonSubCode, and the words."""

    code: int
    subcode: int
    reason: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of the executable."""

    sandbox: int
    """Number of the sandbox that it ran in, from 1."""
    ended: str
    """exited, checkpoint, evicted, killed (did not leave in time, or a hard eviction), overdue
    (allowed_execute_duration), policy (an expression of its own), released (by periodic_release,
    after it was held), timeout, disk (stopped for this machine's sake), memory, not-started."""
    code: int | None
    """How the process ended: its exit code, or a signal."""
    signal: int | None
    seconds: float
    seconds_in: float = 0.0
    """What copying its inputs took; 0 where it went on in the same sandbox."""
    seconds_out: float = 0.0
    """What copying took of what HTCondor keeps, or brings back."""
    kept: tuple[str, ...] = ()
    """What HTCondor keeps of it."""
    left: int = 0
    """Processes that it left behind, which were killed."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the job took: bytes, and seconds of all its attempts."""

    memory: int = 0
    disk: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    gpu: bool = False
    """Whether a process of the job used a GPU of this machine."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the job ended."""

    name: str = ""
    proc: int = 0
    state: str = "stopped"
    """completed, held, removed, or stopped (a limit of the rehearsal)."""
    code: int | None = None
    """Exit code of the last attempt, or its signal."""
    signal: int | None = None
    hold: Hold | None = None
    attempts: tuple[Attempt, ...] = ()
    brought: tuple[str, ...] = ()
    """Files that came back, relative to `results`."""
    results: Path = Path()
    usage: Usage = Usage()
    last_lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The ends of stdout (`output`) and stderr (`error`)."""
    added: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that only a rehearsal sets."""
    isolated: tuple[str, ...] = ()
    """What the job was kept away from."""
    isolated_by: str = "none"
    """`user namespace`, `root` (its own rights), or `none`."""
    hidden: tuple[str, ...] = ()
    """Folders that were empty for it."""
    notes: tuple[str, ...] = ()
    """What was different from a worker, in words."""
    sandbox: Path | None = None
    """Where it was kept."""

    @property
    def evicted(self) -> bool:
        """Whether it was thrown off its sandbox."""
        return any(a.ended in ("evicted", "killed") for a in self.attempts)

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON document has it."""
        document = asdict(self)
        return document | {
            "results": str(self.results),
            "sandbox": str(self.sandbox) if self.sandbox else None,
        }


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One job and what became of it."""

    plan: JobRun
    delivery: Delivery
    outcome: Outcome = Outcome()
    real_gpu: bool = False
    shortened: bool = False
    whole: Outcome | None = None
    """The uninterrupted run, where one was made."""
    compared: "Comparison | None" = None
    evict_after: float | None = None
    chosen_at_random: bool = False
    fails_anyway: bool = False
    image: str = ""
    """The container's, when its file is not there and HTCondor would miss it."""

    @property
    def passed(self) -> bool:
        """Whether it completed with the exit code that means success."""
        return self.outcome.state == "completed" and self.succeeded

    @property
    def succeeded(self) -> bool:
        """Whether its last exit code means success, whatever became of its outputs."""
        return self.outcome.code == self.plan.success

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON document has it."""
        plan = self.plan
        document = self.outcome.to_dict()
        document["requested"] = {
            "memory": plan.match.memory,
            "disk": plan.match.disk,
            "cpus": plan.match.cpus,
        }
        document["delivery"] = {"kind": self.delivery.kind, "staged": self.delivery.staged}
        document["waits"] = [waits.why for waits in plan.match.waits]
        if self.compared is not None:
            document["compared"] = asdict(self.compared)
        return document


@dataclass(frozen=True, slots=True)
class RehearsalFacts:
    """What a rehearsal found out."""

    description: Path
    """As it was named."""
    jobs: tuple[Rehearsed, ...]
    changed: tuple[str, ...]
    """What --fix wrote, a line each."""
    skipped: tuple[dict[str, str], ...]
    """What was not as on a worker."""
    lock: str | None
    """SHA-256 of the one lock that all of them ran with."""

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        return {
            "description": str(self.description),
            "jobs": [job.to_dict() for job in self.jobs],
            "changed": list(self.changed),
            "skipped": list(self.skipped),
            **({"lock": {"sha256": self.lock}} if self.lock else {}),
        }
