"""Packages with a flipped byte, in a channel and in the cache, and where Pixi is told to keep what.

The channel is a real one with one small package; the judge is the package's own SHA-256.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pixi_scaffold.environment import refuse_damaged_files
from pixi_scaffold.environment.install import install
from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.lock import (
    Lock,
    cache_folder,
    environment_homes,
    environments_folder,
    read_lock,
)
from pixi_scaffold.lock.rattler import RattlerEngine
from pixi_scaffold.rehearsal.delivery import _installed
from pixi_scaffold.report import Silent
from pixi_scaffold.workspace import Workspace, read_manifest
from tests.support.command import scaffold

FILE = "share/words.txt"
CONTENT = b"every byte of it counts\n" * 50
BYTECODE = "share/__pycache__/words.cpython-311.pyc"
ARCHIVE = "words-1.0-0.tar.bz2"


def channel(folder: Path) -> Path:
    """Make a conda channel that has one package with one file; return the package."""
    digest = hashlib.sha256(CONTENT).hexdigest()
    entries = [
        {"_path": f, "path_type": "hardlink", "sha256": digest, "size_in_bytes": len(CONTENT)}
        for f in (FILE, BYTECODE)
    ]
    index = {"name": "words", "version": "1.0", "build": "0", "build_number": 0, "depends": []}
    files = {
        "info/index.json": json.dumps(index | {"subdir": "noarch"}).encode(),
        "info/paths.json": json.dumps({"paths": entries, "paths_version": 1}).encode(),
        FILE: CONTENT,
        BYTECODE: CONTENT,
    }
    archive = folder / "noarch" / ARCHIVE
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:bz2") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    data = archive.read_bytes()
    record = index | {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    repodata = {"info": {"subdir": "noarch"}, "packages": {ARCHIVE: record}, "packages.conda": {}}
    (archive.parent / "repodata.json").write_text(json.dumps(repodata))
    return archive


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Workspace, Lock, Path]:
    """A workspace that is locked on the channel, its lock, and the package; the cache is empty."""
    monkeypatch.setenv("PIXI_CACHE_DIR", str(tmp_path / "cache"))
    archive = channel(tmp_path / "channel")
    root = tmp_path / "work"
    root.mkdir()
    (root / "pixi.toml").write_text(
        f'[workspace]\nname = "w"\nchannels = ["{(tmp_path / "channel").as_uri()}"]\n'
        'platforms = ["linux-64"]\n[dependencies]\nwords = "*"\n'
    )
    workspace = read_manifest(root / "pixi.toml")
    RattlerEngine().lock(workspace, workspace.lock_file, Silent())
    return workspace, read_lock(workspace.lock_file), archive


def installed(locked: tuple[Workspace, Lock, Path]) -> Path:
    workspace, lock, _ = locked
    prefix = workspace.root / ".pixi" / "envs" / "default"
    return install(lock, "default", workspace.platforms[0], prefix, Silent()).prefix


def flip(path: Path) -> None:
    """Change one byte in the middle of a file that may be a hard link; its size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def run_hint(error: ScaffoldError) -> None:
    """Do what the hint says, as far as it is about files."""
    command = error.hint.partition("  #")[0].partition(" && ")[0]
    assert shlex.split(command)[0] == "rm"
    subprocess.run(["sh", "-c", command], check=True)


def test_a_damaged_archive_in_a_channel_is_named(locked: tuple[Workspace, Lock, Path]) -> None:
    archive = locked[2]
    whole = archive.read_bytes()
    flip(archive)
    with pytest.raises(ScaffoldError) as caught:
        installed(locked)
    assert f"{archive} is damaged" in caught.value.message
    assert "network" not in caught.value.hint
    run_hint(caught.value)
    assert not archive.exists()
    archive.write_bytes(whole)
    assert (installed(locked) / FILE).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_named_and_the_command_mends_it(
    locked: tuple[Workspace, Lock, Path], tmp_path: Path
) -> None:
    prefix = installed(locked)
    (prefix / BYTECODE).unlink()
    (prefix / BYTECODE).write_bytes(b"written by another Python")
    refuse_damaged_files(prefix)  # nothing is
    [cached] = (tmp_path / "cache" / "pkgs").rglob("words.txt")
    flip(cached)
    with pytest.raises(ScaffoldError) as caught:
        refuse_damaged_files(installed(locked))
    assert "the package words-1.0-0 is damaged" in caught.value.message
    assert FILE in caught.value.message
    run_hint(caught.value)
    prefix = installed(locked)
    refuse_damaged_files(prefix)
    assert (prefix / FILE).read_bytes() == CONTENT


