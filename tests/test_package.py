"""The wheel carries the template's git history, and works where no checkout is."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from pixi_scaffold.template.source import CANONICAL_URL
from tests.conftest import git
from tests.support.paths import REPOSITORY


def build(source: Path, target: str, out: Path) -> Path:
    """Build an sdist or a wheel with the backend itself."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", out],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return next(out.iterdir())


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this repository whose newest commit is a release."""
    folder = tmp_path_factory.mktemp("clone") / "pixi-scaffold"
    git(folder.parent, "-c", "safe.directory=*", "clone", "--quiet", str(REPOSITORY), str(folder))
    for tag in git(folder, "tag").split():
        git(folder, "tag", "-d", tag)
    git(folder, "tag", "v0.1.0")
    commits = git(folder, "log", "--format=%H", "--", "template").split()
    git(folder, "tag", "v0.0.1", commits[-1])
    return folder


@pytest.fixture(scope="module")
def installed(tagged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the sdist that was built from the clone, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    sdist = build(tagged, "sdist", folder / "sdist")
    subprocess.run(["tar", "-xzf", sdist, "-C", folder], check=True)
    wheel = build(next(folder.glob("pixi_scaffold-*")), "wheel", folder / "wheel")
    with zipfile.ZipFile(wheel) as archive:
        assert "pixi_scaffold/template.bundle" in archive.namelist()
        archive.extractall(folder / "site")
    return folder / "site"


def new(installed: Path, cwd: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return command(installed, cwd, "new", *args)


def command(installed: Path, cwd: Path, *args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(cwd / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "pixi_scaffold", *args],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_release_renders_its_own_tag_without_network(installed: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):  # the second one finds the history unpacked
        done = new(installed, tmp_path, name, "--no-check")
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stdout
        answers = yaml.safe_load((tmp_path / name / ".copier-answers.yml").read_text())
        assert answers["_commit"] == "v0.1.0"
        assert answers["_src_path"] == CANONICAL_URL
    assert len(list((tmp_path / "cache" / "pixi-scaffold" / "template").iterdir())) == 1


@pytest.mark.slow
def test_a_project_is_updated_from_what_the_wheel_carries(installed: Path, tmp_path: Path) -> None:
    assert new(installed, tmp_path, "p", "--no-check", "--vcs-ref", "v0.0.1").returncode == 0
    done = command(installed, tmp_path, "status", "p")
    assert "v0.0.1, 1 behind v0.1.0" in done.stdout, done.stderr
    done = command(installed, tmp_path, "update", "p", "--yes")
    assert done.returncode == 0, done.stderr
    answers = yaml.safe_load((tmp_path / "p" / ".copier-answers.yml").read_text())
    assert (answers["_commit"], answers["_src_path"]) == ("v0.1.0", CANONICAL_URL)


def test_no_history_no_package(tmp_path: Path, tagged: Path) -> None:
    """A wheel without its template would fail at its first user."""
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(tagged, bare, ignore=shutil.ignore_patterns(".git"))
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "out"],
        cwd=bare,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "git checkout or from an sdist" in done.stderr


def test_no_link_of_the_documentation_is_broken() -> None:
    import re

    pages = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
