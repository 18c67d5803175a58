"""`make release`, run whole in a scratch repository; only the tests that it starts are a stand-in."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import git
from tests.support.paths import REPOSITORY

NAMES = ("Makefile", ".ci/release.sh", "pyproject.toml", "CHANGELOG.md")
VERSION = "7.8.9"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A repository with what a release needs, at a version that can be released."""
    folder = tmp_path / "scratch"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    raised(folder)
    git(folder, "init", "--quiet", "-b", "main")
    commit(folder)
    return folder


def raised(folder: Path) -> None:
    path = folder / "pyproject.toml"
    text = path.read_text()
    path.write_text(re.sub(r'(?m)^version = ".*"$', f'version = "{VERSION}"', text, count=1))
    changes = folder / "CHANGELOG.md"
    changes.write_text(f"# Changelog\n\n## {VERSION}\n\n- Something.\n\n" + changes.read_text())


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "All of it")


def release(folder: Path, verdict: int = 0) -> subprocess.CompletedProcess[str]:
    """Run it; what it starts to lint and test notes how, and ends with `verdict`."""
    make = folder.parent / "make"
    make.write_text(f'#!/bin/sh\necho "$*" >> {folder.parent}/started\nexit {verdict}\n')
    make.chmod(0o755)
    argv = ["make", "release", f"MAKE={make}"]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


def test_a_release_is_checked_and_tagged(
    scratch: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user / "gitconfig").write_text("[user]\nname = Ann\nemail = ann@example.org\n")
    done = release(scratch)
    assert done.returncode == 0, done.stderr
    assert (scratch.parent / "started").read_text() == "lint test-all\n"
    assert git(scratch, "cat-file", "-t", f"v{VERSION}") == "tag"
    assert git(scratch, "rev-parse", f"v{VERSION}^{{commit}}") == git(scratch, "rev-parse", "HEAD")
    assert f"git push origin main v{VERSION}" in done.stdout
    again = release(scratch)
    assert again.returncode != 0
    assert "is there already" in again.stderr


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("dirty", "not committed"),
        ("branch", "not the branch main"),
        ("changelog", f"has no section on {VERSION}"),
        ("unreleased", f"calls {VERSION} unreleased"),
        ("tests", ""),
    ],
)
def test_what_is_no_release_is_not_tagged(scratch: Path, what: str, said: str) -> None:
    changes = scratch / "CHANGELOG.md"
    if what == "dirty":
        (scratch / "new.txt").write_text("new\n")
    elif what == "branch":
        git(scratch, "switch", "--quiet", "-c", "other")
    elif what in ("changelog", "unreleased"):
        new = "" if what == "changelog" else f"## {VERSION} (unreleased)"
        changes.write_text(changes.read_text().replace(f"## {VERSION}", new))
        commit(scratch)
    done = release(scratch, 1 if what == "tests" else 0)
    assert done.returncode != 0
    assert said in done.stderr
    assert git(scratch, "tag", "--list") == ""
