"""Packages from PyPI: resolved by uv beside a small conda channel, written as Pixi writes them.

The judges: what Pixi 0.77.0 wrote (../shared/pixi-says), and the real index where it answers.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rattler import Subdir

from pixi_scaffold.environment import install, pack
from pixi_scaffold.environment.install import _wheels as locked_wheels
from pixi_scaffold.errors import ScaffoldError, UnsupportedError
from pixi_scaffold.lock import Lock, channel_url, read_lock, unsatisfied
from pixi_scaffold.lock.current import compare
from pixi_scaffold.lock.file import no_lock, parse_lock
from pixi_scaffold.lock.purls import Purls
from pixi_scaffold.lock.pypi import default_index
from pixi_scaffold.lock.rattler import RattlerEngine
from pixi_scaffold.lock.render import Contents, render_lock
from pixi_scaffold.pypi import is_wheel_for
from pixi_scaffold.pypi.uv import _variables, run_uv
from pixi_scaffold.rehearsal.drift import added_by_pip
from pixi_scaffold.report import Silent
from pixi_scaffold.starter.channel import Starter
from pixi_scaffold.workspace import Workspace, parse_manifest
from tests.support.command import scaffold
from tests.support.index import index, index_answers, make_wheel
from tests.support.server import serve
from tests.test_pixi_says import SAYS, rows, with_the_default_index

PLATFORMS = ("linux-64", "osx-arm64")
NETWORK_TRIES = 3
"""How often an index that does not answer is asked: a hiccup of the network is no failure of ours."""


@pytest.fixture
def channel(tmp_path: Path) -> str:
    """A channel with python 3.12, numpy in two versions, and nothing that could be installed."""
    records = [
        ("python", "3.12.7", []),
        ("numpy", "1.26.4", ["python >=3.12,<3.13"]),
        ("numpy", "2.0.2", ["python >=3.12,<3.13"]),
        ("alone", "1.0", []),
        ("alone", "2.0", []),
    ]
    for subdir in (*PLATFORMS, "noarch"):
        packages = {
            f"{name}-{version}-0.conda": {
                "name": name, "version": version, "build": "0", "build_number": 0, "size": 1,
                "depends": depends, "subdir": subdir, "sha256": "0" * 64, "md5": "0" * 32,
            }
            for name, version, depends in records
        }  # fmt: skip
        document = {"info": {"subdir": subdir}, "packages.conda": packages}
        folder = tmp_path / "channel" / subdir
        folder.mkdir(parents=True)
        (folder / "repodata.json").write_text(json.dumps(document if subdir != "noarch" else {}))
    return (tmp_path / "channel").as_uri()


@pytest.fixture
def packages(small_index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An index of small wheels, with caches of its own."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return small_index


@pytest.fixture(scope="module")
def small_index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("index")
    made = [
        make_wheel(folder, "plain", "1.0"),
        make_wheel(folder, "plain", "2.0"),
        make_wheel(
            folder, "wanting", "1.5",
            ["plain>=1", "only-on-mac ; sys_platform == 'darwin'", "more ; extra == 'All_of'"],
        ),
        make_wheel(folder, "only-on-mac", "0.1.0"),
        make_wheel(folder, "more", "3.0"),
        make_wheel(folder, "for-numpy", "1.0", ["numpy>=2.0"]),
        make_wheel(folder, "for-old-numpy", "1.0", ["numpy<2"]),
        make_wheel(folder, "numpy", "2.0.2"),
        make_wheel(folder, "ahead", "2.0rc1"),
        make_wheel(folder, "ahead", "1.0"),
    ]  # fmt: skip
    with index(made) as running:
        yield running.url


def workspace_of(
    folder: Path, channel: str, index_url: str, rest: str, conda: str = ""
) -> Workspace:
    text = (
        f'[workspace]\nname = "w"\nchannels = ["{channel}"]\nplatforms = {list(PLATFORMS)}\n'
        f'[dependencies]\npython = "3.12.*"\n{conda}\n'
        f'[pypi-options]\nindex-url = "{index_url}"\n{rest}\n'
    ).replace("'", '"', 4)
    (folder / "pixi.toml").write_text(text)
    return parse_manifest(text, folder / "pixi.toml")


def lock(workspace: Workspace, *upgrade: str) -> Lock:
    RattlerEngine().lock(workspace, workspace.lock_file, Silent(), upgrade=frozenset(upgrade))
    return read_lock(workspace.lock_file)


def wheels(found: Lock, workspace: Workspace, environment: str = "default") -> dict[str, list[str]]:
    """Return name and version of what each platform gets from PyPI."""
    answer = {}
    for platform in workspace.platforms:
        urls = found.urls(environment, platform) or ()
        locked = [found.layout.package(url) for kind, url in urls if kind == "pypi"]
        answer[platform.name] = sorted(f"{w.name} {w.version}" for w in locked)
    return answer


def test_markers_and_extras_count_for_each_platform(
    tmp_path: Path, channel: str, packages: str
) -> None:
    rest = '[pypi-dependencies]\nWanting = { version = "*", extras = ["all-of"] }\n'
    workspace = workspace_of(tmp_path, channel, packages, rest)
    found = lock(workspace)
    assert wheels(found, workspace) == {
        "linux-64": ["more 3.0", "plain 2.0", "wanting 1.5"],
        "osx-arm64": ["more 3.0", "only-on-mac 0.1.0", "plain 2.0", "wanting 1.5"],
    }
    assert unsatisfied(workspace, found) == []
    text = workspace.lock_file.read_text()
    assert f"    indexes:\n    - {packages}/\n" in text
    assert "  version: '2.0'\n" in text
    assert "  version: 0.1.0\n" in text
    assert "  - more ; extra == 'all-of'\n" in text  # the name of the extra is normalised, too
    assert text.count("  purls: []\n") == 2  # this channel is not conda-forge


def test_versions_are_kept_and_one_package_can_be_upgraded(
    tmp_path: Path, channel: str, packages: str
) -> None:
    rest = '[pypi-dependencies]\nplain = "<2"\nwanting = "*"\n'
    lock(workspace_of(tmp_path, channel, packages, rest, 'alone = "<2"'))
    rest = '[pypi-dependencies]\nplain = "*"\nwanting = "*"\nmore = "*"\n'
    workspace = workspace_of(tmp_path, channel, packages, rest, 'alone = "*"')
    found = lock(workspace)
    assert "plain 1.0" in wheels(found, workspace)["linux-64"]
    assert "more 3.0" in wheels(found, workspace)["linux-64"]
    found = lock(workspace, "plain")
    assert "plain 2.0" in wheels(found, workspace)["linux-64"]
    assert "/alone-1.0-0.conda" in workspace.lock_file.read_text()
    lock(workspace, "alone")
    assert "/alone-2.0-0.conda" in workspace.lock_file.read_text()


def test_another_index_keeps_no_version(tmp_path: Path, channel: str, packages: str) -> None:
    """Pixi 0.77, outdated.rs: IndexesMismatch and a mode of prereleases disregard what is locked."""
    lock(workspace_of(tmp_path, channel, packages, '[pypi-dependencies]\nplain = "<2"\n'))
    loose = '[pypi-dependencies]\nplain = "*"\n'
    kept = workspace_of(tmp_path, channel, packages, loose)
    assert wheels(lock(kept), kept)["linux-64"] == ["plain 1.0"]
    more = [make_wheel(tmp_path / "more", "plain", version) for version in ("1.0", "3.0")]
    with index(more) as second:
        workspace = workspace_of(tmp_path, channel, second.url, loose)
        assert wheels(lock(workspace), workspace)["linux-64"] == ["plain 3.0"]


def test_a_solve_group_has_one_wheel_of_a_package(
    tmp_path: Path, channel: str, packages: str
) -> None:
    """Pixi 0.77, outdated.rs, find_inconsistent_solve_groups: of PyPI's packages, too."""
    group = '{ features = ["f"], solve-group = "g" }'
    rest = f'[feature.f.pypi-dependencies]\nplain = "*"\n[environments]\na = {group}\nb = {group}\n'
    workspace = workspace_of(tmp_path, channel, packages, rest)
    found = lock(workspace)
    assert unsatisfied(workspace, found) == []
    text = workspace.lock_file.read_text()
    url = next(u for u in found.layout.blocks if "plain-2.0" in u)
    older = url.replace("2.0", "1.0")
    block = found.layout.block(url)
    start = text.index("\n  b:\n")
    changed = text[:start] + text[start:].replace(f"- pypi: {url}\n", f"- pypi: {older}\n", 1)
    changed += block.replace(url, older).replace("version: '2.0'", "version: '1.0'")
    [problem] = unsatisfied(workspace, parse_lock(changed, workspace.lock_file))
    assert problem.startswith("plain differs inside solve group g on ")


