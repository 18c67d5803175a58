"""The last proof of a project: its cluster job, shortened, in the environment that is installed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixi_scaffold.check.stages import Within
from pixi_scaffold.errors import CheckFailed, Skipped
from pixi_scaffold.rehearsal import DESCRIPTION, Limits, Request, rehearse_here
from pixi_scaffold.report import Progress
from pixi_scaffold.system import program

SHORT = "--epochs 1"
TIMEOUT = 300.0
"""Seconds after which a shortened job is stopped."""


@dataclass(frozen=True, slots=True)
class Proved:
    """What was found: one line, what was different from a worker, and the facts for a receipt."""

    detail: str
    differences: tuple[str, ...]
    facts: dict[str, Any]


def rehearse_shortly(root: Path, prefix: Path, smoke: str, progress: Progress) -> Proved:
    """Rehearse the first job of htcondor/train.sub with the environment in `prefix` staged.

    smoke: the command of the task `smoke`; where it knows --epochs, the job gets `--epochs 1`.
    Raises Skipped when there is no such job, CheckFailed with what would go wrong.
    """
    if not (root / DESCRIPTION).is_file():
        raise Skipped(f"there is no {DESCRIPTION}")
    short = SHORT if "--epochs" in smoke else ""
    request = Request(
        folder=root,
        environment=prefix,
        more_arguments=short,
        limits=Limits(timeout=TIMEOUT),
        image_later=True,
    )
    report = rehearse_here(request, Within(progress))
    if report.failed:
        first = report.failed[0]
        lines = "\n".join((f"{first.name}: {first.detail}", *first.lines))
        raise CheckFailed(lines, first.hint or f"look at it alone: {program()} rehearse")
    job = report.to_dict()["jobs"][0]
    memory = next(r.detail for r in report.results if r.name == "memory").partition(";")[0]
    detail = f"{DESCRIPTION} ended with exit code {job['code']}, {len(job['brought'])} files back"
    detail += f" ({short}); {memory}" if short else f"; {memory}"
    facts = {
        key: job[key]
        for key in ("state", "code", "attempts", "brought", "usage", "isolated", "added", "notes")
    }
    return Proved(detail, tuple(job["notes"]), facts)
