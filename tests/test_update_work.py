"""Work of the user's that an update meets: it stays, and is told. The judge is git itself."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.report import Report, Silent
from pixi_scaffold.update import Plan, abort_update, continue_update
from pixi_scaffold.update.repository import only_one, open_repository
from tests.conftest import git
from tests.support.command import scaffold
from tests.support.history import release
from tests.support.processes import processes, working_in
from tests.test_update import commit, make, run, small

LINES = [f"line {n}" for n in range(1, 31)]
V1 = {"main.py": LINES, "other.py": ["o"], "docs/guide.md": ["start here"], ".gitignore": ["*.log"]}


def text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """v1.1.0, and v1.2.0 with one line of main.py changed, other.py too, and a new file."""
    folder = small(tmp_path / "t")
    release(folder, "v1.1.0", {name: text(lines) for name, lines in V1.items()})
    new = text([*LINES[:14], "line 15 of v1.2.0", *LINES[15:]])
    release(folder, "v1.2.0", {"main.py": new, "other.py": "o\nmore\n", "tool.sh": "tool\n"})
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    folder = make(template, tmp_path / "p", "v1.1.0")
    (folder / "mine.txt").write_text("mine\n")
    commit(folder)
    return folder


def meanwhile(project: Path, work: Callable[[], object], **more: object) -> Report:
    """Update; the work happens while the question waits for its answer."""

    def confirm(_: Plan) -> bool:
        work()
        return True

    return run(project, confirm, **more)


def append(path: Path, line: str = "# PRECIOUS\n") -> None:
    with path.open("a") as file:
        file.write(line)


def on_main(project: Path) -> bool:
    branches = git(project, "branch", "--format=%(refname:short)").split()
    return git(project, "branch", "--show-current") == "main" and branches == ["main"]


# While it asks or locks --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["main.py", "other.py", "tool.sh", "tool.sh ignored"])
def test_work_that_is_in_the_way_stops_the_update_and_is_named(project: Path, name: str) -> None:
    path, _, ignored = name.partition(" ")
    if ignored:
        append(project / ".git" / "info" / "exclude", "tool.sh\n")
    with pytest.raises(ScaffoldError, match=path) as caught:
        meanwhile(project, lambda: append(project / path))
    assert "PRECIOUS" in (project / path).read_text()
    assert on_main(project)
    assert caught.value.hint


def test_work_elsewhere_comes_along_and_is_told(project: Path) -> None:
    def work() -> None:
        append(project / "mine.txt")
        append(project / "new.txt")

    report = meanwhile(project, work)
    assert report.exit_code == 0
    told = next(r.detail for r in report.results if r.name == "commit")
    assert "mine.txt" in told
    for name in ("mine.txt", "new.txt"):
        assert "PRECIOUS" in (project / name).read_text()
    assert "PRECIOUS" not in git(project, "show", "HEAD")


def test_a_commit_meanwhile_stops_it(project: Path) -> None:
    def work() -> None:
        append(project / "mine.txt")
        commit(project, "meanwhile")

    with pytest.raises(ScaffoldError, match="new commit"):
        meanwhile(project, work)
    assert on_main(project)
    assert git(project, "log", "-1", "--format=%s") == "meanwhile"
    run(project)


def test_the_second_of_two_updates_says_so_and_undoes_nothing(project: Path) -> None:
    with only_one(open_repository(project)), pytest.raises(ScaffoldError, match="another update"):
        run(project)
    with pytest.raises(ScaffoldError, match="another branch"):
        meanwhile(project, lambda: run(project))
    assert git(project, "branch", "--show-current") == "template/v1.2.0"
    assert (project / "tool.sh").exists()
    assert git(project, "status", "--porcelain") == ""
    assert not (project / ".git" / "pixi-scaffold.lock").exists()


@pytest.mark.parametrize("conflict", [False, True])
def test_a_filter_that_fails_leaves_what_was_there(project: Path, conflict: bool) -> None:
    (project / ".gitattributes").write_text("main.py filter=big\n")
    if conflict:
        (project / "main.py").write_text(text([*LINES[:14], "mine", *LINES[15:]]))
    commit(project)
    git(project, "config", "filter.big.clean", "cat")
    git(project, "config", "filter.big.smudge", "false")
    git(project, "config", "filter.big.required", "true")
    before = {p: p.read_bytes() for p in project.iterdir() if p.is_file()}
    with pytest.raises(ScaffoldError, match=r"filter|smudge"):
        run(project)
    assert {p: p.read_bytes() for p in project.iterdir() if p.is_file()} == before
    assert on_main(project)
    assert git(project, "status", "--porcelain") == ""
    assert not list((project / ".git").glob("pixi-scaffold*"))


def test_hooks_and_fsmonitor_are_not_started(project: Path, tmp_path: Path) -> None:
    script = tmp_path / "spy"
    script.write_text(f"#!/bin/sh\necho >> {tmp_path}/started\nexit 1\n")
    script.chmod(0o755)
    for hook in ("post-checkout", "pre-commit", "reference-transaction", "post-index-change"):
        (project / ".git" / "hooks" / hook).write_bytes(script.read_bytes())
        (project / ".git" / "hooks" / hook).chmod(0o755)
    git(project, "config", "core.fsmonitor", str(script))
    git(project, "config", "filter.spy.clean", str(script))
    (project / ".git" / "info" / "attributes").write_text("mine.txt filter=spy\n")
    (project / "mine.txt").touch()  # git would compare it, through the filter
    run(project, lambda _: False, look_only=True)
    assert not (tmp_path / "started").exists()
    git(project, "config", "--unset", "filter.spy.clean")
    run(project)
    assert not (tmp_path / "started").exists()


# Conflicts -----------------------------------------------------------------------------------------


@pytest.fixture
def conflicting(project: Path) -> Path:
    (project / "main.py").write_text(text([*LINES[:14], "line 15 mine", *LINES[15:]]))
    commit(project)
    assert run(project).exit_code == 3
    return project


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("name", ["other.py", "tool.sh", "new.txt"])
def test_abort_with_conflicts_open_refuses_where_work_would_be_lost(
    conflicting: Path, name: str, staged: bool
) -> None:
    append(conflicting / name)
    if staged:
        git(conflicting, "add", name)
    if name == "new.txt" and not staged:  # nothing touches it
        abort_update(conflicting, Silent())
        assert on_main(conflicting)
    else:
        with pytest.raises(ScaffoldError, match=name):
            abort_update(conflicting, Silent())
    assert "PRECIOUS" in (conflicting / name).read_text()


def test_git_knows_what_is_under_way(conflicting: Path) -> None:
    """`git status`, and git's own way out of it and on with it."""
    assert "cherry-pick" in git(conflicting, "status")
    assert git(conflicting, "ls-files", "-u").count("\n") == 2  # base, ours and theirs
    git(conflicting, "cherry-pick", "--abort")
    assert git(conflicting, "status", "--porcelain") == ""
    abort_update(conflicting, Silent())
    assert on_main(conflicting)
    run(conflicting)
    (conflicting / "main.py").write_text("resolved\n")
    git(conflicting, "add", "main.py")
    git(conflicting, "-c", "core.editor=true", "cherry-pick", "--continue")
    assert (
        git(conflicting, "log", "-1", "--format=%s") == "Update the template from v1.1.0 to v1.2.0"
    )


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_what_is_no_text_is_taken_whole(template: Path, tmp_path: Path, side: str) -> None:
    (template / "logo").write_bytes(b"one\0")
    release(template, "v1.3.0", {})
    project = make(template, tmp_path / "q", "v1.3.0")
    (template / "logo").write_bytes(b"two\0")
    release(template, "v1.4.0", {})
    (project / "logo").write_bytes(b"mine\0")
    commit(project)
    report = run(project)
    assert "git checkout --theirs logo" in report.failed[0].hint
    with pytest.raises(ScaffoldError, match="one side has to be taken"):
        continue_update(project, "rattler", Silent())
    git(project, "checkout", f"--{side}", "logo")
    git(project, "add", "logo")
    continue_update(project, "rattler", Silent())
    assert (project / "logo").read_bytes() == {"ours": b"mine\0", "theirs": b"two\0"}[side]


