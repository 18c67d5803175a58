"""Merging: no line of a user's is ever lost, whatever was edited."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixi_scaffold.system import File
from pixi_scaffold.template import Render, Renderer, Template
from pixi_scaffold.update.merge import (
    Action,
    Change,
    Sides,
    has_markers,
    merge_trees,
    missing_comments,
)
from tests.support.history import History

OLD = ("v0.1.0", "v0.2.0", "v0.3.0", "v0.4.0")


@pytest.fixture(scope="module")
def renders(history: History) -> dict[str, Render]:
    with Renderer(Template(str(history.folder))) as renderer:
        return {tag: renderer.render(tag, {"project_name": "p"}) for tag in history.tags}


def merge(base: Render, ours: dict[str, File], theirs: Render) -> dict[str, Change]:
    sides = Sides(base.files, ours, theirs.files, theirs.seeded, ".copier-answers.yml", {})
    return {change.path: change for change in merge_trees(sides)}


def file(text: str) -> File:
    return File(text.encode())


def one(base: str | None, ours: str | None, theirs: str | None, path: str = "x") -> Change | None:
    """Merge a single file, None: not there."""
    trees = [{} if text is None else {path: file(text)} for text in (base, ours, theirs)]
    changes = merge_trees(Sides(*trees, frozenset(), "answers", {}))  # type: ignore[arg-type]
    return changes[0] if changes else None


@dataclass(frozen=True)
class EditLine:
    """One edit: in which file, at which line, and what. The file and line are taken modulo."""

    file: int
    line: int
    kind: str
    text: str


TEXT = st.sampled_from(
    ("# mine", 'mine = "*"', "[mine]", "x = 1", "<<<<<<<", "é ☃", "\ttab", "trailing  ", "'''", "]")
)
KIND = st.sampled_from(("insert", "replace", "delete", "append"))
EDIT = st.builds(EditLine, st.integers(0, 99), st.integers(0, 999), KIND, TEXT)


def apply(
    tree: dict[str, File], edits: list[EditLine]
) -> tuple[dict[str, File], dict[str, list[str]]]:
    """Return the edited tree, and the lines that were written into each file; each is unique."""
    found, written = dict(tree), dict[str, list[str]]()
    names = sorted(set(tree) - {".copier-answers.yml"})
    for number, edit in enumerate(edits):
        path = names[edit.file % len(names)]
        lines = found[path].content.decode().split("\n")
        at = edit.line % max(len(lines), 1)
        text = f"{edit.text} # line {number} of mine"
        match edit.kind:
            case "insert":
                lines.insert(at, text)
            case "replace":
                lines[at] = text
            case "append":
                lines.append(text)
            case "delete":
                del lines[at]
        found[path] = found[path]._replace(content="\n".join(lines).encode())
        if edit.kind != "delete":
            written.setdefault(path, []).append(text)
    for path, lines_ in written.items():  # a later edit can take an earlier one away
        kept = found[path].content.decode().split("\n")
        written[path] = [line for line in lines_ if line in kept]
    return found, written


@settings(max_examples=150, deadline=None, suppress_health_check=[*HealthCheck])
@given(tag=st.sampled_from(OLD), edits=st.lists(EDIT, min_size=1, max_size=12))
def test_no_line_of_yours_is_lost(
    history: History, renders: dict[str, Render], tag: str, edits: list[EditLine]
) -> None:
    base, theirs = renders[tag], renders[history.newest]
    ours, written = apply(dict(base.files), edits)
    changes = merge(base, ours, theirs)
    for path, lines in written.items():
        change = changes.get(path)
        result = ours.get(path) if change is None else change.file
        assert result is not None, path
        there = result.content.decode().split("\n")
        assert [line for line in lines if line not in there] == [], path
    for path, change in changes.items():
        if path not in written and ours.get(path) == base.files.get(path) and path in theirs.files:
            assert change.file == theirs.files[path], path


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "action", "result"),
    [
        ("a\n", "a\n", "b\n", Action.UPDATED, "b\n"),
        ("a\n", "mine\n", "a\n", Action.YOURS, "mine\n"),
        (None, None, "b\n", Action.NEW, "b\n"),
        ("a\n", "a\n", None, Action.DELETED, None),
        ("a\n", "mine\n", None, Action.YOURS, "mine\n"),
        ("a\n", None, "b\n", Action.YOURS, None),
        (
            "a\nb\nc\nd\n",
            "mine\na\nb\nc\nd\n",
            "a\nb\nc\nd\nz\n",
            Action.MERGED,
            "mine\na\nb\nc\nd\nz\n",
        ),
    ],
)
def test_each_action(
    base: str | None, ours: str | None, theirs: str | None, action: Action, result: str | None
) -> None:
    change = one(base, ours, theirs)
    assert change is not None
    assert change.action is action
    assert change.file == (None if result is None else file(result))


def test_what_both_did_is_no_change() -> None:
    assert one("a\n", "b\n", "b\n") is None
    assert one(None, "b\n", "b\n") is None
    assert one("a\n", None, None) is None


def test_a_file_that_both_added() -> None:
    change = one(None, "mine\n", "theirs\n")
    assert change is not None
    assert change.action is Action.CONFLICT
    assert change.file is not None
    assert change.file.content == (
        b"<<<<<<< before updating\nmine\n=======\ntheirs\n>>>>>>> after updating\n"
    )


def test_the_executable_bit_merges_like_a_line() -> None:
    for before, mine, now, result in (
        (False, False, True, True),
        (False, True, False, True),
        (True, False, True, False),
    ):
        trees = [
            {"x": File(b"a\n" if n == 0 else b"a\nb\n" if n == 2 else b"0\na\n", bit)}
            for n, bit in enumerate((before, mine, now))
        ]
        change = merge_trees(Sides(*trees, frozenset(), "answers", {}))[0]  # type: ignore[arg-type]
        assert change.file is not None
        assert change.file.executable is result


MANIFEST = """# the head
[workspace]
channels = ["conda-forge"]
platforms = [
  { name = "gpu", platform = "linux-64", cuda = "12.0" }, # the driver
  "osx-arm64",
]

