"""The command that compares the template's pins with what is newest; GitHub is stood in for by a server."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY
from tests.support.server import serve

ASSET = "pixi-x86_64-unknown-linux-musl.tar.gz"


def run(url: str, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, REPOSITORY / ".ci" / "pins.py", "--file", file, *options],
        env=os.environ | {"PINS_GITHUB": url, "PINS_API": url},
        capture_output=True,
        text=True,
        check=False,
    )


def sha(repository: str) -> str:
    return hashlib.sha1(repository.encode()).hexdigest()


@pytest.fixture
def github(tmp_path: Path) -> Path:
    """Releases of Pixi 9.8.7, checkout 77.1.0 and setup-pixi 6.5.4."""
    root = tmp_path / "github"
    tags = {
        "prefix-dev/pixi": "v9.8.7",
        "actions/checkout": "v77.1.0",
        "prefix-dev/setup-pixi": "v6.5.4",
    }
    for repository, tag in tags.items():
        place = root / "repos" / repository / "releases"
        place.mkdir(parents=True)
        (place / "latest").write_text(json.dumps({"tag_name": tag}))
        (place.parent / "commits").mkdir()
        (place.parent / "commits" / tag).write_text(json.dumps({"sha": sha(repository)}))
    release = root / "prefix-dev/pixi/releases/download/v9.8.7"
    release.mkdir(parents=True)
    (release / ASSET).write_bytes(b"pixi")
    digest = hashlib.sha256(b"pixi").hexdigest()
    (release / "sha256.sum").write_text(f"{'0' * 64}  other.tar.gz\n{digest}  {ASSET}\n")
    return root


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    return Path(shutil.copy(REPOSITORY / "copier.yml", tmp_path / "copier.yml"))


def test_newer_pins_are_told_and_raised_with_the_sum(github: Path, pins: Path) -> None:
    before = pins.read_text()
    with serve(github) as url:
        told = run(url, pins)
        assert told.returncode == 3, told.stderr
        assert "pixi_version: 0.79.0 -> 9.8.7" in told.stdout
        assert pins.read_text() == before
        assert run(url, pins, "--raise").returncode == 0
        again = run(url, pins)
    assert (again.returncode, again.stdout) == (0, "all pins are the newest\n")
    changed = set(pins.read_text().splitlines()) - set(before.splitlines())
    sums = (
        hashlib.sha256(b"pixi").hexdigest(),
        *map(sha, ("actions/checkout", "prefix-dev/setup-pixi")),
    )
    versions = ('"9.8.7"', '"77.1.0"', '"6.5.4"')
    assert changed == {f"  default: {value}" for value in (*sums, *versions)}


def test_a_file_with_another_sum_than_the_release_lists_is_refused(
    github: Path, pins: Path
) -> None:
    before = pins.read_text()
    (github / "prefix-dev/pixi/releases/download/v9.8.7" / ASSET).write_bytes(b"another")
    with serve(github) as url:
        done = run(url, pins, "--raise")
    assert done.returncode == 1
    assert "the release lists" in done.stderr
    assert pins.read_text() == before


def test_no_network_is_one_line(pins: Path) -> None:
    done = run("http://127.0.0.1:9", pins)
    assert done.returncode == 1
    assert done.stderr.startswith("pins: ")
    assert "Traceback" not in done.stderr
