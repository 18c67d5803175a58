"""A Pixi workspace as its manifest says: environments, platforms, tasks.

Reads and merges manifests; what is locked or installed is not known here.
"""

from pixi_scaffold.workspace.manifest import (
    find_manifest,
    manifest_among,
    parse_manifest,
    read_manifest,
)
from pixi_scaffold.workspace.merge import merge_manifest, merged_data
from pixi_scaffold.workspace.migrate import with_platforms
from pixi_scaffold.workspace.model import (
    DEFAULT,
    Environment,
    Requirement,
    Workspace,
)
from pixi_scaffold.workspace.place import line_of, mentions
from pixi_scaffold.workspace.platform import (
    Platform,
    VirtualPackage,
    loose_identity,
    platform_identity,
)
from pixi_scaffold.workspace.pypi import PypiOptions, PypiRequirement
from pixi_scaffold.workspace.task import Task, TaskArgument, TaskDependency
from pixi_scaffold.workspace.values import PIXI_VERSION, cutoff, satisfies
