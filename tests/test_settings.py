"""Which template `new` takes: the option, the environment, the user's file, the built-in one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from pixi_scaffold.errors import UsageError
from pixi_scaffold.template import open_template
from pixi_scaffold.template.source import (
    CANONICAL_URL,
    open_source,
    preferred_template,
    settings_file,
)
from tests.conftest import git
from tests.support.command import scaffold
from tests.support.history import release
from tests.test_update import small


def configure(text: str) -> None:
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text(text)


def test_the_nearer_setting_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {name: small(tmp_path / name) for name in ("file", "variable", "option")}

    def made(name: str, *args: object) -> str:
        ran = scaffold("new", name, "--no-check", *args, cwd=tmp_path)
        assert ran.code == 0, ran
        answers = yaml.safe_load((tmp_path / name / ".copier-answers.yml").read_text())
        return str(answers["_src_path"])

    configure(f'template = "{places["file"]}"\n')
    assert made("a") == str(places["file"])
    monkeypatch.setenv("PIXI_SCAFFOLD_TEMPLATE", str(places["variable"]))
    assert made("b") == str(places["variable"])
    assert made("c", "--template", places["option"]) == str(places["option"])


def test_a_project_stays_on_its_own_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fork, other = small(tmp_path / "fork"), small(tmp_path / "other")
    assert scaffold("new", "p", "--no-check", "--template", fork, cwd=tmp_path).code == 0
    release(fork, "v1.1.0", {"from-the-fork": "x\n"})
    release(other, "v1.2.0", {"from-the-other": "x\n"})
    monkeypatch.setenv("PIXI_SCAFFOLD_TEMPLATE", str(other))
    ran = scaffold("update", "p", "--yes", "--json", cwd=tmp_path)
    assert ran.code == 0, ran
    assert ran.document["template"] == {"source": str(fork), "from": "v1.0.0", "to": "v1.1.0"}
    assert (tmp_path / "p" / "from-the-fork").exists()
    with open_source(CANONICAL_URL) as template:
        assert template.source == CANONICAL_URL
        assert "insteadOf" in template.env["GIT_CONFIG_KEY_0"]


def test_a_folder_named_in_the_file_is_beside_the_file(tmp_path: Path) -> None:
    configure('template = "./lab"\n')
    assert preferred_template() == str(settings_file().parent / "lab")


@pytest.mark.parametrize(
    "text", ["template = 1\n", "templat = 'x'\n", "template = [\n", 'template = ""\n']
)
def test_a_file_that_cannot_be_used(text: str, tmp_path: Path) -> None:
    configure(text)
    with pytest.raises(UsageError, match="config.toml"):
        preferred_template()
    ran = scaffold("new", "p", "--no-check", cwd=tmp_path)
    assert ran.code == 2
    assert 'template = "URL"' in ran.err


def test_the_built_in_template_is_updated_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the history that the tool carries: here the checkout, in which no version is tagged."""
    from tests.support.paths import REPOSITORY

    commits = git(REPOSITORY, "-c", "safe.directory=*", "log", "--format=%H", "--", "template")
    oldest = commits.split()[-1]
    with open_template(None, oldest) as template:
        assert template.source == CANONICAL_URL
    ran = scaffold("new", "p", "--no-check", "--vcs-ref", oldest, cwd=tmp_path)
    assert ran.code == 0, ran
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    ran = scaffold("update", "p", "--yes", "--json", cwd=tmp_path)
    if ran.code == 2:
        pytest.skip("the newest tag of this checkout is older than its oldest template")
    assert ran.code == 0, ran
    assert ran.document["template"]["source"] == CANONICAL_URL
    assert CANONICAL_URL in (tmp_path / "p" / ".copier-answers.yml").read_text()
    assert (
        "pixi-scaffold-"
        not in subprocess.run(
            ["git", "config", "--list"],
            cwd=tmp_path / "p",
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
