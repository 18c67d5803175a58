"""Fixtures: a user without configuration, conda-forge near or far, a tagged template."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from pixi_scaffold.report import Silent
from pixi_scaffold.starter import build_channel
from pixi_scaffold.starter.channel import Starter
from tests.support.command import command_forks, scaffold, started_by
from tests.support.forks import Forks
from tests.support.paths import SLICE, copy_template
from tests.support.server import closed, serve
from tests.support.share import shared

if TYPE_CHECKING:
    from tests.support.history import History

# A user's Python keeps its bytecode. Without it each command would compile its sources again, and each
# training those of PyTorch: seconds that nobody pays, and files that a test would never see.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.pop("PYTHONUNBUFFERED", None)  # nor does it write line by line into a file or a pipe

# Trainings run side by side: threads that spin while they wait for each other take the cores from the others.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# `make test &` starts with SIGINT ignored, nohup with SIGHUP, and children inherit that; a handler
# of ours is not inherited: they start with signals at their defaults, as from a terminal.
for _signal, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, lambda *_: None),
):
    if signal.getsignal(_signal) == signal.SIG_IGN:
        signal.signal(_signal, _handler)

# A commit gets one answer; to look at new examples: pytest --hypothesis-profile new
# Neither a limit on the time of an example nor a check of how fast they are made: machines are busy.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("new", _UNTIMED)
settings.register_profile("same", _UNTIMED, derandomize=True)
settings.load_profile("same")

CONDA_FORGE = "https://conda.anaconda.org/conda-forge"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal the long tests out, so that no process is left alone with one at the end.

    Of xdist's worksteal each process gets one part of the list, and begins at its head.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes == 1:
        return
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    total, items[:] = len(items), []
    for process in range(processes):
        end = len(items) + (total - len(items)) // (processes - process)
        items += long[process::processes]
        here = max(0, end - len(items))
        items += others[:here]
        del others[:here]
    items += others


@pytest.fixture(autouse=True, scope="session")
def git_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No sample hooks in new repositories: Copier looks at every file of a template, those too."""
    folder = tmp_path_factory.mktemp("git-template")
    for name in ("hooks", "info"):
        (folder / name).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_TEMPLATE_DIR", str(folder))
        yield


@pytest.fixture(scope="session")
def command_process(git_template: None) -> Iterator[Forks]:
    """The process of which the commands of most tests are forks; the first of them starts it."""
    with command_forks() as forks:
        yield forks


@pytest.fixture(autouse=True)
def commands(request: pytest.FixtureRequest, command_process: Forks) -> Iterator[None]:
    """How `scaffold` starts commands: as a user does where a test is long anyway, or the real path."""
    if any(map(request.node.get_closest_marker, ("long", "real_path"))):
        yield
        return
    with started_by(command_process):
        yield


@pytest.fixture(autouse=True)
def user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who never configured Pixi or git; caches stay the real ones."""
    home = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("PIXI_HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.delenv("PIXI_SCAFFOLD_TEMPLATE", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return home


@pytest.fixture
def mirror(user: Path) -> Callable[[str], None]:
    """Say where conda-forge is to be found, in the file that Pixi reads."""

    def set_mirror(url: str) -> None:
        (user / "config.toml").write_text(f'[mirrors]\n"{CONDA_FORGE}" = ["{url}"]\n')

    return set_mirror


@pytest.fixture
def offline(mirror: Callable[[str], None]) -> None:
    """conda-forge does not answer."""
    mirror(closed())


@pytest.fixture(scope="session")
def slice_url() -> Iterator[str]:
    """Real records of conda-forge, served on loopback."""
    if not SLICE.is_dir():
        pytest.skip("the extract of conda-forge (../shared/conda-forge-slice) is not here")
    with serve(SLICE) as url:
        yield url


@pytest.fixture
def conda_forge(
    slice_url: str, mirror: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """conda-forge answers, with a cold repodata cache."""
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "rattler-cache"))
    mirror(slice_url)


@pytest.fixture(scope="session")
def starter() -> Starter:
    """The starter channel of this interpreter, built once and kept in the user's cache."""
    return build_channel(Silent())


def git(folder: Path, *args: str) -> str:
    """Run git in `folder` and return what it prints."""
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it is in the working tree, in a git repository with the tag v1.0.0."""
    folder = tmp_path_factory.mktemp("template") / "pixi-template"
    copy_template(folder)
    git(folder, "init", "--quiet", "-b", "main")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "-m", "one")
    git(folder, "tag", "v1.0.0")
    return folder


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """The template with a tag for each earlier state in this repository's history."""
    from tests.support.history import make_history

    return make_history(tmp_path_factory.mktemp("history") / "template")


@pytest.fixture(scope="session")
def project_environment(
    template: Path, starter: Starter, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The `dev` environment of the default project, locked and installed from the starter channel."""
    from pixi_scaffold.environment.install import host_platform, install
    from pixi_scaffold.lock import read_lock
    from pixi_scaffold.workspace import read_manifest

    def make(folder: Path) -> None:
        lock = read_lock(lock_on(starter, template, folder))
        platform = host_platform(read_manifest(folder / "pixi.toml"), "dev", lock)
        install(lock, "dev", platform, folder / "env", Silent())

    return shared(tmp_path_factory, "project", make) / "env"


def lock_on(starter: Starter, template: Path, folder: Path, **answers: str) -> Path:
    """Render a project and lock it on the starter channel; return the lock, which is beside it."""
    from pixi_scaffold.lock.rattler import RattlerEngine
    from pixi_scaffold.template import Template, render
    from pixi_scaffold.workspace import read_manifest

    render(Template(str(template)), folder, answers, ask=False)
    path = folder / "starter.lock"
    workspace = read_manifest(folder / "pixi.toml")
    RattlerEngine().lock(workspace, path, Silent(), channels=[starter.url])
    return path


@pytest.fixture(scope="session")
def packed(template: Path, starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the delivery `pack`, starter.lock and the env.tar.gz made of it: for reading.

    Skips beside PyTorch's CUDA build: it has 6 GB, and packing it takes minutes.
    """
    if any((starter.folder / starter.subdir).glob("nvidia-*.conda")):
        pytest.skip("the starter channel has PyTorch's CUDA build: too large to pack in a test")

    def make(folder: Path) -> None:
        lock_on(starter, template, folder, delivery="pack")
        argv = ("pack", "--lock", "starter.lock", "--platform", "linux-64-cpu")
        assert scaffold(*argv, cwd=folder).code == 0

    return shared(tmp_path_factory, "packed", make)