# What the user did with files of the template ------------------------------------------------------


def test_a_file_that_the_user_renamed_is_followed(project: Path) -> None:
    (project / "src").mkdir()
    git(project, "mv", "main.py", "src/main.py")
    append(project / "src" / "main.py", "mine\n")
    commit(project)
    report = run(project)
    assert report.exit_code == 0
    found = (project / "src" / "main.py").read_text()
    assert "of v1.2.0" in found
    assert found.endswith("mine\n")
    assert not (project / "main.py").exists()
    notes = {f["path"]: f["note"] for f in report.to_dict()["files"]}
    assert "main.py" in notes["src/main.py"]


def test_a_file_that_was_declared_the_users_is_listed_and_left(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.pixi-scaffold]\nmine = ["main.py", "tool*"]\n')
    commit(project)
    report = run(project)
    assert report.exit_code == 0
    assert (project / "main.py").read_text() == text(LINES)
    assert not (project / "tool.sh").exists()
    kept = {f["path"] for f in report.to_dict()["files"] if f["action"] == "yours"}
    assert {"main.py", "tool.sh"} <= kept


def test_files_in_a_submodule_are_the_users(template: Path, project: Path, tmp_path: Path) -> None:
    release(template, "v1.3.0", {"docs/more.md": "more\n"})
    git(project, "rm", "-rq", "docs")
    (tmp_path / "sub").mkdir()
    git(tmp_path / "sub", "init", "--quiet")
    (tmp_path / "sub" / "s").write_text("s")
    commit(tmp_path / "sub")
    allowed = ("-c", "protocol.file.allow=always")
    git(project, *allowed, "submodule", "--quiet", "add", str(tmp_path / "sub"), "docs")
    commit(project)
    report = run(project)
    notes = {f["path"]: f["note"] for f in report.to_dict()["files"]}
    assert notes["docs/more.md"] == "docs is a submodule of yours"
    assert git(project, "ls-tree", "HEAD", "docs").startswith("160000")
    assert (project / "docs" / "s").exists()


