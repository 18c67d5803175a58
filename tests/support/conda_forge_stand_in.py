"""A conda-forge to install from: the records of the extract, with packages of a starter channel.

For what the starter channel has, Linux gets that one package, which can be installed here; records of
CUDA and macOS come from the extract, and can be solved and locked but not installed. torchvision for the
starter's PyTorch is an empty package: the environment `data` asks for it, and nothing here installs that.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pixi_scaffold.starter.channel import Starter
from pixi_scaffold.starter.package import write_package
from tests.support.paths import SLICE

CUDA = frozenset({"pytorch", "torchvision", "triton"})
"""What the platform with CUDA gets from the extract all the same."""

Records = dict[str, dict[str, Any]]


def make_conda_forge(starter: Starter, folder: Path) -> Path:
    """Write the channel into `folder`, with links to the starter's packages; return it."""
    ours = _records(starter.folder / starter.subdir)
    own_names = {record["name"] for record in ours.values()}
    [python] = [record for record in ours.values() if record["name"] == "python"]
    python["build"] = "0_cpython"  # conda-forge's python_abi asks for it
    tag = "py" + "".join(python["version"].split(".")[:2])

    def stays(record: dict[str, Any]) -> bool:
        of_cuda = record["name"] in CUDA and "cuda" in record["build"] and tag in record["build"]
        return record["name"] not in own_names or of_cuda

    channel = {subdir.name: _records(subdir) for subdir in SLICE.iterdir() if subdir.is_dir()}
    noarch = channel["noarch"]
    channel["noarch"] = {file: r for file, r in noarch.items() if r["name"] not in own_names}
    for file in noarch.keys() - channel["noarch"].keys():  # the Mac keeps the extract's
        record = {key: value for key, value in noarch[file].items() if key != "noarch"}
        channel["osx-arm64"][file] = record | {"subdir": "osx-arm64"}
    linux = {file: record for file, record in channel["linux-64"].items() if stays(record)}
    channel["linux-64"] = linux | {f: r | {"subdir": "linux-64"} for f, r in ours.items()}
    channel["linux-64"] |= _torchvision(folder / "linux-64", python["version"])
    for subdir, records in channel.items():
        _write(folder / subdir, records)
    for package in (starter.folder / starter.subdir).glob("*.conda"):
        (folder / "linux-64" / package.name).symlink_to(package)
    return folder


def _torchvision(folder: Path, python: str) -> Records:
    major, minor = map(int, python.split(".")[:2])
    index = {
        "name": "torchvision",
        "version": "1.0",
        "build": "cpu_0",
        "build_number": 0,
        "depends": [f"python >={major}.{minor},<{major}.{minor + 1}.0a0", "pytorch * cpu*"],
        "subdir": "linux-64",
    }
    package = write_package(folder, index, [])
    data = package.read_bytes()
    return {package.name: index | {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}}


def _records(subdir: Path) -> Records:
    try:
        repodata = json.loads((subdir / "repodata.json").read_text())
    except FileNotFoundError:
        return {}
    return {**repodata.get("packages", {}), **repodata.get("packages.conda", {})}


def _write(subdir: Path, records: Records) -> None:
    by_kind: dict[str, Records] = {"packages": {}, "packages.conda": {}}
    for file, record in records.items():
        by_kind["packages.conda" if file.endswith(".conda") else "packages"][file] = record
    document = {"info": {"subdir": subdir.name}, "repodata_version": 1, **by_kind}
    subdir.mkdir(parents=True, exist_ok=True)
    (subdir / "repodata.json").write_text(json.dumps(document))