def test_an_unknown_name_is_no_upgrade(tmp_path: Path, channel: str, packages: str) -> None:
    lock(workspace_of(tmp_path, channel, packages, '[pypi-dependencies]\nplain = "*"\n'))
    ran = scaffold("lock", "--upgrade", "plein", cwd=tmp_path)
    assert ran.code == 2
    assert "has no package plein: plain?" in ran.out + ran.err


MAP = 'conda-pypi-map = { "CHANNEL" = { location = "map.json" } }\n'


def mapped(folder: Path, channel: str, index_url: str, rest: str, conda: str) -> Workspace:
    (folder / "map.json").write_text('{"numpy": "numpy"}')
    workspace = workspace_of(folder, channel, index_url, rest, conda)
    text = workspace.manifest.read_text().replace(
        "platforms =", MAP.replace("CHANNEL", channel) + "platforms ="
    )
    workspace.manifest.write_text(text)
    return parse_manifest(text, workspace.manifest)


def test_what_conda_provides_is_not_locked_from_pypi(
    tmp_path: Path, channel: str, packages: str
) -> None:
    rest = '[pypi-dependencies]\nfor-numpy = "*"\n'
    workspace = mapped(tmp_path, channel, packages, rest, 'numpy = "*"')
    found = lock(workspace)
    assert wheels(found, workspace)["linux-64"] == ["for-numpy 1.0"]
    assert "  - pkg:pypi/numpy?source=project-defined-mapping\n" in workspace.lock_file.read_text()
    assert unsatisfied(workspace, found) == []


