from __future__ import annotations

import pytest

from pixi_scaffold.template import is_older, newer, releases, version_of

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
