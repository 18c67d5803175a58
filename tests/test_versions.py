from __future__ import annotations

from pathlib import Path

import pytest

from pixi_scaffold.template import is_older, newer, releases, version_of
from pixi_scaffold.template.source import tag_releases, untagged_releases
from pixi_scaffold.template.versions import changes_between
from tests.conftest import git

TAGS = ("v1.0.0", "v1.10.0", "v1.9.0", "v2.0.0rc1", "nightly", "1234567")


def test_releases_are_in_the_order_of_pep_440() -> None:
    assert releases(TAGS) == ["v1.0.0", "v1.9.0", "v1.10.0"]
    assert releases(TAGS, prereleases=True)[-1] == "v2.0.0rc1"


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        ("v1.0.0", ["v1.9.0", "v1.10.0"]),
        ("v1.9.0-3-gabcdef1", ["v1.10.0"]),
        ("v1.10.0", []),
        ("v2.0.0rc1", []),
        ("v1.10.0rc1", ["v1.10.0"]),
        ("abcdef1", ["v1.0.0", "v1.9.0", "v1.10.0"]),
    ],
)
def test_what_is_newer(current: str, expected: list[str]) -> None:
    assert newer(TAGS, current) == expected


def test_a_commit_is_no_version() -> None:
    assert version_of("1234567") is None
    assert version_of("main") is None
    assert str(version_of("v1.0-2-gabcdef0")) == "1.0.post2+abcdef0"
    assert is_older("v1.0", "v1.1")
    assert not is_older("abcdef1", "v1.1")


def test_a_commit_that_raises_the_version_is_a_release(tmp_path: Path) -> None:
    """The judge is `git describe`, which Copier records."""
    git(tmp_path, "init", "--quiet", "-b", "main")
    for version in ("0.1.0", "0.1.0", "0.2.0.dev1", "0.2.0", "0.1.5", "0.3.0", "0.3.0"):
        place = tmp_path / "pyproject.toml"
        place.write_text(f'[project]\nname = "x"\nversion = "{version}"\n')
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", version)
    git(tmp_path, "tag", "0.3.0")  # a real one, at another commit, wins
    found = untagged_releases(tmp_path)
    assert list(found) == ["v0.1.0", "v0.2.0"]
    tag_releases(tmp_path, found)
    assert git(tmp_path, "describe", "--tags", f"{found['v0.2.0']}") == "v0.2.0"
    assert git(tmp_path, "log", "-1", "--format=%s", "v0.2.0") == "0.2.0"
    assert untagged_releases(tmp_path) == {}


def test_what_a_changelog_says_of_the_versions_in_between() -> None:
    text = "# Changelog\n\n## Unreleased\n\n- no\n\n## [1.2.0] - 2026-01-01\n\n### Added\n\n- b\n\n"
    text += "## v1.1.0\n\n- a\n\n## 1.0.0\n\n- old\n"
    found = changes_between(text, "v1.0.0", "v1.2.0")
    assert ["- b" in found, "- a" in found, "- old" in found, "- no" in found] == [1, 1, 0, 0]
    assert changes_between(text, "0a1b2c3", "v1.2.0") == ""
