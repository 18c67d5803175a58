"""What rules know, as data: the tables in data/."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any


@lru_cache(maxsize=8)
def table(name: str) -> dict[str, Any]:
    """Return data/NAME.toml; nobody changes it."""
    text = (files("pixi_scaffold.rules") / "data" / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
