"""The access point (schedd) that jobs are sent to, and what it keeps of those not ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.job import bindings, quiet
from pixi_scaffold.pool.receipt import SubmitReceipt
from pixi_scaffold.system import is_folder

_EACH = 10000
"""Folders of a level of the spool. Source: spooled_job_files.cpp, gen_ckpt_name."""


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """A schedd, and the connection to it."""

    name: str
    """As condor_status -schedd has it."""
    pool: str
    """The collector that knows it; empty where that is this machine's own."""
    version: str
    local: bool
    """Whether it is the one of this machine, so that it sees the same files."""
    schedd: Any
    """The htcondor2.Schedd."""

    def jobs(self, cluster: int, *names: str) -> list[Any]:
        """Return the ads of the jobs of a cluster that are still in the queue."""
        with answering(self.name):
            return list(self.schedd.query(f"ClusterId == {cluster}", list(names)))


def condor() -> Any:
    """Return the module htcondor2, or raise ScaffoldError that says where its commands work."""
    try:
        return bindings()
    except Skipped as skip:
        raise ScaffoldError(
            f"this cannot be done here: {skip.reason}",
            "log in to an access point of your pool (Linux), and give the command there",
        ) from skip


@contextmanager
def answering(name: str) -> Iterator[None]:
    """Make an error of HTCondor's one that says which access point it was, and what to do."""
    htcondor2 = condor()
    try:
        with quiet():
            yield
    except (htcondor2.HTCondorException, OSError, IndexError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise ScaffoldError(
            f"the access point {name} does not do it: {words}",
            f"is it up? condor_status -schedd {name}; condor_ping -type SCHEDD READ WRITE",
        ) from error


def connect(name: str = "", pool: str = "") -> AccessPoint:
    """Return an access point: of this machine without a name, otherwise the one of that name.

    pool: the collector to ask (host, or host:port). Raises ScaffoldError when there is none, or no
    bindings of HTCondor.
    """
    ad, why = (None, "") if pool else _located("")
    local = ad is not None and name in ("", ad.get("Name", ""))
    if not local and not name:
        raise ScaffoldError(
            f"there is no HTCondor access point on this machine ({why or 'none is named'})",
            "log in to an access point of your pool, or name one: --schedd NAME --pool COLLECTOR",
        )
    if not local:
        ad, why = _located(pool, name)
    if ad is None:
        raise ScaffoldError(
            f"the pool does not know the access point {name}: {why or 'it is not listed'}",
            "condor_status -schedd lists them; of another pool: --pool COLLECTOR",
        )
    words = str(ad.get("CondorVersion", "")).split()
    version = words[1] if len(words) > 1 else ""
    return AccessPoint(str(ad.get("Name", "")), pool, version, local, condor().Schedd(ad))


def _located(pool: str, *name: str) -> tuple[Any, str]:
    """Return the ad of an access point, as a collector has it; without it, why there is none."""
    htcondor2 = condor()
    try:
        with quiet():
            ad = collector_of(pool).locate(htcondor2.DaemonType.Schedd, *name)
    except (htcondor2.HTCondorException, OSError, ValueError) as error:
        return None, " ".join(str(error).split())
    return ad, ""


def collector_of(pool: str) -> Any:
    """Return the collector of that name, or of this machine's pool where it has none."""
    return condor().Collector(*[pool] if pool else [])


def spool_of(receipt: SubmitReceipt) -> Path | None:
    """Return the spool of the receipt's access point; None where that is another machine."""
    try:
        point = connect(receipt.schedd, receipt.pool)
        spool = condor().param.get("SPOOL", "") if point.local else ""
    except (ScaffoldError, OSError):
        return None
    return Path(spool) if spool and is_folder(Path(spool)) else None


def kept_folder(spool: Path | None, cluster: int, proc: int) -> Path | None:
    """Return the folder with a job's last checkpoint; None where there is none, or not for us."""
    if spool is None:
        return None
    name = f"cluster{cluster}.proc{proc}.subproc0"
    folder = spool / str(cluster % _EACH) / str(proc % _EACH) / name
    try:
        return folder if any(folder.iterdir()) else None
    except OSError:
        return None