def test_wheels_of_another_machine_are_refused_before_anything_is_installed(
    tmp_path: Path, channel: str, packages: str
) -> None:
    workspace = workspace_of(tmp_path, channel, packages, '[pypi-dependencies]\nplain = "*"\n')
    found = lock(workspace)
    other = next(p for p in workspace.platforms if p.subdir != str(Subdir.current()))
    with pytest.raises(UnsupportedError, match="plain is from PyPI"):
        install(found, "default", other, tmp_path / "env", Silent())
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize(
    ("tags", "platform", "fits"),
    [
        ("py3-none-any", "linux-64", True),
        ("cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64", "linux-64", True),
        ("cp312-cp312-manylinux_2_28_x86_64", "linux-64", True),
        ("cp312-cp312-manylinux_2_34_x86_64", "linux-64", False),  # the platform has glibc 2.28
        ("cp38-abi3-manylinux1_x86_64", "linux-64", True),
        ("cp311-cp311-manylinux_2_17_x86_64", "linux-64", False),
        ("cp312-cp312-musllinux_1_2_x86_64", "linux-64", False),
        ("cp312-cp312-manylinux_2_17_aarch64", "linux-64", False),
        ("cp312-cp312-macosx_11_0_arm64", "osx-arm64", True),
        ("cp312-cp312-macosx_10_13_universal2", "osx-arm64", True),
        ("cp312-cp312-macosx_14_0_arm64", "osx-arm64", False),  # the platform has macOS 13
    ],
)
def test_a_wheel_must_run_on_the_platform_and_its_python(
    tmp_path: Path, tags: str, platform: str, fits: bool
) -> None:
    """PEP 425, 600; Pixi: PypiWheelTagsMismatch."""
    workspace = workspace_of(tmp_path, "conda-forge", "https://index.example", "")
    [chosen] = [p for p in workspace.platforms if p.name == platform]
    assert is_wheel_for(f"plain-2.0-{tags}.whl", chosen, "3.12.7") == fits


def test_a_locked_wheel_of_another_python_is_stale(
    tmp_path: Path, channel: str, packages: str
) -> None:
    workspace = workspace_of(tmp_path, channel, packages, '[pypi-dependencies]\nplain = "*"\n')
    lock(workspace)
    text = workspace.lock_file.read_text().replace("-2.0-py3-none-any", "-2.0-cp311-none-any")
    problems = unsatisfied(workspace, parse_lock(text, workspace.lock_file))
    assert "cp311-none-any.whl is no wheel for this platform and Python 3.12.7" in problems[0]
    comparison = compare(workspace, parse_lock(text, workspace.lock_file))
    rows = {(e.name, p.name) for e in workspace.environments for p in workspace.platforms}
    assert (comparison.outdated, comparison.discarded_wheels) == (rows, {"default"})  # outdated.rs


def test_purls_that_a_lock_has_are_kept(tmp_path: Path, channel: str, packages: str) -> None:
    rest = '[pypi-dependencies]\nplain = "*"\n'
    workspace = workspace_of(tmp_path, channel, packages, rest, 'alone = "<2"')
    lock(workspace)
    text = workspace.lock_file.read_text()
    block = text[text.index("- conda: ", text.index("\npackages:")) :].partition("\n- ")[0]
    assert "/alone-1.0" in block
    theirs = "purls:\n  - pkg:pypi/other-name?source=hash-mapping"
    workspace.lock_file.write_text(text.replace(block, block.replace("purls: []", theirs)))
    lock(workspace_of(tmp_path, channel, packages, rest, 'alone = ">=2"'))
    text = workspace.lock_file.read_text()  # the name of a newer version is not asked for again
    new = text[text.index("/linux-64/alone-2.0", text.index("\npackages:")) :].partition("\n- ")[0]
    assert theirs in new


def test_conda_forge_is_taken_to_have_names_of_pypi(tmp_path: Path) -> None:
    """The rule that Pixi has for packages that its mapping does not know; torch is known here."""
    text = '[workspace]\nchannels = ["conda-forge"]\nplatforms = ["linux-64"]\n'
    workspace = parse_manifest(text, tmp_path / "pixi.toml")
    purls, forge = Purls(workspace, no_lock(Path("pixi.lock"))), channel_url("conda-forge")
    assert purls.of("python_abi", forge) == ("pkg:pypi/python-abi",)
    assert purls.of("pytorch", forge) == ("pkg:pypi/torch",)
    assert purls.of("numpy", "https://conda.example/lab/") == ()
    assert purls.of("_openmp_mutex", forge) == ()  # as in locks of Pixi's: no such name on PyPI
    assert purls.assumed == {"python_abi", "pytorch"}
    off = parse_manifest(text + "conda-pypi-map = false\n", tmp_path / "pixi.toml")
    assert Purls(off, no_lock(Path("pixi.lock"))).of("pytorch", forge) == ()
    lab = channel_url("lab")
    for said, expected in (
        ("conda-forge = false", ((), ())),
        ("conda-forge.same-name-heuristic = false", ((), ())),
        ("lab.same-name-heuristic = true", (("pkg:pypi/numpy",), ("pkg:pypi/numpy",))),
        ("lab.mapping = { numpy = false }", (("pkg:pypi/numpy",), ())),
    ):
        mapped = parse_manifest(text + f"[workspace.conda-pypi-map]\n{said}\n", workspace.manifest)
        given = Purls(mapped, no_lock(Path("pixi.lock")))
        assert (given.of("numpy", forge), given.of("numpy", lab)) == expected, said


def test_a_clash_names_both_requirements_and_the_line(
    tmp_path: Path, channel: str, packages: str
) -> None:
    rest = '[pypi-dependencies]\nplain = ">=2"\nfor-numpy = "*"\nfor-old-numpy = "*"\n'
    workspace = workspace_of(tmp_path, channel, packages, rest)
    with pytest.raises(ScaffoldError) as caught:
        lock(workspace)
    assert "for-numpy and for-old-numpy" in caught.value.message
    assert "numpy>=2.0" in caught.value.message
    assert "change line 12 of pixi.toml: for-numpy" in caught.value.hint
    assert not workspace.lock_file.exists()


