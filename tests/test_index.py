"""The pins on every Python and platform that they are said to work on; the judge is pip's index."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import urllib.request
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pixi_scaffold.starter.pins import PLATFORMS, PYTHONS, pins
from tests.support.index import pips_index
from tests.support.paths import REPOSITORY

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="session", autouse=True)
def index() -> str:
    """The index that pip asks by default, when it answers; a machine's own additions do not count."""
    url = pips_index()
    try:
        urllib.request.urlopen(f"{url}/pip/", timeout=20).close()
    except OSError as error:
        pytest.skip(f"pip's index does not answer: {error}")
    return url


def tags(newest: str) -> list[str]:
    """A platform's tag and the older ones that it can install, too."""
    kind, major, minor, machine = newest.split("_", 3)
    if kind == "macosx":
        return [f"macosx_{n}_0_{machine}" for n in range(int(major), 10, -1)]
    older = [f"{kind}_{major}_{n}_{machine}" for n in range(int(minor), 4, -1)]
    return [*older, f"manylinux2014_{machine}", f"manylinux1_{machine}"]


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


def chosen(python: str, platform: str, requirements: list[str]) -> list[dict[str, Any]]:
    """What pip would install of these, without dependencies: it takes markers of this Python."""
    argv = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps"]
    argv += ["--only-binary", ":all:", "--ignore-requires-python", "--use-feature", "fast-deps"]
    argv += ["--python-version", python, "--target", "none", "--quiet", "--report", "-"]
    argv += [word for tag in tags(platform) for word in ("--platform", tag)]
    own = ("PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL")
    env = {name: value for name, value in os.environ.items() if name not in own}
    done = subprocess.run(
        [*argv, *requirements],
        env={**env, "PIP_CONFIG_FILE": os.devnull},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [item["metadata"] for item in json.loads(done.stdout)["install"]]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_every_pin_has_a_wheel_and_nothing_is_missing(python: str, platform: str) -> None:
    """The tool's own direct dependencies, too; the others of them are of pure Python."""
    here = markers(python, platform)
    text = (REPOSITORY / "pyproject.toml").read_text()
    own = [Requirement(one) for one in tomllib.loads(text)["project"]["dependencies"]]
    needed = [r for r in own if r.marker is None or r.marker.evaluate(here)]
    pinned = pins(here)
    found = chosen(python, platform, [*pinned, *(f"{r.name}{r.specifier}" for r in needed)])
    versions = {canonicalize_name(one["name"]): one for one in found}
    for pin in pinned:
        one = versions[canonicalize_name(pin.partition("==")[0])]
        assert SpecifierSet(one.get("requires_python", "")).contains(f"{python}.0"), one["name"]
        for required in map(Requirement, one.get("requires_dist", ())):
            name = canonicalize_name(required.name)
            if required.marker is not None and not required.marker.evaluate({**here, "extra": ""}):
                continue
            if name.startswith(("nvidia-", "cuda-", "triton")):
                continue  # pip chooses these, and only where there is no CPU build
            assert name in versions, f"{one['name']} needs {required}"
            assert required.specifier.contains(versions[name]["version"]), (one["name"], required)
