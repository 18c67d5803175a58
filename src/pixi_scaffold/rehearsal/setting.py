"""Where and how a job is rehearsed, whatever the job is."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pixi_scaffold.rehearsal.isolation import Walls
from pixi_scaffold.rehearsal.urls import Urls


@dataclass(frozen=True, slots=True)
class Limits:
    """timeout: seconds for all attempts together. grace: the most that a machine gives to leave."""

    timeout: float | None = None
    grace: float | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how a job is rehearsed."""

    results: Path
    """Folder for what comes back."""
    scratch: Path | None = None
    """Where sandboxes are made."""
    walls: Walls = field(default_factory=Walls)
    gpus: tuple[str, ...] = ()
    """Ids of the GPUs that are assigned to the slot."""
    added: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that a worker would not have."""
    stand_ins: Mapping[str, Path | None] = field(default_factory=dict)
    """Files in place of inputs, None where one is left out."""
    urls: Urls = field(default_factory=Urls)
    limits: Limits = field(default_factory=Limits)
    evict_after: float | None = None
    """Seconds after its first start when the job is thrown off; None for never."""
    evict_hard: bool = False
    """Without a signal."""
    hold_to_memory: bool = True
    """Whether the job may take no more than its slot has, where a cgroup can see to that."""
    keep: bool = False
    kept: Path | None = None
    """A sandbox that was kept, in which a shell is opened."""
    terminal: int = -1
    """Where a shell is opened in place of the executable; -1 for none."""
    notes: tuple[str, ...] = ()
    """What else is different, in words."""
    cancel: threading.Event = field(default_factory=threading.Event)
    """Set from another thread, it ends the job."""
    follow: Callable[[str], object] = str
    """Called with the last line that the job printed, as it goes on."""
