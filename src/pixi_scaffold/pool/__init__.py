"""Jobs on a real HTCondor pool: submitted, watched, explained, fetched, stopped, collected.

Each name is loaded when it is asked for: to submit needs no picture of curves.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixi_scaffold.pool.collect import collect_runs
    from pixi_scaffold.pool.fetch import fetch_jobs
    from pixi_scaffold.pool.receipt import find_named, named_receipt
    from pixi_scaffold.pool.rows import SubmitRequest
    from pixi_scaffold.pool.show import display_for
    from pixi_scaffold.pool.stop import stop_jobs
    from pixi_scaffold.pool.submit import submit_jobs
    from pixi_scaffold.pool.watch import watch_cluster

_HOMES = {
    "SubmitRequest": "rows", "collect_runs": "collect", "display_for": "show",
    "fetch_jobs": "fetch", "find_named": "receipt", "named_receipt": "receipt",
    "stop_jobs": "stop", "submit_jobs": "submit", "watch_cluster": "watch",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
