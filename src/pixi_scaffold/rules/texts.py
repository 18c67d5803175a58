"""What rules read: files of a job, kept for the next rule and job, and their own tables."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar, cast

from pixi_scaffold.system import read_regular

DATA = Path(__file__).with_name("data")
TEXT_LIMIT = 4 << 20
"""Bytes of a script that are read; a longer one is no script."""
_KEPT = 256 << 10
"""Bytes of a file that is kept, for the next rule and the next job."""
Answer = TypeVar("Answer", bound=Callable[..., Any])
_FORGET: list[Callable[[], None]] = []


def within_review(answer: Answer, most: int = 1024) -> Answer:
    """Keep what a function says of files until `forget_files`: rules and jobs ask the same."""
    kept = lru_cache(maxsize=most)(answer)
    _FORGET.append(kept.cache_clear)
    return cast(Answer, kept)


def forget_files() -> None:
    """Look at every file again: a review begins, and they may have changed since the last one."""
    for forget in _FORGET:
        forget()


def read_bytes(path: Path) -> bytes | None:
    """Return a file's first bytes; None when it cannot be read, or is no regular file."""
    try:
        data = _beginning(path)
        return data if len(data) <= _KEPT else read_regular(path, TEXT_LIMIT)
    except OSError:
        return None


@partial(within_review, most=64)
def _beginning(path: Path) -> bytes:
    return read_regular(path, _KEPT + 1)


@lru_cache(maxsize=8)
def table(name: str) -> dict[str, Any]:
    """Return data/NAME.toml; nobody changes it."""
    return tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8"))
