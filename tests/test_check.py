"""`check` as a user types it: stages, files alone, fixes, slots, formats, exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pixi_scaffold.check.verdict import verdict
from pixi_scaffold.check.workspace import LockProof
from pixi_scaffold.rules.program import _locked
from pixi_scaffold.workspace import read_manifest
from tests.golden import make, template_repository
from tests.support.command import Ran, scaffold
from tests.test_rules import LOCK, PLAIN

linux = pytest.mark.skipif(sys.platform != "linux", reason="HTCondor's bindings are for Linux")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check")
    project = make(template_repository(folder / "t"), {}, folder / "example")
    shutil.copy(LOCK, project / "pixi.lock")
    return project


@pytest.fixture
def project(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "example")


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A submit file with nothing of Pixi around it."""
    for name, text in PLAIN.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "run.sh").chmod(0o755)
    return tmp_path / "job.sub"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def stages(ran: Ran) -> dict[str, str]:
    return {r["name"]: r["status"] for r in ran.document["results"]}


def test_a_good_project_passes_every_stage(project: Path) -> None:
    ran = scaffold("check", "--json", "--strict", cwd=project)
    assert ran.code == 0, ran
    assert stages(ran) == dict.fromkeys(("manifest", "lock", "tasks", "submit", "worker"), "passed")
    assert ran.document["findings"] == []
    assert ran.document["ok"] is True


def test_a_finding_has_all_that_is_needed_to_act_on_it(project: Path) -> None:
    change(project / "htcondor/train.sub", "pixi.toml, pixi.lock", "pixi.toml")
    ran = scaffold("check", "--json", cwd=project)
    assert ran.code == 3
    assert stages(ran)["submit"] == "failed"
    [finding] = ran.document["findings"]
    lines = (project / "htcondor/train.sub").read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if text.startswith("transfer_input_files"))
    assert finding["file"] == "htcondor/train.sub"
    assert finding["line"] == line
    assert (finding["rule"], finding["severity"], finding["fixable"]) == ("PS506", "error", True)
    assert "pixi.lock" in finding["message"]
    assert "transfer_input_files" in finding["fix"]
    text = scaffold("check", cwd=project)
    assert f"htcondor/train.sub:{line}: error PS506: " in text.out
    assert "--fix does what is safe" in text.out


def test_a_warning_is_shown_and_does_not_fail(project: Path) -> None:
    change(project / "htcondor/train.sub", "\nqueue\n", "\nqueue 100\n")
    ran = scaffold("check", cwd=project)
    assert ran.code == 0
    assert "warning PS501" in ran.out
    assert "100 jobs" in ran.out


def test_fix_corrects_what_is_safe_and_says_so(project: Path) -> None:
    path = project / "htcondor/train.sub"
    good = path.read_text()
    change(path, "gpus_minimum_runtime = 12.0", "gpus_minimum_runtime = 11.8")
    change(path, "request_memory =", "request_memroy =")
    shutil.rmtree(project / "logs")
    ran = scaffold("check", "--fix", "--json", cwd=project)
    assert ran.code == 0, ran
    assert path.read_text() == good
    assert (project / "logs").is_dir()
    ids = sorted(line.split()[2] for line in ran.document["fixed"])
    assert ids == ["PS102:", "PS208:", "PS502:"]
    again = scaffold("check", "--fix", "--json", cwd=project)
    assert again.document["fixed"] == []


def test_only_and_skip(project: Path) -> None:
    only = scaffold("check", "--only", "worker", "--json", cwd=project)
    assert stages(only) == {"worker": "passed"}
    needed = scaffold("check", "--only", "lock", "--json", cwd=project)
    assert list(stages(needed)) == ["manifest", "lock"]
    skipped = scaffold("check", "--skip", "manifest", "--strict", "--json", cwd=project)
    assert skipped.code == 0, "what the user leaves out is no failure"
    assert stages(skipped) == {
        "manifest": "skipped",
        "lock": "skipped",
        "tasks": "skipped",
        "submit": "passed",
        "worker": "passed",
    }
    wrong = scaffold("check", "--only", "nonsense", cwd=project)
    assert wrong.code == 2
    assert "manifest, lock, tasks, submit, worker" in wrong.err


