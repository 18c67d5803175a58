"""Updates: the same tree as a fresh render and as `copier update`, edits kept, nothing half-done."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.report import Report, Result, Silent, Status
from pixi_scaffold.system import File, read_tree
from pixi_scaffold.template import Renderer, Template, render
from pixi_scaffold.update import Plan, UpdateRequest, abort_update, continue_update, update
from pixi_scaffold.update.merge import Action, has_leftovers, has_markers
from pixi_scaffold.update.note import read_note, write_note
from pixi_scaffold.update.repository import open_repository
from tests.conftest import git
from tests.support.command import scaffold
from tests.support.history import History, release
from tests.test_merge import EDIT, EditLine, apply

SEEDED = {"main.py", "README.md", "docs/onboarding.md", "tests/test_main.py", "htcondor/sweep.csv"}
FROM = ("v0.1.0", "v0.2.0", "v0.3.0", "v0.4.0")


def yes(_: Plan) -> bool:
    return True


def run(folder: Path, confirm: Callable[[Plan], bool] = yes, **more: Any) -> Report:
    return update(UpdateRequest(folder, **more), confirm, Silent())


def make(template: Path, folder: Path, tag: str, **answers: str) -> Path:
    """A project at a version, committed."""
    render(Template(str(template), tag), folder, answers, ask=False, git=True)
    return folder


def commit(folder: Path, message: str = "mine") -> None:
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--no-verify", "-m", message)


def tree(folder: Path) -> dict[str, File]:
    """What git would hold of the work tree."""
    names = git(folder, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    return read_tree(folder, names)


def fresh(template: Path, tag: str, **answers: str) -> dict[str, File]:
    with Renderer(Template(str(template))) as renderer:
        return dict(renderer.render(tag, answers).files)


def plain_copier(project: Path, copy: Path, **answers: str) -> dict[str, File]:
    """What `copier update --defaults` makes of a copy of the project."""
    git(project.parent, "clone", "--quiet", str(project), str(copy))
    words = [word for pair in answers.items() for word in ("--data", "=".join(pair))]
    copier = [Path(sys.executable).with_name("copier"), "update", "--defaults", "--quiet", *words]
    done = subprocess.run(copier, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tree(copy)


def the_same(ours: dict[str, File], theirs: dict[str, File]) -> None:
    """Compare two trees; a difference is shown by file."""
    assert sorted(ours) == sorted(theirs)
    for path, file in ours.items():
        assert file == theirs[path], path


@dataclass(frozen=True)
class Scenario:
    """What a user did to a project, and the answers given with the update."""

    change: Callable[[Path], None]
    answers: dict[str, str]


def untouched(folder: Path) -> None:
    pass


def edited(folder: Path) -> None:
    """Lines of one's own at both ends of files, a dependency, files of one's own."""
    for name in ("main.py", "htcondor/train.sub", ".gitignore", "README.md", "ruff.toml"):
        place = folder / name
        place.write_text(f"# first, mine\n{place.read_text()}# last, mine\n")
    manifest = folder / "pixi.toml"
    manifest.write_text(manifest.read_text().replace('tqdm = "*"\n', 'tqdm = "*"\neinops = "*"\n'))
    (folder / "lib").mkdir()
    (folder / "lib" / "mine.py").write_text("x = 1\n")


def deleted(folder: Path) -> None:
    """A file that changes later, one that does not, and one that the template makes once."""
    for name in (".pre-commit-config.yaml", "LICENSE", "htcondor/sweep.csv"):
        (folder / name).unlink()


SCENARIOS = {
    "untouched": Scenario(untouched, {}),
    "edited": Scenario(edited, {}),
    "deleted": Scenario(deleted, {}),
    "answers": Scenario(untouched, {"delivery": "pack", "ci": "gitlab", "site": "chtc"}),
    "edited-answers": Scenario(edited, {"delivery": "container", "license": "none"}),
}


def with_untouched_seeds(
    theirs: dict[str, File], before: dict[str, File], made: dict[str, File], new: dict[str, File]
) -> dict[str, File]:
    """Copier's tree, apart from the one thing that is done otherwise: see docs/how-to/update.md.

    Files that the template makes once follow it until somebody touches them, and stay deleted;
    Copier leaves them as they were made, and brings deleted ones back.
    """
    found = dict(theirs)
    for path in SEEDED & {*made, *new}:
        if before.get(path) == made.get(path) and path in new:
            found[path] = new[path]
        elif path not in before:
            del found[path]
    return found


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.slow
@pytest.mark.parametrize("tag", FROM)
def test_the_same_tree_as_copier(history: History, tmp_path: Path, tag: str, name: str) -> None:
    scenario = SCENARIOS[name]
    project = make(history.folder, tmp_path / "p", tag)
    made = tree(project)
    scenario.change(project)
    if git(project, "status", "--porcelain"):
        commit(project)
    theirs = plain_copier(project, tmp_path / "copy" / "p", **scenario.answers)
    before = tree(project)
    report = run(project, data=scenario.answers)
    assert report.exit_code == 0, report
    new = fresh(history.folder, history.newest, project_name="p", **scenario.answers)
    the_same(tree(project), with_untouched_seeds(theirs, before, made, new))
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "branch", "--show-current") == f"template/{history.newest}"
    title = git(project, "log", "-1", "--format=%s")
    assert title == f"Update the template from {tag} to {history.newest}"
    if name in ("untouched", "answers"):
        the_same(tree(project), new)
    if name.startswith("edited"):
        assert b"# first, mine" in tree(project)["main.py"].content
        assert b"# last, mine" in tree(project)["main.py"].content
    git(project, "switch", "--quiet", "main")
    the_same(tree(project), before)


# Conflicts -------------------------------------------------------------------------------------


@cache
def first_change(history: History, tag: str, path: str) -> str:
    """The first line of a file that is another one in the newest version."""
    name = {"project_name": "p"}
    old, new = (fresh(history.folder, v, **name)[path] for v in (tag, history.newest))
    lines = new.content.decode().splitlines()
    return next(line for line in old.content.decode().splitlines() if line and line not in lines)


def snapshot(project: Path) -> dict[str, bytes]:
    """Every file, the index, HEAD, each ref and the stash: all that an update could harm."""
    found = {}
    for path in sorted(project.rglob("*")):
        inside = path.relative_to(project).parts
        if path.is_dir() or (inside[0] == ".git" and inside[1] in ("objects", "logs")):
            continue
        found["/".join(inside)] = path.read_bytes()
    return found | {"refs": git(project, "for-each-ref").encode()}


@pytest.fixture
def conflicting(history: History, tmp_path: Path) -> Path:
    """A project of v0.1.0 with a line changed that the template changed too, in two files."""
    project = make(history.folder, tmp_path / "p", "v0.1.0")
    for path in ("htcondor/bootstrap.sh", "htcondor/train.sub"):
        place = project / path
        line = first_change(history, "v0.1.0", path)
        place.write_text(place.read_text().replace(line, "# my own line", 1))
    commit(project)
    return project


@pytest.mark.slow
def test_conflicts_stay_inline_as_copier_makes_them(
    history: History, conflicting: Path, tmp_path: Path
) -> None:
    theirs = plain_copier(conflicting, tmp_path / "copy" / "p")
    before = snapshot(conflicting)
    report = run(conflicting)
    assert report.exit_code == 3
    failed = report.failed[0]
    assert [line.split()[0] for line in failed.lines] == [
        "htcondor/bootstrap.sh",
        "htcondor/train.sub",
    ]
    assert "waits for you to edit 2 files" in failed.detail
    assert "update --continue" in report.next_commands[1]
    found = tree(conflicting)
    for path in ("htcondor/bootstrap.sh", "htcondor/train.sub"):
        assert has_markers(found[path].content)
        assert b"# my own line" in found[path].content
        assert found[path] == theirs[path]
    status = git(conflicting, "status", "--porcelain").splitlines()
    assert {line for line in status if line.startswith("U")} == {
        "UU htcondor/bootstrap.sh",
        "UU htcondor/train.sub",
    }
    assert git(conflicting, "rev-parse", "main") == git(conflicting, "rev-parse", "HEAD")
    with pytest.raises(ScaffoldError, match="not finished"):
        run(conflicting)
    (conflicting / "htcondor/train.sub").write_text("edited in the meantime\n")
    abort_update(conflicting, Silent())
    assert without_index(snapshot(conflicting)) == without_index(before)
    assert git(conflicting, "status", "--porcelain") == ""


def without_index(found: dict[str, bytes]) -> dict[str, bytes]:
    """Without git's index, whose times are new after files were written back, and its notes."""
    notes = {".git/index", ".git/ORIG_HEAD", ".git/COMMIT_EDITMSG"}
    return {path: content for path, content in found.items() if path not in notes}