def test_the_cache_that_pixis_configuration_names(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PIXI_CACHE_DIR, RATTLER_CACHE_DIR, cache.root; a part's own key first (crates/pixi_config)."""
    for name in ("PIXI_CACHE_DIR", "RATTLER_CACHE_DIR", "PIXI_CACHE_REPODATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    (user / "config.toml").write_text('[cache]\nroot = "/big"\nconda-packages = "~/packages"\n')
    assert cache_folder("repodata") == Path("/big/repodata")
    assert cache_folder("pkgs") == Path.home() / "packages"
    (tmp_path / ".pixi").mkdir()
    (tmp_path / ".pixi" / "config.toml").write_text('[cache]\nroot = "/bigger"\n')
    assert cache_folder("repodata", tmp_path) == Path("/bigger/repodata")
    monkeypatch.setenv("RATTLER_CACHE_DIR", "/r")
    assert cache_folder("repodata") == Path("/r/repodata")
    monkeypatch.setenv("PIXI_CACHE_DIR", "/p")
    assert cache_folder("repodata") == Path("/p/repodata")
    monkeypatch.setenv("PIXI_CACHE_REPODATA_DIR", "/own")
    assert cache_folder("repodata") == Path("/own")


def test_detached_environments_are_followed(
    user: Path, tmp_path: Path, locked: tuple[Workspace, Lock, Path]
) -> None:
    """NAME-HASH/envs, and a link to it (crates/pixi_core/src/workspace/mod.rs, environments_dir)."""
    workspace = locked[0]
    here = workspace.root / ".pixi" / "envs"
    assert environments_folder(workspace.root) == here
    (user / "config.toml").write_text(f'detached-environments = "{tmp_path / "away"}"\n')
    folder = environments_folder(workspace.root)
    assert folder.parent.parent == tmp_path / "away"
    assert folder.parent.name.startswith("w-")
    assert folder.parent.name[2:].isdecimal()
    assert here.readlink() == folder
    (user / "config.toml").write_text("detached-environments = true\n")
    folder = environments_folder(workspace.root)
    assert folder.is_relative_to(tmp_path / "cache" / "envs")
    assert here.readlink() == folder
    (user / "config.toml").write_text('detached-environments = "away"\n')
    with pytest.raises(ScaffoldError, match="no absolute path"):
        environments_folder(workspace.root)
    assert os.path.lexists(here)


def test_what_lies_in_pixi_envs_counts_no_more_beside_detached_environments(
    user: Path, tmp_path: Path, locked: tuple[Workspace, Lock, Path]
) -> None:
    """Pixi says "this will be ignored" (environments_dir); a rehearsal and `run` look there, too."""
    root = locked[0].root
    old = root / ".pixi" / "envs"
    assert environment_homes(root)[0] == old
    (old / "default" / "bin").mkdir(parents=True)
    (user / "config.toml").write_text(f'detached-environments = "{tmp_path / "away"}"\n')
    folder = environments_folder(root)
    assert environment_homes(root) == (folder, root / ".pixi" / "starter" / "envs")
    assert folder.is_relative_to(tmp_path / "away")
    assert not old.is_symlink()
    for home in (old, folder):
        (home / "default" / "bin").mkdir(parents=True, exist_ok=True)
        (home / "default" / "bin" / "python").symlink_to(sys.executable)
    assert _installed(root, environment_homes, "no Pixi") == folder / "default"
    ran = scaffold("run", "env", cwd=root)
    assert f"CONDA_PREFIX={folder / 'default'}\n" in ran.out, ran
