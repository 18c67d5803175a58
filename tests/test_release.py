"""`make release`: what it makes in a scratch clone, and that it refuses what is not clean."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import git
from tests.support.paths import REPOSITORY

Release = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of this repository with the files of the work tree committed, on main."""
    folder = tmp_path / "clone"
    git(tmp_path, "-c", "safe.directory=*", "clone", "--quiet", str(REPOSITORY), str(folder))
    for tag in git(folder, "tag").split():
        git(folder, "tag", "-d", tag)
    git(folder, "checkout", "--quiet", "-B", "main")
    for name in (".ci/release.sh", "recipe.yaml", "pyproject.toml"):
        (folder / name).write_bytes((REPOSITORY / name).read_bytes())
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "as it is")
    return folder


@pytest.fixture
def release(clone: Path) -> Release:
    """Run the script in the clone, without the tests."""
    author = {f"GIT_{who}_{what}": "t@localhost" for who in ("AUTHOR", "COMMITTER")
              for what in ("NAME", "EMAIL")}  # fmt: skip

    def run(version: str, test: str = "") -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **author, "PYTHON": sys.executable, "TEST": test}
        argv = ["sh", ".ci/release.sh", version]
        return subprocess.run(argv, cwd=clone, env=env, capture_output=True, text=True, check=False)

    return run


def state(clone: Path) -> tuple[str, str, str]:
    return git(clone, "rev-parse", "HEAD"), git(clone, "tag"), git(clone, "status", "--porcelain")


@pytest.mark.slow
def test_a_release_is_all_but_pushed(clone: Path, release: Release) -> None:
    done = release("0.1.0")
    assert done.returncode == 0, done.stderr
    assert git(clone, "describe", "--exact-match") == "v0.1.0"
    assert git(clone, "cat-file", "-t", "v0.1.0") == "tag"
    assert git(clone, "status", "--porcelain") == ""
    assert re.search(
        r"^## 0\.1\.0 \(\d{4}-\d\d-\d\d\)$", (clone / "CHANGELOG.md").read_text(), re.M
    )
    dist = clone / "dist"
    sdist = dist / "pixi_scaffold-0.1.0.tar.gz"
    recipe = yaml.safe_load((dist / "recipe.yaml").read_text())
    assert recipe["context"]["sha256"] == hashlib.sha256(sdist.read_bytes()).hexdigest()
    with zipfile.ZipFile(dist / "pixi_scaffold-0.1.0-py3-none-any.whl") as wheel:
        bundle = clone.parent / "template.bundle"
        bundle.write_bytes(wheel.read("pixi_scaffold/template.bundle"))
    assert "refs/tags/v0.1.0" in git(clone, "bundle", "list-heads", str(bundle))
    with tarfile.open(sdist) as archive:
        assert "pixi_scaffold-0.1.0/docs/reference/pixi-scaffold.1" in archive.getnames()
    again = release("0.1.0")
    assert (again.returncode, "v0.1.0 is there already" in again.stderr) == (1, True)
    older = release("0.0.9")
    assert (older.returncode, "0.1.0 is released already" in older.stderr) == (1, True)


@pytest.mark.slow
def test_another_version_is_written_everywhere(clone: Path, release: Release) -> None:
    changelog = clone / "CHANGELOG.md"
    changelog.write_text(
        re.sub("^## .*$", "## Unreleased", changelog.read_text(), count=1, flags=re.M)
    )
    git(clone, "commit", "--quiet", "--all", "-m", "new section")
    done = release("1.2.0rc1")
    assert done.returncode == 0, done.stderr
    for name in ("pyproject.toml", "recipe.yaml", "src/pixi_scaffold/__init__.py"):
        assert '"1.2.0rc1"' in (clone / name).read_text(), name
    assert "pixi-scaffold 1.2.0rc1" in (clone / "docs/reference/pixi-scaffold.1").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "spoil", "says"),
    [
        ("", "", "say which"),
        ("1.2", "", "is no version"),
        ("v1.2.0", "", "is no version"),
        ("0.1.0", "touch new.txt", "not committed"),
        ("0.1.0", "git switch --quiet -c topic", "not the branch main"),
        ("0.1.0", "git tag v0.1.0", "there already"),
        ("0.1.0", "git tag v0.2.0", "0.2.0 is released already"),
        ("0.3.0", "", "CHANGELOG.md begins with"),
        ("0.1.0", "behind", "main is behind its upstream"),
    ],
)
def test_what_is_not_clean_is_refused_and_nothing_changes(
    clone: Path, release: Release, version: str, spoil: str, says: str
) -> None:
    if spoil == "behind":
        newer = git(clone, "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "of somebody else")
        git(clone, "update-ref", "refs/remotes/origin/main", newer)
        git(clone, "branch", "--quiet", "--set-upstream-to=origin/main")
    elif spoil:
        subprocess.run(spoil, shell=True, cwd=clone, check=True)
    before = state(clone)
    done = release(version)
    assert (done.returncode, says in done.stderr) == (1, True), done.stderr
    assert state(clone) == before


def test_tests_that_fail_and_a_failure_half_way_leave_all_as_it_was(
    clone: Path, release: Release
) -> None:
    before = state(clone)
    make = clone.parent / "make"  # stands in for make: notes what it is to do, and fails
    make.write_text(f'#!/bin/sh\necho "$*" > {clone.parent}/started\nexit 1\n')
    make.chmod(0o755)
    assert release("0.1.0", f"{make} lint test-all").returncode == 1
    assert (clone.parent / "started").read_text() == "lint test-all\n"
    assert state(clone) == before
    recipe = clone / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace('version: "', "version:  '"))
    git(clone, "commit", "--quiet", "--all", "-m", "spoilt")
    before = state(clone)
    done = release("0.1.0")
    assert (done.returncode, "everything is as it was" in done.stderr) == (1, True), done.stderr
    assert state(clone) == before
    assert not (clone / "dist").exists()
