"""Bring the scaffold to an existing project."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pixi_scaffold.adopt.branch import commit_on_branch
from pixi_scaffold.adopt.command import _wanted
from pixi_scaffold.adopt.environment_file import read_environment_file
from pixi_scaffold.adopt.manifest import (
    ProjectShape,
    adopted_manifest,
    dependency,
    portable,
)
from pixi_scaffold.adopt.pyproject import read_pyproject
from pixi_scaffold.adopt.pytorch import target_of, with_conda_forge
from pixi_scaffold.adopt.requirements import read_requirements
from pixi_scaffold.adopt.wanted import Wanted, read_text
from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import File
from pixi_scaffold.workspace import parse_manifest, read_manifest
from tests.conftest import git
from tests.support.command import scaffold
from tests.support.paths import SHARED, SLICE

SAYS = SHARED / "pixi-says" / "import.jsonl"
REFUSED = {"pip-extras": 4, "bad": 1}
"""What `pixi init --import` refuses as a whole, and how many lines we leave out of it."""


def manifest(wanted: Wanted, folder: str) -> dict[str, Any]:
    """Return the manifest that the packages make, as data."""
    text = f"[workspace]\nname = {json.dumps(wanted.name or folder)}\n"
    text += f"channels = {json.dumps(wanted.channels)}\nplatforms = ['linux-64']\n"
    text += "version = '0.1.0'\n[tasks]\n[dependencies]\n"
    text += "".join(f"{r.name} = {dependency(r)}\n" for r in wanted.conda)
    if wanted.pypi:
        text += "[pypi-dependencies]\n"
        text += "".join(f"{r.name} = {dependency(r)}\n" for r in wanted.pypi)
    if wanted.variables:
        text += f"[activation]\nenv = {{ {', '.join(f'{k} = {json.dumps(v)}' for k, v in wanted.variables)} }}\n"
    return tomllib.loads(text)


@pytest.mark.skipif(not SAYS.is_file(), reason="what Pixi said is not here")
def test_an_environment_file_becomes_what_pixi_makes_of_it(tmp_path: Path) -> None:
    """Each row of what `pixi init --import` of 0.77.0 did; the order of packages, too."""
    rows = [json.loads(line) for line in SAYS.read_text().splitlines()]
    assert len(rows) > 10
    for row in rows:
        wanted = read_environment_file(row["environment"], tmp_path / "environment.yml")
        if row["manifest"] is None:
            assert len(wanted.left_out) == REFUSED[row["name"]], row["name"]
            continue
        ours, pixi = manifest(wanted, "FOLDER"), tomllib.loads(row["manifest"])
        assert ours == pixi, row["name"]
        assert list(ours["dependencies"]) == list(pixi["dependencies"])
        left = any(word in row["environment"] for word in ("sel(", "prefix:", "platforms:"))
        assert bool(wanted.left_out) == left, wanted.left_out


def test_a_line_that_is_left_out_is_named(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("rich>=13\n-r more.txt\n")
    text = "dependencies:\n  - numpy >>1\n  - sel(linux): cuda\n  - pip:\n    - -r more.txt\n    - x @ https://example.org/x.whl\n    - --pre\n  - conda: [x]\n"
    wanted = read_environment_file(text, tmp_path / "environment.yml")
    assert [r.name for r in wanted.pypi] == ["rich"]
    assert [str(one).split(": ")[0] for one in wanted.left_out] == [
        "environment.yml:3",
        "environment.yml:2",
        "environment.yml:6",
        "environment.yml:7",
        "environment.yml:8",
    ]
    for text in ("- a list", "a: [b", "just text"):
        with pytest.raises(ScaffoldError, match="environment"):
            read_environment_file(text, tmp_path / "environment.yml")


def test_credentials_are_neither_taken_over_nor_shown(tmp_path: Path) -> None:
    """A token in pixi.toml would go into git; Pixi keeps it elsewhere (pixi auth login)."""
    text = (
        "channels: ['https://x.example/t/hunter1/lab', 'https://a:hunter2@y.example/lab']\n"
        "dependencies:\n"
        "  - 'https://b:hunter3@z.example/lab::six'\n"
        "  - pip:\n"
        "    - --extra-index-url https://c:hunter4@w.example/simple\n"
        "    - git+https://hunter5@v.example/a.git\n"
    )
    wanted = read_environment_file(text, tmp_path / "environment.yml")
    assert wanted.channels[:2] == ("https://x.example/lab", "https://y.example/lab")
    assert [requirement.name for requirement in wanted.conda] == ["six"]
    said = "".join(map(str, wanted.left_out))
    assert said.count("pixi auth login") == 3
    assert "hunter" not in said + str(wanted.channels) + str(wanted.conda)


def test_a_requirements_file_is_read_as_pip_reads_it(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("einops\n")
    text = """# a comment
Torch_Geometric >= 2.5, <3   # why
httpx[http2]>=0.27 ; python_version < "3.13"
-r base.txt
a==1.0 \\
    --hash=sha256:00
