"""Every kind of job on which a rehearsal once ended unlike a pool: what HTCondor 25.14.1 said of each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Ran, scaffold
from tests.support.paths import SHARED

POOL = SHARED / "cases" / "pool"
CASES = sorted(path.parent for path in POOL.glob("*/case.json"))
SKIPPED = {
    "docker-image": "the image debian:12",
    "http-input": "http://127.0.0.1:8765/data/f.txt",
    "include-pipe": "/bin/echo c = made",
}
"""Case -> what the report names, where a pool has something that this machine has not."""


@pytest.fixture(scope="module", autouse=True)
def _cases() -> None:
    if not CASES:
        pytest.skip("what the pool said (../shared/cases/pool) is not here")


def lay_out(case: Path, folder: Path) -> None:
    """Copy a case into a folder of one's own: where the cases lie they may be read-only."""
    shutil.copytree(case, folder, symlinks=True, ignore=shutil.ignore_patterns("case.json"))
    if case.name == "max-input-mb" and not (folder / "a").exists():
        (folder / "a").write_bytes(bytes(3 << 20))  # the case leaves out its large input
    if case.name == "match-default-dir":
        (folder / "data_dir").mkdir(exist_ok=True)  # empty folders get lost on the way
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)


def rehearsed(case: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict, Ran]:
    """What the pool said, and what a rehearsal says."""
    said = json.loads((case / "case.json").read_text())
    for name, value in said["environment"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DATA_DIR_", raising=False)
    lay_out(case, folder)
    arguments = said["submit_arguments"]
    return said, scaffold("rehearse", "job.sub", *arguments, "--all", "--json", cwd=folder)


def ends(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (job["state"], job["code"], job["hold"] and (job["hold"]["code"], job["hold"]["subcode"]))
        for job in document["jobs"]
    ]


def ends_there(jobs: dict[str, dict[str, str]]) -> list[tuple[Any, ...]]:
    """The same of the pool's jobs, in the order of their numbers."""
    found: list[tuple[Any, ...]] = []
    for _, job in sorted(jobs.items(), key=lambda item: int(item[0])):
        code = int(job["ExitCode"]) if "ExitCode" in job else None
        held = None
        if job["JobStatus"] == "5":
            held = (int(job["HoldReasonCode"]), int(job.get("HoldReasonSubCode", "0")))
        found.append((("held" if held else "completed"), code, held))
    return found


def brought(folder: Path) -> dict[str, str]:
    """Mode and text of every file that came back."""
    return {
        str(path.relative_to(job)): f"{path.stat().st_mode & 0o777:o} {path.read_text()}"
        for job in folder.glob("job-*")
        if job.is_dir()
        for path in job.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    "case", [p for p in CASES if p.name != "submit-refuses"], ids=lambda p: p.name
)
def test_a_rehearsal_ends_as_on_the_pool(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, ran = rehearsed(case, tmp_path / "job", monkeypatch)
    there = said["pool_25_14_1"]
    if case.name in SKIPPED:
        assert ran.code == 1
        assert SKIPPED[case.name] in json.dumps(ran.document)
        return
    if there["submit"] != "accepted":
        assert ran.code == 3
        assert "condor_submit refuses" in ran.document["error"]["message"]
        return
    assert "jobs" in ran.document, ran
    assert ends(ran.document) == ends_there(there["jobs"])
    assert brought(tmp_path / "job" / ".pixi" / "rehearsal") == there["files"]


@pytest.mark.parametrize("path", sorted(POOL.glob("submit-refuses/*.sub")), ids=lambda p: p.name)
def test_what_condor_submit_refuses_is_not_rehearsed(path: Path, tmp_path: Path) -> None:
    lay_out(path.parent, tmp_path / "job")
    ran = scaffold("rehearse", path.name, "--json", cwd=tmp_path / "job")
    assert ran.code == 3
    assert "condor_submit refuses" in ran.document["error"]["message"]
