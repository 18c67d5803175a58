"""Locking with the real solver, on real records of conda-forge and on the starter channel."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rattler.lock import LockFile

from pixi_scaffold.errors import LockError, ManifestError, UnsupportedError, UsageError
from pixi_scaffold.lock import Lock, choose, read_lock, unsatisfied
from pixi_scaffold.lock.engine import EVERYTHING
from pixi_scaffold.lock.file import FORMAT, lock_format
from pixi_scaffold.lock.rattler import RattlerEngine, Solving, old_lock
from pixi_scaffold.lock.solve import problems
from pixi_scaffold.report import Silent
from pixi_scaffold.starter.channel import Starter
from pixi_scaffold.template import Template, render
from pixi_scaffold.workspace import Workspace
from pixi_scaffold.workspace.manifest import parse_manifest
from tests.support.paths import LOCKS
from tests.support.server import closed

CONDA_FORGE = "https://conda.anaconda.org/conda-forge/"
SMALL = """
[workspace]
channels = ["conda-forge"]
platforms = ["linux-64"]
[dependencies]
tqdm = "*"
"""


def lock(workspace: Workspace, **options: object) -> Lock:
    RattlerEngine().lock(workspace, workspace.lock_file, Silent(), **options)  # type: ignore[arg-type]
    return read_lock(workspace.lock_file)


def workspace_of(text: str, folder: Path) -> Workspace:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pixi.toml").write_text(text)
    return parse_manifest(text, folder / "pixi.toml")


def versions(lock: Lock, workspace: Workspace, platform: str, environment: str = "default") -> dict:
    [chosen] = [p for p in workspace.platforms if p.name == platform]
    records = lock.records(environment, chosen)
    assert records is not None
    return {r.name.normalized: f"{r.version} {r.build}" for r in records}


@pytest.fixture
def default_project(template: Path, tmp_path: Path) -> Workspace:
    folder = tmp_path / "myproject"
    render(Template(str(template)), folder, {}, ask=False)
    return parse_manifest((folder / "pixi.toml").read_text(), folder / "pixi.toml")


@pytest.mark.usefixtures("conda_forge")
def test_the_default_project_locks_for_all_three_platforms(default_project: Workspace) -> None:
    found = lock(default_project)
    cuda = versions(found, default_project, "linux-64-cuda")
    cpu = versions(found, default_project, "linux-64-cpu")
    mac = versions(found, default_project, "osx-arm64")
    assert "cuda129" in cuda["pytorch"]
    assert cuda["cuda-version"].startswith("12.9 ")
    assert "pytorch-gpu" in cuda
    for other in (cpu, mac):
        assert "cpu" in other["pytorch"]
        assert not any("cuda" in f"{k} {v}" for k, v in other.items())
    for name, environment in found.environments.items():
        assert environment.channels == (CONDA_FORGE,)
        for _, _, packages in found.rows(name):
            assert all(p.url.startswith(CONDA_FORGE) for p in packages)
            assert all(p.fields["sha256"] for p in packages)
    assert unsatisfied(default_project, found) == []


@pytest.mark.usefixtures("conda_forge")
@pytest.mark.parametrize("answer", ["12.9", "13.0", "12.9 and 13.0"])
def test_every_cuda_answer_solves(template: Path, tmp_path: Path, answer: str) -> None:
    folder = tmp_path / "myproject"
    render(Template(str(template)), folder, {"cuda_version": answer}, ask=False)
    text = (folder / "pixi.toml").read_text()
    assert 'pytorch-gpu = "*"' in text
    # The extract has no pytorch-gpu for CUDA 13, and parts of 13.2 and 13.3 only: the answer's
    # own pin cannot be solved here, so the major version stands for it.
    stands_for = 'pytorch = { version = "*", build = "cuda*" }\ncuda-version = "13.*"'
    text = text.replace('pytorch-gpu = "*"\ncuda-version = "13.0.*"', stands_for)
    workspace = parse_manifest(text, folder / "pixi.toml")
    found = lock(workspace)
    both = answer == "12.9 and 13.0"
    for cuda in answer.split(" and "):
        name = f"linux-64-cuda{cuda[:2]}" if both else "linux-64-cuda"
        chosen = versions(found, workspace, name)
        assert chosen["cuda-version"].startswith("13." if cuda == "13.0" else f"{cuda} ")
        assert chosen["pytorch"].split()[1].startswith(f"cuda{cuda[:2]}")
        [platform] = [p for p in workspace.platforms if p.name == name]
        assert [str(v) for v in platform.declared] == [f"__cuda={cuda[:2]}.0"]


@pytest.mark.usefixtures("conda_forge")
def test_the_lock_is_written_as_pixi_accepts_it(default_project: Workspace) -> None:
    lock(default_project)
    document = yaml.safe_load(default_project.lock_file.read_text())
    assert document["version"] == FORMAT == 7
    assert "options" not in document["environments"]["default"]
    platforms = {p["name"]: p for p in document["platforms"]}
    base = ["__unix=0=0", "__linux=4.18", "__glibc=2.28", "__archspec=0=x86_64"]
    assert platforms["p1"]["virtual-packages"] == ["__cuda=12.0", *base]
    assert platforms["p1"]["subdir"] == "linux-64"
    assert platforms["p2"]["virtual-packages"] == base
    assert platforms["osx-arm64"]["virtual-packages"] == [
        "__unix=0=0", "__osx=13.0", "__archspec=0=m1",
    ]  # fmt: skip
    assert set(document["environments"]) == {e.name for e in default_project.environments}


@pytest.mark.usefixtures("conda_forge")
def test_versions_are_kept_unless_an_upgrade_is_asked(tmp_path: Path) -> None:
    old = workspace_of(SMALL.replace('"*"', '"<4.67"'), tmp_path)
    before = versions(lock(old), old, "linux-64")["tqdm"]
    assert before.startswith("4.66")
    new = workspace_of(SMALL, tmp_path)
    assert versions(lock(new), new, "linux-64")["tqdm"] == before
    assert not versions(lock(new, upgrade=frozenset({EVERYTHING})), new, "linux-64")[
        "tqdm"
    ].startswith("4.66")


@pytest.mark.usefixtures("conda_forge")
def test_locking_twice_changes_nothing(default_project: Workspace) -> None:
    engine, path = RattlerEngine(), default_project.lock_file
    assert engine.lock(default_project, path, Silent()).changed
    first = path.read_bytes()
    assert not engine.lock(default_project, path, Silent()).changed
    assert path.read_bytes() == first


@pytest.mark.usefixtures("conda_forge")
def test_a_failed_solve_names_platform_and_requirement_and_keeps_the_lock(
    default_project: Workspace,
) -> None:
    lock(default_project)
    before = default_project.lock_file.read_bytes()
    text = default_project.manifest.read_text()
    for old, new, words in (
        ('numpy = "*"', 'numpy = ">=99"', ("linux-64-cpu", "osx-arm64", "numpy >=99")),
        ('cuda = "12.0"', 'cuda = "11.0"', ("linux-64-cuda", "__cuda")),
    ):
        broken = parse_manifest(text.replace(old, new), default_project.manifest)
        with pytest.raises(LockError) as caught:
            lock(broken)
        for word in words:
            assert word in caught.value.message
        assert "pixi.toml" in caught.value.hint
        assert default_project.lock_file.read_bytes() == before
        assert os.listdir(default_project.root).count("pixi.lock") == 1
        assert not list(default_project.root.glob(".pixi-scaffold-*"))


@pytest.mark.usefixtures("conda_forge")
def test_pytorch_gpu_without_a_driver_must_not_solve(tmp_path: Path) -> None:
    text = SMALL.replace("tqdm", "pytorch-gpu")
    with pytest.raises(LockError, match="__cuda"):
        lock(workspace_of(text, tmp_path))


@pytest.mark.usefixtures("conda_forge")
def test_solve_groups_and_features(tmp_path: Path) -> None:
    workspace = workspace_of(
        SMALL
        + """