def test_a_clash_with_a_conda_package_names_that(
    tmp_path: Path, channel: str, packages: str
) -> None:
    rest = '[pypi-dependencies]\nfor-old-numpy = "*"\n'
    workspace = mapped(tmp_path, channel, packages, rest, 'numpy = ">=2"')
    with pytest.raises(ScaffoldError) as caught:
        lock(workspace)
    assert "numpy 2.0.2 is there as the conda package numpy" in caught.value.message
    assert "for-old-numpy" in caught.value.hint


def test_prereleases_are_taken_where_the_manifest_says_so(
    tmp_path: Path, channel: str, packages: str
) -> None:
    rest = '[pypi-dependencies]\nahead = "*"\n'
    workspace = workspace_of(tmp_path, channel, packages, rest)
    assert wheels(lock(workspace), workspace)["linux-64"] == ["ahead 1.0"]
    workspace = workspace_of(tmp_path, channel, packages, 'prerelease-mode = "allow"\n' + rest)
    assert unsatisfied(workspace, read_lock(workspace.lock_file))
    assert wheels(lock(workspace, "*"), workspace)["linux-64"] == ["ahead 2.0rc1"]
    assert "      pypi-prerelease-mode: allow\n" in workspace.lock_file.read_text()
    assert unsatisfied(workspace, read_lock(workspace.lock_file)) == []


@pytest.mark.parametrize(
    ("strategy", "direct", "indirect"),
    [("lowest", "1.0", "1.0"), ("lowest-direct", "1.0", "2.0")],
)
def test_the_solve_strategy_counts_for_pypi_too(
    strategy: str, direct: str, indirect: str, tmp_path: Path, channel: str, packages: str
) -> None:
    """It is uv's resolution mode (crates/pixi_core, resolve/pypi.rs)."""
    for name, version in (("plain", direct), ("wanting", indirect)):
        rest = f'[pypi-dependencies]\n{name} = "*"\n'
        manifest = workspace_of(tmp_path, channel, packages, rest).manifest
        text = manifest.read_text()
        text = text.replace("[dep", f'solve-strategy = "{strategy}"\n[dep', 1)
        workspace = parse_manifest(text, manifest)
        found = lock(workspace, "*")
        assert f"plain {version}" in wheels(found, workspace)["linux-64"]
        assert unsatisfied(workspace, found) == []


def test_a_package_may_have_an_index_of_its_own(
    tmp_path: Path, channel: str, packages: str
) -> None:
    """It is written into its row; nothing else is looked for there."""
    more = [make_wheel(tmp_path / "more", "own", "5.0", ["plain"])]
    more.append(make_wheel(tmp_path / "more", "plain", "7.0"))
    with index(more) as second:
        rest = f'[pypi-dependencies]\nown = {{ version = "*", index = "{second.url}" }}\n'
        workspace = workspace_of(tmp_path, channel, packages, rest)
        found = lock(workspace)
    assert wheels(found, workspace)["linux-64"] == ["own 5.0", "plain 2.0"]
    written = workspace.lock_file.read_text()
    assert [written.count(f"  index: {url}/\n") for url in (second.url, packages)] == [1, 1]
    assert unsatisfied(workspace, found) == []
    other = workspace.manifest.read_text().replace(second.url, "https://index.example/other")
    [problem, *_] = unsatisfied(parse_manifest(other, workspace.manifest), found)
    assert "own is locked from another index" in problem
    without = '[pypi-dependencies]\nown = "*"\n'
    [problem, *_] = unsatisfied(workspace_of(tmp_path, channel, packages, without), found)
    assert "own is locked from another index" in problem


def test_wheels_of_a_folder_are_locked_by_their_paths(
    tmp_path: Path, channel: str, packages: str
) -> None:
    """From the workspace where they lie in it (get_url_or_path in crates/pixi_core); with hashes."""
    make_wheel(tmp_path / "wheels", "flat", "1.0", ["plain>=1"])
    away = tmp_path.parent / f"{tmp_path.name}-away"
    make_wheel(away, "distant", "3.0")
    rest = f'find-links = [{{ path = "./wheels" }}, {{ path = "{away}" }}]\n'
    rest += '[pypi-dependencies]\nflat = "*"\ndistant = "*"\n'
    workspace = workspace_of(tmp_path, channel, packages, rest)
    locked = lock(workspace)
    assert wheels(locked, workspace)["linux-64"] == ["distant 3.0", "flat 1.0", "plain 2.0"]
    text = workspace.lock_file.read_text()
    assert "      - pypi: ./wheels/flat-1.0-py3-none-any.whl\n" in text
    assert f"- pypi: {away}/distant-3.0-py3-none-any.whl\n  name: distant\n" in text
    assert f"    find-links:\n    - path: ./wheels\n    - path: {away}\n" in text
    assert unsatisfied(workspace, locked) == []
    lock(workspace)
    assert workspace.lock_file.read_text() == text
    [platform] = [p for p in workspace.platforms if p.name == str(Subdir.current())]
    found = {w.name: w for w in locked_wheels(locked, "default", platform)}
    path = tmp_path / "wheels" / "flat-1.0-py3-none-any.whl"
    assert found["flat"].url == path.as_uri()
    assert found["flat"].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    with pytest.raises(ScaffoldError, match=r"flat is locked from .*, which is not there"):
        locked_wheels(locked, "default", platform)


