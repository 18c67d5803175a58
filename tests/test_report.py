from __future__ import annotations

import json

import pytest

from pixi_scaffold.report import Report, Result, Status

PASSED = Result("lock", Status.PASSED, 0.12345, "three platforms")
FAILED = Result("train", Status.FAILED, 2.0, "exit code 1", "pixi run smoke", ("last line",))
SKIPPED = Result("rehearse", Status.SKIPPED, 0.0, "needs train")


@pytest.mark.parametrize(
    ("results", "code"),
    [((PASSED,), 0), ((PASSED, SKIPPED), 0), ((PASSED, FAILED, SKIPPED), 3), ((), 0)],
)
def test_exit_code(results: tuple[Result, ...], code: int) -> None:
    assert Report("new", results).exit_code == code


def test_the_table_fits_the_terminal() -> None:
    long = Result("install", Status.PASSED, 12.0, "word " * 30)
    facts = {"skipped": [{"what": "x on osx-arm64", "why": "no python"}, {"what": "rehearse"}]}
    lines = Report("new", (PASSED, long, SKIPPED), facts).table(60)
    assert [text for text, _ in lines[:2]] == [
        "stage     status     time  detail",
        "lock      passed    0.1 s  three platforms",
    ]
    assert all(len(text) <= 60 for text, _ in lines)
    assert lines[-1] == ("          skipped          x on osx-arm64: no python", Status.SKIPPED)
    assert " ".join(" ".join(text.split()) for text, _ in lines).count("word") == 30
    assert lines[0][1] is None


def test_document_is_the_contract() -> None:
    report = Report("new", (PASSED, FAILED), {"engine": {"name": "rattler"}}, ("cd x",))
    assert json.loads(report.to_json()) == {
        "schema": 1,
        "command": "new",
        "ok": False,
        "exit_code": 3,
        "engine": {"name": "rattler"},
        "next": ["cd x"],
        "results": [
            {
                "name": "lock",
                "status": "passed",
                "seconds": 0.123,
                "detail": "three platforms",
                "hint": "",
                "lines": [],
            },
            {
                "name": "train",
                "status": "failed",
                "seconds": 2.0,
                "detail": "exit code 1",
                "hint": "pixi run smoke",
                "lines": ["last line"],
            },
        ],
    }
