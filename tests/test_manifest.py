from __future__ import annotations

import re
from pathlib import Path

import pytest

from pixi_scaffold.errors import ManifestError
from pixi_scaffold.workspace import (
    TaskArgument,
    Workspace,
    find_manifest,
    read_manifest,
    with_platforms,
)
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


def test_a_bare_subdir_serves_only_where_it_is_declared() -> None:
    """Pixi: feature 'wide' references platform 'linux-64' which is not declared."""
    with pytest.raises(ManifestError, match="wide names the platform linux-64, which is not one"):
        parse(HEAD + '[feature.wide]\nplatforms = ["linux-64"]\n')
    workspace = parse(
        HEAD.replace('"osx-arm64"', '"linux-64"')
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

    assert names("wide") == ["linux-64"]
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
alias = [{ task = "plain" }, { task = "full" }]
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
    assert (tasks["full"].command, tasks["full"].cwd) == (("python", "x.py"), "sub")
    assert tasks["full"].env == (("B", "2"),)
    assert [d.task for d in tasks["alias"].depends_on] == ["plain", "full"]
    assert tasks["fancy"].arguments == (TaskArgument("a"),)


SOURCES = HEAD.replace('name = "x"', 'name = "x"\npreview = ["pixi-build"]')


@pytest.mark.parametrize(
    ("addition", "name"),
    [
        ('[dependencies]\nx = { path = "." }', "dependencies.x.path"),
        ('[dependencies]\nx = { git = "https://x.org/x" }', "dependencies.x.git"),
        ("[dev]\nx = { path = '.' }", "dev"),
        ("[package]\nname = 'x'", "package"),
        (
            '[feature.f.dependencies]\nx = { version = "*", when = { package = "y" } }',
            "feature.f.dependencies.x.when",
        ),
    ],
)
def test_what_only_pixi_can_do_is_named(addition: str, name: str) -> None:
    assert parse(SOURCES + addition).unsupported == (name,)


def test_what_is_asked_of_pypi_is_known() -> None:
    addition = '[target.linux.pypi-dependencies]\nrequests = "*"\n'
    workspace = parse(HEAD + addition)
    default = workspace.environment("default")
    asked = {p.name: tuple(r.name for r in workspace.pypi(default, p)) for p in workspace.platforms}
    assert asked == {"gpu": ("requests",), "cpu": ("requests",), "osx-arm64": ()}


def test_options_of_the_solver_are_read() -> None:
    text = HEAD.replace(
        'name = "x"',
        'channel-priority = "disabled"\nsolve-strategy = "lowest"\nexclude-newer = "2026-01-01"',
    )
    workspace = parse(text)
    features = workspace.group_features(workspace.environment("default"))
    assert workspace.channel_priority(features) == "disabled"
    assert workspace.solve_strategy(features) == "lowest"
    assert workspace.exclude_newer == "2026-01-01"


def test_system_requirements_become_platforms() -> None:
    head = '[workspace]\nchannels = []\nplatforms = ["linux-64", "osx-arm64"]\n'
    workspace = parse(head + '[system-requirements]\ncuda = "12"\nlibc = "2.31"\n')
    names = [p.name for p in workspace.platforms]
    assert names == ["linux-64-cuda-12-glibc-2-31", "osx-arm64"]
    with pytest.raises(ManifestError, match=r"pixi\.toml:5.*names of their own"):
        parse(HEAD + '[system-requirements]\ncuda = "12"\n')


def test_default_options_are_accepted() -> None:
    text = HEAD.replace('name = "x"', 'channel-priority = "strict"\nsolve-strategy = "highest"')
    assert parse(text).unsupported == ()


ONLY = "[workspace]\nchannels = []\nplatforms = "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[workspace\n", "/w/pixi.toml:1:"),
        ("a = 1\nb = = 2\n", "/w/pixi.toml:2:"),
        (HEAD + "[dependencies]\nx = '1'\nx = '2'\n", "x"),
        ("[dependencies]\n", r"no \[workspace\] table"),
        (ONLY + '["linux-65"]\n', "linux-65"),
        (ONLY + '["linux-64", "linux-64"]\n', "listed twice"),
        (ONLY + '[{ name = "1a", platform = "linux-64" }]\n', "1a"),
        (ONLY + '[{ name = "unix", platform = "linux-64" }]\n', "unix"),
        (ONLY + '[{ name = "a", platform = "linux-64", cud = "1" }]\n', "cud.*did you mean 'cuda'"),
        (ONLY + '[{ name = "a", platform = "linux-64", cuda = 12 }]\n', "a string .version. or a"),
        (HEAD + '[environments]\na = ["nope"]\n', "no feature 'nope'"),
        (HEAD + "[environments]\na = {}\n", "features is missing"),
        (HEAD + '[feature.f]\nplatforms = ["win-64"]\n', "win-64"),
        (HEAD + "dependencies = 3\n", "expected a table"),
        (HEAD + "[dependencies]\n'foo bar' = '*'\n", "foo bar"),
        (HEAD + "[tasks]\na = { cmd = ['echo', 1] }\n", "expected a string, found 1"),
        (HEAD + "[tasks]\na = { cmd = 3 }\n", "expected a string or a list, found 3"),
        (HEAD.replace('"conda-forge"', '"~nobody-of-that-name/x"'), "is no folder"),
        ("x = " + "[" * 5000, "nested too deeply|not valid TOML"),
        (HEAD + "[target.'if(x)'.dependencies]\nx = '*'\n", "a family"),
        (HEAD.replace('"12.0"', '{ driver = "12", bogus = "1" }'), "bogus"),
        (
            HEAD.replace('"conda-forge"', '{ channel = "x", priority = "y" }'),
            "priority: expected a whole number",
        ),
        (
            HEAD + "[dependencies]\nx = 3\n",
            "pixi.toml:11: dependencies.x: expected a string .*found 3",
        ),
        (HEAD + "[tasks]\na = { env = { A = '1' } }\n", "tasks.a.env: unknown key.*depends-on"),
        (HEAD.replace("channels", "chanels"), "chanels: unknown key; did you mean 'channels'"),
        (
            HEAD + "[dependecies]\nx = '*'\n",
            "dependecies: unknown key; did you mean 'dependencies'",
        ),
        ("[workspace]\nplatforms = ['linux-64']\n", "channels is missing"),
        (HEAD + "[dependencies]\nx.workspace = true\n", "workspace.dependencies"),
        # crates/pixi_manifest, toml/workspace.rs: also where nothing takes it from there
        (HEAD + "[workspace.dependencies]\nx.path = 'y'\n", "needs preview"),
        # crates/pixi_spec, toml.rs: validate_field_combinations
        (
            HEAD + f"preview = true\n[dependencies]\nx = {{ path = 'y', md5 = '{'0' * 32}' }}\n",
            "md5 does not go with path",
        ),
        # crates/pixi_manifest, toml/conda_pypi_map.rs
        (HEAD + "conda-pypi-map = { lab = {} }\n", "an empty table says nothing"),
        (HEAD + "[dev]\nx.branch = 'main'\n", "dev.x: branch goes only with git"),
        (HEAD + "[dev]\nx = {}\n", "dev.x: needs path, git or url"),
        # crates/pixi_manifest, toml/target.rs
        (HEAD + "preview = ['pixi-build']\n[host-dependencies]\n", r"goes into \[package\]"),
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
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n")
    with pytest.raises(ManifestError, match=r"no pixi\.toml"):
        find_manifest(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.pixi.workspace]\n")
    assert find_manifest(tmp_path) == tmp_path / "pyproject.toml"
    (tmp_path / "pixi.toml").write_text(HEAD)
    assert find_manifest(tmp_path) == tmp_path / "pixi.toml"
    assert read_manifest(find_manifest(tmp_path / "pixi.toml")).name == "x"


def test_a_manifest_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="cannot read"):
        read_manifest(tmp_path / "pixi.toml")


SYSTEM = """# a project
[workspace]
channels = ["conda-forge"]
platforms = ["linux-64", "osx-arm64"] # ours

[system-requirements]
cuda = "12"
libc = "2.31"

[target.linux-64.dependencies]
numpy = "*"
"""


def test_system_requirements_are_turned_into_platforms() -> None:
    """What `pixi workspace platform add` would write; the environments stay what they are."""
    turned = with_platforms(SYSTEM, Path("/w/pixi.toml"))
    assert turned is not None
    assert '[{ platform = "linux-64", cuda = "12", glibc = "2.31" }, "osx-arm64"] # ours' in turned
    assert turned.startswith("# a project\n")
    assert "system-requirements" not in turned
    assert not [w for w in parse(turned).warnings if w.kind == "deprecated"]
    assert {p.identity for p in parse(turned).platforms} == {
        p.identity for p in parse(SYSTEM).platforms
    }
    assert with_platforms(turned, Path("/w/pixi.toml")) is None


def test_what_is_said_of_system_requirements_comes_along() -> None:
    """Else it would be said of the next table; and tables that were apart are not put together."""
    said = SYSTEM.replace("[system-", "# what our GPUs have\n[system-")
    turned = with_platforms(said, Path("/w/pixi.toml"))
    assert turned is not None
    assert "# what our GPUs have\nplatforms = [{ platform" in turned
    more = (
        '\n[feature.gpu.system-requirements]\ncuda = "12"\n\n[feature.gpu.dependencies]\na = "*"\n'
    )
    apart = with_platforms(
        SYSTEM + more + '\n[environments]\ngpu = ["gpu"]\n', Path("/w/pixi.toml")
    )
    assert apart is not None
    assert re.findall(r"(?m)^\S.*\n\[.*", apart) == ["# a project\n[workspace]"]


FEATURES = """# a project
[workspace]
channels = ["conda-forge"]
platforms = ["linux-64", "osx-arm64"]
[dependencies]
python = "*" # any
[feature.gpu.dependencies]
cuda-version = "12.*"
"""


@pytest.mark.parametrize(
    ("more", "base"),
    [
        ('[feature.gpu.system-requirements]\ncuda = "12"\n[environments]\ngpu = ["gpu"]\n', True),
        (
            '[system-requirements]\nlibc = "2.31"\n[feature.gpu.system-requirements]\ncuda = "12"\n'
            '[environments]\ngpu = ["gpu"]\ntest = { features = [], solve-group = "t" }\n',
            True,
        ),
        (
            '[feature.gpu]\nplatforms = ["linux-64"]\nsystem-requirements = { cuda = "12" }\n'
            '[environments]\ndefault = ["gpu"]\n',
            False,
        ),
        (
            '[feature.gpu.system-requirements]\ncuda = "12"\n[feature.old.system-requirements]\n'
            'cuda = "11"\n[environments]\na = ["gpu"]\nb = ["old"]\n',
            True,
        ),
    ],
)
def test_system_requirements_of_features_are_turned_into_named_platforms(
    more: str, base: bool
) -> None:
    """Each environment has the same machines as before, in the same order, and the same packages."""

    def needs(text: str) -> dict[str, list[object]]:
        found = parse(text)
        return {
            e.name: [
                (p.identity, set(found.requirements(e, p))) for p in found.environment_platforms(e)
            ]
            for e in found.environments
        }

    turned = with_platforms(FEATURES + more, Path("/w/pixi.toml"))
    assert turned is not None
    assert "system-requirements" not in turned
    assert needs(turned) == needs(FEATURES + more)
    assert "# any" in turned
    assert ("[feature.base]" in turned) is base
    assert with_platforms(turned, Path("/w/pixi.toml")) is None


def test_what_cannot_be_turned_stays() -> None:
    more = '[feature.gpu.system-requirements]\ncuda = "12"\n[environments]\ngpu = ["gpu"]\n'
    taken = '[feature.base.dependencies]\ntqdm = "*"\n'
    assert with_platforms(FEATURES + taken + more, Path("/w/pixi.toml")) is None
    assert with_platforms("[workspace", Path("/w/pixi.toml")) is None


@pytest.mark.parametrize(
    "text",
    [
        "feature = 1",
        "feature = []",
        "dependencies = 1",
        "workspace = 1",
        "pypi-dependencies = 1",
        "feature = { f = 1 }",
    ],
)
def test_a_wrong_pyproject_is_refused(text: str) -> None:
    """The groups are looked at before the grammar is."""
    key, value = text.split(" = ", 1)
    head = "[tool.pixi]\n" + f"{key} = {value}\n"
    head += "" if key == "workspace" else "[tool.pixi.workspace]\nchannels = []\n"
    with pytest.raises(ManifestError, match=rf"pyproject.toml:2: {key}"):
        parse_manifest(head + '[dependency-groups]\nf = ["x"]\n', Path("/w/pyproject.toml"))


def test_python_and_the_default_group_of_a_pyproject() -> None:
    """pyproject.rs of Pixi 0.77: a name counts in any case, and a group `default` is no feature."""
    text = (
        '[project]\nname = "x"\nrequires-python = ">=3.9"\ndependencies = ["numpy"]\n'
        '[dependency-groups]\ndefault = ["tqdm"]\n[tool.pixi.workspace]\nchannels = []\n'
        'platforms = ["linux-64"]\n[tool.pixi.dependencies]\nPython = "3.12.*"\n'
    )
    workspace = parse_manifest(text, Path("/w/pyproject.toml"))
    [environment], [platform] = workspace.environments, workspace.platforms
    conda = [str(one) for one in workspace.requirements(environment, platform)]
    assert conda == ['python[version="3.12.*"]']
    assert {one.name for one in workspace.pypi(environment, platform)} == {"numpy", "tqdm"}


def test_requirements_of_a_pyproject_keep_their_versions_extras_and_markers(tmp_path: Path) -> None:
    """Several of one package hold together, also with those of [tool.pixi]."""
    text = (
        '[project]\nname = "p"\ndependencies = ["numpy<2; python_version<\'3.12\'", '
        '"NumPy>=2; python_version>=\'3.12\'", "httpx[http2]>=0.27"]\n'
        '[project.optional-dependencies]\nextra = ["x @ https://example.org/x.whl"]\n'
        '[tool.pixi.workspace]\nchannels = []\nplatforms = ["linux-64"]\n'
        '[tool.pixi.pypi-dependencies]\nnumpy = "!=2.1"\n'
        '[tool.pixi.environments]\nmore = ["extra"]\n'
    )
    workspace = parse_manifest(text, tmp_path / "pyproject.toml")
    [platform] = workspace.platforms
    default, more = (workspace.environment(name) for name in ("default", "more"))
    assert sorted(map(str, workspace.pypi(default, platform))) == [
        "httpx[http2]>=0.27",
        "numpy!=2.1",
        'numpy<2 ; python_version < "3.12"',
        'numpy>=2 ; python_version >= "3.12"',
    ]
    assert [r.source for r in workspace.pypi(more, platform) if r.name == "x"] == ["url"]


PYPROJECT = '[tool.pixi.workspace]\nchannels = []\nplatforms = ["linux-64"]\n'


@pytest.mark.parametrize(
    ("extras", "expected"),
    [
        ('dev = ["x"]\nall = ["p[dev]", "y"]\n', {"dev": ["x"], "all": ["x", "y"]}),
        ('a-b = ["x"]\nall = ["p[A_b]"]\n', {"a-b": ["x"], "all": ["x"]}),
        (
            'dev = ["x"]\n[dependency-groups]\nt = [{ include-group = "u" }, "p[dev]"]\nu = ["z"]\n',
            {"dev": ["x"], "t": ["x", "z"], "u": ["z"]},
        ),
        ('dev = ["x"]\n[dependency-groups]\ndev = ["z"]\n', {"dev": ["z"]}),
    ],
)
def test_extras_and_groups_include_others(extras: str, expected: dict[str, list[str]]) -> None:
    """As pyproject-toml-rs resolves them, through which Pixi reads them (resolution.rs)."""
    text = '[project]\nname = "p"\n[project.optional-dependencies]\n' + extras + PYPROJECT
    workspace = parse_manifest(
        text + "[tool.pixi.environments]\n" + "".join(f'{n} = ["{n}"]\n' for n in expected),
        Path("/w/pyproject.toml"),
    )
    [platform] = workspace.platforms
    for name, packages in expected.items():
        asked = workspace.pypi(workspace.environment(name), platform)
        assert sorted(r.name for r in asked) == packages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[project]\nversion = "1"\n', "pyproject.toml:1: project: name is missing"),
        ('[project]\nname = "p"\nfoo = 1\n', "pyproject.toml:3: project.foo: unknown key"),
        ('[project]\nname = "p"\nrequires-python = "3.12"\n', "'3.12' is not a version specifier"),
        ('[project]\nname = "p"\ndependencies = ["a b"]\n', "'a b' is not a requirement"),
        ('[project]\nname = "p"\nversion = "x"\n', "'x' is not a version as PyPI has them"),
        ('[build-system]\nbuild-backend = "x"\n', "build-system: requires is missing"),
        ('[dependency-groups]\na = [{ include-group = "b" }]\n', "includes 'b', which is not"),
        (
            '[dependency-groups]\na = [{ include-group = "b" }]\nb = [{ include-group = "a" }]\n',
            "dependency-groups.a: it includes itself: a -> b -> a",
        ),
        (
            '[project]\nname = "p"\n[project.optional-dependencies]\na = ["p[b]"]\n',
            "optional-dependencies.a: it includes 'b', which is not there",
        ),
    ],
)
def test_what_pixi_refuses_around_tool_pixi(text: str, message: str) -> None:
    """Rules of crates/pixi_manifest/src/toml/pyproject.rs and pyproject-toml-rs."""
    with pytest.raises(ManifestError, match=message):
        parse_manifest(text + PYPROJECT, Path("/w/pyproject.toml"))


