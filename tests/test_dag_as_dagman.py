"""Small DAGs are refused here where DAGMan 25.14.1 on a pool refused them, else their jobs are the same.

data/dags-25.14.1.jsonl holds a DAG a line, files beside it, and what DAGMan did: refused it (it ended
before it had run every node), or the arguments that each node's job was started with, by its output.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pixi_scaffold.check.dag import DagNode, read_dag
from pixi_scaffold.job import Submission, meaning, read_description, refusals

DAGS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "dags-25.14.1.jsonl").read_text().splitlines()
]
SCRIPT = "#!/bin/sh\n"
JOB = (
    "executable = p.sh\narguments = $(JOB) what=$(what) x=$(x:none) retry=$(RETRY)\n"
    "output = $(JOB).out\nlog = n.log\nrequest_memory = 64MB\nrequest_disk = 50MB\n"
)
BESIDE = {
    "p.sh": SCRIPT, "pre.sh": SCRIPT, "post.sh": SCRIPT, "d/q.sh": SCRIPT,
    "p.sub": JOB + "queue\n", "d/p.sub": JOB.replace("p.sh", "q.sh") + "queue\n",
    "two.sub": JOB.replace("(JOB).", "(JOB).$(Process).") + "queue 2\n",
    "def.sub": f"what = mine\n{JOB}queue\n", "late.sub": f"{JOB}what = mine\nqueue\n",
}  # fmt: skip


def jobs_of(node: DagNode) -> dict[str, str]:
    """The arguments of a node's jobs, by their outputs; raises what keeps them from being queued."""
    submission = Submission(os.environ, seed=0, before=node.before, append=node.append)
    description = read_description(node.path, node.folder, submission)
    assert not [p for p in description.problems if p.kind != "odd"], description.problems
    arguments = {}
    for job in description.jobs:
        for proc in range(job.queue.total):
            meant = meaning(job, proc)
            assert not list(refusals(meant))
            output = meant.folder.value / meant.of("output").text
            arguments[str(output)] = " ".join(meant.arguments.value)
    return arguments


@pytest.mark.parametrize("row", DAGS, ids=lambda row: row["name"].replace(" ", "-"))
def test_a_dag_is_to_us_what_it_is_to_dagman(row: dict[str, Any], tmp_path: Path) -> None:
    for name, text in {**BESIDE, **row.get("files", {}), "w.dag": row["dag"]}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
        if name.endswith(".sh"):
            path.chmod(0o755)
    refused, arguments = False, {}
    try:
        nodes = read_dag(tmp_path / "w.dag")
        refused = any(problem.kind == "dag" for node in nodes for problem in node.problems)
        for node in () if refused else nodes:
            if node.path != node.dag:  # one that stands in the DAG is listed as not checked
                arguments |= jobs_of(node)
    except (OSError, AssertionError):
        refused = True
    assert refused == row.get("refused", False)
    there = {str(tmp_path / name): text for name, text in row.get("arguments", {}).items()}
    at_last = {"retry=1": "retry=0", "retry=2": "retry=0"}  # of a node that was tried again
    for name, text in {} if refused else arguments.items():
        if name in there:
            words = [at_last.get(word, word) for word in there.pop(name).split()]
            assert words == text.split()
    inline = "{" in row["dag"]
    assert refused or inline or not there, "jobs that were started there, and are not known here"