# What it needs
[dependencies]
python = ">=3.11"
pytorch = ">=2.5"
numpy = "*"
tqdm = "*"

# Only there
[target.gpu.dependencies]
cuda-version = "12.9.*"

[tasks]
train = { cmd = "python main.py" }
"""


def manifest(ours: str, theirs: str, base: str = MANIFEST) -> Change:
    change = one(base, ours, theirs, "pixi.toml")
    assert change is not None
    return change


def test_neighbouring_lines_of_the_manifest_are_no_conflict() -> None:
    """Plain lines would conflict: each changes the line beside the other's."""
    ours = MANIFEST.replace('numpy = "*"\n', 'numpy = "<2" # pinned\nmine = "*" # my own\n')
    theirs = MANIFEST.replace('">=2.5"', '">=2.6" # newer').replace('tqdm = "*"\n', 'rich = "*"\n')
    change = manifest(ours, theirs)
    assert change.action is Action.MERGED
    assert change.file is not None
    text = change.file.content.decode()
    assert tomllib.loads(text)["dependencies"] == {
        "python": ">=3.11",
        "pytorch": ">=2.6",
        "numpy": "<2",
        "mine": "*",
        "rich": "*",
    }
    for comment in ("# the head", "# pinned", "# my own", "# newer", "# the driver"):
        assert comment in text
    assert text.index("pytorch") < text.index("numpy") < text.index("mine")
    assert text.index('rich = "*"') < text.index("# Only there")


def test_only_a_key_that_both_changed_is_a_conflict() -> None:
    ours = MANIFEST.replace('">=2.5"', '"==2.5.1"').replace('numpy = "*"\n', "")
    theirs = MANIFEST.replace('">=2.5"', '">=2.6"').replace(
        'tqdm = "*"\n', 'tqdm = "*"\nrich = "*"\n'
    )
    change = manifest(ours, theirs)
    assert change.action is Action.CONFLICT
    assert change.note == "dependencies.pytorch"
    assert change.file is not None
    text = change.file.content.decode()
    assert text.count("<<<<<<<") == 1
    assert (
        '<<<<<<< before updating\npytorch = "==2.5.1"\n=======\npytorch = ">=2.6"\n>>>>>>>' in text
    )
    for side in ("==2.5.1", ">=2.6"):
        lines = text.splitlines()
        resolved = [
            line
            for line in lines
            if not line.startswith(("<<<<<<<", "=======", ">>>>>>>"))
            and not (line.startswith("pytorch") and side not in line)
        ]
        data = tomllib.loads("\n".join(resolved))["dependencies"]
        assert data == {"python": ">=3.11", "pytorch": side, "tqdm": "*", "rich": "*"}


