"""submit, watch, fetch, stop and collect on a real HTCondor pool, which judges every expectation here."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pty
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pixi_scaffold.pool.events import ProcState, fold
from pixi_scaffold.pool.follow import Follower
from pixi_scaffold.pool.why import held
from tests.support.command import Ran, scaffold
from tests.support.paths import REPOSITORY, SHARED
from tests.support.pool import P100, T4, V100, V100_OLD_DRIVER, Pool, condor_prefix
from tests.test_walkthrough import commands

pytestmark = pytest.mark.slow
SLOTS = SHARED / "condor" / "slots"

TRAIN = """\
#!/bin/bash
# Counts to $3 in runs/$1, hands over a checkpoint every $4 counts, saves when told to stop. At 5 it waits
# as long as there is a file $5.
mkdir -p runs/$1
n=0; [ -f runs/$1/n ] && n=$(cat runs/$1/n)
trap 'echo $n > runs/'$1'/n; exit 85' TERM
while [ $n -lt $3 ]; do
  while [ $n = 5 ] && [ -e "$5" ]; do sleep 0.1; done
  sleep 0.3 & wait $!
  n=$((n+1)); echo $n > runs/$1/n
  echo "{\\"epoch\\": $n, \\"test_loss\\": 0.$((90-n)), \\"lr\\": 0.1, \\"gpu_busy\\": 0.1}" >> runs/$1/metrics.jsonl
  [ $((n % $4)) = 0 ] && [ $n -lt $3 ] && exit 85
done
[ "$2" = bad ] && exit 3
echo done > runs/$1/model.pt
exit 0
"""
SUB = """\
universe = vanilla
executable = train.sh
name = job-$(Cluster)-$(Process)
lr = 1
counts = 4
every = 2
gate = /nowhere
arguments = "--name $(name) $(lr)"
arguments = "$(name) $(lr) $(counts) $(every) $(gate)"
environment = "GIT_COMMIT=$(commit:)"
should_transfer_files = YES
transfer_output_files = runs
transfer_checkpoint_files = runs
checkpoint_exit_code = 85
when_to_transfer_output = ON_EXIT_OR_EVICT
kill_sig = SIGTERM
log = logs/$(Cluster).log
output = logs/$(Cluster)-$(Process).out
error = logs/$(Cluster)-$(Process).err
request_cpus = 1
request_memory = 100MB
request_disk = 100MB
queue
""".replace('arguments = "--name $(name) $(lr)"\n', "")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    prefix = condor_prefix()
    folder = tmp_path_factory.mktemp("pool")
    limits = "use POLICY : HOLD_IF_MEMORY_EXCEEDED\n"
    gpus = [T4, T4, P100, V100, V100_OLD_DRIVER]
    with Pool(prefix, folder, gpus=gpus, cpus=32, settings=limits) as one:
        yield one


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """A pool in which nothing ever starts, with the slots of ../shared/condor/slots."""
    if not SLOTS.is_dir():
        pytest.skip(f"no recorded slots in {SLOTS}")
    with Pool(condor_prefix(), tmp_path_factory.mktemp("still"), runs_jobs=False) as one:
        one.advertise(
            *(slot("old", n) for n in range(10)),
            *(slot("mixed", n) for n in range(4)),
            *(slot("t4", n) for n in range(6)),
            *(slot("t4", 20 + n, Requirements="TARGET.RequestGPUs > 0") for n in range(2)),
        )
        yield one


def slot(kind: str, number: int, **changed: str) -> str:
    """A recorded slot's ad, as that of another machine."""
    name, port = f"{kind}{number}", 40000 + 100 * len(kind) + number
    values = {"Name": f'"slot1@{name}"', "Machine": f'"{name}"'}
    values |= {"MyAddress": f'"<127.0.0.1:{port}>"', **changed}
    text = (SLOTS / f"{kind}.ad").read_text()
    for attribute, value in values.items():
        text = re.sub(rf"(?m)^{attribute} = .*$", f"{attribute} = {value}", text)
    return text