def test_wheels_of_a_page_of_links_are_locked_by_their_urls(
    tmp_path: Path, channel: str, packages: str
) -> None:
    make_wheel(tmp_path / "links", "flat", "1.0")
    with serve(tmp_path / "links") as url:
        rest = f'find-links = [{{ url = "{url}/" }}]\n[pypi-dependencies]\nflat = "*"\n'
        workspace = workspace_of(tmp_path, channel, packages, rest)
        locked = lock(workspace)
    text = workspace.lock_file.read_text()
    assert f"      - pypi: {url}/flat-1.0-py3-none-any.whl\n" in text
    assert f"    find-links:\n    - url: {url}/\n" in text
    assert unsatisfied(workspace, locked) == []


def test_a_mapping_may_be_at_a_url(tmp_path: Path, channel: str, packages: str) -> None:
    """As a file beside the manifest, it says what of PyPI conda packages provide."""
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "map.json").write_text('{"alone": "plain"}')
    with serve(tmp_path / "maps") as url:
        text = workspace_of(tmp_path, channel, packages, "").manifest.read_text()
        text = text.replace(
            'name = "w"', f'name = "w"\nconda-pypi-map = {{ "{channel}" = "{url}/map.json" }}'
        )
        workspace = parse_manifest(text, tmp_path / "pixi.toml")
        purls = Purls(workspace, no_lock(Path("pixi.lock")))
        assert purls.of("alone", channel_url(channel)) == (
            "pkg:pypi/plain?source=project-defined-mapping",
        )
        broken = parse_manifest(text.replace("map.json", "none.json"), tmp_path / "pixi.toml")
        with pytest.raises(ScaffoldError, match=r"none\.json cannot be read"):
            Purls(broken, no_lock(Path("pixi.lock")))


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ('{ path = "./here", editable = true }', "editable"),
        ('{ path = "./here" }', "path"),
        ('{ git = "https://example.org/x.git" }', "git"),
        ('{ url = "https://example.org/x.whl" }', "url"),
    ],
)
def test_what_is_no_package_of_an_index_is_refused_by_name(
    tmp_path: Path, channel: str, packages: str, spec: str, word: str
) -> None:
    workspace = workspace_of(tmp_path, channel, packages, f"[pypi-dependencies]\nplain = {spec}\n")
    with pytest.raises(UnsupportedError, match=rf"plain \({word}"):
        lock(workspace)


def test_what_would_have_to_be_built_is_refused_by_name(
    tmp_path: Path, channel: str, packages: str
) -> None:
    rest = 'no-binary = ["plain"]\n[pypi-dependencies]\nplain = "*"\n'
    with pytest.raises(UnsupportedError, match=r"plain 2\.0 for .*: no-binary asks to build it"):
        lock(workspace_of(tmp_path, channel, packages, rest))


def test_without_python_it_is_said_what_to_add(tmp_path: Path, channel: str, packages: str) -> None:
    rest = '[pypi-dependencies]\nplain = "*"\n'
    workspace = workspace_of(tmp_path, channel, packages, rest)
    text = workspace.manifest.read_text().replace('python = "3.12.*"', 'alone = "*"')
    workspace.manifest.write_text(text)
    with pytest.raises(ScaffoldError) as caught:
        lock(parse_manifest(text, workspace.manifest))
    assert "need python" in caught.value.message
    assert 'python = ">=3.11"' in caught.value.hint


needs_what_pixi_said = pytest.mark.skipif(not SAYS.is_dir(), reason="what Pixi said is not here")