def test_lists_of_platforms_and_channels_merge_by_name() -> None:
    ours = MANIFEST.replace('["conda-forge"]', '["mine", "conda-forge"]').replace(
        '  "osx-arm64",\n', '  "osx-arm64",\n  "linux-aarch64", # mine\n'
    )
    theirs = MANIFEST.replace('cuda = "12.0"', 'cuda = "13.0"').replace(
        '  "osx-arm64",\n', '  "osx-arm64",\n  "win-64",\n'
    )
    change = manifest(ours, theirs)
    assert change.action is Action.MERGED
    assert change.file is not None
    text = change.file.content.decode()
    workspace = tomllib.loads(text)["workspace"]
    assert workspace["channels"] == ["mine", "conda-forge"]
    assert workspace["platforms"] == [
        {"name": "gpu", "platform": "linux-64", "cuda": "13.0"},
        "osx-arm64",
        "linux-aarch64",
        "win-64",
    ]
    assert "# mine" in text
    assert "# the driver" in text


def test_the_same_key_added_by_both() -> None:
    """Lines alone would write it twice, which is no TOML any more."""
    ours = MANIFEST.replace('python = ">=3.11"\n', 'rich = "*"\npython = ">=3.11"\n')
    theirs = MANIFEST.replace('tqdm = "*"\n', 'tqdm = "*"\nrich = "*"\n')
    change = one(MANIFEST, ours, theirs, "pixi.toml")
    assert change is not None
    assert change.file is not None
    assert tomllib.loads(change.file.content.decode())["dependencies"]["rich"] == "*"
    assert change.file.content.decode().count("rich") == 1


def test_a_new_table_and_a_table_that_goes() -> None:
    ours = MANIFEST.replace('cmd = "python main.py"', 'cmd = "python main.py --mine"')
    theirs = MANIFEST.replace('train = { cmd = "python main.py" }\n', "").replace(
        "[tasks]\n", '[tasks]\nplot = { cmd = "p" }\n\n[feature.dev.dependencies]\nruff = "*"\n'
    )
    change = manifest(ours, theirs)
    assert change.action is Action.CONFLICT  # the task: changed here, removed there
    assert change.note == "tasks.train"
    assert change.file is not None
    assert b'\n[feature.dev.dependencies]\nruff = "*"\n' in change.file.content
    assert b'plot = { cmd = "p" }\n' in change.file.content


def test_a_table_that_the_template_drops() -> None:
    theirs = MANIFEST.replace('[target.gpu.dependencies]\ncuda-version = "12.9.*"\n', "")
    ours = MANIFEST.replace('"12.9.*"\n', '"12.9.*"\nmine = "*"\n')
    change = manifest(ours, theirs)
    assert change.file is not None
    data = tomllib.loads(change.file.content.decode())
    assert data["target"]["gpu"]["dependencies"] == {"mine": "*"}
    change = manifest(MANIFEST.replace("12.9.*", "12.6.*"), theirs)
    assert change.note == "target.gpu.dependencies.cuda-version"


@pytest.mark.parametrize(
    ("table", "yours", "name"),
    [
        (
            '[feature.x.tasks]\nsmoke = { cmd = "s", cwd = "." }\n',
            '"." , env = { A = "1" } }',
            "smoke",
        ),
        ('[environments]\ndev = { features = [], solve-group = "d" }\n', None, "dev"),
        ('[feature.x.dependencies]\nrich = { version = "*", channel = "lab" }\n', None, "rich"),
    ],
)
def test_a_task_that_the_template_drops_is_not_hollowed_out(
    table: str, yours: str | None, name: str
) -> None:
    base = f"{MANIFEST}\n{table}"
    end = '"." }' if yours else " }\n"
    mine = base.replace(end, yours or ', build = "1" }\n')
    assert mine != base
    theirs = base.replace(table.splitlines()[1] + "\n", 'other = "*"\n')
    change = manifest(mine, theirs, base)
    assert change.action is Action.CONFLICT
    assert change.note.endswith(name)
    assert change.file is not None
    assert mine.splitlines()[-1].encode() in change.file.content


def test_windows_line_ends_stay_in_the_whole_manifest() -> None:
    ours = MANIFEST.replace('numpy = "*"\n', 'numpy = "<2" # pinned\n').replace("\n", "\r\n")
    theirs = MANIFEST.replace('tqdm = "*"\n', 'rich = "*"\n') + '\n[feature.x.tasks]\na = "b"\n'
    change = manifest(ours, theirs)
    assert change.file is not None
    content = change.file.content
    assert content.count(b"\n") == content.count(b"\r\n")
    assert b'rich = "*"\r\n' in content


def test_comments_of_the_template_that_do_not_come_in_are_told() -> None:
    ours = MANIFEST.replace('numpy = "*"\n', 'numpy = "<2" # pinned\n')
    theirs = MANIFEST.replace('tqdm = "*"\n', '# for people\nrich = "*"\n')
    assert manifest(ours, theirs).note.endswith("comments of the template are left out")


