"""What update and status say where something stands in the way, and the command that works then."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.report import Silent
from pixi_scaffold.update import move_template
from pixi_scaffold.update.status import status
from tests.conftest import git
from tests.support.command import scaffold
from tests.support.history import release
from tests.test_terminal import Terminal
from tests.test_update import commit, make, run, small

QUESTIONS = """project_name: {type: str}
memory: {type: str, default: 4}
cuda: {type: str, default: "12.9", choices: ["12.9", "12.6"]}
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    folder = small(tmp_path / "t")
    job = "# a job\nmemory = {{ memory }}\ncuda = {{ cuda }}\n"
    release(folder, "v1.1.0", {"copier.yml": QUESTIONS, "job.cfg.jinja": job})
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """A project of v1.1.0 that answered 12.6; v1.2.0 adds a file."""
    folder = make(template, tmp_path / "p", "v1.1.0", cuda="12.6")
    release(template, "v1.2.0", {"new.txt": "new\n"})
    return folder


def words(project: Path) -> str:
    """What `status` says of a project's version and its updates."""
    facts = status([project], Silent()).to_dict()["projects"][0]
    return "; ".join((facts["words"]["template"], *facts["notes"]))


def todo(project: Path) -> list[str]:
    found: list[str] = status([project], Silent()).to_dict()["projects"][0]["todo"]
    return found


# Answers -----------------------------------------------------------------------------------------


def test_an_answer_that_no_question_asks_for_fails_in_a_folder_of_projects_too(
    project: Path,
) -> None:
    done = scaffold("update", "--all", "--yes", "-d", "cudda=1", "--json", cwd=project.parent)
    assert done.code == 3
    (row,) = done.document["results"]
    assert row["status"] == "failed"
    assert "no question 'cudda'" in row["detail"]
    assert "did you mean cuda?" in row["hint"]


def test_an_answer_that_is_refused_stops_and_names_what_to_give(
    template: Path, project: Path
) -> None:
    only = QUESTIONS.replace(', "12.6"]', "]")
    release(template, "v1.3.0", {"copier.yml": only})
    with pytest.raises(UsageError, match=r"v1\.3\.0 .*cuda = 12\.6: it can be '12\.9'") as caught:
        run(project)
    assert caught.value.hint.endswith("update -d cuda=12.9")
    report = run(project, data={"cuda": "12.9"})
    assert {"name": "cuda", "action": "changed", "was": "12.6", "now": "12.9"} in report.to_dict()[
        "answers"
    ]


def test_an_answer_that_is_refused_is_asked_again_at_a_terminal(
    template: Path, project: Path
) -> None:
    release(template, "v1.3.0", {"copier.yml": QUESTIONS.replace('"12.6"]', '"13.0"]')})
    with Terminal("update", cwd=project) as terminal:
        terminal.wait_for("does not take the answer cuda")
        terminal.wait_for("cuda")
        terminal.type("\r")
        terminal.wait_for("answer changed    cuda: 12.6 -> 12.9")
        terminal.wait_for("Go on?")
        terminal.type("d\r")
        terminal.wait_for("+cuda = 12.9")
        terminal.wait_for("v1.3.0")  # the title of the template's commit
        terminal.type("n\r")
        assert terminal.end() == 0, terminal.plain


def test_answers_that_come_and_go_are_told(template: Path, project: Path) -> None:
    other = "project_name: {type: str}\ndisk: {type: str, default: '10'}\n"
    release(template, "v1.3.0", {"copier.yml": other, "job.cfg.jinja": "disk = {{ disk }}\n"})
    found = {a["name"]: a["action"] for a in run(project).to_dict()["answers"]}
    assert found == {"cuda": "dropped", "memory": "dropped", "disk": "added"}


def test_the_same_answer_again_is_no_update(template: Path, project: Path) -> None:
    run(project)
    head = git(project, "rev-parse", "HEAD")
    git(project, "switch", "--quiet", "main")
    git(project, "merge", "--quiet", "template/v1.2.0")
    assert "with these answers" in run(project, data={"cuda": "12.6"}).results[-1].detail
    assert git(project, "rev-parse", "HEAD") == head


# Hints ---------------------------------------------------------------------------------------------


def test_the_main_branch_is_called_by_its_name(project: Path) -> None:
    git(project, "branch", "-m", "master")
    assert "git switch master && git merge" in "".join(run(project).next_commands)
    with pytest.raises(ScaffoldError) as caught:
        run(project, data={"memory": "8"})
    assert "git switch master" in caught.value.hint


