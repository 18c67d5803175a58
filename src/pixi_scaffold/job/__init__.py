"""A submit description as HTCondor reads it: jobs that keep the line of every command.

Nothing is run; the bindings of HTCondor are used where they are installed (htcondor.py).
"""

from pixi_scaffold.job.ad import JobAd, job_ad
from pixi_scaffold.job.classad import ExpressionError, Reference, attributes, literal
from pixi_scaffold.job.commands import (
    CommandSpec,
    canonical,
    custom_resource,
    gpu_names,
    is_command,
    job_names,
    slot_names,
    specs,
)
from pixi_scaffold.job.contradiction import Compared, alternatives, contradiction
from pixi_scaffold.job.description import Command, Description, Job, Problem, Queue, Submission
from pixi_scaffold.job.evaluate import NotKnownError, as_integer, evaluate
from pixi_scaffold.job.htcondor import TYPICAL, bindings, match, quiet
from pixi_scaffold.job.macros import references, unexpanded
from pixi_scaffold.job.meaning import Meaning, field_of, meaning
from pixi_scaffold.job.reader import read_description
from pixi_scaffold.job.refusals import Refusal, refusals
from pixi_scaffold.job.requirements import Clause, ad_clauses, oversized
from pixi_scaffold.job.values import Field, in_parentheses, size_advice
from pixi_scaffold.job.words import (
    QuotingError,
    join_words,
    parse_runtime,
    parse_size,
    split_arguments,
    split_environment,
    split_list,
)
