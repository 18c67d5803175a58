"""The command line: parse, call, print, exit."""

from pixi_scaffold.cli.app import EXIT_CODES, app, main

__all__ = ["EXIT_CODES", "app", "main"]
