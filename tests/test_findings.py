"""How findings are shown: the source with a mark, the page offline, and what programs get."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from pixi_scaffold.check import find_descriptions
from pixi_scaffold.rules import RULES
from tests.support.command import scaffold
from tests.support.paths import REPOSITORY
from tests.test_terminal import Terminal

JOB = {
    "run.sh": "#!/bin/sh\ntrue\n",
    "job.sub": "executable = run.sh\nshould_transfer_files = YES\nrequest_cpus = 1\nrequest_memory = 1GB\n"
    "request_disk = 1GB\nrequirements = (Memory > 1) && (CUDACapability >= 7.5)\nlog = a.log\noutput = a.out\nerror = a.err\nqueue\n",
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


@pytest.mark.parametrize("name", ["job.cmd", "job.job", "job.jdl", "job.submit", "job.sub.txt"])
def test_a_description_is_found_by_its_other_names(job: Path, name: str) -> None:
    (job / "job.sub").rename(job / name)
    [finding] = scaffold("check", "--json", cwd=job).document["findings"]
    assert (finding["rule"], Path(finding["file"]).name) == ("PS127", name)


@pytest.mark.parametrize("name", ["tool.cmd", "other.job"])
def test_other_kinds_of_files_with_such_names_are_left_alone(job: Path, name: str) -> None:
    (job / name).write_text("@echo off\nqueue of people\n")
    assert find_descriptions(job) == [job / "job.sub"]


def test_a_common_input_is_an_input(job: Path) -> None:
    text = JOB["job.sub"].replace(" && (CUDACapability >= 7.5)", "")
    (job / "job.sub").write_text(text.replace("queue", "transfer_common_input = model.bin\nqueue"))
    [finding] = scaffold("check", "--json", "job.sub", cwd=job).document["findings"]
    assert (finding["rule"], finding["severity"]) == ("PS205", "warning")
    assert "model.bin" in finding["message"]
    (job / "model.bin").touch()
    (job / "run.sh").write_text("#!/bin/sh\ncat model.bin\n")
    assert scaffold("check", "--json", "job.sub", cwd=job).document["findings"] == []


@pytest.mark.parametrize("columns", [60, 100])
def test_findings_are_wrapped_to_the_terminal_and_coloured(job: Path, columns: int) -> None:
    with Terminal("check", "job.sub", cwd=job, COLUMNS=str(columns)) as terminal:
        assert terminal.end() == 0
        seen, plain = terminal.seen, terminal.plain.splitlines()
    at = next(n for n, line in enumerate(plain) if "PS127" in line)
    prose = [line.rstrip() for line in plain[at:] if "http" not in line and " | " not in line]
    assert max(map(len, prose)) <= columns
    assert len(prose) > (8 if columns == 60 else 4)
    assert re.search(r"\x1b\[[0-9;]*3[0-9]m[^\n]*PS127|\x1b\[[0-9;]*3[0-9]mwarning", seen)
