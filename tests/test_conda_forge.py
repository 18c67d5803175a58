"""The way that users walk: conda-forge answers, and everything is locked, installed and run.

What answers is a stand-in made of the extract of conda-forge and of the starter channel.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pixi_scaffold.starter.channel import Starter
from tests.conftest import git
from tests.support.command import scaffold
from tests.support.conda_forge_stand_in import make_conda_forge
from tests.support.paths import SLICE
from tests.support.server import serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() != "x86_64",
        reason="the stand-in installs on Linux x86-64",
    ),
    pytest.mark.skipif(
        not SLICE.is_dir(),
        reason="the extract of conda-forge (../shared/conda-forge-slice) is not here",
    ),
]


def test_from_nothing_to_a_locked_trained_and_rehearsed_project(
    starter: Starter,
    template: Path,
    tmp_path: Path,
    mirror: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "cache"))
    with serve(make_conda_forge(starter, tmp_path / "conda-forge")) as url:
        mirror(url)
        ran = scaffold("new", "p", "--template", template, "--json", cwd=tmp_path)
    assert ran.code == 0, ran
    found = ran.document
    assert {r["name"]: r["status"] for r in found["results"]} == dict.fromkeys(
        ("render", "manifest", "lock", "tasks", "submit", "worker", "install", "train", "rehearse"),
        "passed",
    )
    not_of_here = [s for s in found["skipped"] if s["what"] != "unlike a worker"]
    assert not_of_here == []
    assert found["platforms"] == ["linux-64-cuda", "linux-64-cpu", "osx-arm64"]
    assert found["channel"]["stand_in"] is False
    assert found["installed"] == "linux-64-cpu"
    assert found["train"]["first_loss"] > found["train"]["last_loss"]
    assert found["rehearsal"]["state"] == "completed"
    project = tmp_path / "p"
    assert found["lock"]["path"] == "pixi.lock"
    text = (project / "pixi.lock").read_text()
    assert "https://conda.anaconda.org/conda-forge/linux-64/pytorch-" in text
    assert url not in text
    assert git(project, "status", "--porcelain") == ""
    assert "pixi.lock" in git(project, "ls-files").split()
    assert not (project / ".pixi" / "starter").exists()
    # offline from here on: what is there is enough
    for command in (("lock", "--check"), ("check", "--json")):
        ran = scaffold(*command, cwd=project)
        assert ran.code == 0, ran
    skipped = json.loads(ran.out)["skipped"]
    assert [s["what"] for s in skipped if "starter" in s["why"]] == []
