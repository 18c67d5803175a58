"""What `doctor` says of machines that lack something, each made so with the real tools."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pixi_scaffold.doctor import PROBES, disk, doctor
from pixi_scaffold.errors import CheckFailed
from pixi_scaffold.report import Result, Silent, Status
from tests.support.command import scaffold
from tests.support.server import closed

MANIFEST = """\
[workspace]
name = "w"
channels = ["conda-forge"]
platforms = [{ name = "gpu", platform = "linux-64", cuda = "12.0" }, { name = "cpu", platform = "linux-64" }]
[dependencies]
python = ">=3.11"
"""


@pytest.fixture(autouse=True)
def nobody_answers(mirror: Callable[[str], None]) -> None:
    """conda-forge is asked on loopback, where nobody is."""
    mirror(closed())


def look(folder: Path) -> dict[str, Result]:
    return {result.name: result for result in doctor(folder, Silent()).results}


def only(names: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave only these programs on PATH."""
    for name in names.split():
        program = shutil.which(name)
        assert program
        (folder / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(folder))


def test_each_line_says_what_to_do(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert list(found) == list(PROBES)
    for result in found.values():
        assert result.detail
        assert result.status is Status.PASSED or result.hint, result


@pytest.mark.parametrize("columns", [40, 80])
def test_each_line_fits_the_terminal(tmp_path: Path, columns: int) -> None:
    (tmp_path / "pixi.toml").write_text(MANIFEST)
    for folder in (tmp_path, tmp_path.parent):
        for line, _ in doctor(folder, Silent()).table(columns):
            assert len(line) <= columns or len(line.split()) == 1, line


def test_a_name_for_commits(tmp_path: Path, user: Path) -> None:
    assert "does not know your name and email" in look(tmp_path)["git"].detail
    for key in ("name", "email"):
        subprocess.run(["git", "config", "--global", f"user.{key}", "Ada"], check=True)
    assert "commits as Ada <Ada>" in look(tmp_path)["git"].detail


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    ran = scaffold("doctor", "nowhere", cwd=tmp_path)
    assert ran.code == 2
    assert "there is no folder nowhere" in ran.err


def test_without_git_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only("true", tmp_path, monkeypatch)
    report = doctor(tmp_path, Silent())
    assert [r.name for r in report.failed] == ["git"]
    assert report.exit_code == 3


@pytest.mark.parametrize(
    ("driver", "says"),
    [
        ("12.4", "driver for CUDA 12.4: this machine gets gpu"),
        ("11.8", "driver for CUDA 11.8 is older than CUDA 12.0: this machine gets cpu"),
        ("", "no NVIDIA driver: this machine gets cpu"),
    ],
)
def test_the_driver_decides_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str, says: str
) -> None:
    # Pixi 0.77 on such hosts takes the same platforms (11.8: the CPU's; 12.0 and newer: CUDA's).
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", driver)
    (tmp_path / "pixi.toml").write_text(MANIFEST)
    assert look(tmp_path)["gpu"].detail == says


def test_a_channel_that_does_not_answer(tmp_path: Path) -> None:
    result = look(tmp_path)["channels"]
    assert result.status is Status.SKIPPED
    assert result.detail == "conda-forge does not answer: Connection refused"
    assert result.hint.endswith(" new myproject")
    (tmp_path / "pixi.toml").write_text(MANIFEST)
    assert look(tmp_path)["channels"].hint.endswith(" check --train")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system without room")
def test_a_disk_without_room_is_said_before_there_is_a_lock(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed) as failed:
        disk(Path("/proc"), None)
    assert failed.value.message == "0.0 GiB free, about 1.1 GiB for the environment needed"
    assert disk(tmp_path, None).endswith("about 1.1 GiB for the environment needed")


@pytest.mark.parametrize("name", ["pixi", "git"])
def test_a_program_that_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The old programs are doubles: scripts that say a version and can nothing else."""
    old = tmp_path / "bin" / name
    old.parent.mkdir()
    version = {"pixi": "pixi 0.20.0", "git": "git version 2.20.1"}[name]
    old.write_text(f"#!/bin/sh\necho {version}\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")
    (tmp_path / "pixi.toml").write_text(
        MANIFEST.replace("channels", 'requires-pixi = ">=0.74"\nchannels')
    )
    result = look(tmp_path)[name]
    assert result.status is Status.FAILED
    assert {"pixi": "0.74", "git": "updates need 2.38"}[name] in result.detail
    assert {"pixi": "pixi self-update", "git": "install git 2.38 or newer"}[name] == result.hint
