"""What `submit` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """The options of one call."""

    description: Path
    append: tuple[str, ...] = ()
    queue: str = ""
    """In place of the description's queue statement."""
    check: bool = True
    dry_run: bool = False
    schedd: str = ""
    pool: str = ""
    spool: bool = False
    again: bool = False
    """Whether rows that are done are run again."""
    failed: bool = False
    """Whether only the rows are run that failed, or never ran, whatever changed meanwhile."""
    go_on: str = ""
    """The finished or stopped jobs that are trained further."""
    more_arguments: str = ""
    retry_memory: str = ""
    """The most memory that a job may get when it ran out of it; such as 32GB."""