# A full disk --------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here: that needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("free", [0, 20_000, 130_000, 200_000])
def test_a_full_disk_loses_nothing_and_is_named(
    tmp_path: Path, small_disk: Path, free: int
) -> None:
    """Full before it begins, while git writes objects, and in the middle of git's switch."""
    template, chance = small(tmp_path / "t"), random.Random(1)
    files = {f"f{n}.txt": chance.randbytes(12_000).hex() + "\n" for n in range(6)}
    release(template, "v1.1.0", files)
    release(template, "v1.2.0", {name: text + "more\n" for name, text in files.items()})
    project = make(template, small_disk / "p", "v1.1.0")

    def state() -> tuple[object, ...]:
        files = {
            p: p.read_bytes() for p in project.rglob("*") if p.is_file() and ".git" not in p.parts
        }
        return (
            files,
            git(project, "status", "--porcelain", "--branch"),
            git(project, "for-each-ref"),
        )

    before = state()
    filler = small_disk / "filler"
    there = os.statvfs(small_disk)
    filler.write_bytes(b"x" * max(0, there.f_bavail * there.f_frsize - free))
    ran = scaffold("update", project, "--yes", cwd=tmp_path)
    assert ran.code == 1, ran
    assert "space" in ran.err
    assert "next: " in ran.err
    filler.unlink()
    assert state() == before
    assert scaffold("update", project, "--yes", cwd=tmp_path).code == 0
    assert (project / "f0.txt").read_text().endswith("more\n")


# At random moments --------------------------------------------------------------------------------


def everything(project: Path) -> bytes:
    """All content in the work tree, the index and the commits of any branch or reflog."""
    found = [p.read_bytes() for p in project.rglob("*") if p.is_file() and ".git" not in p.parts]
    names = git(project, "rev-list", "--objects", "--all", "--reflog").splitlines()
    staged = [line.split()[1] for line in git(project, "ls-files", "-s").splitlines()]
    blobs = "\n".join({*(name.split()[0] for name in names), *staged})
    argv = ["git", "cat-file", "--batch"]
    done = subprocess.run(argv, cwd=project, input=blobs.encode(), capture_output=True, check=True)
    return b"\n".join((*found, done.stdout))


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))]
)
def test_nothing_of_the_users_is_ever_lost(project: Path, seed: int) -> None:
    """Edits, new files and commits while an update runs, which may be killed; then it is undone."""
    chance = random.Random(seed)
    if chance.random() < 0.5:
        (project / "main.py").write_text(text([*LINES[:14], "mine", *LINES[15:]]))
        commit(project)
    argv = [sys.executable, "-m", "pixi_scaffold", "update", str(project), "--yes"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    written = []
    for number in range(12):
        time.sleep(chance.uniform(0.0, 0.25))
        line = f"precious {seed} {number}"
        path = project / chance.choice(["main.py", "other.py", "tool.sh", "mine.txt", f"n{number}"])
        with path.open("a") as file:
            file.write(f"{line}\n")
        written.append(line)
        if chance.random() < 0.2:
            subprocess.run(["git", "add", "."], cwd=project, check=False, capture_output=True)
            commit_it = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"]
            subprocess.run(commit_it, cwd=project, check=False, capture_output=True)
        if chance.random() < 0.15:
            process.send_signal(signal.SIGKILL)
    if chance.random() < 0.5:
        process.kill()
    process.wait(600)
    while processes(str(project)) or working_in(project):
        time.sleep(0.05)  # a git that was started goes on to its end
    for _ in range(2):
        content = everything(project)
        assert [line for line in written if line.encode() not in content] == []
        subprocess.run(
            [*argv[:3], "update", str(project), "--abort"], check=False, capture_output=True
        )