def test_strict_counts_what_was_skipped(project: Path) -> None:
    (project / "pixi.lock").unlink()
    path = project / "htcondor/train.sub"
    change(path, ", pixi.lock\n", "\n")
    ran = scaffold("check", "--only", "submit", "--json", cwd=project)
    assert [s["what"] for s in ran.document["skipped"]] == ["rules against the lock"]
    change(path, "pixi.toml\n", "pixi.toml, pixi.lock\n")
    assert scaffold("check", "--only", "submit", cwd=project).code == 0
    strict = scaffold("check", "--only", "submit", "--strict", cwd=project)
    assert strict.code == 3
    assert "--strict" in strict.out


def test_submit_files_alone(job: Path) -> None:
    ran = scaffold("check", job.name, "--json", cwd=job.parent)
    assert ran.code == 0
    assert stages(ran) == {"submit": "passed", "worker": "passed"}
    elsewhere = job.parent / "else"
    elsewhere.mkdir()
    assert scaffold("check", job, cwd=elsewhere).code == 0, "paths start where the executable is"
    wrong = scaffold("check", job, "--from", ".", "--json", cwd=elsewhere)
    assert wrong.code == 3
    assert "PS201" in {f["rule"] for f in wrong.document["findings"]}


def test_a_folder_without_a_workspace(job: Path) -> None:
    ran = scaffold("check", "--json", cwd=job.parent)
    assert ran.code == 0
    assert ran.document["skipped"][0]["what"] == "manifest"
    assert scaffold("check", "--strict", cwd=job.parent).code == 3
    empty = job.parent / "empty"
    empty.mkdir()
    nothing = scaffold("check", cwd=empty)
    assert nothing.code == 2
    assert "pixi.toml" in nothing.err


def test_a_workspace_of_others_that_only_pixi_can_judge(project: Path) -> None:
    path = project / "pixi.toml"
    path.write_text(path.read_text() + '\n[pypi-dependencies]\nrequests = "*"\n')
    change(
        project / "htcondor/train.sub", "gpus_minimum_runtime = 12.0", "gpus_minimum_runtime = 11.8"
    )
    ran = scaffold("check", "--json", cwd=project)
    [lock] = [s for s in ran.document["results"] if s["name"] == "lock"]
    assert lock["status"] == "failed"  # Pixi: missing purls
    assert "purls" in lock["lines"][0]
    assert lock["hint"].endswith("pixi-scaffold lock") or "pixi_scaffold lock" in lock["hint"]
    assert [f["rule"] for f in ran.document["findings"]] == ["PS502"], (
        "the lock is read all the same"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.sub"], "there is no nowhere.sub"),
        (["job.sub", "."], "is a folder"),
        (["job.sub", "--train"], "--train and --rehearse need a workspace"),
        (["--json", "--format", "sarif"], "exclude each other"),
        (["job.sub", "--slots", "nowhere.ad"], "cannot read nowhere.ad"),
        (["job.sub", "--slots", "run.sh"], "no machine ads"),
    ],
)
def test_wrong_usage(job: Path, arguments: list[str], said: str) -> None:
    ran = scaffold("check", *arguments, cwd=job.parent)
    assert ran.code in (2, 3)
    assert said in ran.err + ran.out


def test_a_submit_file_that_cannot_be_read_is_an_error_of_the_user(job: Path) -> None:
    job.write_bytes(bytes(range(256)) * 40)
    ran = scaffold("check", job.name, cwd=job.parent)
    assert ran.code == 3
    assert "PS109" in ran.out


@linux
def test_a_wrong_spec_is_found_before_anything_is_locked(project: Path) -> None:
    manifest = project / "pixi.toml"
    manifest.write_text(manifest.read_text() + "\n[feature.x.dependencies]\npython = '>=>3.11'\n")
    text = manifest.read_text().replace("[environments]", '[environments]\nx = ["x"]')
    manifest.write_text(text)
    ran = scaffold("check", "--json", cwd=project)
    assert ran.code == 3
    results = {r["name"]: r for r in ran.document["results"]}
    assert results["manifest"]["status"] == "failed"
    assert ">=>3.11" in results["manifest"]["detail"]


def test_a_folder_inside_says_where_the_workspace_is(project: Path) -> None:
    (project / "empty").mkdir()
    ran = scaffold("check", cwd=project / "empty")
    assert ran.code == 2
    assert "cd .." in ran.err


