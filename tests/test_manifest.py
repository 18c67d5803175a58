from __future__ import annotations

from pathlib import Path

import pytest

from pixi_scaffold.errors import ManifestError
from pixi_scaffold.workspace import Workspace, find_manifest, read_manifest
from pixi_scaffold.workspace.manifest import parse_manifest

HEAD = """
[workspace]
name = "x"
channels = ["conda-forge"]
platforms = [
  { name = "gpu", platform = "linux-64", cuda = "12.0" },
  { name = "cpu", platform = "linux-64" },
  "osx-arm64",
]
"""


def parse(text: str) -> Workspace:
    return parse_manifest(text, Path("/w/pixi.toml"))


def specs(workspace: Workspace, environment: str, platform: str) -> list[str]:
    chosen = next(p for p in workspace.platforms if p.name == platform)
    return [str(r) for r in workspace.requirements(workspace.environment(environment), chosen)]


def test_virtual_packages_are_declared_or_pixis_defaults() -> None:
    gpu, cpu, mac = parse(HEAD).platforms
    base = ["__unix=0=0", "__linux=4.18", "__glibc=2.28", "__archspec=0=x86_64"]
    assert [str(v) for v in gpu.virtual_packages] == ["__cuda=12.0", *base]
    assert [str(v) for v in cpu.virtual_packages] == base
    assert [str(v) for v in mac.virtual_packages] == ["__unix=0=0", "__osx=13.0", "__archspec=0=m1"]


def test_every_form_of_a_declared_virtual_package() -> None:
    entry = (
        '{ name = "a", platform = "linux-64", cuda = { driver = "12.0", arch = "8.6" }, '
        'archspec = "x86_64_v3", glibc = "2.34", __foo = "1=b" }'
    )
    [platform] = parse(f"[workspace]\nchannels = []\nplatforms = [{entry}]\n").platforms
    assert [str(v) for v in platform.declared] == [
        "__cuda=12.0", "__cuda_arch=8.6", "__archspec=0=x86_64_v3", "__glibc=2.34", "__foo=1=b",
    ]  # fmt: skip
    assert "__glibc=2.28" not in [str(v) for v in platform.virtual_packages]


@pytest.mark.parametrize(
    ("selector", "matched"),
    [
        ("linux", {"gpu", "cpu"}),
        ("unix", {"gpu", "cpu", "osx-arm64"}),
        ("osx", {"osx-arm64"}),
        ("win", set()),
        ("linux-64", {"gpu", "cpu"}),
        ("gpu", {"gpu"}),
        ("*pu", {"gpu", "cpu"}),
        ("g*", {"gpu"}),
        ("*", {"gpu", "cpu", "osx-arm64"}),
        ("*-*", {"osx-arm64"}),
    ],
)
def test_target_selectors(selector: str, matched: set[str]) -> None:
    workspace = parse(f'{HEAD}\n[target."{selector}".dependencies]\nnumpy = "*"\n')
    assert {p.name for p in workspace.platforms if specs(workspace, "default", p.name)} == matched


def test_later_targets_replace_and_features_add_up() -> None:
    workspace = parse(
        HEAD
        + """
[dependencies]
numpy = ">=1"
[target.linux.dependencies]
numpy = ">=2"
[target.gpu.dependencies]
numpy = { version = ">=3", build = "cuda*" }
[feature.test.dependencies]
numpy = "<9"
pytest = "*"
[environments]
test = ["test"]
bare = { features = ["test"], no-default-feature = true }
"""
    )
    assert specs(workspace, "default", "gpu") == ['numpy[version=">=3", build="cuda*"]']
    assert specs(workspace, "default", "cpu") == ['numpy[version=">=2"]']
    assert specs(workspace, "default", "osx-arm64") == ['numpy[version=">=1"]']
    assert specs(workspace, "test", "cpu") == [
        'numpy[version="<9"]', "pytest", 'numpy[version=">=2"]',
    ]  # fmt: skip
    assert specs(workspace, "bare", "cpu") == ['numpy[version="<9"]', "pytest"]


def test_environments_channels_and_platforms() -> None:
    workspace = parse(
        HEAD
        + """
[feature.a]
channels = ["nvidia", { channel = "first", priority = 1 }]
platforms = ["gpu", "cpu"]
[feature.b]
platforms = ["cpu", "osx-arm64"]
[feature.low]
channels = [{ channel = "last", priority = -1 }]
[environments]
ab = { features = ["a", "b"], solve-group = "g" }
inline = { dependencies = { ruff = "*" }, no-default-feature = true }
low = ["low"]
"""
    )
    ab = workspace.environment("ab")
    assert ab.solve_group == "g"
    assert ab.features == ("a", "b", "default")
    assert [p.name for p in workspace.environment_platforms(ab)] == ["cpu"]
    assert workspace.environment_channels(ab) == ("first", "nvidia", "conda-forge")
    assert workspace.environment_channels(workspace.environment("low")) == ("conda-forge", "last")
    assert specs(workspace, "inline", "cpu") == ["ruff"]
    assert [e.name for e in workspace.environments] == ["default", "ab", "inline", "low"]