def test_an_update_goes_on_when_the_conflicts_are_edited(conflicting: Path) -> None:
    run(conflicting)
    with pytest.raises(ScaffoldError, match="are left in") as caught:
        continue_update(conflicting, "rattler", Silent())
    assert "htcondor/bootstrap.sh" in caught.value.message
    for path in ("htcondor/bootstrap.sh", "htcondor/train.sub"):
        (conflicting / path).write_text("# my own line\n")
    report = continue_update(conflicting, "rattler", Silent())
    assert report.exit_code == 0
    assert git(conflicting, "status", "--porcelain") == ""
    assert git(conflicting, "log", "-1", "--format=%s").startswith(
        "Update the template from v0.1.0"
    )
    assert git(conflicting, "log", "-1", "--format=%P") == git(conflicting, "rev-parse", "main")
    with pytest.raises(UsageError, match="no update waits"):
        continue_update(conflicting, "rattler", Silent())
    abort_update(conflicting, Silent())
    assert git(conflicting, "branch", "--format=%(refname:short)") == "main"


def test_going_on_after_files_went_and_a_conflict_was_deleted(two: tuple[Path, Path]) -> None:
    template, project = two
    run(project)
    git(project, "switch", "--quiet", "-c", "next")
    (project / "job.cfg").write_text("# a job\nmemory = 4\nmine\n")
    commit(project)
    job = "# a job\nmemory = 4\ntheirs\n"
    release(template, "v1.2.0", {"new.txt": None, "job.cfg.jinja": job})
    assert run(project).exit_code == 3
    (project / "job.cfg").unlink()
    continue_update(project, "rattler", Silent())
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "ls-files").split() == [".copier-answers.yml"]
    abort_update(project, Silent())
    assert (project / "new.txt").exists()
    assert "mine" in (project / "job.cfg").read_text()
    assert git(project, "status", "--porcelain") == ""


def test_conflicts_that_the_user_commits_himself(conflicting: Path) -> None:
    run(conflicting)
    for path in ("htcondor/bootstrap.sh", "htcondor/train.sub"):
        (conflicting / path).write_text("# my own line\n")
    git(conflicting, "commit", "--quiet", "-am", "by hand")
    with pytest.raises(UsageError, match="no update waits"):
        continue_update(conflicting, "rattler", Silent())
    assert "already at the newest" in run(conflicting).results[-1].detail


def test_abort_undoes_a_finished_update_but_no_work_of_yours(
    history: History, tmp_path: Path
) -> None:
    project = make(history.folder, tmp_path / "p", "v0.2.0")
    with pytest.raises(UsageError, match="no update to undo"):
        abort_update(project, Silent())
    before = snapshot(project)
    run(project)
    (project / "main.py").write_text("mine\n")
    with pytest.raises(ScaffoldError, match="not committed"):
        abort_update(project, Silent())
    git(project, "commit", "--quiet", "-am", "on top")
    with pytest.raises(ScaffoldError, match="commits of yours"):
        abort_update(project, Silent())
    git(project, "reset", "--quiet", "--hard", "HEAD~1")
    abort_update(project, Silent())
    assert without_index(snapshot(project)) == without_index(before)


# Which version ----------------------------------------------------------------------------------


def small(folder: Path) -> Path:
    """A template of two files with one version."""
    folder.mkdir()
    git(folder, "init", "--quiet", "-b", "main")
    release(
        folder,
        "v1.0.0",
        {
            "copier.yml": "project_name: {type: str}\nmemory: {type: str, default: 4}\n",
            "{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers | to_nice_yaml }}",
            "job.cfg.jinja": "# a job\nmemory = {{ memory }}\nlast\n",
        },
    )
    return folder