-e .
git+https://example.org/x.git
--extra-index-url https://example.org/simple
not a requirement
"""
    wanted = read_requirements(text, tmp_path / "requirements.txt")
    assert {r.name: dependency(r) for r in wanted.pypi} == {
        "torch-geometric": '">=2.5,<3"',
        "httpx": '{ version = ">=0.27", extras = ["http2"], env-markers = "python_version < \\"3.13\\"" }',
        "einops": '"*"',
        "a": '"==1.0"',
    }
    assert [one.place for one in wanted.left_out] == [
        *(f"requirements.txt:{n}" for n in (7, 8, 9, 10)),
        "requirements.txt",
    ]
    assert "Pixi" in wanted.left_out[0].why
    assert "1 hashes: pixi.lock has its own" in str(wanted.left_out[-1])


def test_a_pyproject_gives_python_and_its_dependencies(tmp_path: Path) -> None:
    text = """
[project]
name = "lab"
requires-python = "~=3.11"
dependencies = ["numpy>=1.26,<3", "torch==2.3.0+cu121", "x @ git+https://example.org/x", "mine"]
[project.optional-dependencies]
docs = ["sphinx"]
[dependency-groups]
dev = ["pytest"]
[tool.pdm.dev-dependencies]
old = ["black"]
[tool.uv.sources]
mine = { path = "libs/mine" }
"""
    wanted = read_pyproject(text, tmp_path / "pyproject.toml")
    assert [str(r) for r in wanted.conda] == ['python[version=">=3.11,<4"]']
    assert [str(r) for r in wanted.pypi] == ["numpy>=1.26,<3", "torch==2.3.0+cu121"]
    said = "\n".join(map(str, wanted.left_out))
    assert all(
        word in said
        for word in ("x @ git", "docs (sphinx)", "dev", "old (black)", "mine: by its path")
    )


POETRY = """
[tool.poetry.dependencies]
python = "^3.10"
a = "^1.2.3"
b = "^0.3.1"
c = "^0.0.3"
d = "~1.25.2"
e = "~1"
f = "1.4.1"
g = "*"
h = { version = ">=2,<3", extras = ["x", "y"], python = "<3.12" }
i = "1.*"
left = { path = "../left", develop = true }
optional = { version = "1", optional = true }
several = [{ version = "1", python = "<3.11" }, { version = "2", python = ">=3.11" }]
either = "^1 || ^3"
[tool.poetry.group.dev.dependencies]
pytest = "^7"
"""


def test_poetry_s_ranges_become_those_of_pep_440(tmp_path: Path) -> None:
    """As python-poetry.org/docs/dependency-specification has them in words."""
    wanted = read_pyproject(POETRY, tmp_path / "pyproject.toml")
    assert [str(r) for r in wanted.conda] == ['python[version=">=3.10,<4"]']
    assert [str(r) for r in wanted.pypi] == [
        "a>=1.2.3,<2", "b>=0.3.1,<0.4", "c>=0.0.3,<0.0.4", "d>=1.25.2,<1.26", "e>=1,<2", "f==1.4.1",
        "g", 'h[x,y]>=2,<3 ; python_version < "3.12"', "i==1.*",
    ]  # fmt: skip
    said = "\n".join(map(str, wanted.left_out))
    for name in ("left", "optional", "several", "either", "dev (pytest)"):
        assert f": {name}: " in said, name


def test_nothing_is_dropped_without_a_word(tmp_path: Path) -> None:
    """Each kind of line was found in public repositories; what is not taken is named."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "base.txt").write_text(
        "einops \\\n  >=0.7\n-r ../requirements.txt\n"
    )
    (tmp_path / "requirements.txt").write_text("-r requirements/base.txt\n")
    text = """name: x
channels: [conda-forge, nodefaults]
platforms: [linux-64]
dependencies:
  - numpy=1.25
  - numpy>=1.26
  - _libgcc_mutex=0.1=main
  - blas=*=openblas
  - a|b
  - pip:
    - -r requirements.txt
    - flash-attn==2.5.6 --no-build-isolation
    - --extra-index-url https://download.pytorch.org/whl/cu121
    - absl-py @ file:///home/conda/feedstock_root/build_artifacts/absl-py_1673535674859/work
    - -e git+https://example.org/x.git#egg=x
    - pkg_resources==0.0.0
    - numpy==1.24 ; python_version < "3.11"
    - numpy==1.26 ; python_version >= "3.11"
prefix: /home/me/envs/x
"""
    path = tmp_path / "environment.yml"
    wanted, builds = portable(read_environment_file(text, path))
    wanted, changed = with_conda_forge(wanted)
    assert [dependency(r) for r in wanted.conda] == [
        '">=1.26"', '"==0.1"', '{ version = "*", build = "openblas" }'
    ]  # fmt: skip
    assert wanted.channels == ("conda-forge",)
    assert [str(r) for r in wanted.pypi][:3] == ["einops>=0.7", "flash-attn==2.5.6", "absl-py"]
    assert "_libgcc_mutex" in builds[0]
    assert "nodefaults" in changed[0]
    said = [f"{one.text}: {one.why}" for one in wanted.left_out]
    for words in (
        "platforms: pixi.toml has its own", "prefix: of one machine", "a|b: invalid package name",
        'numpy[version="1.25.*"]: numpy[version=">=1.26"] stands there, too',
        "--no-build-isolation: an option of pip for flash-attn==2.5.6",
        "-e git+https://example.org/x.git#egg=x: an editable install",
        "cu121: PyTorch's own wheels", "pkg_resources==0.0.0: no package",
        'numpy==1.24 ; python_version < "3.11": numpy==1.26',
    ):  # fmt: skip
        assert [one for one in said if words in one], (words, said)
    assert len(said) == 9


