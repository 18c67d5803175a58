"""A Pixi workspace as its manifest says: environments, platforms, tasks.

Reads and merges manifests; what is locked or installed is not known here. What few commands need
is loaded when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pixi_scaffold.workspace.manifest import (
    find_manifest,
    line_of,
    manifest_among,
    mentions,
    parse_manifest,
    read_manifest,
)
from pixi_scaffold.workspace.model import DEFAULT, Environment, Requirement, Workspace
from pixi_scaffold.workspace.platform import (
    Platform,
    VirtualPackage,
    loose_identity,
    platform_identity,
)
from pixi_scaffold.workspace.pypi import PypiOptions, PypiRequirement
from pixi_scaffold.workspace.task import Task, TaskArgument, TaskDependency
from pixi_scaffold.workspace.values import PIXI_VERSION, cutoff, satisfies
from pixi_scaffold.workspace.versions import lies_in

if TYPE_CHECKING:
    from pixi_scaffold.workspace.merge import merge_manifest
    from pixi_scaffold.workspace.migrate import with_platforms

_HOMES = {"merge_manifest": "merge", "with_platforms": "migrate"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
