"""What HTCondor's own parsers say, through its bindings."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from pixi_scaffold.job.htcondor import bindings, quiet


def read_commands(text: str, folder: Path) -> Mapping[str, str] | None:
    """What HTCondor's parser makes of a description up to its queue statement; names in lower case.

    None when it refuses the file. folder: where condor_submit would be run.
    """
    htcondor2 = bindings()
    with contextlib.chdir(folder), quiet():
        try:
            submit = htcondor2.Submit(text)
        except (ValueError, htcondor2.HTCondorException):
            return None
        return {key.lower(): value for key, value in submit.items()}


def parses(expression: str) -> bool:
    """Whether HTCondor takes a text for a ClassAd expression."""
    bindings()
    import classad2

    try:
        classad2.ExprTree(expression)
    except (ValueError, SyntaxError, classad2.ClassAdException):
        return False
    return True