def test_a_bare_subdir_allows_all_its_platforms_unless_one_is_named() -> None:
    workspace = parse(
        HEAD
        + """
[feature.wide]
platforms = ["linux-64"]
[feature.narrow]
platforms = ["gpu"]
[environments]
wide = ["wide"]
both = ["wide", "narrow"]
"""
    )

    def names(environment: str) -> list[str]:
        found = workspace.environment_platforms(workspace.environment(environment))
        return [p.name for p in found]

    assert names("wide") == ["gpu", "cpu"]
    assert names("both") == ["gpu"]


def test_a_platform_without_a_name_gets_pixis() -> None:
    entry = '{ platform = "osx-arm64", macos = "13.5" }, { platform = "linux-64", cuda = "12.0" }'
    workspace = parse(f"[workspace]\nchannels = []\nplatforms = [{entry}]\n")
    assert [p.name for p in workspace.platforms] == ["osx-arm64-macos-13-5", "linux-64-cuda-12-0"]


def test_a_folder_as_channel_is_seen_from_the_manifest() -> None:
    workspace = parse('[workspace]\nchannels = ["./chan"]\nplatforms = ["linux-64"]\n')
    assert workspace.channels == ("file:///w/chan",)


def test_toml_as_pixi_reads_it() -> None:
    """Line breaks and a last comma in an inline table are TOML 1.1."""
    text = """
[workspace]
channels = ["conda-forge"]
platforms = [
  {
    name = "gpu",
    platform = "linux-64",
    cuda = "12.0",
  },
]
"""
    assert [p.name for p in parse(text).platforms] == ["gpu"]


def test_derived_names_are_in_pixis_order() -> None:
    entry = '{ platform = "linux-64", __zz = "1", __aa = "2", __foo = "1.0=b", cuda = "12" }'
    [platform] = parse(f"[workspace]\nchannels = []\nplatforms = [{entry}]\n").platforms
    assert platform.name == "linux-64-cuda-12-aa-2-foo-1-0-b-zz-1"


def test_shared_dependencies_of_the_workspace() -> None:
    text = (
        HEAD + '[workspace.dependencies]\nnumpy = ">=2"\n[dependencies]\nnumpy.workspace = true\n'
    )
    assert specs(parse(text), "default", "cpu") == ['numpy[version=">=2"]']


def test_tasks_and_activation() -> None:
    workspace = parse(
        HEAD
        + """
[activation]
env = { A = "1" }
scripts = ["setup.sh"]
[tasks]
plain = "python main.py"
full = { cmd = ["python", "x.py"], cwd = "sub", env = { B = "2" }, description = "d" }
alias = ["plain", "full"]
fancy = { cmd = "echo {{ a }}", args = ["a"], depends-on = ["plain"] }
[target.gpu.tasks]
plain = "python gpu.py"
"""
    )
    environment = workspace.environment("default")
    gpu, cpu, _ = workspace.platforms
    assert workspace.activation(environment, cpu) == ({"A": "1"}, ("setup.sh",))
    assert workspace.tasks(environment, gpu)["plain"].command == "python gpu.py"
    tasks = workspace.tasks(environment, cpu)
    assert tasks["plain"].command == "python main.py"
    assert (tasks["full"].command, tasks["full"].cwd) == ("python x.py", "sub")
    assert tasks["full"].env == (("B", "2"),)
    assert tasks["alias"].depends_on == ("plain", "full")
    assert tasks["fancy"].unsupported == ("args",)


