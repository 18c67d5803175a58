"""Bring the scaffold to a project that is there, on a branch, with its packages in pixi.toml."""

from pixi_scaffold.adopt.command import AdoptRequest, adopt
