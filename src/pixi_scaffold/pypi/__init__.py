"""Packages from PyPI: what they require, where they run; uv resolves and installs them."""

from pixi_scaffold.pypi.platform import is_wheel_for, marker_environment, wheel_rank
from pixi_scaffold.pypi.requirements import (
    counts,
    meets,
    normal_python,
    normal_text,
    parsed,
    python_is_new_enough,
)

__all__ = [
    "counts",
    "is_wheel_for",
    "marker_environment",
    "meets",
    "normal_python",
    "normal_text",
    "parsed",
    "python_is_new_enough",
    "wheel_rank",
]
