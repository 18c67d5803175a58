"""submit, watch, fetch, stop and collect on a real HTCondor pool, which judges every expectation here."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import scaffold
from tests.support.pool import P100, T4, V100, V100_OLD_DRIVER, Pool, condor_prefix

pytestmark = pytest.mark.slow

TRAIN = """\
#!/bin/bash
# Counts to $3 in runs/$1, hands over a checkpoint every $4 counts, saves when told to stop.
mkdir -p runs/$1
n=0; [ -f runs/$1/n ] && n=$(cat runs/$1/n)
trap 'echo $n > runs/'$1'/n; exit 85' TERM
while [ $n -lt $3 ]; do
  sleep 0.3 & wait $!
  n=$((n+1)); echo $n > runs/$1/n
  echo "{\\"epoch\\": $n, \\"test_loss\\": 0.$((90-n)), \\"lr\\": 0.1}" >> runs/$1/metrics.jsonl
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
arguments = "--name $(name) $(lr)"
arguments = "$(name) $(lr) $(counts) $(every)"
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
    with Pool(prefix, folder, gpus=[T4, P100, V100, V100_OLD_DRIVER], cpus=32) as one:
        yield one


@pytest.fixture
def project(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a job that checkpoints, in an environment that finds the pool."""
    monkeypatch.setenv("CONDOR_CONFIG", pool.env["CONDOR_CONFIG"])
    monkeypatch.setenv("PATH", pool.env["PATH"])
    (tmp_path / "logs").mkdir()
    (tmp_path / "train.sh").write_text(TRAIN)
    (tmp_path / "train.sh").chmod(0o755)
    (tmp_path / "job.sub").write_text(SUB)
    return tmp_path


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
    assert (arguments, environment) == (f"job-{cluster}-0 1 2 2", f"GIT_COMMIT={commit}")
    assert own == commit
    kept = receipt(project, cluster)
    assert (kept["schedd"], kept["log"]) == (found[2], log)
    assert (kept["commit"], kept["dirty"]) == (commit, False)
    assert kept["jobs"][0]["run"] == f"job-{cluster}-0"
    assert kept["ad"]["Environment"] == "GIT_COMMIT"  # a name, not the value
    (path,) = project.glob("runs/submitted/*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pool.wait(cluster) == 0


def test_a_dry_run_sends_nothing(pool: Pool, project: Path) -> None:
    before = pool.run("condor_q", "-allusers", "-af", "ClusterId")
    (project / "sweep.csv").write_text("1\n2\n3\n")
    ran = scaffold("submit", "job.sub", "--dry-run", "--queue", "lr from sweep.csv", cwd=project)
    assert ran.code == 0, ran
    assert "3 jobs would be submitted" in ran.out
    assert "job-1-2 3 4 2" in ran.out
    assert not (project / "runs").exists()
    assert pool.run("condor_q", "-allusers", "-af", "ClusterId") == before


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


def test_what_the_access_point_refuses_leaves_no_receipt(project: Path) -> None:
    ran = scaffold("submit", "job.sub", "--no-check", "-a", "request_memory=3 parsecs", cwd=project)
    assert ran.code == 1, ran
    assert "parsecs" in ran.err
    assert not list(project.glob("runs/submitted/*.json"))


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
