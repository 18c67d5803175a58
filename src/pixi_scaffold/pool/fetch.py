"""`fetch`: bring back what there is of jobs that run, were evicted, are spooled, or ended."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.job import split_list
from pixi_scaffold.pool.access import AccessPoint, answering, connect, kept_folder, spool_of
from pixi_scaffold.pool.follow import read_states
from pixi_scaffold.pool.receipt import SubmitReceipt
from pixi_scaffold.report import Progress, Report, Run
from pixi_scaffold.system import is_file, program, real, replacing

_LOGS = {"_condor_stdout": "Out", "_condor_stderr": "Err"}
"""What the starter calls output and error, and the attribute that says where they go."""
_COMPLETED = 4
"""The JobStatus of a job that has ended."""


@dataclass(slots=True)
class Fetched:
    """What one fetch brought."""

    files: list[str] = field(default_factory=list)
    newer: list[str] = field(default_factory=list)
    """Files here that are newer, and were left as they are."""
    notes: list[str] = field(default_factory=list)


def fetch_jobs(receipt: SubmitReceipt, proc: int | None, progress: Progress) -> Report:
    """Bring back the results, or what was kept of them; files here that are newer stay.

    proc: only this process. Raises ScaffoldError when nothing can be reached.
    """
    run, fetched = Run(progress), Fetched()
    with run.step("fetch") as step:
        if receipt.spooled:
            _spooled(receipt, proc, fetched)
        else:
            _here(receipt, proc, fetched)
        for name in fetched.newer:
            fetched.notes.append(f"left as it is, because it is newer here: {name}")
        many = f"{len(fetched.files)} file{'s' * (len(fetched.files) > 1)} brought back"
        detail = many if fetched.files else "nothing is new"
        more = [f"and {len(fetched.files) - 20} more"] if len(fetched.files) > 20 else []
        step.passed(detail, (*fetched.files[:20], *more, *fetched.notes))
    then = (f"{program()} watch {receipt.cluster}", f"{program()} collect")
    return Report("fetch", run.results, asdict(fetched), then)


def _here(receipt: SubmitReceipt, only: int | None, fetched: Fetched) -> None:
    """Copy the last checkpoints out of the spool of this machine's access point."""
    states = [s for n, s in read_states(receipt).items() if only in (None, n)]
    if done := sum(s.ended and s.state != "removed" for s in states):
        fetched.notes.append(f"{done} ended: HTCondor brought their files back itself")
    spool = spool_of(receipt)
    waiting = [s for s in states if not s.ended]
    if waiting and spool is None:
        raise ScaffoldError(
            f"what {receipt.schedd} keeps of jobs that have not ended cannot be seen from here",
            f"give the command on {receipt.schedd}",
        )
    for state in waiting:
        if kept := kept_folder(spool, receipt.cluster, state.proc):
            _copy_kept(kept, Path(receipt.folder), receipt.ad_of(state.proc), fetched)
        else:
            job = f"{receipt.cluster}.{state.proc}"
            fetched.notes.append(f"{job} ({state.words}) has handed nothing over yet")


def _copy_kept(
    kept: Path, folder: Path, ad: Mapping[str, Any], fetched: Fetched, only: Container[str] = ()
) -> None:
    for path in sorted(p for p in kept.rglob("*") if is_file(p)):
        name = path.relative_to(kept).as_posix()
        if only and name.partition("/")[0] not in only:  # a spool has a job's inputs, too
            continue
        if name in _LOGS:
            name = str(ad.get(_LOGS[name], "/dev/null"))
        target = folder / name
        if name == "/dev/null" or real(folder) not in real(target).parents:
            continue
        try:
            _bring(path, target, fetched)
        except OSError as error:
            raise ScaffoldError(
                f"{os.path.relpath(target)} cannot be written: {error.strerror}",
                "nothing is lost: make room, or correct who may write there, and fetch again",
            ) from error


def _bring(source: Path, target: Path, fetched: Fetched) -> None:
    """Copy a file with its time; a newer one here stays, an equal one is not listed."""
    there, here = source.stat(), target.stat() if target.exists() else None
    name = os.path.relpath(target)
    if here is not None:
        if (here.st_size, int(here.st_mtime)) == (there.st_size, int(there.st_mtime)):
            return
        if here.st_mtime > there.st_mtime:
            fetched.newer.append(name)
            return
    with replacing(target) as new:
        shutil.copy2(source, new)
    fetched.files.append(name)


def _spooled(receipt: SubmitReceipt, only: int | None, fetched: Fetched) -> None:
    """Let HTCondor bring the files of spooled jobs, each beside what is here, then put them in."""
    point, folder = connect(receipt.schedd, receipt.pool), Path(receipt.folder)
    spool = spool_of(receipt) if point.local else None
    ads = [dict(ad) for ad in point.jobs(receipt.cluster)]
    ads = [ad for ad in ads if only in (None, ad.get("ProcId"))]
    if not ads:
        fetched.notes.append("the jobs left the queue: what they made was fetched before")
    for ad in ads:
        job = f"{receipt.cluster}.{ad['ProcId']}"
        if ad.get("JobStatus") == _COMPLETED:
            _mend_listing(point, job, ad)
            _retrieve(point, job, folder, float(ad.get("CompletionDate", 0)), fetched)
        elif kept := kept_folder(spool, receipt.cluster, int(ad["ProcId"])):
            wanted = {n.strip("/") for n in split_list(str(ad.get("TransferOutput", "")))}
            _copy_kept(kept, folder, ad, fetched, wanted)
        else:
            fetched.notes.append(
                f"{job} has not ended, and {point.name} keeps its files until then"
            )


def _retrieve(point: AccessPoint, job: str, folder: Path, ended: float, fetched: Fetched) -> None:
    """Let HTCondor bring a job's files into a folder of their own, and put them into their places.

    A file that was changed here after the job ended stays as it was. HTCondor forgets a job that
    was retrieved, so that folder stays should anything go wrong.
    """
    landing = Path(tempfile.mkdtemp(dir=folder, prefix="fetched-"))
    try:
        with answering(point.name):
            point.schedd.edit([job], "SUBMIT_Iwd", json.dumps(str(landing)))
            point.schedd.retrieve([job])
    except ScaffoldError:
        with contextlib.suppress(ScaffoldError, OSError), answering(point.name):
            point.schedd.edit([job], "SUBMIT_Iwd", json.dumps(str(folder)))
            shutil.rmtree(landing)
        raise
    try:
        for path in sorted(landing.rglob("*")):
            target = folder / path.relative_to(landing)
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                os.utime(path, (ended, ended))
                _bring(path, target, fetched)
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
        raise ScaffoldError(problem, f"what came back is in {landing}: put it in place") from error
    shutil.rmtree(landing)


def _mend_listing(point: AccessPoint, job: str, ad: dict[str, Any]) -> None:
    """Correct names in the list of a spooled job's files that no file has.

    HTCondor 25.14 lists an output that is a checkpoint file, too, with its name doubled (`runsruns`
    for runs), and then cannot send it.
    """
    listed = split_list(str(ad.get("SpooledOutputFiles", "")))
    outputs = split_list(str(ad.get("TransferOutput", "")))
    doubled = {a + b: b for a in outputs for b in outputs if a + b not in outputs}
    good = list(dict.fromkeys(doubled.get(name, name) for name in listed))
    if good != list(listed):
        with answering(point.name):
            point.schedd.edit([job], "SpooledOutputFiles", f'"{",".join(good)}"')