DEV = MANIFEST.replace(
    "# Only there\n",
    '[feature.dev.dependencies]\npytest = "*"\nruff = "*" # style\n\n# Only there\n',
)


@pytest.mark.parametrize(
    ("old", "new", "template_old", "template_new"),
    [
        ('pytest = "*"\n', '# wiki: mine\npytest = "*"\n', 'ruff = "*"', 'mypy = "*"\nruff = "*"'),
        ("# style\n", "# style\n# wiki: mine\n", 'ruff = "*"', 'mypy = "*"\nruff = "*"'),
        ('pytest = "*"\n', 'pytest = "*" # wiki: mine\n', 'pytest = "*"\n', ""),
        ('  "osx-arm64",\n', '  # wiki: mine\n  "osx-arm64",\n', '"osx-arm64",', '"win-64",'),
        (
            '  "osx-arm64",\n',
            '  "osx-arm64", # wiki: mine\n',
            '"osx-arm64",',
            '"osx-arm64", "win-64",',
        ),
        ('["conda-forge"]', '[\n  "conda-forge", # wiki: mine\n]', '["conda-', '["lab", "conda-'),
        ("[tasks]\n", "# wiki: mine\n\n[tasks]\n", 'cuda-version = "12.9.*"\n', ""),
        ('cuda-version = "12.9.*"', '# wiki: mine\ncuda-version = "12.9.*"', "12.9", "13.0"),
    ],
)
@pytest.mark.parametrize("conflict", [True, False])
def test_a_comment_of_yours_stays(
    old: str, new: str, template_old: str, template_new: str, conflict: bool
) -> None:
    """Beside a conflict too; where the merge by keys would lose it, the lines are merged."""
    ours = DEV.replace(old, new)
    theirs = DEV.replace(template_old, template_new)
    assert DEV not in (ours, theirs)
    if conflict:
        ours = ours.replace('numpy = "*"', 'numpy = ">=1.26"')
        theirs = theirs.replace('numpy = "*"', 'numpy = ">=2"')
    change = one(DEV, ours, theirs, "pixi.toml")
    assert change is not None
    assert change.file is not None
    text = change.file.content.decode()
    assert "# wiki: mine" in text
    assert "# style" in text
    assert has_markers(change.file.content) or not conflict
    if not has_markers(change.file.content):
        tomllib.loads(text)


def test_missing_comments_counts_whole_comments() -> None:
    assert missing_comments("", "a = 1 # x\nb = 2 # x\n", "", "a = 1 # x\n") == ["# x"]
    assert missing_comments("", "a = 1 # x\n", "", "a = 1 # xy\n") == ["# x"]
    assert missing_comments("", 'a = "# x"\n', "", "") == []
    assert missing_comments("# x\n", "# x\n", "", "") == []
    assert missing_comments("# x\n", "# x\n", "# x\n", "") == ["# x"]
    other = "<<<<<<< before updating\n=======\n# x\n>>>>>>> after updating\n"
    assert missing_comments("", "# x\n", "", other) == ["# x"]


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "expected"),
    [
        ("a b", "a b m", "n a b", "n a b m"),
        ("a b", "a b m", "a n b", "a n b m"),
        ("a b", "m a b", "a b n", "m a b n"),
        ("a b", "b m", "a n b", "n b m"),
        ("a b c", "a b c m", "c a b", "c m a b"),
        ("a b c", "c b a", "a b c n", "c n b a"),
        ("a b c", "b a c", "b a c n", "b a c n"),
        ("a b c", "b a c", "c a b", None),
    ],
)
def test_the_order_of_channels_is_a_preference(
    base: str, ours: str, theirs: str, expected: str | None
) -> None:
    texts = [
        MANIFEST.replace('["conda-forge"]', str(side.split()).replace("'", '"'))
        for side in (base, ours, theirs)
    ]
    change = one(texts[0], texts[1], texts[2], "pixi.toml")
    if expected is None:
        assert change is not None
        assert (change.action, change.note) == (Action.CONFLICT, "workspace.channels")
        return
    content = texts[1].encode() if change is None or change.file is None else change.file.content
    assert tomllib.loads(content.decode())["workspace"]["channels"] == expected.split()
    assert f"channels = {expected.split()}\n".replace("'", '"') in content.decode()