def versions(report: Report) -> tuple[str, str]:
    return report.to_dict()["template"]["from"], report.to_dict()["template"]["to"]


def test_a_prerelease_is_never_taken_by_accident_and_ends_at_the_final(tmp_path: Path) -> None:
    template = small(tmp_path / "t")
    project = make(template, tmp_path / "p", "v1.0.0")
    release(template, "v2.0.0rc1", {"new": "rc\n"})
    report = run(project)
    assert versions(report) == ("v1.0.0", "v1.0.0")
    assert "already at the newest" in report.results[-1].detail
    assert versions(run(project, to="v2.0.0rc1")) == ("v1.0.0", "v2.0.0rc1")
    assert "pre-release" in run(project).results[-1].detail
    release(template, "v2.0.0", {"new": "final\n"})
    assert versions(run(project)) == ("v2.0.0rc1", "v2.0.0")
    assert (project / "new").read_text() == "final\n"
    with pytest.raises(UsageError, match="v1.0.0 is older"):
        run(project, to="1.0.0")


def test_to_takes_a_version_with_or_without_v(tmp_path: Path) -> None:
    template = small(tmp_path / "t")
    project = make(template, tmp_path / "p", "v1.0.0")
    for tag in ("v1.1.0", "v1.2.0"):
        release(template, tag, {"new": tag})
    assert versions(run(project, to="1.1.0")) == ("v1.0.0", "v1.1.0")
    with pytest.raises(ScaffoldError, match="cannot use the template"):
        run(project, to="v9.9.9")


def test_a_template_without_tags_is_followed_by_commits(tmp_path: Path) -> None:
    template = small(tmp_path / "t")
    git(template, "tag", "-d", "v1.0.0")
    project = make(template, tmp_path / "p", "HEAD")
    assert "already at" in run(project).results[-1].detail
    release(template, "x", {"new": "more\n"})
    git(template, "tag", "-d", "x")
    was, to = versions(run(project))
    assert git(template, "rev-parse", "HEAD").startswith(to)
    assert was != to
    assert (project / "new").exists()


def test_an_answer_is_changed_at_the_same_version(tmp_path: Path) -> None:
    template = small(tmp_path / "t")
    project = make(template, tmp_path / "p", "v1.0.0")
    run(project, data={"memory": "8"})
    assert (project / "job.cfg").read_text() == "# a job\nmemory = 8\nlast\n"
    assert git(project, "log", "-1", "--format=%s") == "Change the answers to the template: memory"
    with pytest.raises(UsageError, match="no question 'memry'"):
        run(project, data={"memry": "8"})
    git(project, "switch", "--quiet", "main")
    git(project, "merge", "--quiet", "template/v1.0.0")
    run(project, data={"memory": "16"})  # the branch has done its work: it is used again
    assert "memory = 16" in (project / "job.cfg").read_text()
    with pytest.raises(ScaffoldError, match="you are on the branch"):
        run(project, data={"memory": "32"})
    git(project, "switch", "--quiet", "main")
    with pytest.raises(ScaffoldError, match="commits that are not in yours"):
        run(project, data={"memory": "32"})


# What a user's repository can be like -------------------------------------------------------------


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A template with v1.0.0 and v1.1.0, and a project of the first."""
    template = small(tmp_path / "t")
    project = make(template, tmp_path / "p", "v1.0.0")
    job = "# a job\nmemory = {{ memory }}\nlast, and more\n"
    release(template, "v1.1.0", {"job.cfg.jinja": job, "new.txt": "new\n"})
    return template, project


def test_a_dirty_tree_is_left_alone(two: tuple[Path, Path]) -> None:
    _, project = two
    (project / "job.cfg").write_text("mine\n")
    (project / "notes").write_text("mine\n")
    before = snapshot(project)
    with pytest.raises(ScaffoldError, match="not committed") as caught:
        run(project)
    assert "job.cfg" in caught.value.message
    assert "git stash" in caught.value.hint
    assert snapshot(project) == before
    git(project, "stash", "--quiet")
    run(project)
    assert (project / "notes").read_text() == "mine\n"  # in the way of nothing
    assert git(project, "stash", "list") != ""


def test_a_project_that_was_copied(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Git's index then knows the files by times that they do not have any more."""
    _, project = two
    shutil.copytree(project, tmp_path / "copy", copy_function=shutil.copy)
    (tmp_path / "copy" / "job.cfg").touch()
    run(tmp_path / "copy")
    assert (tmp_path / "copy" / "new.txt").exists()
    assert git(tmp_path / "copy", "status", "--porcelain") == ""


def test_a_file_that_git_ignores_is_not_overwritten(two: tuple[Path, Path]) -> None:
    _, project = two
    (project / ".gitignore").write_text("*.txt\n")
    commit(project)
    (project / "new.txt").write_text("precious\n")
    with pytest.raises(ScaffoldError, match="git does not hold"):
        run(project)
    assert (project / "new.txt").read_text() == "precious\n"
    (project / "new.txt").unlink()
    run(project)
    assert "new.txt" in git(project, "ls-files")


def test_a_project_in_a_folder_of_a_larger_repository(tmp_path: Path) -> None:
    template = small(tmp_path / "t")
    top = tmp_path / "mono"
    top.mkdir()
    git(top, "init", "--quiet", "-b", "main")
    (top / "other").write_text("other\n")
    render(Template(str(template), "v1.0.0"), top / "deep" / "p", {}, ask=False)
    commit(top)
    release(template, "v1.1.0", {"new.txt": "new\n"})
    (top / "other").write_text("being edited\n")
    project = top / "deep" / "p"
    run(project)
    assert (project / "new.txt").read_text() == "new\n"
    assert (top / "other").read_text() == "being edited\n"
    assert git(top, "show", "--name-only", "--format=", "HEAD").splitlines() == [
        "deep/p/.copier-answers.yml",
        "deep/p/new.txt",
    ]
    assert git(top, "status", "--porcelain") == "M other"
    abort_update(project, Silent())
    assert not (project / "new.txt").exists()
    assert (top / "other").read_text() == "being edited\n"


