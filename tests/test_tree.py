"""Files as git keeps them: content, the executable bit, links; folders only while they are full."""

from __future__ import annotations

import os
from pathlib import Path

from pixi_scaffold.system import File, in_the_way, read_file, read_tree, write_file


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    files = {
        "a": File(b"text\n"),
        "b/run.sh": File(b"#!/bin/sh\n", executable=True),
        "b/link": File(b"../a", link=True),
        "c/d/e": File(b"\0\xff"),
    }
    for path, file in files.items():
        write_file(tmp_path, path, file)
    assert read_tree(tmp_path) == files
    assert read_tree(tmp_path, ["a", "nothing", "b"]) == {"a": files["a"]}
    write_file(tmp_path, "b/link", File(b"no link any more\n"))
    assert (tmp_path / "a").read_bytes() == b"text\n"
    for path in files:
        write_file(tmp_path, path, None)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_has_something_stays(tmp_path: Path) -> None:
    write_file(tmp_path, "a/b/c", File(b""))
    (tmp_path / "a" / "mine").touch()
    write_file(tmp_path, "a/b/c", None)
    assert os.listdir(tmp_path / "a") == ["mine"]


def test_what_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    assert in_the_way(tmp_path, "file/x") == tmp_path / "file"
    assert in_the_way(tmp_path, "link/x") == tmp_path / "link"
    assert in_the_way(tmp_path, "folder") == tmp_path / "folder"
    assert in_the_way(tmp_path, "folder/x") is None
    assert in_the_way(tmp_path, "link") is None
    assert read_file(tmp_path, "folder") is None


def test_kinds_of_text() -> None:
    assert File(b"a\r\nb\r\n").has_crlf
    assert not File(b"a\r\nb\n").has_crlf
    assert not File(b"").has_crlf
    assert not File(b"\0\r\n").is_text
    assert not File(b"x", link=True).is_text
