"""The command line: parse, call, print, exit."""

import gc

gc.set_threshold(200_000)  # what is imported stays; looking through it again costs 6 % of a command

from pixi_scaffold.cli.app import app, main  # noqa: E402  Typer is a third of what is imported
