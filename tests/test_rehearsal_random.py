"""Random jobs, built from commands that decide how a job ends, end as a pool of HTCondor 25.14.1 said.

data/random-25.14.1.jsonl holds a job a line: its description's lines, its script, how it ended (state,
exit code, signal, hold, starts) and the files that then were new or changed. The pool was asked twice,
and left out is what it answered in two ways.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import Case, contents
from tests.test_rehearsal_judge import rehearsed

pytestmark = pytest.mark.slow
JOBS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "random-25.14.1.jsonl").read_text().splitlines()
]
FILES = {"i": "in\n", "f/g": "g\n"}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["name"])
def test_a_random_job_ends_as_the_pool_said(job: dict[str, Any], tmp_path: Path) -> None:
    outcome = rehearsed(Case(job["name"], job["lines"], job["script"], FILES), tmp_path)
    hold = [outcome.hold.code, outcome.hold.subcode] if outcome.hold else None
    state, code, signal, held, _ = job["ends"]
    assert (outcome.state, outcome.signal, hold) == (state, signal, held)
    if code is not None:  # the ad of a job that is held before it starts again keeps its last code
        assert outcome.code in ({code, None} if hold else {code})
    # where a transfer failed, the pool leaves what it had begun
    if hold or "chmod" in job["script"] or "max_transfer_output_mb" in job["lines"]:
        return
    came_back = {
        name: text if len(text) < 400 else {"bytes": len(text)}
        for name, text in contents(tmp_path / "results").items()
    }
    there = dict(job["files"])
    there.pop("h", None)  # a link to a file of the system: not followed here, which is said
    assert came_back == there