def test_a_table_that_you_removed_is_named_in_full() -> None:
    ours = MANIFEST.replace('[target.gpu.dependencies]\ncuda-version = "12.9.*"\n', "")
    change = manifest(ours, MANIFEST.replace("12.9", "13.0"))
    assert (change.action, change.note) == (Action.CONFLICT, "target.gpu.dependencies")


def test_a_manifest_that_is_no_toml_merges_as_lines() -> None:
    change = manifest(MANIFEST + "[broken\n", MANIFEST.replace("# the head", "# the new head"))
    assert change.action is Action.MERGED
    assert change.file is not None
    assert change.file.content.decode().startswith("# the new head")
    assert change.file.content.decode().endswith("[broken\n")


KEYS = st.sampled_from(("python", "pytorch", "numpy", "tqdm", "rich", "mine"))
VALUES = st.sampled_from(("*", ">=1", "==2"))
TABLE = st.dictionaries(KEYS, VALUES, max_size=5)


def written(table: dict[str, str]) -> str:
    lines = "".join(f'{key} = "{value}"\n' for key, value in table.items())
    return f'[workspace]\nname = "x"\n\n[dependencies]\n{lines}\n[tasks]\nt = "x"\n'


@settings(max_examples=100, deadline=None)
@given(base=TABLE, ours=TABLE, theirs=TABLE)
def test_dependencies_merge_as_a_table(
    base: dict[str, str], ours: dict[str, str], theirs: dict[str, str]
) -> None:
    """The rule, said a second way: for each key, what one side alone did counts."""
    expected: dict[str, str | None] = {}
    conflicts = set()
    for key in {*base, *ours, *theirs}:
        b, o, t = base.get(key), ours.get(key), theirs.get(key)
        expected[key] = t if o == b else o
        if b not in (o, t) and o != t:
            conflicts.add(f"dependencies.{key}")
    change = one(written(base), written(ours), written(theirs), "pixi.toml")
    content = written(ours).encode()
    if change is not None:
        assert change.file is not None
        content = change.file.content
    if conflicts:
        assert change is not None
        assert has_markers(content)
        assert set(change.note.split(", ")) == conflicts
    else:
        found = tomllib.loads(content.decode())
        assert found["dependencies"] == {k: v for k, v in expected.items() if v is not None}
        assert found["tasks"] == {"t": "x"}


NOTES = st.dictionaries(
    st.sampled_from(
        (
            "[workspace]\n",
            "platforms = [\n",
            '  "osx-arm64",\n',
            'python = ">=3.11"\n',
            'tqdm = "*"\n',
            'pytest = "*"\n',
            'cuda-version = "12.9.*"\n',
            "[tasks]\n",
        )
    ),
    st.sampled_from(("inline", "above", "below")),
)
TEMPLATE_EDITS = st.lists(
    st.sampled_from(
        (
            ('["conda-forge"]', '["lab", "conda-forge"]'),
            ('  "osx-arm64",\n', '  "win-64",\n  "osx-arm64",\n'),
            ('  "osx-arm64",\n', ""),
            ('tqdm = "*"\n', ""),
            ('pytest = "*"\n', 'pytest = ">=9"\nmypy = "*"\n'),
            ('pytest = "*"\n', ""),
            ('cuda-version = "12.9.*"\n', 'cuda-version = "13.0.*"\n'),
            ('# Only there\n[target.gpu.dependencies]\ncuda-version = "12.9.*"\n', ""),
        )
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(notes=NOTES, edits=TEMPLATE_EDITS, conflict=st.booleans())
def test_no_comment_of_yours_is_lost(
    notes: dict[str, str], edits: list[tuple[str, str]], conflict: bool
) -> None:
    ours, theirs = DEV, DEV
    for number, (line, place) in enumerate(notes.items()):
        note = f"# mine {number}."
        new = {"inline": f"{line[:-1]} {note}\n", "above": f"{note}\n{line}"}
        ours = ours.replace(line, new.get(place, f"{line}{note}\n"))
    for old, now in edits:
        theirs = theirs.replace(old, now)
    if conflict:
        ours = ours.replace('numpy = "*"', 'numpy = ">=1.26"')
        theirs = theirs.replace('numpy = "*"', 'numpy = ">=2"')
    tomllib.loads(ours)
    tomllib.loads(theirs)
    change = one(DEV, ours, theirs, "pixi.toml")
    text = ours
    if change is not None:
        assert change.file is not None
        text = change.file.content.decode()
    for number in range(len(notes)):
        assert text.count(f"# mine {number}.") >= 1
    assert has_markers(text.encode()) or not conflict
    if not has_markers(text.encode()):
        tomllib.loads(text)
