"""Files replaced in one step: POSIX says that a rename is seen whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pixi_scaffold.system import replacing


def test_a_file_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "run.sh"
    path.write_text("old")
    path.chmod(0o750)
    with replacing(path) as new:
        new.write_text("new")
        assert path.read_text() == "old"
        assert new.parent == tmp_path
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert os.listdir(tmp_path) == ["run.sh"]


def test_a_new_file_gets_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with replacing(tmp_path / "folder" / "new") as new:
        new.write_text("x")
    expected = (tmp_path / "other").stat().st_mode
    assert (tmp_path / "folder" / "new").stat().st_mode == expected


def test_a_failure_leaves_the_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "pixi.lock"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as new:
            new.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["pixi.lock"]


def test_a_removed_file_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "pixi.lock"
    path.write_text("old")
    with replacing(path) as new:
        new.unlink()
    assert path.read_text() == "old"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    link = tmp_path / "link"
    link.symlink_to("real")
    with replacing(link) as new:
        new.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "real").read_text() == "new"
