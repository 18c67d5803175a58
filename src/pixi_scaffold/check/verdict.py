"""How a new project stands, in a few lines for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pixi_scaffold.report import Result, Status, Verdict

if TYPE_CHECKING:
    from pixi_scaffold.check.workspace import LockProof, Proved, Trained
    from pixi_scaffold.workspace import Workspace


def verdict(
    name: str,
    results: Sequence[Result],
    workspace: Workspace | None,
    lock: LockProof | None,
    trained: Trained | None,
    rehearsed: Proved | None,
) -> Verdict:
    """Say whether a project is ready, what was not checked and why, and what was different.

    results: how the stages ended; then what they gave, None where they did not come to their end.
    """
    failed = [r.name for r in results if r.status is Status.FAILED]
    notes = tuple(filter(None, (_not_locked(workspace, lock), _unlike(rehearsed))))
    if failed:
        return Verdict(False, f"{name} is made, and not ready: {_and(failed)} failed", notes)
    if trained is None:
        skipped = (f"{r.name}: {r.detail}" for r in results if r.status is Status.SKIPPED)
        why = next(skipped, "nothing ran")
        return Verdict(False, f"{name} is made, not proved: {why}", notes)
    training = trained.training
    device = {"cpu": "CPU", "cuda": "GPU", "mps": "GPU"}.get(training.device, training.device)
    reached = "" if training.accuracy is None else f" to {training.accuracy:.0%}"
    did = "main.py ran" if training.last_loss is None else "trained"
    text = f"{name} is ready: {did} on the {device}{reached}"
    if rehearsed is not None:
        return Verdict(True, f"{text}, its cluster job rehearsed", notes)
    return Verdict(True, f"{text}; its cluster job was not rehearsed", notes)


def _not_locked(workspace: Workspace | None, lock: LockProof | None) -> str:
    if workspace is None or lock is None or not lock.why:
        return ""
    missing = [p.name for p in workspace.platforms if p.name not in lock.platforms]
    if lock.stand_in:
        not_checked = f"not checked here: {_and(missing)}; " if missing else ""
        asked = lock.why == "asked for"
        reason = "is replaced by another channel" if asked else "cannot be reached"
        return f"{not_checked}{_and(workspace.channels)} {reason}"
    return f"not locked: {_and(missing)}" if missing else ""


def _unlike(rehearsed: Proved | None) -> str:
    """Return in what the rehearsal was not like a worker: each difference without its reasons."""
    if rehearsed is None or not rehearsed.differences:
        return ""
    short = [re.split(r"[:;,(]", text)[0].strip() for text in rehearsed.differences]
    return f"unlike a worker: {'; '.join(short)}"


def _and(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
