"""Packages from PyPI: what they require, where they run; uv resolves and installs them.

Each name is loaded when it is asked for: a comparison of a lock needs no network and no uv.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixi_scaffold.pypi.install import install_wheels
    from pixi_scaffold.pypi.metadata import Described, Describing
    from pixi_scaffold.pypi.platform import is_wheel_for, marker_environment
    from pixi_scaffold.pypi.requirements import counts, meets, parsed, python_is_new_enough
    from pixi_scaffold.pypi.uv import ChosenWheel, Resolution, resolve

_HOMES = {
    "install": ("install_wheels",),
    "metadata": ("Described", "Describing"),
    "platform": ("is_wheel_for", "marker_environment"),
    "requirements": ("counts", "meets", "parsed", "python_is_new_enough"),
    "uv": ("ChosenWheel", "Resolution", "resolve"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(name)
