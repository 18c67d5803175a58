"""Where and how a job is rehearsed, whatever the job is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pixi_scaffold.rehearsal.isolation import Walls
from pixi_scaffold.rehearsal.surroundings import Slot
from pixi_scaffold.rehearsal.urls import Urls


@dataclass(frozen=True, slots=True)
class Eviction:
    """When the job is thrown off: seconds after its first start; hard: without a signal."""

    after: float
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """timeout: seconds for all attempts together. grace: the most that a machine gives to leave."""

    timeout: float | None = None
    grace: float | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how a job is rehearsed.

    results: folder for what comes back. scratch: where sandboxes are made. added: environment
    variables that a worker would not have. stand_ins: files in place of inputs, None where one is
    left out. notes: what else is different, in words. cancel: set from another thread, it ends
    the job.
    """

    results: Path
    scratch: Path | None = None
    walls: Walls = field(default_factory=Walls)
    slot: Slot = field(default_factory=Slot)
    added: Mapping[str, str] = field(default_factory=dict)
    stand_ins: Mapping[str, Path | None] = field(default_factory=dict)
    urls: Urls = field(default_factory=Urls)
    limits: Limits = field(default_factory=Limits)
    eviction: Eviction | None = None
    hold_to_memory: bool = True
    """Whether the job may take no more than its slot has, where a cgroup can see to that."""
    keep: bool = False
    kept: Path | None = None
    """A sandbox that was kept, in which a shell is opened."""
    terminal: int = -1
    """Where a shell is opened in place of the executable; -1 for none."""
    notes: tuple[str, ...] = ()
    cancel: threading.Event = field(default_factory=threading.Event)
    follow: Callable[[str], object] = str
    """Called with the last line that the job printed, as it goes on."""
