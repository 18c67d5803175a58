"""A Pixi workspace as its manifest says: environments, platforms, tasks.

Reads and merges manifests; what is locked or installed is not known here.
"""

from pixi_scaffold.workspace.manifest import find_manifest, read_manifest
from pixi_scaffold.workspace.merge import merge_manifest, merged_data
from pixi_scaffold.workspace.model import (
    DEFAULT,
    Environment,
    Platform,
    Task,
    VirtualPackage,
    Workspace,
    platform_identity,
)

__all__ = [
    "DEFAULT",
    "Environment",
    "Platform",
    "Task",
    "VirtualPackage",
    "Workspace",
    "find_manifest",
    "merge_manifest",
    "merged_data",
    "platform_identity",
    "read_manifest",
]
