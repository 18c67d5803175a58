"""`pixi-scaffold new`, as a user runs it: real template, solver, packages and training."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pixi_scaffold.starter.channel import Starter
from tests.conftest import git
from tests.support.command import scaffold
from tests.support.index import index_answers
from tests.support.processes import processes
from tests.support.server import closed, serve, swallow
from tests.test_lock import without_pixi

STAGES = ["render", "manifest", "lock", "tasks", "submit", "worker", "install", "train", "rehearse"]


def statuses(document: dict) -> dict[str, str]:
    return {r["name"]: r["status"] for r in document["results"]}


@pytest.mark.slow
@pytest.mark.real_path
@pytest.mark.usefixtures("offline", "starter")
def test_from_nothing_to_a_trained_project_without_conda_forge(
    template: Path, tmp_path: Path
) -> None:
    ran = scaffold("new", "myproject", "--template", template, cwd=tmp_path)
    assert ran.code == 0, ran.out + ran.err
    assert "conda-forge cannot be reached" in ran.out
    assert "not checked here: linux-64-cuda and osx-arm64; conda-forge cannot be reached" in ran.out
    assert "No candidates" not in ran.out  # the solver's words are in the receipt
    assert " lock   # once conda-forge can be reached" in ran.out.rstrip().splitlines()[-1]
    for stage in STAGES:
        assert f"{stage}: passed in" in ran.out
    project = tmp_path / "myproject"
    assert not (project / "pixi.lock").exists()
    receipt = json.loads((project / ".pixi" / "scaffold-receipt.json").read_text())
    assert statuses(receipt) == dict.fromkeys(STAGES, "passed")
    assert receipt["channel"]["stand_in"] is True
    assert receipt["engine"] == {"name": "rattler", "why": receipt["engine"]["why"]}
    lock = project / receipt["lock"]["path"]
    assert lock.parent == project / ".pixi" / "starter"
    assert receipt["lock"]["sha256"] == hashlib.sha256(lock.read_bytes()).hexdigest()
    assert receipt["train"]["first_loss"] > receipt["train"]["last_loss"]
    assert receipt["train"]["device"]
    assert receipt["rehearsal"]["state"] == "completed"
    assert "runs/job-1-0/metrics.jsonl" in receipt["rehearsal"]["brought"]
    assert any("staged from" in note for note in receipt["rehearsal"]["notes"])
    assert any("--epochs 1" in s["why"] for s in receipt["skipped"])
    assert any("on linux-64-cuda" in s["what"] for s in receipt["skipped"])
    assert receipt["versions"]["pixi_scaffold"]
    assert git(project, "rev-list", "--count", "HEAD") == "1"
    assert git(project, "status", "--porcelain") == ""
    # the commands that were printed work, in a shell that knows nothing
    commands = receipt["next"]
    assert len(commands) == 3
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    script = f"{commands[0]} && {commands[1]} --epochs 1 --name again"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (project / "runs" / "again" / "metrics.jsonl").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("offline", "starter")
@pytest.mark.parametrize("layout", ["flat", "package"])
def test_without_the_example_the_program_runs_and_its_job_is_rehearsed(
    template: Path, tmp_path: Path, layout: str
) -> None:
    more = ("-d", "example=none", "-d", f"layout={layout}", "--channel", "starter")
    ran = scaffold("new", "p", "--template", template, *more, cwd=tmp_path)
    assert ran.code == 0, ran
    assert "p is ready: main.py ran on the CPU, its cluster job rehearsed" in ran.out
    receipt = json.loads((tmp_path / "p" / ".pixi" / "scaffold-receipt.json").read_text())
    assert receipt["train"]["first_loss"] is None  # nothing is trained, so nothing is claimed
    assert receipt["rehearsal"]["state"] == "completed"
    assert (tmp_path / "p" / "runs" / "smoke" / "checkpoint.pt").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("offline", "starter")
def test_the_json_document_is_the_receipt(template: Path, tmp_path: Path) -> None:
    ran = scaffold(
        "new", "p", "--template", template, "--channel", "starter", "--json", cwd=tmp_path
    )
    assert ran.code == 0, ran.err
    receipt = json.loads((tmp_path / "p/.pixi/scaffold-receipt.json").read_text())
    assert ran.document == {k: v for k, v in receipt.items() if k not in ("host", "written")}
    assert ran.document["channel"]["why"] == "asked for"
    assert "train: passed" in ran.err


@pytest.mark.slow
@pytest.mark.usefixtures("offline", "starter")
def test_a_training_that_crashes_shows_its_last_lines(template: Path, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(template, broken)
    main = broken / "template" / "main.py"
    main.write_text("print('about to fail')\nraise SystemExit('no such GPU')\n")
    git(broken, "commit", "--quiet", "-am", "x")
    git(broken, "tag", "v2.0.0")
    ran = scaffold("new", "p", "--template", broken, "--channel", "starter", cwd=tmp_path)
    assert ran.code == 3
    assert "about to fail" in ran.out
    assert "no such GPU" in ran.out
    assert ".pixi/logs/train.log" in ran.out
    assert "no such GPU" in (tmp_path / "p/.pixi/logs/train.log").read_text()
    receipt = json.loads((tmp_path / "p/.pixi/scaffold-receipt.json").read_text())
    assert statuses(receipt)["train"] == "failed"
    # corrected, it is proved again by the command that was printed
    (tmp_path / "p" / "main.py").write_text((template / "template" / "main.py").read_text())
    command = receipt["next"][1]
    assert command.endswith(" check --train --channel starter")
    again = scaffold("check", "--train", "--channel", "starter", "--json", cwd=tmp_path / "p")
    assert again.code == 0, again
    assert "rehearse" not in statuses(again.document)
    assert statuses(again.document) == dict.fromkeys(STAGES[1:-1], "passed")
    receipt = json.loads((tmp_path / "p/.pixi/scaffold-receipt.json").read_text())
    assert receipt.keys() - again.document.keys() == {"host", "written"}
    assert again.document.items() <= receipt.items()


@pytest.mark.slow
@pytest.mark.usefixtures("starter")
def test_a_folder_is_a_channel_too(
    template: Path, tmp_path: Path, starter: Starter, mirror: Callable[[str], None]
) -> None:
    mirror(closed())
    ran = scaffold(
        "new", "p", "--template", template, "--channel", starter.folder, "--json", cwd=tmp_path
    )
    assert ran.code == 0, ran.err
    assert ran.document["channel"]["urls"] == [starter.url + "/"]
    assert 'channels = ["conda-forge"]' in (tmp_path / "p/pixi.toml").read_text()
    with serve(starter.folder) as url:  # a URL becomes the project's own channel
        ran = scaffold("new", "q", "--template", template, "--channel", url, "--json", cwd=tmp_path)
    assert f'channels = ["{url}"]' in (tmp_path / "q/pixi.toml").read_text()
    assert statuses(ran.document)["lock"] == "failed"  # it has no CUDA and no macOS packages
    assert ran.code == 3


@pytest.mark.usefixtures("conda_forge")
def test_with_conda_forge_the_lock_is_the_projects_own(template: Path, tmp_path: Path) -> None:
    """The extract has records, not packages: the install fails, and says so."""
    ran = scaffold("new", "p", "--template", template, "--json", cwd=tmp_path)
    assert statuses(ran.document) == {
        "render": "passed",
        "manifest": "passed",
        "tasks": "passed",
        "lock": "passed",
        "submit": "passed",
        "worker": "passed",
        "install": "failed",
        "train": "skipped",
        "rehearse": "skipped",
    }
    assert ran.code == 3
    project = tmp_path / "p"
    assert ran.document["lock"]["path"] == "pixi.lock"
    assert ran.document["platforms"] == ["linux-64-cuda", "linux-64-cpu", "osx-arm64"]
    assert "pixi.lock" in git(project, "ls-files").split()
    assert git(project, "rev-list", "--count", "HEAD") == "1"
    assert git(project, "status", "--porcelain") == ""
    assert scaffold("lock", "p", "--check", cwd=tmp_path).code == 0


def test_no_check_only_renders(template: Path, tmp_path: Path) -> None:
    ran = scaffold("new", "p", "--template", template, "--no-check", "--json", cwd=tmp_path)
    assert ran.code == 0
    assert statuses(ran.document) == {"render": "passed"}
    assert not (tmp_path / "p" / ".pixi").exists()
    assert (tmp_path / "p" / ".git").is_dir()
    ran = scaffold("new", "q", "--template", template, "--no-check", "--no-git", cwd=tmp_path)
    assert ran.code == 0
    assert not (tmp_path / "q" / ".git").exists()


def test_this_folder_can_be_the_project(template: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    ran = scaffold("new", ".", "--template", template, "--no-check", cwd=tmp_path / "here")
    assert ran.code == 0, ran
    assert 'name = "here"' in (tmp_path / "here" / "pixi.toml").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize(
    ("folder", "named"), [("tmp.aBc_9", "tmp-aBc_9"), ("my project", "my-project"), ("2nd", "nd")]
)
def test_a_folder_whose_name_a_project_cannot_have_gives_it_the_nearest(
    template: Path, tmp_path: Path, folder: str, named: str
) -> None:
    """As `uv init` does; mktemp makes such folders. The folder keeps its own name."""
    (tmp_path / folder).mkdir()
    args = (".", "--template", template, "--defaults", "--no-check")
    ran = scaffold("new", *args, cwd=tmp_path / folder)
    assert ran.code == 0, ran
    assert f"note: {folder} cannot name the project (start with a letter" in ran.out
    assert f"it is named {named}\n" in ran.out
    assert f'name = "{named}"' in (tmp_path / folder / "pixi.toml").read_text()


@pytest.mark.parametrize("folder", ["class", "日本"])
def test_a_folder_whose_name_is_near_to_none_is_refused(
    template: Path, tmp_path: Path, folder: str
) -> None:
    args = (folder, "--template", template, "--defaults", "--no-check")
    ran = scaffold("new", *args, cwd=tmp_path)
    assert ran.code == 2
    assert "next: choose another folder, or name it: -d project_name=my-project" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_answers_from_the_command_line_and_a_file(template: Path, tmp_path: Path) -> None:
    (tmp_path / "answers.yml").write_text("cuda_version: '12.9'\nauthor: Ann\n_commit: x\n")
    ran = scaffold(
        "new", "p", "--template", template, "--no-check", "--data-file", "answers.yml",
        "-d", "cuda_version=13.0", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert ran.code == 0, ran
    assert ran.document["answers"]["cuda_version"] == "13.0"
    assert ran.document["answers"]["author"] == "Ann"
    assert 'cuda-version = "13.0.*"' in (tmp_path / "p/pixi.toml").read_text()


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["class"], 2, "Python keyword"),
        (["p", "-d", "cuda_version=1"], 2, "cuda_version"),
        (["p", "-d", "oops"], 2, "-d oops=VALUE"),
        (["p", "-d", "colour=red"], 2, "colour"),
        (["p", "--data-file", "missing.yml"], 2, "missing.yml"),
        (["p", "--engine", "conda"], 2, "'conda'"),
        (["p", "--channel", "./no/such"], 2, "no folder"),
        (["p", "--channel", "http://[bad"], 2, "not a conda channel"),
        (["p", "--channel", "{closed}/c"], 1, "cannot be used"),
        (["p", "--channel", "{empty}"], 1, "not a conda channel"),
        (["p", "--channel", "file:///no/such"], 1, "not a conda channel"),
        (["p", "--channel", ""], 2, "empty"),
        (["p", "--channel", "https://me:secret@localhost/c"], 2, "pixi auth login"),
        (["p", "--template", "/no/such"], 1, "cannot use the template"),
        (["full"], 2, "not empty"),
        (["p", "--engine", "pixi"], 2, "pixi is not on PATH"),
        (["p", "--no-such-option"], 2, "No such option"),
        ([], 2, "the project needs a name"),
    ],
)
def test_bad_input_makes_nothing(
    template: Path,
    tmp_path: Path,
    args: list[str],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_pixi(monkeypatch)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "empty").mkdir()
    filled = [a.format(closed=closed(), empty=tmp_path / "empty") for a in args]
    more = [] if "--template" in filled else ["--template", str(template)]
    ran = scaffold("new", *filled, *more, cwd=tmp_path)
    assert ran.code == code, ran
    assert words in ran.err
    assert sorted(os.listdir(tmp_path)) == ["empty", "full"]


@pytest.mark.slow
@pytest.mark.usefixtures("starter")
def test_behind_a_network_that_swallows_packets_it_falls_back(
    template: Path, tmp_path: Path, mirror: Callable[[str], None]
) -> None:
    with swallow() as url:
        mirror(url)
        ran = scaffold("new", "p", "--template", template, "--json", cwd=tmp_path)
    assert ran.code == 0, ran
    assert ran.document["channel"]["stand_in"] is True
    assert "no answer within 5 s" in ran.document["channel"]["why"]


def test_an_error_as_json(template: Path, tmp_path: Path) -> None:
    ran = scaffold("new", "class", "--template", template, "--json", cwd=tmp_path)
    assert ran.code == ran.document["exit_code"] == 2
    assert ran.document["ok"] is False
    assert "Python keyword" in ran.document["error"]["message"]
    assert ran.document["error"]["hint"]


def test_no_terminal_means_defaults_never_a_hang(template: Path, tmp_path: Path) -> None:
    ran = scaffold(
        "new", "p", "--template", template, "--no-check", cwd=tmp_path, stdin="", timeout=600
    )
    assert ran.code == 0


def interrupted(args: list[str], cwd: Path, when: str, sig: int) -> tuple[int, str]:
    """Run `new`, send `sig` once `when` is printed, return exit code and output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pixi_scaffold", "new", *args],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if when in line:
            time.sleep(0.3 if "started" in when else 0)
            process.send_signal(sig)
            break
    output += process.stdout.read()
    return process.wait(600), output


