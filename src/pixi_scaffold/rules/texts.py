"""What rules read: files of a job, kept for the next rule and job, and their own tables."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from pixi_scaffold.system import read_regular

DATA = Path(__file__).with_name("data")
TEXT_LIMIT = 4 << 20
"""Bytes of a script that are read; a longer one is no script."""
_KEPT = 256 << 10
"""Bytes of a file that is kept, for the next rule and the next job."""


def read_bytes(path: Path) -> bytes | None:
    """Return a file's first bytes; None when it cannot be read, or is no regular file."""
    try:
        status = path.stat()
        if status.st_size > _KEPT:
            return read_regular(path, TEXT_LIMIT)
        return _read(path, status.st_mtime_ns, status.st_size, status.st_ino)
    except OSError:
        return None


@lru_cache(maxsize=64)
def _read(path: Path, *_changed: int) -> bytes:
    return read_regular(path, TEXT_LIMIT)


@lru_cache(maxsize=8)
def table(name: str) -> dict[str, Any]:
    """Return data/NAME.toml; nobody changes it."""
    return tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8"))