def test_a_revert_with_conflicts_is_not_told_to_be_committed(project: Path) -> None:
    for text in ("a\n", "b\n"):
        (project / "job.cfg").write_text(text)
        commit(project)
    subprocess.run(
        ["git", "revert", "--no-edit", "HEAD~1"], cwd=project, check=False, capture_output=True
    )
    with pytest.raises(ScaffoldError, match="a revert is under way") as caught:
        run(project)
    assert "git revert --abort" in caught.value.hint


def test_a_lock_that_git_ignores(template: Path, project: Path) -> None:
    manifest = '[workspace]\nname = "p"\nchannels = []\nplatforms = ["linux-64"]\n'
    release(template, "v1.3.0", {"pixi.toml": manifest, ".gitignore": "pixi.lock\n"})
    run(project)
    release(template, "v1.4.0", {"pixi.toml": manifest + "# more\n"})
    (project / "pixi.lock").write_text("version: 6\n")
    git(project, "switch", "--quiet", "-c", "next")
    report = run(project)
    assert "git ignores pixi.lock" in next(r.detail for r in report.results if r.name == "lock")
    assert not any("git add pixi.lock" in line for line in report.next_commands)
    assert (project / "pixi.lock").read_text() == "version: 6\n"


def test_a_signature_is_asked_for_and_abort_works_after_it(project: Path) -> None:
    git(project, "config", "commit.gpgSign", "true")
    assert any("git commit --amend --no-edit -S" in line for line in run(project).next_commands)
    git(project, "config", "commit.gpgSign", "false")
    git(project, "commit", "--amend", "--no-edit", "--quiet", "--date=2001-01-01T00:00:00")
    ran = scaffold("update", "--abort", cwd=project)
    assert ran.code == 0, ran


def test_what_follows_updates_of_a_folder_is_a_line_that_a_shell_takes(
    project: Path, tmp_path: Path
) -> None:
    """Also where one of its commands is explained by a comment, which would be the rest of the line."""
    gpg = tmp_path / "gpg"  # a stand-in, with the words that git waits for
    gpg.write_text("#!/bin/sh\ncat > /dev/null\necho signed\necho '[GNUPG:] SIG_CREATED ' >&2\n")
    gpg.chmod(0o755)
    user = {"user.name": "t", "user.email": "t@localhost"}
    for key, value in ({"commit.gpgSign": "true", "gpg.program": str(gpg)} | user).items():
        git(project, "config", key, value)
    onto = git(project, "branch", "--show-current").strip()
    done = scaffold("update", "--all", "--yes", "--json", cwd=project.parent)
    (line,) = done.document["next"]
    shell = subprocess.run(["bash", "-c", line], cwd=project.parent, capture_output=True, text=True)
    assert shell.returncode == 0, shell.stderr
    assert git(project, "branch", "--show-current").strip() == onto
    assert "gpgsig" in git(project, "cat-file", "-p", "HEAD")


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
def test_a_repository_of_somebody_else(project: Path) -> None:
    for path in (project, *project.rglob("*")):
        os.lchown(path, 65534, 65534)
    with pytest.raises(ScaffoldError, match="belongs to another user") as caught:
        run(project)
    assert "git config --global --add safe.directory" in caught.value.hint


