"""What was sent to a pool: one file a cluster, readable by its owner only, without secrets."""

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import UsageError
from pixi_scaffold.system import has_credentials, layout, program, read_regular, replacing

_SCHEMA = 1
_LIMIT = 256 << 20
_HIDDEN = ("environment", "env")
_SECRET = re.compile(r"token|password|passwd|secret|credential|api_?key|access_?key|proxy", re.I)
_HIDES = "(not recorded)"


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """One process of a cluster."""

    values: Mapping[str, str]
    """What the queue statement set for it."""
    fingerprint: str
    """Of all that decides what it does; empty where that is not known."""
    run: str = ""
    """The folder of its results, below runs/."""


@dataclass(frozen=True, slots=True)
class SubmitReceipt:
    """What `submit` knows of a cluster; the later commands take all from here."""

    cluster: int
    schedd: str
    pool: str
    submitted: str
    """UTC, as 2026-11-27T23:12:35Z."""
    folder: str
    """Where it was submitted: relative names of the description start here."""
    description: str
    log: str
    """The job event log; empty where the description names none."""
    jobs: tuple[SubmittedJob, ...]
    spooled: bool = False
    append: tuple[str, ...] = ()
    queue: str = ""
    continues: str = ""
    """The earlier jobs that it goes on with, as CLUSTER or CLUSTER.PROC."""
    commit: str = ""
    dirty: bool = False
    """Whether files were changed and not committed."""
    lock_sha256: str = ""
    rehearsal: Mapping[str, Any] | None = None
    """The last rehearsal of this workspace, and whether pixi.lock was the same; None: none."""
    ad: Mapping[str, Any] = field(default_factory=dict)
    """What the ads of all processes say, without the environment's values."""
    ads: tuple[Mapping[str, Any], ...] = ()
    """What each ad says besides."""

    def ad_of(self, proc: int) -> Mapping[str, Any]:
        """Return the ad of one process as far as it is kept."""
        return {**self.ad, **(self.ads[proc] if proc < len(self.ads) else {})}

    def named(self, proc: int) -> str:
        """Return a job's number and what its row of a sweep set: `12.3 lr=0.1`."""
        values = self.jobs[proc].values if proc < len(self.jobs) else {}
        words = (f"{key}={value}" for key, value in values.items() if key != "name")
        return " ".join((f"{self.cluster}.{proc}", *words))

    @property
    def command(self) -> str:
        """The command that submits the same jobs again."""
        queue = ("--queue", self.queue) if self.queue else ()
        append = [word for line in self.append for word in ("-a", line)]
        return shlex.join([program(), "submit", self.description, *queue, *append])

    def path(self, root: Path) -> Path:
        """Return where it is kept below `root`."""
        host = re.sub(r"[^\w.@-]", "_", self.schedd)
        return root / layout.SUBMITTED / f"{self.cluster}-{host}.json"


def hidden(ad: Mapping[str, Any]) -> dict[str, Any]:
    """Return an ad's plain values: of the environment the names only, and nothing like a secret."""
    return {k: v if isinstance(v, bool | int | float) else safe(k, str(v)) for k, v in ad.items()}


def safe(name: str, text: str) -> str:
    """Return the value of an attribute or a command as it may be written down."""
    if name.lower() in _HIDDEN:
        return " ".join(re.findall(r"([A-Za-z_]\w*)=", text))
    return _HIDES if _SECRET.search(name) or _reveals(text) else text


def safe_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """Return `NAME=VALUE` lines as they may be written down."""
    parted = (line.partition("=") for line in lines)
    return tuple(
        f"{name}{equals}{value if safe(name.strip(), value) == value else _HIDES}"
        for name, equals, value in parted
    )


def _reveals(text: str) -> bool:
    urls = re.findall(r"[A-Za-z][\w+.-]*://[^\s,\"']+", text)
    given = re.search(r"--?[\w-]*(?:token|password|secret|api-?key)[\w-]*[= ]\S", text, re.I)
    return given is not None or any(map(has_credentials, urls))


