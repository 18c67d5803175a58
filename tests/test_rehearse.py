"""`pixi-scaffold rehearse`, as a user runs it, on small jobs; the judge is test_rehearsal_judge.py."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pixi_scaffold.job import quiet, read_description
from pixi_scaffold.lock import read_lock
from pixi_scaffold.rehearsal import Setting, attempts, findings, parallel, read_plan, rehearse_job
from pixi_scaffold.rehearsal import command as rehearse
from pixi_scaffold.rehearsal.cgroup import memory_limit
from pixi_scaffold.rehearsal.drift import is_of
from pixi_scaffold.rehearsal.parallel import in_parallel
from pixi_scaffold.report import Silent
from tests.support.command import Ran, scaffold
from tests.support.paths import LOCKS
from tests.support.processes import processes
from tests.support.server import closed, serve

linux = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are a thing of Linux")
SLEEP = f"sleep 98765.{os.getpid():08}"
"""Of this process of a test run alone: others that run at the same time have sleeping jobs, too."""
FIRST = "grep -q 'NumJobStarts = 0' .job.ad"
"""Whether it is started for the first time, and not again after an eviction."""
LOOKED_AT = "sleep 4"
"""Long enough for a look at the memory of a job, ten times a second, on a busy machine, too."""


class Job:
    """A folder with a description and a script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, script: str, lines: str = "", queue: str = "queue") -> Path:
        (self.folder / "job.sh").write_text(f"#!/bin/bash\n{script}\n")
        (self.folder / "job.sh").chmod(0o755)
        text = "executable = job.sh\noutput = o.out\nerror = o.err\nrequest_disk = 1GB\n"
        if "request_memory" not in lines:
            text += "request_memory = 1GB\n"
        path = self.folder / "job.sub"
        path.write_text(f"{text}{lines}\n{queue}\n")
        return path

    def rehearse(self, *options: object, code: int = 0) -> Ran:
        ran = scaffold("rehearse", "job.sub", *options, cwd=self.folder)
        assert ran.code == code, ran
        return ran

    def found(self, *options: object, code: int = 0) -> dict:
        """The JSON document's only job."""
        document = self.rehearse("--json", *options, code=code).document
        assert document["exit_code"] == code
        return dict(document["jobs"][0], results_of={r["name"]: r for r in document["results"]})

    def text(self, name: str = "o.out", proc: int = 0) -> str:
        return (self.folder / ".pixi" / "rehearsal" / f"job-{proc}" / name).read_text()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    folder = tmp_path / "project"
    folder.mkdir()
    return Job(folder)


def sandboxes(scratch: Path) -> list[Path]:
    return list(scratch.glob("rehearsal-*"))


def test_a_job_that_passes(job: Job) -> None:
    job.write("echo hello; echo 1 > f", "transfer_output_files = f")
    ran = job.rehearse()
    assert "exit code 0" in ran.out
    assert "condor_submit job.sub" in ran.out
    assert job.text() == "hello\n"
    assert job.text("f") == "1\n"
    assert not (job.folder / "f").exists(), "a rehearsal overwrites nothing"
    assert not (job.folder / "o.out").exists()


def test_a_failure_shows_the_last_lines_of_both_logs(job: Job) -> None:
    job.write("echo to stdout; echo to stderr >&2; exit 7")
    ran = job.rehearse(code=3)
    assert "the job ended with exit code 7" in ran.out
    assert "to stdout" in ran.out
    assert "to stderr" in ran.out


def test_a_log_does_no_harm_to_the_terminal(job: Job) -> None:
    job.write(
        "yes | head -c 3000000; printf '\\033[31mred\\007\\xff\\n'; head -c 999 /dev/zero; exit 1"
    )
    ran = job.rehearse(code=3)
    assert "\x1b" not in ran.out
    assert "\x07" not in ran.out
    assert "red" in ran.out
    assert len(ran.out) < 5000


def test_a_file_that_was_forgotten_is_named(job: Job) -> None:
    (job.folder / "helper.py").touch()
    (job.folder / "data.csv").touch()
    job.write("true")
    if "files" not in job.found()["isolated"]:
        pytest.skip("no namespaces here: the job sees all files")
    job.write("cat data.csv")
    hint = "is here and was not transferred: add it to transfer_input_files"
    assert f"data.csv {hint}" in job.rehearse(code=3).out
    job.write("echo \"No module named 'helper'\" >&2; exit 1")
    assert f"helper.py {hint}" in job.rehearse(code=3).out
    (job.folder / "data").mkdir()
    (job.folder / "data" / "a.csv").touch()
    for read in (
        "cat data/a.csv",
        f"cat {job.folder}/data/a.csv",
        "echo \"FileNotFoundError: [Errno 2] No such file or directory: 'data/a.csv'\" >&2; exit 1",
    ):
        job.write(read)
        folder = "data/a.csv is here and was not transferred: add its folder, data, to"
        assert folder in " ".join(job.rehearse(code=3).out.split())
    job.write("cat data/a.csv", "transfer_input_files = data/a.csv")
    assert "data/a.csv arrives as a.csv" in job.rehearse(code=3).out
    job.write("cat other.csv")
    assert hint not in job.rehearse(code=3).out


def test_a_missing_script_of_python_is_named_too(job: Job) -> None:
    (job.folder / "main.py").touch()
    what = "python: can't open file '$PWD/main.py': [Errno 2] No such file or directory"
    job.write(f'echo "{what}" >&2; exit 2')
    assert "main.py is here and was not transferred" in job.rehearse(code=3).out


def test_whether_htcondor_tries_again_is_told(job: Job) -> None:
    job.write("exit 2", "max_retries = 3")
    assert "started it 4 times (max_retries = 3)" in " ".join(job.rehearse(code=3).out.split())
    job.write("exit 2", "max_retries = 3\nretry_until = ExitCode =?= 2")
    assert "does not try it again" in " ".join(job.rehearse(code=3).out.split())
    job.write("exit 2", "max_retries = 3\nretry_until = ExitCode > 1")
    assert "does not try it again" in " ".join(job.rehearse(code=3).out.split())


def test_from_a_folder_inside_the_way_back_is_told(job: Job) -> None:
    (job.folder / "pixi.toml").touch()
    inside = job.folder / "htcondor"
    inside.mkdir()
    job.write("true").rename(inside / "train.sub")
    ran = scaffold("rehearse", cwd=inside)
    assert ran.code == 2
    assert "cd .. && " in ran.err


def test_what_condor_submit_would_refuse(job: Job) -> None:
    path = job.write("true")
    (job.folder / "job.sh").unlink()
    assert "executable job.sh is not there" in job.rehearse(code=3).err
    job.write("true", 'arguments = "one \'two"')
    assert "job.sub:6: a" in job.rehearse(code=3).err
    path.write_text("this is no description\nqueue\n")
    assert "job.sub:1" in job.rehearse(code=3).err
    path.unlink()
    assert "cannot read" in job.rehearse(code=2).err
    job.write("true", "universe = grid")
    assert "needs grid_resource" in job.rehearse(code=3).err
    job.write("true", "universe = local")
    assert "cannot be rehearsed here" in job.rehearse(code=1).err