def test_an_old_git_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in that only says that it is old."""
    stand_in = tmp_path / "bin" / "git"
    stand_in.parent.mkdir()
    stand_in.write_text("#!/bin/sh\necho git version 2.30.2\n")
    stand_in.chmod(0o755)
    ran = scaffold("update", "--yes", cwd=project)
    assert ran.code == 0
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    ran = scaffold("update", "--yes", cwd=project)
    assert ran.code == 1
    assert "2.38 or newer" in ran.err


# The template -------------------------------------------------------------------------------------


def test_a_template_that_wants_to_run_code_or_a_newer_copier(template: Path, project: Path) -> None:
    release(template, "v1.3.0", {"copier.yml": QUESTIONS + '_tasks: ["echo hi"]\n'})
    with pytest.raises(ScaffoldError, match="wants to run code") as caught:
        run(project)
    assert "copier update --trust" in caught.value.hint
    release(template, "v1.4.0", {"copier.yml": QUESTIONS + "_min_copier_version: 999.0.0\n"})
    with pytest.raises(ScaffoldError, match=r"999\.0\.0") as caught:
        run(project)
    assert "upgrade" in caught.value.hint


def test_a_version_that_is_gone_and_tags_that_are_none(template: Path, project: Path) -> None:
    git(template, "tag", "v1.3.0-lab.1")
    assert "v1.3.0-lab.1" in words(project)
    git(template, "tag", "-d", "v1.1.0")
    with pytest.raises(ScaffoldError, match="no such version") as caught:
        run(project)
    assert "it has v1.0.0, v1.2.0" in caught.value.hint


def test_a_recorded_answer_that_never_was_one(project: Path) -> None:
    answers = project / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace("12.6", "11.1"))
    commit(project)
    with pytest.raises(UsageError, match="cuda = 11.1"):
        run(project)
    assert run(project, data={"cuda": "12.6"}).exit_code == 0


def test_changes_in_a_template_that_are_not_committed_are_left_out(
    template: Path, tmp_path: Path
) -> None:
    for tag in git(template, "tag").split():
        git(template, "tag", "-d", tag)
    (template / "draft.txt").write_text("draft\n")
    ran = scaffold("new", "q", "--template", template, "--defaults", "--no-check", cwd=tmp_path)
    assert ran.code == 0, ran
    assert "left out" in ran.out
    recorded = yaml.safe_load((tmp_path / "q" / ".copier-answers.yml").read_text())["_commit"]
    assert git(template, "rev-parse", recorded) == git(template, "rev-parse", "HEAD")
    assert not (tmp_path / "q" / "draft.txt").exists()


def test_a_template_that_moved(template: Path, project: Path, tmp_path: Path) -> None:
    template.rename(tmp_path / "elsewhere")
    report = move_template(str(tmp_path / "elsewhere"), [project], Silent())
    assert report.exit_code == 0
    git(project, "config", "user.name", "t")
    git(project, "config", "user.email", "t@localhost")
    subprocess.run(report.next_commands[-1], shell=True, check=True)
    assert versions_after_update(project) == "v1.2.0"
    small(tmp_path / "other")
    report = move_template(str(tmp_path / "other"), [project], Silent())
    assert "has no version v1.2.0" in report.failed[0].detail
    with pytest.raises(UsageError, match="password"):
        move_template("https://me:secret@example.org/t.git", [project], Silent())


def versions_after_update(project: Path) -> str:
    run(project)
    return str(yaml.safe_load((project / ".copier-answers.yml").read_text())["_commit"])


# status -------------------------------------------------------------------------------------------


def test_status_knows_an_update_that_is_not_merged(project: Path, tmp_path: Path) -> None:
    run(project)
    git(project, "switch", "--quiet", "main")
    git(project, "pack-refs", "--all")
    assert "not merged yet: template/v1.2.0" in words(project)
    assert "git merge template/v1.2.0" in todo(project)[0]
    git(project, "switch", "--quiet", "-c", "other")
    assert "template/v1.2.0" in words(project)
    git(project, "merge", "--quiet", "template/v1.2.0")
    assert words(project) == "v1.2.0, the newest"


def test_status_knows_conflicts_in_another_work_tree(project: Path, tmp_path: Path) -> None:
    release(tmp_path / "t", "v1.3.0", {"job.cfg.jinja": "theirs\n"})
    (project / "job.cfg").write_text("mine\n")
    commit(project)
    git(project, "worktree", "add", "--quiet", str(tmp_path / "wt"), "-b", "w")
    assert run(tmp_path / "wt").exit_code == 3
    for place in (project, tmp_path / "wt"):
        assert "waits with conflicts on template/v1.3.0" in words(place)
        assert "update --continue" in todo(place)[0]


def test_status_prints_no_control_characters_of_a_strangers_file(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    evil = '_commit: "v1\\e]0;PWNED\\a"\n_src_path: "file:///x\\e]0;PWNED\\a"\n'
    (tmp_path / "p" / ".copier-answers.yml").write_text(evil)
    ran = scaffold("status", "p", cwd=tmp_path)
    assert "\x1b" not in ran.out + ran.err


def test_line_ends_that_git_writes_are_no_drift(project: Path) -> None:
    git(project, "config", "core.autocrlf", "true")
    (project / "job.cfg").unlink()
    git(project, "checkout", "--quiet", "--", "job.cfg")
    assert b"\r\n" in (project / "job.cfg").read_bytes()
    assert status([project], Silent()).to_dict()["projects"][0]["drift"] == []


# Many projects ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_all_ends_with_one_list_and_can_be_undone(template: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        make(template, tmp_path / "lab" / name, "v1.0.0")
    ran = scaffold("update", "--all", "lab", "--yes", "--json", cwd=tmp_path)
    assert ran.code == 0, ran
    assert len(ran.document["next"]) == 2
    for line in ran.document["next"]:
        subprocess.run(line, shell=True, cwd=tmp_path, check=True, capture_output=True)
    assert git(tmp_path / "lab" / "a", "branch", "--show-current") == "main"
    release(template, "v1.5.0", {"new.txt": "newer\n"})
    assert scaffold("update", "--all", "lab", "--yes", cwd=tmp_path).code == 0
    ran = scaffold("update", "--all", "lab", "--abort", cwd=tmp_path)
    assert ran.code == 0, ran
    assert git(tmp_path / "lab" / "b", "branch", "--show-current") == "main"
    template.rename(tmp_path / "gone")
    ran = scaffold("update", "--all", "lab", "--yes", cwd=tmp_path)
    assert ran.code == 3


@pytest.mark.parametrize(
    ("program", "remote", "called"),
    [
        ("gh", "origin.git", "pr create --head template/v1.2.0 --base main --title Update"),
        (
            "glab",
            "gitlab.git",
            "mr create --yes --source-branch template/v1.2.0 --target-branch main --title Update",
        ),
        pytest.param(
            "glab",
            "our-forge.git",
            "mr create --yes --source-branch template/v1.2.0 --target-branch main --title Update",
            marks=pytest.mark.skipif(shutil.which("gh") is not None, reason="gh goes before it"),
        ),
    ],
)
def test_push_opens_the_request_where_gh_or_glab_is(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    remote: str,
    called: str,
) -> None:
    """The program is a stand-in that writes down how it was called; the remote is real."""
    git(tmp_path, "init", "--quiet", "--bare", remote)
    git(project, "remote", "add", "origin", str(tmp_path / remote))
    stand_in = tmp_path / "bin" / program
    stand_in.parent.mkdir()
    stand_in.write_text(
        f'#!/bin/sh\necho "$*" > {tmp_path}/called\necho https://example.org/pull/1\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    report = run(project, push=True)
    assert report.results[-1].detail.endswith("https://example.org/pull/1")
    assert (tmp_path / "called").read_text().startswith(called)
    assert git(tmp_path / remote, "branch", "--list").strip() == "template/v1.2.0"


@pytest.mark.slow
def test_all_goes_on_where_conflicts_were_edited(template: Path, tmp_path: Path) -> None:
    """One is edited, one is not, and a third has nothing that waits."""
    lab = tmp_path / "lab"
    for name in ("a", "b", "c"):
        make(template, lab / name, "v1.0.0")
    release(template, "v2.0.0", {"clash.txt": "theirs\n"})
    for name in ("a", "b"):
        (lab / name / "clash.txt").write_text("ours\n")
        commit(lab / name)
        assert scaffold("update", lab / name, "--yes", cwd=tmp_path).code == 3
    (lab / "a" / "clash.txt").write_text("both\n")
    ran = scaffold("update", "--all", lab, "--continue", "--json", cwd=tmp_path)
    assert ran.code == 3
    status = {result["name"]: result["status"] for result in ran.document["results"]}
    assert status == {"a": "passed", "b": "failed", "c": "skipped"}
    assert git(lab / "a", "show", "HEAD:clash.txt") == "both"
    assert git(lab / "a", "log", "-1", "--format=%s").startswith("Update the template")
    assert (lab / "b" / "clash.txt").read_text().count("<<<<<<<") == 1
    [line] = ran.document["next"]
    assert "cd lab/a " in line


def test_a_dead_template_is_asked_once(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git that writes down how it is called goes before the real one."""
    for name in ("a", "b", "c"):
        make(template, tmp_path / "lab" / name, "v1.0.0")
    template.rename(tmp_path / "gone")
    log, real = tmp_path / "calls", shutil.which("git")
    stand_in = tmp_path / "bin" / "git"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {real} "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    for command in (("update", "--all", "lab", "--yes"), ("status", "lab")):
        log.write_text("")
        ran = scaffold(*command, cwd=tmp_path)
        assert ran.code == 3
        calls = [line.split() for line in log.read_text().splitlines() if str(template) in line]
        asked = [words for words in calls if {"ls-remote", "clone", "fetch"} & set(words)]
        assert len(asked) == 1, asked