def test_slots_say_which_clause_refuses(project: Path) -> None:
    ran = scaffold("check", "--slots", "typical", "--only", "slots", cwd=project)
    assert ran.code == 0, ran
    assert "9 of 13 typical slots match" in ran.out
    refused = next(line for line in ran.out.splitlines() if "P100" in line)
    assert "gpus_minimum_capability (line " in refused
    document = scaffold("check", "--slots", "typical", "--json", cwd=project).document
    [answer] = document["slots"]
    old = next(s for s in answer["slots"] if s["name"] == "slot1@v100-old-driver.example")
    origins = ["gpus_minimum_capability", "gpus_minimum_runtime"]
    assert [c["origin"] for c in old["refused"]] == origins
    change(project / "htcondor/train.sub", "request_cpus = 1", "request_cpus = 5000")
    none = scaffold("check", "--slots", "typical", cwd=project)
    assert none.code == 3
    assert "0 of 13 typical slots match" in none.out
    assert "TARGET.Cpus >= RequestCpus" in none.out


@linux
def test_slots_of_ones_own_bring_their_attributes(job: Path) -> None:
    change(job, "queue", "requirements = HasGPULab && Memory > 1000\nqueue")
    assert "note PS106" in scaffold("check", job.name, cwd=job.parent).out
    ad = 'MyType = "Machine"\nName = "a"\nArch = "X86_64"\nOpSys = "LINUX"\nCpus = 4\nMemory = 8000\n'
    ad += 'CondorVersion = "$CondorVersion: 25.14.1 2026-09-24 $"\n'
    ad += "Disk = 90000000\nHasFileTransfer = true\nHasGPULab = true\nRequirements = true\n"
    (job.parent / "slots.ad").write_text(
        ad + "\n" + ad.replace("HasGPULab = true", "HasGPULab = false")
    )
    ran = scaffold("check", job.name, "--slots", "slots.ad", cwd=job.parent)
    assert ran.code == 0, ran
    assert "PS106" not in ran.out
    assert "1 of 2 slots of slots.ad match" in ran.out
    assert "HasGPULab (line " in ran.out


def test_github_annotations(project: Path) -> None:
    change(project / "htcondor/train.sub", "universe = vanilla", "universe = vanila")
    (project / "pixi.toml").write_text((project / "pixi.toml").read_text() + "\nbroken")
    ran = scaffold("check", "--format", "github", cwd=project)
    assert ran.code == 3
    lines = ran.out.splitlines()
    assert any(
        line.startswith("::error file=htcondor/train.sub,line=") and "title=PS114::" in line
        for line in lines
    )
    assert any(line.startswith("::error title=manifest::") for line in lines)
    assert all(line.startswith("::") for line in lines), "logs go to stderr"


def test_sarif(project: Path) -> None:
    change(project / "htcondor/train.sub", "universe = vanilla", "universe = vanila")
    ran = scaffold("check", "--format", "sarif", cwd=project)
    assert ran.code == 3
    document = json.loads(ran.out)
    assert document["version"] == "2.1.0"
    [run] = document["runs"]
    [result] = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert result["ruleId"] == "PS114"
    assert result["level"] == "error"
    assert place["artifactLocation"]["uri"] == "htcondor/train.sub"
    assert place["region"]["startLine"] > 1
    known = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert result["ruleId"] in known
    assert len(known) > 40


def test_it_writes_nothing_without_fix(project: Path) -> None:
    def state() -> dict[str, bytes]:
        return {
            str(p.relative_to(project)): p.read_bytes() for p in project.rglob("*") if p.is_file()
        }

    before = state()
    change(project / "htcondor/train.sub", "universe = vanilla", "universe = vanilla")
    for arguments in ([], ["--json"], ["--format", "sarif"], ["--slots", "typical"]):
        scaffold("check", *arguments, cwd=project)
    assert state() == before


