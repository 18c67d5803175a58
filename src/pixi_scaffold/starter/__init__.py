"""The starter channel: a real local conda channel for machines without conda-forge.

Made of the running Python and pinned wheels.
"""

from pixi_scaffold.starter.channel import build_channel
from pixi_scaffold.starter.command import build_report
