"""Jobs that leave odd things behind: a rehearsal touches nothing of anybody else's and ends in a report."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.command import scaffold

SETTINGS = "executable = job.sh\noutput = o\nerror = e\nrequest_memory = 1GB\nrequest_disk = 1GB\n"


class Job:
    """A job in a folder of its own, with a foreign folder and a scratch folder beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.foreign, self.scratch = (
            folder / name for name in ("job", "foreign", "scratch")
        )
        for path in (self.folder, self.foreign, self.scratch):
            path.mkdir()
        (self.foreign / "f").write_text("FOREIGN")

    def rehearse(self, script: str, lines: str = "", *options: object) -> dict:
        (self.folder / "job.sh").write_text(f"#!/bin/bash\n{script}\n")
        (self.folder / "job.sh").chmod(0o755)
        (self.folder / "job.sub").write_text(f"{SETTINGS}{lines}\nqueue\n")
        where = ("--scratch", self.scratch)
        ran = scaffold(
            "rehearse", "job.sub", "--json", *where, *options, cwd=self.folder, timeout=600
        )
        assert list(self.scratch.iterdir()) == [], "nothing is left"
        assert "FOREIGN" not in ran.out
        assert (self.foreign / "f").read_text() == "FOREIGN"
        for path in (self.folder / ".pixi" / "rehearsal" / "job-0").rglob("*"):
            assert not path.is_file() or b"FOREIGN" not in path.read_bytes(), path
        return dict(ran.document["jobs"][0])


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


FOREIGN = "$(cat where)/f"
WHERE = "transfer_input_files = where\n"


@pytest.mark.parametrize(
    ("script", "outputs", "code"),
    [
        (f"ln -s {FOREIGN} l", "l", 2),
        (f"ln -s {FOREIGN} l", None, None),
        (f"mkdir d; ln -s {FOREIGN} d/l; echo 1 > d/x", "d", None),
        ("ln -s $(cat where) d", "d/f", 2),
        ("ln -s $(cat where) d", "d/", 2),
        ("ln -s $(cat where) d", "d", 2),
        ("ln -s / d", "d/etc/shadow", 2),
        ("true", "../../../../../../etc/hostname", 2),
        ("true", "/etc/shadow", 2),
    ],
)
def test_no_link_leads_out_of_the_sandbox(
    job: Job, script: str, outputs: str | None, code: int | None
) -> None:
    """On a worker they dangle, so that a named output is missing there (hold 12, subcode 2)."""
    (job.folder / "where").write_text(str(job.foreign))
    named = f"transfer_output_files = {outputs}" if outputs else ""
    found = job.rehearse(script, WHERE + named)
    held = found["hold"] and (found["hold"]["code"], found["hold"]["subcode"])
    assert held == ((12, code) if code else None)
    assert "l" not in found["brought"]


def test_a_link_to_a_file_of_the_system_is_named_and_not_followed(job: Job) -> None:
    """A worker would send its own file, and so the job ends (seen with 25.14.1)."""
    for script, outputs in (
        ("ln -s /etc/passwd l", "l"),
        ("ln -s / l", "l/etc/passwd"),
        ("mkdir d; ln -s /etc/passwd d/l; echo 1 > d/x", "d"),
        ("ln -s /etc/passwd l", ""),
    ):
        found = job.rehearse(script, f"transfer_output_files = {outputs}" if outputs else "")
        assert (found["state"], found["code"]) == ("completed", 0)
        assert [name for name in found["brought"] if name not in ("o", "e")] in ([], ["d/x"])
        assert "a link to a file of the system" in str(found["notes"])


def test_a_file_of_the_system_comes_back_by_its_own_name(job: Job) -> None:
    found = job.rehearse("true", "transfer_output_files = /etc/passwd")
    assert found["state"] == "completed"
    assert found["brought"] == ["e", "o", "passwd"]


def test_a_link_inside_the_sandbox_is_followed(job: Job) -> None:
    found = job.rehearse('echo 1 > f; ln -s "$PWD/f" l', "transfer_output_files = l")
    assert found["state"] == "completed"
    assert "l" in found["brought"]


def test_a_log_that_became_a_link_is_no_log(job: Job) -> None:
    """Also when the job is started again in its sandbox, after a checkpoint."""
    (job.folder / "where").write_text(str(job.foreign))
    script = (
        f"rm -f _condor_stderr _condor_stdout; ln -s {FOREIGN} _condor_stderr; mkfifo _condor_stdout\n"
        "[ -e again ] && exit 7; touch again; exit 85"
    )
    found = job.rehearse(script, WHERE + "checkpoint_exit_code = 85")
    assert [a["code"] for a in found["attempts"]] == [85, 7]
    assert found["last_lines"] == {"output": [], "error": []}


def test_a_fifo_keeps_nobody_waiting(job: Job) -> None:
    found = job.rehearse("mkfifo p _condor_x; rm _condor_stdout; mkfifo _condor_stdout; exit 3")
    assert (found["state"], found["code"]) == ("completed", 3)


@pytest.mark.slow
def test_three_thousand_folders(job: Job) -> None:
    nested = "perl -e 'for(1..3000) {mkdir q(d); chdir q(d) or die}'"
    found = job.rehearse(f"mkdir r; cd r; {nested}; cd ..; chmod 0 r", "")
    assert found["state"] == "completed"
    found = job.rehearse(f"mkdir r; cd r; {nested}", "transfer_output_files = r")
    assert (found["hold"]["code"], found["hold"]["subcode"]) == (12, 1)


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff"))
    odd.mkdir()
    job = Job(odd)
    found = job.rehearse("mkdir d; touch d/$'\\xfe'; echo 1 > d/f", "transfer_output_files = d")
    assert found["state"] == "completed"
    assert len(found["brought"]) == 4
    ran = scaffold("rehearse", "job.sub", cwd=job.folder)
    assert ran.code == 0, ran


@pytest.mark.parametrize("name", ["rehearsal-talk", "rehearsal-abcdefgh"])
def test_only_what_is_surely_a_sandbox_is_swept(job: Job, name: str) -> None:
    """A lock in it is not enough, nor the right lock beside something else."""
    from pixi_scaffold.rehearsal import workplace

    theirs = job.scratch / name
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("mine")
    for text in ("", workplace._MARK):
        (theirs / "lock").write_text(text)
        (job.folder / "job.sub").write_text(SETTINGS + "queue\n")
        (job.folder / "job.sh").write_text("#!/bin/sh\n")
        assert scaffold("rehearse", "job.sub", "--scratch", job.scratch, cwd=job.folder).code == 0
        assert (theirs / "thesis.txt").read_text() == "mine"
    (theirs / "thesis.txt").unlink()
    (theirs / "spool").mkdir()
    assert scaffold("rehearse", "job.sub", "--scratch", job.scratch, cwd=job.folder).code == 0
    assert not theirs.exists(), "what a rehearsal left that was killed"