@pytest.mark.parametrize(
    ("text", "is_read"),
    [
        ("[tasks]\nb = 'x'\na = [{ task = 'b', more = 1 }]\n", True),
        ("[tasks]\nb = 'x'\na = { depends_on = [{ task = 'b', more = 1 }] }\n", True),
        ("[tasks]\nb = 'x'\na = { depends-on = [{ task = 'b', more = 1 }] }\n", False),
        ("[pypi-options]\nfind-links = [{ path = 'x', more = 1 }]\n", True),
        ("[pypi-options]\nfind-links = [{}]\n", False),
        ("[pypi-options]\nfind-links = [{ path = 'x', url = 'https://x.example' }]\n", False),
        ("[pypi-dependencies]\nx = ''\n", True),
        ("[pypi-dependencies]\nx = '>=1,'\n", False),
        ("[pypi-dependencies]\nx = ' '\n", False),
    ],
)
def test_what_pixi_passes_over_and_what_it_does_not(text: str, is_read: bool) -> None:
    """Rules of crates/pixi_manifest/src/toml (task.rs, pypi_options.rs) and pep440_rs."""
    try:
        parse(HEAD + text)
    except ManifestError:
        assert not is_read
    else:
        assert is_read


def test_of_two_overrides_that_of_the_first_feature_counts() -> None:
    """crates/pixi_manifest/src/pypi/pypi_options.rs: union for features, overlay for the rest."""
    text = HEAD + "".join(
        f'[feature.{name}.pypi-options.dependency-overrides]\nx = "=={number}"\n'
        for number, name in enumerate(("f", "g"))
    )
    text += '[workspace.pypi-options.dependency-overrides]\nx = "==9"\ny = "==9"\n'
    workspace = parse(text + '[environments]\ne = ["g", "f"]\n')
    options = workspace.environment_pypi_options(workspace.environment("e"))
    assert sorted(map(str, options.overrides)) == ["x==1", "y==9"]


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("index-url", '"https://one.example"', '"https://two.example"'),
        ("index-strategy", '"first-index"', '"unsafe-best-match"'),
        ("prerelease-mode", '"allow"', '"disallow"'),
        ("skip-wheel-filename-check", "true", "false"),
    ],
)
def test_features_of_an_environment_agree_on_what_has_one_value(
    key: str, one: str, other: str
) -> None:
    """Equal ones may be there twice (crates/pixi_manifest, pypi_options.rs, union)."""
    text = HEAD + '[environments]\ne = ["f", "g"]\n'
    text += "".join(f"[feature.{f}.pypi-options]\n{key} = {f}\n" for f in "fg")
    same = text.replace(" = f\n", f" = {one}\n").replace(" = g\n", f" = {one}\n")
    assert len(parse(same).environments) == 2
    with pytest.raises(ManifestError, match=f"its features have several {key}"):
        parse(same.replace(one, other, 1))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ('when = "python >=3.12"', ""),
        ('when = { all = ["__unix", { any = ["__linux", "__osx"] }] }', ""),
        ('when = { package = "python", build = "*cuda", track-features = ["a"] }', ""),
        ('when = "python >=3.12 *cuda"', "only a package and its versions"),
        ('when = "python[version=3]"', "only a package and its versions"),
        ('when = "conda-forge::python"', "only a package and its versions"),
        ('when = "py*"', "is not a package"),
        ('when = ["python"]', "expected a string .* or a table, found"),
        ('when = { any = [] }', "any: name at least one condition"),
        ('when = { all = ["a"], any = ["b"] }', "say exactly one of all, any, package"),
        ('when = { all = ["a"], version = "*" }', "say exactly one of all, any, package"),
        ('when = { version = "*" }', "say exactly one of all, any, package"),
        ('when = { package = "python", channel = "x" }', "unknown key"),
        ('when = { package = "python", url = "https://a/b.conda" }', "unknown key"),
        ('git = "https://a.example/b", subdirectory = "../b"', "a folder inside the repository"),
        ('git = "https://a.example/b", subdirectory = "/b"', "a folder inside the repository"),
        ('git = "https://a.example/b", subdirectory = "a/../../b"', "a folder inside the repository"),
    ],
)  # fmt: skip
def test_a_condition_and_a_subdirectory_are_looked_into(spec: str, message: str) -> None:
    """As Pixi 0.77 reads them (crates/pixi_spec: toml.rs and subdirectory.rs, with their tests)."""
    text = f'{HEAD}[dependencies]\nx = {{ version = "1.*", {spec} }}\n'
    if "git" in spec:
        text = f"{HEAD}[pypi-dependencies]\nx = {{ {spec} }}\n"
    if not message:
        assert parse(text)
        return
    with pytest.raises(ManifestError, match=message):
        parse(text)
