from __future__ import annotations

import hashlib
import json
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.starter.package import Entry, write_package, zstd
from pixi_scaffold.starter.wheel import (
    PYTHON,
    SITE_PACKAGES,
    conda_name,
    convert,
    dependencies,
)


def unpack(package: Path) -> tuple[dict[str, Any], dict[str, tarfile.TarInfo], dict[str, bytes]]:
    """Return index.json, the members and the contents of a .conda archive."""
    members: dict[str, tarfile.TarInfo] = {}
    contents: dict[str, bytes] = {}
    with zipfile.ZipFile(package) as archive:
        assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}
        for name in archive.namelist():
            if name.endswith(".tar.zst"):
                data = BytesIO(zstd.decompress(archive.read(name)))
                with tarfile.open(fileobj=data) as tar:
                    for member in tar:
                        members[member.name] = member
                        if member.isfile():
                            file = tar.extractfile(member)
                            assert file is not None
                            contents[member.name] = file.read()
    return json.loads(contents["info/index.json"]), members, contents


def wheel(folder: Path, files: dict[str, str], metadata: str = "") -> Path:
    path = folder / "demo_pkg-1.2-py3-none-any.whl"
    info = "demo_pkg-1.2.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/METADATA", f"Name: Demo_Pkg\nVersion: 1.2\n{metadata}\n")
        archive.writestr(f"{info}/RECORD", "".join(f"{n},,\n" for n in files))
    return path


def test_a_wheel_becomes_a_conda_package(tmp_path: Path) -> None:
    path = wheel(
        tmp_path,
        {
            "demo/__init__.py": "X = 1\n",
            "demo/template.py": "not python {{\n",
            "demo_pkg-1.2.data/scripts/run": "#!python\nprint('hi')\n",
            "demo_pkg-1.2.data/data/share/x.txt": "x",
            "demo_pkg-1.2.data/headers/x.h": "x",
            "demo_pkg-1.2.dist-info/entry_points.txt": "[console_scripts]\ndemo = demo:main\n",
        },
        "Requires-Dist: numpy>=2,<3\nRequires-Dist: torch; python_version > '3'\n"
        "Requires-Dist: other; extra == 'x'\nRequires-Dist: win; sys_platform == 'win32'\n",
    )
    package = convert(path, tmp_path / "out", "linux-64")
    index, members, contents = unpack(package)
    short = PYTHON.replace(".", "")
    assert package.name == f"demo-pkg-1.2-py{short}_0.conda"
    assert (index["name"], index["version"], index["subdir"]) == ("demo-pkg", "1.2", "linux-64")
    assert index["depends"][0].startswith(f"python >={PYTHON},<3.")
    assert index["depends"][1:] == ["numpy <3,>=2", "pytorch"]
    assert contents[f"{SITE_PACKAGES}/demo/__init__.py"] == b"X = 1\n"
    assert any(f"demo/__pycache__/__init__.cpython-{short}" in name for name in members)
    assert not any("template.cpython" in name for name in members)
    assert contents["share/x.txt"] == b"x"
    assert not any(name.endswith("x.h") for name in members)
    for script in ("bin/run", "bin/demo"):
        assert members[script].mode & 0o111
        assert contents[script].startswith(b"#!/bin/sh\n'''exec'")
    paths = {p["_path"]: p for p in json.loads(contents["info/paths.json"])["paths"]}
    assert set(paths) == {n for n in members if not n.startswith("info/")}
    for name, entry in paths.items():
        assert entry["size_in_bytes"] == len(contents[name])
        assert entry["sha256"] == hashlib.sha256(contents[name]).hexdigest()


def test_the_same_wheel_gives_the_same_bytes(tmp_path: Path) -> None:
    path = wheel(tmp_path, {"demo.py": "X = 1\n"})
    one = convert(path, tmp_path / "one", "linux-64").read_bytes()
    assert convert(path, tmp_path / "two", "linux-64").read_bytes() == one


@pytest.mark.parametrize("content", [b"", b"PK garbage", b"not a zip"])
def test_what_is_no_wheel_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x-1-py3-none-any.whl"
    path.write_bytes(content)
    with pytest.raises(ScaffoldError, match=r"x-1-py3-none-any\.whl is not a wheel"):
        convert(path, tmp_path, "linux-64")


def test_names_and_ranges() -> None:
    assert conda_name("Torch") == "pytorch"
    assert conda_name("Typing_Extensions") == "typing-extensions"
    assert dependencies(["a~=1.4", "b[x]==1.*", "c!=1,>0"]) == ["a ~=1.4", "b ==1.*", "c !=1,>0"]


def test_links_and_modes(tmp_path: Path) -> None:
    index = {"name": "x", "version": "1", "build": "0", "subdir": "linux-64"}
    entries = [Entry("bin/a", b"1", 0o755), Entry("bin/b", link="a")]
    _, members, _ = unpack(write_package(tmp_path, index, entries))
    assert members["bin/b"].linkname == "a"
    assert members["bin/a"].mode == 0o755
    assert [p.name for p in tmp_path.iterdir()] == ["x-1-0.conda"]
