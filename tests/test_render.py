"""Rendering: answers, refusals, nothing half-made, git."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import list_tree
from pixi_scaffold.template import Template, amend_first_commit, open_template, render
from pixi_scaffold.template.checkout import needed_files
from pixi_scaffold.template.copier import slug
from pixi_scaffold.template.repository import start_repository
from pixi_scaffold.template.source import CANONICAL_URL
from tests.conftest import git
from tests.support.command import scaffold


def make(template: Path | Template, folder: Path, **data: str) -> dict[str, object]:
    source = template if isinstance(template, Template) else Template(str(template))
    return dict(render(source, folder, data, ask=False).answers)


def answers(folder: Path) -> dict[str, object]:
    loaded = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def test_the_folder_names_the_project_and_defaults_do_the_rest(
    template: Path, tmp_path: Path
) -> None:
    found = make(template, tmp_path / "deep" / "myproject")
    assert found["project_name"] == "myproject"
    assert found["cuda_version"] == "12.9"
    assert found["python_min"] == "3.11"
    recorded = answers(tmp_path / "deep" / "myproject")
    assert recorded["_commit"] == "v1.0.0"
    assert recorded["_src_path"] == str(template)


@pytest.mark.parametrize(
    ("name", "suggested"),
    [("größe", "grosse"), ("Éclair 2", "Eclair-2"), ("łódź", "lodz"), ("Æsir", "Aesir"),
     ("my project", "my-project"), ("2nd", "nd"), ("日本", ""), ("cifar10", "cifar10")],
)  # fmt: skip
def test_a_name_that_is_refused_becomes_the_nearest_one(name: str, suggested: str) -> None:
    assert slug(name) == suggested


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("project_name", "1st", "start with a letter"),
        ("project_name", "my project", "start with a letter"),
        ("project_name", "../up", "start with a letter"),
        ("project_name", "class", "Python keyword"),
        ("project_name", "torch", "hide the Python module"),
        ("project_name", "x-", "ends with"),
        ("project_name", "nul", "reserved on Windows"),
        ("project_name", "a" * 65, "at most 64"),
        ("cuda_version", "11.8", "cannot be '11.8': it is one of 12.9, 13.0, 12.9 and 13.0"),
        ("delivery", "packed", "it is one of bootstrap, pack, container"),  # one is listed twice
        ("python_min", "3.9", "3.9"),
        ("description", "two\nlines", "one line"),
        ("channel", "conda forge", "a channel is a name"),
        ("channel", "https://a:b@x.example/c", "would stand in pixi.toml"),
        ("channel", "https://x.example/t/abc/c", "would stand in pixi.toml"),
        ("no_such_question", "1", "no question 'no_such_question'"),
        ("project_name", "", "needs a name"),
    ],
)
def test_a_wrong_answer_is_refused_with_a_reason_and_nothing_is_made(
    template: Path, tmp_path: Path, key: str, value: str, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason) as refused:
        make(template, tmp_path / "new" / "p", **{key: value})
    assert os.listdir(tmp_path) == []
    named = "its questions are: author, " if key == "no_such_question" else f"-d {key}="
    assert named in (refused.value.hint or "")
    assert "_commit" not in (refused.value.hint or ""), "nobody is asked for those"


@pytest.mark.parametrize(
    ("key", "value", "near"),
    [("site", "CHTC", "chtc"), ("site", "OSpol", "ospool"), ("delivery", "pakc", "pack")],
)
def test_the_answer_that_was_meant_is_the_one_to_type(
    template: Path, tmp_path: Path, key: str, value: str, near: str
) -> None:
    with pytest.raises(UsageError) as refused:
        make(template, tmp_path / "p", **{key: value})
    assert refused.value.hint == f"choose another answer: -d {key}={near}"


def test_text_answers_survive_every_character(template: Path, tmp_path: Path) -> None:
    import tomllib

    nasty = """He said "hi" \\ it's #1 <a@b.c> {{ x }} é 😀"""
    make(template, tmp_path / "p", description=nasty, author=nasty)
    document = tomllib.loads((tmp_path / "p" / "pixi.toml").read_text())
    assert document["workspace"]["description"] == nasty
    assert document["workspace"]["authors"] == [nasty]


def test_a_destination_with_something_in_it_is_left_alone(template: Path, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "mine").write_text("x")
    with pytest.raises(UsageError, match="not empty") as caught:
        make(template, tmp_path / "p")
    assert caught.value.hint.endswith(f"adopt {tmp_path / 'p'}")
    assert os.listdir(tmp_path / "p") == ["mine"]
    (tmp_path / "p" / "pixi.toml").touch()
    with pytest.raises(UsageError, match="not empty") as caught:
        make(template, tmp_path / "p")
    assert caught.value.hint.endswith(f"check --train {tmp_path / 'p'}")
    (tmp_path / "p" / "pixi.toml").unlink()
    with pytest.raises(UsageError, match="not a folder"):
        make(template, tmp_path / "p" / "mine")