def test_a_detached_head(two: tuple[Path, Path]) -> None:
    _, project = two
    git(project, "switch", "--quiet", "--detach")
    head = git(project, "rev-parse", "HEAD")
    run(project)
    assert git(project, "branch", "--show-current") == "template/v1.1.0"
    abort_update(project, Silent())
    assert git(project, "branch", "--show-current") == ""
    assert git(project, "rev-parse", "HEAD") == head
    assert git(project, "status", "--porcelain") == ""


def test_hooks_that_fail_and_no_identity(two: tuple[Path, Path]) -> None:
    _, project = two
    for name in ("pre-commit", "commit-msg", "post-checkout", "reference-transaction"):
        hook = project / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
    run(project)
    assert git(project, "log", "-1", "--format=%an") == "pixi-scaffold"
    git(project, "config", "user.name", "Ada")
    abort_update(project, Silent())
    run(project)
    assert git(project, "log", "-1", "--format=%an") == "Ada"


def test_no_git_and_no_commit(tmp_path: Path) -> None:
    template = small(tmp_path / "t")
    project = tmp_path / "p"
    render(Template(str(template)), project, {}, ask=False)
    with pytest.raises(ScaffoldError, match="not in a git work tree"):
        run(project)
    git(project, "init", "--quiet")
    with pytest.raises(ScaffoldError, match="no commit yet"):
        run(project)
    with pytest.raises(UsageError, match="not made from a template"):
        run(tmp_path)


def test_another_worktree_and_a_shallow_clone(two: tuple[Path, Path], tmp_path: Path) -> None:
    _, project = two
    git(project, "worktree", "add", "--quiet", str(tmp_path / "w"), "-b", "side")
    run(tmp_path / "w")
    assert (tmp_path / "w" / "new.txt").exists()
    assert not (project / "new.txt").exists()
    (project / "more").write_text("x")
    commit(project)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{project}", "shallow")
    run(tmp_path / "shallow")
    assert git(tmp_path / "shallow", "fsck", "--connectivity-only").count("error") == 0


def test_a_branch_that_another_worktree_has(two: tuple[Path, Path], tmp_path: Path) -> None:
    _, project = two
    git(project, "branch", "template/v1.1.0")
    git(project, "worktree", "add", "--quiet", str(tmp_path / "w"), "template/v1.1.0")
    with pytest.raises(ScaffoldError, match="is checked out in"):
        run(project)
    git(project, "worktree", "remove", str(tmp_path / "w"))
    git(project, "branch", "-D", "template/v1.1.0")
    git(project, "branch", "template")
    with pytest.raises(ScaffoldError, match="a branch `template`"):
        run(project)


def test_a_submodule_stays(two: tuple[Path, Path], tmp_path: Path) -> None:
    template, project = two
    add = ["-c", "protocol.file.allow=always", "submodule", "add", "--quiet"]
    git(project, *add, str(template), "sub")
    commit(project)
    head = git(project, "ls-tree", "HEAD", "sub")
    run(project)
    assert git(project, "ls-tree", "HEAD", "sub") == head
    assert (project / "sub" / "copier.yml").exists()
    assert git(project, "status", "--porcelain") == ""


def test_windows_line_endings_stay(two: tuple[Path, Path]) -> None:
    _, project = two
    (project / "job.cfg").write_bytes(b"# mine\r\nmemory = 4\r\nlast\r\n")
    commit(project)
    run(project)
    assert (project / "job.cfg").read_bytes() == b"# mine\r\nmemory = 4\r\nlast, and more\r\n"


def test_what_is_no_text(two: tuple[Path, Path]) -> None:
    """Other encodings merge as bytes; a link, or bytes that are no text, are kept and named."""
    _, project = two
    (project / "job.cfg").write_bytes(b"# a j\xf6b\nmemory = 4\nlast\n")
    commit(project)
    run(project)
    assert (project / "job.cfg").read_bytes() == b"# a j\xf6b\nmemory = 4\nlast, and more\n"
    abort_update(project, Silent())
    for make_it in (
        lambda place: place.write_bytes(b"\0mine"),
        lambda place: place.symlink_to("/no/where"),
    ):
        (project / "job.cfg").unlink()
        make_it(project / "job.cfg")
        commit(project)
        before = read_tree(project, ["job.cfg"])
        report = run(project)
        assert report.exit_code == 3
        assert "not text" in report.failed[0].lines[0]
        assert read_tree(project, ["job.cfg"]) == before
        abort_update(project, Silent())
        assert git(project, "status", "--porcelain") == ""


def test_something_of_yours_where_a_file_must_be(two: tuple[Path, Path], tmp_path: Path) -> None:
    template, project = two
    (project / "new.txt").mkdir()
    (project / "new.txt" / "x").write_text("x")
    commit(project)
    with pytest.raises(ScaffoldError, match=r"your folder new\.txt is in its place"):
        run(project)
    release(template, "v1.2.0", {"new.txt": None, "folder/file": "x\n"})
    (tmp_path / "elsewhere").mkdir()
    (project / "folder").symlink_to(tmp_path / "elsewhere")
    commit(project)
    report = run(project)
    kept = {file["path"]: file["note"] for file in report.to_dict()["files"]}
    assert kept["folder/file"] == "folder is a link of yours"
    git(project, "switch", "--quiet", "-c", "next")
    (project / "plain").write_text("x")
    commit(project)
    release(template, "v1.3.0", {"plain/file": "x\n"})
    with pytest.raises(ScaffoldError, match="your file plain is in its place"):
        run(project)
    assert (project / "folder").is_symlink()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_edited_file_is_kept_when_the_template_drops_it(two: tuple[Path, Path]) -> None:
    """Copier deletes it."""
    template, project = two
    run(project)
    git(project, "switch", "--quiet", "-c", "next")
    (project / "job.cfg").write_text("mine\n")
    commit(project)
    release(template, "v1.2.0", {"job.cfg.jinja": None, "new.txt": None})
    report = run(project)
    assert (project / "job.cfg").read_text() == "mine\n"
    assert not (project / "new.txt").exists()
    kinds = {file["path"]: file["action"] for file in report.to_dict()["files"]}
    assert kinds["job.cfg"] == Action.YOURS
    assert kinds["new.txt"] == Action.DELETED


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("_commit: [", "not valid YAML"),
        ("- a\n", "not a table"),
        ("_commit: v1\n", "where its template is"),
        ("_src_path: x\n", "no version"),
        ("<<<<<<< before updating\n", "conflict markers"),
        ("_src_path: /no/such\n_commit: v1.0.0\n", "cannot use the template"),
        ("_src_path: https://127.0.0.1:1/x.git\n_commit: v1.0.0\n", "cannot use the template"),
    ],
)
def test_an_answers_file_that_somebody_edited(
    two: tuple[Path, Path], text: str, words: str
) -> None:
    _, project = two
    (project / ".copier-answers.yml").write_text(text)
    commit(project)
    before = snapshot(project)
    with pytest.raises(ScaffoldError, match=words):
        run(project)
    assert snapshot(project) == before


