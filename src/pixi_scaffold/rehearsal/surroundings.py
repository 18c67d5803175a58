"""What a job finds around it on a worker: environment variables and the two ads.

Source: Starter::PublishToEnv of condor_starter.V6.1/starter.cpp, and what jobs saw in a pool of
HTCondor 25.14 (tests/test_rehearsal_judge.py compares the names).
"""

import itertools
import os
import time
from pathlib import Path

from pixi_scaffold.job import job_ad, join_words
from pixi_scaffold.rehearsal import slot
from pixi_scaffold.rehearsal.plan import SCRATCH, JobRun, late
from pixi_scaffold.rehearsal.results import STDERR, STDOUT

HOME = "/nonexistent"
"""The home of `nobody`: HTCondor 25 sets HOME to the home of the account that jobs run as."""


def environment(plan: JobRun, scratch: Path, assigned: tuple[str, ...]) -> dict[str, str]:
    """Return the whole environment of the job; assigned: ids of its GPUs."""
    here = str(scratch)
    variables = {k: SCRATCH.sub(lambda _: here, v) for k, v in plan.environment.items()}
    # The starter stops at the first one that the job sets itself (seen with 25.14).
    unset = itertools.takewhile(lambda name: not variables.get(name), slot.KNOWN["threads"])
    threads = dict.fromkeys(unset, str(plan.match.cpus))
    gpus = ",".join(assigned)
    pid = os.getpid()
    return variables | threads | dict.fromkeys(slot.KNOWN["folders"], here) | {
        "BATCH_SYSTEM": "HTCondor",
        "CONDOR_STARTER_PID": str(pid),
        "CUDA_VISIBLE_DEVICES": gpus or slot.NO_GPU,
        "GPU_DEVICE_ORDINAL": gpus or slot.NO_GPU,
        "HOME": HOME,
        "NVIDIA_VISIBLE_DEVICES": gpus or "none",
        "_CHIRP_DELAYED_UPDATE_PREFIX": "Chirp*",
        f"_CONDOR_ANCESTOR_{pid}": f"{pid}:{int(time.time())}:0",
        "_CONDOR_AssignedGPUs": gpus or slot.NO_GPU,
        "_CONDOR_BIN": "/usr/bin",
        "_CONDOR_CHIRP_CONFIG": f"{here}/.chirp.config",
        "_CONDOR_JOB_AD": f"{here}/.job.ad",
        "_CONDOR_JOB_PIDS": "",
        "_CONDOR_MACHINE_AD": f"{here}/.machine.ad",
        "_CONDOR_SLOT": slot.NAME,
    }  # fmt: skip


def write_ads(plan: JobRun, scratch: Path, gpus: tuple[str, ...], starts: int) -> None:
    """Write .job.ad and .machine.ad, in the long form of condor_q -l, into the sandbox.

    starts: how often the job was started before, elsewhere.
    """
    submitted = slot.in_text(slot.KNOWN["submitted"]) | job_ad(plan.meaning).attributes
    job = submitted | slot.in_text(_job_ad(plan, scratch, starts, "Args" in submitted))
    machine = slot.machine_ad(plan.match.cpus, plan.match.memory, plan.match.disk, gpus)
    for name, ad in ((".job.ad", job), (".machine.ad", machine)):
        text = "".join(f"{name} = {ad[name]}\n" for name in sorted(ad))
        (scratch / name).write_bytes(os.fsencode(text))


def _job_ad(plan: JobRun, scratch: Path, starts: int, old: bool) -> dict[str, slot.Expression]:
    now = int(time.time())
    ad: dict[str, slot.Expression] = slot.KNOWN["job"] | {
        "Cmd": str(plan.executable),
        "Environment": join_words([f"{k}={late(v)}" for k, v in sorted(plan.environment.items())]),
        "Err": STDERR if plan.stderr else "/dev/null",
        "In": Path(plan.stdin).name if plan.stdin else "/dev/null",
        "Iwd": str(scratch),
        "JobCurrentStartDate": now,
        "JobRunCount": starts + 1,
        "JobStartDate": now,
        "JobSubmitFile": str(plan.job.path),
        "NumJobStarts": starts,
        "NumShadowStarts": starts + 1,
        "OrigIwd": str(plan.iwd),
        "Out": STDOUT if plan.stdout else "/dev/null",
        "QDate": now,
        "TransferInput": ",".join(plan.inputs),
    }
    ad |= {"Args": " ".join(plan.arguments)} if old else {"Arguments": join_words(plan.arguments)}
    if isinstance(plan.meant.requests.cpus.value, str):
        ad["RequestCpus"] = plan.match.cpus
    for name, size, unit in (
        ("RequestMemory", plan.match.memory, slot.MIB),
        ("RequestDisk", plan.match.disk, slot.KIB),
    ):
        if size is not None:
            ad[name] = size // unit
    return ad
