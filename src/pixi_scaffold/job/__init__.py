"""A submit description as HTCondor reads it: jobs that keep the line of every command.

Nothing is run; the bindings of HTCondor are used where they are installed (htcondor.py).
"""

from pixi_scaffold.job.ad import job_ad
from pixi_scaffold.job.arithmetic import number
from pixi_scaffold.job.commands import KNOWN, custom_resource, is_command
from pixi_scaffold.job.description import Command, Description, Job, Problem, Queue
from pixi_scaffold.job.htcondor import TYPICAL
from pixi_scaffold.job.macros import references
from pixi_scaffold.job.queue import items_elsewhere
from pixi_scaffold.job.reader import read_description
from pixi_scaffold.job.words import (
    QuotingError,
    parse_runtime,
    parse_size,
    split_arguments,
    split_environment,
)

__all__ = [
    "KNOWN",
    "TYPICAL",
    "Command",
    "Description",
    "Job",
    "Problem",
    "Queue",
    "QuotingError",
    "custom_resource",
    "is_command",
    "items_elsewhere",
    "job_ad",
    "number",
    "parse_runtime",
    "parse_size",
    "read_description",
    "references",
    "split_arguments",
    "split_environment",
]
