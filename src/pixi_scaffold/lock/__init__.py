"""The lock file: make it, read it, compare it with the manifest; and which channels answer."""

from typing import TYPE_CHECKING

from pixi_scaffold.system import loader

if TYPE_CHECKING:
    from pixi_scaffold.lock.channels import TIMEOUT, channel_url, read_channel, unreachable
    from pixi_scaffold.lock.check import capped, check_lock, current_lock
    from pixi_scaffold.lock.command import diff_report, merge_driver, relock
    from pixi_scaffold.lock.current import unsatisfied
    from pixi_scaffold.lock.diff import LockDiff, PlatformDiff
    from pixi_scaffold.lock.engine import choose
    from pixi_scaffold.lock.explain import why_fetching_failed
    from pixi_scaffold.lock.file import Lock, read_lock
    from pixi_scaffold.lock.history import last_change, locked_now
    from pixi_scaffold.lock.layout import Package
    from pixi_scaffold.lock.matching import check_specs
    from pixi_scaffold.lock.settings import (
        cache_folder,
        environment_homes,
        environments_folder,
        pixi_config,
    )
    from pixi_scaffold.lock.told import diff_lines, markdown, shown_size

__getattr__ = loader(__name__, {
    "channels": ("TIMEOUT", "channel_url", "read_channel", "unreachable"),
    "check": ("capped", "check_lock", "current_lock"),
    "command": ("diff_report", "merge_driver", "relock"),
    "current": ("unsatisfied",),
    "diff": ("LockDiff", "PlatformDiff"),
    "engine": ("choose",),
    "explain": ("why_fetching_failed",),
    "file": ("Lock", "read_lock"),
    "history": ("last_change", "locked_now"),
    "layout": ("Package",),
    "matching": ("check_specs",),
    "settings": ("cache_folder", "environment_homes", "environments_folder", "pixi_config"),
    "told": ("diff_lines", "markdown", "shown_size"),
})  # fmt: skip
