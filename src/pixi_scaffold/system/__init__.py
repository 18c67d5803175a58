"""The machine underneath: other programs, files, folders as trees.

Nothing here knows what the project is for.
"""

from pixi_scaffold.system import layout
from pixi_scaffold.system.files import (
    NOT_REGULAR,
    exists,
    is_file,
    is_folder,
    read_regular,
    real,
    replacing,
    special,
    unreadable,
)
from pixi_scaffold.system.process import (
    GIT_LOCAL,
    Child,
    Completed,
    TimedOut,
    clean_env,
    cores,
    expanded,
    program,
    run,
    started,
    uninterrupted,
    which,
)
from pixi_scaffold.system.tree import (
    File,
    Tree,
    in_the_way,
    read_file,
    read_tree,
    remove_empty_folders,
    write_file,
)
from pixi_scaffold.system.urls import has_credentials

__all__ = [
    "GIT_LOCAL",
    "NOT_REGULAR",
    "Child",
    "Completed",
    "File",
    "TimedOut",
    "Tree",
    "clean_env",
    "cores",
    "exists",
    "expanded",
    "has_credentials",
    "in_the_way",
    "is_file",
    "is_folder",
    "layout",
    "program",
    "read_file",
    "read_regular",
    "read_tree",
    "real",
    "remove_empty_folders",
    "replacing",
    "run",
    "special",
    "started",
    "uninterrupted",
    "unreadable",
    "which",
    "write_file",
]
