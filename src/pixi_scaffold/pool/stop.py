"""`stop`: let jobs save, bring back what they have, and only then take them out of the queue."""

import time
from dataclasses import asdict
from typing import Any

from pixi_scaffold.errors import Interrupted, ScaffoldError
from pixi_scaffold.pool.access import AccessPoint, answering, condor, connect
from pixi_scaffold.pool.fetch import Fetched, fetch_jobs
from pixi_scaffold.pool.receipt import SubmitReceipt
from pixi_scaffold.report import Progress, Report, Run, Verdict
from pixi_scaffold.system import program

_RUNNING, _HELD, _ENDED = 2, 5, (3, 4)
_REASON = "pixi-scaffold stop: it saves, and is removed once its files are back"


def stop_jobs(
    receipt: SubmitReceipt, proc: int | None, progress: Progress, *, timeout: float = 900.0
) -> Report:
    """Hold the jobs, which lets them save, wait until that is done, fetch, and remove them.

    timeout: seconds to wait for them to leave their machines. What cannot be fetched stays in the
    queue, on hold. Raises ScaffoldError.
    """
    htcondor2 = condor()
    run = Run(progress)
    point = connect(receipt.schedd, receipt.pool)
    name = f"{receipt.cluster}" if proc is None else f"{receipt.cluster}.{proc}"
    with run.step("stop") as step:
        jobs = _present(point, receipt, proc)
        if not jobs:
            step.passed(f"nothing of {name} is in the queue: it ended before")
            facts = {**asdict(Fetched()), "stopped": 0}
            return Report("stop", run.results, facts, (f"{program()} fetch {name}",))
        _refuse_loss(receipt, jobs, name)
        # On hold a job is asked to leave and hands over what it saves; condor_rm would lose that.
        _act(point, htcondor2.JobAction.Hold, name)
        try:
            _wait(point, receipt, proc, progress, timeout)
        except KeyboardInterrupt as stopped:
            raise Interrupted(
                f"{name} is on hold, and what it saves is kept", f"{program()} stop {name}"
            ) from stopped
        step.passed(f"saved and off the machines: {len(jobs)} job{'s' * (len(jobs) > 1)}")
    fetched = fetch_jobs(receipt, proc, progress)
    _act(point, htcondor2.JobAction.Remove, name)
    results = (*run.results, *fetched.results)
    text = f"{name} is stopped; what it had is here"
    then = (f"{receipt.command} --continue {name}",)
    facts = {**fetched.facts_by_key(), "stopped": len(jobs)}
    return Report("stop", results, facts, then, verdict=Verdict(True, text))


def _present(point: AccessPoint, receipt: SubmitReceipt, proc: int | None) -> list[Any]:
    ads = point.jobs(receipt.cluster, "ProcId", "JobStatus", "RemoteHost", "ShadowBday")
    return [
        ad for ad in ads if proc in (None, ad.get("ProcId")) and ad.get("JobStatus") not in _ENDED
    ]


def _refuse_loss(receipt: SubmitReceipt, jobs: list[Any], name: str) -> None:
    """Raise ScaffoldError where a job that runs would lose all that it has made so far."""
    keeps = str(receipt.ad.get("WhenToTransferOutput", "")).upper() == "ON_EXIT_OR_EVICT"
    runs = any(ad.get("JobStatus") == _RUNNING for ad in jobs)
    if runs and not keeps and "SuccessCheckpointExitCode" not in receipt.ad:
        raise ScaffoldError(
            f"{name} hands nothing over when it is asked to leave, so stopping it loses all it has",
            f"let it end; or condor_rm {name}, and next time: "
            "when_to_transfer_output = ON_EXIT_OR_EVICT",
        )


def _act(point: AccessPoint, action: Any, name: str) -> None:
    """Do something to CLUSTER or CLUSTER.PROC; raises ScaffoldError where it is somebody else's."""
    cluster, _, proc = name.partition(".")
    which = f"ClusterId == {cluster}" + (f" && ProcId == {proc}" if proc else "")
    with answering(point.name):
        done = point.schedd.act(action, which, _REASON)
    if done.get("TotalPermissionDenied"):
        raise ScaffoldError(
            f"{name} at {point.name} is somebody else's job: HTCondor does not let you stop it",
            f"condor_q -allusers {cluster} says whose it is",
        )


def _wait(
    point: AccessPoint, receipt: SubmitReceipt, proc: int | None, progress: Progress, timeout: float
) -> None:
    end = time.monotonic() + timeout
    while True:
        ads = _present(point, receipt, proc)
        busy = [a for a in ads if a.get("JobStatus") != _HELD or "RemoteHost" in a]
        if not busy:
            return
        if time.monotonic() > end:
            raise ScaffoldError(
                f"{len(busy)} jobs have not left their machines after {timeout:.0f} seconds",
                f"they are on hold and lose nothing; later: {program()} stop {receipt.cluster}",
            )
        progress.update(f"{len(busy)} of {len(ads)} jobs are saving")
        time.sleep(0.5)
