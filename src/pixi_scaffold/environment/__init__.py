"""An environment on this machine: installed from a lock, packed."""

from pixi_scaffold.environment.damage import refuse_damaged_files
from pixi_scaffold.environment.install import Installed, host_platform, install
from pixi_scaffold.environment.pack import pack
from pixi_scaffold.environment.training import Training, read_training
