"""The lock file: make it (Pixi or the embedded solver), read it, compare it with the manifest.

Also which channels answer.
"""

from pixi_scaffold.lock.channel import read_channel
from pixi_scaffold.lock.command import check_lock, relock
from pixi_scaffold.lock.engine import ENGINES, Choice, Engine, Locked, choose
from pixi_scaffold.lock.file import Lock, channel_url, check_specs, read_lock, unsatisfied
from pixi_scaffold.lock.reach import TIMEOUT, unreachable

__all__ = [
    "ENGINES",
    "TIMEOUT",
    "Choice",
    "Engine",
    "Lock",
    "Locked",
    "channel_url",
    "check_lock",
    "check_specs",
    "choose",
    "read_channel",
    "read_lock",
    "relock",
    "unreachable",
    "unsatisfied",
]
