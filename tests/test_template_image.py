"""The generated CI's build of the job's image, run as the runner would run it; Docker is a stand-in."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pixi_scaffold.template import Template, render

DOCKER = """#!/bin/sh
echo "$*" >>"$CALLS"
case $1 in
login) cat >>"$CALLS" ;;
manifest) grep -qxF "push $3" "$CALLS" ;; # there once it was pushed
esac
"""
"""It remembers what it is told, and what was pushed."""


def github(folder: Path) -> tuple[list[str], str, dict[str, str]]:
    """The shell with its options, the script and the variables of the workflow's step."""
    workflow = yaml.safe_load((folder / ".github/workflows/image.yml").read_text())
    assert workflow[True]["push"] == {  # YAML reads `on` as true
        "branches": ["main"],
        "paths": ["pixi.lock", "htcondor/Dockerfile"],
    }
    assert workflow["permissions"] == {"contents": "read", "packages": "write"}
    step = workflow["jobs"]["image"]["steps"][-1]
    assert step["env"] == {"TOKEN": "${{ github.token }}"}
    variables = {"GITHUB_REPOSITORY": "Lab/Digits", "GITHUB_ACTOR": "ada", "TOKEN": "secret"}
    return ["bash", "-e"], step["run"], variables


def gitlab(folder: Path) -> tuple[list[str], str, dict[str, str]]:
    job = yaml.safe_load((folder / ".gitlab-ci.yml").read_text())["image"]
    assert job["rules"][0]["changes"] == ["pixi.lock", "htcondor/Dockerfile"]
    variables = {"CI_REGISTRY": "ghcr.io", "CI_REGISTRY_IMAGE": "ghcr.io/lab/digits"}
    variables |= {"CI_REGISTRY_USER": "ada", "CI_REGISTRY_PASSWORD": "secret"}
    return ["sh", "-e"], "\n".join(job["script"]), variables


@pytest.mark.slow
@pytest.mark.parametrize("ci", [github, gitlab])
def test_the_image_is_pushed_once_under_the_hash_of_what_it_is_made_of(
    template: Path, tmp_path: Path, ci: Callable[[Path], tuple[list[str], str, dict[str, str]]]
) -> None:
    folder = tmp_path / "digits"
    answers = {"ci": ci.__name__, "delivery": "container"}
    render(Template(str(template)), folder, answers, ask=False)
    lock, recipe = folder / "pixi.lock", folder / "htcondor/Dockerfile"
    lock.write_text("one\n")
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    calls, summary = tmp_path / "calls", tmp_path / "summary"
    shell, script, variables = ci(folder)
    env = os.environ | variables | {"PATH": f"{docker.parent}:{os.environ['PATH']}"}
    env |= {"CALLS": str(calls), "GITHUB_STEP_SUMMARY": str(summary)}

    def run() -> tuple[list[str], str]:
        """What Docker was told, and what people are told."""
        calls.touch()
        before = len(calls.read_text().splitlines())
        argv = [*shell, "-c", script]
        done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=True)
        told = summary.read_text() if summary.is_file() else done.stdout
        return calls.read_text().splitlines()[before:], told

    names = []
    for content in ("one\n", "another\n"):
        lock.write_text(content)
        digest = hashlib.sha256(lock.read_bytes() + recipe.read_bytes()).hexdigest()[:16]
        name = f"ghcr.io/lab/digits:lock-{digest}"
        told, said = run()
        assert told == [
            "login ghcr.io --username ada --password-stdin",
            "secret",
            f"manifest inspect {name}",
            f"build --platform linux/amd64 --file htcondor/Dockerfile --tag {name} .",
            f"push {name}",
        ]
        assert said.splitlines()[-1] == f"container_image = docker://{name}"
        again, _ = run()
        assert again == told[:3], "it is there already"
        names.append(name)
    assert len(set(names)) == 2
    copied = re.findall(r"(?m)^COPY (?!--from)(.+) \./$", recipe.read_text())
    assert copied == ["pixi.toml pixi.lock"]
