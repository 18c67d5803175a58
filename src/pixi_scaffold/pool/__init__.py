"""Jobs on a real HTCondor pool: submitted, watched, explained, fetched, stopped, collected."""

from typing import TYPE_CHECKING

from pixi_scaffold.system import loader

if TYPE_CHECKING:
    from pixi_scaffold.pool.collect import collect_runs
    from pixi_scaffold.pool.fetch import fetch_jobs
    from pixi_scaffold.pool.receipt import find_named, named_receipt
    from pixi_scaffold.pool.rows import SubmitRequest
    from pixi_scaffold.pool.show import display_for
    from pixi_scaffold.pool.stop import stop_jobs
    from pixi_scaffold.pool.submit import submit_jobs
    from pixi_scaffold.pool.watch import watch_cluster

__getattr__ = loader(__name__, {
    "collect": ("collect_runs",), "fetch": ("fetch_jobs",), "show": ("display_for",),
    "receipt": ("find_named", "named_receipt"), "rows": ("SubmitRequest",),
    "stop": ("stop_jobs",), "submit": ("submit_jobs",), "watch": ("watch_cluster",),
})  # fmt: skip