@pytest.mark.parametrize("name", ['a"b', "a$b", "a`b", "a:b", "a\\b"])
def test_a_path_that_no_activation_script_survives_is_refused(
    template: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match="activation"):
        make(template, tmp_path / name / "p")
    assert os.listdir(tmp_path) == []


def test_a_checkout_of_somebody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """git refuses to clone it, so its history is read through a bundle."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with open_template(None, None) as source:
        assert "checkout.git" in source.env["GIT_CONFIG_KEY_0"]
        assert render(source, tmp_path / "p", {}, ask=False).source == CANONICAL_URL


def test_an_empty_destination_is_filled(template: Path, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    make(template, tmp_path / "p")
    assert (tmp_path / "p" / "pixi.toml").is_file()
    assert os.listdir(tmp_path) == ["p"]


def test_the_rendered_modes_are_those_of_the_template(template: Path, tmp_path: Path) -> None:
    make(template, tmp_path / "p")
    assert os.access(tmp_path / "p" / "htcondor" / "bootstrap.sh", os.X_OK)
    assert (tmp_path / "p").stat().st_mode & 0o777 == 0o755


def test_a_template_without_tags_follows_commits(template: Path, tmp_path: Path) -> None:
    bare = tmp_path / "untagged"
    shutil.copytree(template, bare)
    git(bare, "tag", "-d", "v1.0.0")
    rendered = render(Template(str(bare)), tmp_path / "p", {}, ask=False)
    assert any("follow its commits" in w for w in rendered.warnings)
    assert rendered.commit in git(bare, "rev-parse", "HEAD")


def test_the_newest_tag_is_taken_and_prereleases_are_not(template: Path, tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(template, repo)
    for tag in ("v1.2.0", "v1.10.0", "v2.0.0rc1"):
        git(repo, "commit", "--quiet", "--allow-empty", "-m", tag)
        git(repo, "tag", tag)
    assert render(Template(str(repo)), tmp_path / "p", {}, ask=False).commit == "v1.10.0"
    older = render(Template(str(repo), "v1.2.0"), tmp_path / "q", {}, ask=False)
    assert older.commit == "v1.2.0"
    assert older.warnings == ()


def test_a_folder_without_git_cannot_be_updated_from(template: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(template, plain, ignore=shutil.ignore_patterns(".git"))
    rendered = render(Template(str(plain)), tmp_path / "p", {}, ask=False)
    assert "cannot be updated" in rendered.warnings[0]
    with pytest.raises(UsageError, match="inside the template"):
        render(Template(str(plain)), plain / "p", {}, ask=False)


@pytest.mark.parametrize("source", ["/no/such/template", "https://127.0.0.1:1/x.git"])
def test_an_unknown_template(source: str, tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match="cannot use the template") as caught:
        make(Template(source), tmp_path / "p")
    assert source in caught.value.message
    assert os.listdir(tmp_path) == []


FOREIGN = {
    "copier.yml": "_answers_file: .mine.yml\nproject_name: {type: str}\ntoken: {type: str, secret: true, default: x}\n",
    "README.md.jinja": "{{ project_name }}\n",
    "{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers | to_nice_yaml }}",
}


def foreign(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    git(folder, "init", "--quiet")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "x")
    git(folder, "tag", "v1")
    return folder


@pytest.mark.slow
def test_any_template_that_copier_takes(tmp_path: Path) -> None:
    """Other questions, another answers file, secrets; a bare clone, a bundle, a branch."""
    source = foreign(tmp_path / "foreign", FOREIGN)
    git(tmp_path, "clone", "--quiet", "--bare", str(source), "bare.git")
    git(source, "bundle", "create", "--quiet", str(tmp_path / "t.bundle"), "--all", "HEAD")
    git(source, "branch", "other")
    for number, args in enumerate(
        (
            [source, "-d", "token=secret"],
            [tmp_path / "bare.git"],
            [tmp_path / "t.bundle"],
            [source, "--vcs-ref", "other"],
        )
    ):
        ran = scaffold("new", f"p{number}", "--no-check", "--template", *args, cwd=tmp_path)
        assert ran.code == 0, ran
        assert (tmp_path / f"p{number}" / "README.md").read_text() == f"p{number}\n"
        assert "secret" not in (tmp_path / f"p{number}" / ".mine.yml").read_text()


def test_a_template_without_answers_file_cannot_be_updated_from(tmp_path: Path) -> None:
    files = {k: v for k, v in FOREIGN.items() if "answers" not in k}
    source = foreign(tmp_path / "foreign", files)
    rendered = render(Template(str(source)), tmp_path / "p", {}, ask=False)
    assert "cannot be updated" in rendered.warnings[0]


def test_a_template_with_tasks_is_not_run(tmp_path: Path) -> None:
    files = FOREIGN | {"copier.yml": FOREIGN["copier.yml"] + "_tasks: [touch owned]\n"}
    source = foreign(tmp_path / "foreign", files)
    with pytest.raises(ScaffoldError, match="run code") as caught:
        make(source, tmp_path / "p")
    assert "--trust" in caught.value.hint
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("address", ["{}", "git+file://{}"])
def test_a_version_that_is_not_there_says_how_to_list_them(tmp_path: Path, address: str) -> None:
    source = address.format(foreign(tmp_path / "foreign", FOREIGN))
    with pytest.raises(ScaffoldError) as caught:
        render(Template(source, "v99"), tmp_path / "p", {}, ask=False)
    assert caught.value.hint == f"its versions: git ls-remote --tags {source.removeprefix('git+')}"


def test_a_version_that_the_tool_does_not_carry(tmp_path: Path) -> None:
    with open_template(None, "v99") as template, pytest.raises(ScaffoldError) as caught:
        render(template, tmp_path / "p", {}, ask=False)
    assert caught.value.hint.startswith("carried here: ")
    assert "upgrade pixi-scaffold" in caught.value.hint


def test_a_template_that_makes_nothing_or_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "hollow").mkdir()
    with pytest.raises(ScaffoldError, match="makes no file"):
        render(Template(str(tmp_path / "hollow")), tmp_path / "p", {}, ask=False, git=True)
    for number, text in enumerate(("{{ x", "- a\n- b\n")):
        source = foreign(tmp_path / f"f{number}", FOREIGN | {"copier.yml": text})
        with pytest.raises(ScaffoldError, match="cannot use the template"):
            make(source, tmp_path / "p")


def test_a_hooks_git_variables_do_not_reach_in(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    rendered = render(Template(str(template)), tmp_path / "p", {}, ask=False, git=True)
    assert rendered.commit == "v1.0.0"
    assert (tmp_path / "p" / ".git").is_dir()


def test_git_that_fails_leaves_nothing(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[core]\n\tcompression = wrong\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    with pytest.raises(ScaffoldError):
        render(Template(str(template)), tmp_path / "p", {}, ask=False, git=True)
    assert os.listdir(tmp_path) == ["gitconfig"]


def test_an_unknown_version_of_the_template(template: Path, tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match=r"cannot use the template .* at v9"):
        make(Template(str(template), "v9"), tmp_path / "p")
    assert os.listdir(tmp_path) == []


def test_a_template_that_breaks_while_rendering_leaves_nothing(
    template: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(template, broken)
    (broken / "template" / "zz.jinja").write_text("{{ 1 / 0 }}")
    git(broken, "commit", "--quiet", "-am", "x", "--allow-empty")
    git(broken, "add", "-A")
    git(broken, "commit", "--quiet", "-m", "broken")
    git(broken, "tag", "v3.0.0")
    ran = scaffold("new", tmp_path / "out" / "p", "--template", broken, "--no-check", cwd=tmp_path)
    assert ran.code == 1, ran
    assert "division by zero" in ran.err
    assert not (tmp_path / "out").exists()


def test_the_default_template_is_recorded_by_its_url(tmp_path: Path) -> None:
    with open_template(None, None) as source:
        rendered = render(source, tmp_path / "p", {}, ask=False)
    assert rendered.source == answers(tmp_path / "p")["_src_path"] == CANONICAL_URL
    assert str(Path.home()) not in (tmp_path / "p" / ".copier-answers.yml").read_text()


def test_the_canonical_url_is_the_projects_own() -> None:
    import tomllib

    from tests.support.paths import REPOSITORY

    urls = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["urls"]
    assert urls["Repository"] + ".git" == CANONICAL_URL


def test_one_first_commit_that_takes_the_lock_in(template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    make(template, folder)
    assert "one commit" in start_repository(folder)
    assert git(folder, "status", "--porcelain") == ""
    (folder / "pixi.lock").write_text("version: 7\n")
    amend_first_commit(folder, ["pixi.lock"])
    assert git(folder, "rev-list", "--count", "HEAD") == "1"
    assert "pixi.lock" in git(folder, "ls-files").split()
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "mine")
    (folder / "pixi.lock").write_text("version: 8\n")
    before = git(folder, "rev-parse", "HEAD")
    amend_first_commit(folder, ["pixi.lock"])
    assert git(folder, "rev-parse", "HEAD") == before


def test_inside_a_repository_no_other_is_made(template: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    make(template, tmp_path / "p")
    assert str(tmp_path) in start_repository(tmp_path / "p")
    assert not (tmp_path / "p" / ".git").exists()
    (tmp_path / ".gitignore").write_text("/q/\n")  # it would not track this one
    make(template, tmp_path / "q")
    start_repository(tmp_path / "q")
    assert (tmp_path / "q" / ".git").is_dir()


def test_ctrl_c_while_rendering_leaves_nothing(template: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    shutil.copytree(template, slow)
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    (slow / "template" / "a.jinja").write_text(loop)
    git(slow, "add", "-A")
    git(slow, "commit", "--quiet", "-m", "slow")
    git(slow, "tag", "v2.0.0")
    out = tmp_path / "out"
    out.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "pixi_scaffold", "new", "p", "--template", slow, "--no-check"],
        cwd=out,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 600
    while not list(out.glob(".pixi-scaffold-*/p/*")):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert os.listdir(out) == []


def on_tmpfs(folder: Path, options: str, template: Path) -> subprocess.CompletedProcess[str]:
    """Run `new` on a file system of its own at `folder`, in a namespace; list what is left."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o {options} none {folder}"
    if not shutil.which("unshare") or subprocess.call([*unshare, mount], stderr=-3):
        pytest.skip("needs user namespaces with mounts (Linux)")
    script = (
        f"{mount} && {sys.executable} -m pixi_scaffold new {folder}/p --template {template} "
        f"--no-check >/dev/null; code=$?; ls -A {folder}; exit $code"
    )
    return subprocess.run([*unshare, script], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("options", "reason"), [("size=16k", "is full; nothing was made"), ("ro", "not writable")]
)
def test_a_full_or_read_only_place_gets_nothing(
    template: Path, tmp_path: Path, options: str, reason: str
) -> None:
    done = on_tmpfs(tmp_path, options, template)
    assert done.returncode == 1, done
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


