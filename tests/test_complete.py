"""What shells complete: each shell installs it with one command, and is asked as a user asks it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pixi_scaffold.cli import complete
from pixi_scaffold.rules import RULES
from pixi_scaffold.workspace import read_manifest
from tests.support.command import scaffold
from tests.support.paths import REPOSITORY

MANIFEST = """\
[workspace]
channels = ["conda-forge"]
platforms = ["linux-64", "osx-arm64"]
[tasks]
train = "echo 1"
test = "echo 2"
_hidden = "echo 3"
[target.linux-64.tasks]
tune = "echo 4"
[feature.docs.tasks]
serve = "echo 5"
[environments]
docs = ["docs"]
gpu = { features = [] }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with two projects and another folder in it."""
    (tmp_path / "pixi.toml").write_text(MANIFEST)
    for name in ("alpha", "algol", "other"):
        (tmp_path / name).mkdir()
    for name in ("alpha", "algol"):
        (tmp_path / name / ".copier-answers.yml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_offered_is_what_there_is(folder: Path) -> None:
    workspace = read_manifest(folder / "pixi.toml")
    tasks = {t for e in workspace.environments for p in workspace.environment_platforms(e)
             for t in workspace.tasks(e, p)}  # fmt: skip
    assert complete.tasks("") == sorted(tasks - {"_hidden"})
    assert complete.tasks("_") == ["_hidden"]
    assert complete.environments("") == sorted(e.name for e in workspace.environments)
    assert complete.platforms("") == [p.name for p in workspace.platforms]
    assert complete.rules("") == sorted(RULES)
    assert complete.rules("ps10") == sorted(r for r in RULES if r.startswith("PS10"))
    assert complete.projects("al") == ["algol", "alpha"]
    assert complete.projects("o") == ["other"]
    assert complete.projects("nowhere/") == []


def test_the_workspace_above_is_asked_and_a_damaged_one_offers_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "other")
    assert complete.tasks("tr") == ["train"]
    (folder / "other/pyproject.toml").write_text("[tool.pixi.tasks]\nbuild = 'x'\n")
    assert complete.tasks("") == ["build"]
    for damage in ("[tasks", "tasks = 1", "[feature]\nx = 1"):
        (folder / "other/pixi.toml").write_text(damage)
        assert complete.tasks("zz") == complete.platforms("zz") == []


def test_a_completion_imports_nothing_heavy(folder: Path) -> None:
    """What keeps it quick: it answers without the rules, the solver, the template or rich."""
    code = (
        "import sys\nsys.argv = ['pixi-scaffold']\nfrom pixi_scaffold.cli import app\n"
        "try: app()\nexcept SystemExit: pass\n"
        "print(*sorted({'pixi_scaffold.rules', 'pixi_scaffold.report', 'pixi_scaffold.system', 'rattler', 'copier', 'rich', 'yaml', 'tomlkit', "
        "'htcondor2', 'jinja2', 'subprocess', 'asyncio'} & set(sys.modules)))"
    )
    env = {**os.environ, "_PIXI_SCAFFOLD_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    typed = ("rule PS", "run t", "status a", "check --", "new --", "rehearse --", "update --")
    for words in (f"pixi-scaffold {one}" for one in typed):
        argv = [sys.executable, "-c", code]
        done = subprocess.run(
            argv, env={**env, "COMP_WORDS": words}, capture_output=True, text=True, check=True
        )
        *offered, imported = done.stdout.splitlines()
        assert offered, words
        assert set(imported.split()) <= {"subprocess"}, words


CASES = [
    ("pixi-scaffold rule PS12", {r for r in RULES if r.startswith("PS12")}),
    ("pixi-scaffold run t", {"test", "train", "tune"}),
    ("pixi-scaffold run --environment ", {"default", "docs", "gpu"}),
    ("pixi-scaffold status al", {"algol", "alpha"}),
    ("pixi-scaffold upd", {"update"}),
    ("pixi-scaffold lock --dif", {"--diff"}),
]


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request: pytest.FixtureRequest, folder: Path) -> tuple[str, dict[str, str]]:
    """A shell of a new user, after the one command that installs the completion."""
    name = request.param
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"there is no {name}")
    home = folder / ".home"
    home.mkdir()
    env = {"HOME": str(home), "TERM": "dumb", "SHELL": program, "ZDOTDIR": str(home),
           "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}  # fmt: skip
    # It asks which shell it was started by, so it is started by that one.
    argv = [program, "-c", "pixi-scaffold --install-completion; exit $?" if name != "fish" else
            "pixi-scaffold --install-completion; exit $status"]  # fmt: skip
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{name} completion installed" in done.stdout
    return name, env


def offered(name: str, env: dict[str, str], words: str) -> set[str]:
    """Return what a shell is offered for a line of words, by what was installed into it."""
    if name == "fish":
        script = f"complete -C '{words}'"
    elif name == "bash":
        script = (
            f". ~/.bashrc; COMP_WORDS=({words!r}); IFS=' ' read -r -a COMP_WORDS <<< {words!r}; "
            f"COMP_CWORD={len(words.split(' ')) - 1}; function=$(complete -p pixi-scaffold | "
            "sed 's/.*-F \\([^ ]*\\).*/\\1/'); $function pixi-scaffold; printf '%s\\n' \"${COMPREPLY[@]}\""
        )
    else:  # its line editor needs a terminal; this is what it calls, by the name that it has for it
        script = (
            "test $_comps[pixi-scaffold] = _pixi_scaffold_completion || test $_comps[pixi-scaffold] && "
            f"_TYPER_COMPLETE_ARGS='{words}' _PIXI_SCAFFOLD_COMPLETE=complete_zsh pixi-scaffold"
        )
    argv = [name, *(["-i"] if name == "zsh" else []), "-c", script]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    if name == "zsh":
        return set(re.findall(r'"([^":]+)"(?::"[^"]*")?', done.stdout))
    return {line.split("\t")[0] for line in done.stdout.splitlines() if line}


@pytest.mark.slow
def test_each_shell_completes_after_one_command(shell: tuple[str, dict[str, str]]) -> None:
    name, env = shell
    for words, wanted in CASES:
        assert offered(name, env, words) == wanted, words


def test_the_manual_has_every_option_and_roff_finds_nothing_wrong_with_it() -> None:
    """groff is the judge of the page, and --help the one of what it has."""
    page = REPOSITORY / "docs" / "reference" / "pixi-scaffold.1"
    text = page.read_text(encoding="utf-8").replace("\\-", "-")
    for command in ("check", "lock", "rehearse", "channel build"):
        ran = scaffold(*command.split(), "--help", cwd=REPOSITORY)
        section = text.split(f".SS pixi-scaffold {command}\n")[1].split(".SS ")[0]
        for option in re.findall(r"^ {2,}(--[a-z][\w-]*)", ran.out, re.M):
            assert option in section or option == "--help", (command, option)
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("there is no groff to judge it")
    argv = [groff, "-man", "-ww", "-Tutf8", "-Kutf8", page]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "EXIT STATUS" in re.sub(r"\x1b\[[\d;]*m|.\x08", "", done.stdout)
