"""Send jobs to an access point through HTCondor's bindings, and make the receipt of it."""

import contextlib
import itertools
import json
import os
import re
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import CheckFailed, ScaffoldError, UsageError
from pixi_scaffold.job import Description, meaning, quiet, split_arguments
from pixi_scaffold.pool.access import AccessPoint, answering, condor, connect
from pixi_scaffold.pool.receipt import SubmitReceipt, SubmittedJob, common, hidden, safe, safe_lines
from pixi_scaffold.pool.rows import Chosen, SubmitRequest, SweepRow, sent_along
from pixi_scaffold.system import layout, program, read_regular, sha256_of

_LIMIT = 16 << 20


def access_point(request: SubmitRequest, description: Description) -> AccessPoint:
    """Return the access point; where there can be none, say how the job gets to one."""
    if request.pool and not request.schedd:
        raise UsageError("--pool names a collector, but no access point of it", "--schedd NAME")
    try:
        point = connect(request.schedd, request.pool)
    except ScaffoldError as error:
        if request.schedd:
            raise
        problem = f"nothing was submitted: {error.message}"
        raise ScaffoldError(problem, _elsewhere(description)) from error
    version = tuple(int(part) for part in point.version.split(".") if part.isdigit())
    if request.retry_memory and version < (25, 10):
        raise ScaffoldError(
            f"{point.name} has HTCondor {point.version}, which cannot retry with more memory",
            "it came with 25.10; leave out --retry-memory, or raise request_memory",
        )
    return point


def _elsewhere(description: Description) -> str:
    """Return what to do on a machine that is no access point: push, clone, and bring the rest."""
    from pixi_scaffold.check import kept_by_git

    folder = meaning(description.jobs[0]).folder.value
    paths = [Path(os.path.normpath(p)) for p in sent_along(description.jobs[0])]
    kept = kept_by_git(paths)
    left = [os.path.relpath(p, folder) for p in paths if kept.get(p) != "tracked"]
    more = f"; git leaves behind, so copy or make there: {', '.join(left)}" if left else ""
    return (
        "commit and git push; on an access point of the pool: git clone URL, and there "
        f"{program()} submit {os.path.relpath(description.path, folder)}{more}"
    )


def send(
    request: SubmitRequest, description: Description, chosen: Chosen, point: AccessPoint,
    commit: str,
) -> SubmitReceipt:  # fmt: skip
    """Send the jobs, and return the receipt of the cluster."""
    submit_object = _submit_object(request, description, commit)
    spool = request.spool or not point.local
    how: dict[str, Any] = {"spool": True} if spool else {}
    if not chosen.whole:
        how |= {"itemdata": iter([dict(row.values) for row in chosen.rows]), "count": 1}
    with answering(point.name), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of, check has said
        sent = point.schedd.submit(submit_object, **how)
        if spool:
            point.schedd.spool(sent)
        ads = [dict(ad) for ad in point.jobs(sent.cluster())] or [dict(sent.clusterad())]
    ads.sort(key=lambda ad: int(ad.get("ProcId", 0)))
    return _receipt(request, description, chosen, point, sent, ads, spool=spool, commit=commit)


def take_back(point: AccessPoint, receipt: SubmitReceipt, error: OSError) -> ScaffoldError:
    """Remove jobs whose receipt could not be written, which nothing could follow; say so."""
    cluster, why = receipt.cluster, error.strerror or str(error)
    lost = f"the receipt of cluster {cluster} cannot be written to {layout.SUBMITTED}: {why}"
    try:
        with answering(point.name):
            point.schedd.act(condor().JobAction.Remove, f"ClusterId == {cluster}", lost)
    except ScaffoldError:
        return ScaffoldError(f"{lost}; its jobs are still at {point.name}", f"condor_rm {cluster}")
    hint = "make room there, or correct who may write there, and submit again"
    return ScaffoldError(f"nothing was submitted: {lost}, so it was removed again", hint)


