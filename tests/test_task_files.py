"""Which files the inputs and outputs of a task are, and when a task is done.

Pixi finds them with the library of ripgrep, of which the answers in data/task-globs.jsonl are
(ripgrep 13.0, `rg --files --no-ignore -L -g PATTERN...`, also with `--hidden`). What Pixi puts around it
is in crates/pixi_glob (0.77.0); the cases of hidden files and of folders above are those of its tests.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixi_scaffold.cli.app import app
from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.tasks.globs import _rules, _walk, task_files

HEAD = '[workspace]\nname = "t"\nchannels = []\nplatforms = ["linux-64", "osx-arm64"]\n[tasks]\n'

TREE = [
    "a.txt",
    "b.py",
    ".h.txt",
    "src/a.txt",
    "src/.h",
    "src/sub/c.txt",
    "src/sub/.d/e.txt",
    "src/b.py",
    ".hid/a.txt",
    ".hid/sub/b.py",
    "data/x/y/z.csv",
    "data/x/.k/q.csv",
    "d.a/t{1}",
    "data/[x]",
    "x!y",
    "w/.hid/a.txt",
]
"""What ripgrep was asked about, with a link to src beside it."""


def make(root: Path, *names: str) -> Path:
    """Make empty files in a folder."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return root


def test_a_pattern_names_what_it_names_to_ripgrep(tmp_path: Path) -> None:
    make(tmp_path, *TREE)
    (tmp_path / "link").symlink_to("src")
    rows = Path(__file__).with_name("data").joinpath("task-globs.jsonl").read_text().splitlines()
    different = []
    for row in map(json.loads, rows):
        rules = [rule for line in row["patterns"] for rule in _rules(line)]
        files = sorted(_walk(tmp_path, "", rules, row["hidden"], frozenset()))
        if files != row["files"]:
            different.append((row, files))
    assert not different, different[:3]
    assert len(rows) > 100


@pytest.mark.parametrize(
    ("patterns", "files"),
    [
        (["**/*.txt", "!exclude.txt"], ["include.txt", "sub/in.txt", "ws/match.txt"]),
        (["!exclude.txt", "**/*.txt"], ["exclude.txt", "include.txt", "sub/in.txt", "ws/match.txt"]),
        (["*.txt"], ["exclude.txt", "include.txt", "sub/in.txt", "ws/match.txt"]),
        (["sub"], ["sub/deep/.hidden/x.txt", "sub/in.txt"]),  # a folder: all in it
        (["sub/"], ["sub/deep/.hidden/x.txt", "sub/in.txt"]),
        (["sub/*"], ["sub/in.txt"]),
        (["in.txt"], []),  # a name is beside the manifest
        (["./include.txt"], []),  # and no path, as there
        (["./*.log"], ["include.log"]),
        (["!*.txt"], ["include.log"]),  # all but those, and no hidden ones
        (["**"], ["exclude.txt", "include.log", "include.txt", "sub/in.txt", "ws/match.txt"]),
        (
            ["**", ".foo/one.txt", "**/.hidden/**"],
            [".foo/one.txt", "exclude.txt", "include.log", "include.txt", "sub/deep/.hidden/x.txt",
             "sub/in.txt", "ws/match.txt"],
        ),
        ([".bar/sub/**"], [".bar/sub/two.txt"]),
        ([".env", "sub/**"], [".env"]),  # the hidden file hides the rest, as there
        (["*", "!**/.*"], ["exclude.txt", "include.log", "include.txt", "sub/in.txt", "ws/match.txt"]),
        ([], []),
    ],
)  # fmt: skip
def test_hidden_files_and_plain_names(
    patterns: list[str], files: list[str], tmp_path: Path
) -> None:
    make(tmp_path, "include.txt", "include.log", "exclude.txt", "sub/in.txt", "ws/match.txt")
    make(tmp_path, ".foo/one.txt", ".foo/build.txt", ".bar/sub/two.txt", ".env")
    make(tmp_path, "sub/deep/.hidden/x.txt")
    assert task_files(tmp_path, patterns) == files


@pytest.mark.parametrize(
    ("patterns", "files"),
    [
        (["../**/*.cpp", "*.txt"], ["../sub/in.cpp", "foo.txt"]),
        (["pixi.toml", "../*.cpp"], ["../sub/in.cpp", "pixi.toml"]),
        (["pixi.toml", "!**/foo.txt"], ["pixi.toml"]),
        (["../*.{toml,txt}", "!foo.txt"], ["../foo.txt", "../sub/no.txt", "pixi.toml"]),
    ],
)
def test_patterns_may_begin_above(patterns: list[str], files: list[str], tmp_path: Path) -> None:
    make(tmp_path, "sub/in.cpp", "sub/no.txt", "foo.txt", "ws/foo.txt", "ws/pixi.toml")
    assert task_files(tmp_path / "ws", patterns) == files


@pytest.mark.parametrize("pattern", ["a[b", "{a,b", "a}", "[z-a]", "/a/*.txt", "../" * 99 + "*"])
def test_what_is_no_pattern_is_named(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError):
        task_files(tmp_path, [pattern])


def test_a_link_to_itself_is_named_after_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """CollectVisitor of crates/pixi_glob keeps every error of the walk but two (ELOOP is another)."""
    (make(tmp_path, "a.txt") / "round").symlink_to("round")
    (tmp_path / "pixi.toml").write_text(f'{HEAD}t = {{ cmd = "echo ran", inputs = ["*.txt"] }}\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScaffoldError) as caught:
        task_files(tmp_path, ["*.txt"])
    assert caught.value.hint == f"where it is a link to itself: rm {tmp_path / 'round'}"
    with pytest.raises(SystemExit) as end:
        app(["run", "t"])
    out, err = capfd.readouterr()
    assert (end.value.code, out) == (1, "ran\n")
    assert f"{tmp_path / 'round'}: Too many levels of symbolic links" in err


def test_a_link_to_a_folder_above_ends(tmp_path: Path) -> None:
    make(tmp_path, "a/b.txt")
    (tmp_path / "a" / "up").symlink_to("..")
    assert task_files(tmp_path, ["a"]) == ["a/b.txt"]


@pytest.mark.parametrize(
    ("lists", "codes", "said"),
    [
        ('inputs = [], outputs = ["out"]', (0, 0), "no file matches an empty list"),
        ('inputs = ["{{ missing }}"]', (1, 1), "cannot fill in '{{ missing }}'"),
        ('inputs = ["a[b"]', (1, 1), "'a[b' is no pattern"),
        ('outputs = ["none", "neither"]', (0, 0), "no file matches none, neither"),
    ],
)
def test_wrong_patterns_are_told_after_the_task(
    lists: str,
    codes: tuple[int, int],
    said: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in Pixi (executable_task.rs): it runs, and runs again the next time."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pixi.toml").write_text(
        f'{HEAD}a = {{ cmd = "echo it > out && cat out", {lists} }}\n'
    )
    for code in codes:
        assert (app(["run", "a"], standalone_mode=False) or 0) == code
        printed = capfd.readouterr()
        assert printed.out == "it\n"
        assert said in printed.err