READ = {
    "a tag": ("{% include 'parts/a.txt' %}", True),
    "a tag in a file that is read": ("{% include 'more/b.txt' %}", True),
    "a name that is put together": ("{% include 'parts/' ~ 'a' ~ '.txt' %}", True),
    "one of two": ("{% include 'parts/a.txt' if 1 > 2 else 'more/b.txt' %}", False),
    "a variable": ("{% set x = 'parts/a.txt' %}{% include x %}", False),
    "a filter": ("{% include 'carts/a.txt' | replace('c', 'p') %}", False),
    "the first of some": ("{%- include ['no/a.txt', 'parts/a.txt'] -%}", False),
    "macros": ("{% from 'parts/c.txt' import c %}{{ c() }}", True),
    "a file at the top": ("{% include 'top.txt' %}", False),
    "the template's own place": ("{{ _copier_conf.src_path is defined }}", False),
}


@pytest.mark.slow
@pytest.mark.parametrize(("text", "spares"), READ.values(), ids=READ)
def test_a_render_gets_the_files_that_copier_would_give_it(
    tmp_path: Path, text: str, spares: bool
) -> None:
    """Copier itself, with a clone of the template, is the judge; `spares`: the rest is not made."""
    source = tmp_path / "t"
    files = {
        "copier.yml": "_subdirectory: template\nproject_name:\n  type: str\n",
        "template/x.txt.jinja": text + "\n",
        "parts/a.txt": "a",
        "parts/c.txt": "{% macro c() %}c{% endmacro %}",
        "more/b.txt": "{% include 'parts/a.txt' %}b",
        "tests/other.txt": "other",
        "top.txt": "top",
    }
    for name, content in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(content)
    (source / "copier.yml").write_text(files["copier.yml"] + "_templates_suffix: .jinja\n")
    git(source, "init", "--quiet")
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "-m", "one")
    listing = list_tree(source, "HEAD")
    assert ("tests/other.txt" not in needed_files(source, listing)) == spares
    make(source, tmp_path / "p", project_name="p")
    copier = Path(sys.executable).with_name("copier")
    argv = [copier, "copy", "--quiet", "--defaults", "-d", "project_name=p", source, tmp_path / "q"]
    subprocess.run(argv, check=True)
    assert (tmp_path / "p" / "x.txt").read_text() == (tmp_path / "q" / "x.txt").read_text() != "\n"
