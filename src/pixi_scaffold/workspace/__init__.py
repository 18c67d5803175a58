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
    ManifestWarning,
    Requirement,
    Workspace,
    by_priority,
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
from pixi_scaffold.workspace.values import PIXIS, cutoff, satisfies

PIXI_VERSION = PIXIS[0]
"""The Pixi whose rules these are."""

__all__ = [
    "DEFAULT",
    "PIXI_VERSION",
    "Environment",
    "ManifestWarning",
    "Platform",
    "PypiOptions",
    "PypiRequirement",
    "Requirement",
    "Task",
    "TaskArgument",
    "TaskDependency",
    "VirtualPackage",
    "Workspace",
    "by_priority",
    "cutoff",
    "find_manifest",
    "line_of",
    "loose_identity",
    "manifest_among",
    "mentions",
    "merge_manifest",
    "merged_data",
    "parse_manifest",
    "platform_identity",
    "read_manifest",
    "satisfies",
    "with_platforms",
]