[constraints]
python = "<3.13"
numpy = "<2"
[feature.test.dependencies]
pytest = "*"
python = ">=3.11"
[environments]
default = { solve-group = "all" }
test = { features = ["test"], solve-group = "all" }
""",
        tmp_path,
    )
    found = lock(workspace)
    plain = versions(found, workspace, "linux-64")
    test = versions(found, workspace, "linux-64", "test")
    assert "pytest" in test
    assert "pytest" not in plain
    assert {k: v for k, v in test.items() if k in plain} == plain
    assert test["python"].startswith(("3.11.", "3.12."))
    assert "numpy" not in test  # a constraint brings nothing in
    assert unsatisfied(workspace, found) == []


@pytest.mark.usefixtures("conda_forge")
@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('tqdm = "*"', 'tqdm = ">=99"', "tqdm >=99"),
        ('tqdm = "*"', 'tqdm = "*"\nnumpy = "*"', "numpy, which is not locked"),
        ('tqdm = "*"', 'colorama = "*"', "nothing asks for it"),
        (
            '["conda-forge"]',
            '["bioconda"]',
            "the manifest says https://conda.anaconda.org/bioconda",
        ),
        ('["conda-forge"]', '["conda-forge", "bioconda"]', "bioconda"),
        ('["linux-64"]', '["linux-64", "osx-arm64"]', "default on osx-arm64: not locked"),
        ('["linux-64"]', '["osx-arm64"]', "linux-64 is locked, but not one of its platforms"),
        (
            '["linux-64"]',
            '[{ name = "gpu", platform = "linux-64", cuda = "12.0" }]',
            "default on gpu: not locked",
        ),
        ("[dependencies]", "[environments]\nmore = []\n[dependencies]", "more is not locked"),
        ("[dependencies]", '[constraints]\ntqdm = "<4"\n[dependencies]', "allows only"),
    ],
)
def test_what_makes_a_lock_stale(tmp_path: Path, old: str, new: str, problem: str) -> None:
    current = workspace_of(SMALL, tmp_path)
    found = lock(current)
    assert unsatisfied(current, found) == []
    changed = workspace_of(SMALL.replace(old, new), tmp_path)
    assert any(problem in line for line in unsatisfied(changed, found)), unsatisfied(changed, found)


@pytest.mark.usefixtures("conda_forge")
def test_an_environment_too_many_makes_a_lock_stale(tmp_path: Path) -> None:
    more = workspace_of(SMALL + "[environments]\nmore = []\n", tmp_path)
    found = lock(more)
    fewer = workspace_of(SMALL, tmp_path)
    assert unsatisfied(fewer, found) == ["environment more is locked, but not in the manifest"]


@pytest.mark.usefixtures("conda_forge")
@pytest.mark.parametrize(
    "text",
    [
        SMALL.replace("[dep", "[target.linux.dep").replace('64"]', '64", "osx-arm64"]'),
        SMALL.replace("[dep", "[feature.f.dep") + "[environments]\nf = ['f']\n",
        SMALL + "[environments]\nempty = { no-default-feature = true, features = [] }\n",
    ],
    ids=["one platform", "one feature", "empty environment"],
)
def test_where_nothing_is_required_nothing_is_missing(tmp_path: Path, text: str) -> None:
    workspace = workspace_of(text, tmp_path)
    assert unsatisfied(workspace, lock(workspace)) == []


@pytest.mark.usefixtures("conda_forge")
def test_the_last_dependency_can_go(tmp_path: Path) -> None:
    lock(workspace_of(SMALL, tmp_path))
    empty = workspace_of(SMALL.replace('tqdm = "*"', ""), tmp_path)
    found = lock(empty)
    assert len(found.layout.blocks) == 0
    assert unsatisfied(empty, found) == []


@pytest.mark.usefixtures("conda_forge")
def test_the_channel_of_a_spec_is_not_compared(tmp_path: Path) -> None:
    """As Pixi: it matters to a solve, and a lock stays current (rattler, MatchSpec::matches)."""
    found = lock(workspace_of(SMALL, tmp_path))
    spec = '{ version = "*", channel = "bioconda" }'
    changed = workspace_of(SMALL.replace('"*"', spec), tmp_path)
    assert unsatisfied(changed, found) == []
    changed.lock_file.unlink()
    with pytest.raises(LockError, match="default on linux-64"):
        lock(changed)


@pytest.mark.parametrize("value", ["abc!", ""])
def test_a_virtual_package_without_a_version_is_named(tmp_path: Path, value: str) -> None:
    entry = f'{{ name = "gpu", platform = "linux-64", cuda = "{value}" }}'
    with pytest.raises(ManifestError, match="platforms.cuda: .* is not a version"):
        lock(workspace_of(SMALL.replace('"linux-64"', entry), tmp_path))


@pytest.mark.usefixtures("conda_forge")
def test_a_lock_that_pixi_solved_otherwise_is_stale(tmp_path: Path) -> None:
    workspace = workspace_of(SMALL, tmp_path)
    lock(workspace)
    text = workspace.lock_file.read_text()
    head = "    channels:\n"
    for extra, words in (
        ("    options:\n      channel-priority: disabled\n", "channel-priority disabled"),
        ("    options:\n      strategy: lowest-version\n", "strategy lowest-version"),
    ):
        workspace.lock_file.write_text(text.replace(head, extra + head, 1))
        found = unsatisfied(workspace, read_lock(workspace.lock_file))
        assert any(words in line for line in found), found


@pytest.mark.usefixtures("conda_forge")
def test_packages_of_a_channel_that_is_gone_are_not_kept(tmp_path: Path, slice_url: str) -> None:
    lock(workspace_of(SMALL, tmp_path))
    moved = workspace_of(SMALL.replace("conda-forge", slice_url), tmp_path)
    found = lock(moved)
    [(_, _, packages)] = found.rows("default")
    assert packages
    assert all(p.url.startswith(slice_url) for p in packages)
    assert unsatisfied(moved, found) == []


@pytest.mark.usefixtures("conda_forge")
def test_a_symbolic_link_stays_and_a_newer_lock_is_not_overwritten(tmp_path: Path) -> None:
    workspace = workspace_of(SMALL, tmp_path / "w")
    (tmp_path / "real.lock").write_text("version: 8\n")
    workspace.lock_file.symlink_to(tmp_path / "real.lock")
    with pytest.raises(LockError, match="newer than format 7"):
        lock(workspace, upgrade=frozenset({EVERYTHING}))
    assert (tmp_path / "real.lock").read_text() == "version: 8\n"
    (tmp_path / "real.lock").write_text("garbage\n")
    lock(workspace, upgrade=frozenset({EVERYTHING}))
    assert workspace.lock_file.is_symlink()
    assert (tmp_path / "real.lock").read_text().startswith("version: 7\n")


def test_platforms_are_matched_by_content_as_pixi_writes_aliases(tmp_path: Path) -> None:
    path = LOCKS / "v7-pixi-example-multi-machine.lock"
    if not path.is_file():
        pytest.skip("the real lock files (../shared/locks) are not here")
    text = """