@pytest.mark.parametrize("python", ["==3.11.*", "~=3.11.2", ">=3.11,<3.13", "===3.12.1"])
def test_a_range_of_python_is_one_that_a_manifest_takes(tmp_path: Path, python: str) -> None:
    text = f"[project]\nrequires-python = '{python}'\ndependencies = ['torch===2.5.1']"
    wanted, _ = with_conda_forge(read_pyproject(text, tmp_path / "pyproject.toml"))
    lines = "".join(f"{r.name} = {dependency(r)}\n" for r in wanted.conda)
    head = "[workspace]\nchannels = []\nplatforms = ['linux-64']\n[dependencies]\n"
    parse_manifest(head + lines, tmp_path / "pixi.toml")
    assert [r.name for r in wanted.conda] == ["python", "pytorch"]


def test_a_file_of_powershell_is_read(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    for encoding in ("utf-16", "utf-8-sig"):
        path.write_text("numpy\n", encoding=encoding)
        assert [r.name for r in read_requirements(read_text(path), path).pypi] == ["numpy"]


@pytest.mark.parametrize(
    ("lines", "pytorch"),
    [
        ("[pytorch=2.3, pytorch-cuda=12.1, torchvision]", {"pytorch": ">=2.3", "torchvision": "*"}),
        ("[pytorch::pytorch=2.1.2=py3.11_cuda12.1_0, cudatoolkit]", {"pytorch": ">=2.1.2"}),
        ("['pytorch>=2.0,<2.4', cpuonly]", {"pytorch": ">=2.0,<2.4"}),
        ("[{pip: [torch==2.3.0, torchaudio~=2.3]}]", {"pytorch": ">=2.3.0", "torchaudio": "~=2.3"}),
        ("[pytorch-gpu=2.5, {pip: [torch, nvidia-cudnn-cu12]}]", {"pytorch": ">=2.5"}),
        ("[nvidia/label/cuda-12.4.0::cuda-nvcc, pytorch]", {"pytorch": "*", "cuda-nvcc": "*"}),
    ],
)
def test_pytorch_becomes_conda_forge_s_and_that_is_said(
    lines: str, pytorch: dict[str, str], tmp_path: Path
) -> None:
    text = f"channels: [pytorch, nvidia, conda-forge, defaults]\ndependencies: {lines}\n"
    before = read_environment_file(text, tmp_path / "environment.yml")
    wanted, notes = with_conda_forge(before)
    assert {r.name: dict(r.fields).get("version", "*") for r in wanted.conda} == pytorch
    assert not any("channel" in dict(r.fields) for r in wanted.conda)
    assert wanted.channels[0] == "conda-forge"
    assert not {"pytorch", "nvidia", "main"} & set(wanted.channels)
    assert wanted.pypi == ()
    assert "channels pytorch, nvidia" in notes[0]
    from_pip = [one for one in before.pypi if one.name.startswith("torch")]
    assert all(any(f"{one} from pip: " in note for note in notes) for one in from_pip)


ENVIRONMENT = """name: lab
channels: [pytorch, nvidia, conda-forge]
dependencies:
  - python=3.11
  - pytorch=2.3
  - pytorch-cuda=12.1
  - numpy=1.26.4=py311h64a7726_0
  - numpy >>1
  - pip: [einops, -e .]
variables: { DATA: /data }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of somebody, in git."""
    folder = tmp_path / "My Project"
    (folder / "htcondor").mkdir(parents=True)
    (folder / "environment.yml").write_text(ENVIRONMENT)
    (folder / "train.py").write_text("print('mine')\n")
    (folder / ".gitignore").write_text("runs/\n")
    (folder / "htcondor" / "train.sub").write_text("mine\n")
    git(folder, "init", "--quiet", "-b", "trunk")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "one")
    return folder


