"""What rules know of the pool that a job is for, and of the Pixi workspace around it."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

_BUNDLED = Path(__file__).with_name("sites")


class SiteError(Exception):
    """A file that says nothing of a pool: why."""


class Site(NamedTuple):
    """A pool, as `site capture` writes it down."""

    name: str
    commands: Mapping[str, str] = MappingProxyType({})
    """EXTENDED_SUBMIT_COMMANDS of its access points, in lower case, and their types."""
    attributes: frozenset[str] = frozenset()
    """Names of its slots' attributes, in lower case."""
    getenv: bool | None = None
    """Whether `getenv = true` is taken (SUBMIT_ALLOW_GETENV); None when that is not known."""
    input_mb: int | None = None
    """Megabytes that one input, or all of a job, may have over the access point."""
    trouble: tuple[Mapping[str, Any], ...] = ()
    """What it wants of each job, or does not have, as entries of data/trouble.toml."""


def read_site(source: str) -> Site:
    """Return a bundled site by its name, or the one that a file describes; raises SiteError."""
    path = _BUNDLED / f"{source}.toml"
    if not source.isidentifier() or not path.is_file():
        path = Path(source)
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        limits, slots = data.get("limits", {}), data.get("slots", {})
        return Site(
            str(data.get("name", path.stem)),
            {str(k).lower(): str(v) for k, v in data.get("commands", {}).items()},
            frozenset(str(name).lower() for name in slots.get("attributes", ())),
            limits.get("getenv"),
            limits.get("input_mb"),
            tuple(data.get("trouble", ())),
        )
    except OSError as error:
        raise SiteError(f"cannot read {source}: {error.strerror}") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise SiteError(f"{source} describes no site: {error}") from error


def bundled_sites() -> tuple[str, ...]:
    """Return the names of the sites that come with the tool."""
    return tuple(sorted(path.stem for path in _BUNDLED.glob("*.toml")))


class Row(NamedTuple):
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


class LockedWorkspace(NamedTuple):
    """What is known of the Pixi workspace around a job."""

    manifest: Path
    lock: Path
    refuses_pixi: Callable[[str], str] = lambda _: ""
    """Says why a version of Pixi is not allowed, if so."""
    lock_format: int = 0
    rows: tuple[Row, ...] = ()
    """The platforms of the job's environment, by preference; empty when nothing is locked, or it is
    not known which."""
    rows_of: Mapping[str, tuple[Row, ...]] = MappingProxyType({})
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