def common(ads: list[dict[str, Any]]) -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    """Return what all ads say, and for each what it says besides."""
    first = ads[0] if ads else {}
    same = {k: v for k, v in first.items() if all(k in ad and ad[k] == v for ad in ads)}
    return same, tuple({k: v for k, v in ad.items() if k not in same} for ad in ads)


def write(receipt: SubmitReceipt, root: Path) -> Path:
    """Write a receipt below `root`, for its owner only; return its path. Raises OSError."""
    path = receipt.path(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    with replacing(path) as new:
        document = {"schema": _SCHEMA, **asdict(receipt)}
        new.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def read(path: Path) -> SubmitReceipt:
    """Read a receipt; raises UsageError for what is not one."""
    try:
        document = json.loads(read_regular(path, _LIMIT))
        if document.pop("schema") != _SCHEMA:
            raise ValueError("of another version of pixi-scaffold")
        known = {f.name for f in fields(SubmitReceipt)}
        values = {k: v for k, v in document.items() if k in known}
        values["jobs"] = tuple(SubmittedJob(**job) for job in values["jobs"])
        for name in ("append", "ads"):
            values[name] = tuple(values.get(name, ()))
        return SubmitReceipt(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no receipt: {error}", "put it aside, and try again") from error


def receipts(root: Path, description: str = "") -> Iterator[SubmitReceipt]:
    """Yield the receipts below `root`, or those of one description; the newest first."""
    every = [read(path) for path in (root / layout.SUBMITTED).glob("*.json")]
    every = [one for one in every if description in ("", one.description)]
    yield from sorted(every, key=lambda one: (one.submitted, one.cluster), reverse=True)


def find_named(root: Path, name: str) -> tuple[SubmitReceipt, int | None]:
    """Return the receipt that `CLUSTER`, `CLUSTER.PROC` or `CLUSTER@SCHEDD` names; empty: newest.

    The number is that of one process, where one is named. Raises UsageError where there is none.
    """
    match = re.fullmatch(r"(?:(\d+)(?:\.(\d+))?(?:@(.+))?)?", name)
    if match is None:
        raise UsageError(f"{name} is no cluster", "give a number, such as 12 or 12.3")
    cluster, proc = (None if number is None else int(number) for number in match.groups()[:2])
    every = list(receipts(root))
    some = [
        one for one in every if cluster in (None, one.cluster) and match[3] in (None, one.schedd)
    ]
    if not some:
        known = ", ".join(f"{one.cluster}" for one in every[:10])
        problem = f"no cluster {name} was submitted" if name else "nothing was submitted"
        raise UsageError(
            f"{problem} from here ({layout.SUBMITTED} has no receipt of it)",
            f"from here there are: {known}" if known else
            f"cd to the project, or submit: {program()} submit FILE.sub",
        )  # fmt: skip
    if cluster is not None and len({one.schedd for one in some}) > 1:
        names = ", ".join(f"{one.cluster}@{one.schedd}" for one in some)
        raise UsageError(f"cluster {cluster} was submitted to several access points",
                         f"name one: {names}")  # fmt: skip
    jobs = len(some[0].jobs)
    if proc is not None and proc >= jobs:
        raise UsageError(f"cluster {cluster} has no process {proc}", f"it has 0 to {jobs - 1}")
    return some[0], proc


def named_receipt(root: Path, name: str, log: Path | None) -> SubmitReceipt:
    """Return the receipt that a command line names; of a log alone, as much as it says.

    Raises UsageError where there is none.
    """
    if log is None:
        return find_named(root, name)[0]
    if not name:
        from pixi_scaffold.pool.follow import Follower

        first = next((event for event in Follower(log).new() if event.cluster > 0), None)
        if first is None:
            raise UsageError(
                f"no event is in {log} yet, so it does not say which cluster it is of",
                f"{program()} watch CLUSTER --log {log}   # waits for it",
            )
        name = str(first.cluster)
    if not name.isdecimal():
        raise UsageError(f"{name} is no cluster", "give a number, such as 12")
    return SubmitReceipt(int(name), "", "", "", str(root.absolute()), "", str(log.absolute()), ())
