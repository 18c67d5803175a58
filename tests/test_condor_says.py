"""What condor_submit said of 1,718 small descriptions, and what is read and reported here.

../shared/condor-says has the answers of HTCondor 23.9.6 and 25.14.1, with the job ads of 25.14.1, so
these tests need no HTCondor. What both refuse must be an error, what one refuses a warning, and what
both take no error.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pixi_scaffold.job import Submission, read_description
from pixi_scaffold.rules import Finding, Severity, Subject, check_subject
from tests.support.paths import SHARED

SAID = SHARED / "condor-says" / "grammar.jsonl.gz"
pytestmark = pytest.mark.skipif(not SAID.exists(), reason="../shared/condor-says is not there")
ENVIRONMENT = {
    "CONDOR_CONFIG": "ONLY_ENV", "HOME": "/home/me", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin",
    "USER": "me",
}  # fmt: skip

NOT_SEEN = {
    "include command : ./prog.sh": "no program is run, so what it prints is not known",
    "include : ./prog.sh |": "no program is run, so what it prints is not known",
    "use feature:GPUs": "templates are a matter of the pool's configuration",
    "use_oauth_services": "the machine that answered keeps no tokens; an access point may",
    "executable = 1\n": "list.txt names a 1, so something may make it: a warning",
    "from missing.sh |": "no program is run, so that it is missing is not known",
}
"""Refused by both, and no error here: a part of the text, and why."""

RUNNING = {
    "PS203": "the executable in.txt has no interpreter line: the job is held",
    "PS205": "the input is missing: the job is held",
    "PS207": "an output or a checkpoint outside of the scratch folder: the job is held",
}
"""Taken by both, and an error here all the same: what becomes of the job when it runs."""


def rows() -> list[dict[str, Any]]:
    with gzip.open(SAID, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that lay beside each description."""
    found = tmp_path_factory.mktemp("says")
    texts = {
        "run.sh": "#!/bin/sh\necho hi\n", "prog.sh": "#!/bin/sh\necho one\necho two\n", "in.txt": "hello\n",
        "list.txt": "1 2\n3 4\n5 6\n", "empty.txt": "", "sub.inc": "arguments = included\n", "x.sif": "sif",
        "data/a.bin": "x", "image_dir/x": "",
    }  # fmt: skip
    for name, text in texts.items():
        (found / name).parent.mkdir(exist_ok=True)
        (found / name).write_text(text)
    (found / "image_dir" / "x").unlink()
    for name in ("run.sh", "prog.sh"):
        (found / name).chmod(0o755)
    return found


def subjects(folder: Path, text: str) -> Iterator[Subject]:
    """Yield the jobs of a description that lies in the folder."""
    path = folder / "job.sub"
    path.write_bytes(text.encode())
    description = read_description(path, folder, Submission(ENVIRONMENT, seed=1))
    for job in description.jobs:
        yield Subject(description, job)


def findings(folder: Path, text: str) -> list[Finding]:
    return [finding for subject in subjects(folder, text) for finding in check_subject(subject)]


def test_check_refuses_what_condor_submit_refuses(folder: Path) -> None:
    missed, wrong, unsaid = [], [], []
    seen: set[str] = set()
    for row in rows():
        found = findings(folder, row["text"])
        errors = [f for f in found if f.severity is Severity.ERROR and f.rule not in RUNNING]
        refused = set(row["refused"].values())
        own = row["text"].replace("\nqueue\n", "").rpartition("\n")[2]
        if refused == {True} and not errors:
            known = {part for part in NOT_SEEN if part in row["text"]}
            seen |= known
            if not known:
                missed.append((row["kind"], own))
        elif refused == {False} and errors:
            wrong.append((row["kind"], own, errors[0].rule, errors[0].message))
        elif len(refused) == 2 and (errors or not found):
            unsaid.append((row["kind"], own, [f.message for f in errors]))
    assert not missed, f"refused by condor_submit, and no error here: {len(missed)}: {missed[:20]}"
    assert not wrong, f"taken by condor_submit, and an error here: {len(wrong)}: {wrong[:20]}"
    assert not unsaid, f"refused by one release, and no warning here: {len(unsaid)}: {unsaid[:20]}"
    assert seen == set(NOT_SEEN), "take these out of NOT_SEEN"
