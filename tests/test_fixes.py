"""--fix on real files: every other byte, the owner, the links stay; a failure loses nothing."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pixi_scaffold.check.fix import apply_fixes
from pixi_scaffold.check.review import review
from pixi_scaffold.report import Silent
from pixi_scaffold.rules import Edit, Finding, Severity
from tests.support.command import Ran, scaffold
from tests.test_rules import PLAIN


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A submit file with one misspelt command, which --fix corrects."""
    for name, text in PLAIN.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "run.sh").chmod(0o755)
    path = tmp_path / "job.sub"
    path.write_text(PLAIN["job.sub"].replace("request_memory", "request_memroy"))
    return path


def fix(path: Path) -> Ran:
    return scaffold("check", path.name, "--fix", "--json", cwd=path.parent)


def edited(path: Path, *edits: Edit) -> bytes:
    findings = [Finding("PS102", Severity.ERROR, path, e.first, "m", "f", (e,)) for e in edits]
    assert len(apply_fixes(findings)) == len(edits)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("before", "edit", "after"),
    [
        (b"a\r\nb\nc\r\n", (2, 2, ("B",)), b"a\r\nB\nc\r\n"),
        (b"a\nb\r\nc\n", (2, 2, ("B", "B")), b"a\nB\r\nB\r\nc\n"),
        (b"a\r\nb", (2, 2, ("B",)), b"a\r\nB"),
        (b"a\r\nb", (2, 2, ("B", "C")), b"a\r\nB\r\nC"),
        (b"a\nb\n", (2, 2, ()), b"a\n"),
        (b"a\nb\n", (3, 2, ("c",)), b"a\nb\nc\n"),
        (b"a\r\nb", (3, 2, ("c",)), b"a\r\nb\r\nc\r\n"),
        (b"a", (2, 1, ("c",)), b"a\nc\n"),
        (b"\xe9\n\xff\x00\nb\n", (3, 3, ("B",)), b"\xe9\n\xff\x00\nB\n"),
        (b"a\x0bb\x0c\x85\nc\n", (2, 2, ("C",)), b"a\x0bb\x0c\x85\nC\n"),
    ],
)
def test_an_edit_takes_the_line_end_of_its_line(
    tmp_path: Path, before: bytes, edit: tuple[int, int, tuple[str, ...]], after: bytes
) -> None:
    path = tmp_path / "f"
    path.write_bytes(before)
    assert edited(path, Edit(path, *edit)) == after