def _submit_object(request: SubmitRequest, description: Description, commit: str) -> Any:
    htcondor2, text = condor(), f"commit = {commit}\n" if commit else ""
    with quiet():
        try:
            submit_object = htcondor2.Submit(text + "\n".join(description.lines))
            for line in description.jobs[0].submission.append:
                name, _, value = line.partition("=")
                name = name.strip()
                submit_object[f"MY.{name[1:]}" if name.startswith("+") else name] = value.strip()
            if request.queue:
                submit_object.setQArgs(request.queue)
        except (ValueError, htcondor2.HTCondorException) as error:
            problem = f"HTCondor refuses {request.description}: {' '.join(str(error).split())}"
            raise CheckFailed(problem, f"{program()} check {request.description}") from error
    return submit_object


def _receipt(
    request: SubmitRequest, description: Description, chosen: Chosen, point: AccessPoint,
    sent: Any, ads: list[dict[str, Any]], *, spool: bool, commit: str,
) -> SubmitReceipt:  # fmt: skip
    first = ads[0]
    log = str(first.get("SUBMIT_UserLog") or first.get("UserLog") or "")
    folder = Path.cwd()
    same, others = common([hidden(ad) for ad in ads])
    cluster, lock = sent.cluster(), sha256_of(folder / layout.LOCK_FILE)
    runs = {int(ad.get("ProcId", 0)): run_name(ad) for ad in ads}
    return SubmitReceipt(
        cluster=cluster,
        schedd=point.name,
        pool=point.pool,
        submitted=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        folder=str(folder),
        description=str(request.description),
        log="" if log in ("", os.devnull) else str(folder / log),
        jobs=tuple(
            SubmittedJob(
                {key: safe(key, value) for key, value in row.values.items()},
                row.fingerprint,
                runs.get(number) or _named(description, row, cluster, number),
            )
            for number, row in enumerate(chosen.rows)
        ),
        spooled=spool,
        append=safe_lines(a for a in request.append if not a.startswith("+GitCommit")),
        queue=request.queue,
        continues=request.go_on,
        commit=commit,
        dirty=commit.endswith("-dirty"),
        lock_sha256=lock,
        rehearsal=_rehearsal(folder, lock),
        ad=same,
        ads=others,
    )


def run_name(ad: Mapping[str, Any]) -> str:
    """Return what a job calls its run: the word after --name in its arguments."""
    text = str(ad.get("Arguments") or ad.get("Args") or "")
    with contextlib.suppress(ValueError):
        words = split_arguments(f'"{text}"' if "Arguments" in ad else text)
        for one, after in itertools.pairwise(words):
            if one == "--name":
                return after
    return ""


def _named(description: Description, row: SweepRow, cluster: int, number: int) -> str:
    """Return what the macro `name` is for one process; empty where that cannot be told."""
    text = row.values.get("name") or description.jobs[0].macros.get("name", "")
    for macro, value in (("cluster(id)?", cluster), ("proc(ess|id)", number)):
        text = re.sub(rf"\$\({macro}\)", str(value), text, flags=re.IGNORECASE)
    return "" if "$" in text else text.strip()


def _rehearsal(folder: Path, lock: str) -> dict[str, Any] | None:
    rehearsals = []
    for place in (layout.RECEIPT, layout.REHEARSED):
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            facts = json.loads(read_regular(folder / place, _LIMIT))
            steps = [one for one in facts["results"] if one["name"] == "rehearse"]
            if steps or place is layout.REHEARSED:
                passed = all(one["status"] == "passed" for one in steps or facts["results"])
                changed = (facts.get("lock") or {}).get("sha256") != lock
                when = str(facts["written"])
                rehearsals.append({"when": when, "passed": passed, "lock_changed_since": changed})
    return max(rehearsals, key=lambda one: str(one["when"]), default=None)