@pytest.mark.slow
def test_adopt_puts_the_scaffold_on_a_branch_and_changes_no_file(project: Path) -> None:
    (project / "train.py").write_text("print('not committed')\n")
    (project / "staged.txt").write_text("staged\n")
    git(project, "add", "staged.txt")
    (project / "ruff.toml").write_text("untracked\n")
    before = {
        p: p.read_bytes() for p in project.rglob("*") if p.is_file() and ".git/" not in str(p)
    }
    dry = scaffold("adopt", "--dry-run", "--json", cwd=project)
    assert git(project, "branch", "--show-current") == "trunk"
    ran = scaffold("adopt", "--json", cwd=project)
    assert (dry.code, ran.code) == (0, 0)
    assert {p: p.read_bytes() for p in before} == before
    assert git(project, "branch", "--show-current") == "pixi-scaffold-adopt"
    status = git(project, "status", "--porcelain").splitlines()
    assert sorted(line.split()[-1] for line in status) == ["ruff.toml", "staged.txt", "train.py"]
    added = git(project, "diff", "--name-status", "trunk", "HEAD").splitlines()
    assert added
    assert {line[0] for line in added} == {"A"}
    workspace = read_manifest(project / "pixi.toml")
    cuda = workspace.platforms[0]
    assert cuda.name == "linux-64-cuda"
    environment = workspace.environment("default")
    asked = {
        r.name: dict(r.fields).get("version") for r in workspace.requirements(environment, cuda)
    }
    assert asked == {
        "python": "3.11.*", "pytorch": ">=2.3", "numpy": "==1.26.4",
        "pytorch-gpu": "*", "cuda-version": "12.9.*",
    }  # fmt: skip
    assert [r.name for r in workspace.pypi(environment, cuda)] == ["einops"]
    assert workspace.activation(environment, cuda)[0] == {"DATA": "/data"}
    assert workspace.tasks(environment, cuda)["train"].command == "python main.py"
    document = ran.document
    assert document["files"] == dry.document["files"]
    assert document["kept"] == [".gitignore", "htcondor/train.sub"]
    assert {one.split(": ")[0] for one in document["left_out"]} == {
        "environment.yml:8",
        "environment.yml:9",
    }
    todo = "\n".join(document["by_hand"])
    assert ".gitignore: add .pixi/" in todo
    assert "main.py: put the training of train.py into its class Training" in todo
    again = scaffold("adopt", cwd=project)
    assert again.code == 2
    assert "follows a template already" in again.err


TEMPLATE = """\
[workspace]
name = "t"
channels = ["conda-forge"]
platforms = [
  { name = "linux-64-cuda", platform = "linux-64", cuda = "12.0" },
  { name = "linux-64-cpu", platform = "linux-64" },
  "osx-arm64",
]

[dependencies]
python = ">=3.11"

[target.linux-64-cuda.dependencies]
pytorch-gpu = "*"
cuda-version = "12.9.*"
"""
ALONE = """\
dependencies: [python=3.11, {pytorch}numpy, gxx_linux-64, libgcc-ng=11.2.0, cudnn, cuda-version=11.8, pip, {{pip: [
  einops, flash-attn>=2]}}]
"""


@pytest.mark.parametrize("pytorch", [True, False])
def test_what_is_built_for_linux_or_cuda_alone_is_asked_for_there(
    pytorch: bool, tmp_path: Path
) -> None:
    text = ALONE.format(pytorch="pytorch, " if pytorch else "")
    path = tmp_path / "environment.yml"
    wanted, notes = with_conda_forge(read_environment_file(text, path))
    adopted = adopted_manifest(TEMPLATE, wanted, ProjectShape(pytorch=pytorch))
    workspace = parse_manifest(adopted, tmp_path / "pixi.toml")
    environment = workspace.environment("default")
    everywhere = {"python", "numpy", "pip", "einops"} | ({"pytorch"} if pytorch else set())
    linux = {"gxx_linux-64", "libgcc-ng"}
    cuda = {"cudnn", "flash-attn"}
    expected = {
        "linux-64-cuda": everywhere | linux | cuda | {"pytorch-gpu", "cuda-version"},
        "linux-64-cpu": everywhere | linux | (set() if pytorch else cuda | {"cuda-version"}),
        "osx-arm64": everywhere,
    }
    if not pytorch:
        del expected["linux-64-cuda"]
    assert {
        p.name: {
            r.name
            for r in (*workspace.requirements(environment, p), *workspace.pypi(environment, p))
        }
        for p in workspace.platforms
    } == expected
    said = "\n".join(notes)
    assert "gxx_linux-64, libgcc-ng" in said
    assert ("cudnn, flash-attn: asked for on platforms with CUDA alone" in said) == pytorch
    assert ("cuda-version: left out" in said) == pytorch


def test_no_package_that_conda_forge_has_for_macos_is_taken_for_one_of_linux_alone() -> None:
    if not SLICE.is_dir():
        pytest.skip("the extract of conda-forge is not here")
    repodata = json.loads((SLICE / "osx-arm64" / "repodata.json").read_text())
    names = {r["name"] for r in (repodata["packages"] | repodata["packages.conda"]).values()}
    assert len(names) > 500
    assert [name for name in sorted(names) if target_of(name, pytorch=True)] == []


@pytest.mark.slow
@pytest.mark.usefixtures("conda_forge")
def test_what_was_for_pytorch_s_channel_is_locked_from_conda_forge(project: Path) -> None:
    """On real records of conda-forge, for every platform; the exact old versions are not there."""
    (project / "environment.yml").write_text(
        "channels: [pytorch, nvidia, defaults]\n"
        "dependencies: [python>=3.11, pytorch=2.3, pytorch-cuda=12.1, torchvision, numpy]\n"
    )
    ran = scaffold("adopt", cwd=project)
    assert "named platforms linux-64-cuda, linux-64-cpu, osx-arm64" in ran.out
    assert scaffold("lock", "--engine", "rattler", cwd=project).code == 0
    assert scaffold("check", "--only", "tasks", cwd=project).code == 0


