"""shellcheck takes bounded time, and ends when we are stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pixi_scaffold.check import shellcheck
from pixi_scaffold.check.shellcheck import SIZE_LIMIT, ShellNotes, _skeleton, shellchecking
from tests.support.command import scaffold
from tests.support.processes import processes
from tests.test_rules import PLAIN

SLOW = (
    "#!/usr/bin/env bash\nset -euo pipefail\n"
    + 'if [ "${x:-}" = 1 ]; then echo "a" | sed s/a/b/; fi\n' * 4500
)
"""Takes shellcheck several seconds."""


def shell_notes(scripts: list[Path]) -> ShellNotes:
    with shellchecking(scripts) as said:
        return said()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said of a script before must not spare shellcheck its work here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def job(tmp_path: Path) -> Path:
    for name, text in PLAIN.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "run.sh").chmod(0o755)
    return tmp_path / "job.sub"


def test_a_large_script_is_not_given_to_it_and_that_is_said(job: Path) -> None:
    (job.parent / "run.sh").write_text(PLAIN["run.sh"] + "# x\n" * (SIZE_LIMIT // 4))
    ran = scaffold("check", job.name, "--json", cwd=job.parent)
    skipped = {s["what"]: s["why"] for s in ran.document["skipped"]}
    assert "256 KiB" in skipped["shellcheck's findings (PS305) on run.sh"]
    assert scaffold("check", job.name, "--strict", cwd=job.parent).code == 3


def test_copies_of_a_script_are_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / str(n) / "run.sh" for n in range(30)]
    for path in paths:
        path.parent.mkdir()
        path.write_text("#!/bin/bash\ncd folder\n")
    (other := tmp_path / "other.sh").write_text("#!/bin/bash\ncd folder || exit\n")
    runs: list[list[Path]] = []
    real = shellcheck._notes
    monkeypatch.setattr(
        shellcheck, "_notes", lambda *given: runs.append(list(given[2])) or real(*given)
    )
    found = shell_notes([*paths, other])
    assert runs == [[paths[0], other]]
    assert {path: [n.code for n in notes] for path, notes in found.notes.items()} == {
        **{path: [2164] for path in paths},
        other: [],
    }


def test_scripts_are_given_to_it_in_small_runs(tmp_path: Path) -> None:
    sizes = {tmp_path / str(n): 1000 for n in range(60)} | {tmp_path / "large": SIZE_LIMIT}
    chunks = list(shellcheck._chunks(sizes))
    assert [p for chunk in chunks for p in chunk] == list(sizes)
    assert all(len(chunk) <= 25 for chunk in chunks)
    assert all(sum(sizes[p] for p in chunk) <= SIZE_LIMIT for chunk in chunks)


def test_a_run_that_takes_too_long_is_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = tmp_path / "slow.sh", tmp_path / "a.sh"
    slow.write_text(SLOW)
    quick.write_text("#!/bin/sh\ncd build\n")
    monkeypatch.setattr(shellcheck, "_AT_ONCE", 1)
    monkeypatch.setattr(shellcheck, "_limit", lambda paths: 600 if quick in paths else 0.3)
    found = shell_notes([slow, quick])
    assert set(found.not_checked) == {slow}
    assert "did not end within" in found.not_checked[slow]
    assert [n.code for n in found.notes[quick]] == [2164]
    assert not processes(str(slow))


ENDLESS = (
    "import sys; from pixi_scaffold.check import shellcheck; from pixi_scaffold.cli import main\n"
    "shellcheck._limit = lambda paths: 100_000\nsys.argv = ['pixi-scaffold', 'check', 'job.sub']\nmain()"
)
"""A check that would wait a day for a shellcheck that does not end."""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_does_not_wait_for_it_and_leaves_no_process(job: Path, number: int) -> None:
    script = job.parent / "run.sh"
    script.write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], cwd=job.parent, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _until(lambda: bool(processes(str(script))))
    [looking] = processes(str(script))
    os.kill(looking, signal.SIGSTOP)  # it cannot end by itself
    process.send_signal(number)
    _until(lambda: _is_told_to_end(looking))
    os.kill(looking, signal.SIGCONT)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "interrupted" in said
    assert not processes(str(script))


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 600
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def _is_told_to_end(pid: int) -> bool:
    """Whether SIGTERM waits for a process that is stopped."""
    status = Path(f"/proc/{pid}/status").read_text()
    pending = int(re.findall(r"(?m)^ShdPnd:\s*(\w+)$", status)[0], 16)
    return bool(pending >> (signal.SIGTERM - 1) & 1)


def test_a_script_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "a.sh", tmp_path / "b.sh"
    one.write_text("#!/bin/sh\ncd build\n")
    two.write_text("#!/bin/sh\nif true; then\n")
    first = shell_notes([one, two])
    assert [note.code for note in first.notes[one]] == [2164]
    assert any(note.refused for note in first.notes[two])
    with monkeypatch.context() as patch:
        patch.setattr(shellcheck, "_notes", lambda *_: pytest.fail("shellcheck ran"))
        assert shell_notes([one, two]) == first
    [cache] = Path(os.environ["XDG_CACHE_HOME"]).rglob("*.json")
    cache.write_text('{"half": [')
    assert [note.code for note in shell_notes([one]).notes[one]] == [2164]


def test_scripts_that_differ_in_values_and_comments_are_alike(tmp_path: Path) -> None:
    text = "#!/bin/bash\n# run {n}\nseed={n}\nexport RATE=0.{n}\necho run {n}\nrm $seed/*\nif [ $RATE = 1 ]; then\n"
    scripts = []
    for n in range(3):
        scripts.append(tmp_path / f"r{n}.sh")
        scripts[-1].write_text(text.format(n=n) + "cd build\nfi\n")
    skeletons = {_skeleton(path.read_bytes()) for path in scripts}
    assert len(skeletons) == 1
    said = shell_notes(scripts).notes
    alone = [shell_notes([path]).notes[path] for path in scripts]
    assert [said[path] for path in scripts] == alone
    assert alone[0], "there is something to find in it"


@pytest.mark.parametrize(
    "line",
    [
        'echo "a',
        "cat <<E\nseed=1\nE",
        "seed=$x",
        "seed=a*b",
        "echo $x",
        "echo I am done",
        "echo -n 1",
        "A=1 cd build",
        "PATH=a.b",
        "x=date",
        "# shellcheck disable=SC2086",
    ],
)
def test_what_may_matter_to_shellcheck_is_kept(line: str) -> None:
    data = f"#!/bin/sh\n{line}\n".encode()
    assert _skeleton(data) == data


def test_an_error_of_the_parser_is_one_only_where_the_shell_agrees(tmp_path: Path) -> None:
    broken = tmp_path / "broken.sh"
    broken.write_text("#!/bin/bash\nif true; then\necho x\n")
    whole = tmp_path / "whole.sh"
    whole.write_text("#!/bin/bash\necho x | while read -r a; do echo $a; done\nlocal x=$y\n")
    notes = shell_notes([broken, whole]).notes
    assert any(note.refused for note in notes[broken])
    assert not any(note.refused for note in notes[whole])
