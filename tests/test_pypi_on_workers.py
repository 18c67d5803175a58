"""Packages from PyPI in the deliveries that install with Pixi: the worker script that fetches it, and
what the images are made of.

Neither Pixi nor a builder of images can be had here. PIXI stands in for the binary: it installs what
the lock names, with this project's own installer, where Pixi would. A folder stands in for the image's
/app. So this shows that what each delivery sends along is enough to install from, and that the job then
finds the packages; what Pixi itself does with the lock is not shown.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pixi_scaffold.lock.rattler import RattlerEngine
from pixi_scaffold.report import Silent
from pixi_scaffold.starter.channel import Starter
from pixi_scaffold.template import Template, render
from pixi_scaffold.workspace import parse_manifest
from tests.support.index import index, make_wheel
from tests.support.paths import REPOSITORY
from tests.support.server import serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers run Linux"),
]

PIXI = f"""#!{sys.executable}
import sys
from pathlib import Path
sys.path.insert(0, {str(REPOSITORY / "src")!r})
from pixi_scaffold.environment import host_platform, install
from pixi_scaffold.lock import read_lock, unsatisfied
from pixi_scaffold.report import Silent
from pixi_scaffold.workspace import read_manifest
if sys.argv[1:] == ["--version"]:
    print("pixi stand-in")
elif sys.argv[1:] == ["install", "--frozen"]:
    workspace, lock = read_manifest(Path("pixi.toml").absolute()), read_lock(Path("pixi.lock"))
    platform = host_platform(workspace, "default", lock)
    install(lock, "default", platform, Path(".pixi/envs/default").absolute(), Silent())
else:
    sys.exit(f"pixi stand-in: unknown command: {{sys.argv[1:]}}")
"""
MAIN = "import sys, plain, wanting\nprint('imported', plain.__version__, wanting.__version__, sys.prefix)\n"
IMPORTED = "imported 2.0 1.5 "


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An index of two small wheels, one of which needs the other."""
    folder = tmp_path_factory.mktemp("wheels")
    made = [make_wheel(folder, "plain", "2.0"), make_wheel(folder, "wanting", "1.5", ["plain>=2"])]
    with index(made) as running:
        yield running.url


def project(folder: Path, template: Path, starter: Starter, wheels: str, delivery: str) -> Path:
    """A project with that delivery whose program needs PyPI packages only, locked for this machine."""
    render(Template(str(template)), folder, {"delivery": delivery}, ask=False)
    text = (
        f'[workspace]\nname = "p"\nchannels = ["conda-forge"]\nplatforms = ["{starter.subdir}"]\n'
        f'[dependencies]\npython = "*"\n[pypi-options]\nindex-url = "{wheels}"\n'
        '[pypi-dependencies]\nwanting = "*"\n'
    )
    (folder / "pixi.toml").write_text(text)
    (folder / "main.py").write_text(MAIN)
    workspace = parse_manifest(text, folder / "pixi.toml")
    RattlerEngine().lock(workspace, workspace.lock_file, Silent(), channels=[starter.url])
    return folder


def stand_in(folder: Path) -> Path:
    folder.mkdir()
    (folder / "pixi").write_text(PIXI)
    (folder / "pixi").chmod(0o755)
    return folder / "pixi"


def run_job(script: Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a worker script as HTCondor starts it: in a folder of its own, with little around it."""
    shutil.copy(script, folder / "condor_exec.exe")
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "_CONDOR_SCRATCH_DIR": str(folder)}
    env |= {"PIXI_SCAFFOLD_RETRY_SECONDS": "0", **environment}
    return subprocess.run(
        ["./condor_exec.exe"], cwd=folder, env=env, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_a_worker_that_fetches_pixi_has_the_wheels(
    template: Path, starter: Starter, wheels: str, tmp_path: Path
) -> None:
    made = project(tmp_path / "p", template, starter, wheels, "bootstrap")
    description = (made / "htcondor/train.sub").read_text()
    sent = re.findall(r"(?m)^transfer_input_files *= *(.*)$", description)[0].split(", ")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    for name in sent:
        shutil.copy(made / name, scratch)
    release = tmp_path / "release"
    pixi = stand_in(release)
    with tarfile.open(release / "pixi.tar.gz", "w:gz") as archive:
        archive.add(pixi, "pixi")
    digest = hashlib.sha256((release / "pixi.tar.gz").read_bytes()).hexdigest()
    script = made / "htcondor/bootstrap.sh"
    text = re.sub(r"(?m)^pixi_sha256=.*$", f"pixi_sha256={digest}", script.read_text())
    script.write_text(text)
    with serve(release) as url:
        done = run_job(script, scratch, PIXI_SCAFFOLD_PIXI_URL=f"{url}/pixi.tar.gz")
    assert done.returncode == 0, done.stdout
    assert f"{IMPORTED}{scratch / '.pixi/envs/default'}" in done.stdout


def recipe_of_apptainer(made: Path) -> tuple[list[str], str, str]:
    """The files that go into the image, the commands that make it, and what moves to its last stage."""
    [definition] = (made / "htcondor").glob("*.def")
    first, second = re.split(r"(?m)^Stage: final$", definition.read_text())
    sections = dict(re.findall(r"(?ms)^%(\w+)[^\n]*\n(.*?)(?=^\S|\Z)", first))
    pairs = [line.split() for line in sections["files"].strip().splitlines()]
    assert all(target == f"/app/{source}" for source, target in pairs)
    moved = re.findall(r"(?m)^ +(/app/\S+) (/app/\S+)$", second)
    return [source for source, _ in pairs], sections["post"], moved[0][0]


def recipe_of_docker(made: Path) -> tuple[list[str], str, str]:
    text = (made / "htcondor/Dockerfile").read_text()
    [copied] = re.findall(r"(?m)^COPY (?!--from)(.+) \./$", text)
    [command] = re.findall(r"(?m)^RUN (.*)$", text)
    [(moved, _)] = re.findall(r"(?m)^COPY --from=build (\S+) (\S+)$", text)
    return copied.split(), f"cd {re.findall('(?m)^WORKDIR (.*)$', text)[0]}\n{command}", moved


@pytest.mark.parametrize("recipe", [recipe_of_apptainer, recipe_of_docker])
def test_an_image_has_the_wheels(
    template: Path,
    starter: Starter,
    wheels: str,
    tmp_path: Path,
    recipe: Callable[[Path], tuple[list[str], str, str]],
) -> None:
    made = project(tmp_path / "p", template, starter, wheels, "container")
    copied, commands, moved = recipe(made)
    app, pixi = tmp_path / "app", stand_in(tmp_path / "bin")
    app.mkdir()
    for name in copied:
        shutil.copy(made / name, app)
    env = {"PATH": f"{pixi.parent}:/usr/bin:/bin", "HOME": str(tmp_path / "home")}
    done = subprocess.run(
        ["sh", "-ec", commands.replace("/app", str(app))],
        env=env, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    for path in app.iterdir():  # the last stage has the environment, and nothing else of the first
        if path.name != ".pixi":
            path.unlink()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    shutil.copy(made / "main.py", scratch)
    prefix = moved.replace("/app", str(app))
    ran = run_job(made / "htcondor/run.sh", scratch, PIXI_SCAFFOLD_ENV=prefix)
    assert ran.returncode == 0, ran.stdout
    assert f"{IMPORTED}{prefix}" in ran.stdout
