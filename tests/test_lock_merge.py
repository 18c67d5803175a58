"""Merging pixi.lock: with real git, the real solver and real records; git is the judge."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pixi_scaffold.lock import read_lock, relock, unsatisfied
from pixi_scaffold.lock.merge import split
from pixi_scaffold.report import Silent
from pixi_scaffold.workspace import read_manifest
from tests.conftest import git

MANIFEST = """[workspace]
channels = ["conda-forge"]
platforms = ["linux-64", "osx-arm64"]

[dependencies]
tqdm = "*"

[activation]
env = { A = "1" }

[tasks]
a = "true"
"""
DRIVER = f"{sys.executable} -m pixi_scaffold lock --merge %A %B %P"


def merge(folder: Path) -> int:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    return subprocess.run([*command, "merge", "-q", "-m", "m", "theirs"], cwd=folder).returncode


@pytest.fixture
def repository(tmp_path: Path, conda_forge: None) -> Path:
    """Two branches that each added a package, and locked."""
    folder = tmp_path / "w"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / ".gitattributes").write_text("pixi.lock merge=pixi-lock\n")

    def commit(text: str) -> None:
        (folder / "pixi.toml").write_text(text)
        relock(folder, "rattler", frozenset(), Silent())
        git(folder, "add", "--all")
        git(folder, "commit", "-q", "-m", "x")

    commit(MANIFEST)
    git(folder, "checkout", "-q", "-b", "theirs")
    commit(MANIFEST + '\n[constraints]\npython = "*"\n\n[target.linux.dependencies]\nnumpy = "*"\n')
    git(folder, "checkout", "-q", "main")
    commit(MANIFEST.replace('tqdm = "*"', 'tqdm = "*"\ncolorama = "*"\npyyaml = "*"'))
    return folder


def is_current(folder: Path) -> bool:
    workspace = read_manifest(folder / "pixi.toml")
    return unsatisfied(workspace, read_lock(workspace.lock_file)) == []


def test_a_lock_with_conflict_markers_is_solved(repository: Path) -> None:
    assert merge(repository) != 0
    lock = repository / "pixi.lock"
    assert "<<<<<<<" in lock.read_text(), "the driver is not set up: git merged as text"
    assert "<<<<<<<" not in (repository / "pixi.toml").read_text()
    report = relock(repository, "rattler", frozenset(), Silent())
    assert is_current(repository)
    assert "numpy" in lock.read_text()
    assert "pyyaml" in lock.read_text()
    [result] = report.results
    assert any("pyyaml" in line and "theirs none" in line for line in result.lines)
    assert report.next_commands[0].endswith("git add pixi.lock")


def test_without_git_the_markers_tell(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git merges some parts of the text, so that neither side of the rest is whole."""
    assert merge(repository) != 0
    (repository / ".git").rename(repository / "not-git")
    relock(repository, "rattler", frozenset(), Silent())
    assert is_current(repository)


def test_what_git_did_not_merge_is_solved(repository: Path) -> None:
    """merge=binary leaves our version in place, without markers."""
    (repository / ".gitattributes").write_text("pixi.lock merge=binary\n")
    git(repository, "commit", "-q", "-a", "-m", "binary")
    assert merge(repository) != 0
    relock(repository, "rattler", frozenset(), Silent())
    assert is_current(repository)


def test_a_failed_merge_leaves_the_conflict(repository: Path, offline: None) -> None:
    assert merge(repository) != 0
    before = (repository / "pixi.lock").read_bytes()
    with pytest.raises(Exception, match="does not answer"):
        relock(repository, "rattler", frozenset(), Silent())
    assert (repository / "pixi.lock").read_bytes() == before


def test_the_driver_merges_during_the_merge(repository: Path) -> None:
    git(repository, "config", "merge.pixi-lock.driver", DRIVER)
    assert merge(repository) == 0
    assert git(repository, "status", "--porcelain") == ""
    assert is_current(repository)


def test_the_driver_leaves_what_it_cannot_do(repository: Path, offline: None) -> None:
    git(repository, "config", "merge.pixi-lock.driver", DRIVER)
    assert merge(repository) != 0
    assert git(repository, "diff", "--name-only", "--diff-filter=U") == "pixi.lock"


def test_the_sides_of_a_conflict() -> None:
    text = "a\n<<<<<<< HEAD\nb\n||||||| base\nc\n=======\nd\n>>>>>>> x\ne\n"
    assert split(text) == ("a\nb\ne\n", "a\nd\ne\n")
