"""Where a new project goes: never over anything, by one step, also two at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixi_scaffold.errors import UsageError
from pixi_scaffold.system import has_credentials, without_credentials
from pixi_scaffold.template import Template, open_template, render
from pixi_scaffold.template.destination import place
from tests.conftest import git
from tests.support.command import scaffold


def make(template: Path, folder: Path) -> tuple[str, ...]:
    return render(Template(str(template)), folder, {}, ask=False, git=True).warnings


def test_a_fresh_clone_becomes_a_project(template: Path, tmp_path: Path) -> None:
    """As uv init and cargo init do it: the repository that is there is used, and nothing is replaced."""
    folder = tmp_path / "myproject"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for name, text in {"README.md": "mine", "LICENSE": "mine", ".gitignore": "*.tmp"}.items():
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "from the server")
    head = git(folder, "rev-parse", "HEAD")
    rendered = render(Template(str(template)), folder, {}, ask=False, git=True)
    assert (folder / "pixi.toml").is_file()
    assert (folder / "README.md").read_text() == (folder / "LICENSE").read_text() == "mine"
    ignored = (folder / ".gitignore").read_text().splitlines()
    assert ignored[0] == "*.tmp"
    assert any(".pixi" in line for line in ignored)
    assert git(folder, "rev-parse", "HEAD") == head
    assert not rendered.committed
    assert rendered.staged
    assert "A  pixi.toml" in git(folder, "status", "--porcelain").splitlines()
    assert "kept as they were: LICENSE, README.md" in rendered.warnings


def test_a_folder_with_work_in_it_is_refused(template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "train.py").write_text("x")
    with pytest.raises(UsageError, match=r"not empty: train\.py"):
        make(template, folder)


@pytest.mark.parametrize("there", [pytest.param(False, marks=pytest.mark.slow), True])
def test_of_two_at_once_one_makes_the_project(template: Path, tmp_path: Path, there: bool) -> None:
    folder = tmp_path / "same"
    if there:
        folder.mkdir()
    argv = [sys.executable, "-m", "pixi_scaffold", "new", "same", "--defaults", "--no-check"]
    both = [
        subprocess.Popen(
            [*argv, "--template", str(template)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    ends = [(child.communicate()[0], child.returncode) for child in both]
    assert sorted(code for _, code in ends) == [0, 2, 2], ends
    assert all("same" in said for said, code in ends if code)
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "rev-list", "--count", "HEAD") == "1"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".same")] == []


def test_what_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    made, destination = tmp_path / "staging" / "p", tmp_path / "p"
    made.mkdir(parents=True)
    (made / "pixi.toml").write_text("ours")
    destination.mkdir()
    (destination / "pixi.toml").write_text("somebody else's")
    with pytest.raises(UsageError, match="meanwhile"):
        place(made, destination)
    assert (destination / "pixi.toml").read_text() == "somebody else's"


@pytest.mark.parametrize(
    ("url", "has"),
    [
        ("https://user:word@host/channel", True),
        ("https://ghp_0123456789@github.com/a/b.git", True),
        ("https://conda.example.org/t/tk-123/lab", True),
        ("https://host/lab?token=abc", True),
        ("https://host/lab?private_token=abc", True),
        ("ssh://git:word@host/a.git", True),
        ("git+https://ghp_0123456789@github.com/a/b.git", True),
        ("ssh://git@host/a.git", False),
        ("git@github.com:a/b.git", False),
        ("https://conda.anaconda.org/conda-forge", False),
        ("https://host:8443/a/team/b.git", False),
        ("conda-forge", False),
        ("../template", False),
    ],
)
def test_credentials_in_a_url(url: str, has: bool) -> None:
    assert has_credentials(url) is has
    public = without_credentials(f"-e {url}#egg=a").removeprefix("-e ").removesuffix("#egg=a")
    assert not has_credentials(public)
    assert has or public == url


@pytest.mark.parametrize("verb", ["new", "adopt"])
def test_a_channel_with_a_token_is_refused_as_an_answer(tmp_path: Path, verb: str) -> None:
    """The project would record it; Copier, which asks for it too, refuses it by copier.yml."""
    ran = scaffold(verb, "p", "-d", "channel=https://x.example/t/hunter2/lab", cwd=tmp_path)
    assert ran.code == 2
    assert "channel has a user, a password or a token" in ran.err
    assert "hunter2" not in ran.out + ran.err
    assert not any(tmp_path.iterdir())


def test_a_template_with_a_token_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError) as caught, open_template("https://u:s3cr3t@host/a.git", None):
        pass
    assert "s3cr3t" not in caught.value.message + caught.value.hint


def test_the_own_template_needs_no_protocol_of_the_users(tmp_path: Path) -> None:
    """git refuses what GIT_ALLOW_PROTOCOL does not list, also to read a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "pixi_scaffold", "new", "p", "--defaults", "--no-check"],
        cwd=tmp_path,
        env={**os.environ, "GIT_ALLOW_PROTOCOL": "https"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "p" / "pixi.toml").is_file()