@needs_what_pixi_said
@pytest.mark.parametrize("name", ["pypi.jsonl.gz", "pypi-mapped.jsonl.gz"])
def test_a_lock_of_pixi_is_written_again_byte_for_byte(name: str, tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text("{}")
    count = 0
    for row in rows(name)[::5]:
        if row.get("lock") is None:
            continue
        text = with_the_default_index(row["lock"])
        manifest = with_the_default_index(row["manifest"])
        workspace = parse_manifest(manifest, tmp_path / "pixi.toml")
        old = parse_lock(text, workspace.lock_file).aligned(workspace)
        contents = Contents(
            {
                (e.name, p.name): old.urls(e.name, p) or ()
                for e in workspace.environments
                for p in workspace.environment_platforms(e)
            },
            {url: old.layout.block(url) for url in old.layout.blocks},
        )
        assert render_lock(workspace, contents) == text
        count += 1
    assert count > 10


FORGE = "https://conda.anaconda.org/conda-forge"
PYTHON = f"{FORGE}/linux-64/python-3.12.1-hab00c5b_1_cpython.conda"
WHEEL = "https://files.example/plain-1.0-py3-none-any.whl"
ROW_MANIFEST = """[workspace]
channels = ["conda-forge"]
platforms = ["linux-64"]
[dependencies]
python = "3.12.*"
[pypi-options]
index-url = "https://index.example/simple"
[pypi-dependencies]
plain = "*"
"""


def row_problems(
    folder: Path, row: list[str], blocks: list[str], manifest: str = ROW_MANIFEST
) -> list[str]:
    """What is wrong with a lock of one platform that holds these packages."""
    (folder / "pixi.toml").write_text(manifest)
    lines = ["version: 7", "platforms:", "- name: linux-64", "  virtual-packages:"]
    lines += ["  - __unix=0=0", "  - __linux=4.18", "  - __glibc=2.28", "  - __archspec=0=x86_64"]
    lines += ["environments:", "  default:", "    channels:", f"    - url: {FORGE}/"]
    links = ["    find-links:", "    - url: https://links.example/"] if "links" in manifest else []
    if any(one.startswith("pypi") for one in row):
        lines += ["    indexes:", "    - https://index.example/simple", *links]
    lines += ["    packages:", "      linux-64:", *(f"      - {one}" for one in row)]
    text = "\n".join([*lines, "packages:", *blocks]) + "\n"
    workspace = parse_manifest(manifest, folder / "pixi.toml")
    return unsatisfied(workspace, parse_lock(text, workspace.lock_file))


def wheel_block(url: str = WHEEL, index: str = "") -> str:
    said = f"\n  index: {index}" if index else ""
    return f"- pypi: {url}\n  name: plain\n  version: '1.0'{said}"


def test_conda_forge_provides_its_own_names_in_rows_without_purls(tmp_path: Path) -> None:
    """PypiPackageIdentifier of Pixi 0.77, for old locks; of a public one (readthedocs-extend)."""
    manifest = ROW_MANIFEST.replace("[pypi-options]", 'packaging = "*"\n[pypi-options]')
    needs = f"{wheel_block()}\n  requires_dist:\n  - packaging>=23"
    for channel, version, is_current in (
        (FORGE, "24.0", True),
        (FORGE, "22.0", False),
        (FORGE, "24.0_x", False),
        ("https://conda.anaconda.org/other", "24.0", False),
    ):
        conda = f"{channel}/noarch/packaging-{version}-pyhd8ed1ab_0.conda"
        for purls in ("", "\n  purls: []"):
            blocks = [f"- conda: {conda}{purls}", f"- conda: {PYTHON}\n  purls: []", needs]
            rows = [f"conda: {conda}", f"conda: {PYTHON}", f"pypi: {WHEEL}"]
            problems = row_problems(tmp_path, rows, blocks, manifest)
            assert (problems == []) is (is_current and not purls), (conda, purls, problems)


@pytest.mark.parametrize(
    ("locked", "asked", "is_current"),
    [
        ("", "", True),
        ("", "https://index.example/simple", True),
        ("", "https://other.example/simple", False),
        ("https://other.example/simple", "https://other.example/simple", True),
        ("https://other.example/simple", "https://OTHER.example:443/simple", True),
        ("https://other.example/simple", "https://other.example/simple/", False),
        ("https://other.example/simple", "", False),
        ("https://index.example/simple/", "", True),
    ],
)
def test_a_wheel_without_an_index_is_from_the_first(
    tmp_path: Path, locked: str, asked: str, is_current: bool
) -> None:
    """pypi_satisfies_requirement of Pixi 0.77; its test data pypi-index-added is the third row."""
    own = f'plain = {{ version = "*", index = "{asked}" }}'
    manifest = ROW_MANIFEST.replace('plain = "*"', own) if asked else ROW_MANIFEST
    blocks = [f"- conda: {PYTHON}\n  purls: []", wheel_block(index=locked)]
    problems = row_problems(tmp_path, [f"conda: {PYTHON}", f"pypi: {WHEEL}"], blocks, manifest)
    assert ("from another index" not in "".join(problems)) is is_current, problems


@pytest.mark.parametrize(
    ("locked", "asked", "is_current"),
    [
        ("direct+https://files.example/plain-1.0-py3-none-any.whl", "", True),
        ("direct+https://****@files.example/plain-1.0-py3-none-any.whl", "me:secret@", True),
        ("direct+https://files.example/plain-1.1-py3-none-any.whl", "", False),
        ("https://files.example/plain-1.0-py3-none-any.whl", "", False),
    ],
)
def test_a_wheel_of_a_url_is_the_one_of_the_manifest(
    tmp_path: Path, locked: str, asked: str, is_current: bool
) -> None:
    """RequirementSource::Url in pypi_satisfies_requirement of Pixi 0.77: credentials do not count."""
    url = f"https://{asked}Files.example/plain-1.0-py3-none-any.whl"
    manifest = ROW_MANIFEST.replace('plain = "*"', f'plain = {{ url = "{url}" }}')
    blocks = [f"- conda: {PYTHON}\n  purls: []", wheel_block(locked)]
    problems = row_problems(tmp_path, [f"conda: {PYTHON}", f"pypi: {locked}"], blocks, manifest)
    assert (problems == []) is is_current, problems


def test_an_index_without_a_path_is_written_as_rust_does(tmp_path: Path) -> None:
    """Pixi's Url::parse: a public lock has `https://pypi.nvidia.com/` for the same without `/`."""
    options = 'extra-index-urls = ["https://Other.example"]\n'
    manifest = ROW_MANIFEST.replace("[pypi-dep", f"{options}[pypi-dep")
    workspace = parse_manifest(manifest, tmp_path / "pixi.toml")
    asked = workspace.environment_pypi_options(workspace.environments[0])
    assert asked.extra_index_urls == ("https://other.example/",)


def test_a_package_that_is_locked_twice_is_stale(tmp_path: Path) -> None:
    """PlatformUnsat::DuplicateEntry of Pixi 0.77: what a merge of the lines can leave."""
    other = f"{FORGE}/linux-64/python-3.12.2-hab00c5b_0_cpython.conda"
    rows = [f"conda: {PYTHON}", f"conda: {other}", f"pypi: {WHEEL}"]
    blocks = [*(f"- conda: {url}\n  purls: []" for url in (PYTHON, other)), wheel_block()]
    assert row_problems(tmp_path, rows[1:], blocks) == []
    assert row_problems(tmp_path, rows, blocks) == ["default on linux-64: python is locked twice"]
    newer = WHEEL.replace("1.0", "1.1")
    assert row_problems(tmp_path, [*rows[1:], f"pypi: {newer}"], [*blocks, wheel_block(newer)]) == [
        "default on linux-64: plain is locked twice from PyPI"
    ]


def test_rows_without_purls_are_stale_where_the_environment_asks_pypi_at_all(
    tmp_path: Path,
) -> None:
    """PlatformUnsat::MissingPurls: asked of the environment, and only where no wheel is locked."""
    conda, wheel = f"conda: {PYTHON}", f"pypi: {WHEEL}"
    elsewhere = ROW_MANIFEST.replace("[pypi-dependencies]", "[target.osx.pypi-dependencies]")
    for manifest in (ROW_MANIFEST, elsewhere):
        [why] = row_problems(tmp_path, [conda], [f"- conda: {PYTHON}"], manifest)
        assert "purls" in why
    assert row_problems(tmp_path, [conda], [f"- conda: {PYTHON}\n  purls: []"], elsewhere) == []
    assert row_problems(tmp_path, [conda, wheel], [f"- conda: {PYTHON}", wheel_block()]) == []


@pytest.mark.parametrize(
    ("says", "refused"), [("true", True), ('["Plain"]', True), ("false", False)]
)
def test_no_build_makes_sources_in_a_lock_stale(tmp_path: Path, says: str, refused: bool) -> None:
    """EnvironmentUnsat::NoBuildWithNonBinaryPackages."""
    url = "https://files.example/plain-1.0.tar.gz"
    manifest = ROW_MANIFEST.replace("[pypi-dep", f"no-build = {says}\n[pypi-dep")
    blocks = [f"- conda: {PYTHON}\n  purls: []", wheel_block(url)]
    problems = row_problems(tmp_path, [f"conda: {PYTHON}", f"pypi: {url}"], blocks, manifest)
    assert problems == (
        ["default on linux-64: plain is no wheel, and no-build forbids building it"] * refused
    )


def test_a_wheel_may_be_of_a_page_of_find_links(tmp_path: Path) -> None:
    """collect_locked_indexes: the URLs of find-links are indexes, too (prefix-dev/pixi 6265)."""
    link = 'find-links = [{ url = "https://links.example/" }]\n'
    manifest = ROW_MANIFEST.replace("[pypi-dep", f"{link}[pypi-dep")
    rows = [f"conda: {PYTHON}", f"pypi: {WHEEL}"]
    for index_url, is_one in (("https://links.example", True), ("https://other.example", False)):
        blocks = [f"- conda: {PYTHON}\n  purls: []", wheel_block(index=index_url)]
        assert (row_problems(tmp_path, rows, blocks, manifest) == []) is is_one


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, starter: Starter) -> Workspace:
    """Python from the starter channel, a pure package and one with a compiled wheel, locked."""
    if not index_answers():
        pytest.skip("the default package index does not answer")
    folder = tmp_path_factory.mktemp("small")
    text = (
        '[workspace]\nname = "small"\nchannels = ["conda-forge"]\n'
        f'platforms = ["{starter.subdir}"]\n[dependencies]\npython = ">=3.11"\n'
        '[pypi-dependencies]\neinops = "*"\nmarkupsafe = "*"\n'
    )
    (folder / "pixi.toml").write_text(text)
    workspace = parse_manifest(text, folder / "pixi.toml")
    RattlerEngine().lock(workspace, workspace.lock_file, Silent(), channels=[starter.url])
    return workspace