def test_a_version_that_the_template_does_not_have(two: tuple[Path, Path]) -> None:
    _, project = two
    answers = project / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace("v1.0.0", "v0.0.7"))
    commit(project)
    with pytest.raises(ScaffoldError, match="cannot use the template"):
        run(project)


def test_where_it_is_not_as_copier(two: tuple[Path, Path], tmp_path: Path) -> None:
    """What docs/how-to/update.md names; seeded files are compared in every scenario above."""
    template, project = two
    release(template, "v1.1.1", {"pixi.toml": PIXI, "a.txt": "one\n", "job.cfg.jinja": FIVE})
    run(project)
    git(project, "switch", "--quiet", "-c", "next")
    (project / "a.txt").write_text("mine\n")
    (project / "job.cfg").write_bytes(FIVE.replace("a\n", "mine\n").replace("\n", "\r\n").encode())
    (project / "pixi.toml").write_text(PIXI + 'mine = "*"\n')
    commit(project)
    more = PIXI + 'rich = "*"\n'
    files = {"pixi.toml": more, "a.txt": None, "job.cfg.jinja": FIVE.replace("e\n", "E\n")}
    release(template, "v1.2.0", files)
    theirs = plain_copier(project, tmp_path / "copy" / "p")
    report = run(project)
    assert report.exit_code == 0
    ours = tree(project)
    different = {path for path in ours if ours[path] != theirs.get(path)}
    assert different == {"a.txt", "job.cfg", "pixi.toml"}
    assert "a.txt" not in theirs
    assert ours["a.txt"].content == b"mine\n"
    assert has_markers(theirs["job.cfg"].content)
    assert ours["job.cfg"].content == b"mine\r\nb\r\nc\r\nd\r\nE\r\n"
    assert has_markers(theirs["pixi.toml"].content)
    assert ours["pixi.toml"].content.decode() == PIXI + 'mine = "*"\nrich = "*"\n'


FIVE = "a\nb\nc\nd\ne\n"


# Interrupts -------------------------------------------------------------------------------------