def test_a_project_with_a_main_py_keeps_it_and_gets_none_of_the_template_s(project: Path) -> None:
    (project / "train.py").rename(project / "main.py")
    (project / "setup.cfg").write_text("[options]\ninstall_requires = numpy\n")
    ran = scaffold("adopt", "--json", cwd=project)
    assert ran.code == 0
    assert (project / "main.py").read_text() == "print('mine')\n"
    assert not [f for f in ran.document["files"] if f.endswith(".py")]
    todo = "\n".join(ran.document["by_hand"])
    assert "a task smoke" in todo
    assert "setup.cfg: not read" in todo
    assert "main.py: save and end with 85 on SIGTERM" in todo
    assert "check.yml runs tasks that are not there yet: smoke, test" in todo


def test_a_selector_is_a_comment_for_pixi_and_that_is_said(tmp_path: Path) -> None:
    """`pixi init --import` (0.77) reads YAML, in which `# [win]` is a comment."""
    text = "dependencies:\n- vc  # [win]\n- numpy # [not a selector]\n- gdb #[linux64]\n"
    wanted = read_environment_file(text.replace("#[", "# ["), tmp_path / "environment.yml")
    assert [r.name for r in wanted.conda] == ["vc", "numpy", "gdb"]
    assert [one.place for one in wanted.left_out] == ["environment.yml:2", "environment.yml:4"]
    assert "# [win]: a comment for Pixi: every platform gets it" in str(wanted.left_out[0])


def test_a_package_in_src_and_a_manifest_of_one_s_own(project: Path) -> None:
    (project / "src" / "lab").mkdir(parents=True)
    (project / "src" / "lab" / "__init__.py").touch()
    (project / "environment.yml").unlink()
    (project / "pixi.toml").write_text(
        '[workspace]\nname = "x"\nchannels = ["conda-forge"]\nplatforms = ["linux-64"]\n'
    )
    template = Path(__file__).parents[1] / "template" / ".gitignore"
    (project / ".gitignore").write_text(template.read_text())
    ran = scaffold("adopt", "--dry-run", "--json", cwd=project)
    assert ran.code == 0
    todo = "\n".join(ran.document["by_hand"])
    assert "src/lab: where main.py imports it" in todo
    assert "pixi.toml: yours is kept; the template's: " in todo
    assert "new NAME --no-check, elsewhere" in todo
    assert ".gitignore" not in todo
    assert ran.document["results"][0]["detail"] == "no list of packages"


@pytest.mark.slow
def test_a_project_without_pytorch_gets_no_platform_for_a_gpu(project: Path) -> None:
    (project / "environment.yml").unlink()
    (project / "requirements.txt").write_text("requests\n")
    assert scaffold("adopt", "--branch", "x", cwd=project).code == 0
    workspace = read_manifest(project / "pixi.toml")
    assert [p.name for p in workspace.platforms] == ["linux-64-cpu", "osx-arm64"]
    environment = workspace.environment("default")
    assert [r.name for r in workspace.requirements(environment, workspace.platforms[0])] == [
        "python"
    ]


def test_adopt_says_what_it_needs(project: Path, tmp_path: Path) -> None:
    git(project, "branch", "pixi-scaffold-adopt")
    for name in ("plain", "fresh", "empty"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.py").write_text("")
    (tmp_path / "empty" / "train.py").unlink()
    git(tmp_path / "fresh", "init", "--quiet")
    for args, cwd, words in (
        ((), project, "there is a branch pixi-scaffold-adopt already"),
        (("--branch", "a..b"), project, "is no name for a branch"),
        (("--from", "none.yml", "--branch", "x"), project, "there is no file none.yml"),
        (("nowhere",), project, "there is no folder nowhere"),
        ((), tmp_path / "plain", "is in no git repository"),
        ((), tmp_path / "fresh", "has no commit yet"),
        ((), tmp_path / "empty", "is empty"),
    ):
        ran = scaffold("adopt", *args, cwd=cwd)
        assert (ran.code, words in ran.err) == (2, True), ran
        assert "next: " in ran.err


@pytest.mark.parametrize(("name", "begun"), [("plain", False), ("fresh", True), ("empty", False)])
def test_what_adopt_says_to_type_first_works_from_elsewhere(
    name: str, begun: bool, tmp_path: Path
) -> None:
    """A shell says: git refuses a commit of nothing, and `git init` here would take the wrong folder."""
    (tmp_path / name).mkdir()
    if name != "empty":
        (tmp_path / name / "train.py").write_text("")
    if begun:
        git(tmp_path / name, "init", "--quiet")
    refused = scaffold("adopt", name, cwd=tmp_path)
    command = refused.err.partition("next: ")[2].strip().replace("new .", "new . --no-check")
    me = "git config user.name A && git config user.email a@example.org"
    command = command.replace("git add", f"{me} && git add")
    tool = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{tool}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", command], cwd=tmp_path, env=env, check=True, timeout=120)
    assert git(tmp_path / name, "log", "--format=%s").strip()
    assert not (tmp_path / ".git").exists()
    if name != "empty":
        assert scaffold("adopt", name, cwd=tmp_path).code == 0


@pytest.mark.parametrize("target", ["../elsewhere", "nowhere", "."])
def test_nothing_is_written_through_a_link(project: Path, target: str) -> None:
    """git refuses a path beyond a symbolic link; a file behind it belongs to somebody else."""
    (project.parent / "elsewhere").mkdir()
    (project / ".github").symlink_to(target)
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "-m", "Link")
    ran = scaffold("adopt", cwd=project)
    assert ran.code == 0, ran
    assert ".github/workflows/check.yml: yours is kept" in ran.out
    assert (project / ".github").readlink() == Path(target)
    assert not list((project.parent / "elsewhere").iterdir())


