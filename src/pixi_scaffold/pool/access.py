"""The access point (schedd) that jobs are sent to: found once, and then taken from the receipt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.job import bindings, quiet


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
    htcondor2 = condor()
    kind = htcondor2.DaemonType.Schedd
    here, why = None, ""
    if not pool:
        try:
            with quiet():
                here = htcondor2.Collector().locate(kind)
        except (htcondor2.HTCondorException, OSError, ValueError) as error:
            why = " ".join(str(error).split())
    if here is not None and name in ("", here.get("Name", "")):
        return _connected(htcondor2, here, "", local=True)
    if not name:
        raise ScaffoldError(
            f"there is no HTCondor access point on this machine ({why or 'none is named'})",
            "log in to an access point of your pool, or name one: --schedd NAME --pool COLLECTOR",
        )
    try:
        with quiet():
            collector = htcondor2.Collector(pool) if pool else htcondor2.Collector()
            ad, words = collector.locate(kind, name), "it is not listed"
    except (htcondor2.HTCondorException, OSError, ValueError) as error:
        ad, words = None, " ".join(str(error).split())
    if ad is None:
        raise ScaffoldError(
            f"the pool does not know the access point {name}: {words}",
            "condor_status -schedd lists them; of another pool: --pool COLLECTOR",
        )
    return _connected(htcondor2, ad, pool, local=False)


def _connected(htcondor2: Any, ad: Any, pool: str, *, local: bool) -> AccessPoint:
    words = str(ad.get("CondorVersion", "")).split()
    version = words[1] if len(words) > 1 else ""
    return AccessPoint(str(ad.get("Name", "")), pool, version, local, htcondor2.Schedd(ad))