class Stopping(Silent):
    """A progress that interrupts at the n-th thing that it is told."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.left, self.error = at, error

    def tick(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error("stop")

    def start(self, name: str) -> None:
        self.tick()

    def finish(self, result: Result) -> None:
        self.tick()


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, ScaffoldError, OSError])
def test_an_interrupt_at_any_step_leaves_everything_bit_for_bit(
    history: History, tmp_path: Path, error: type[BaseException]
) -> None:
    project = make(history.folder, tmp_path / "p", "v0.1.0")
    edited(project)
    commit(project)
    before = snapshot(project)
    for at in range(1, 50):
        try:
            update(UpdateRequest(project), yes, Stopping(at, error))
        except error:
            if git(project, "branch", "--show-current") != "main":
                break  # the last word of the progress, when all is done
            assert snapshot(project) == before, at
        else:
            break
    assert at > 8
    assert git(project, "branch", "--show-current") == f"template/{history.newest}"


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[*HealthCheck])
@given(tag=st.sampled_from(FROM), edits=st.lists(EDIT, min_size=1, max_size=8))
def test_random_edits_survive_a_whole_update(
    history: History, tmp_path_factory: pytest.TempPathFactory, tag: str, edits: list[EditLine]
) -> None:
    """As tests/test_merge.py, through git; where the project is refused, it is as it was."""
    project = make(history.folder, tmp_path_factory.mktemp("random") / "p", tag)
    ours, written = apply(tree(project), edits)
    for path, file in ours.items():
        (project / path).write_bytes(file.content)
    git(project, "commit", "--quiet", "--allow-empty", "-am", "random")
    before = tree(project)
    refused = ""
    try:
        run(project)
    except ScaffoldError as error:
        refused = error.message
    if refused:
        assert "pixi.toml" in refused
        assert tree(project) == before
        return
    after = tree(project)
    for path, lines in written.items():
        there = after[path].content.decode().split("\n")
        assert [line for line in lines if line not in there] == [], path
    abort_update(project, Silent())
    assert tree(project) == before


def refuse(_: Plan) -> bool:
    return False


def test_a_dry_run_touches_nothing(history: History, conflicting: Path) -> None:
    before = snapshot(conflicting)
    objects = sorted(conflicting.rglob(".git/objects/*/*"))
    report = run(conflicting, refuse)
    assert report.to_dict()["applied"] is False
    assert snapshot(conflicting) == before
    assert sorted(conflicting.rglob(".git/objects/*/*")) == objects


def test_a_dry_run_looks_at_a_project_with_uncommitted_work(
    history: History, conflicting: Path
) -> None:
    (conflicting / "ruff.toml").write_text("dirty")
    before = snapshot(conflicting)
    ran = scaffold("update", "--dry-run", cwd=conflicting)
    assert ran.code == 0, ran
    assert "as committed, without your changes in ruff.toml" in ran.out
    assert "conflict          htcondor/train.sub" in ran.out
    assert snapshot(conflicting) == before
    assert scaffold("update", "--yes", cwd=conflicting).code == 1


@pytest.mark.parametrize("verb", ["update-ref", "switch"])
def test_a_landing_that_fails_in_the_middle_is_undone(
    two: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """A git that fails at one command, once; a stand-in for a full disk."""
    _, project = two
    before = snapshot(project)
    real = shutil.which("git")
    stand_in = tmp_path / "bin" / "git"
    stand_in.parent.mkdir()
    stand_in.write_text(
        f'#!/bin/sh\ncase "$*" in *hooksPath*" {verb} "*) '
        f"[ -e {tmp_path}/done ] || {{ touch {tmp_path}/done; echo full >&2; exit 1; }};; esac\n"
        f'exec {real} "$@"\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    with pytest.raises(ScaffoldError, match="full"):
        run(project)
    assert snapshot(project) == before
    run(project)


@pytest.mark.slow
def test_sigterm_at_any_moment(history: History, tmp_path: Path) -> None:
    """The whole command, ended from outside: the tree is as it was, or the update is done."""
    project = make(history.folder, tmp_path / "p", "v0.1.0")
    before = snapshot(project)
    argv = [sys.executable, "-m", "pixi_scaffold", "update", str(project), "--yes"]
    codes = set()
    for wait in (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 2.0):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(wait)
        process.terminate()
        out, err = process.communicate(timeout=600)
        codes.add(process.returncode)
        # Python drops an interrupt that comes while it clears an object away, and says so itself.
        assert "Traceback" not in out + err or "Exception ignored in" in out + err
        if git(project, "branch", "--show-current") == "main":
            assert without_index(snapshot(project)) == without_index(before)
            assert git(project, "status", "--porcelain") == ""
        else:
            abort_update(project, Silent())
            assert git(project, "status", "--porcelain") == ""
    assert 130 in codes or -15 in codes  # -15: before Python could take the signal


# The command line ---------------------------------------------------------------------------------


def test_the_command(history: History, conflicting: Path) -> None:
    ran = scaffold("update", conflicting, cwd=conflicting)
    assert ran.code == 2
    assert "--yes" in ran.err
    ran = scaffold("update", "--dry-run", cwd=conflicting)
    assert ran.code == 0, ran
    assert "conflict          htcondor/train.sub" in ran.out
    assert "updated           .copier-answers.yml" in ran.out
    ran = scaffold("update", conflicting, "--yes", "--json", cwd=conflicting.parent)
    assert ran.code == 3
    assert ran.document["conflicts"] == ["htcondor/bootstrap.sh", "htcondor/train.sub"]
    assert ran.document["schema"] == 1
    ran = scaffold("update", "--continue", cwd=conflicting)
    assert ran.code == 1
    assert "conflict markers" in ran.err
    ran = scaffold("update", "--abort", cwd=conflicting)
    assert ran.code == 0, ran
    assert scaffold("update", "--abort", "--continue", cwd=conflicting).code == 2


@pytest.mark.slow
def test_all_projects_of_a_folder(history: History, tmp_path: Path) -> None:
    """One that needs a hand, one that is dirty, and two that are updated."""
    folder = tmp_path / "lab"
    for name in ("a", "b", "c", "d"):
        make(history.folder, folder / name, "v0.2.0" if name != "b" else "v0.1.0")
    line = first_change(history, "v0.2.0", "htcondor/train.sub")
    place = folder / "c" / "htcondor" / "train.sub"
    place.write_text(place.read_text().replace(line, "# my own line", 1))
    commit(folder / "c")
    (folder / "d" / "ruff.toml").write_text("dirty")
    before = {name: snapshot(folder / name) for name in "cd"}
    assert scaffold("update", "--all", folder, cwd=tmp_path).code == 2
    ran = scaffold("update", "--all", folder, "--dry-run", "--json", cwd=tmp_path)
    assert ran.code == 0
    assert git(folder / "a", "branch", "--show-current") == "main"
    ran = scaffold("update", "--all", folder, "--yes", "--json", cwd=tmp_path)
    assert ran.code == 3
    status = {result["name"]: result["status"] for result in ran.document["results"]}
    assert status == {"a": "passed", "b": "passed", "c": "failed", "d": "failed"}
    assert "conflicts in htcondor/train.sub" in ran.document["projects"][2]["error"]
    for name in "cd":
        assert snapshot(folder / name) == before[name]
    assert git(folder / "b", "branch", "--show-current") == f"template/{history.newest}"


# The lock ---------------------------------------------------------------------------------------

PIXI = """[workspace]
name = "p"
channels = ["conda-forge"]
platforms = ["linux-64"]

[dependencies]
tqdm = "*"
"""


@pytest.fixture
def locked(conda_forge: None, tmp_path: Path) -> tuple[Path, Path]:
    """A project with a lock, whose template then asks for one more package."""
    template = small(tmp_path / "t")
    release(template, "v1.1.0", {"pixi.toml": PIXI})
    project = make(template, tmp_path / "p", "v1.1.0")
    assert scaffold("lock", project, cwd=tmp_path).code == 0
    commit(project)
    release(template, "v1.2.0", {"pixi.toml": PIXI + 'colorama = "*"\n'})
    return template, project


def test_a_new_requirement_is_locked_and_checked(locked: tuple[Path, Path]) -> None:
    _, project = locked
    before = (project / "pixi.lock").read_text()
    report = run(project)
    assert report.exit_code == 0, report
    steps = {result.name: result.detail for result in report.results}
    assert steps["lock"].startswith("pixi.lock written")
    assert "pixi.lock is current" in steps["check"]
    after = (project / "pixi.lock").read_text()
    kept = [line for line in before.splitlines() if "tqdm" in line]
    assert kept
    assert set(kept) <= set(after.splitlines())  # locked versions stay
    assert "colorama" in after
    assert git(project, "status", "--porcelain") == ""
    assert "pixi.lock" in git(project, "show", "--name-only", "--format=", "HEAD")
    assert scaffold("check", project, cwd=project).code == 0


PYPROJECT = """[project]
name = "p"
version = "0.1"
requires-python = ">=3.11"

[tool.pixi.workspace]
channels = ["conda-forge"]
platforms = ["linux-64"]

