"""How findings are shown: the source with a mark, the page offline, and what programs get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pixi_scaffold.rules import RULES
from tests.support.command import scaffold
from tests.support.paths import REPOSITORY

JOB = {
    "run.sh": "#!/bin/sh\ntrue\n",
    "job.sub": "executable = run.sh\nshould_transfer_files = YES\nrequest_cpus = 1\nrequest_memory = 1GB\n"
    "request_disk = 1GB\nrequirements = (Memory > 1) && (CUDACapability >= 7.5)\nlog = a.log\nqueue\n",
}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    for name, text in JOB.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "run.sh").chmod(0o755)
    return tmp_path


def test_the_mark_is_under_the_words(job: Path) -> None:
    lines = scaffold("check", "job.sub", cwd=job).out.splitlines()
    at = next(n for n, line in enumerate(lines) if "6 | " in line)
    source, mark = lines[at], lines[at + 1]
    assert source[mark.index("^") : mark.rindex("^") + 1] == "CUDACapability"
    assert any("why: " in line for line in lines[at:])
    assert any(line.endswith("/PS127.md") for line in lines)


def test_programs_get_the_columns_and_the_page(job: Path) -> None:
    ran = scaffold("check", "job.sub", "--output-format", "json", cwd=job)
    [finding] = ran.document["findings"]
    line = JOB["job.sub"].splitlines()[finding["line"] - 1]
    assert line[finding["column"] - 1 : finding["end_column"] - 1] == "CUDACapability"
    assert finding["source"] == line
    assert finding["url"].endswith("/PS127.md")
    sarif = json.loads(scaffold("check", "job.sub", "--output-format", "sarif", cwd=job).out)
    [result] = sarif["runs"][0]["results"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 6, "startColumn": 33, "endColumn": 47}
    github = scaffold("check", "job.sub", "--output-format", "github", cwd=job).out
    assert "line=6,col=33,endColumn=47,title=PS127::" in github


def test_the_page_of_a_rule_is_printed_offline(tmp_path: Path) -> None:
    ran = scaffold("rule", "ps209", cwd=tmp_path)
    assert ran.code == 0
    assert RULES["PS209"].page.splitlines()[2] in ran.out
    assert scaffold("rule", "PS999", cwd=tmp_path).code == 2
    assert len(scaffold("rule", cwd=tmp_path).out.splitlines()) == len(RULES)


def test_the_hook_for_pre_commit_runs_the_rules_on_a_job(job: Path) -> None:
    [hook] = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())
    command, *words = hook["entry"].split()
    assert command == "pixi-scaffold"
    (job / "job.sub").write_text(JOB["job.sub"].replace("executable = run.sh", "executable = r.sh"))
    ran = scaffold(*words, *hook["args"], "job.sub", cwd=job)
    assert ran.code == 3
    assert "PS201" in ran.out
