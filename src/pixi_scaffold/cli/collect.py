"""Collect the results of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli.options import Json
from pixi_scaffold.cli.session import session_of


def collect(
    cluster: Annotated[
        str,
        typer.Argument(
            help="Default: every submission of the newest one's file.", metavar="[CLUSTER]"
        ),
    ] = "",
    output: Annotated[
        Path, typer.Option(help="Name of the files, without an ending.", metavar="NAME")
    ] = Path("runs") / "collected",
    as_json: Json = False,
) -> None:
    """Write one table (CSV, and Parquet where pyarrow is) and one picture of a sweep's runs."""
    from pixi_scaffold.pool import collect_runs

    with session_of("collect", as_json) as session:
        session.show(collect_runs(cluster, output, session.progress))
