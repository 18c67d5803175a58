"""The command line: parse, call, print, exit."""

from pixi_scaffold.cli.app import app, main
