from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pixi_scaffold import __version__
from pixi_scaffold.cli.commands import COMMANDS, DOCUMENTATION, load
from tests.reference import EXIT_CODES
from tests.support.command import scaffold
from tests.support.paths import REPOSITORY

DOCS = REPOSITORY / "docs"
MANIFEST = """
[workspace]
channels = ["conda-forge"]
platforms = ["linux-64"]
[dependencies]
tqdm = "*"
"""


def test_version_and_help(tmp_path: Path) -> None:
    assert scaffold("--version", cwd=tmp_path).out == f"pixi-scaffold {__version__}\n"
    ran = scaffold("--help", cwd=tmp_path)
    assert ran.code == 0
    for command in ("new", "lock", "channel"):
        assert command in ran.out


@pytest.mark.parametrize("command", ["", "new", "rehearse", "check", "update"])
def test_help_ends_with_commands_to_copy(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = scaffold(*filter(None, [command]), "--help", cwd=tmp_path).out
    _, _, end = out.partition("Examples:\n")
    examples = [
        line.strip().split("  ")[0].split() for line in end.splitlines() if "pixi-scaffold " in line
    ]
    assert examples
    assert all(words[0] == "pixi-scaffold" and words[1] in COMMANDS for words in examples)
    assert all(words[1] == command for words in examples if command)
    assert f"Documentation: {DOCUMENTATION}\n" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_is_plain_and_fits_the_terminal(
    name: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    command = load(name)
    for words in ([], *([one] for one in getattr(command, "commands", {}))):
        with pytest.raises(SystemExit) as end:
            command.main([*words, "-h"], prog_name=f"pixi-scaffold {name}")
        text = capsys.readouterr().out
        assert end.value.code == 0
        assert text.startswith(f"Usage: pixi-scaffold {name}")
        shown = text.partition("  Examples:")[0].partition("  Documentation:")[0]  # to be copied
        lines = [line for line in shown.splitlines() if not re.fullmatch(r" +--\S+, --.*>", line)]
        assert max(map(len, lines)) <= (80 if getattr(command, "commands", {}) else columns)
        assert max(map(len, text.splitlines())) <= 80
        assert text.isascii(), "drawn by rich, which costs more to load than the rest"


def test_help_is_a_word_too(tmp_path: Path) -> None:
    """As it is of git and of Pixi."""
    for words in ([], ["new"]):
        asked, given = scaffold("help", *words, cwd=tmp_path), scaffold(*words, "-h", cwd=tmp_path)
        assert (asked.code, asked.out) == (0, given.out)
    assert scaffold("help", "nwe", cwd=tmp_path).code == 2


def test_the_list_of_commands_says_what_their_help_says(tmp_path: Path) -> None:
    """It is written down once more, because loading them all takes longer than --help may."""
    assert {name: (load(name).help or "").splitlines()[0] for name in COMMANDS} == COMMANDS
    ran = scaffold("chek", cwd=tmp_path)
    assert ran.code == 2
    assert "Did you mean" in ran.err
    assert "check" in ran.err


def test_hints_are_those_of_pixi_where_pixi_started_it(tmp_path: Path) -> None:
    """Pixi 0.77 runs any pixi-NAME on PATH as `pixi NAME`; here bash stands in for it, waiting."""
    tool = Path(sys.executable).with_name("pixi-scaffold")
    (tmp_path / "scaffold").write_text(f'"{tool}" new; true\n')  # not exec: pixi waits, too
    argv = ["bash", "-c", 'exec -a pixi bash "$@"', "bash", "scaffold", "new"]
    done = subprocess.run(
        argv, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert "next: pixi scaffold new myproject" in done.stderr
    (tmp_path / "other").write_text((tmp_path / "scaffold").read_text())
    done = subprocess.run(
        [*argv[:4], "other"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pixi scaffold" not in done.stderr


@pytest.mark.parametrize(
    "words",
    ["new", "adopt", "check", "check a.sub", "lock", "pack --output", "update", "status",
     "channel build", "site capture", "run --manifest-path"],
)  # fmt: skip
def test_an_empty_path_is_refused(tmp_path: Path, words: str) -> None:
    """As git, mv and cd do with `"$UNSET"`; as a pathlib.Path it would be this folder."""
    ran = scaffold(*words.split(), "", cwd=tmp_path)
    assert ran.code == 2, ran
    assert "it is empty" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_written_once() -> None:
    import tomllib

    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert document["project"]["version"] == __version__
    assert f"## {__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_every_exit_code_is_documented() -> None:
    page = (REPOSITORY / "docs" / "reference" / "exit-codes.md").read_text()
    for code in EXIT_CODES:
        assert f"| {code} |" in page


@pytest.mark.usefixtures("conda_forge")
def test_lock_then_check_then_change(tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").write_text(MANIFEST)
    ran = scaffold("lock", "--check", cwd=tmp_path)
    assert ran.code == 3
    assert "there is no" in ran.out
    ran = scaffold("lock", cwd=tmp_path)
    assert ran.code == 0, ran
    assert "written" in ran.out
    ran = scaffold("lock", "--json", cwd=tmp_path)
    assert ran.document["changed"] is False
    assert ran.document["engine"]["name"] == "rattler"
    assert scaffold("lock", "--check", cwd=tmp_path).code == 0
    (tmp_path / "pixi.toml").write_text(MANIFEST.replace('"*"', '">=99"'))
    ran = scaffold("lock", "--check", "--json", cwd=tmp_path)
    assert ran.code == ran.document["exit_code"] == 3
    assert "tqdm >=99" in ran.document["results"][0]["lines"][0]
    before = (tmp_path / "pixi.lock").read_bytes()
    ran = scaffold("lock", cwd=tmp_path)
    assert ran.code == 1
    assert "default on linux-64" in ran.err
    assert "tqdm >=99" in ran.err
    assert (tmp_path / "pixi.lock").read_bytes() == before


def test_check_needs_no_network(
    tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pixi.toml").write_text(MANIFEST)
    (tmp_path / "pixi.lock").write_text(
        "version: 7\nplatforms:\n- name: linux-64\nenvironments:\n  default:\n    channels:\n"
        "    - url: https://conda.anaconda.org/conda-forge/\n    packages: {}\npackages: []\n"
    )
    ran = scaffold("lock", "--check", cwd=tmp_path)
    assert ran.code == 3
    assert "default on linux-64: not locked" in ran.out


@pytest.mark.parametrize(
    ("manifest", "code", "words"),
    [
        (None, 2, "no pixi.toml"),
        ("[workspace\n", 1, "pixi.toml:1:"),
        (
            MANIFEST + "[pypi-dependencies]\nx = { path = '.' }\n",
            1,
            "x (path, in pypi-dependencies)",
        ),
        (MANIFEST, 1, "does not answer"),
    ],
)
def test_lock_says_what_is_wrong(
    tmp_path: Path, offline: None, manifest: str | None, code: int, words: str
) -> None:
    if manifest is not None:
        (tmp_path / "pixi.toml").write_text(manifest)
    ran = scaffold("lock", cwd=tmp_path)
    assert ran.code == code, ran
    assert words in ran.err
    assert "next: " in ran.err
    assert not (tmp_path / "pixi.lock").exists()


def test_a_lock_of_a_newer_format(tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").write_text(MANIFEST)
    (tmp_path / "pixi.lock").write_text("version: 8\n")
    ran = scaffold("lock", "--check", cwd=tmp_path)
    assert ran.code == 1
    assert "format 8" in ran.err
    assert "upgrade pixi-scaffold" in ran.err


@pytest.mark.usefixtures("conda_forge")
def test_check_looks_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").write_text(MANIFEST)
    ran = scaffold("check", "--json", cwd=tmp_path)
    assert ran.code == 3
    statuses = [r["status"] for r in ran.document["results"]]
    assert statuses == ["passed", "failed", "passed", "skipped", "skipped"], "no submit files"
    assert scaffold("lock", cwd=tmp_path).code == 0
    before = (tmp_path / "pixi.lock").read_bytes()
    ran = scaffold("check", cwd=tmp_path)
    assert ran.code == 0, ran
    assert "is current" in ran.out
    (tmp_path / "pixi.toml").write_text(MANIFEST.replace('"*"', '">=99"'))
    ran = scaffold("check", cwd=tmp_path)
    assert ran.code == 3
    assert "tqdm >=99" in ran.out
    assert (tmp_path / "pixi.lock").read_bytes() == before
    (tmp_path / "pixi.toml").write_text("[workspace\n")
    assert scaffold("check", "--json", cwd=tmp_path).document["results"][0]["status"] == "failed"


@pytest.mark.slow
@pytest.mark.usefixtures("conda_forge")
def test_a_failed_lock_never_ends_in_a_crash(tmp_path: Path) -> None:
    """rattler's threads can outlive a failed solve and crash the interpreter as it shuts down."""
    text = MANIFEST.replace("tqdm", "pytorch").replace('"*"', '">=99"')
    (tmp_path / "pixi.toml").write_text(text + 'numpy = "*"\nmatplotlib-base = "*"\n')
    assert {scaffold("lock", cwd=tmp_path).code for _ in range(12)} == {1}


def test_the_next_command_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "pixi.toml").write_text(MANIFEST)
    for command in (["lock", "--check", "w"], ["check", "w"]):
        ran = scaffold(*command, cwd=tmp_path)
        assert ran.code == 3
        assert "next: cd w && " in ran.out


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("args", [["--help"], ["--version"], ["lock", "--check", "--json"]])
def test_a_full_disk_behind_stdout(tmp_path: Path, args: list[str], unbuffered: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full (Linux)")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pixi_scaffold", *args],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: cannot write the output: No space left on device\n"


def test_a_channel_without_a_proof(tmp_path: Path) -> None:
    assert scaffold("check", "--channel", "starter", cwd=tmp_path).code == 2


def test_check_and_upgrade_together(tmp_path: Path) -> None:
    assert scaffold("lock", "--check", "--upgrade", cwd=tmp_path).code == 2


def test_the_generated_pages_are_current() -> None:
    from tests.reference import pages

    for path, text in pages().items():
        assert path.read_text(encoding="utf-8") == text, "run `make docs`"


def test_writing_the_pages_again_touches_none() -> None:
    """CI formats beside it: a page that was taken away for a moment failed that."""
    from tests.reference import FOLDER, main, pages

    def seen() -> dict[Path, tuple[int, int]]:
        paths = [*pages(), FOLDER / "rules"]
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}

    before = seen()
    main()
    assert seen() == before


def test_an_interrupt_is_not_lost_in_a_callback(tmp_path: Path) -> None:
    """Python ignores what a callback of a weak reference raises, and so it did a Ctrl-C."""
    program = (
        "import signal, weakref\n"
        "from pixi_scaffold.cli.app import main\n"
        "class Thing: pass\n"
        "def run():\n"
        "    thing = Thing()\n"
        "    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))\n"
        "    del thing\n"
        "    while True: pass\n"
        "main(run)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.skipif(sys.platform != "linux", reason="who gets a signal differs")
def test_an_interrupt_is_not_lost_beside_a_lock(tmp_path: Path) -> None:
    """A signal that does not wake the main thread, as one does that comes as it begins to wait."""
    program = (
        "import os, signal, threading, time\n"
        "from pixi_scaffold.cli.app import main\n"
        "def stop():\n"
        "    time.sleep(0.3)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "def run():\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "    other = threading.Thread(target=lambda: (signal.pthread_sigmask("
        "signal.SIG_UNBLOCK, {signal.SIGTERM}), stop(), time.sleep(60)))\n"
        "    other.start()\n"
        "    threading.Event().wait()\n"
        "main(run)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_every_how_to_page_opens_with_a_recorded_picture() -> None:
    """docs/record.py records them from a terminal, docs/picture.py the one of a page."""
    recorded = set(re.findall(r'(?m)^    "([a-z-]+)": ', (DOCS / "record.py").read_text()))
    pages = sorted((DOCS / "how-to").glob("*.md"))
    assert pages
    for page in pages:
        _, _, first, *_ = page.read_text(encoding="utf-8").splitlines()
        picture = re.fullmatch(r"!\[[^]]+\]\(\.\./pictures/(([a-z-]+)\.(?:svg|png))\)", first)
        assert picture, f"{page.name} does not open with a picture"
        assert (DOCS / "pictures" / picture[1]).is_file(), picture[1]
        assert picture[1].endswith(".png") or picture[2] in recorded, f"record {picture[2]}"


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("app._hear_signals = stop\napp.main(lambda: None)", 130),
        ("app.main(lambda: setattr(sys.stdout, 'flush', stop))", 0),
    ],
    ids=["begins", "ends"],
)
def test_sigterm_while_a_command_begins_or_ends_is_no_traceback(lines: str, code: int) -> None:
    program = (
        "import importlib, os, signal, sys\n"
        "app = importlib.import_module('pixi_scaffold.cli.app')\n"
        f"stop = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\n{lines}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, timeout=600
    )
    assert (done.returncode, done.stderr) == (code, b"")


@pytest.mark.parametrize("command", ["lock", "check", "doctor", "status"])
def test_a_removed_folder_is_named_as_that(tmp_path: Path, command: str) -> None:
    script = 'cd "$1" && rmdir "$1" && exec "$2" -m pixi_scaffold "$3"'
    argv = ["sh", "-c", script, "sh", str(tmp_path / "gone"), sys.executable, command]
    (tmp_path / "gone").mkdir()
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "error: the folder that you are in was removed\nnext: cd to one that is there\n"
    )


def test_a_disk_that_takes_no_byte_is_not_called_a_removed_folder(tmp_path: Path) -> None:
    """Python's tempfile, too, raises FileNotFoundError without a name: it found no usable folder."""
    script = 'ulimit -f 0; exec "$1" -m pixi_scaffold new p --no-check'
    argv = ["sh", "-c", script, "sh", sys.executable]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No usable temporary directory" in done.stderr, done.stderr
    assert "next: check the free space and who may write there\n" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["lock"], ["lock", "--check"], ["pack"]])
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, command: list[str]) -> None:
    ran = scaffold(*command, "nope", cwd=tmp_path)
    assert ran.code == 2
    assert f"there is no folder {tmp_path / 'nope'}" in ran.err
