"""Packages from PyPI: what they require, where they run; uv resolves and installs them."""

from pixi_scaffold.pypi.install import install_wheels
from pixi_scaffold.pypi.metadata import Described, Describing
from pixi_scaffold.pypi.platform import is_wheel_for, marker_environment
from pixi_scaffold.pypi.requirements import counts, meets, parsed, python_is_new_enough
from pixi_scaffold.pypi.uv import ChosenWheel, Resolution, resolve
