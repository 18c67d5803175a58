"""An environment on this machine: installed from a lock, run, packed."""

from pixi_scaffold.environment.install import (
    Installed,
    host_platform,
    install,
    run_task,
    write_activation,
)
from pixi_scaffold.environment.pack import pack
from pixi_scaffold.environment.training import training_facts

__all__ = [
    "Installed",
    "host_platform",
    "install",
    "pack",
    "run_task",
    "training_facts",
    "write_activation",
]