[tool.pixi.dependencies]
tqdm = "*"
"""


def test_a_manifest_in_pyproject_is_merged_by_its_keys_and_locked(
    conda_forge: None, tmp_path: Path
) -> None:
    """As pixi.toml: both add a dependency at the same place, and the lock follows."""
    template = small(tmp_path / "t")
    release(template, "v1.1.0", {"pyproject.toml": PYPROJECT})
    project = make(template, tmp_path / "p", "v1.1.0")
    with (project / "pyproject.toml").open("a") as file:
        file.write('packaging = "*" # mine\n')
    assert scaffold("lock", project, cwd=tmp_path).code == 0
    commit(project)
    release(template, "v1.2.0", {"pyproject.toml": PYPROJECT + 'colorama = "*"\n'})
    report = run(project)
    assert report.exit_code == 0, report
    merged = (project / "pyproject.toml").read_text()
    assert 'packaging = "*" # mine' in merged
    assert 'colorama = "*"' in merged
    steps = {result.name: result.detail for result in report.results}
    assert steps["lock"].startswith("pixi.lock written")
    assert "pixi.lock is current" in steps["check"]
    assert "colorama" in git(project, "show", "HEAD:pixi.lock")
    assert scaffold("lock", "--check", project, cwd=project).code == 0
    ran = scaffold("status", project, "--json", cwd=project)
    assert ran.document["projects"][0]["lock"]["state"] == "current", ran.document


def test_a_channel_that_does_not_answer(
    locked: tuple[Path, Path], mirror: Callable[[str], None]
) -> None:
    """The update is made, and it is said that the lock is not current."""
    from tests.support.server import closed

    _, project = locked
    before = (project / "pixi.lock").read_bytes()
    mirror(closed())
    report = run(project)
    assert report.exit_code == 3
    assert {r.name: r.status.value for r in report.results}["lock"] == "skipped"
    assert "not current" in report.failed[0].detail
    assert any(" lock " in command for command in report.next_commands)
    assert (project / "pixi.lock").read_bytes() == before
    assert git(project, "branch", "--show-current") == "template/v1.2.0"


def test_requirements_that_cannot_be_met_stop_it(locked: tuple[Path, Path]) -> None:
    template, project = locked
    release(template, "v1.3.0", {"pixi.toml": PIXI + 'tqdm2 = ">=99"\n'})
    before = snapshot(project)
    with pytest.raises(ScaffoldError, match="tqdm2") as caught:
        run(project)
    assert "/pixi-scaffold-" not in caught.value.message + caught.value.hint
    assert "the project is as it was" in caught.value.hint
    assert snapshot(project) == before


def test_a_manifest_that_means_the_same_keeps_its_lock(
    locked: tuple[Path, Path], mirror: Callable[[str], None]
) -> None:
    from tests.support.server import closed

    template, project = locked
    release(template, "v1.3.0", {"pixi.toml": "# a comment\n" + PIXI})
    mirror(closed())
    report = run(project)
    assert report.exit_code == 0
    assert "lock" not in {r.name for r in report.results}


def test_a_manifest_that_cannot_be_read_stops_it(locked: tuple[Path, Path]) -> None:
    _, project = locked
    (project / "pixi.toml").write_text("[broken\n" + PIXI)
    commit(project)
    before = snapshot(project)
    with pytest.raises(ScaffoldError, match="would not pass `check`.*pixi.toml"):
        run(project)
    assert snapshot(project) == before


@pytest.mark.slow
@pytest.mark.usefixtures("conda_forge")
def test_the_templates_own_project_is_locked_again_and_passes_check(
    history: History, tmp_path: Path
) -> None:
    """From a real earlier version: without torchvision, which the extract has for few platforms."""
    project = make(history.folder, tmp_path / "p", "v0.1.0")
    manifest = project / "pixi.toml"
    manifest.write_text(
        manifest.read_text().replace('cuda-version = "12.9.*"', 'cuda-version = "12.8.*"')
    )
    commit(project)
    assert scaffold("lock", project, cwd=tmp_path).code == 0
    commit(project, "lock")
    report = run(project)
    assert report.exit_code == 0, report
    assert scaffold("check", project, cwd=tmp_path).code == 0
    assert 'cuda-version = "12.8.*"' in manifest.read_text()


def test_what_was_wrong_with_a_job_before_is_not_the_updates_doing(tmp_path: Path) -> None:
    """A new error in a submit file fails the update's report, and an old one does not."""
    from pixi_scaffold.report import Step
    from pixi_scaffold.update.prepare import check_jobs, job_errors

    (tmp_path / "job.sub").write_text("executable = gone.sh\nqueue\n")
    before = job_errors(tmp_path)
    assert [key[0] for key in before] == ["PS201"]
    step = Step("jobs")
    check_jobs(tmp_path, lambda: before, step)
    assert step.result is not None
    assert (step.result.status, step.result.hint) == (Status.PASSED, "")
    (tmp_path / "job.sub").write_text("executable = gone.sh\nuniverse = vanila\nqueue\n")
    step = Step("jobs")
    check_jobs(tmp_path, lambda: before, step)
    assert step.result is not None
    assert step.result.status is Status.FAILED
    assert any("PS114" in line for line in step.result.lines)
    assert not any("PS201" in line for line in step.result.lines)


# Work that nobody but the user has -----------------------------------------------------------------


def test_abort_from_another_branch_touches_no_work(history: History, tmp_path: Path) -> None:
    project = make(history.folder, tmp_path / "p", "v0.2.0")
    branch = git(project, "branch", "--show-current")
    run(project)
    git(project, "switch", "--quiet", branch)
    text = (project / "main.py").read_text() + "# three hours of work\n"
    (project / "main.py").write_text(text)
    (project / "NEW.md").write_text("notes\n")
    before = snapshot(project)
    with pytest.raises(ScaffoldError, match="not on template/"):
        abort_update(project, Silent())
    assert without_index(snapshot(project)) == without_index(before)
    git(project, "switch", "--quiet", "-c", "feature")
    with pytest.raises(ScaffoldError, match="not on template/"):
        abort_update(project, Silent())
    assert git(project, "branch", "--show-current") == "feature"
    assert (project / "main.py").read_text() == text


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_files_that_git_overlooks_are_not_touched(
    history: History, tmp_path: Path, flag: str
) -> None:
    project = make(history.folder, tmp_path / "p", "v0.2.0")
    git(project, "update-index", flag, "main.py")
    (project / "main.py").write_text("my local settings\n")
    before = snapshot(project)
    with pytest.raises(ScaffoldError, match=r"(?s)overlook.*main\.py"):
        run(project)
    assert without_index(snapshot(project)) == without_index(before)
    assert (project / "main.py").read_text() == "my local settings\n"