def python(prefix: Path, code: str) -> str:
    done = subprocess.run([prefix / "bin/python", "-c", code], capture_output=True, text=True)
    return done.stdout.strip() or done.stderr


@pytest.mark.network
@pytest.mark.slow
def test_wheels_are_put_in_place_replaced_and_removed(small: Workspace, tmp_path: Path) -> None:
    """Pure Python and compiled, in a real environment; what the lock no longer has goes."""
    locked = read_lock(small.lock_file)
    [platform] = small.platforms
    prefix = tmp_path / "env"
    done = install(locked, "default", platform, prefix, Silent())
    assert done.packages == len(locked.urls("default", platform) or ())
    assert python(prefix, "import einops; print(einops.__version__)") == "0.8.2"
    assert python(prefix, "from markupsafe import _speedups; print(_speedups.__file__)").endswith(
        ".so"
    )
    assert added_by_pip(prefix) == []  # a rehearsal does not take them for that
    import_all = "import importlib.metadata as m; print(all(f.hash is None or f.locate().exists() for f in m.files('einops')))"
    assert python(prefix, import_all) == "True"
    text = small.lock_file.read_text()
    row = next(line for line in text.splitlines() if "einops" in line and "      - pypi" in line)
    small_lock = tmp_path / "pixi.lock"
    small_lock.write_text(text.replace(row + "\n", ""))
    install(read_lock(small_lock), "default", platform, prefix, Silent())
    assert "No module named 'einops'" in python(prefix, "import einops")
    assert python(prefix, "import markupsafe; print('kept')") == "kept"