@pytest.fixture
def project(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a job that checkpoints, in an environment that finds the pool."""
    monkeypatch.setenv("CONDOR_CONFIG", pool.env["CONDOR_CONFIG"])
    monkeypatch.setenv("PATH", pool.env["PATH"])
    return laid_out(tmp_path)


def laid_out(folder: Path) -> Path:
    (folder / "logs").mkdir()
    (folder / "train.sh").write_text(TRAIN)
    (folder / "train.sh").chmod(0o755)
    (folder / "job.sub").write_text(SUB)
    return folder


def submitted(project: Path, *args: str) -> dict[str, Any]:
    ran = scaffold("submit", "job.sub", "--json", *args, cwd=project)
    assert ran.code == 0, ran
    return ran.document  # type: ignore[no-any-return]


def receipt(project: Path, cluster: int) -> dict[str, Any]:
    (path,) = project.glob(f"runs/submitted/{cluster}-*.json")
    return json.loads(path.read_text())  # type: ignore[no-any-return]


# --- submit ------------------------------------------------------------------------------------------


def test_submit_sends_the_job_and_writes_down_what_was_sent(pool: Pool, project: Path) -> None:
    for argv in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@l", *argv], cwd=project, check=True
        )
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=True
    ).stdout.strip()
    ran = scaffold("submit", "job.sub", "-a", "counts=2", cwd=project)
    assert ran.code == 0, ran
    found = re.search(r"cluster (\d+): 1 job submitted to (\S+)", ran.out)
    assert found is not None, ran.out
    cluster = int(found[1])
    assert f"watch {cluster}" in ran.out
    (row,) = pool.query(cluster, "Arguments", "Environment", "GitCommit", "UserLog")
    arguments, environment, own, log = row.split("\t")
    assert (arguments, environment) == (f"job-{cluster}-0 1 2 2 /nowhere", f"GIT_COMMIT={commit}")
    assert own == commit
    kept = receipt(project, cluster)
    assert (kept["schedd"], kept["log"]) == (found[2], log)
    assert (kept["commit"], kept["dirty"]) == (commit, False)
    assert kept["jobs"][0]["run"] == f"job-{cluster}-0"
    assert kept["ad"]["Environment"] == "GIT_COMMIT"  # a name, not the value
    (path,) = project.glob("runs/submitted/*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pool.wait(cluster) == 0


def test_another_description_is_submitted_by_name(pool: Pool, project: Path) -> None:
    (project / "htcondor").mkdir()
    text = (project / "job.sub").read_text().replace("batch_name", "").replace("lr = 1", "lr = 7")
    (project / "htcondor/evaluate.sub").write_text(text)
    ran = scaffold("submit", "evaluate", "--dry-run", cwd=project)
    assert ran.code == 0, ran
    assert "job-1-0 7 4 2" in ran.out


def test_a_dry_run_sends_nothing(pool: Pool, project: Path) -> None:
    before = pool.run("condor_q", "-allusers", "-af", "ClusterId")
    (project / "sweep.csv").write_text("1\n2\n3\n")
    ran = scaffold("submit", "job.sub", "--dry-run", "--queue", "lr from sweep.csv", cwd=project)
    assert ran.code == 0, ran
    assert "3 jobs would be submitted" in ran.out
    assert "job-1-2 3 4 2" in ran.out
    assert not (project / "runs").exists()
    assert pool.run("condor_q", "-allusers", "-af", "ClusterId") == before


def test_a_queue_statement_after_append_is_taken(project: Path) -> None:
    """As a dry run of condor_submit 25.14.1 takes it, and the check before knows of it."""
    job = project / "job.sub"
    job.write_text(re.sub(r"(?m)^queue.*\n?", "", job.read_text()))
    ran = scaffold("submit", "job.sub", "--dry-run", "-a", "queue lr in (1 2)", cwd=project)
    assert ran.code == 0, ran
    assert "2 jobs would be submitted" in ran.out
    assert "job-1-1 2 4 2" in ran.out
    assert "PS107" not in ran.out


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("transfer_input_files=nowhere.bin", "nowhere.bin"),
        ("request_memory=3 parsecs", "request_memory"),
    ],
)
def test_what_would_fail_is_not_sent(project: Path, line: str, says: str) -> None:
    ran = scaffold("submit", "job.sub", "-a", line, cwd=project)
    assert ran.code == 3, ran
    assert says in ran.err
    assert "--no-check" in ran.err
    assert not (project / "runs").exists()


def test_a_job_whose_archive_is_still_to_be_made_is_not_sent(
    pool: Pool, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    shutil.copytree(packed, project, symlinks=True, ignore=shutil.ignore_patterns("env.tar.gz"))
    monkeypatch.setenv("CONDOR_CONFIG", pool.env["CONDOR_CONFIG"])
    ran = scaffold("submit", cwd=project)
    assert ran.code == 3, ran
    assert "still to be made: pixi.lock, env.tar.gz" in ran.err
    assert "pixi-scaffold lock && pixi-scaffold pack" in ran.err
    assert not (project / "runs/submitted").exists()


def test_the_receipt_names_the_last_rehearsal(project: Path) -> None:
    (project / "pixi.lock").write_text("version: 7\n")
    assert receipt(project, submitted(project, "-a", "hold=true")["cluster"])["rehearsal"] is None
    assert scaffold("rehearse", "job.sub", "-a", "counts=2", cwd=project).code == 0
    kept = receipt(project, submitted(project, "-a", "hold=true")["cluster"])["rehearsal"]
    written = json.loads((project / ".pixi/rehearsal/receipt.json").read_text())["written"]
    assert (kept["passed"], kept["when"]) == (True, written)


def test_what_the_access_point_refuses_leaves_no_receipt(project: Path) -> None:
    ran = scaffold("submit", "job.sub", "--no-check", "-a", "request_memory=3 parsecs", cwd=project)
    assert ran.code == 1, ran
    assert "parsecs" in ran.err
    assert not list(project.glob("runs/submitted/*.json"))


@pytest.mark.parametrize("full", [True, False], ids=["full disk", "a file is there"])
def test_without_a_receipt_there_is_no_cluster(pool: Pool, project: Path, full: bool) -> None:
    if full:
        (project / "runs").mkdir()
        ran = without_room(project, "runs", "submit", "job.sub", "-a", "hold=true")
    else:
        (project / "runs").write_text("")
        ran = scaffold("submit", "job.sub", "-a", "hold=true", cwd=project)
    assert ran.code == 1, ran
    found = re.search(r"nothing was submitted: the receipt of cluster (\d+) cannot be", ran.err)
    assert found is not None, ran
    assert pool.run("condor_q", found[1], "-af", "ClusterId") == ""


def without_room(project: Path, name: str, *args: str) -> Ran:
    """Run a command with a full file system at a folder of the project."""
    fill = f"mount -t tmpfs -o size=4k,mode=777 none {name} && echo > {name}/full"
    script = f'{fill} && exec "$@"'
    unshare = ["unshare", *([] if os.getuid() == 0 else ["--user", "--map-root-user"]), "--mount"]
    if subprocess.call([*unshare, "sh", "-c", script, "sh", "true"], cwd=project, stderr=-3):
        pytest.skip("needs namespaces with mounts")
    argv = [*unshare, "sh", "-c", script, "sh", sys.executable, "-m", "pixi_scaffold", *args]
    done = subprocess.run(argv, cwd=project, capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def test_secrets_stay_out_of_the_receipt(
    pool: Pool, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "hunter2")
    monkeypatch.setenv("UNNAMED", "hunter3")
    done = submitted(
        project,
        "--no-check",
        *("-a", 'environment="API_TOKEN=$ENV(API_TOKEN)"'),
        *("-a", "transfer_input_files=https://user:hunter4@localhost/x"),
        *("-a", "hold=true"),
    )
    text = next(project.glob("runs/submitted/*.json")).read_text()
    assert "API_TOKEN" in text
    assert "hunter" not in text
    (ad,) = [pool.run("condor_q", str(done["cluster"]), "-long")]
    assert "hunter2" in ad  # named by the user
    assert "hunter3" not in ad  # nothing else of the environment goes along
    pool.run("condor_rm", str(done["cluster"]))


def test_without_a_pool_it_says_how_the_job_gets_to_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDOR_CONFIG", "ONLY_ENV")
    ran = scaffold("submit", "job.sub", cwd=project)
    assert ran.code == 1, ran
    assert "no HTCondor access point" in ran.err
    assert "git push" in ran.err
    assert "train.sh" in ran.err  # git does not have it


def test_a_spooled_job_needs_no_file_here_until_it_is_fetched(pool: Pool, project: Path) -> None:
    done = submitted(project, "--spool", "-a", "counts=2")
    assert done["spooled"]
    assert pool.wait(done["cluster"]) == 0
    assert not list(project.glob("runs/job-*"))


def test_another_access_point_is_found_by_its_name(pool: Pool, project: Path) -> None:
    address = (pool.folder / "log/.collector_address").read_text()
    collector = re.findall(r"127\.0\.0\.1:\d+", address)[0]
    schedd = pool.run("condor_status", "-schedd", "-af", "Name").strip()
    done = submitted(project, "--schedd", schedd, "--pool", collector, "-a", "counts=2")
    assert done["spooled"]  # another machine does not see the files here
    assert pool.wait(done["cluster"]) == 0
    ran = scaffold("fetch", cwd=project)
    assert ran.code == 0, ran
    assert (project / f"runs/job-{done['cluster']}-0/model.pt").exists()
    ran = scaffold("submit", "job.sub", "--schedd", "nowhere", "--pool", collector, cwd=project)
    assert ran.code == 1
    assert "does not know the access point nowhere" in ran.err


# --- sweeps ------------------------------------------------------------------------------------------


def test_rows_that_are_done_are_not_run_again(pool: Pool, project: Path) -> None:
    (project / "sweep.csv").write_text("1\nbad\n3\n")
    queue = ("--queue", "lr from sweep.csv", "-a", "counts=2")
    first = submitted(project, *queue)
    assert first["jobs"] == 3
    pool.until(first["cluster"], 4)
    second = submitted(project, *queue)
    assert (second["jobs"], second["left_out"]) == (1, 2)
    pool.until(second["cluster"], 4)
    (row,) = pool.query(second["cluster"], "Arguments")
    assert row.split()[1] == "bad"
    script = (project / "train.sh").read_text()
    (project / "train.sh").write_text(script.replace("exit 3", "exit 0"))
    third = submitted(project, *queue, "--failed")
    assert (third["jobs"], third["left_out"]) == (1, 2)
    pool.until(third["cluster"], 4)
    ran = scaffold("submit", "job.sub", *queue, "--failed", cwd=project)
    assert ran.code == 0
    assert "nothing to do" in ran.out
    assert submitted(project, *queue)["jobs"] == 2  # the program changed: rows 1 and 3 are others


# --- watch -------------------------------------------------------------------------------------------


def watching(project: Path, *args: str, program: Sequence[str] = ("-m", "pixi_scaffold")) -> Watch:
    """`watch` in a process of its own; no terminal."""
    out, err = project / "watch.out", project / "watch.err"
    argv = [sys.executable, *program, "watch", *args]
    with out.open("w") as stdout, err.open("w") as stderr:
        return Watch(subprocess.Popen(argv, cwd=project, stdout=stdout, stderr=stderr), out, err)


@dataclass(frozen=True)
class Watch:
    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def finished(self, timeout: float = 600) -> Ran:
        try:
            code = self.process.wait(timeout)
        finally:
            self.process.kill()
        ran = Ran(code, self.out.read_text(), self.err.read_text())
        assert "Traceback" not in ran.out + ran.err, ran
        return ran

    def begun(self, lines: int = 1) -> None:
        until(lambda: self.out.read_text().count("\n") >= lines)


def until(condition: Any, timeout: float = 300) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def test_a_watch_tells_a_job_from_its_start_to_its_end(pool: Pool, project: Path) -> None:
    done = submitted(project, "-a", "counts=6", "--no-check", "-a", "request_gpus=1")
    ran = watching(project, str(done["cluster"])).finished()
    assert ran.code == 0, ran
    assert re.search(r"used 10% of its .+: most of it was idle", ran.out), ran.out
    job = f"{done['cluster']}.0"
    for words in ("idle", "running on", "checkpoint 1", "done"):
        assert re.search(rf"{re.escape(job)}  {words}", ran.out), ran.out
    assert "s, checkpoint 2, " in ran.out  # of counts 2 and 4; the end is none
    assert "epoch 6" in ran.out
    assert (project / f"runs/submitted/{done['cluster']}.svg").read_text().count("<polyline") == 2
    stamps = re.findall(r"(?m)^(?:001|005) \(.+?\) (\S+ \S+) ", Path(done["log"]).read_text())
    began, ended = (datetime.fromisoformat(stamp) for stamp in stamps)
    document = json.loads(
        scaffold("watch", str(done["cluster"]), "--json", cwd=project).out.splitlines()[-1]
    )
    told = document["jobs"][0]
    assert told["seconds"] == (ended - began).total_seconds()  # over both restarts


def test_an_eviction_is_explained_and_the_job_goes_on(pool: Pool, project: Path) -> None:
    gate = gated(project)
    done = submitted(project, "-a", "counts=8", "-a", "every=4", *gate)
    cluster = str(done["cluster"])
    watch = watching(project, cluster)
    log = Path(done["log"])
    until(lambda: log.exists() and "Finished transferring output" in log.read_text())
    pool.run("condor_vacate_job", cluster)
    until(lambda: "Job was evicted" in log.read_text())
    (project / "gate").unlink()
    ran = watch.finished()
    assert ran.code == 0, ran
    assert "evicted: " in ran.out
    assert "it goes on from there" in ran.out
    assert (project / f"runs/job-{cluster}-0/n").read_text().strip() == "8"


def test_a_watch_outlives_the_access_point(pool: Pool, project: Path) -> None:
    done = submitted(project, "-a", "counts=8", "-a", "every=100", *gated(project))
    watch = watching(project, str(done["cluster"]))
    log = Path(done["log"])
    until(lambda: log.exists() and "executing on host" in log.read_text())
    killed = pool.daemon("condor_schedd")
    os.kill(killed, signal.SIGKILL)
    until(lambda: pool.daemon("condor_schedd") not in (killed, 0))
    (project / "gate").unlink()
    ran = watch.finished()
    assert ran.code == 0, ran
    assert re.search(rf"{done['cluster']}\.0  done", ran.out), ran.out


def test_a_log_that_is_rotated_loses_no_event(pool: Pool, project: Path) -> None:
    done = submitted(project, "-a", "counts=6")
    watch = watching(project, str(done["cluster"]), "--json")
    log = Path(done["log"])
    until(lambda: log.exists() and "executing on host" in log.read_text())
    watch.begun(3)
    old = log.with_suffix(".old")
    log.rename(old)
    ran = watch.finished()
    seen = [json.loads(line)["event"] for line in ran.out.splitlines()]
    written = re.findall(r"(?m)^(\d{3}) \(", old.read_text())
    assert len([kind for kind in seen if kind not in ("SAID", "END")]) == len(written)
    assert ran.code == 0


def test_a_watch_that_is_interrupted_leaves_the_job_alone(pool: Pool, project: Path) -> None:
    done = submitted(project, "-a", "counts=6", *gated(project))
    watch = watching(project, str(done["cluster"]))
    watch.begun()
    watch.process.send_signal(signal.SIGINT)
    ran = watch.finished()
    assert ran.code == 130
    assert "the jobs go on" in ran.err
    assert f"watch {done['cluster']}" in ran.err
    (project / "gate").unlink()
    assert pool.wait(done["cluster"]) == 0


IN_PLACE = [
    word
    for line in ("should_transfer_files=NO", "transfer_output_files=", "when_to_transfer_output=",
                 "transfer_checkpoint_files=", "checkpoint_exit_code=")
    for word in ("-a", line)
]  # fmt: skip


@pytest.mark.long
def test_many_processes_in_little_memory(pool: Pool, project: Path) -> None:
    """Without file transfer, so that the machine is done sooner with them."""
    (project / "train.sh").write_text("#!/bin/sh\nmkdir -p runs/$1; [ $2 != 7 ]\n")
    (project / "sweep.csv").write_text("".join(f"{n}\n" for n in range(500)))
    done = submitted(
        project, "--queue", "lr from sweep.csv", "--no-check", "-a", "request_memory=1", *IN_PLACE
    )
    assert done["jobs"] == 500
    program = ("-c", WATCH_AND_TELL_THE_MEMORY)
    ran = watching(project, str(done["cluster"]), "--json", program=program).finished(600)
    seen = [json.loads(line) for line in ran.out.splitlines()]
    written = re.findall(r"(?m)^(\d{3}) \(", Path(done["log"]).read_text())
    assert len([one for one in seen if one["event"] not in ("SAID", "END")]) == len(written)
    states = {job["proc"]: job["state"] for job in seen[-1]["jobs"]}
    assert [proc for proc, state in states.items() if state != "done"] == [7]
    assert len(states) == 500
    assert int(ran.err.strip().splitlines()[-1]) < 200_000  # KB


WATCH_AND_TELL_THE_MEMORY = """
import re, sys
from pixi_scaffold.cli import app
try:
    app()
finally:  # not ru_maxrss, in which whoever started this program counts, too
    print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""


@pytest.mark.parametrize(("until_", "code", "bad"), [("done", 0, "bad"), ("failed", 3, "1")])
def test_a_watch_ends_with_the_first_that_is_done_or_failed(
    project: Path, pool: Pool, until_: str, code: int, bad: str
) -> None:
    (project / "sweep.csv").write_text("1\nbad\n")
    more = ("-a", "counts=$(n_$(lr))", "-a", "n_1=1", "-a", "n_bad=1", "-a", f"n_{bad}=900")
    done = submitted(
        project, "--queue", "lr from sweep.csv", "--no-check", "-a", "every=999", *more
    )
    ran = watching(project, str(done["cluster"]), "--exit", until_).finished()
    assert ran.code == code, ran
    pool.run("condor_rm", str(done["cluster"]))


def test_a_job_that_is_tried_again_is_told_with_what_it_said(pool: Pool, project: Path) -> None:
    (project / "train.sh").write_text("#!/bin/sh\nmkdir runs; echo 'no such data' >&2; exit 3\n")
    done = submitted(project, "-a", "max_retries=1")
    cluster = done["cluster"]
    ran = watching(project, str(cluster)).finished()
    assert ran.code == 3, ran
    tried = re.findall(r"ended with exit code 3: HTCondor starts it again \((.+)\)", ran.out)
    assert tried == ["retry 1 of 1"]
    assert f"logs/{cluster}-0.err: no such data" in ran.out
    (row,) = pool.query(cluster, "NumJobCompletions", "ExitCode")
    assert row.split() == ["2", "3"]
    assert "checkpoint" not in ran.out  # what each try brought back is none


def gated(project: Path) -> tuple[str, str]:
    """What lets a job wait at 5 until the file `gate` is removed."""
    (project / "gate").touch()
    return "-a", f"gate={project / 'gate'}"


def on_a_terminal(project: Path, cluster: int, row: str) -> tuple[int, str]:
    """What `watch` draws on a terminal of 80 columns; the gate opens when it has drawn `row`."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    argv = [sys.executable, "-m", "pixi_scaffold", "watch", str(cluster)]
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        argv, cwd=project, stdin=slave, stdout=slave, stderr=slave, env=env | {"TERM": "xterm"}
    )
    os.close(slave)
    drawn = b""
    timer = threading.Timer(600, lambda: (project / "gate").unlink(missing_ok=True))
    timer.start()
    with contextlib.suppress(OSError):  # at its end
        while part := os.read(master, 65536):
            drawn += part
            if re.search(row, _unstyled(drawn)):
                (project / "gate").unlink(missing_ok=True)
    timer.cancel()
    os.close(master)
    return process.wait(600), _unstyled(drawn)


def _unstyled(drawn: bytes) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode("utf-8", "replace"))


def test_the_table_on_a_terminal(pool: Pool, project: Path) -> None:
    done = submitted(project, "-a", "counts=8", "-a", "every=4", *gated(project))
    row = rf"{done['cluster']}\.0 +running +\d+ s +\d+/100 MB +1 \(\d+ s ago\)[\s\S]{{0,60}}epoch 4"
    code, shown = on_a_terminal(project, done["cluster"], row)
    assert code == 0, shown
    assert re.search(row, shown), shown
    assert max(map(len, shown.replace("\r", "\n").split("\n"))) <= 80


def test_a_log_that_cannot_be_written_is_done_without(pool: Pool, project: Path) -> None:
    done = submitted(project, "--no-check", "-a", "log=/proc/nowhere.log")
    ran = watching(project, str(done["cluster"])).finished()
    assert "there is no /proc/nowhere.log" in ran.out
    assert ran.code in (0, 3)
    pool.run("condor_rm", str(done["cluster"]), check=False)


# --- fetch, stop, go on ------------------------------------------------------------------------------


def test_a_running_job_s_last_checkpoint_is_fetched(pool: Pool, project: Path) -> None:
    done = submitted(project, "-a", "counts=40", "-a", "every=3", *gated(project))
    cluster = str(done["cluster"])
    until(lambda: any(pool.folder.glob(f"spool/*/*/cluster{cluster}.proc0.subproc0/**/n")))
    ran = scaffold("fetch", cluster, cwd=project)
    assert ran.code == 0, ran
    folder = project / f"runs/job-{cluster}-0"
    assert (folder / "n").read_text() == "3\n"
    for path in folder.iterdir():
        path.unlink()
    ran = without_room(project, f"runs/job-{cluster}-0", "fetch", cluster)
    assert (ran.code, "cannot be written: No space left" in ran.err) == (1, True), ran
    assert scaffold("fetch", cluster, cwd=project).code == 0
    assert (folder / "n").read_text() == "3\n"
    (folder / "n").write_text("mine")
    os.utime(folder / "n", (time.time() + 3600, time.time() + 3600))
    ran = scaffold("fetch", cluster, cwd=project)
    assert (folder / "n").read_text() == "mine"
    assert "newer here" in ran.out
    pool.run("condor_rm", cluster)


def test_a_stopped_job_saves_comes_back_and_is_trained_further(pool: Pool, project: Path) -> None:
    done = submitted(project, "-a", "counts=500", "-a", "every=1000")
    cluster, log = str(done["cluster"]), Path(done["log"])
    until(lambda: log.exists() and "executing on host" in log.read_text())
    counts = f"execute/*/**/runs/job-{cluster}-0/n"
    until(lambda: any(pool.folder.glob(counts)))
    ran = scaffold("stop", cluster, cwd=project)
    assert ran.code == 0, ran
    run = project / f"runs/job-{cluster}-0"
    saved = int((run / "n").read_text())
    assert saved > 0  # condor_rm would have lost it: no checkpoint was handed over before
    assert pool.run("condor_q", cluster, "-af", "ClusterId") == ""
    assert f"--continue {cluster}" in ran.out
    seen = scaffold("watch", cluster, "--once", cwd=project)
    assert seen.out.rstrip().endswith(
        f"submit job.sub -a counts=500 -a every=1000 --continue {cluster}"
    )
    more = submitted(project, "--continue", cluster, "-a", f"counts={saved + 4}")
    assert pool.wait(more["cluster"]) == 0
    assert int((run / "n").read_text()) == saved + 4
    counted = [
        json.loads(line)["epoch"] for line in (run / "metrics.jsonl").read_text().splitlines()
    ]
    assert counted == list(range(1, saved + 5))  # nothing was trained twice, nothing left out
    last = submitted(project, "--continue", str(more["cluster"]), "-a", f"counts={saved + 6}")
    assert pool.wait(last["cluster"]) == 0  # a finished one goes on, too
    assert int((run / "n").read_text()) == saved + 6


def test_the_page_is_done_as_it_says(pool: Pool, project: Path) -> None:
    """docs/how-to/pool.md from its first command to its last; between them the job gets somewhere."""
    gate = project / "gate"
    gate.touch()
    read = '\nwhile [ $# -gt 0 ]; do declare "${1#--}=$2"; shift 2; done\n'
    read += "set -- $name 1 $epochs 3 $gate\n"
    (project / "train.sh").write_text(TRAIN.replace("\n", read, 1))
    given, own = "$(name) $(lr) $(counts) $(every) $(gate)", f"--name $(name) --gate {gate}"
    (project / "htcondor").mkdir()
    (project / "htcondor/train.sub").write_text(SUB.replace(given, f"{own} --epochs 8"))
    page = (REPOSITORY / "docs/how-to/pool.md").read_text(encoding="utf-8")
    clusters: list[str] = []
    for command, _ in commands(page):
        words = shlex.split(command.replace("4711", clusters[-1] if clusters else ""))[1:]
        if words[0] == "watch":
            watch = watching(project, *words[1:])
            watch.begun()
            watch.process.send_signal(signal.SIGINT)
            assert "the jobs go on" in watch.finished().err
            continue
        if words[0] == "fetch":
            kept = f"spool/*/*/cluster{clusters[0]}.proc0.subproc0/**/n"
            until(lambda there=kept: any(pool.folder.glob(there)))
        if "--more-arguments" in words:
            gate.unlink()
            assert pool.wait(int(clusters[-1])) == 0
        ran = scaffold(*words, cwd=project)
        assert ran.code == 0, ran
        run = project / f"runs/job-{clusters[0] if clusters else 0}-0"
        if words[0] == "submit":
            clusters += re.findall(r"cluster (\d+): 1 job submitted", ran.out)
        elif words[0] == "fetch":
            assert (run / "n").read_text() == "3\n"
        else:
            assert words == ["stop", clusters[0]]
            assert pool.run("condor_q", clusters[0], "-af", "ClusterId") == ""
            assert int((run / "n").read_text()) >= 3
    assert len(clusters) == 3
    assert pool.wait(int(clusters[-1])) == 0
    assert (run / "n").read_text() == "40\n", "the second one went on with the first, and the third"
    assert (run / "model.pt").exists()


def test_a_job_that_would_lose_all_is_not_stopped(pool: Pool, project: Path) -> None:
    plain = (
        "when_to_transfer_output=ON_EXIT",
        "checkpoint_exit_code=",
        "transfer_checkpoint_files=",
    )
    more = [word for line in plain for word in ("-a", line)]
    done = submitted(project, "--no-check", "-a", "counts=500", "-a", "every=999", *more)
    pool.until(done["cluster"], 2)
    ran = scaffold("stop", str(done["cluster"]), cwd=project)
    assert ran.code == 1, ran
    assert "loses all" in ran.err
    assert pool.query(done["cluster"], "JobStatus") == ["2"]
    pool.run("condor_rm", str(done["cluster"]))


def test_a_spooled_job_is_watched_and_fetched(pool: Pool, project: Path) -> None:
    done = submitted(project, "--spool", "-a", "counts=4")
    ran = watching(project, str(done["cluster"])).finished()
    assert ran.code == 0, ran
    assert re.search(rf"{done['cluster']}\.0  done", ran.out), ran.out
    assert "held" not in ran.out  # as HTCondor has it while the inputs are on their way
    again = scaffold("watch", str(done["cluster"]), "--once", "--json", cwd=project)
    (told,) = json.loads(again.out.splitlines()[-1])["jobs"]
    (said,) = pool.query(done["cluster"], "RemoteWallClockTime", "CheckpointNumber")
    assert [told["seconds"], told["checkpoints"] - 1] == [float(one) for one in said.split()]
    mine = project / "runs" / "mine"
    mine.mkdir(parents=True)
    (mine / "notes").write_text("kept")
    ran = scaffold("fetch", str(done["cluster"]), cwd=project)
    assert ran.code == 0, ran
    assert (project / f"runs/job-{done['cluster']}-0/model.pt").exists(), ran
    assert (mine / "notes").read_text() == "kept"
    assert list(project.glob("runs/submitted/*.json"))


def test_what_is_newer_here_outlives_the_fetch_of_a_spooled_job(pool: Pool, project: Path) -> None:
    done = submitted(project, "--spool", "-a", "counts=2")
    pool.until(done["cluster"], 4)
    run = project / f"runs/job-{done['cluster']}-0"
    run.mkdir(parents=True)
    (run / "n").write_text("older")
    os.utime(run / "n", (1e9, 1e9))
    (run / "model.pt").write_text("mine")
    os.utime(run / "model.pt", (time.time() + 60, time.time() + 60))
    ran = scaffold("fetch", cwd=project)
    assert ran.code == 0, ran
    assert "left as it is, because it is newer here" in ran.out
    assert ((run / "n").read_text().strip(), (run / "model.pt").read_text()) == ("2", "mine")
    assert (run / "metrics.jsonl").exists()
    assert not list(project.glob("fetched-*"))


def test_what_has_no_place_here_is_not_lost(pool: Pool, project: Path) -> None:
    """HTCondor forgets a job whose files were retrieved."""
    done = submitted(project, "--spool", "-a", "counts=2")
    pool.until(done["cluster"], 4)
    run = project / f"runs/job-{done['cluster']}-0"
    (run / "model.pt").mkdir(parents=True)
    os.utime(run / "model.pt", (1e9, 1e9))
    ran = scaffold("fetch", cwd=project)
    assert ran.code == 1, ran
    (landing,) = project.glob("fetched-*")
    assert f"what came back is in {landing}" in ran.err
    assert (landing / run.relative_to(project) / "model.pt").read_text() == "done\n"


@pytest.mark.parametrize("command", ["watch", "fetch", "stop"])
def test_a_wrong_cluster_says_which_there_are(pool: Pool, project: Path, command: str) -> None:
    ran = scaffold(command, "987654", cwd=project)
    assert ran.code == 2
    assert "no" in ran.err
    assert "submit" in ran.err


def test_a_sweep_of_twenty_becomes_one_table_and_one_picture(pool: Pool, project: Path) -> None:
    rows = [*map(str, range(19)), "bad"]
    (project / "sweep.csv").write_text("".join(f"{row}\n" for row in rows))
    queue = ("--queue", "lr from sweep.csv", "-a", "counts=2")
    done = submitted(project, *queue)
    drawn = project / f"runs/submitted/{done['cluster']}.svg"
    drawn.mkdir()  # as a full disk, it is no reason to keep the outcome back
    ran = watching(project, str(done["cluster"])).finished()
    assert (ran.code, "the picture of the curves could not be written" in ran.out) == (3, True), ran
    assert "1 of 20 did not succeed" in ran.out
    drawn.rmdir()
    ran = scaffold("collect", cwd=project)
    assert ran.code == 0, ran
    assert "19 of 20 runs are done" in ran.out
    with (project / "runs/collected.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {(row["lr"], row["state"]) for row in table} == {
        (row, "failed" if row == "bad" else "done") for row in rows
    }
    assert {row["epoch"] for row in table if row["state"] == "done"} == {"2"}
    assert (project / "runs/collected.svg").read_text().count("<polyline") == 40  # of two metrics
    again = submitted(project, *queue, "--failed")
    assert (again["jobs"], again["left_out"]) == (1, 19)


# --- why it is not running ---------------------------------------------------------------------------

HOLDS = {
    "somebody": ("1/0", (), "somebody held it"),
    "too much memory": ("21/102", ("lr=much",), "it broke a limit of the pool"),
    "itself": ("3/0", ("periodic_hold=JobStatus == 2",), "a condition of its own"),
    "no interpreter": ("6/2", ("executable=nowhere.sh",), "its interpreter is not on the worker"),
    "no first line": ("6/8", ("executable=data.bin",), "without a first line"),
    "no output": ("12/2", ("transfer_output_files=nothing",), "was not there when the job ended"),
    "no input": ("13/2", ("transfer_input_files=gone.txt",), "is not there"),
    "too long": ("46/0", ("allowed_job_duration=1",), "ran longer in all"),
    "start too long": ("47/0", ("allowed_execute_duration=1",), "one start of it ran longer"),
    "too much in": ("32/0", ("transfer_input_files=big", "max_transfer_input_mb=1"), "larger than"),
    "too much out": ("33/0", ("max_transfer_output_mb=1", "lr=big"), "what it brings back"),
    "no checkpoint": ("36/-1", ("transfer_checkpoint_files=nothing",), "checkpoint could not be"),
    "stream": ("9/0", ("stream_output=true", "output=nowhere/x"), "could not be streamed"),
    "no transfer": (
        "7/2",
        ("should_transfer_files=NO", "output=nowhere/x", "transfer_output_files=",
         "when_to_transfer_output=", "transfer_checkpoint_files=", "checkpoint_exit_code="),
        "could not be opened",
    ),
}  # fmt: skip
"""Holds that a pool can be made to give: the code, how, and what is said."""
LASTING = ("somebody", "itself", "too long", "start too long", "no input")


def test_each_hold_is_explained(pool: Pool, project: Path) -> None:
    (project / "nowhere.sh").write_text("#!/nowhere\n")
    (project / "data.bin").write_bytes(b"\x00\x01\x02no program\n" * 9)
    for name in ("nowhere.sh", "data.bin"):
        (project / name).chmod(0o755)
    (project / "big").write_bytes(b"x" * 3_000_000)
    (project / "gone.txt").write_text("for a moment")
    script = (project / "train.sh").read_text()
    much = '[ "$2" = much ] && x=$(head -c 300000000 /dev/zero | tr "\\0" x) && sleep 600\n'
    big = '[ "$2" = big ] && head -c 3000000 /dev/zero > runs/$1/zero && exit 0\n'
    (project / "train.sh").write_text(script.replace("n=0;", f"{much}{big}n=0;", 1))
    clusters = {}
    for name, (_, lines, _) in HOLDS.items():
        more = ("counts=400", "every=1000") if name in LASTING else ()
        clusters[name] = pool.submit("job.sub", project, *lines, *more)
        if name == "no input":
            (project / "gone.txt").unlink()
    pool.run("condor_hold", str(clusters["somebody"]))
    wrong = {}
    for name, cluster in clusters.items():
        pool.until(cluster, 5)
        log = project / f"logs/{cluster}.log"  # which the shadow writes after it told the queue
        until(lambda log=log: "\n012 (" in log.read_text())
        states: dict[int, ProcState] = {}
        for event in Follower(log).new():
            states[event.proc] = fold(states, event)
        said = list(held(states[0], cluster))
        code, _, words = HOLDS[name]
        expected = "code {}, subcode {}".format(*code.split("/"))
        if words not in said[0] or expected not in said[0] or "  usual fix: " not in str(said[1:]):
            wrong[name] = said
    ran = scaffold("watch", "--log", f"logs/{clusters['no output']}.log", "--once", cwd=project)
    pool.run("condor_rm", "-all", check=False)
    assert not wrong, wrong
    assert ran.code == 3
    assert "0 held: something that transfer_output_files names was not there" in ran.out


def test_a_job_that_was_submitted_on_hold_is_explained(pool: Pool, project: Path) -> None:
    """Of which the log never tells (seen with 23.9 and 25.14)."""
    done = submitted(project, "--no-check", "-a", "hold=true")
    ran = scaffold("watch", "--once", cwd=project)
    pool.run("condor_rm", str(done["cluster"]))
    assert ran.code == 3
    assert "0 held: it was submitted on hold (hold = true) (code 15, subcode 0)" in ran.out
    assert "usual fix: condor_release" in ran.out


IDLE = {
    "fits": (["request_gpus=1"], "34 of 34 GPUs fit, 34 of them free now: it waits for its turn", ""),
    "a list in its ad": (["request_gpus=1", 'My.Catalogs={"a", "b"}'], "34 of 34 GPUs fit", ""),
    "two gpus": (["request_gpus=2"], "24 of 34 GPUs fit", "request_gpus 1 in place of 2: 34 of 34"),
    "three gpus": (["request_gpus=3"], "none of 34 GPUs", "request_gpus 2 in place of 3: 24 of 34"),
    "capability": (
        ["request_gpus=1", "gpus_minimum_capability=7.5"],
        "20 of 34 GPUs fit", "gpus_minimum_capability 6 in place of 7.5: 34 of 34",
    ),
    "memory of gpus": (
        ["request_gpus=1", "gpus_minimum_memory=16000"],
        "14 of 34 GPUs fit", "gpus_minimum_memory 15102 MB in place of 16000 MB: 34 of 34",
    ),
    "two limits": (
        ["request_gpus=1", "gpus_minimum_capability=7.0", "request_memory=16GB"],
        "none of 34 GPUs", "request_memory 8 GB in place of 16 GB: 20 of 34",
    ),
    "driver": (
        ["request_gpus=1", "gpus_minimum_runtime=13.0"],
        "none of 34 GPUs", "gpus_minimum_runtime 12.4 in place of 13.0: 34 of 34",
    ),
    "memory": (["request_memory=500GB"], "none of 22 slots", "request_memory 8 GB in place of 500 GB"),
    "cpus": (["request_cpus=16"], "none of 22 slots", "request_cpus 8 in place of 16: 20 of 22"),
    "disk": (["request_disk=200GB"], "none of 22 slots", "request_disk 68.9 GB in place of 200 GB"),
    "requirements": (["requirements=HasNothing == true"], "none of 22 slots", "(HasNothing == true)"),
    "one machine": (['requirements=Machine == "t41"'], "1 of 22 slots fits, 1 of them free now", ""),
    "machines that want gpus": (
        ["request_memory=1GB"],
        "20 of 22 slots fit", "refused by TARGET.RequestGPUs > 0 (the slot's own Requirements)",
    ),
    "either": (['requirements=Machine == "t41" || Machine == "old3"'], "2 of 22 slots fit", ""),
    "by a pattern": (['requirements=regexp("^mixed", Machine)'], "4 of 22 slots fit", ""),
    "not by a pattern": (['requirements=!regexp("^t4", Machine) && Memory > 1024'], "14 of 22 slots fit", ""),
    "one of a list": (['requirements=stringListMember(Machine, "t40,t41")'], "2 of 22 slots fit", ""),
    "in no list": (['requirements=member("a", split(Machine, ","))'], "none of 22 slots", ""),
    "a condition": (["requirements=ifThenElse(isUndefined(X), false, X)"], "none of 22 slots", ""),
    "a quotient": (["requirements=Memory / Cpus >= 4096"], "none of 22 slots", "Memory / Cpus"),
    "both sides": (["requirements=TARGET.Memory >= MY.RequestMemory * 20"], "20 of 22 slots fit", ""),
    "not the same as true": (["requirements=HasX =!= true"], "20 of 22 slots fit", ""),
    "the name of a gpu": (
        ["request_gpus=1", 'requirements=GPUs_DeviceName == "Tesla T4"'], "16 of 34 GPUs fit", "",
    ),
    "a condition on gpus": (
        ["request_gpus=1", "require_gpus=Capability >= 7.5 && DriverVersion >= 12.0"],
        "20 of 34 GPUs fit", "10 of 22 machines refused by Capability >= 7.5\n",
    ),
    "an upper limit": (
        ["request_gpus=1", "gpus_maximum_capability=6.9"], "14 of 34 GPUs fit", "gpus_maximum_capability",
    ),
}  # fmt: skip
"""What jobs ask for, and what is said of each beside 22 machines with 34 GPUs."""


EXPLAIN = """
import json, sys
from pixi_scaffold.pool.access import connect
from pixi_scaffold.pool.why import idle
point = connect()
print(json.dumps({cluster: "\\n".join((*idle(point, int(cluster), 0), "")) for cluster in sys.argv[1:]}))
"""


@pytest.fixture(scope="module")
def analysed(
    still: Pool, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, int], dict[str, str]]:
    """The cluster of each case, and what is said of it; all in one process."""
    folder = laid_out(tmp_path_factory.mktemp("idle"))
    clusters = {case: still.submit("job.sub", folder, *lines) for case, (lines, *_) in IDLE.items()}
    argv = [sys.executable, "-c", EXPLAIN, *map(str, clusters.values())]
    done = subprocess.run(argv, env=still.env, capture_output=True, text=True, check=True)
    return clusters, json.loads(done.stdout)


@pytest.mark.parametrize("case", IDLE)
def test_an_idle_job_is_explained_as_htcondor_analyses_it(
    still: Pool, analysed: tuple[dict[str, int], dict[str, str]], case: str
) -> None:
    clusters, explained = analysed
    _, first, second = IDLE[case]
    said = explained[str(clusters[case])]
    assert said.startswith(f"idle: {first}")
    assert second in said
    judged = still.run("condor_q", "-better-analyze", str(clusters[case]))
    refused = sum(map(int, re.findall(r"(\d+) slots (?:are rejected|reject)", judged)))
    most = max(map(int, re.findall(r"(\d+) of 22 machines refused", said)), default=0)
    assert most == refused
    assert ("none of" in first) == (refused == 22)


def test_a_watch_explains_an_idle_job(
    still: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDOR_CONFIG", still.env["CONDOR_CONFIG"])
    done = submitted(laid_out(tmp_path), "--no-check", "-a", "request_memory=500GB")
    ran = scaffold("watch", "--once", cwd=tmp_path)
    assert ran.code == 0, ran
    assert f"{done['cluster']}.0 idle: none of 22 slots fits" in ran.out


# --- the generated project, from its archive to its model --------------------------------------------

#: In the first start of the job that hands over checkpoints, one becomes due, however fast the machine is,
#: and what goes on from it waits for the eviction.
WAITS = (
    "\n    scores = network(images)\n",
    """
    import os, pathlib, time, torch
    step.calls = getattr(step, "calls", 0) + torch.is_grad_enabled()  # not where it only measures
    seconds = float(os.environ["CHECKPOINT_SECONDS"])
    if seconds and step.calls == 1 and "NumJobStarts = 0" in open(".job.ad").read():
        if any(pathlib.Path("runs").glob("*/checkpoint.pt")):
            pathlib.Path("resumed").touch()
            time.sleep(9999)
        time.sleep(seconds)
    scores = network(images)
""",
)


@pytest.mark.long
def test_the_generated_project_is_packed_submitted_evicted_and_comes_back_whole(
    pool: Pool, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    shutil.copytree(packed, project, symlinks=True)
    (project / "starter.lock").rename(project / "pixi.lock")
    program = project / "main.py"
    assert WAITS[0] in program.read_text()
    program.write_text(program.read_text().replace(*WAITS))
    for argv in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@l"]
        subprocess.run([*git, *argv], cwd=project, check=True)
    monkeypatch.setenv("CONDOR_CONFIG", pool.env["CONDOR_CONFIG"])
    monkeypatch.setenv("PATH", pool.env["PATH"])
    limits = ("-a", "request_memory=3GB", "-a", "request_disk=4GB")
    variables = "GIT_COMMIT=$(commit:) PIXI_SCAFFOLD_ALLOW_CPU=1"  # the pool's GPU is a name only

    def send(seconds: int) -> dict[str, Any]:
        own = ("-a", f'environment="CHECKPOINT_SECONDS={seconds} {variables}"')
        ran = scaffold(
            "submit", "--json", *limits, *own, "--more-arguments", "--epochs 6", cwd=project
        )
        assert ran.code == 0, ran
        return ran.document  # type: ignore[no-any-return]

    whole, done = send(0), send(2)
    cluster, log = str(done["cluster"]), Path(done["log"])
    # It has handed over a checkpoint, has gone on from that, and waits there.
    until(lambda: [*pool.folder.glob("execute/*/scratch/resumed")], 900)
    fetched = scaffold("fetch", cluster, cwd=project)
    assert fetched.code == 0, fetched
    assert (project / f"runs/job-{cluster}-0/checkpoint.pt").exists()  # while it runs
    pool.run("condor_vacate_job", "-fast", cluster)
    ran = watching(project, cluster).finished(1800)
    assert ran.code == 0, ran
    assert watching(project, str(whole["cluster"])).finished(1800).code == 0
    one, two = (project / f"runs/job-{c}-0" for c in (cluster, whole["cluster"]))
    assert (one / "model.pt").exists()
    assert (one / "metrics.jsonl").read_bytes() == (two / "metrics.jsonl").read_bytes()
    starts = (one / "history.jsonl").read_text().splitlines()
    assert len(starts) > 1  # it resumed
    assert json.loads(starts[0])["git_commit"] == done["commit"]
    events = log.read_text()
    assert "Job was evicted" in events


# --- more than one user ------------------------------------------------------------------------------


def test_somebody_else_s_job_is_left_alone(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each client claims to be somebody, which only a pool for tests believes."""
    monkeypatch.setenv("_CONDOR_SEC_DEFAULT_AUTHENTICATION_METHODS", "CLAIMTOBE")
    monkeypatch.setenv("_CONDOR_SEC_CLAIMTOBE_USER", "condor")
    believes = "SEC_DEFAULT_AUTHENTICATION_METHODS = CLAIMTOBE\n"
    folder = tmp_path_factory.mktemp("two-users")
    with Pool(condor_prefix(), folder, settings=believes) as one:
        monkeypatch.setenv("CONDOR_CONFIG", one.env["CONDOR_CONFIG"])
        clusters = {}
        for user in ("alice", "bob"):
            monkeypatch.setenv("_CONDOR_SEC_CLAIMTOBE_USER", user)
            clusters[user] = submitted(project, "-a", "counts=500", "-a", "every=900")["cluster"]
        theirs = scaffold("stop", str(clusters["alice"]), cwd=project)
        assert theirs.code == 1, theirs
        assert "somebody else's job" in theirs.err
        owners = one.run("condor_q", "-allusers", "-af", "Owner", "ClusterId").split()
        assert set(owners) >= {"alice", "bob", str(clusters["alice"])}
        own = scaffold("stop", str(clusters["bob"]), cwd=project)
        assert own.code == 0, own
        left = one.run("condor_q", "-allusers", "-af", "ClusterId").split()
        assert left == [str(clusters["alice"])]


# --- memory ------------------------------------------------------------------------------------------


def test_more_memory_is_asked_for_by_htcondor_s_own_commands(pool: Pool, project: Path) -> None:
    done = submitted(project, "-a", "hold=true", "--retry-memory", "2GB")
    lines = ("retry_request_memory_increase = RequestMemory * 2", "retry_request_memory_max = 2GB")
    plain = pool.submit("job.sub", project, "hold = true", *lines)
    told = []
    for cluster in (done["cluster"], plain):
        ad = pool.run("condor_q", str(cluster), "-long").splitlines()
        told.append(sorted(line for line in ad if "Memory" in line and "/" not in line))
    pool.run("condor_rm", "-all")
    assert told[0] == told[1]
    assert any("2048" in line for line in told[0]), told[0]


def test_a_job_that_needed_more_memory_gets_it_and_is_told(pool: Pool, project: Path) -> None:
    """The pool throws off what uses more than it asked for; 300 MB fit from the second start on."""
    (project / "train.sh").write_text(
        '#!/bin/bash\nmkdir -p runs; [ "$(sed -n "s/^Memory = //p" .machine.ad)" -ge 400 ] && exit\n'
        "x=$(head -c 300000000 /dev/zero | tr '\\0' x); sleep 600 & wait $!\n"
    )
    done = submitted(project, "--retry-memory", "1GB", "-a", "request_memory=200MB")
    ran = watching(project, str(done["cluster"])).finished()
    assert ran.code == 0, ran
    evictions = ran.out.count("evicted: it used more memory than it had asked for")
    assert evictions  # a second one was seen once, on a busy machine
    assert "its next start has 400 MB" in ran.out
    assert pool.query(done["cluster"], "RequestMemory") == [str(200 * 2**evictions)]
