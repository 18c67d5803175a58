"""Jobs on a real HTCondor pool: submitted, watched, explained, fetched, stopped, collected."""

from pixi_scaffold.pool.request import SubmitRequest
from pixi_scaffold.pool.submit import submit

__all__ = ["SubmitRequest", "submit"]