@pytest.mark.parametrize(
    ("path", "text", "left"),
    [
        ("main.py", b"a\n<<<<<<< ours\nb\n", True),
        ("main.py", b"a\n=======\nb\n", True),
        ("main.py", b"a\n>>>>>>> theirs\r\nb\n", True),
        ("main.py", b"a = '<<<<<<<'\nb\n", False),
        ("README.md", b"Title\n=======\n", False),
        ("README.md", b"Title\n<<<<<<< x\n", True),
    ],
)
def test_markers_of_any_label_are_left_overs(path: str, text: bytes, left: bool) -> None:
    assert has_leftovers(path, text) == left


def test_abort_does_not_go_back_to_a_branch_that_moved(two: tuple[Path, Path]) -> None:
    """Its difference, the user's commit, would lie in the index as undone."""
    _, project = two
    branch = git(project, "branch", "--show-current")
    run(project)
    update_branch = git(project, "branch", "--show-current")
    git(project, "switch", "--quiet", branch)
    (project / "mine.txt").write_text("mine\n")
    commit(project)
    git(project, "switch", "--quiet", update_branch)
    with pytest.raises(ScaffoldError, match="has commits of yours since"):
        abort_update(project, Silent())
    git(project, "switch", "--quiet", branch)
    git(project, "merge", "--quiet", "--no-edit", update_branch)
    git(project, "switch", "--quiet", update_branch)
    with pytest.raises(ScaffoldError, match=f"is in {branch} already"):
        abort_update(project, Silent())
    git(project, "branch", "-m", branch, "other")
    with pytest.raises(ScaffoldError, match="is gone"):
        abort_update(project, Silent())
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "branch", "--show-current") == update_branch


@pytest.mark.slow
def test_several_projects_of_one_repository(tmp_path: Path) -> None:
    template = small(tmp_path / "t")
    top = tmp_path / "lab"
    top.mkdir()
    git(top, "init", "--quiet", "-b", "main")
    for name in ("a", "b c"):
        render(Template(str(template), "v1.0.0"), top / name, {}, ask=False, git=False)
    commit(top)
    release(template, "v1.1.0", {"job.cfg.jinja": "# a job\nmemory = {{ memory }}\nmore\n"})
    ran = scaffold("update", "--all", top, "--yes", cwd=tmp_path)
    assert ran.code == 0, ran
    assert git(top, "branch", "--show-current") == "template/b-c/v1.1.0"
    for name in ("a", "b c"):
        assert (top / name / "job.cfg").read_text().endswith("more\n")
    assert git(top, "status", "--porcelain") == ""
    with pytest.raises(ScaffoldError, match="you are on template/b-c"):
        abort_update(top / "a", Silent())  # the other update is on top of it
    abort_update(top / "b c", Silent())
    assert git(top, "branch", "--show-current") == "template/a/v1.1.0"
    assert (top / "b c" / "job.cfg").read_text().endswith("last\n")
    abort_update(top / "a", Silent())
    assert git(top, "branch", "--format=%(refname:short)") == "main"
    assert scaffold("update", "--all", top, "--yes", cwd=tmp_path).code == 0
    ran = scaffold("update", "--all", top, "--abort", cwd=tmp_path)
    assert ran.code == 0, ran
    assert git(top, "branch", "--format=%(refname:short)") == "main"
    assert git(top, "status", "--porcelain") == ""


def test_an_update_that_was_cut_off_stops_those_of_other_projects(tmp_path: Path) -> None:
    """What is kept of the user's files belongs to the first; a second update would replace it."""
    template = small(tmp_path / "t")
    top = tmp_path / "lab"
    top.mkdir()
    git(top, "init", "--quiet", "-b", "main")
    for name in ("a", "b"):
        render(Template(str(template), "v1.0.0"), top / name, {}, ask=False, git=False)
    commit(top)
    release(template, "v1.1.0", {"job.cfg.jinja": "# a job\nmemory = {{ memory }}\nmore\n"})
    run(top / "a")
    repository = open_repository(top / "a")
    landing = read_note(repository)
    assert landing is not None
    write_note(repository, replace(landing, landed=False))
    git(top, "switch", "--quiet", "main")
    with pytest.raises(ScaffoldError, match="cut off in the middle") as caught:
        run(top / "b")
    assert caught.value.hint.endswith(f"update --abort {top}/a")


def test_continue_commits_nothing_else(conflicting: Path) -> None:
    run(conflicting)
    for path in ("htcondor/bootstrap.sh", "htcondor/train.sub"):
        (conflicting / path).write_text("resolved\n")
    (conflicting / "other.txt").write_text("staged\n")
    git(conflicting, "add", "other.txt")
    continue_update(conflicting, "auto", Silent())
    assert "other.txt" not in git(conflicting, "show", "--stat", "--format=")
    assert git(conflicting, "status", "--porcelain") == "A  other.txt"


def test_a_landing_that_was_cut_off_is_told(two: tuple[Path, Path]) -> None:
    """As after kill -9: the note is there, and the update is not."""
    _, project = two
    head = git(project, "rev-parse", "HEAD")
    run(project)
    note = project / ".git" / "pixi-scaffold-update.json"
    document = json.loads(note.read_text())
    branch = git(project, "branch", "--show-current")
    git(project, "symbolic-ref", "HEAD", f"refs/heads/{document['from_branch']}")
    note.write_text(json.dumps({**document, "landed": False}))
    with pytest.raises(ScaffoldError, match="cut off in the middle") as caught:
        run(project)
    assert "--abort" in caught.value.hint
    abort_update(project, Silent())
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "rev-parse", "HEAD") == head
    assert branch not in git(project, "branch", "--list")


@pytest.mark.parametrize("message", ["written", "not written"])
def test_a_landing_with_conflicts_that_was_cut_off_can_be_undone(
    conflicting: Path, message: str
) -> None:
    """As after kill -9 when a conflict's three sides are in the index, and no cherry-pick waits yet."""
    before = {k: v for k, v in snapshot(conflicting).items() if k != ".git/index"}
    run(conflicting)
    note = conflicting / ".git" / "pixi-scaffold-update.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "landed": False}))
    git(conflicting, "update-ref", "-d", "CHERRY_PICK_HEAD")
    if message == "not written":
        (conflicting / ".git" / "MERGE_MSG").unlink()
    abort_update(conflicting, Silent())
    after = snapshot(conflicting)
    del after[".git/index"]  # has the times of the files, too
    assert after == before
    assert git(conflicting, "status", "--porcelain") == ""
