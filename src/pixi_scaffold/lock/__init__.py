"""The lock file: make it (Pixi or the embedded solver), read it, compare it with the manifest.

Also which channels answer.
"""

from pixi_scaffold.lock.channel import read_channel
from pixi_scaffold.lock.channels import channel_url
from pixi_scaffold.lock.command import (
    capped,
    check_lock,
    merge_driver,
    relock,
    relock_hint,
)
from pixi_scaffold.lock.current import compare, unsatisfied
from pixi_scaffold.lock.engine import ENGINES, Choice, Engine, Locked, choose
from pixi_scaffold.lock.file import Lock, read_lock
from pixi_scaffold.lock.gateway import cache_folder
from pixi_scaffold.lock.layout import Package
from pixi_scaffold.lock.reach import TIMEOUT, unreachable
from pixi_scaffold.lock.specs import check_specs, pixi_command

__all__ = [
    "ENGINES",
    "TIMEOUT",
    "Choice",
    "Engine",
    "Lock",
    "Locked",
    "Package",
    "cache_folder",
    "capped",
    "channel_url",
    "check_lock",
    "check_specs",
    "choose",
    "compare",
    "merge_driver",
    "pixi_command",
    "read_channel",
    "read_lock",
    "relock",
    "relock_hint",
    "unreachable",
    "unsatisfied",
]
