"""The generated CI's monthly look for a newer template, run as the runner would run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import yaml

from pixi_scaffold.template import Template, render
from tests.support.history import History
from tests.support.server import listening

COPIER = Path(sys.executable).with_name("copier")


def project(history: History, folder: Path, tag: str, ci: str) -> Path:
    """A project of the newest template whose answers say that it is of an older version."""
    template = Template(str(history.folder), history.newest)
    render(template, folder, {"ci": ci}, ask=False, git=True)
    answers = folder / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace(f"_commit: {history.newest}", f"_commit: {tag}"))
    return folder


def run(script: str, folder: Path, stand_ins: Path, **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{stand_ins}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env={**os.environ, **env, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def stand_in(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("jq"), reason="needs jq, which the runner has")
def test_github_opens_one_issue(history: History, tmp_path: Path) -> None:
    """pipx and gh are stand-ins: one runs the Copier that is here, one remembers the issue."""
    folder = project(history, tmp_path / "p", "v0.2.0", "github")
    workflow = yaml.safe_load((folder / ".github/workflows/template.yml").read_text())
    script = workflow["jobs"]["template"]["steps"][-1]["run"]
    assert workflow[True]["schedule"] == [{"cron": "23 5 1 * *"}]  # YAML reads `on` as true
    assert workflow["permissions"]["issues"] == "write"
    places, issues = tmp_path / "bin", tmp_path / "issues"
    stand_in(places, "pipx", f'while [ "$1" != copier ]; do shift; done; shift; exec {COPIER} "$@"')
    stand_in(
        places,
        "gh",
        f'case "$2" in list) [ ! -e {issues} ] || echo 1;; create) echo "$4" >> {issues};; esac',
    )
    for _ in range(2):
        done = run(script, folder, places)
        assert done.returncode == 0, done.stderr
    assert issues.read_text() == "The template is at 1.0.0\n"
    current = project(history, tmp_path / "q", history.newest, "github")
    issues.unlink()
    assert run(script, current, places).returncode == 0
    assert not issues.exists()


@pytest.mark.slow
def test_gitlab_fails_or_opens_one_issue(history: History, tmp_path: Path) -> None:
    """GitLab's API is stood in for by a server here."""
    folder = project(history, tmp_path / "p", "v0.2.0", "gitlab")
    job = yaml.safe_load((folder / ".gitlab-ci.yml").read_text())["template"]
    install, script = job["script"]
    assert install.startswith("pip install")
    assert job["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "schedule"'}]
    stand_in(tmp_path / "bin", "copier", f'exec {COPIER} "$@"')
    done = run(script, folder, tmp_path / "bin", TEMPLATE_TOKEN="")
    assert done.returncode == 1
    assert "newer version than v0.2.0" in done.stdout
    current = project(history, tmp_path / "q", history.newest, "gitlab")
    assert run(script, current, tmp_path / "bin", TEMPLATE_TOKEN="").returncode == 0
    if not shutil.which("curl"):
        pytest.skip("needs curl, which the image has")
    opened: list[str] = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(b"[{}]" if opened else b"[]")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            opened.extend(parse_qs(body)["title"])
            assert self.headers["PRIVATE-TOKEN"] == "secret"
            self.answer(b"{}")

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with listening(Api) as url:
        env = {"TEMPLATE_TOKEN": "secret", "CI_API_V4_URL": url, "CI_PROJECT_ID": "7"}
        for _ in range(2):
            done = run(script, folder, tmp_path / "bin", **env)
            assert done.returncode == 0, done.stderr
    assert opened == ["The template has a newer version than v0.2.0"]
