"""The lock file: make it (Pixi or the embedded solver), read it, compare it with the manifest.

Also which channels answer.
"""

from pixi_scaffold.lock.channel import read_channel
from pixi_scaffold.lock.channels import channel_url
from pixi_scaffold.lock.command import (
    capped,
    check_lock,
    current_lock,
    diff_report,
    merge_driver,
    relock,
    relock_hint,
)
from pixi_scaffold.lock.current import compare, unsatisfied
from pixi_scaffold.lock.diff import LockDiff, PlatformDiff
from pixi_scaffold.lock.engine import ENGINES, Choice, Engine, Locked, choose
from pixi_scaffold.lock.explain import why_fetching_failed
from pixi_scaffold.lock.file import Lock, read_lock
from pixi_scaffold.lock.history import last_change, locked_now
from pixi_scaffold.lock.layout import Package
from pixi_scaffold.lock.reach import TIMEOUT, unreachable
from pixi_scaffold.lock.settings import cache_folder, environments_folder, pixi_config
from pixi_scaffold.lock.specs import check_specs, pixi_command
from pixi_scaffold.lock.told import diff_lines, markdown, shown_size

__all__ = [
    "ENGINES",
    "TIMEOUT",
    "Choice",
    "Engine",
    "Lock",
    "LockDiff",
    "Locked",
    "Package",
    "PlatformDiff",
    "cache_folder",
    "capped",
    "channel_url",
    "check_lock",
    "check_specs",
    "choose",
    "compare",
    "current_lock",
    "diff_lines",
    "diff_report",
    "environments_folder",
    "last_change",
    "locked_now",
    "markdown",
    "merge_driver",
    "pixi_command",
    "pixi_config",
    "read_channel",
    "read_lock",
    "relock",
    "relock_hint",
    "shown_size",
    "unreachable",
    "unsatisfied",
    "why_fetching_failed",
]
