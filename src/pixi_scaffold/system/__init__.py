"""The machine underneath: other programs, files, folders as trees.

Nothing here knows what the project is for.
"""

from shutil import which

from pixi_scaffold.system import layout
from pixi_scaffold.system.children import Children
from pixi_scaffold.system.command_line import expanded, program
from pixi_scaffold.system.files import (
    NOT_REGULAR,
    exists,
    is_elsewhere,
    is_file,
    is_folder,
    read_regular,
    real,
    replacing,
    sha256_of,
    special,
    unreadable,
)
from pixi_scaffold.system.git import (
    OLDEST_GIT,
    GitError,
    git,
    list_tree,
    read_blobs,
    refuse_old_git,
    try_git,
    write_blobs,
    write_tree,
)
from pixi_scaffold.system.lazy import loader
from pixi_scaffold.system.net import download, opener, unanswered
from pixi_scaffold.system.process import (
    GIT_LOCAL,
    Child,
    Completed,
    TimedOut,
    clean_env,
    cores,
    end_with,
    run,
    started,
    uninterrupted,
)
from pixi_scaffold.system.temporary import temporary_files_in, temporary_folder
from pixi_scaffold.system.tree import (
    File,
    Tree,
    in_the_way,
    read_file,
    read_tree,
    remove_empty_folders,
    write_file,
)
from pixi_scaffold.system.urls import has_credentials, without_credentials