[workspace]
channels = ["conda-forge"]
platforms = [
  "linux-64", "win-64",
  { name = "mac", platform = "osx-arm64", macos = "13.5" },
  { name = "wcuda", platform = "win-64", cuda = "12" },
  { name = "cuda", platform = "linux-64", cuda = "12" },
]
"""
    workspace = workspace_of(text, tmp_path)
    found = read_lock(path)
    assert len(versions(found, workspace, "cuda")) > 100
    assert len(versions(found, workspace, "mac")) > 50


@pytest.mark.parametrize(
    ("name", "number", "environments"),
    [
        ("v5-lung_image.lock", 5, {"default"}),
        ("v6-chtc-containers.lock", 6, {"default"}),
        ("v6-gpu-ml-library-test.lock", 6, None),
        ("v6-ml-example.lock", 6, None),
        ("v7-cuda-combined-build.lock", 7, {"default"}),
        ("v7-pixi-example-multi-machine.lock", 7, {"default"}),
    ],
)
def test_real_locks_of_every_format_are_read_and_checked(
    tmp_path: Path, name: str, number: int, environments: set[str] | None
) -> None:
    path = LOCKS / name
    if not path.is_file():
        pytest.skip("the real lock files (../shared/locks) are not here")
    found = read_lock(path)
    assert found.format == number
    assert len(found.layout.blocks) > 50
    if environments is not None:
        assert set(found.environments) == environments
    assert unsatisfied(workspace_of(SMALL, tmp_path), found)  # not its manifest: says so


def test_damaged_locks(tmp_path: Path) -> None:
    path = tmp_path / "pixi.lock"
    with pytest.raises(LockError, match="there is no"):
        read_lock(path)
    path.write_text("version: 99\n")
    with pytest.raises(LockError, match="newer than format 7") as caught:
        read_lock(path)
    assert "upgrade pixi-scaffold" in caught.value.hint
    path.write_text("version: 7\nplatforms: [\n")
    with pytest.raises(LockError, match="cannot read"):
        read_lock(path)
    path.write_bytes(b"\x00\xff garbage")
    with pytest.raises(LockError, match="not a Pixi lock file"):
        lock_format(path.read_text(errors="replace"), path)


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ("    packages:\n      win-64: []\n", "duplicate entry"),
        ("    channels: []\n", "duplicate entry"),
        ("      linux-64: []\n", "duplicate entry"),
        ("  default:\n    channels: []\n    packages: {}\n", "duplicate entry"),
        ("    options:\n      - conda: URL\n", "invalid type: sequence"),
    ],
)
def test_no_package_is_lost_where_a_lock_says_something_twice(
    tmp_path: Path, more: str, refused: str
) -> None:
    """As a merge by lines can leave it; rattler, which Pixi reads locks with, refuses it."""
    url = f"{CONDA_FORGE}noarch/tqdm-4.67.1-pyhd8ed1ab_1.conda"
    path = tmp_path / "pixi.lock"
    path.write_text(
        "version: 7\nplatforms:\n- name: linux-64\n- name: win-64\nenvironments:\n  default:\n"
        f"    channels:\n    - url: {CONDA_FORGE}\n    packages:\n      linux-64:\n"
        f"      - conda: {url}\n{more.replace('URL', url)}packages:\n- conda: {url}\n"
    )
    with pytest.raises(Exception, match=refused):
        LockFile.from_path(path)
    with pytest.raises(LockError, match=refused):
        read_lock(path)


@pytest.mark.parametrize(
    "line",
    [
        "  sha256: no sum",
        "  md5: '",
        "  depends:\n  - python_}abi",
        '  version: "',
        "  build_number: many",
        "\tlicense: MIT",
        "  extra_depends:\n    a: [",
    ],
)
def test_a_damaged_package_in_a_lock_is_an_error_and_upgraded_away(
    tmp_path: Path, line: str
) -> None:
    workspace = workspace_of(SMALL, tmp_path)
    url = f"{CONDA_FORGE}noarch/tqdm-4.67.1-pyhd8ed1ab_1.conda"
    workspace.lock_file.write_text(
        "version: 7\nplatforms:\n- name: linux-64\nenvironments:\n  default:\n    channels:\n"
        f"    - url: {CONDA_FORGE}\n    packages:\n      linux-64:\n      - conda: {url}\n"
        f"packages:\n- conda: {url}\n{line}\n"
    )
    with pytest.raises(LockError, match=r"cannot read .*pixi\.lock") as caught:
        unsatisfied(workspace, read_lock(workspace.lock_file))
    assert "lock --upgrade" in caught.value.hint
    every = frozenset((EVERYTHING,))
    assert Solving(workspace, old_lock(workspace.lock_file, every), None, every).todo


def test_what_only_pixi_locks_is_refused_before_solving(tmp_path: Path) -> None:
    workspace = workspace_of(SMALL + '[pypi-dependencies]\nx = { path = "." }\n', tmp_path)
    with pytest.raises(UnsupportedError, match=r"x \(path") as caught:
        lock(workspace)
    assert "pixi lock" in caught.value.hint
    assert not workspace.lock_file.exists()


def test_an_invalid_version_range_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="dependencies.tqdm.*not a version specifier"):
        workspace_of(SMALL.replace('"*"', '">>1"'), tmp_path)


def test_an_unreachable_channel(tmp_path: Path, mirror: Callable[[str], None]) -> None:
    mirror(closed())
    with pytest.raises(LockError, match="default on linux-64: the channel failed"):
        lock(workspace_of(SMALL, tmp_path))


def test_problems_are_pure_and_complete(tmp_path: Path) -> None:
    text = SMALL.replace('["linux-64"]', '["linux-64", "osx-arm64"]')
    found = problems(workspace_of(text, tmp_path))
    assert [p.title for p in found] == ["default on linux-64", "default on osx-arm64"]
    assert found[0].channels == (CONDA_FORGE,)
    assert [str(spec) for spec in found[0].specs] == ["tqdm"]


@pytest.mark.slow
def test_a_stand_in_channel_serves_what_it_can(
    default_project: Workspace, starter: Starter, tmp_path: Path
) -> None:
    path = tmp_path / "starter.lock"
    locked = RattlerEngine().lock(default_project, path, Silent(), channels=[starter.url])
    served = {p.name for p in default_project.platforms if p.name in locked.platforms}
    assert served  # this machine's
    assert "linux-64-cuda" not in served
    assert any("default" in w and "on linux-64-cuda" in w for w, _ in locked.skipped)
    assert not default_project.lock_file.exists()


STAND_IN = """#!/bin/sh
# Stands in for the pixi binary, which cannot be had here: it has a version, and its `lock`
# copies a lock that was made before.
echo "$@" >> "{log}"
case "$1" in
  --version) echo "pixi {version}" ;;
  lock|update) {action} ;;
