"""Bring the scaffold to an existing project, on a branch, with its packages in pixi.toml."""

from pixi_scaffold.adopt.command import AdoptRequest, adopt