@linux
def test_only_what_was_transferred_can_be_read(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".bashrc").write_text("private\n")
    monkeypatch.setenv("HOME", str(home))
    (job.folder / "secret.txt").write_text("secret")
    (job.folder / "data").mkdir()
    (job.folder / "data" / "x").write_text("x")
    mine = f"new-{os.getpid()}"
    job.write(
        f"cat {job.folder}/secret.txt; ls {job.folder}; ls -A {home}; cat {home}/.bashrc; cat x\n"
        f"echo written > {job.folder}/new; echo > /usr/new; echo > /tmp/{mine} && echo tmp; "
        "exec 3<>/dev/tcp/127.0.0.1/1; exec 3<>/dev/tcp/203.0.113.1/80; true",
        "transfer_input_files = data/",
    )
    found = job.found()
    if "files" not in found["isolated"]:
        pytest.skip(f"no namespaces here: {found['notes']}")
    assert job.text() == "xtmp\n"
    errors = job.text("o.err")
    assert f"{home}/.bashrc: No such file" in errors
    assert {str(home), str(job.folder)} <= set(found["hidden"])
    assert "this project, home" in found["results_of"]["inputs"]["detail"]
    assert "secret.txt: No such file" in errors
    assert "/usr/new: " in errors
    assert "Connection refused" in errors, "127.0.0.1 is there"
    assert "Network is unreachable" in errors
    assert not Path("/tmp", mine).exists()
    assert not (job.folder / "new").exists()


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has /root")
def test_the_home_of_root_is_hidden(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    job.write("ls -A /root; true")
    found = job.found()
    if "files" not in found["isolated"]:
        pytest.skip(f"no namespaces here: {found['notes']}")
    assert os.listdir("/root")
    seen = job.text().split()
    assert ".bashrc" not in seen
    assert len(seen) <= 1, "nothing but where the sandbox lies"
    assert "/root" in found["hidden"]


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder there")
def test_the_data_of_a_lab_is_no_workers(job: Job) -> None:
    with tempfile.TemporaryDirectory(dir="/srv", prefix="lab-") as name:
        lab = Path(os.path.realpath(name))
        lab.chmod(0o755)
        (lab / "data").write_text("data of the lab\n")
        job.write(f"cat {lab}/data; ls -A /srv /mnt; exit 1")
        ran = job.rehearse(code=3)
        if "NOT isolated" in ran.out:
            pytest.skip("no namespaces here")
        assert job.text() == ""
        out = " ".join(ran.out.split())
        assert "any folder but the system's" in out
        assert f"transfer it; or, where all workers have that folder, too: --show {lab}" in out
        (job.folder / "link").symlink_to(lab)
        job.write("cat link/data")
        assert "link/data is here and was not transferred" in job.rehearse(code=3).out
        job.write(f"cat {lab}/data; touch {lab}/new; true")
        found = job.found("--show", lab)
        assert job.text() == "data of the lab\n"
        assert any("every worker has it, too" in note for note in found["notes"])
        assert not (lab / "new").exists()


@linux
def test_the_python_of_a_venv_needs_the_installation_that_it_links_to(job: Job) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="lab-") as name:
        lab = Path(os.path.realpath(name))
        for folder in ("venv/bin", "python/bin"):
            (lab / folder).mkdir(parents=True)
        (lab / "python/bin/tool").write_text("#!/bin/sh\necho works\n")
        (lab / "python/bin/tool").chmod(0o755)
        (lab / "venv/bin/tool").symlink_to(lab / "python/bin/tool")
        job.write(f"exec {lab}/venv/bin/tool")
        ran = job.rehearse(code=3)
        if "NOT isolated" in ran.out:
            pytest.skip("no namespaces here")
        show = f"--show {lab}/venv --show {lab}/python"
        assert show in " ".join(ran.out.split())
        job.found(*show.split())
        assert job.text() == "works\n"


@linux
def test_what_belongs_to_the_project_elsewhere_is_hidden(job: Job, tmp_path: Path) -> None:
    """Siblings in a monorepo, the main checkout of a worktree, the folder of `initialdir`."""
    repository = tmp_path / "repository"
    (repository / "shared").mkdir(parents=True)
    (repository / "shared" / "helper.py").write_text("of the monorepo\n")
    own = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["commit", "-qm", "one"],
        ["worktree", "add", "-q", str(tmp_path / "tree")],
    ):
        subprocess.run([*own, *words], cwd=repository, check=True)
    project = tmp_path / "tree" / "project"
    (project / "run").mkdir(parents=True)
    (project / "pixi.toml").touch()
    (project / "run" / "secret").touch()
    shared = f"{repository}/shared/helper.py {tmp_path}/tree/shared/helper.py"
    inside = Job(project)
    inside.write(f"cat {shared} {project}/run/secret; ls {tmp_path}/*; true", "initialdir = run")
    found = inside.found()
    if "files" not in found["isolated"]:
        pytest.skip(f"no namespaces here: {found['notes']}")
    assert inside.text("run/o.out") == ""
    assert inside.text("run/o.err").count("No such file") == 4


@linux
def test_an_environment_is_found_where_its_links_lead(job: Job, tmp_path: Path) -> None:
    """`bin/python` of a virtual environment leads over a link of the user's, the project over one."""
    python = Path(os.path.realpath(sys.executable))
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "python3").symlink_to(python)
    (job.folder / "env" / "bin").mkdir(parents=True)
    (job.folder / "env" / "bin" / "python").symlink_to(tmp_path / "tools" / "python3")
    (tmp_path / "alias").symlink_to(job.folder)
    job.write('"$PIXI_SCAFFOLD_ENV/bin/python" -c "print(6 * 7)"')
    job.rehearse("--env", tmp_path / "alias" / "env")
    assert job.text() == "42\n"


