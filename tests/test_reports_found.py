"""Failures that people reported in public: each is told, and what mends it is not (data/reports.toml).

The judge of a report is who wrote it: the job failed, was held or stayed idle there. Those in whose files nothing
gives it away are in the table, too, with an empty `told`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from pixi_scaffold.check import review
from pixi_scaffold.report import Silent
from pixi_scaffold.rules import Severity, read_site
from tests.support.command import scaffold
from tests.support.paths import REPOSITORY
from tests.test_reports import Job

TABLE = REPOSITORY / "tests" / "data" / "reports.toml"
REPORTS: list[dict[str, Any]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))["report"]


def job_of(report: dict[str, Any], kind: str) -> Job:
    return Job(**{**report[kind], "without": tuple(report[kind].get("without", ()))})


def said(report: dict[str, Any], kind: str, folder: Path) -> dict[str, Severity]:
    """What `check` says of one side of a report: rules, with their severity."""
    path = job_of(report, kind).lay_out(folder).parent / report.get("dag", "job.sub")
    site = read_site(report["site"]) if "site" in report else None
    return {one.rule: one.severity for one in review([path], Silent(), site=site).findings}


@pytest.mark.parametrize("report", REPORTS, ids=[report["what"] for report in REPORTS])
def test_a_report_is_told_and_what_mends_it_is_not(report: dict[str, Any], tmp_path: Path) -> None:
    assert report["source"].startswith("https://")
    wrong, good = (said(report, kind, tmp_path / kind) for kind in ("wrong", "good"))
    assert not {rule for rule, severity in good.items() if severity is not Severity.NOTE}
    if report["told"]:
        assert report["told"] in wrong
        assert report["told"] not in good
    else:  # once it is told, the table says by which rule
        assert set(wrong) <= set(good)


@pytest.mark.slow
@pytest.mark.parametrize(
    "report",
    (REHEARSED := [r for r in REPORTS if "rehearse" in r]),
    ids=[r["what"] for r in REHEARSED],
)
def test_a_rehearsal_says_what_to_do_about_a_report(report: dict[str, Any], tmp_path: Path) -> None:
    """The reports in whose files nothing gives it away, but which fail here, too."""
    for kind, code in (("wrong", 3), ("good", 0)):
        path = job_of(report, kind).lay_out(tmp_path / kind)
        ran = scaffold("rehearse", path.name, cwd=path.parent)
        assert ran.code == code, ran
        out = " ".join((ran.out + ran.err).split())
        assert (report["rehearse"] in out.partition("next: ")[2]) == (kind == "wrong")


def test_a_folder_that_all_jobs_write_their_logs_to_is_noted_once(tmp_path: Path) -> None:
    path = Job("log = /home/alice/logs/$(Process).log", queue="queue 20").lay_out(tmp_path)
    found = [one for one in review([path], Silent()).findings if one.rule == "PS207"]
    assert [one.message for one in found] == ["log leads out of the project: /home/alice/logs"]
