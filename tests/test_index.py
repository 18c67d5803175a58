"""The pins on every Python and platform that they are said to work on; the judges are uv and pip's index."""

from __future__ import annotations

import os
import subprocess
import tomllib
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uv
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pixi_scaffold.starter.wheels import PLATFORMS, PYTHONS, pins
from tests.support.index import pips_index
from tests.support.paths import REPOSITORY

pytestmark = [pytest.mark.network, pytest.mark.slow]

#: uv's words for our platforms; the version of macOS is in a variable.
IN_UV = {
    "manylinux_2_28_x86_64": "x86_64-manylinux_2_28",
    "manylinux_2_28_aarch64": "aarch64-manylinux_2_28",
    "macosx_14_0_arm64": "aarch64-apple-darwin",
}


@pytest.fixture(scope="session")
def index() -> str:
    """The index that pip asks by default, when it answers; a machine's own additions do not count."""
    url = pips_index()
    try:
        urllib.request.urlopen(f"{url}/pip/", timeout=20).close()
    except OSError as error:
        pytest.skip(f"pip's index does not answer: {error}")
    return url


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uv")


def markers(python: str, platform: str) -> dict[str, str]:
    """What markers see there."""
    mac = platform.startswith("macosx")
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "darwin" if mac else "linux",
        "platform_system": "Darwin" if mac else "Linux",
        "platform_machine": platform.split("_", 3)[3],
    }


def resolved(
    requirements: list[str], python: str, platform: str, index: str, cache: Path
) -> set[str]:
    """The names of what these come to there, of wheels only. Fails when there is no solution."""
    argv = [
        uv.find_uv_bin(),
        "pip",
        "compile",
        "--no-config",
        "--no-python-downloads",
        "--only-binary",
        ":all:",
        "-",
    ]
    argv += ["--python-version", python, "--python-platform", IN_UV[platform]]
    argv += ["--default-index", index, "--cache-dir", str(cache), "--no-header", "--no-annotate"]
    kept = ("PATH", "HOME", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    done = subprocess.run(
        argv,
        input="\n".join(requirements),
        env={**env, "UV_SYSTEM_CERTS": "1", "MACOSX_DEPLOYMENT_TARGET": "14.0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {canonicalize_name(line.partition("==")[0]) for line in done.stdout.split()}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_pin_has_a_wheel_and_nothing_is_missing(
    platform: str, index: str, cache: Path
) -> None:
    """The tool's own dependencies have wheels there, too."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = [Requirement(text) for text in project["dependencies"]]

    def missing(python: str) -> set[str]:
        """What the pins need and do not name."""
        here = markers(python, platform)
        present = [str(r) for r in needed if r.marker is None or r.marker.evaluate(here)]
        assert resolved(present, python, platform, index, cache)
        names = {canonicalize_name(Requirement(pin).name) for pin in pins(here)}
        return resolved([*pins(here)], python, platform, index, cache) - names

    with ThreadPoolExecutor() as pool:  # nearly all of the time is spent in waiting for answers
        unnamed = set().union(*pool.map(missing, PYTHONS))
    # pip chooses these, and only where there is no CPU build
    assert {n for n in unnamed if not n.startswith(("nvidia-", "cuda-", "triton"))} == set()
