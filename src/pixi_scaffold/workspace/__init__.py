"""A Pixi workspace as its manifest says: environments, platforms, tasks; nothing locked."""

from typing import TYPE_CHECKING

from pixi_scaffold.system import loader
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

__getattr__ = loader(__name__, {"merge": ("merge_manifest",), "migrate": ("with_platforms",)})
