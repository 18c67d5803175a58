"""Migrations: an answer that was renamed and a file that was moved, without running anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import File
from pixi_scaffold.template import migrate_answers, moves, read_migrations
from tests.conftest import git
from tests.support.history import History, release
from tests.test_update import commit, make, run, tree

ANSWERS = "template/{{ _copier_conf.answers_file }}.jinja"
HEAD = "_subdirectory: template\nproject_name: {type: str}\n"
JOB = "# a job\nuniverse = {}\nexecutable = run\nlog = job.log\noutput = out\nerror = err\nmemory = {}\nqueue\n"
FIRST = {
    "copier.yml": HEAD + "gpu_ram: {type: int, default: 8}\n",
    ANSWERS: "{{ _copier_answers | to_nice_yaml }}",
    "template/train.cfg.jinja": JOB.format("vanilla", "{{ gpu_ram }}"),
}
SECOND = {
    "copier.yml": HEAD + "gpu_memory: {type: int, default: 8}\n",
    "template/train.cfg.jinja": None,
    "template/htcondor/train.cfg.jinja": JOB.format("container", "{{ gpu_memory }} GB"),
    "includes/migrations/2.0.0.toml": (
        '[answers]\ngpu_ram = "gpu_memory"\n\n[files]\n"train.cfg" = "htcondor/train.cfg"\n'
    ),
    "includes/migrations/README.md": "said in words\n",
}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """v1.0.0 and v2.0.0: one answer has another name, one file is in another place."""
    folder = tmp_path / "template"
    folder.mkdir()
    git(folder, "init", "--quiet", "-b", "main")
    release(folder, "v1.0.0", dict(FIRST))
    release(folder, "v2.0.0", dict(SECOND))
    return folder


def test_an_answer_and_a_file_with_edits_go_to_their_new_names(
    template: Path, tmp_path: Path
) -> None:
    project = make(template, tmp_path / "p", "v1.0.0", gpu_ram="24")
    job = project / "train.cfg"
    job.write_text("# mine\n" + job.read_text().replace("log = job.log", "log = my.log"))
    commit(project)
    report = run(project)
    assert report.exit_code == 0
    assert not job.exists()
    text = (project / "htcondor" / "train.cfg").read_text()
    assert text == (
        "# mine\n# a job\nuniverse = container\nexecutable = run\nlog = my.log\noutput = out\nerror = err\nmemory = 24 GB\nqueue\n"
    )
    assert "gpu_memory: 24" in (project / ".copier-answers.yml").read_text()
    assert "gpu_ram" not in (project / ".copier-answers.yml").read_text()
    rows = {row["path"]: row for row in report.to_dict()["files"]}
    assert rows["htcondor/train.cfg"]["moved_from"] == "train.cfg"
    assert sorted(tree(project)) == [".copier-answers.yml", "htcondor/train.cfg"]


def test_an_untouched_project_is_as_a_fresh_one(template: Path, tmp_path: Path) -> None:
    project = make(template, tmp_path / "p", "v1.0.0", gpu_ram="24")
    run(project)
    other = make(template, tmp_path / "fresh" / "p", "v2.0.0", gpu_memory="24")
    assert tree(project) == tree(other)


def test_a_file_that_was_deleted_does_not_come_back_elsewhere(
    template: Path, tmp_path: Path
) -> None:
    project = make(template, tmp_path / "p", "v1.0.0")
    (project / "train.cfg").unlink()
    commit(project)
    run(project)
    assert sorted(tree(project)) == [".copier-answers.yml"]


def test_a_conflict_in_a_file_that_moves(template: Path, tmp_path: Path) -> None:
    project = make(template, tmp_path / "p", "v1.0.0")
    job = project / "train.cfg"
    job.write_text(job.read_text().replace("vanilla", "docker"))
    commit(project)
    report = run(project)
    assert report.failed[0].lines == ("htcondor/train.cfg  moved from train.cfg",)
    assert "universe = docker" in (project / "htcondor" / "train.cfg").read_text()
    assert not job.exists()


def test_only_the_versions_in_between_count(tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        (tmp_path / f"{version}.toml").write_text(f'[answers]\na = "{version}"\n')
    (tmp_path / "README.md").write_text("words")

    def found(current: str, target: str) -> list[str]:
        return [m.version for m in read_migrations(sorted(tmp_path.iterdir()), current, target)]

    assert found("v1.0.0", "v1.1.0") == ["1.1.0"]
    assert found("v0.9", "v2.0.0") == ["1.0.0", "1.1.0", "2.0.0"]
    assert found("v1.1.0", "v2.0.0rc1") == ["2.0.0"]
    assert found("v2.0.0", "v3.0.0") == []
    assert found("0123abc", "HEAD") == ["1.0.0", "1.1.0", "2.0.0"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("next.toml", "", "not named for a version"),
        ("1.1.toml", "[answers", "1.1.toml"),
        ("1.1.toml", "[tasks]\na = 'b'\n", "the tables"),
        ("1.1.toml", "[answers]\na = 1\n", "the tables"),
        ("1.1.toml", "values = 1\n", "the tables"),
        ("1.1.toml", "[values]\na = 'b'\n", "the tables"),
        ("1.1.toml", "[files]\na = '../b'\n", "outside the project"),
        ("1.1.toml", "[files]\na = '/etc/b'\n", "outside the project"),
    ],
)
def test_a_migration_that_cannot_be_used(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ScaffoldError, match=words):
        read_migrations([tmp_path / name], "v1.0", "v2.0")


def test_renames_in_a_row(tmp_path: Path) -> None:
    for version, old, new in (("1.1", "a", "b"), ("1.2", "b", "c")):
        (tmp_path / f"{version}.toml").write_text(
            f'[answers]\n{old} = "{new}"\n[files]\n{old} = "{new}"\n'
        )
    both = read_migrations(sorted(tmp_path.iterdir()), "v1.0", "v1.2")
    assert migrate_answers("# x\na: 1\nab: a\n", both) == "# x\nc: 1\nab: a\n"
    assert migrate_answers("a: 1\nc: 2\n", both) == "b: 1\nc: 2\n"  # there already: kept as it is
    one = {"a": File(b"x")}
    assert moves(one, one, both) == {"c": "a"}
    assert moves(one, one | {"c": File(b"mine")}, both) == {"b": "a"}


def test_a_choice_that_is_gone_has_one_that_stands_for_it(tmp_path: Path) -> None:
    (tmp_path / "1.1.toml").write_text('[answers]\nc = "cuda"\n[values.cuda]\n"12.6" = "12.9"\n')
    migrations = read_migrations([tmp_path / "1.1.toml"], "v1.0", "v1.1")
    for before in ("c: '12.6'\n", 'cuda: "12.6"\n', "cuda: 12.6\n"):
        assert migrate_answers(before, migrations) == "cuda: '12.9'\n"
    for other in ("cuda: '13.0'\n", "python: '12.6'\n", "cuda: '12.60'\n"):
        assert migrate_answers(other, migrations) == other


def test_a_project_with_a_cuda_that_is_no_choice_any_more_updates(
    history: History, tmp_path: Path
) -> None:
    """12.6 was a choice of the template; its own migration makes it 12.9."""
    old = "v0.4.0"  # when it was one
    project = make(history.folder, tmp_path / "p", old, cuda_version="12.6")
    answers = project / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace(old, git(history.folder, "rev-parse", old)))
    commit(project)
    assert run(project).exit_code == 0
    assert "cuda_version: '12.9'" in answers.read_text()
    assert 'cuda-version = "12.9.*"' in (project / "pixi.toml").read_text()


def test_the_templates_own_migrations_can_be_read() -> None:
    from tests.support.paths import REPOSITORY

    folder = REPOSITORY / "includes" / "migrations"
    read_migrations(sorted(folder.iterdir()), "v0.0.1", "v9999")
