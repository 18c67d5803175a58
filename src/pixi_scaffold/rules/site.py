"""What one pool has of its own: commands, attributes, limits, as a small TOML file says."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BUNDLED = Path(__file__).with_name("sites")


class SiteError(Exception):
    """A file that says nothing of a pool: why."""


@dataclass(frozen=True, slots=True)
class Site:
    """A pool, as `site capture` writes it down."""

    name: str
    commands: Mapping[str, str] = field(default_factory=dict)
    """EXTENDED_SUBMIT_COMMANDS of its access points, in lower case, and their types."""
    attributes: frozenset[str] = frozenset()
    """Names of its slots' attributes, in lower case."""
    getenv: bool | None = None
    """Whether `getenv = true` is taken (SUBMIT_ALLOW_GETENV); None when that is not known."""
    input_mb: int | None = None
    """Megabytes that one input, or all of a job, may have over the access point."""


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
        )
    except OSError as error:
        raise SiteError(f"cannot read {source}: {error.strerror}") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise SiteError(f"{source} describes no site: {error}") from error


def bundled_sites() -> tuple[str, ...]:
    """Return the names of the sites that come with the tool."""
    return tuple(sorted(path.stem for path in _BUNDLED.glob("*.toml")))
