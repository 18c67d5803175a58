"""What rules know of the Pixi workspace around a job, and of its lock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One platform of the locked environment that the job uses."""

    name: str
    """As the manifest names it, or the subdir."""
    subdir: str
    packages: int
    download: int
    """Bytes."""
    driver: tuple[int, int] | None = None
    """The oldest CUDA that a driver must support, as (major, minor), from the packages' own
    constraints; None without CUDA."""
    cuda: str = ""
    """Locked versions, empty where there is none."""
    cudnn: str = ""
    pytorch: str = ""
    names: frozenset[str] = frozenset()
    """Of the packages, conda's and PyPI's."""
    builds: frozenset[str] = frozenset()
    """As `name-version-build`."""


@dataclass(frozen=True, slots=True)
class LockedWorkspace:
    """What is known of the Pixi workspace around a job."""

    manifest: Path
    lock: Path
    refuses_pixi: Callable[[str], str] = lambda _: ""
    """Says why a version of Pixi is not allowed, if so."""
    lock_format: int = 0
    rows: tuple[Row, ...] = ()
    """The platforms of the job's environment, by preference; empty when nothing is locked, or it is
    not known which."""
    rows_of: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    """Those of every locked environment."""

    @property
    def linux(self) -> tuple[Row, ...]:
        """The rows that can run on a worker."""
        return tuple(row for row in self.rows if row.subdir.startswith("linux-"))

    @property
    def gpu(self) -> Row | None:
        """The row for a worker with a GPU: of several the one for the oldest driver.

        Any worker that a job may then land on can take that one.
        """
        rows = (row for row in self.linux if row.driver)
        return min(rows, key=lambda row: row.driver or (0, 0), default=None)

    @property
    def cpu(self) -> Row | None:
        """The row for a worker without one."""
        return next((row for row in self.linux if not row.driver), None)
