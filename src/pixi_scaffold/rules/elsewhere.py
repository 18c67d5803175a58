"""What belongs to other batch systems, and what HTCondor has in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pixi_scaffold.rules.finding import Found, Severity, rule
from pixi_scaffold.rules.subject import Subject

_ELSEWHERE = {
    "retry": "max_retries = 5", "retries": "max_retries = 5", "mem": "request_memory = 8GB",
    "memory": "request_memory = 8GB", "ram": "request_memory = 8GB", "cpu": "request_cpus = 1",
    "cpus": "request_cpus = 1", "ncpus": "request_cpus = 1", "cores": "request_cpus = 1",
    "ntasks": "request_cpus = 1", "cpus_per_task": "request_cpus = 1",
    "disk": "request_disk = 10GB",
    "gpu": "request_gpus = 1", "gpus": "request_gpus = 1", "gres": "request_gpus = 1",
    "time": "allowed_execute_duration = 3600", "walltime": "allowed_execute_duration = 3600",
    "runtime": "allowed_execute_duration = 3600", "time_limit": "allowed_execute_duration = 3600",
    "timeout": "allowed_execute_duration = 3600", "max_runtime": "allowed_execute_duration = 3600",
    "job_name": "batch_name = NAME", "jobname": "batch_name = NAME", "name": "batch_name = NAME",
    "partition": "requirements = ...", "account": "accounting_group = NAME",
    "array": "queue 10", "workdir": "initialdir = FOLDER", "chdir": "initialdir = FOLDER",
    "mail_user": "notify_user = ADDRESS", "mail_type": "notification = Complete",
    "image": "container_image = docker://NAME:TAG",
    "container": "container_image = docker://NAME:TAG",
    "command": "executable = FILE", "script": "executable = FILE", "inputs": "transfer_input_files",
    "input_files": "transfer_input_files = FILES", "output_files": "transfer_output_files = FILES",
    "outputs": "transfer_output_files = FILES", "env": "environment = ...",
    "dependency": "a DAG (condor_submit_dag)", "modules": "module load, in the worker script",
}  # fmt: skip


def command_elsewhere(name: str) -> str:
    """Return what HTCondor has in place of a command of another system; empty for none.

    Sources: the options of sbatch, qsub and bsub, and DAGMan's RETRY.
    """
    return _ELSEWHERE.get(name, "")


_BATCH = re.compile(r"^#(SBATCH|PBS|BSUB|\$)\s+-|^\s*(srun|sbatch|qsub|bsub)\s", re.MULTILINE)


@rule("PS310", Severity.WARNING)
def of_another_system(subject: Subject) -> Iterator[Found]:
    """A worker script that was written for another batch system.

    Why: HTCondor does not read `#SBATCH` and the like, and a worker has no `srun`: what they ask
    for is not asked for.
    Fix: say it in the submit description: request_cpus, request_gpus, request_memory.
    Source: the manuals of Slurm, PBS and LSF.
    Seen: no version of HTCondor reads them.
    """
    for script in subject.scripts:
        for number, line in enumerate(script.lines, start=1):
            if matched := _BATCH.match(line):
                word = f"#{matched[1]}" if matched[1] else matched[2]
                message = f"{word} belongs to another batch system; HTCondor does not read it"
                if matched[2]:
                    message = f"{word} is a command of another batch system, which a worker lacks"
                fix = "say it in the submit description: request_cpus, request_memory, ..."
                yield Found(script.path, number, message, fix, about=line.strip())
                break