def test_edits_of_one_file_do_not_shift_each_other(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a\nb\nc\n")
    edits = (Edit(path, 1, 1), Edit(path, 2, 2, ("B", "B2")), Edit(path, 4, 3, ("d",)))
    assert edited(path, *edits) == b"B\nB2\nc\nd\n"


def test_bytes_that_are_not_utf8_stay(job: Path) -> None:
    text = job.read_bytes() + b"# caf\xe9\n"
    job.write_bytes(text.replace(b"queue\n", b"priority = 1 # caf\xe9\nqueue\n"))
    before = job.read_bytes()
    fix(job)
    after = before.replace(b"memroy", b"memory")
    assert job.read_bytes() == after.replace(
        b"priority = 1 # caf\xe9\n", b"# caf\xe9\npriority = 1\n"
    )


@pytest.mark.parametrize(
    "line", ["arguments = caf\udce9", "transfer_input_files = \udce9", "queue x in (a \udce9)"]
)
def test_a_description_of_other_bytes_is_read_to_the_end(job: Path, line: str) -> None:
    text = PLAIN["job.sub"].replace("queue\n", line + "\n" * 2)
    text += "" if line.startswith("queue") else "queue\n"
    job.write_bytes(os.fsencode(text))
    subprocess.run(["git", "init", "-q"], cwd=job.parent, check=True)
    assert scaffold("check", job.name, cwd=job.parent).code in (0, 3)
    sent = scaffold("submit", "--dry-run", "--no-check", job.name, cwd=job.parent)
    assert "UnicodeEncodeError" not in sent.err


def test_queue_goes_below_a_line_with_other_bytes(job: Path) -> None:
    job.write_bytes(PLAIN["job.sub"].replace("queue\n", "").encode() + b"# caf\xe9")
    before = job.read_bytes()
    assert fix(job).code == 0
    assert job.read_bytes() == before + b"\nqueue\n"


@pytest.mark.parametrize("end", [" \\\n", "\\", " \\\r\n", " \\\n# a comment \\\n"])
def test_no_queue_is_put_below_a_line_that_goes_on(job: Path, end: str) -> None:
    job.write_bytes(f"executable=run.sh\nrequest_memory=1GB{end}".encode())
    before = job.read_bytes()
    ran = fix(job)
    assert "PS107" in {f["rule"] for f in ran.document["findings"]}
    assert ran.document["fixed"] == []
    assert job.read_bytes() == before


def test_a_comment_of_an_earlier_value_is_no_edit(job: Path) -> None:
    job.write_text(
        PLAIN["job.sub"].replace("queue\n", "x = 1 # one\nrank = $(x)\nx = $(x)\nqueue\n")
    )
    assert fix(job).code in (0, 3)


def test_owner_mode_and_symlink_stay(job: Path) -> None:
    job.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(job, 1234, 2345)
    before = job.stat()
    link = job.with_name("link.sub")
    link.symlink_to("job.sub")
    assert fix(link).document["fixed"]
    after = job.stat()
    assert link.is_symlink()
    assert b"request_memory" in job.read_bytes()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_a_read_only_file_is_refused_and_the_rest_is_fixed(job: Path) -> None:
    second = job.with_name("second.sub")
    second.write_bytes(job.read_bytes())
    job.chmod(0o444)
    before = job.read_bytes()
    ran = scaffold("check", "--fix", "--json", cwd=job.parent)
    assert ran.code == 3
    assert job.read_bytes() == before
    assert b"request_memory" in second.read_bytes()
    assert ran.document["not_fixed"] == ["job.sub is not fixed: it is read-only"]
    assert [line.split(":")[0] for line in ran.document["fixed"]] == ["second.sub"]
    [stage] = [r for r in ran.document["results"] if r["name"] == "submit"]
    assert "chmod u+w" in stage["hint"]


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on the size of files is POSIX")
def test_a_full_disk_loses_nothing(job: Path) -> None:
    """RLIMIT_FSIZE stands for the full disk: the file cannot grow by the byte that is needed."""
    text = job.read_text().replace("request_memroy = 1GB", "request_memory = 1GB")
    job.write_text(text.replace("queue\n", "") + f"# {'x' * 5000}\n")
    second = job.with_name("a.sub")
    second.write_text(PLAIN["job.sub"].replace("request_memory", "request_memroy"))
    before, names = job.read_bytes(), sorted(p.name for p in job.parent.iterdir())
    limit = len(before)
    ran = subprocess.run(
        [sys.executable, "-B", "-m", "pixi_scaffold", "check", "--fix"],
        cwd=job.parent,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 1, ran
    assert "job.sub: not fixed: File too large, it is as it was; changed: a.sub" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ".job.sub." not in ran.stderr
    assert job.read_bytes() == before
    assert sorted(p.name for p in job.parent.iterdir()) == names
    assert "request_memory" in second.read_text()


def test_a_second_review_reads_files_that_have_changed(tmp_path: Path) -> None:
    job, script = tmp_path / "j.sub", tmp_path / "run.sh"
    job.write_text("executable = run.sh\nshould_transfer_files = YES\nqueue\n")
    for text, wrong in (("#!/bin/sh\r\ndate\r\n", True), ("#!/bin/sh\ndate\n", False)):
        script.write_text(text, newline="")
        script.chmod(0o755)
        said = {finding.rule for finding in review([job], Silent()).findings}
        assert ("PS204" in said) is wrong


def test_a_value_is_changed_where_the_name_has_its_letters(job: Path) -> None:
    job.write_text(PLAIN["job.sub"].replace("queue", "+akind =  kind\nqueue"))
    findings = [f for f in review([job], Silent()).findings if f.rule == "PS118"]
    assert apply_fixes(findings) == findings
    assert '+akind =  "kind"\n' in job.read_text()