def test_a_file_that_appears_meanwhile_is_not_replaced(project: Path) -> None:
    files = {"a/new.txt": File(b"1"), "train.py": File(b"2")}
    with pytest.raises(ScaffoldError, match=r"train\.py was made by something else"):
        commit_on_branch(project, "x", files, "m")
    assert git(project, "branch", "--show-current") == "trunk"
    assert git(project, "branch", "--list", "x") == ""
    assert git(project, "status", "--porcelain") == ""
    assert (project / "train.py").read_text() == "print('mine')\n"
    assert not (project / "a").exists()


#: Shapes of files that real repositories have: what is asked of conda, of PyPI, and words of what is left out.
SHAPES: dict[str, tuple[dict[str, str], str, str, list[str]]] = {
    # pip.pypa.io, Constraints Files: they bind what is asked for, and ask for nothing
    "constraints": (
        {
            "requirements.txt": "-c constraints.txt\n--constraint=more.txt\nnumpy>=1.20\nscipy\ntorch\neinops",
            "constraints.txt": "numpy<2  # why\ntorch==2.1.0\npandas<3\n",
            "more.txt": 'scipy==1.11 ; python_version < "3.12"\neinops\n',
        },
        "pytorch>=2.1.0", "numpy>=1.20,<2 scipy einops",
        ["pandas<3: a constraint on what no line asks for", "a constraint on scipy with a marker"],
    ),
    # what `conda list --export` writes is often kept as requirements.txt
    "conda list": (
        {"requirements.txt": "# platform: linux-64\nnumpy=1.26.4=py311h64a7726_0\neinops=0.7.0=pypi_0\n"},
        "numpy==1.26.4", "einops==0.7.0", [],
    ),
    "included": (
        {
            "requirements.txt": "-rmore.txt\n-r nope.txt\n-r https://a.example/r.txt\npython>=3.9\n",
            "more.txt": "-r requirements.txt\npandas\n",
        },
        "python>=3.9", "pandas", ["there is no nope.txt here", "there is no https://a.example/r.txt here"],
    ),
    # packaging.python.org, Dependency specifiers: one holds everywhere, one for some
    "twice": (
        {"pyproject.toml": """[project]
dependencies = ["numpy>=1.26", "numpy<2 ; python_version < '3.10'"]"""},
        "", "numpy>=1.26", ["numpy<2"],
    ),
    # setuptools.pypa.io, Dynamic Metadata
    "setuptools": (
        {
            "pyproject.toml": """[project]
dynamic = ["dependencies", "optional-dependencies"]
requires-python = ">=3.10"
[tool.setuptools.dynamic]
dependencies = { file = ["requirements/core.txt"] }
optional-dependencies.dev = { file = ["requirements/dev.txt"] }""",
            "requirements/core.txt": "numpy>=1\n-e .\n",
        },
        "python>=3.10", "numpy>=1", ["optional-dependencies: dev", "core.txt:2: -e ."],
    ),
    # github.com/repo-helper/hatch-requirements-txt, hatch.pypa.io: Environments
    "hatch": (
        {
            "pyproject.toml": """[project]
dynamic = ["version", "dependencies"]
[tool.hatch.metadata.hooks.requirements_txt]
files = ["base.txt"]
[tool.hatch.envs.default]
dependencies = ["pytest"]
extra-dependencies = ["ipdb"]""",
            "base.txt": "numpy\n",
        },
        "", "numpy", ["default (pytest, ipdb)"],
    ),
    "computed": (
        {"pyproject.toml": '[project]\ndynamic = ["dependencies"]'},
        "", "", ["dynamic dependencies: computed while the package is built"],
    ),
    # flit.pypa.io, the older metadata section
    "flit": (
        {"pyproject.toml": """[tool.flit.metadata]
module = "x"
requires = ["requests >=2.6"]
requires-python = ">=3.8"
requires-extra.test = ["pytest"]"""},
        "python>=3.8", "requests>=2.6", ["test (pytest)"],
    ),
    "rye": (
        {"pyproject.toml": """[project]
dependencies = ["a"]
[tool.rye]
dev-dependencies = ["pytest"]
[[tool.rye.sources]]
name = "mine"
url = "https://a.example" """},
        "", "a", ["pytest: a group", "mine: an index"],
    ),
    # docs.astral.sh/uv, Settings and Dependencies
    "uv": (
        {"pyproject.toml": """[project]
dependencies = ["torch>=2.4", "My_Lib", "numpy"]
[dependency-groups]
dev = ["pytest", { include-group = "lint" }]
lint = ["ruff"]
[tool.uv]
constraint-dependencies = ["numpy<2", "scipy<1", "x @ git+https://a.example/x"]
override-dependencies = ["protobuf<4"]
no-build-isolation-package = ["flash-attn"]
extra-index-url = "https://a.example"
[tool.uv.sources]
my-lib = { workspace = true }
torch = [{ index = "pytorch-cu121", marker = "sys_platform == 'linux'" }]"""},
        "pytorch>=2.4", "numpy<2",
        ["dev (pytest), lint (ruff)", "My_Lib: by its workspace", "scipy<1: a constraint", "protobuf<4",
         "flash-attn", "https://a.example: an index", "x @ git+https://a.example/x: from git+"],
    ),
    # python-poetry.org, Dependency specification; pyproject.toml: beside [project] they only enrich
    "poetry": (
        {"pyproject.toml": """[tool.poetry.dependencies]
python = ">=3.8,<3.12"
a = ">=1.0 <2.0"
b = { version = "^1", platform = "linux" }
c = { version = "^1.0", allow-prereleases = true }
d = { version = ">= 1.2, < 2", extras = ["all"], optional = true }
e = "~= 1.4" """},
        "python>=3.8,<3.12", "a>=1.0,<2.0 b>=1,<2;sys_platform==\"linux\" c>=1.0,<2 e~=1.4",
        ["c: allow-prereleases", "d: optional"],
    ),
    "poetry 2": (
        {"pyproject.toml": """[project]
requires-python = ">=3.10"
dependencies = ["numpy (>=1.26,<2)", "lib"]
[tool.poetry.dependencies]
python = ">=3.10,<4"
numpy = { source = "mine" }
lib = { path = "../lib" }
[[tool.poetry.source]]
name = "mine"
url = "https://a.example" """},
        "python>=3.10", "numpy>=1.26,<2 lib", ["lib: by its path", "mine: an index"],
    ),
    "pdm": (
        {"pyproject.toml": """[project]
dependencies = ["a>=1", "b @ file:///${PROJECT_ROOT}/libs/b"]
[tool.pdm.dev-dependencies]
test = ["pytest", "-e file:///x"]
[tool.pdm.resolution.overrides]
numpy = ">=1" """},
        "", "a>=1", ["b @ file:", "test (pytest", "numpy: [pypi-options.dependency-overrides]"],
    ),
    "environment": (
        {
            "environment.yml": """name: null
dependencies:
  - python=3.10
  - nvidia/label/cuda-11.8.0::cuda-toolkit
  - pip:
    - -c constraints.txt
    - albumentations==0.4.3
    - -e .""",
            "constraints.txt": "albumentations<2\n",
        },
        "python=3.10.* cuda-toolkit", "albumentations==0.4.3,<2", ["-e .: an editable install"],
    ),
    # packaging.python.org, pyproject.toml specification: a version specifier, no version alone
    "version": (
        {"pyproject.toml": '[project]\ndependencies = ["a"]\nrequires-python = "3.11"'},
        "", "a", ["python 3.11: no requirement"],
    ),
    "variables": (
        {"environment.yml": """name: 2024
dependencies: [python]
variables:
  SEED: 1
  LIST: [1, 2]"""},
        "python", "", ["LIST: not a single value"],
    ),
    "no variables": (
        {"environment.yml": "dependencies: [python]\nvariables: [SEED]"},
        "python", "", ["variables: not names with a value each"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_files_of_real_projects_are_read(name: str, tmp_path: Path) -> None:
    """As the named documentation of each tool has it; nothing is dropped without a word."""
    files, conda, pypi, words = SHAPES[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    wanted, _, _ = _wanted(tmp_path, ())
    versions = {r.name: dict(r.fields).get("version", "") for r in wanted.conda}
    assert " ".join(n + (v if v[:1] in "<>=!" else f"={v}") for n, v in versions.items()) == conda
    assert " ".join(str(r).replace(" ", "") for r in wanted.pypi) == pypi
    left = [str(one) for one in wanted.left_out]
    for word in words:
        assert [one for one in left if word in one], (word, left)
    assert len(left) == len(words), left
    manifest(wanted, "x")  # no package stands there twice


@pytest.mark.parametrize(
    ("name", "expected"),
    [("2024", "2024"), ("'2024'", "2024"), ("lab", "lab"), ("null", ""), ("", "")],
)
def test_the_name_of_an_environment_is_taken_as_it_is_written(
    tmp_path: Path, name: str, expected: str
) -> None:
    """A number names an environment of conda, too; null is none (YAML 1.1)."""
    (tmp_path / "environment.yml").write_text(f"name: {name}\ndependencies: [python]\n")
    wanted, _, _ = _wanted(tmp_path, ())
    assert wanted.name == expected


@pytest.mark.slow
def test_a_workspace_in_pyproject_is_kept(project: Path) -> None:
    """A pixi.toml beside it would hide its [tool.pixi] (crates/pixi_core, discovery)."""
    own = '[project]\nname = "x"\n[tool.pixi.workspace]\nchannels = ["conda-forge"]\nplatforms = ["linux-64"]\n'
    (project / "pyproject.toml").write_text(own)
    done = scaffold("adopt", cwd=project)
    assert done.code == 0
    assert not (project / "pixi.toml").exists()
    assert "[tool.pixi] of pyproject.toml: yours is kept" in " ".join(done.out.split())


DAMAGED = {
    "a list as a key": ("environment.yml", "name: e\n? [a]\n: b\n", ":2: a list or a table"),
    "a table as a variable": ("environment.yml", "variables:\n  ? {a: b}\n  : c\n", ":2: a list"),
    "a key beside pip": ("environment.yml", "dependencies:\n- ? [a]\n  : [b]\n", ":2: a list"),
    "a tower of lists": ("environment.yml", "[" * 2000, "cannot be read"),
    "a tower of arrays": ("pyproject.toml", "a = " + "[" * 2000, "cannot be read"),
    "a number as name": ("pyproject.toml", "[project]\ndependencies = [1]\n", "a list of texts"),
    "text for a table": ("pyproject.toml", "project = 'x'\n", "no table stands above"),
    "a date as list": ("pyproject.toml", "[project]\ndynamic = 2024-01-01\n", "project.dynamic"),
    "a list of sources": ("pyproject.toml", "[tool.uv]\nsources = [1]\n", "tool.uv.sources"),
    "a NUL": ("requirements.txt", "numpy\n-r a\0b\n", "NUL"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    """Pixi, pip and uv refuse these, too; a key of YAML may be a list, one of a file's may not."""
    file, text, words = DAMAGED[name]
    (tmp_path / file).write_text(text)
    with pytest.raises(ScaffoldError) as refused:
        _wanted(tmp_path, ())
    assert file in refused.value.message
    assert words in refused.value.message
    assert refused.value.hint


def test_one_name_may_stand_for_a_list_and_a_table_of_none_is_left_out(tmp_path: Path) -> None:
    text = "channels: bioconda\ndependencies:\n- pip: einops\n- pip: [{a: b}]\n- pip:\n- [x]\n"
    wanted = read_environment_file(text, tmp_path / "environment.yml")
    assert (wanted.channels, [r.name for r in wanted.pypi]) == (("bioconda",), ["einops"])
    assert [str(one) for one in wanted.left_out] == [
        "environment.yml:4: a list or a table: a name is wanted there",
        "environment.yml:6: a list: neither a package nor pip",
    ]


PIECES = (
    *(
        "? [a]",
        "- [a, b]",
        "{a: b}",
        "~",
        "&a [*a]",
        "*a",
        "<<: *a",
        "!x y",
        "\0",
        "\ufeff",
        "|",
        "'",
    ),
    *(
        '"',
        "#",
        "[",
        "]",
        "{",
        "}",
        ":",
        "\t",
        "==",
        "=",
        "[[1]]",
        "3",
        "2024-01-01",
        "-r .",
        "-r ..",
    ),
    *("-r /dev/null", "-c requirements.txt", "@", "===", "~=", "^", "^1.2.x || 3", "numpy[", "a;b"),
    *(
        "a ; python_version",
        "::",
        "a::b::c",
        "dependencies",
        "- pip:",
        "\n",
        "\n  - ",
        "\\\n",
        "''",
    ),
)
WHOLE = {
    "environment.yml": (
        "name: lab\nchannels: [conda-forge, defaults]\ndependencies:\n  - python=3.10\n"
        "  - pytorch::pytorch==2.3.0\n  - pip:\n    - requests[socks]>=2 ; python_version < '3.12'\n"
        "    - -r requirements.txt\nvariables: {A: b, C: 1}\nprefix: /home/x\n"
    ),
    "requirements.txt": (
        "numpy==1.2\n-r base.txt\n-c base.txt\ntorch==2.0+cu118 --hash=sha256:00\n-e .\n"
        "git+https://x/y@z\nfoo[bar,baz]~=1.0 ; sys_platform=='linux'\n_libgcc_mutex=0.1=main\n"
    ),
    "pyproject.toml": (
        "[project]\nname = 'lab'\nrequires-python = '>=3.9'\ndependencies = ['numpy>=1', 'torch']\n"
        "dynamic = ['version']\n[dependency-groups]\ntest = ['pytest', {include-group = 'x'}]\n"
        "[tool.uv.sources]\nlib = [{git = 'x'}, {path = 'z'}]\n[tool.poetry.dependencies]\n"
        "python = '^3.9'\ntorch = {version = '2.0', extras = ['a'], markers = 'os_name==1'}\n"
        "[[tool.poetry.source]]\nname = 'p'\n[tool.setuptools.dynamic]\ndependencies = {file = 'x'}\n"
    ),
}


@pytest.mark.parametrize("seed", range(12))
def test_no_damage_to_a_list_of_packages_gives_a_traceback(seed: int, tmp_path: Path) -> None:
    """Words put in, taken out and said twice at random places: read, or refused by name."""
    rng, refused = random.Random(seed), []
    for number in range(25):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in (rng.choice(list(WHOLE)), "requirements.txt"):
            text = WHOLE[name]
            for _ in range(rng.randint(1, 4)):
                at, end = sorted(rng.choices(range(len(text) + 1), k=2))
                more = rng.choice([*PIECES, text[at:end]])
                text = text[:at] + more + text[at + rng.choice((0, 0, 1, 5)) :]
            (folder / name).write_text(text)
        try:
            wanted, _, _ = _wanted(folder, ())
            [str(one) for one in wanted.left_out]
            adopted_manifest(TEMPLATE, wanted, ProjectShape(pytorch=True))
        except ScaffoldError as error:
            refused.append(error.hint)
    assert all(refused)
    assert len(refused) < 25