@pytest.mark.parametrize(
    ("addition", "name"),
    [
        ('[pypi-dependencies]\nx = "*"', "pypi-dependencies"),
        ('[feature.f.pypi-dependencies]\nx = "*"', "feature.f.pypi-dependencies"),
        ('[target.linux.pypi-dependencies]\nx = "*"', "target.linux.pypi-dependencies"),
        ('[dependencies]\nx = { path = "." }', "dependencies.x.path"),
        ('[dependencies]\nx = { git = "u" }', "dependencies.x.git"),
        ('[dependencies]\nx = { version = "1", extras = ["a"] }', "dependencies.x.extras"),
        ('[dependencies]\nx = { version = "1", subdir = "noarch" }', "dependencies.x.subdir"),
        ('[system-requirements]\ncuda = "12"', "system-requirements"),
        ("[dev]\nx = { path = '.' }", "dev"),
        ("[package]\nname = 'x'", "package"),
        ("[something-new]\na = 1", "something-new"),
        (
            "[feature.f]\nchannels = [{ channel = 'x', exclude-newer = '2020-01-01' }]",
            "feature.f.channels.exclude-newer",
        ),
    ],
)
def test_what_only_pixi_can_do_is_named(addition: str, name: str) -> None:
    assert parse(HEAD + addition).unsupported == (name,)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('preview = ["pixi-build"]', "workspace.preview"),
        ('channel-priority = "disabled"', "workspace.channel-priority"),
        ('solve-strategy = "lowest"', "workspace.solve-strategy"),
        ('exclude-newer = "2026-01-01"', "workspace.exclude-newer"),
        ("conda-pypi-map = {}", "workspace.conda-pypi-map"),
    ],
)
def test_workspace_options_that_only_pixi_honours(line: str, name: str) -> None:
    assert parse(HEAD.replace('name = "x"', f'name = "x"\n{line}')).unsupported == (name,)


def test_default_options_are_accepted() -> None:
    text = HEAD.replace('name = "x"', 'channel-priority = "strict"\nsolve-strategy = "highest"')
    assert parse(text).unsupported == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[workspace\n", "/w/pixi.toml:1:"),
        ("a = 1\nb = = 2\n", "/w/pixi.toml:2:"),
        (HEAD + "[dependencies]\nx = '1'\nx = '2'\n", "x"),
        ("[dependencies]\n", r"no \[workspace\] table"),
        ("[workspace]\nplatforms = []\n", "at least one platform"),
        ('[workspace]\nplatforms = ["linux-65"]\n', "linux-65"),
        ('[workspace]\nplatforms = ["linux-64", "linux-64"]\n', "listed twice"),
        (
            '[workspace]\nplatforms = ["linux-64", { name = "a", platform = "linux-64" }]\n',
            "linux-64 and a are the same machine",
        ),
        ('[workspace]\nplatforms = [{ name = "1a", platform = "linux-64" }]\n', "1a"),
        ('[workspace]\nplatforms = [{ name = "unix", platform = "linux-64" }]\n', "unix"),
        ('[workspace]\nplatforms = [{ name = "a", platform = "linux-64", cud = "1" }]\n', "cud"),
        ('[workspace]\nplatforms = [{ name = "a", platform = "linux-64", cuda = 12 }]\n', "quotes"),
        (HEAD + '[environments]\na = ["nope"]\n', "no feature 'nope'"),
        (HEAD + "[environments]\na = {}\n", "empty table"),
        (HEAD + '[feature.f]\nplatforms = ["win-64"]\n', "win-64"),
        (HEAD + "dependencies = 3\n", "expected a table"),
        (HEAD + "[dependencies]\n'foo bar' = '*'\n", "foo bar"),
        (HEAD + "[tasks]\na = { cmd = ['echo', 1] }\n", "list of strings"),
        (HEAD + "[tasks]\na = { cmd = 3 }\n", "expected a command"),
        (HEAD.replace('"conda-forge"', '"~nobody-of-that-name/x"'), "not a folder"),
        ("x = " + "[" * 5000, "nested too deeply|not valid TOML"),
        (HEAD + "[target.'if(x)'.dependencies]\nx = '*'\n", "not a platform"),
        (HEAD.replace('"12.0"', '{ driver = "12", bogus = "1" }'), "bogus"),
        (HEAD.replace('"conda-forge"', '{ channel = "x", priority = "y" }'), "priority of x"),
        (HEAD + "[dependencies]\nx = 3\n", "dependencies.x: expected a table, found 3"),
        (HEAD + "[tasks]\na = { env = { A = '1' } }\n", "a task needs cmd or depends-on"),
        (HEAD.replace("channels", "chanels"), "unknown key 'chanels'; did you mean 'channels'"),
        (
            HEAD + "[dependecies]\nx = '*'\n",
            "unknown key 'dependecies'; did you mean 'dependencies'",
        ),
        ("[workspace]\nplatforms = ['linux-64']\n", "names no channels"),
        (HEAD + "[dependencies]\nx.workspace = true\n", "workspace.dependencies"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        parse(text)
    assert "/w/pixi.toml" in caught.value.message
    assert caught.value.hint


def test_finding_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no pixi\.toml"):
        find_manifest(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.pixi.workspace]\n")
    with pytest.raises(ManifestError, match=r"tool\.pixi"):
        find_manifest(tmp_path)
    (tmp_path / "pixi.toml").write_text(HEAD)
    assert find_manifest(tmp_path) == tmp_path / "pixi.toml"
    assert read_manifest(find_manifest(tmp_path / "pixi.toml")).name == "x"


def test_a_manifest_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="cannot read"):
        read_manifest(tmp_path / "pixi.toml")
