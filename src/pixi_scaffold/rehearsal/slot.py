"""The slot that a job has here, as its machine ad says it, and what all jobs have in common."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixi_scaffold.job import literal

KIB, MIB = 1 << 10, 1 << 20
NAME = "slot1_1"
NO_GPU = "10000"
"""What HTCondor puts into CUDA_VISIBLE_DEVICES of a job that has no GPU on a machine with some."""
Expression = str | int | float | bool
KNOWN: dict[str, Any] = json.loads(
    Path(__file__).with_name("data").joinpath("attributes.json").read_text(encoding="utf-8")
)
"""Attributes and variables that are the same in every rehearsal, by where and when they are there.

Of a job that ended, only that they are there is known: their values are stand-ins. Seen in a pool
of 25.14.1; the threads are STARTER_NUM_THREADS_ENV_VARS, the folders hold the scratch folder.
"""
OF_ONE_MACHINE = frozenset({"AssignedGPUs", "FileSystemDomain", "Machine", "Name", "UidDomain"})
"""Attributes that are another on each machine."""


def machine_ad(
    cpus: int, memory: int | None, disk: int | None, gpus: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return the ad of a slot that a job could have, each value an expression.

    memory, disk: bytes that it asks for. gpus: the ids of those that are assigned to it.
    """
    system = os.uname()
    megabytes = slot_memory(memory or 0) // MIB
    ad: dict[str, Expression] = KNOWN["machine"] | {
        "Arch": {"x86_64": "X86_64", "arm64": "aarch64"}.get(system.machine, system.machine),
        "AssignedGPUs": ",".join(gpus) or NO_GPU,
        "Cpus": cpus,
        "Disk": (disk or 0) // KIB,
        "GPUs": len(gpus),
        "Machine": system.nodename,
        "Memory": megabytes,
        "Name": f"{NAME}@{system.nodename}",
        "OpSys": {"Darwin": "macOS"}.get(system.sysname, system.sysname.upper()),
        "TotalSlotCpus": cpus,
        "TotalSlotMemory": megabytes,
    }
    return in_text(ad)


def slot_memory(wanted: int) -> int:
    """Return the bytes that a slot has for what a job asks for: in steps of 128 MB."""
    return -(-wanted // (128 * MIB)) * 128 * MIB or 128 * MIB


def in_text(ad: Mapping[str, Expression]) -> dict[str, str]:
    """Return an ad with each value as the long form has it."""
    return {name: literal(value).replace("\n", " ") for name, value in ad.items()}