@pytest.mark.network
@pytest.mark.slow
def test_a_wheel_with_another_digest_is_not_installed(small: Workspace, tmp_path: Path) -> None:
    text = small.lock_file.read_text()
    locked = read_lock(small.lock_file)
    [platform] = small.platforms
    [url] = [u for kind, u in locked.urls("default", platform) or () if "einops" in u]
    digest = locked.layout.package(url).field("sha256")
    (tmp_path / "pixi.lock").write_text(text.replace(digest, "0123456789abcdef" * 4))
    with pytest.raises(ScaffoldError, match="(?i)hash mismatch") as caught:
        install(read_lock(tmp_path / "pixi.lock"), "default", platform, tmp_path / "env", Silent())
    assert "do not use that file" in caught.value.hint
    assert "No module named" in python(tmp_path / "env", "import einops")


@pytest.mark.network
@pytest.mark.slow
def test_what_was_put_there_by_hand_is_left_alone(small: Workspace, tmp_path: Path) -> None:
    locked = read_lock(small.lock_file)
    [platform] = small.platforms
    prefix = tmp_path / "env"
    install(locked, "default", platform, prefix, Silent())
    by_hand = make_wheel(tmp_path / "wheels", "by-hand", "1.0")
    run_uv(["pip", "install", "--python", prefix / "bin/python", by_hand])
    install(locked, "default", platform, prefix, Silent())
    assert python(prefix, "import by_hand; print(by_hand.__version__)") == "1.0"
    assert added_by_pip(prefix) == ["by_hand"]


@pytest.mark.network
@pytest.mark.slow
def test_a_packed_environment_has_the_wheels(small: Workspace, tmp_path: Path) -> None:
    archive = tmp_path / "env.tar.gz"
    pack(small.root, archive, None, small.lock_file, Silent())
    again = tmp_path / "again.tar.gz"
    pack(small.root, again, None, small.lock_file, Silent())
    assert archive.read_bytes() == again.read_bytes()
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "worker", filter="fully_trusted")
    code = "import einops, markupsafe._speedups; print(einops.__version__)"
    assert python(tmp_path / "worker", code) == "0.8.2"


@pytest.mark.long
@needs_what_pixi_said
@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize("name", ["pypi.jsonl.gz", "pypi-mapped.jsonl.gz"])
def test_every_manifest_that_pixi_locks_is_locked_against_the_real_index(
    name: str, tmp_path: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it is current by our comparison, and what Pixi accepted in November 2026 stays the form."""
    if not index_answers():
        pytest.skip("the default package index does not answer")
    monkeypatch.setenv("PIXI_CACHE_DIR", str(tmp_path / "cache"))
    names = {"numlib": "numpy", "tzdata": "tzdata", "delta": "more-itertools"}

    def problems(row: dict[str, Any]) -> list[str]:
        folder = tmp_path / f"{row['seed']}"
        folder.mkdir()
        (folder / "map.json").write_text(json.dumps(names))
        manifest = with_the_default_index(row["manifest"])
        workspace = parse_manifest(manifest, folder / "pixi.toml")
        for _ in range(NETWORK_TRIES):
            try:
                return unsatisfied(workspace, lock(workspace))
            except ScaffoldError as error:
                said = error.message
            if not re.search("cannot be used|cannot be fetched", said):
                break
        return [said]

    locked = [row for row in rows(name) if row["result"] == "locked"]
    with (
        serve(SAYS / "channels") as url,
        index((), default_index(), keep=3600) as real,  # each question once, and not over TLS
        ThreadPoolExecutor(8) as pool,
    ):
        monkeypatch.setenv("UV_DEFAULT_INDEX", real.url)
        base = "https://conda.anaconda.org"
        mirrors = "".join(f'"{base}/{n}" = ["{url}/{n}"]\n' for n in ("conda-forge", "lab"))
        (user / "config.toml").write_text(f"[mirrors]\n{mirrors}")
        answers = dict(
            zip((row["seed"] for row in locked), pool.map(problems, locked), strict=True)
        )
    current = {row["seed"] for row in locked if row["again"] == "current"}
    wrong = {seed: said for seed, said in answers.items() if said and seed in current}
    assert not wrong, wrong


def test_uv_believes_the_certificates_that_pip_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CERT", "/lab/certificates.pem")
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert _variables({})["SSL_CERT_FILE"] == "/lab/certificates.pem"
    monkeypatch.setenv("SSL_CERT_FILE", "/mine.pem")
    assert _variables({})["SSL_CERT_FILE"] == "/mine.pem"
    assert _variables({})["UV_SYSTEM_CERTS"] == "1"


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "more", "version"),
    [
        ('exclude-newer = "2023-06-01"\n', "", "0.6.1"),
        (
            'exclude-newer = "2023-06-01"\n',
            '[pypi-exclude-newer]\neinops = "2024-06-01"\n',
            "0.8.0",
        ),
        ("", '[pypi-exclude-newer]\neinops = "2023-06-01"\n', "0.6.1"),
    ],
)
def test_what_is_newer_than_allowed_is_not_taken(
    tmp_path: Path, channel: str, head: str, more: str, version: str
) -> None:
    """The days on which einops was uploaded are those of the real index."""
    if not index_answers():
        pytest.skip("the default package index does not answer")
    text = (
        f'[workspace]\nname = "w"\nchannels = ["{channel}"]\nplatforms = ["linux-64"]\n{head}'
        f'[dependencies]\npython = "3.12.*"\n[pypi-dependencies]\neinops = "*"\n{more}'
    )
    (tmp_path / "pixi.toml").write_text(text)
    workspace = parse_manifest(text, tmp_path / "pixi.toml")
    locked = lock(workspace)
    assert wheels(locked, workspace)["linux-64"] == [f"einops {version}"]
    assert unsatisfied(workspace, locked) == []
