"""What condor_submit said of 1,718 small descriptions, and what is read and reported here.

../shared/condor-says has the answers of HTCondor 23.9.6 and 25.14.1, with the job ads of 25.14.1, so
these tests need no HTCondor. What both refuse must be an error, what one refuses a warning, and what
both take no error.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pixi_scaffold.job import Submission, job_ad, meaning, read_description
from pixi_scaffold.job.classad import parse, unparse
from pixi_scaffold.job.requirements import top_level_and
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
    "use_oauth_services": "the machine that answered keeps no tokens; an access point may",
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


# --- the job ad ---------------------------------------------------------------------------------------

PLAIN = """\
executable = run.sh
log = j.log
output = j.out
error = j.err
request_cpus = 1
request_memory = 1GB
request_disk = 1GB
queue
"""
NOT_MADE = {
    "DiskUsage": "of the sizes of files",
    "ExecutableSize": "of the size of a file",
    "ImageSize": "of the size of a file",
    "TransferInputSizeMB": "of the sizes of files",
    "TransformOnEvict": "what the access point does to a job that was evicted; nothing here reads it",
    "TransformBody_RequestMemory": "what the access point does to a job that was evicted",
}
"""Attributes that are in no ad here."""
OTHERWISE = {
    "transfer_input_files @=x": "a value of two lines, which the answers hold as two attributes",
}
"""Descriptions that are not compared."""


def ad_of(folder: Path, text: str, proc: int = 0) -> dict[str, str]:
    """Return the ad that is made here, with the owner of the answers."""
    job = next(subjects(folder, text)).job
    ad = job_ad(meaning(job, proc))
    found = {**ad.attributes, "Requirements": ad.requirements}
    own = (("Owner", found.pop("Owner")), ("ProcId", found.pop("ProcId")))
    assert dict(own) == {"Owner": '"user"', "ProcId": str(proc)}
    return {
        name: re.sub(r'(^"|\.)user"$', r'\1root"', value.replace(str(folder), "DIR"))
        for name, value in found.items()
    }


def taken() -> Iterator[dict[str, Any]]:
    for row in rows():
        if row["ads"] and not any(part in row["text"] for part in OTHERWISE):
            yield row


def test_the_job_ad_is_that_of_condor_submit(folder: Path) -> None:
    plain = ad_of(folder, PLAIN)
    wrong, compared = [], 0
    for row in taken():
        for proc, said in enumerate(row["ads"]):
            mine = ad_of(folder, row["text"], proc)
            for name in {*said, *mine, *plain} - NOT_MADE.keys() - {"Requirements"}:
                if name.startswith(("SET ", "EVALSET ")):
                    continue  # further lines of TransformBody
                wanted = said[name] if name in said else plain.get(name)
                compared += name in said
                if mine.get(name) != wanted:
                    wrong.append((row["text"], proc, name, wanted, mine.get(name)))
    assert not wrong, f"{len(wrong)}: {wrong[:10]}"
    assert compared > 1_500


def test_requirements_are_those_of_condor_submit(folder: Path) -> None:
    plain = ad_of(folder, PLAIN)["Requirements"]
    wrong, other = [], 0
    for row in taken():
        wanted = row["ads"][0].get("Requirements", plain)
        mine = ad_of(folder, row["text"])["Requirements"]
        other += wanted != plain
        if clauses(mine) != clauses(wanted):
            wrong.append((row["text"], clauses(wanted) ^ clauses(mine)))
    assert not wrong, f"{len(wrong)}: {wrong[:10]}"
    assert other > 100


def clauses(text: str) -> set[str]:
    """Return the conditions that && joins, at any depth, without spaces and parentheses."""
    found: set[str] = set()
    for part in top_level_and(text):
        inner = part
        while re.fullmatch(r"\(.*\)", inner) and top_level_and(inner[1:-1]) and balanced(inner):
            inner = inner[1:-1].strip()
        parts = top_level_and(inner)
        found |= (
            clauses(inner) if len(parts) > 1 else {re.sub(r"[\s()]", "", unparse(parse(inner)))}
        )
    return found


def balanced(text: str) -> bool:
    """Whether the first parenthesis is closed by the last one."""
    depth = 0
    for number, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return number == len(text) - 1
    return False


def test_as_many_jobs_as_condor_submit_makes(folder: Path) -> None:
    wrong = []
    for row in taken():
        total = sum(subject.job.queue.total for subject in subjects(folder, row["text"]))
        if total != row["jobs"] and not row["refused"]["25.14"]:
            wrong.append((row["text"], row["jobs"], total))
    assert not wrong, f"{len(wrong)}: {wrong[:10]}"


# --- one meaning --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted((SHARED / "cases/check/three-readings").glob("*.sub")), ids=lambda p: p.stem
)
def test_check_slots_and_rehearse_agree_with_condor_submit(path: Path, tmp_path: Path) -> None:
    project = shutil.copytree(path.parent, tmp_path / "three")
    for one in (project, *project.iterdir()):
        one.chmod(0o755)
    refused = path.stem in ("never", "false", "no")  # as condor_submit 25.14.1 says of these files
    in_image = path.stem in ("five_image", "vanilla_image", "udocker", "ucontainer")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pixi_scaffold", *words]
        return subprocess.run(
            command, cwd=project, capture_output=True, text=True, check=False, timeout=300
        )

    check = run("check", path.name, "--only", "submit")
    assert check.returncode == (3 if refused else 0), check.stdout
    slots = run("check", path.name, "--slots", "typical", "--only", "slots")
    assert ("condor_submit refuses" in slots.stdout) == refused, slots.stdout
    matches = "0 of 13" if refused or path.stem == "udocker" else "13 of 13"  # none has Docker
    assert f"{matches} typical slots match" in slots.stdout, slots.stdout
    rehearsal = run("rehearse", path.name)
    assert "condor_submit" not in rehearsal.stdout or not refused
    if refused:
        assert rehearsal.returncode == 3, rehearsal
        assert "condor_submit refuses" in rehearsal.stderr, rehearsal
    elif in_image:
        assert rehearsal.returncode == 1, rehearsal
        assert "image" in rehearsal.stderr, rehearsal
    else:
        held = path.stem == "exefalse"  # job.sh stays behind, so it is held (6/2), as on a pool
        assert rehearsal.returncode == (3 if held else 0), rehearsal
        assert "condor_submit refuses" not in rehearsal.stderr, rehearsal