def test_many_files_and_one_that_is_wrong(job: Path) -> None:
    for number in range(30):
        (job.parent / f"j{number}.sub").write_text(job.read_text())
    change(job.parent / "j7.sub", "request_memory = 1GB", "request_memory = 1Gigs")
    ran = scaffold("check", "--json", cwd=job.parent)
    assert [f["file"] for f in ran.document["findings"]] == ["j7.sub"]
    assert "31 submit files: 1 error" in next(
        r["detail"] for r in ran.document["results"] if r["name"] == "submit"
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs in folders")
def test_what_is_no_regular_file_is_refused_with_words(job: Path) -> None:
    folder = job.parent
    os.mkfifo(folder / "p.sub")
    (folder / "zero.sub").symlink_to("/dev/zero")
    (folder / "loop.sub").symlink_to("loop.sub")
    (folder / "gone.sub").symlink_to("nowhere")
    for name, said in (
        ("p.sub", "p.sub is not a regular file"),
        ("zero.sub", "zero.sub is not a regular file"),
        ("loop.sub", "cannot read loop.sub: Too many levels of symbolic links"),
        ("gone.sub", "cannot read gone.sub: No such file"),
        ("x" * 300, "there is no xxx"),
    ):
        ran = scaffold("check", name, cwd=folder, timeout=600)
        assert ran.code == 2, ran
        assert said in ran.err
    (folder / "d.sub").mkdir()
    ran = scaffold("check", "--json", cwd=folder, timeout=600)
    assert ran.code == 3
    found = {f["file"]: f["message"] for f in ran.document["findings"]}
    assert set(found) == {"p.sub", "zero.sub", "loop.sub", "gone.sub"}, "job.sub is read"
    assert found["p.sub"] == "it cannot be read: is not a regular file"
    assert "5 submit files: 4 errors" in scaffold("check", cwd=folder, timeout=600).out
    slots = scaffold("check", job.name, "--slots", "p.sub", cwd=folder, timeout=600)
    assert "p.sub: is not a regular file" in slots.err
    two = scaffold("check", "p.sub", job.name, "--json", cwd=folder, timeout=600)
    assert [f["file"] for f in two.document["findings"]] == ["p.sub"]
    assert two.code == 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs in folders")
@pytest.mark.parametrize("line", ["executable = fifo", "transfer_input_files = fifo"])
def test_a_job_with_a_fifo_ends_and_says_so(job: Path, line: str) -> None:
    os.mkfifo(job.parent / "fifo")
    name = line.split(maxsplit=1)[0]
    kept = [text for text in job.read_text().splitlines() if not text.startswith(name)]
    job.write_text("\n".join([line, *kept, ""]))
    ran = scaffold("check", job.name, "--json", cwd=job.parent, timeout=600)
    assert {"what": "fifo", "why": "is not a regular file"} in ran.document["skipped"]


@pytest.mark.parametrize("name", ["loop", "x" * 300, "a/" * 3000])
def test_a_file_name_that_cannot_be_looked_at_is_a_finding(job: Path, name: str) -> None:
    (job.parent / "loop").symlink_to("loop")
    for line in ("executable", "transfer_input_files", "initialdir", "log"):
        kept = [text for text in PLAIN["job.sub"].splitlines() if not text.startswith(line)]
        job.write_text("\n".join([f"{line} = {name}", *kept, ""]))
        ran = scaffold("check", job.name, "--json", cwd=job.parent)
        if line != "log" or "/" in name:
            assert ran.code == 3, ran
            assert {f["rule"] for f in ran.document["findings"]} & {"PS201", "PS205", "PS208"}


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv takes root's rights away")
def test_a_folder_that_cannot_be_read_is_said(job: Path) -> None:
    closed = job.parent / "closed"
    closed.mkdir(mode=0)
    rights = "-dac_override,-dac_read_search"
    user = os.geteuid() == 0
    prefix = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if user else []
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "pixi_scaffold", "check", "--json"],
        cwd=job.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    skipped = {s["what"]: s["why"] for s in json.loads(done.stdout)["skipped"]}
    assert skipped["closed"] == "Permission denied"


@pytest.mark.slow
def test_many_findings_of_one_rule_are_counted_not_listed(job: Path) -> None:
    names = ", ".join(f"missing{number}" for number in range(2000))
    job.write_text(f"transfer_input_files = {names}\n" + PLAIN["job.sub"].replace("input", "x"))
    ran = scaffold("check", job.name, cwd=job.parent)
    assert ran.code == 3
    listed = [line for line in ran.out.splitlines() if "error PS205" in line]
    assert len(listed) == 20
    assert "job.sub: and 1980 more of PS205, which are not listed" in ran.out
    found = scaffold("check", job.name, "--json", cwd=job.parent).document["findings"]
    assert [f["more"] for f in found if f["rule"] == "PS205"] == [0] * 19 + [1980]
    errors = sum(1 + f["more"] for f in found if f["severity"] == "error")
    assert f"job.sub: {errors} errors" in ran.out
    annotated = scaffold("check", job.name, "--format", "github", cwd=job.parent).out
    assert "and 1980 more" in annotated


