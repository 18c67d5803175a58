"""How projects stand, and taking one file back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.report import Silent
from pixi_scaffold.system.layout import RECEIPT
from pixi_scaffold.update.status import heal_file, status
from tests.conftest import git
from tests.support.command import scaffold
from tests.support.history import History, release
from tests.test_update import commit, make, small


def look(*folders: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = status(folders, Silent()).to_dict()["projects"]
    return found


def drifted(project: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(d["path"], d["owner"], d["state"]) for d in project["drift"]}


def prove(folder: Path, ok: bool = True) -> None:
    """Write the receipt that `new` leaves."""
    place = folder / RECEIPT
    place.parent.mkdir(exist_ok=True)
    results = [{"name": "train", "status": "passed" if ok else "failed"}]
    place.write_text(json.dumps({"schema": 1, "command": "new", "ok": ok, "results": results}))


def test_drift_is_told_by_who_keeps_the_file(history: History, tmp_path: Path) -> None:
    project = make(history.folder, tmp_path / "p", history.newest)
    (found,) = look(project)
    assert found["behind"] == 0
    assert drifted(found) == set()
    assert found["words"]["files"] == "as made"
    (project / "main.py").write_text("mine\n")
    (project / "runs.py").write_text("mine\n")
    (project / "ruff.toml").unlink()
    (project / "README.md").write_text("mine\n")
    (project / "pack.sh").write_text("new\n")
    (project / "htcondor" / "bootstrap.sh").chmod(0o644)
    (project / "data").mkdir()
    (project / "data" / "ignored").write_text("x")
    (found,) = look(project)
    assert drifted(found) == {
        ("main.py", "seeded", "changed"),
        ("runs.py", "managed", "changed"),
        ("ruff.toml", "managed", "missing"),
        ("htcondor/bootstrap.sh", "managed", "changed"),
        ("README.md", "seeded", "changed"),
        ("pack.sh", "yours", "added"),
    }


@pytest.mark.slow
def test_how_far_behind(history: History, tmp_path: Path) -> None:
    make(history.folder, tmp_path / "lab" / "old", "v0.2.0")
    make(history.folder, tmp_path / "lab" / "new", history.newest)
    (tmp_path / "lab" / "other").mkdir()
    new, old = look(tmp_path / "lab")
    assert (new["name"], new["behind"]) == ("new", 0)
    assert (old["name"], old["behind"]) == ("old", len(history.tags) - 2)
    assert old["newest"] == history.newest
    assert any(" update " in command for command in old["todo"])
    release_candidate = make(history.folder, tmp_path / "rc", "v0.2.0")
    assert look(release_candidate)[0]["behind"] == len(history.tags) - 2


def test_nothing_to_do_is_0_and_something_is_3(tmp_path: Path) -> None:
    template = small(tmp_path / "t")
    project = make(template, tmp_path / "p", "v1.0.0")
    prove(project)
    ran = scaffold("status", cwd=project)
    assert ran.code == 0, ran
    assert "v1.0.0, the newest" in ran.out
    assert "trained 20" in ran.out
    prove(project, ok=False)
    ran = scaffold("status", "--json", cwd=project)
    assert ran.code == 3
    assert "check --train" in ran.document["next"][0]
    prove(project)
    release(template, "v2.0.0rc1", {})
    assert scaffold("status", cwd=project).code == 0
    release(template, "v2.0.0", {})
    ran = scaffold("status", project, "--json", cwd=tmp_path)
    assert ran.code == 3
    assert ran.document["schema"] == 1
    assert ran.document["projects"][0]["behind"] == 1
    assert ran.document["next"] == [next(c for c in ran.document["next"] if " update " in c)]


@pytest.mark.usefixtures("conda_forge")
def test_a_lock_that_is_current_or_not(tmp_path: Path) -> None:
    template = small(tmp_path / "t")
    release(template, "v1.1.0", {"pixi.toml": MANIFEST})
    project = make(template, tmp_path / "p", "v1.1.0")
    assert look(project)[0]["lock"]["state"] == "missing"
    assert scaffold("lock", project, cwd=tmp_path).code == 0
    assert look(project)[0]["lock"] == {"state": "current", "problems": []}
    (project / "pixi.toml").write_text(MANIFEST.replace('"*"', '">=99"'))
    (found,) = look(project)
    assert found["lock"]["state"] == "not current"
    assert "tqdm >=99" in found["lock"]["problems"][0]
    ran = scaffold("status", cwd=project)
    assert ran.code == 3
    assert "lock: default on linux-64" in ran.out


MANIFEST = """[workspace]
name = "p"
channels = ["conda-forge"]
platforms = ["linux-64"]
[dependencies]
tqdm = "*"
"""


def test_a_template_that_cannot_be_reached_is_asked_once(tmp_path: Path) -> None:
    template = small(tmp_path / "t")
    for name in ("a", "b"):
        make(template, tmp_path / "lab" / name, "v1.0.0")
    template.rename(tmp_path / "gone")
    ran = scaffold("status", "lab", cwd=tmp_path)
    assert ran.code == 3
    assert ran.out.count("cannot use the template") == 2
    assert "never" in ran.out


def test_an_answers_file_that_somebody_edited(tmp_path: Path) -> None:
    template = small(tmp_path / "t")
    project = make(template, tmp_path / "p", "v1.0.0")
    answers = project / ".copier-answers.yml"
    answers.write_text(answers.read_text() + "# mine\n")
    assert drifted(look(project)[0]) == {(".copier-answers.yml", "managed", "changed")}
    answers.write_text("<<<<<<< before updating\n")
    assert "conflict markers" in look(project)[0]["error"]


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds none"):
        look(tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        look(tmp_path / "x")
    assert scaffold("status", cwd=tmp_path).code == 2


def test_one_file_goes_back_and_nothing_is_lost(history: History, tmp_path: Path) -> None:
    project = make(history.folder, tmp_path / "p", "v0.2.0")
    original = (project / "main.py").read_bytes()
    (project / "main.py").write_text("mine\n")
    with pytest.raises(ScaffoldError, match="would be lost") as caught:
        heal_file(project, Path("main.py"), Silent())
    assert "git commit" in caught.value.hint
    assert (project / "main.py").read_text() == "mine\n"
    commit(project)
    heal_file(project, Path("main.py"), Silent())
    assert (project / "main.py").read_bytes() == original
    (project / "htcondor" / "bootstrap.sh").unlink()
    ran = scaffold("status", "--heal", "bootstrap.sh", "..", cwd=project / "htcondor")
    assert ran.code == 0, ran
    assert (project / "htcondor" / "bootstrap.sh").stat().st_mode & 0o100
    ran = scaffold("status", "--heal", "bootstrap.sh", "..", "--json", cwd=project / "htcondor")
    assert ran.document["healed"] is None
    with pytest.raises(UsageError, match="makes no nothing.py"):
        heal_file(project, Path("nothing.py"), Silent())
    git(project, "checkout", "--quiet", "--", ".")


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_heal_keeps_what_git_overlooks(history: History, tmp_path: Path, flag: str) -> None:
    project = make(history.folder, tmp_path / "p", "v0.2.0")
    git(project, "update-index", flag, "main.py")
    (project / "main.py").write_text("mine\n")
    with pytest.raises(ScaffoldError, match="told to overlook"):
        heal_file(project, Path("main.py"), Silent())
    assert (project / "main.py").read_text() == "mine\n"


def test_heal_does_not_write_through_a_link(history: History, tmp_path: Path) -> None:
    project = make(history.folder, tmp_path / "p", "v0.2.0")
    (tmp_path / "elsewhere").write_text("precious\n")
    (project / "main.py").unlink()
    (project / "main.py").symlink_to(tmp_path / "elsewhere")
    commit(project)
    heal_file(project, Path("main.py"), Silent())
    assert (tmp_path / "elsewhere").read_text() == "precious\n"
    assert not (project / "main.py").is_symlink()
