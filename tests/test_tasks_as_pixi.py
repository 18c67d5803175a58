"""Tasks run as Pixi 0.77.0 runs them: what it printed, and its exit codes (../shared/pixi-says/tasks)."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from pixi_scaffold.cli.app import app
from tests.support.paths import SHARED

SAYS = SHARED / "pixi-says" / "tasks"
EMPTY_LOCK = """version: 7
platforms:
- name: linux-64
environments:
  default:
    channels:
    - url: https://conda.anaconda.org/conda-forge/
    packages: {}
packages: []
"""
"""What Pixi had written by then; the workspace requires no package."""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the workspace, and the variables that the caller had."""
    if not SAYS.is_dir():
        pytest.skip("what Pixi said is not here")
    folder = tmp_path / "tt"
    shutil.copytree(SAYS, folder, ignore=shutil.ignore_patterns("runs.jsonl"))
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
    (folder / "pixi.lock").write_text(EMPTY_LOCK)
    for name in os.environ:
        if name.startswith(("PIXI_", "CONDA_")):
            monkeypatch.delenv(name)
    for name in ("PIXI_CACHE_DIR", "PIXI_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PIXI_NO_PROGRESS", "true")
    monkeypatch.setenv("LEAKED", "leak")
    return folder


def test_every_call_prints_and_ends_as_pixi_s(
    workspace: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [json.loads(line) for line in (SAYS / "runs.jsonl").read_text().splitlines()]
    home = os.environ["HOME"]
    different = []
    for row in rows:
        monkeypatch.chdir(workspace / row["cwd"])
        code = app(["run", *row["argv"]], standalone_mode=False) or 0
        printed = capfd.readouterr()
        expected = re.sub(r"(?<!\$)\bHOME\b", home, row["stdout"])
        if (code, printed.out) != (row["code"], expected):
            different.append((row["argv"], row["code"], code, expected, printed.out, printed.err))
        assert "Traceback" not in printed.err
    assert different == []
    assert len(rows) > 50
    # the second run of `cached` found its inputs and outputs as they were
    assert (workspace / "count.txt").read_text() == "run\n"
