"""The starter channel: a real local conda channel for machines without conda-forge."""

from pixi_scaffold.starter.channel import build_channel
from pixi_scaffold.starter.command import build_report