def test_queue_statements_that_are_not_looked_at_are_said(job: Path) -> None:
    change(job, "queue\n", "queue\n" * 20_000)
    ran = scaffold("check", job.name, "--json", cwd=job.parent, timeout=600)
    [skipped] = [s for s in ran.document["skipped"] if "queue statements" in s["what"]]
    assert skipped["what"] == "19950 of 20000 queue statements of job.sub"
    assert scaffold("check", job.name, "--strict", cwd=job.parent).code == 3


def test_paths_start_in_the_project_though_its_manifest_is_broken(project: Path) -> None:
    (project / "pixi.toml").write_text("[workspace\n")
    ran = scaffold("check", "--json", cwd=project)
    assert stages(ran)["manifest"] == "failed"
    assert ran.document["findings"] == []
    alone = scaffold("check", project / "htcondor/train.sub", "--json", cwd=project.parent)
    assert alone.document["findings"] == []
    assert [s["what"] for s in alone.document["skipped"]] == ["rules against pixi.toml"]


def test_the_folder_that_is_checked_is_tried_before_the_files_own(job: Path) -> None:
    below = job.parent / "jobs"
    below.mkdir()
    job.rename(below / "job.sub")
    (below / "run.sh").write_text("#!/bin/sh\ncd build\n")
    elsewhere = job.parent / "else"
    elsewhere.mkdir()
    ran = scaffold("check", job.parent, "--json", cwd=elsewhere)
    assert ran.code == 0, ran
    own = scaffold("check", below / "job.sub", "--json", cwd=elsewhere)
    assert "PS305" in {f["rule"] for f in own.document["findings"]}, "named, it is its own folder"


def test_a_symlinked_file_has_the_folder_of_the_link(job: Path) -> None:
    other = job.parent / "other"
    other.mkdir()
    job.rename(other / "job.sub")
    job.symlink_to("other/job.sub")
    (other / "run.sh").write_text("#!/bin/sh\ncd build\n")
    ran = scaffold("check", job, "--json", cwd=other)
    assert ran.code == 0, ran
    assert ran.document["findings"] == []


def test_parts_that_other_files_include_are_not_taken_for_jobs(tmp_path: Path) -> None:
    (tmp_path / "site.sub").write_text("request_disk = 20GB\n+WantFlocking = true\n")
    ran = scaffold("check", "--fix", cwd=tmp_path)
    assert ran.code == 0
    assert "taken for a part" in " ".join(ran.out.split())
    assert "queue" not in (tmp_path / "site.sub").read_text()
    assert "PS107" in scaffold("check", "site.sub", cwd=tmp_path).out, "it was named"


def test_slots_that_are_not_there_are_wrong_usage(job: Path) -> None:
    ran = scaffold("check", job.name, "--slots", "nope.ad", cwd=job.parent)
    assert ran.code == 2
    assert "condor_status -long" in ran.err


def test_a_folder_above_says_where_the_workspace_is(project: Path) -> None:
    ran = scaffold("check", "--json", cwd=project.parent)
    skipped = {s["what"]: s for s in ran.document["skipped"]}
    assert skipped["manifest"]["command"].endswith(f"check {project.name}")


ROWS = """\
executable = run.sh
transfer_input_files = in.txt
log = j.log
output = $(Process).out
error = $(Process).err
request_cpus = 1
request_disk = 1GB
request_memory = $(mem)
requirements = $(req)
queue mem, req from (
1GB, true
2GB, (Memory > 1
lots, true
)
"""


