"""The starter channel: built for real once, kept in the cache."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.report import Silent
from pixi_scaffold.starter import build_channel, channel
from pixi_scaffold.starter.channel import Starter, cached_folder, pins, starter_key
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


def test_every_pin_is_exact() -> None:
    assert all("==" in pin and "*" not in pin for pin in pins())
    assert any(pin.startswith("torch==") for pin in pins())


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


def test_what_is_not_whole_is_made_anew(starter: Starter, tmp_path: Path) -> None:
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


def test_a_wheel_whose_digest_is_not_the_indexs_is_not_used(
    starter: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index says one digest, the file that it links to has another: pip's own refusal."""
    import hashlib
    import zipfile

    from tests.support.server import serve

    name = "evil-1.0-py3-none-any.whl"
    folder = tmp_path / "index" / "evil"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("evil.py", "X = 1\n")
        archive.writestr(
            "evil-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n"
        )
        archive.writestr("evil-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("evil-1.0.dist-info/RECORD", "")
    good = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(channel, "pins", lambda: ("evil==1.0",))
    with serve(tmp_path / "index") as url:
        monkeypatch.setenv("PIP_INDEX_URL", url)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
        for digest, fine in ((good, True), ("0" * 64, False)):
            (folder / "index.html").write_text(f'<a href="{name}#sha256={digest}">{name}</a>')
            target = tmp_path / f"wheels-{fine}"
            if fine:
                assert [p.name for p in channel._download(target, Silent())] == [name]
            else:
                with pytest.raises(ScaffoldError, match="(?i)hash"):
                    channel._download(target, Silent())


def test_no_index_at_all_is_an_error_with_pips_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(ScaffoldError, match="choosing the wheels") as caught:
        channel._download(tmp_path / "wheels", Silent())
    assert "pip config" in caught.value.hint
    assert "No matching distribution found for" in caught.value.message
    assert "[notice]" not in caught.value.message


def test_pip_before_23_1_names_the_digest_differently() -> None:
    def report(archive: dict[str, object]) -> dict[str, object]:
        item = {
            "metadata": {"name": "x", "version": "1"},
            "download_info": {"archive_info": archive},
        }
        return {"install": [item]}

    old, new = {"hash": "sha256=abc"}, {"hashes": {"sha256": "abc"}}
    assert channel._wheels(report(old)) == channel._wheels(report(new))
    for nothing in ({}, {"hash": "md5=abc"}):
        with pytest.raises(ScaffoldError, match="no sha256 for x"):
            channel._wheels(report(nothing))


def test_the_runpath_is_replaced_in_place() -> None:
    old = b"\x7fELF..." + b"/opt/python/lib\0rest"
    new = _relocatable(old, Path("/opt/python/lib"))
    assert len(new) == len(old)
    assert b"$ORIGIN/../lib\0" in new
    assert _relocatable(b"#!/bin/sh /opt/python/lib\0", Path("/opt/python/lib")).startswith(b"#!")


def test_a_build_that_fails_leaves_no_channel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(channel, "pins", lambda: ("no-such-distribution-x==1",))
    with pytest.raises(ScaffoldError, match="choosing the wheels"):
        build_channel(Silent())
    assert not list((tmp_path / "pixi-scaffold" / "channels").iterdir())
