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