def test_every_row_of_a_queue_statement_is_judged(job: Path) -> None:
    job.write_text(ROWS)
    ran = scaffold("check", job.name, "--json", cwd=job.parent)
    found = {(f["rule"], f["line"]) for f in ran.document["findings"]}
    assert found == {("PS105", 9), ("PS103", 8)}
    out = scaffold("check", job.name, "--slots", "typical", cwd=job.parent).out
    assert "condor_submit refuses it" in out
    job.write_text(ROWS.replace("2GB, (Memory > 1", "9000GB, true").replace("lots", "3GB"))
    out = scaffold("check", job.name, "--slots", "typical", cwd=job.parent).out
    assert "0 of 13 typical slots match" in " ".join(out.split())
    assert "of 3 kinds of jobs the one that matches least" in out


def test_rows_that_are_not_looked_at_are_said(job: Path) -> None:
    rows = "\n".join(f"{number}GB, true" for number in range(1, 31))
    job.write_text(ROWS[: ROWS.index("1GB, true")] + rows + "\n)\n")
    ran = scaffold("check", job.name, "--json", "--skip", "worker", cwd=job.parent)
    assert any("10 rows of the queue statement" in s["what"] for s in ran.document["skipped"])


def test_annotations_name_files_from_the_top_of_the_repository(job: Path) -> None:
    folder = job.parent / "a b"
    folder.mkdir()
    for path in list(job.parent.glob("*.*")):
        path.rename(folder / path.name)
    change(folder / job.name, "request_memory = 1GB", "request_memory = lots")
    (job.parent / ".git").mkdir()
    out = scaffold("check", "a b", "--format", "github", cwd=job.parent).out
    assert "file=a b/job.sub,line=8," in out
    out = scaffold("check", "--format", "github", cwd=folder).out
    assert "file=a b/job.sub,line=8," in out
    sarif = scaffold("check", "a b", "--format", "sarif", cwd=job.parent).document
    [result] = sarif["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == "a%20b/job.sub"


def test_a_folder_after_from_that_is_not_there_is_wrong_usage(job: Path) -> None:
    assert scaffold("check", job.name, "--from", "nope", cwd=job.parent).code == 2


def test_a_check_below_the_workspace_says_where_the_workspace_is(project: Path) -> None:
    """condor_submit would be run there, too: every path of the description starts there."""
    ran = scaffold("check", "--json", cwd=project / "htcondor")
    first = ran.document["skipped"][0]
    assert first["what"] == "manifest"
    assert first["why"].endswith("; a workspace is in ..")
    assert first["command"].endswith(" check ..")


def test_an_import_may_come_from_pypi_where_the_job_runs(project: Path) -> None:
    """Locked for the Mac alone, it is not there. The import has another name than the package."""
    main, lock = project / "main.py", project / "pixi.lock"
    main.write_text("import cv2\n" + main.read_text())
    clean = lock.read_text()
    file = "https://files.example/opencv_python-4.0-py3-none-any.whl"
    block = f"- pypi: {file}\n  name: opencv-python\n  version: '4.0'\n"

    def found(platforms: str) -> list[str]:
        rows = re.sub(
            f"^      ({platforms}):\n", rf"\g<0>      - pypi: {file}\n", clean, flags=re.M
        )
        lock.write_text(rows + block)
        ran = scaffold("check", "--json", cwd=project)
        return [f["message"] for f in ran.document["findings"] if f["rule"] == "PS510"]

    assert "provides cv2" in " ".join(found("osx-arm64"))
    assert found("linux-64-cuda|linux-64-cpu|p1|p2") == []


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("cv2", "opencv-python-headless"),
        ("sklearn", "scikit-learn"),
        ("mpl_toolkits", "matplotlib"),
        ("bs4", "beautifulsoup4"),
        ("Crypto", "pycryptodome"),
        ("torch", "torch"),
        ("einops", "einops"),
    ],
)
def test_names_of_pypi_are_known(module: str, package: str) -> None:
    assert _locked(module, frozenset({package}))
    assert not _locked(module, frozenset({"other"}))


def test_a_verdict_names_a_stand_in_channel_that_has_all_platforms(tmp_path: Path) -> None:
    path = tmp_path / "pixi.toml"
    text = '[workspace]\nname = "p"\nchannels = ["conda-forge"]\nplatforms = ["linux-64"]\n'
    path.write_text(text, encoding="utf-8")
    proof = LockProof(path, ("linux-64",), {}, stand_in=True, why="asked for")
    said = verdict("p", [], read_manifest(path), proof, None, None)
    assert said.notes == ("conda-forge is replaced by another channel",)
