"""The starter channel: built for real once, kept in the cache."""

from __future__ import annotations

import fcntl
import json
import sys
from pathlib import Path

import pytest

from pixi_scaffold.errors import UsageError
from pixi_scaffold.report import Silent
from pixi_scaffold.starter import build_channel, channel
from pixi_scaffold.starter.channel import Starter, cached_folder, starter_key
from pixi_scaffold.starter.interpreter import _relocatable
from tests.support.command import scaffold

pytestmark = pytest.mark.slow


def test_the_channel_is_a_conda_channel(starter: Starter) -> None:
    repodata = json.loads((starter.folder / starter.subdir / "repodata.json").read_text())
    names = {record["name"] for record in repodata["packages.conda"].values()}
    assert names >= {"python", "pytorch", "numpy", "scikit-learn", "matplotlib-base", "tqdm"}
    assert len(names) == starter.packages
    assert (starter.folder / "noarch" / "repodata.json").is_file()
    for record in repodata["packages.conda"].values():
        assert record["sha256"]
    [python] = [r for r in repodata["packages.conda"].values() if r["name"] == "python"]
    assert python["version"] == ".".join(map(str, sys.version_info[:3]))
    assert python["python_site_packages_path"].endswith("site-packages")


def test_the_second_build_uses_the_first(starter: Starter) -> None:
    class Fails(Silent):
        def update(self, text: str, fraction: float | None = None) -> None:
            raise AssertionError(f"it was built again: {text}")

    assert build_channel(Fails()) == starter


def test_other_pins_are_another_channel(starter: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    before = starter_key()
    monkeypatch.setattr(channel, "pins", lambda: ("numpy==1.0",))
    assert starter_key() != before
    assert cached_folder() != starter.folder


def test_a_copy_for_another_folder(starter: Starter, tmp_path: Path) -> None:
    folder = tmp_path / "channel"
    ran = scaffold("channel", "build", folder, "--json", cwd=tmp_path)
    assert ran.code == 0, ran
    assert ran.document["subdir"] == starter.subdir
    assert ran.document["url"] == folder.as_uri()
    built = sorted(p.name for p in (folder / starter.subdir).iterdir())
    assert built == sorted(p.name for p in (starter.folder / starter.subdir).iterdir())
    ran = scaffold("channel", "build", "channel", "--json", cwd=tmp_path)  # a relative one
    assert ran.document["url"] == folder.as_uri()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    ran = scaffold("channel", "build", other, cwd=tmp_path)
    assert ran.code == 2
    assert "not a starter channel" in ran.err


def test_nothing_of_the_users_is_removed(starter: Starter, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    build_channel(Silent(), folder)
    (folder / "notes").write_text("precious")
    (folder / "noarch" / "repodata.json").unlink()
    (folder / "starter.json").write_text('{"key": "old", "subdir": "linux-64"}')
    with pytest.raises(UsageError, match="not a starter channel"):
        build_channel(Silent(), folder)
    assert (folder / "notes").read_text() == "precious"


def test_what_is_not_whole_is_made_again(starter: Starter, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    build_channel(Silent(), folder)
    package = max((folder / starter.subdir).glob("tqdm-*.conda"))
    for damage in (
        lambda: package.write_bytes(package.read_bytes()[:-1]),
        package.unlink,
        lambda: (folder / "starter.json").write_text(
            f'{{"key": "of other pins", "subdir": "{starter.subdir}"}}'
        ),
        lambda: (folder / starter.subdir / "repodata.json").write_text('{"packages.conda": []}'),
    ):
        damage()
        assert channel._read(folder) is None
        assert build_channel(Silent(), folder) == Starter(folder, starter.subdir, starter.packages)
        assert channel._read(folder) is not None
    assert [p.name for p in tmp_path.iterdir()] == ["copy"]


def test_the_runpath_is_replaced_in_place() -> None:
    old = b"\x7fELF..." + b"/opt/python/lib\0rest"
    new = _relocatable(old, Path("/opt/python/lib"))
    assert len(new) == len(old)
    assert b"$ORIGIN/../lib\0" in new
    assert _relocatable(b"#!/bin/sh /opt/python/lib\0", Path("/opt/python/lib")).startswith(b"#!")


def test_what_stopped_builds_of_others_left_is_removed_and_a_running_one_is_not(
    tmp_path: Path,
) -> None:
    """Another interpreter, or other pins, has a folder of its own; its lock is held while it lives."""
    for name in ("mine", "stopped", "running"):
        (tmp_path / f".building-{name}").mkdir()
        (tmp_path / f".building-{name}" / "half.conda").touch()
        (tmp_path / f".building-{name}.lock").touch()
    with (tmp_path / ".building-running.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        channel._remove_others(tmp_path / ".building-mine")
    left = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert left == {".building-mine", ".building-running"}
