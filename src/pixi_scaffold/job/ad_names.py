"""Attributes that expressions can name: data/attributes.txt as tables, by lower-case name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files


@lru_cache(maxsize=1)
def _sections() -> Mapping[str, Mapping[str, str]]:
    text = (files("pixi_scaffold.job") / "data" / "attributes.txt").read_text(encoding="utf-8")
    plain = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    parts = re.split(r"^\[(\w+)\]$", plain, flags=re.MULTILINE)[1:]
    return {
        section: {name.lower(): name for name in names.split()}
        for section, names in zip(parts[::2], parts[1::2], strict=True)
    }


def slot_names() -> Mapping[str, str]:
    """Return the attributes of machine ads, those of some sites too."""
    return {**_sections()["slot"], **_sections()["site"]}


def job_names() -> Mapping[str, str]:
    """Return the attributes of job ads."""
    return _sections()["job"]


def gpu_names() -> Mapping[str, str]:
    """Return the properties of one GPU, which require_gpus is about."""
    return _sections()["gpu"]