@pytest.mark.slow
@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("offline", "starter")
def test_ctrl_c_in_training_keeps_the_project(template: Path, tmp_path: Path, sig: int) -> None:
    args = ["p", "--template", str(template), "--channel", "starter"]
    code, output = interrupted(args, tmp_path, "train: started", sig)
    assert code == 130, output
    assert "is whole" in output
    assert "check --train --channel starter\n" in output
    assert "Traceback" not in output
    assert git(tmp_path / "p", "status", "--porcelain") == ""
    assert not processes(str(tmp_path))


@pytest.mark.slow
@pytest.mark.usefixtures("offline", "starter")
@pytest.mark.parametrize(
    ("full", "says"),
    [("project", "its disk is full"), ("cache", "export PIXI_CACHE_DIR=FOLDER")],
)
def test_the_disk_that_fills_while_installing_is_the_one_that_is_named(
    template: Path, tmp_path: Path, full: str, says: str
) -> None:
    for name in ("project", "cache"):
        (tmp_path / name).mkdir()
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=30m none {tmp_path / full}"
    if not shutil.which("unshare") or subprocess.call([*unshare, mount], stderr=-3):
        pytest.skip("needs user namespaces with mounts (Linux)")
    new = f"{sys.executable} -m pixi_scaffold new {tmp_path}/project/p --template {template}"
    done = subprocess.run(
        [*unshare, f"{mount} && {new} --channel starter"],
        env=os.environ | {"PIXI_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done
    assert "install failed: " in done.stdout
    assert says in done.stdout
    assert ("PIXI_CACHE_DIR" in done.stdout) == (full == "cache")


@pytest.mark.slow
@pytest.mark.usefixtures("offline", "starter")
def test_ctrl_c_while_installing_keeps_the_project(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "cold"))  # it takes seconds
    args = ["p", "--template", str(template), "--channel", "starter"]
    code, output = interrupted(args, tmp_path, "install: started", signal.SIGINT)
    assert code == 130, output
    assert "is whole" in output
    assert "Traceback" not in output
    again = scaffold("lock", "p", "--check", cwd=tmp_path)
    assert again.code == 3  # it has no pixi.lock: that was the starter channel's


@pytest.mark.parametrize("when", ["render: passed", "lock: started"])
def test_ctrl_c_while_a_channel_is_asked(
    template: Path, tmp_path: Path, mirror: Callable[[str], None], when: str
) -> None:
    with swallow() as url:
        mirror(url)
        code, output = interrupted(
            ["p", "--template", str(template)], tmp_path, when, signal.SIGINT
        )
    assert code == 130, output
    assert "interrupted: the project in p is whole" in output
    assert "Traceback" not in output
    assert git(tmp_path / "p", "rev-list", "--count", "HEAD") == "1"


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.usefixtures("offline", "starter")
def test_a_template_with_packages_from_pypi(template: Path, tmp_path: Path) -> None:
    """A pure and a compiled one: locked, installed, imported by the training and its rehearsal."""
    import shutil

    if not index_answers():
        pytest.skip("the default package index does not answer")
    variant = shutil.copytree(template, tmp_path / "variant")
    manifest = variant / "template" / "pixi.toml.jinja"
    manifest.write_text(
        manifest.read_text() + '\n[pypi-dependencies]\neinops = "*"\nmarkupsafe = "*"\n'
    )
    main = variant / "template" / "main.py"
    extra = "\nimport einops, markupsafe._speedups\nimport "
    main.write_text(main.read_text().replace("\nimport ", extra, 1))
    git(variant, "commit", "--quiet", "-am", "x")
    git(variant, "tag", "v2.0.0")
    ran = scaffold(
        "new", "p", "--template", variant, "--channel", "starter", "--json", cwd=tmp_path
    )
    assert ran.code == 0, ran.out
    found = statuses(ran.document)
    assert [found[stage] for stage in ("lock", "install", "train", "rehearse")] == ["passed"] * 4
    assert "by hand" not in ran.out
    [prefix] = (tmp_path / "p/.pixi/starter/envs").glob("default")
    assert list(prefix.glob("lib/python*/site-packages/markupsafe/_speedups*.so"))


def test_a_git_that_traces_checks_line_ends_and_has_failing_hooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real git, set up so that each of its hooks fails and each of its commands is traced."""
    hooks = tmp_path / "template" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("pre-commit", "commit-msg", "post-checkout", "reference-transaction"):
        (hooks / name).write_text("#!/bin/sh\necho no >&2\nexit 1\n")
        (hooks / name).chmod(0o755)
    settings = {
        "core.hooksPath": hooks, "init.templateDir": hooks.parent, "commit.gpgSign": "true",
        "core.safecrlf": "true", "core.autocrlf": "true", "user.name": "A", "user.email": "a@b",
        "safe.bareRepository": "explicit",
    }  # fmt: skip
    for key, value in settings.items():
        git(tmp_path, "config", "--file", str(tmp_path / "config"), key, str(value))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_TRACE", "1")
    monkeypatch.setenv("GIT_TRACE_SETUP", "1")
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "https")
    ran = scaffold("new", "p", "--no-check", "--json", cwd=tmp_path)
    assert ran.code == 0, ran
    assert ran.document["results"][0]["detail"].endswith("; git repository with one commit")
    ran = scaffold("update", "p", "--dry-run", cwd=tmp_path)
    assert ran.code == 0, ran
    assert "trace.c" not in ran.out
    monkeypatch.delenv("GIT_TRACE")
    monkeypatch.delenv("GIT_TRACE_SETUP")
    assert git(tmp_path / "p", "log", "--format=%an %s") == "A Start the project"
    assert git(tmp_path / "p", "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[user\n", "bad config line 1 in file"),
        ("[core]\n\tautocrlf = banana\n", "bad boolean config value 'banana'"),
        ("[init]\n\tdefaultBranch = a b\n", "invalid branch name: init.defaultBranch = a b"),
    ],
)
def test_settings_that_git_cannot_work_with(
    tmp_path: Path, user: Path, text: str, says: str
) -> None:
    (user / "gitconfig").write_text(text)
    ran = scaffold("new", "p", "--no-check", "--defaults", cwd=tmp_path)
    assert ran.code == 1
    assert f"error: git cannot work with its settings: {says}" in ran.err
    assert "git config --list --show-origin" in ran.err
    assert not (tmp_path / "p").exists()


def test_a_name_that_is_empty_is_none(tmp_path: Path, user: Path) -> None:
    (user / "gitconfig").write_text("[user]\n\tname =\n\temail =\n")
    assert scaffold("new", "p", "--no-check", "--defaults", cwd=tmp_path).code == 0
    assert git(tmp_path / "p", "log", "--format=%an %ae") == "pixi-scaffold pixi-scaffold@localhost"
