"""`python -m pixi_scaffold` is the same as `pixi-scaffold`."""

from pixi_scaffold.cli import main

main()