@linux
def test_a_home_that_is_not_hidden_is_told(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/usr")
    job.write("true")
    found = job.found()
    if "files" not in found["isolated"]:
        pytest.skip(f"no namespaces here: {found['notes']}")
    assert "it CAN read home" in found["results_of"]["inputs"]["detail"]


@linux
@pytest.mark.slow
def test_what_lies_in_tmp_is_disk_and_in_shared_memory_is_memory(job: Job) -> None:
    mine = f"c-{os.getpid()}"
    job.write(
        "head -c 30M /dev/zero > /tmp/a; head -c 20M /dev/zero > /var/tmp/b\n"
        f"head -c 60M /dev/zero > /dev/shm/{mine}; {LOOKED_AT}"
    )
    found = job.found()
    if "read-only" not in found["isolated"]:
        pytest.skip(f"no namespaces here: {found['notes']}")
    assert 50 << 20 <= found["usage"]["disk"] < 52 << 20
    assert 60 << 20 <= found["usage"]["memory"] < 75 << 20
    assert not Path("/dev/shm", mine).exists()
    assert "its own /tmp, /var/tmp and /dev/shm" in found["results_of"]["inputs"]["detail"]


@linux
@pytest.mark.slow
def test_a_small_job_is_not_measured_as_its_launcher(job: Job) -> None:
    job.write(LOOKED_AT)
    assert 0 < job.found()["usage"]["memory"] < 6 << 20


@linux
def test_one_job_is_not_rehearsed_twice_at_once(job: Job, tmp_path: Path) -> None:
    job.write("echo > ready; sleep 60")
    argv = [sys.executable, "-m", "pixi_scaffold", "rehearse", "job.sub", "--scratch", tmp_path]
    process = subprocess.Popen(argv, cwd=job.folder, stdout=subprocess.DEVNULL)
    try:
        wait_for(tmp_path)
        assert "job-0 is being rehearsed already" in job.rehearse(code=1).err
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(600)
    job.write("true")
    job.rehearse()


@linux
@pytest.mark.parametrize("pause", [0.0, 0.01, 0.03, 0.1])
def test_a_second_signal_does_not_stop_the_clean_up(job: Job, tmp_path: Path, pause: float) -> None:
    job.write("mkdir d; for n in {1..3000}; do : > d/$n; done; echo > ready; " + SLEEP)
    argv = [sys.executable, "-m", "pixi_scaffold", "rehearse", "job.sub", "--scratch", tmp_path]
    process = subprocess.Popen(
        argv, cwd=job.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for(tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(pause)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 130, out
    assert "Traceback" not in out
    assert not sandboxes(tmp_path)
    assert not processes(SLEEP)


class Cancel(threading.Event):
    """An event that a signal comes to while it is being set: its lock is not reentrant."""

    inside = False

    def set(self) -> None:
        assert not self.inside, "it would wait for itself"
        self.inside = True
        signal.raise_signal(signal.SIGTERM)
        super().set()
        self.inside = False


def test_a_signal_that_comes_while_another_is_taken_in_does_not_hang_it() -> None:
    cancel = Cancel()

    def one(number: int) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        assert cancel.wait(30)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_parallel(one, [0], 1, cancel, Silent())


def started(job: Job, *options: object) -> subprocess.Popen[str]:
    """A rehearsal that runs beside the test."""
    return subprocess.Popen(
        [sys.executable, "-m", "pixi_scaffold", "rehearse", "job.sub", *map(str, options)],
        cwd=job.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(scratch: Path, name: str = "ready") -> None:
    end = time.monotonic() + 600
    while not list(scratch.glob(f"rehearsal-*/*/scratch/{name}")):
        assert time.monotonic() < end
        time.sleep(0.05)


@linux
def test_an_input_is_a_copy(job: Job) -> None:
    (job.folder / "data").write_text("as it was\n")
    (job.folder / "data").chmod(0o600)
    job.write("echo changed > data; rm job.sh", "transfer_input_files = data")
    job.rehearse()
    assert (job.folder / "data").read_text() == "as it was\n"
    assert (job.folder / "job.sh").exists()


@linux
def test_nothing_outlives_the_job(job: Job, tmp_path: Path) -> None:
    job.write(
        f"(trap '' TERM HUP; setsid {SLEEP} &) >/dev/null 2>&1; (setsid nohup {SLEEP} &) ; mkdir ro; touch ro/f; chmod 0 ro"
    )
    found = job.found("--scratch", tmp_path)
    assert found["attempts"][0]["left"] == 2
    assert not processes(SLEEP)
    assert not sandboxes(tmp_path)


@linux
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_an_interrupted_rehearsal_leaves_nothing(job: Job, tmp_path: Path, sig: int) -> None:
    job.write(f"trap '' INT TERM; (setsid {SLEEP} &); echo > ready; while :; do {SLEEP}; done")
    argv = [sys.executable, "-m", "pixi_scaffold", "rehearse", "job.sub", "--scratch", tmp_path]
    process = subprocess.Popen(
        argv, cwd=job.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    end = time.monotonic() + 600
    while len(processes(SLEEP)) < 2:  # the one that went away, and the one in the loop
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(sig)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == (130 if sig != signal.SIGKILL else -9), out
    end = time.monotonic() + 600
    while processes(SLEEP):
        assert time.monotonic() < end
        time.sleep(0.05)
    if sig == signal.SIGKILL:
        job.write("true")
        job.rehearse("--scratch", tmp_path)  # it removes what the other one left
    assert "Traceback" not in out
    assert not sandboxes(tmp_path)


@linux
def test_copying_is_interrupted_and_nothing_half_is_left(job: Job, tmp_path: Path) -> None:
    (job.folder / "d").mkdir()
    for number in range(6000):
        (job.folder / "d" / str(number)).touch()
    job.write(SLEEP, "transfer_input_files = d")
    process = started(job, "--scratch", tmp_path)
    wait_for(tmp_path, "d")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 130, out
    assert "interrupted: ending the job, then removing what it left" in out
    assert not sandboxes(tmp_path)
    assert not (job.folder / ".pixi" / "rehearsal" / "job-0").exists()


@linux
def test_a_sandbox_that_is_kept_is_named_at_an_interruption(job: Job, tmp_path: Path) -> None:
    job.write(f"echo > ready; {SLEEP}")
    process = started(job, "--scratch", tmp_path, "--keep")
    wait_for(tmp_path)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=600)
    [kept] = sandboxes(tmp_path)
    assert f"the sandbox is kept: {kept}" in out
    assert (kept / "sandbox-1" / "scratch" / "ready").exists()
    job.write("true")
    job.rehearse("--scratch", tmp_path)
    assert sandboxes(tmp_path) == [kept], "nobody removes what was to be kept"


def test_a_timeout_is_a_finding(job: Job, tmp_path: Path) -> None:
    job.write(f"echo begun; trap '' TERM; ({SLEEP} &); while :; do sleep 0.1; done")
    ran = job.rehearse("--timeout", 1, "--scratch", tmp_path, code=3)
    assert "it did not end within the time of --timeout" in " ".join(ran.out.split())
    assert "--timeout" in ran.out
    assert "begun" in ran.out
    assert "left behind" not in ran.out, "what it runs itself is not left behind"
    assert not processes(SLEEP)


@pytest.mark.slow
def test_a_timeout_is_for_all_attempts_together(job: Job) -> None:
    """The second never ends, and the time that the first one took is not its own."""
    job.write("[ -e c ] && sleep 9999; touch c; sleep 6; exit 85",
              "checkpoint_exit_code = 85\ntransfer_checkpoint_files = c")  # fmt: skip
    found = job.found("--timeout", 12, code=3)
    assert (found["state"], found["attempts"][-1]["ended"]) == ("stopped", "timeout")
    first, second = (one["seconds"] for one in found["attempts"])
    assert first >= 6
    assert second < 12


def test_checkpoints_have_a_limit(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.write(
        "n=$(cat c || echo 0); echo $((n+1)) > c; [ $n -ge 5 ] || exit 85",
        "checkpoint_exit_code = 85\ntransfer_checkpoint_files = c",
    )
    assert len(job.found()["attempts"]) == 6
    monkeypatch.setattr(attempts, "CHECKPOINTS", 3)
    description = read_description(job.folder / "job.sub", job.folder)
    outcome = rehearse_job(read_plan(description.jobs[0], 0), Setting(job.folder / "results"))
    assert (outcome.state, len(outcome.attempts)) == ("stopped", 3)


def small_disk(job: Job, folder: Path, *options: object) -> Ran:
    """Rehearse with the sandbox on a disk of 150 MiB."""
    folder.mkdir()
    script = 'mount -t tmpfs -o size=150m none "$0" && exec "$@"'
    argv = [sys.executable, "-m", "pixi_scaffold", "rehearse", "job.sub", "--scratch", folder]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, folder, *argv, *map(str, options)],
        cwd=job.folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no disk can be mounted here: {done.stderr}")
    return Ran(done.returncode, done.stdout, done.stderr)


@linux
def test_a_full_disk_of_this_machine_is_not_the_jobs_fault(job: Job, tmp_path: Path) -> None:
    with (job.folder / "large").open("wb") as file:
        file.truncate(200 << 20)
    job.write("true", "transfer_input_files = large")
    ran = small_disk(job, tmp_path / "one")
    assert ran.code == 1, ran
    assert "No space left" in ran.err
    assert "--scratch FOLDER" in ran.err
    job.write("head -c 70M /dev/zero > a; sleep 1; rm a; sleep 0.5", 'transfer_output_files = ""')
    assert small_disk(job, tmp_path / "two").code == 0, "half of it is not too much"
    job.write("while :; do head -c 10M /dev/zero >> a || exit 1; sleep 0.1; done")
    ran = small_disk(job, tmp_path / "three")
    assert ran.code == 3
    assert "nearly filled the disk of this machine" in ran.out
    assert "--scratch FOLDER" in ran.out


def test_keep_keeps_the_sandbox(job: Job, tmp_path: Path) -> None:
    job.write("echo left > here")
    found = job.found("--keep", "--scratch", tmp_path)
    assert (Path(found["sandbox"]) / "here").read_text() == "left\n"
    folder = Path(found["sandbox"]).parent
    assert found["results_of"]["sandbox"]["detail"] == f"kept in {folder}"


def test_one_process_is_one(job: Job) -> None:
    job.write(f"setsid {SLEEP} >/dev/null 2>&1 &")
    assert "1 process was left behind" in job.rehearse().out


def test_signals_have_names(job: Job) -> None:
    job.write("kill -SEGV $$")
    assert "ended with SIGSEGV" in job.rehearse(code=3).out
    job.write("kill -KILL $$")
    assert "SIGKILL (perhaps out of memory)" in job.rehearse(code=3).out


def test_windows_line_ends_are_named(job: Job) -> None:
    for first in ("#!/bin/bash", "#!/usr/bin/env bash"):
        job.write("true")
        (job.folder / "job.sh").write_bytes(f"{first}\r\ntrue\r\n".encode())
        said = " ".join(job.rehearse(code=3).err.split())
        assert "condor_submit refuses executable" in said
        assert "Windows line ends (CRLF)" in said
        assert "check --fix" in said


@linux
def test_an_executable_that_cannot_be_read_is_held(job: Job) -> None:
    job.write("true")
    (job.folder / "job.sh").chmod(0o111)
    assert job.found(code=3)["hold"]["subcode"] == 13


def test_every_missing_input_is_named(job: Job) -> None:
    job.write("true", "transfer_input_files = a.csv, b.csv")
    out = job.rehearse(code=3).out
    assert "a.csv" in out
    assert "b.csv" in out


def test_a_job_that_leaves_before_it_saves(job: Job) -> None:
    job.write(f"{FIRST} && {SLEEP}; true", "when_to_transfer_output = ON_EXIT_OR_EVICT")
    out = " ".join(job.rehearse("--evict-after", 0.3, "--no-compare").out.split())
    assert "SIGTERM came before the training could save" in out
    assert "--evict-after" in job.rehearse("--evict-hard", code=2).err


@linux
@pytest.mark.parametrize(("asked", "option"), [("900", "1"), ("1", "900")])
def test_a_job_that_does_not_leave_is_killed_after_the_shorter_time(
    job: Job, asked: str, option: str
) -> None:
    job.write(
        f"trap '' TERM; {FIRST} && while :; do sleep 0.1; done; true",
        f"job_max_vacate_time = {asked}\nwhen_to_transfer_output = ON_EXIT_OR_EVICT",
    )
    after = ("--evict-after", 1, "--grace", option, "--no-compare")
    found = job.found(*after)
    assert [a["ended"] for a in found["attempts"]] == ["killed", "exited"]
    assert 2 < found["attempts"][0]["seconds"] < 900
    assert "within 1 s" in job.rehearse(*after).out


def test_an_eviction_that_kept_nothing_but_logs(job: Job) -> None:
    lines = "when_to_transfer_output = ON_EXIT_OR_EVICT"
    job.write(f"echo begun; {FIRST} && {SLEEP}; true", lines)
    out = " ".join(job.rehearse("--evict-after", 0.3, "--no-compare").out.split())
    assert "nothing but the logs was kept: evict it later" in out


def test_success_is_what_the_description_says(job: Job) -> None:
    job.write("exit 3", "success_exit_code = 3")
    assert "exit code 3" in job.rehearse().out
    job.rehearse("--evict-after", 600, code=3)
    job.write(f"{second_run_waits(job)}; exit 3", "success_exit_code = 3")
    assert len(job.found("--evict-after", "random", "--no-isolation")["attempts"]) == 2
    job.write("exit 0", "success_exit_code = 3")
    out = " ".join(job.rehearse(code=3).out.split())
    assert "ended with exit code 0 (success_exit_code = 3)" in out
    assert "started it 3 times (max_retries = 2 by default)" in out


def test_what_is_not_rehearsed_here(job: Job) -> None:
    job.write("true", "should_transfer_files = NO")
    assert "runs on a file system that machines share" in job.rehearse(code=1).err
    job.write("true", "should_transfer_files = IF_NEEDED")
    assert any("IF_NEEDED" in note for note in job.found()["notes"])
    for items in ("queue x from seq 3 |", "queue x from -"):
        job.write("true", queue=items)
        error = job.rehearse(code=1).err
        assert "it cannot be rehearsed here" in error
        assert "write the items into a file" in error


def test_an_image_that_is_not_built(job: Job) -> None:
    (job.folder / "htcondor").mkdir()
    job.write("true", "universe = container\ncontainer_image = a.sif")
    out = " ".join(job.rehearse(code=3).out.split())
    assert "on hold (13, 2)" in out
    assert "build a.sif, or correct container_image" in out
    (job.folder / "htcondor" / "a.def").touch()
    hint = "apptainer build a.sif htcondor/a.def"
    assert hint in " ".join(job.rehearse(code=3).out.split())
    (job.folder / "a.sif").touch()
    assert "runs in the image a.sif, which is not run here" in job.rehearse(code=1).err
    job.write("echo $PIXI_SCAFFOLD_ENV", "universe = container\ncontainer_image = b.sif")
    prefix = job.folder / "env"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(sys.executable)
    wanted = rehearse.Request(job.folder, Path("job.sub"), environment=prefix, image_later=True)
    report = rehearse.rehearse_here(wanted, Silent())
    assert report.exit_code == 0, "a worker script runs in what is staged"
    assert any(
        "b.sif is not built yet" in note for note in report.facts_by_key()["jobs"][0]["notes"]
    )


def test_an_error_says_where_and_what_to_type(job: Job, tmp_path: Path) -> None:
    path = job.write("true")
    ran = scaffold("rehearse", "project/job.sub", cwd=tmp_path)
    assert f"{path}:1" in ran.err
    assert "run it from where you condor_submit it: cd project && " in ran.err
    job.write("true", queue="queue x in ()")
    assert "give its queue statement a number or items" in job.rehearse(code=3).err
    job.write("true", queue="queue x from nope.txt")
    assert "run it from the folder where you condor_submit it" in job.rehearse(code=3).err
    job.write("true")
    assert "--set A=VALUE" in job.rehearse("--set", "A", code=2).err
    assert "--scratch FOLDER" in job.rehearse("--scratch", "/nope", code=2).err
    assert "--evict-after 30" in job.rehearse("--evict-after", "soon", code=2).err
    assert "--all --jobs 2" in job.rehearse("--jobs", 2, code=2).err
    job.write("no-such-command")
    assert "a command is not there" in job.rehearse(code=3).out
    job.write("true", "transfer_input_files = env.tar.gz")
    assert "lock, and then " in job.rehearse(code=3).out
    (job.folder / "pixi.lock").touch()
    assert "lock, and then " not in job.rehearse(code=3).out
    (job.folder / "pixi.lock").unlink()
    (job.folder / ".pixi/starter").mkdir(parents=True)
    (job.folder / ".pixi/starter/pixi.lock").touch()  # offline: `lock` could not do its work
    assert "lock, and then " not in job.rehearse(code=3).out


def test_a_job_of_the_project_has_a_short_name(job: Job) -> None:
    """`rehearse evaluate` is htcondor/evaluate.sub, as `submit evaluate` sends it."""
    job.write("true")
    (job.folder / "htcondor").mkdir()
    (job.folder / "job.sub").rename(job.folder / "htcondor" / "evaluate.sub")
    assert scaffold("rehearse", "evaluate", cwd=job.folder).code == 0
    assert scaffold("rehearse", "other", cwd=job.folder).code == 2


def test_the_memory_of_a_moment_is_not_told(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.write("true")
    monkeypatch.setattr(findings, "MEASURABLE", 600)  # however long it takes on a busy machine
    report = rehearse.rehearse_here(rehearse.Request(job.folder, Path("job.sub")), Silent())
    [memory] = [result for result in report.results if result.name == "memory"]
    assert "too short to measure" in memory.detail
    job.write("sleep 0.4")
    assert " of request_memory" in job.found()["results_of"]["memory"]["detail"]


def test_nothing_is_fixed_after_a_failure(job: Job) -> None:
    path = job.write("sleep 0.4; exit 1", "request_memory = 64GB")
    before = path.read_text()
    job.rehearse("--fix", code=3)
    assert path.read_text() == before
    job.write("sleep 0.4", "request_memory = 64GB")
    job.rehearse("--fix")
    assert path.read_text() != before


@linux
def test_over_memory_and_disk_is_held_and_fixed(job: Job) -> None:
    path = job.write(
        "python3 -c 'x = bytearray(300 << 20); import time; time.sleep(0.3)'; head -c 200M /dev/zero > big",
        '# a comment, \xe4\nrequest_memory   =  100MB   \nRequest_Disk = 10 MB\ntransfer_output_files = ""',
    )
    path.write_text(path.read_text().replace("request_disk = 1GB\n", ""))
    before = path.read_text()
    assert "HoldReasonCode 34" in job.found(code=3)["results_of"]["memory"]["detail"]
    assert path.read_text() == before
    found = job.found("--fix", code=3)
    assert found["results_of"]["disk"]["status"] == "failed"
    assert 300 << 20 < found["usage"]["memory"] < 400 << 20
    assert 200 << 20 <= found["usage"]["disk"] < 210 << 20
    after = path.read_text()
    assert after == before.replace("=  100MB   ", "=  512MB   ").replace("= 10 MB", "= 300MB")
    assert job.found()["results_of"]["memory"]["status"] == "passed"


@linux
def test_the_kernel_holds_a_job_to_the_memory_of_its_slot(job: Job) -> None:
    """By a cgroup, as on a pool; a request of 100 MB gets a slot of 128 MB there."""
    with memory_limit(128 << 20) as limit:
        if limit is None:
            pytest.skip("this user may make no cgroup with a limit of memory here")
        assert not limit.exceeded
        folder = limit.processes.parent
    assert not folder.exists()
    others = set(folder.parent.glob("pixi-scaffold-rehearsal-*"))
    takes = "python3 -c 'import time; x = bytearray({} << 20); time.sleep(20)'; echo after"
    job.write(takes.format(300), "request_memory = 100MB")
    found = job.found(code=3)
    assert (found["hold"]["code"], found["hold"]["subcode"]) == (34, 102)
    assert "limit of 128 megabytes" in found["hold"]["reason"]
    assert "after" not in str(found["last_lines"]), "all of it was stopped"
    assert "right-sized" not in found["results_of"]["memory"]["detail"]
    job.write(takes.format(80).replace("sleep(20)", "sleep(0.3)"), "request_memory = 100MB")
    assert job.found()["hold"] is None
    # other tests rehearse meanwhile: what is there now goes, too
    left = set(folder.parent.glob("pixi-scaffold-rehearsal-*")) - others
    end = time.monotonic() + 600
    while any(map(Path.exists, left)) and time.monotonic() < end:
        time.sleep(0.2)
    assert not [one for one in left if one.exists()]


@linux
def test_cgroups_that_a_killed_rehearsal_left_are_removed() -> None:
    """Those that are old and hold no process; any other is somebody else's."""
    with memory_limit(64 << 20) as limit:
        if limit is None:
            pytest.skip("this user may make no cgroup with a limit of memory here")
        above = limit.processes.parent.parent
    name = f"pixi-scaffold-rehearsal-test{os.getpid()}"
    old, young, others = (above / f"{name}-{n}" for n in ("old", "young", "used"))
    other = above / f"another-{name}"
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            for folder in (old, young, others, other):
                folder.mkdir()
            (others / "cgroup.procs").write_text(str(process.pid))
            for folder in (old, others, other):
                os.utime(folder, (0, 0))
            with memory_limit(64 << 20):
                left = [folder.exists() for folder in (old, young, others, other)]
            assert left == [False, True, True, True]
        finally:
            process.kill()
            process.wait()
            for folder in (old, young, others, other):
                end = time.monotonic() + 600
                while folder.exists() and time.monotonic() < end:
                    with contextlib.suppress(OSError):
                        folder.rmdir()


@linux
def test_memory_of_processes_that_start_others_counts_once(job: Job) -> None:
    """subprocess uses vfork(2): for a moment two processes have one memory."""
    job.write(
        'python3 -c \'import subprocess; x = bytearray(200 << 20)\nfor _ in range(60): subprocess.run(["sleep", "0.01"])\'',
        "request_memory = 300MB",
    )
    assert job.found()["usage"]["memory"] < 250 << 20


def test_a_missing_request_is_added_before_the_queue(job: Job) -> None:
    path = job.write("sleep 0.4", "request_memory = $(wanted)\nwanted = 8GB")
    path.write_text(path.read_text().replace("request_disk = 1GB\n", ""))
    assert "request_memory is no plain size" in job.rehearse("--fix", code=1).err
    path.write_text(path.read_text().replace("$(wanted)", "1GB"))
    job.rehearse("--fix")
    assert path.read_text().splitlines()[-2:] == ["request_disk = 100MB", "queue"]


def test_the_jobs_of_a_sweep(job: Job) -> None:
    (job.folder / "sweep.csv").write_text("a, 1\nb, 2\nc, 3\n")
    job.write(
        "echo $1 $2 > $3; sleep 0.2; [ $1 != b ]",
        'arguments = "$(x) $(y) out-$(Process)"\ntransfer_output_files = out-$(Process)',
        "queue x, y from sweep.csv",
    )
    document = job.rehearse("--all", "--jobs", 3, "--json", code=3).document
    states = {r["name"]: r["status"] for r in document["results"]}
    assert states["job 0"] == states["job 2"] == "passed"
    assert states["job 1"] == "failed"
    assert job.text("out-2", 2) == "c 3\n"
    assert job.found("--proc", 2)["brought"] == ["o.err", "o.out", "out-2"]
    assert "0 to 2" in job.rehearse("--proc", 3, code=2).err
    assert "use one of them" in job.rehearse("--proc", 1, "--all", code=2).err
    job.write(
        "echo $1 > same; true",
        'arguments = "$(Item)"\ntransfer_output_files = same',
        "queue 2 in (p, q)",
    )
    assert "all bring back same" in job.rehearse("--all", "--jobs", 4, code=3).out


def test_jobs_run_at_the_same_time(job: Job, tmp_path: Path) -> None:
    """None of them ends before all have begun, which each says in a folder of the test."""
    begun = tmp_path / "begun"
    begun.mkdir()
    job.write(
        f"touch {begun}/$1; while [ $(ls {begun} | wc -l) -lt 3 ]; do sleep 0.1; done",
        "arguments = $(Process)",
        "queue 3",
    )
    job.rehearse("--all", "--jobs", 3, "--no-isolation", "--timeout", 600)


def test_several_queue_statements_are_one_cluster(job: Job) -> None:
    job.write(
        "grep ^ProcId .job.ad; echo $1 > out-$1",
        "arguments = $(Process)\noutput = $(Process).out\ntransfer_output_files = out-$(Process)",
        "queue 2\nqueue 2",
    )
    document = job.rehearse("--all", "--jobs", 2, "--json").document
    assert [j["proc"] for j in document["jobs"]] == [0, 1, 2, 3]
    assert job.text("out-3", 3) == "3\n"
    assert job.text("3.out", 3) == "ProcId = 3\n"


def test_stderr_is_there_again_after_the_silence_of_two_threads() -> None:
    """Of two that kept HTCondor's library quiet at once, one left it at /dev/null for good."""
    inside, before = threading.Event(), os.fstat(2)

    def second() -> None:
        with quiet():
            inside.set()
            left.wait()

    left, thread = threading.Event(), threading.Thread(target=second)
    with quiet():
        thread.start()
        inside.wait(0.3)  # it must not come in, so nothing tells when to go on
    left.set()
    thread.join()
    assert os.path.samestat(os.fstat(2), before)


def test_an_exception_in_one_of_many_ends_all(job: Job) -> None:
    job.write(SLEEP, 'environment = "A=$$(Name)"', "queue 2")
    assert "only the pool can tell" in job.rehearse("--all", "--jobs", 2, code=1).err


CHECKPOINTING = """
n=0; [ -e state ] && n=$(cat state)
trap 'mkdir -p runs; echo $n > state; exit 85' TERM
while [ $n -lt 20 ]; do
    n=$((n+1))
    if [ $n = 7 ]; then WAIT; fi
done
echo $n > state; mkdir -p runs; echo "{\\"steps\\": $n, \\"seconds\\": $RANDOM}" > runs/metrics.json
"""
LINES = """checkpoint_exit_code = 85
transfer_checkpoint_files = state
transfer_output_files = runs, state
when_to_transfer_output = ON_EXIT_OR_EVICT"""


def test_an_eviction_that_the_job_survives(job: Job) -> None:
    wait = second_run_waits(job, "while :; do sleep 0.1; done")
    job.write(CHECKPOINTING.replace("WAIT", wait), LINES)
    found = job.found("--evict-after", 2, "--no-isolation")
    assert [a["ended"] for a in found["attempts"]] == ["evicted", "exited"]
    assert "state" in found["attempts"][0]["kept"]
    assert found["compared"]["files"] == ["runs/metrics.json"]
    assert not found["compared"]["exact"]
    assert found["compared"]["ignored"] == ["seconds"]
    assert found["compared"]["different"] == []


def test_an_eviction_that_loses_work(job: Job) -> None:
    """Without the state among what is kept, it ends with other metrics: here, how often it ran."""
    job.write(
        "grep -o 'NumJobStarts = .' .job.ad | sed 's/.*= /{\"starts_\": /; s/$/, \"n\": 1}/' > metrics.json\n"
        f"sed -i 's/starts_/loss/' metrics.json; {second_run_waits(job)}",
        "transfer_output_files = metrics.json",
    )
    found = job.found("--evict-after", 0.5, "--no-isolation", code=3)
    assert "keeps nothing at an eviction" in found["attempts"][0]["note"]
    assert found["compared"]["different"] == ["metrics.json: loss: 1, uninterrupted 0"]


def test_an_eviction_that_comes_too_late_or_in_vain(job: Job) -> None:
    job.write("true")
    assert "before it could be evicted" in job.rehearse("--evict-after", 600, code=3).out
    job.write("exit 3")
    assert "the job fails without one" in job.rehearse("--evict-after", "random", code=3).out
    assert "neither seconds nor" in job.rehearse("--evict-after", "soon", code=2).err


def second_run_waits(job: Job, wait: str = SLEEP) -> str:
    """A line of a job that goes on the first time, and the second time, to be evicted, only then.

    It leaves a file outside of its sandbox, so it is not isolated.
    """
    seen = job.folder.with_name(f"seen-{time.monotonic_ns()}")
    return f"if [ ! -e {seen} ]; then touch {seen}; sleep 1; elif {FIRST}; then {wait}; fi"


def test_random_is_within_the_run(job: Job) -> None:
    job.write(second_run_waits(job))
    found = job.found("--evict-after", "random", "--no-isolation")
    assert [a["ended"] for a in found["attempts"]] == ["evicted", "exited"]


@linux
@pytest.mark.slow
def test_random_never_fails_by_its_own_choice(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is quicker each time it runs is not evicted, and that is no failure of its."""
    seen = tmp_path / "seen"
    job.write(f"[ -e {seen} ] && exit 0; touch {seen}; sleep 4")
    monkeypatch.setattr(
        "random.uniform", lambda _least, most: most
    )  # in vain on a busy machine, too
    wanted = rehearse.Request(job.folder, Path("job.sub"), evict_after="random", isolate=False)
    report = rehearse.rehearse_here(wanted, Silent())
    [eviction] = [result for result in report.results if result.name == "eviction"]
    assert eviction.status == "skipped"
    assert "ended before the moment that was chosen" in eviction.detail
    seen.unlink()
    late = job.found("--evict-after", "600", "--no-isolation", code=3)["results_of"]["eviction"]
    assert late["status"] == "failed", "by the user's choice it is one"


@pytest.mark.parametrize("queue", [("-queue", "y in (a, b)"), ("-append", "queue y in (a, b)")])
def test_what_is_given_to_condor_submit_is_given_here(job: Job, queue: tuple[str, str]) -> None:
    """A dry run of 25.14.1 takes all this."""
    job.write('printf "<%s>" "$@"; echo "$A"', "arguments = $(x:1) $(y:none)\noutput = $(y).o")
    path = job.folder / "job.sub"
    path.write_text(path.read_text().replace("queue\n", ""))
    more = ("x=5", "-append", 'environment = "A=appended"', "-append", "hold = false", *queue)
    ran = job.rehearse(*more, "--all", "--json", "--condor", "25.14").document
    assert [j["state"] for j in ran["jobs"]] == ["completed", "completed"]
    results = job.folder / ".pixi" / "rehearsal"
    said = [(results / name).read_text() for name in ("job-0/a.o", "job-1/b.o")]
    assert said == ["<5><a>appended\n", "<5><b>appended\n"]
    given = ran["next"][-1].partition("   #")[0]
    assert shlex.split(given) == ["condor_submit", "job.sub", *more]
    assert job.rehearse("x", code=2).err, "neither NAME=VALUE nor anything else"


@pytest.mark.parametrize("more", [("-queue", "3"), ("-append", "queue 3")])
def test_one_queue_statement_is_given_to_condor_submit(job: Job, more: tuple[str, str]) -> None:
    """As a dry run of 25.14.1 says: neither beside that of the file, nor twice."""
    job.write("true")
    job.rehearse("-append", "queue 2", code=3)
    path = job.folder / "job.sub"
    path.write_text(path.read_text().replace("queue\n", ""))
    job.rehearse("-append", "queue 2", *more, code=3)


class Heard(Silent):
    """A Progress that keeps what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.updates: list[str] = []
        self.noted = threading.Event()

    def update(self, text: str, fraction: float | None = None) -> None:
        self.updates.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.noted.set()


def test_a_long_rehearsal_shows_its_progress_and_how_to_shorten_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parallel, "LONG", 0.3)
    heard, cancel = Heard(), threading.Event()
    one = lambda _: heard.noted.wait(600)  # noqa: E731
    in_parallel(one, [0], 1, cancel, heard, lambda: "epoch 7", "make it short")
    assert heard.notes == ["it runs as long as on the pool; make it short"]
    assert heard.updates[-1].endswith("  epoch 7")


@linux
@pytest.mark.slow
def test_what_the_job_prints_is_its_progress_and_an_interruption_offers_less(
    job: Job, tmp_path: Path
) -> None:
    job.write("echo > ready; for i in $(seq 999); do echo epoch $i; sleep 0.1; done")
    process = started(job, "--scratch", tmp_path)
    wait_for(tmp_path)
    lines: list[str] = []
    assert process.stdout is not None
    while not lines or "epoch" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], lines
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 130
    assert '--more-arguments "--epochs 1", or --timeout SECONDS' in out


def test_urls_are_skipped_by_name_or_have_a_stand_in(job: Job) -> None:
    job.write(
        "ls; echo 1 > f",
        "transfer_input_files = osdf:///a/b.tar\ntransfer_output_files = f\n"
        "output_destination = stash://bucket/",
    )
    error = job.rehearse(code=1).err
    assert "osdf:///a/b.tar is not fetched here" in error
    assert "--input osdf:///a/b.tar=FILE" in error
    (job.folder / "mine.tar").write_text("stand-in")
    found = job.found("--input", "osdf:///a/b.tar=mine.tar")
    assert any("stash://bucket/ is not sent" in note for note in found["notes"])
    assert job.text("destination/f") == "1\n"
    assert "b.tar" in job.text().split()
    assert job.rehearse("--input", "osdf:///a/b.tar", code=2).err
    job.write("echo 1 > f", 'transfer_output_files = f\ntransfer_output_remaps = "f=stash://b/f"')
    assert any(note.startswith("f goes to a URL") for note in job.found()["notes"])


def test_urls_of_the_web_are_fetched_with_the_network(job: Job, tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("of the server\n")
    with serve(tmp_path) as url:
        job.write("ls; cat f.txt", f"transfer_input_files = {url}/f.txt?x=1")
        assert f"{url}/f.txt?x=1 is not fetched here" in job.rehearse(code=1).err
        job.rehearse("--network")
        assert "f.txt" in job.text().split()
        assert "of the server\n" in job.text()
        job.write("ls", f"transfer_input_files = {url}/nope")
        found = job.found("--network", code=3)
        assert (found["hold"]["code"], found["hold"]["subcode"]) == (13, 256)
    job.write("ls", f"transfer_input_files = {closed()}/f.txt")
    assert "cannot be fetched here" in job.rehearse("--network", code=1).err


def test_added_variables_and_arguments_are_told(job: Job) -> None:
    job.write('echo "$A $*"', 'arguments = "one"')
    found = job.found("--set", "A=b c", "--more-arguments", "--epochs 'x y'")
    assert job.text() == "b c one --epochs x y\n"
    assert any("A=b c" in note for note in found["notes"])
    assert any("shortened" in note for note in found["notes"])


@linux
def test_the_ads_are_classads(job: Job) -> None:
    classad2 = pytest.importorskip("classad2", reason="HTCondor's bindings are not here")
    job.write(
        "cat .job.ad > job.ad; cat .machine.ad > machine.ad",
        'arguments = "a ""b"" \'c d\'"\nenvironment = "X=1\\2"\n+Mine = {1, "two"}\nrequest_cpus = 2',
    )
    job.rehearse()
    own = classad2.parseOne(job.text("job.ad"))
    machine = classad2.parseOne(job.text("machine.ad"))
    assert own["Arguments"] == "a \"b\" c' 'd"
    assert own["Environment"] == "X=1\\2"
    assert list(own.eval("Mine")) == [1, "two"]
    assert own.eval("RequestMemory") == 1024
    assert machine["Cpus"] == 2


@linux
def test_without_isolation_it_says_so(job: Job) -> None:
    (job.folder / "secret.txt").write_text("seen\n")
    job.write(f"cat {job.folder}/secret.txt; (setsid {SLEEP} >/dev/null 2>&1 &); sleep 0.1")
    found = job.found("--no-isolation")
    assert found["isolated"] == []
    assert any("not isolated" in note for note in found["notes"])
    assert job.text() == "seen\n"
    assert not processes(SLEEP)


def test_the_staged_environment_is_visible_and_readable(job: Job, tmp_path: Path) -> None:
    env = job.folder / "env"
    (env / "bin").mkdir(parents=True)
    (env / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    (env / "here").write_text("in the environment\n")
    job.write(
        'cat "$PIXI_SCAFFOLD_ENV/here"; "$PIXI_SCAFFOLD_ENV/bin/python" -c "print(6 * 7)"; '
        'touch "$PIXI_SCAFFOLD_ENV/new"; echo "$PIXI_SCAFFOLD_PIXI_URL"; true'
    )
    assert "check --train" in job.rehearse(code=1).err
    found = job.found("--env", env)
    assert job.text().startswith("in the environment\n42\n")
    assert found["delivery"] == {"kind": "bootstrap", "staged": True}
    assert any("staged from" in note for note in found["notes"])
    if "read-only" in found["isolated"]:
        assert not (env / "new").exists()
    assert "no bin/python" in job.rehearse("--env", tmp_path, code=1).err


def test_the_document_is_one(job: Job) -> None:
    job.write("true")
    ran = job.rehearse("--json")
    document = json.loads(ran.out)
    assert document["command"] == "rehearse"
    assert document["ok"] is True
    assert document["jobs"][0]["requested"]["memory"] == 1 << 30


@pytest.mark.skipif(not LOCKS.is_dir(), reason="needs locks that Pixi wrote (../shared/locks)")
@pytest.mark.parametrize("name", ["v6-ml-example.lock", "v7-pixi-example-multi-machine.lock"])
def test_an_environment_is_of_a_lock_when_it_has_all_of_a_platform_and_nothing_else(
    tmp_path: Path, name: str
) -> None:
    """Locks as Pixi wrote them; rattler reads what one has for a platform."""
    lock = LOCKS / name
    [environment, *_] = read_lock(lock).environments.values()
    [urls, *_] = environment.rows.values()
    meta = tmp_path / "envs/default/conda-meta"
    meta.mkdir(parents=True)
    site = tmp_path / "envs/default/lib/python3.12/site-packages"
    for _, url in urls:
        file = url.partition("#")[0].rpartition("/")[2]
        if file.endswith(".whl"):
            info = site / f"{'-'.join(file.split('-')[:2])}.dist-info"
            info.mkdir(parents=True)
            (info / "INSTALLER").write_text("uv-pixi\n")
        else:
            stem = file.removesuffix(".conda").removesuffix(".tar.bz2")
            (meta / f"{stem}.json").write_text("{}")
    assert len(list(meta.iterdir())) > 10
    assert is_of(meta.parent, lock)
    assert not is_of(meta.parent, tmp_path / "no.lock")
    more = meta / "more-1.0-0.json"
    more.write_text("{}")
    assert not is_of(meta.parent, lock)
    more.unlink()
    next(meta.iterdir()).unlink()
    assert not is_of(meta.parent, lock)


@pytest.mark.parametrize("queue", ["queue\nqueue", "queue\narguments = b"])
def test_what_follows_a_queue_statement_is_refused_by_release(job: Job, queue: str) -> None:
    """25.14.1 says "Extra data found after queue statement", 23.9.6 takes both."""
    job.write("true", queue=queue)
    refused = job.rehearse("--condor", "25.14.1", code=3)
    assert "condor_submit refuses" in refused.err
    assert "HTCondor 25.14 takes nothing after a queue statement" in refused.err
    assert "queue statement" not in job.rehearse("--condor", "23.9").out


def test_the_condor_of_this_machine_says_its_release(
    job: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in = tmp_path / "bin" / "condor_version"
    stand_in.parent.mkdir()
    job.write("true", queue="queue\nqueue")
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    for release, code in (("25.14.1 2026-10-16", 3), ("23.0.4 2024-02-08", 0)):
        stand_in.write_text(f"#!/bin/sh\necho '$CondorVersion: {release} $'\n")
        stand_in.chmod(0o755)
        job.rehearse(code=code)


def test_what_no_machine_like_this_has_is_named_with_its_line(job: Job) -> None:
    """On a pool of 25.14.1 each of these stayed idle."""
    lines = 'request_foo = 1\nrequirements = OpSys == "WINDOWS" && Memory > 1 && HasSingularity'
    job.write("true", lines)
    document = job.rehearse("--json").document
    match = next(r for r in document["results"] if r["name"] == "match")
    assert match["status"] == "skipped"
    assert "line 6: not true of a machine like this: TARGET.foo >= Requestfoo" in match["detail"]
    assert 'line 7: not true of a machine like this: OpSys == "WINDOWS"' in match["detail"]
    assert "Memory" not in match["detail"]
    assert "HasSingularity" not in match["detail"]
    assert document["next"][-1].endswith("check --slots slots.ad job.sub")
    assert not any("condor_submit" in line for line in document["next"])


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("requirements = false", "failed"),
        ('requirements = "$$(OpSys)" == "LINUX"', "failed"),
        ("job_lease_duration = 0", "failed"),
        ("deferral_time = 1", "failed"),
        ("request_cpus = 100000", "skipped"),
        ("request_gpus = 50", "skipped"),
    ],
)
def test_what_keeps_a_job_in_the_queue_is_no_success(job: Job, line: str, status: str) -> None:
    """On a pool of 25.14.1 each of these stayed idle."""
    job.write("true", line)
    match = job.found(code=3 if status == "failed" else 0)["results_of"]["match"]
    assert match["status"] == status
    assert "line 6: " in match["detail"]


def test_a_template_of_the_pool_is_not_guessed(job: Job) -> None:
    """condor_submit of 25.14.1 refuses one that its configuration does not have."""
    job.write("true", "use template : lab")
    assert "condor_config_val SUBMIT_TEMPLATE_NAME" in job.rehearse(code=1).err


def test_what_depends_on_the_pool_is_no_note(job: Job) -> None:
    (job.folder / "i").touch()
    lines = f"transfer_input_files = file://{job.folder}/i\nrequirements = Memory > 9999999"
    job.write("true", lines)
    assert "not true of a machine" not in job.rehearse("--json").out
