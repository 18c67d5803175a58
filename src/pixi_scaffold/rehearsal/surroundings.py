"""What a job finds around it on a worker: environment variables and the two ads.

Source: Starter::PublishToEnv of condor_starter.V6.1/starter.cpp, and what jobs saw in a pool of
HTCondor 25.14 (tests/test_rehearsal_judge.py compares the names).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from pixi_scaffold.job import job_ad, join_words
from pixi_scaffold.rehearsal import slot
from pixi_scaffold.rehearsal.plan import SCRATCH, JobRun, late
from pixi_scaffold.rehearsal.results import STDERR, STDOUT

THREADS = (
    "CUBACORES", "GOMAXPROCS", "JULIA_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "PYTHON_CPU_COUNT",
    "ROOT_MAX_THREADS", "TF_LOOP_PARALLEL_ITERATIONS", "TF_NUM_THREADS",
)  # fmt: skip
"""STARTER_NUM_THREADS_ENV_VARS of HTCondor 25; what the job itself sets stays."""
_FOLDERS = (
    "APPTAINER_CACHEDIR", "SINGULARITY_CACHEDIR", "TEMP", "TMP", "TMPDIR", "_CONDOR_JOB_IWD",
    "_CONDOR_SCRATCH_DIR",
)  # fmt: skip
"""Variables that hold the job's working folder."""
HOME = "/nonexistent"
"""The home of `nobody`: HTCondor 25 sets HOME to the home of the account that jobs run as."""


def environment(plan: JobRun, scratch: Path, assigned: tuple[str, ...]) -> dict[str, str]:
    """Return the whole environment of the job; assigned: ids of its GPUs."""
    here = str(scratch)
    variables = {k: SCRATCH.sub(lambda _: here, v) for k, v in plan.environment.items()}
    # The starter stops at the first one that the job sets itself (seen with 25.14).
    first_set = next((n for n, name in enumerate(THREADS) if variables.get(name)), len(THREADS))
    threads = dict.fromkeys(THREADS[:first_set], str(plan.cpus))
    gpus = ",".join(assigned)
    pid = os.getpid()
    return variables | threads | dict.fromkeys(_FOLDERS, here) | {
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
    submitted = job_ad(plan.meaning).attributes
    job = submitted | slot.in_text(_job_ad(plan, scratch, starts, "Args" in submitted))
    machine = slot.machine_ad(plan.cpus, plan.memory, plan.disk, gpus)
    for name, ad in ((".job.ad", job), (".machine.ad", machine)):
        text = "".join(f"{name} = {ad[name]}\n" for name in sorted(ad))
        (scratch / name).write_bytes(os.fsencode(text))


_JOB: dict[str, slot.Expression] = {
    "CondorVersion": slot.VERSION, "CurrentHosts": 1, "JobStatus": 2, "NumRestarts": 0,
    "Owner": "nobody", "TargetType": "Machine", "User": "nobody@rehearsal",
}  # fmt: skip
"""What the ads of all jobs say."""


def _job_ad(plan: JobRun, scratch: Path, starts: int, old: bool) -> dict[str, slot.Expression]:
    now = int(time.time())
    ad = _JOB | {
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
    for name, size, unit in (
        ("RequestMemory", plan.memory, slot.MIB),
        ("RequestDisk", plan.disk, slot.KIB),
    ):
        if size is not None:
            ad[name] = size // unit
    return ad
