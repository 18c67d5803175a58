"""Jobs on a real HTCondor pool: submitted, watched, explained, fetched, stopped, collected."""

from pixi_scaffold.pool.collect import collect as collect_runs
from pixi_scaffold.pool.fetch import fetch as fetch_jobs
from pixi_scaffold.pool.receipt import find_named, named_receipt
from pixi_scaffold.pool.request import SubmitRequest
from pixi_scaffold.pool.show import display_for
from pixi_scaffold.pool.stop import stop as stop_jobs
from pixi_scaffold.pool.submit import submit
from pixi_scaffold.pool.watch import watch as watch_cluster
