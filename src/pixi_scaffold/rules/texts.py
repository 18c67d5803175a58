"""What rules read: files of a job, kept for the next rule and job, and their own tables."""

import re
import tomllib
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar, cast

from pixi_scaffold.system import read_regular

DATA = Path(__file__).with_name("data")
TEXT_LIMIT = 4 << 20
"""Bytes of a script that are read; a longer one is no script."""
_MOST_FILES = 200
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


@partial(within_review, most=32)
def files_in(folder: Path, suffixes: tuple[str, ...]) -> tuple[tuple[Path, str], ...]:
    """Return the files of these suffixes, or names, in a folder, and their texts."""
    texts: list[tuple[Path, str]] = []
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return ()
    asked = [p for p in paths if p.suffix.lower() in suffixes or p.name.lower() in suffixes]
    for path in asked[:_MOST_FILES]:
        data = read_bytes(path)
        if data is not None and len(data) < _KEPT:
            texts.append((path, data.decode("utf-8", errors="replace")))
    return tuple(texts)


@within_review
def given_by_scripts(folder: Path) -> frozenset[str]:
    """Return the names (lower case) that scripts there may give condor_submit, or VARS of a DAG."""
    texts = (text for _, text in files_in(folder, (".sh", ".py")))
    gives = (text.lower() for text in texts if re.search(r"condor_submit|\bVARS\b", text))
    return frozenset(re.findall(r"(\w+)\s*=", "\n".join(gives)))


@lru_cache(maxsize=8)
def table(name: str) -> dict[str, Any]:
    """Return data/NAME.toml; nobody changes it."""
    return tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8"))
