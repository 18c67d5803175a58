"""What a pool has of its own: written down by a real pool, and used by check on any machine."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import scaffold
from tests.support.pool import T4, Pool, condor_prefix

JOB = """executable = run.sh
should_transfer_files = YES
request_cpus = 1
request_memory = 1GB
request_disk = 1GB
log = a.log
queue
"""
SETTINGS = """
STARTD_ATTRS = $(STARTD_ATTRS) HasLabStaging
HasLabStaging = true
SUBMIT_ALLOW_GETENV = false
EXTENDED_SUBMIT_COMMANDS @=end
  want_lab = true
  lab_room = "basement"
@end
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("site")
    with Pool(condor_prefix(), folder, gpus=[T4] * 2, settings=SETTINGS) as running:
        yield running


@pytest.fixture
def job(tmp_path: Path) -> Path:
    (tmp_path / "run.sh").write_text("#!/bin/sh\ntrue\n")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "job.sub").write_text(JOB)
    return tmp_path


def rules(folder: Path, line: str, *words: str) -> list[tuple[str, str]]:
    (folder / "job.sub").write_text(JOB.replace("queue\n", f"{line}\nqueue\n"))
    ran = scaffold("check", "job.sub", "--json", *words, cwd=folder)
    return [(f["rule"], f["severity"]) for f in ran.document["findings"]]


def test_a_pool_is_written_down_and_check_knows_it(pool: Pool, job: Path) -> None:
    path = job / "mylab.toml"
    command = [sys.executable, "-m", "pixi_scaffold", "site", "capture", str(path)]
    done = subprocess.run(
        command, env=pool.env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    site = tomllib.loads(path.read_text())
    assert site["commands"] == {"want_lab": "boolean", "lab_room": "string"}
    assert site["limits"]["getenv"] is False
    assert "HasLabStaging" in site["slots"]["attributes"]
    [kind] = site["gpus"]
    assert (kind["name"], kind["capability"]) == ("Tesla T4", 7.5)

    assert rules(job, "want_lab = true") == [("PS102", "warning")]
    assert rules(job, "want_lab = true", "--site", "mylab.toml") == []
    assert rules(job, "requirements = HasLabStaging") == [("PS106", "note")]
    assert rules(job, "requirements = HasLabStaging", "--site", "mylab.toml") == []
    assert rules(job, "getenv = true") == [("PS125", "warning")]
    assert rules(job, "getenv = true", "--site", "mylab.toml") == [("PS125", "error")]
    (job / "job.sub").write_text(JOB.replace("queue\n", "getenv = true\nqueue\n"))
    said = subprocess.run(
        ["condor_submit", "-dry-run", "-", "job.sub"],
        cwd=job, env=pool.env, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert said.returncode != 0, "condor_submit of that pool is the judge"
    assert "getenv" in (said.stdout + said.stderr).lower()


def test_slots_are_read_from_json(pool: Pool, job: Path) -> None:
    (job / "slots.json").write_text(pool.run("condor_status", "-json"))
    (job / "slots.ad").write_text(pool.run("condor_status", "-long"))
    texts = []
    for name in ("slots.json", "slots.ad"):
        ran = scaffold("check", "job.sub", "--json", "--slots", name, cwd=job)
        assert ran.code == 0, ran
        texts.append(ran.document["slots"])
    assert texts[0] == texts[1]
    assert texts[0][0]["matching"] >= 1


def test_what_chtc_defines_is_no_mistake(job: Path) -> None:
    assert rules(job, "want_ospool = true") == []
    assert rules(job, "want_ospool = true", "--site", "chtc") == []
    assert scaffold("check", "job.sub", "--site", "nowhere", cwd=job).code == 2
    (job / "site.toml").write_text("= 3")
    assert scaffold("check", "job.sub", "--site", "site.toml", cwd=job).code == 2


def test_slots_that_are_no_ads_are_refused(job: Path) -> None:
    for text in ("[1, 2]", "[{]", json.dumps([{"MyType": "Job"}])):
        (job / "slots.json").write_text(text)
        assert scaffold("check", "job.sub", "--slots", "slots.json", cwd=job).code in (2, 3)
