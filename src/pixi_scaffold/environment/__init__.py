"""An environment on this machine: installed from a lock, run, packed."""

from pixi_scaffold.environment.install import (
    Installed,
    host_platform,
    install,
    run_task,
    write_activation,
)
from pixi_scaffold.environment.pack import pack
from pixi_scaffold.environment.training import Training, read_training

__all__ = [
    "Installed",
    "Training",
    "host_platform",
    "install",
    "pack",
    "read_training",
    "run_task",
    "write_activation",
]
