"""What to do about a failed job, from the words of its log: the causes that are seen most."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from pixi_scaffold.rehearsal.plan import JobRun
from pixi_scaffold.system import program, which


def remedy(plan: JobRun, lines: Iterable[str]) -> str:
    """Return what to do about what the last lines of a job's logs say; empty when they say nothing.

    Files that were forgotten are another matter (forgotten.py).
    """
    text = "\n".join(lines)
    for pattern, answer in _CAUSES:
        if matched := re.search(pattern, text):
            return answer if isinstance(answer, str) else answer(plan, matched)
    return ""


def _module(_: JobRun, matched: re.Match[str]) -> str:
    from pixi_scaffold.rules import conda_package  # only for a job that failed

    top = matched[1].partition(".")[0]
    package = conda_package(top)
    if which("pixi"):
        return f"the environment has no {top}: pixi add {package}"
    return (
        f'the environment has no {top}: write {package} = "*" below [dependencies] of pixi.toml, '
        f"then: {program()} lock"
    )


def _option(plan: JobRun, matched: re.Match[str]) -> str:
    return f"the program takes no {matched[1].strip()}: correct the arguments in {_line(plan)}"


def _line(plan: JobRun) -> str:
    command = plan.job.command("arguments") or plan.job.command("arguments2")
    return f"line {command.line} of {plan.job.path.name}" if command else "the executable"


def _nowhere(plan: JobRun, matched: re.Match[str]) -> str:
    name = Path(matched[1]).name
    if (plan.iwd / name).exists():
        return ""
    return f"{name} is nowhere in {plan.iwd.name}: make it, or correct its name where it is used"


_CAUSES: tuple[tuple[str, str | Callable[[JobRun, re.Match[str]], str]], ...] = (
    (r"No module named '?([\w.]+)", _module),
    (r"unrecognized arguments?: (.+)", _option),
    (r"[Nn]o such option:? (\S+)", _option),
    (r"arguments are required: (.+)", lambda plan, matched:
     f"the program needs {matched[1].strip()}: add it to the arguments in {_line(plan)}"),
    (r"Dataset not found(?: or corrupted)?\.",  # torchvision
     "transfer the data set as well, and let the program look for it where it arrives"),
    (r"CUDA out of memory|torch\.(?:cuda\.)?OutOfMemoryError",
     "the GPU's memory is full: a smaller batch, or ask for more with gpus_minimum_memory"),
    (r"insufficient shared memory|DataLoader worker .* killed by signal: Bus error",
     "shared memory is full: use fewer workers of the DataLoader, or raise request_memory"),
    (r"MemoryError|[Cc]annot allocate memory|can't allocate memory|std::bad_alloc",
     "memory ran out: let it take less (a smaller batch), or raise request_memory"),
    (r"No space left on device|Disk quota exceeded",
     "the disk is full: raise request_disk; here, name a larger one: --scratch FOLDER"),
    (r"(?:can't open file|No such file or directory:) '([^']+)'", _nowhere),
    (r"Read-only file system: '([^']+)'",
     lambda _, matched: f"a job writes in its own folder: let it write {matched[1]} there"),
    (r"No CUDA GPUs are available|Found no NVIDIA driver|not compiled with CUDA",
     "the program wants a GPU: rehearse it on a machine with one, or let it fall back to the CPU"),
    (r"name resolution|Name or service not known|ould not resolve host|Network is unreachable",
     "a job has no network here: transfer what it fetches, or, where workers have one: --network"),
)  # fmt: skip