esac
"""


def pixi_stand_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, version: str, action: str = "true"
) -> Path:
    log = folder / "calls.log"
    program = folder / "bin" / "pixi"
    program.parent.mkdir(parents=True)
    program.write_text(STAND_IN.format(log=log, version=version, action=action))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return log


def without_pixi(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = os.environ["PATH"].split(os.pathsep)
    kept = [f for f in folders if not (Path(f) / "pixi").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(kept))


@pytest.mark.parametrize(
    ("wanted", "engine"),
    [
        ("*", "pixi"),
        ("0.77.*", "pixi"),
        (">=0.74,<1|>=2", "pixi"),
        (">=0.78", "rattler"),
    ],
)
def test_every_form_of_requires_pixi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, engine: str
) -> None:
    text = SMALL.replace("[dep", f'requires-pixi = "{wanted}"\n[dep')
    pixi_stand_in(tmp_path, monkeypatch, "0.77.0")
    assert choose(workspace_of(text, tmp_path)).engine.name == engine


@pytest.mark.parametrize("wanted", ["0.70", "<0.70", "1.0", "7d"])
def test_a_pixi_that_there_is_not(tmp_path: Path, wanted: str) -> None:
    """Pixi 0.77 refuses to read such a manifest."""
    text = SMALL.replace("[dep", f'requires-pixi = "{wanted}"\n[dep')
    with pytest.raises(ManifestError, match=r"pixi.toml:5: workspace.requires-pixi: .* no Pixi"):
        workspace_of(text, tmp_path)


def test_the_engine_is_chosen_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = workspace_of(SMALL.replace("[dep", 'requires-pixi = ">=0.74"\n[dep'), tmp_path)
    without_pixi(monkeypatch)
    choice = choose(workspace)
    assert (choice.engine.name, choice.why) == ("rattler", "pixi is not on PATH")
    with pytest.raises(UsageError, match="not on PATH"):
        choose(workspace, "pixi")
    with pytest.raises(UsageError, match="unknown engine"):
        choose(workspace, "mamba")


@pytest.mark.parametrize(
    ("version", "engine", "why"),
    [
        ("0.77.0", "pixi", "on PATH"),
        ("0.74.0", "pixi", "on PATH"),
        ("0.73.9", "rattler", "requires >=0.74"),
        ("garbage", "rattler", "--version failed"),
    ],
)
def test_pixi_is_used_when_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, engine: str, why: str
) -> None:
    workspace = workspace_of(SMALL.replace("[dep", 'requires-pixi = ">=0.74"\n[dep'), tmp_path)
    pixi_stand_in(tmp_path, monkeypatch, version)
    choice = choose(workspace)
    assert choice.engine.name == engine
    assert why in choice.why
    assert choose(workspace, own_channels=True).engine.name == "rattler"
    assert choose(workspace, "rattler").why == "asked for"


@pytest.mark.usefixtures("conda_forge")
def test_the_pixi_engine_reports_and_restores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = workspace_of(SMALL, tmp_path)
    lock(workspace)
    good = tmp_path / "good.lock"
    shutil.copy(workspace.lock_file, good)
    log = pixi_stand_in(
        tmp_path,
        monkeypatch,
        "0.77.0",
        f"[ -e {tmp_path}/fail ] && {{ echo broken > {workspace.lock_file}; "
        f'echo "no solution for numpy"; exit 1; }}; cp {good} {workspace.lock_file}',
    )
    engine = choose(workspace).engine
    locked = engine.lock(workspace, workspace.lock_file, Silent())
    assert locked.packages > 0
    assert "lock --no-progress --manifest-path" in log.read_text()
    (tmp_path / "fail").touch()
    with pytest.raises(LockError, match="no solution for numpy"):
        engine.lock(workspace, workspace.lock_file, Silent(), upgrade=frozenset({EVERYTHING}))
    assert workspace.lock_file.read_bytes() == good.read_bytes()
    with pytest.raises(UsageError, match="--engine rattler|only pixi.lock"):
        engine.lock(workspace, tmp_path / "other.lock", Silent())
