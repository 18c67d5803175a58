"""How a new project stands, in a few lines for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixi_scaffold.report import Result, Status, Verdict
from pixi_scaffold.system import program

if TYPE_CHECKING:
    from pixi_scaffold.check.rehearsal import Proved
    from pixi_scaffold.check.workspace import LockProof, Trained
    from pixi_scaffold.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Judged:
    """What the stages gave (None: not to the end), and how they ended."""

    root: Path
    workspace: Workspace | None
    lock: LockProof | None
    trained: Trained | None
    rehearsed: Proved | None
    results: tuple[Result, ...]


def verdict(judged: Judged) -> Verdict:
    """Say whether a project is ready, what was not checked and why, and what was different."""
    name = judged.root.name
    failed = [r.name for r in judged.results if r.status is Status.FAILED]
    notes = tuple(note for note in (_not_locked(judged), _unlike(judged.rehearsed)) if note)
    if failed:
        return Verdict(False, f"{name} is made, and not ready: {_and(failed)} failed", notes)
    if judged.trained is None:
        return Verdict(False, f"{name} is made, not proved: {_first_skip(judged.results)}", notes)
    training = judged.trained.training
    device = {"cpu": "CPU", "cuda": "GPU", "mps": "GPU"}.get(training.device, training.device)
    reached = "" if training.accuracy is None else f" to {training.accuracy:.0%}"
    did = "main.py ran" if training.last_loss is None else "trained"
    text = f"{name} is ready: {did} on the {device}{reached}"
    if judged.rehearsed is not None:
        return Verdict(True, f"{text}, its cluster job rehearsed", notes)
    return Verdict(True, f"{text}; its cluster job was not rehearsed", notes)


def _not_locked(judged: Judged) -> str:
    """Return which platforms were not locked, the one reason, and the way out."""
    if judged.workspace is None or judged.lock is None or judged.lock.channel is None:
        return ""
    missing = [p.name for p in judged.workspace.platforms if p.name not in judged.lock.platforms]
    channel = judged.lock.channel
    if not missing and not channel.stand_in:
        return ""
    channels = _and(judged.workspace.channels)
    if channel.stand_in:
        reason = f"{channels} is replaced by another channel"
        if channel.why != "asked for":
            reason = f"{channels} cannot be reached"
        return f"not checked here: {_and(missing)}; {reason}. Then: {program()} lock"
    return f"not locked: {_and(missing)}"


def _unlike(rehearsed: Proved | None) -> str:
    """Return in what the rehearsal was not like a worker: each difference without its reasons."""
    if rehearsed is None or not rehearsed.differences:
        return ""
    short = [re.split(r"[:;,(]", text)[0].strip() for text in rehearsed.differences]
    return f"unlike a worker: {'; '.join(short)}"


def _first_skip(results: Sequence[Result]) -> str:
    skipped = [r for r in results if r.status is Status.SKIPPED]
    return f"{skipped[0].name}: {skipped[0].detail}" if skipped else "nothing ran"


def _and(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
