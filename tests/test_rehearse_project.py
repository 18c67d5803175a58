"""Rehearsing the template's own job: every delivery, an eviction, the last stage of `check`.

`pixi_stand_in` stands in for the Pixi binary, `training_stand_in.py` for main.py where no PyTorch is
needed; the training with PyTorch is the template's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Ran, scaffold
from tests.support.paths import REPOSITORY
from tests.support.server import serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the worker scripts are for Linux"),
]
SUPPORT = Path(__file__).with_name("support")
PYTHON = str(Path(sys.executable).resolve())


def project(template: Path, folder: Path, *answers: str) -> Path:
    args = ["new", folder.name, "--template", template, "--no-check"]
    ran = scaffold(*args, *(w for a in answers for w in ("-d", a)), cwd=folder.parent)
    assert ran.code == 0, ran
    shutil.copy(SUPPORT / "training_stand_in.py", folder / "main.py")
    (folder / "pixi.lock").touch()
    return folder


def rehearse(folder: Path, *options: object, code: int = 0) -> dict:
    ran = scaffold("rehearse", "--json", *options, cwd=folder)
    assert ran.code == code, ran
    return dict(ran.document["jobs"][0], out=_out(folder), results=ran.document["results"])


def _out(folder: Path) -> str:
    return (folder / ".pixi/rehearsal/htcondor/train-0/logs/1-0.out").read_text()


def small_environment(folder: Path) -> Path:
    """The smallest folder that passes for an installed environment."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(PYTHON)
    return folder


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The stand-in for Pixi as a release archive behind a web server: its URL and its sha256."""
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(folder / "pixi.tar.gz", "w:gz") as archive:
        archive.add(SUPPORT / "pixi_stand_in", "pixi")
    digest = hashlib.sha256((folder / "pixi.tar.gz").read_bytes()).hexdigest()
    with serve(folder) as url:
        yield f"{url}/pixi.tar.gz", digest


def test_bootstrap_fetches_pixi_where_it_may(
    template: Path, tmp_path: Path, release: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, digest = release
    folder = project(template, tmp_path / "p", f"pixi_sha256={digest}")
    small_environment(folder / ".pixi/envs/default")
    monkeypatch.setenv("PIXI_SCAFFOLD_PIXI_URL", url)
    more = ["--more-arguments", "--steps 3", "--set", f"PIXI_STAND_IN_PYTHON={PYTHON}"]
    # the stand-in makes its environment from this Python, which lies in a hidden home
    found = rehearse(folder, "--network", "--no-isolation", *more)
    assert "downloading" in found["out"]
    assert "done 3" in found["out"]
    assert found["delivery"] == {"kind": "bootstrap", "staged": False}
    found = rehearse(folder, *more)
    assert "STAGED" in found["out"]
    assert any("without --network" in note for note in found["notes"])
    monkeypatch.setenv("PIXI_SCAFFOLD_PIXI_URL", "http://127.0.0.1:9/pixi.tar.gz")
    found = rehearse(folder, "--network", *more)
    assert "STAGED" in found["out"]
    assert any("does not answer" in note for note in found["notes"])


def test_a_container_is_staged_and_said(template: Path, tmp_path: Path) -> None:
    folder = project(template, tmp_path / "p", "delivery=container")
    small_environment(folder / ".pixi/envs/default")
    ran = scaffold("rehearse", cwd=folder)
    assert ran.code == 3
    assert "apptainer build p.sif htcondor/p.def" in " ".join(ran.out.split())
    (folder / "p.sif").touch()
    found = rehearse(folder, "--more-arguments", "--steps 3")
    assert "STAGED" in found["out"]
    assert found["delivery"] == {"kind": "container", "staged": True}
    assert any("running in the image is not done here" in note for note in found["notes"])


def test_pack_without_its_archive(template: Path, tmp_path: Path) -> None:
    folder = project(template, tmp_path / "p", "delivery=pack")
    ran = scaffold("rehearse", cwd=folder)
    assert ran.code == 3
    assert "(13, 2)" in ran.out
    assert re.search(r"make it: \S.* pack\n", ran.out)


def test_pack_before_there_is_a_lock(template: Path, tmp_path: Path) -> None:
    folder = project(template, tmp_path / "p", "delivery=pack")
    (folder / "pixi.lock").unlink()
    ran = scaffold("rehearse", cwd=folder)
    assert "env.tar.gz" in ran.out
    assert "pixi.lock (No such file" in ran.out.replace("\n", " ") or "pixi.lock:" in ran.out
    starter = folder / ".pixi" / "starter" / "pixi.lock"
    starter.parent.mkdir(parents=True)
    starter.write_text("stands in\n")
    with tarfile.open(folder / "env.tar.gz", "w:gz"):
        pass
    ran = scaffold("rehearse", "--json", cwd=folder)
    assert ran.code == 3, "an empty archive is no environment"
    found = ran.document["jobs"][0]
    assert found["hold"] is None
    assert any("starter channel's stands in" in note for note in found["notes"])


def test_checkpoints_and_an_eviction(template: Path, tmp_path: Path) -> None:
    folder = project(template, tmp_path / "p")
    small_environment(folder / ".pixi/envs/default")
    more = ["--more-arguments", "--steps 120", "--set", "CHECKPOINT_SECONDS=2"]
    for hard in ((), ("--evict-hard",)):
        found = rehearse(folder, *more, "--evict-after", 4.5, *hard)
        ended = [a["ended"] for a in found["attempts"]]
        assert ended.count("checkpoint") >= 1
        assert ended.count("killed" if hard else "evicted") == 1
        assert found["compared"]["different"] == []
        assert found["compared"]["files"] == ["runs/job-1-0/metrics.json"]
        assert found["out"].count("done 120") == 1


@pytest.mark.long
def test_the_real_training_in_a_packed_environment(
    template: Path, packed: Path, tmp_path: Path
) -> None:
    """env.tar.gz is unpacked in the sandbox; the training is evicted and ends as if it was not."""
    folder = project(template, tmp_path / "p", "delivery=pack")
    shutil.copy(REPOSITORY / "template" / "main.py", folder)
    (folder / "pixi.lock").unlink()
    (folder / ".pixi" / "starter").mkdir(parents=True)
    starter = folder / ".pixi" / "starter" / "pixi.lock"
    shutil.copy(packed / "starter.lock", starter)
    os.link(packed / "env.tar.gz", folder / "env.tar.gz")
    sub = folder / "htcondor" / "train.sub"
    text = sub.read_text()
    short = ("--more-arguments", "--epochs 2", "--evict-after", "random", "--fix")
    found = rehearse(folder, *short, code=3)  # the job asks for a GPU, the archive is for the CPU
    failed = [r for r in found["results"] if r["status"] == "failed"]
    assert [r["name"] for r in failed] == ["archive"]
    assert "env.tar.gz is for linux-64-cpu" in failed[0]["detail"]
    assert " lock && " in failed[0]["hint"], "the starter channel has no CUDA to pack"
    assert sub.read_text() == text, "what was measured of it is no base for a request"
    assert found["delivery"] == {"kind": "pack", "staged": False}
    assert "unpacking env.tar.gz" in found["out"]
    assert found["compared"]["files"] == ["runs/job-1-0/metrics.jsonl"]
    assert found["compared"]["different"] == []
    assert found["usage"]["disk"] > 300 << 20
    lock = json.loads((folder / ".pixi/rehearsal/receipt.json").read_text())["lock"]
    assert lock == {"sha256": hashlib.sha256(starter.read_bytes()).hexdigest()}
    run = folder / ".pixi/rehearsal/htcondor/train-0/runs/job-1-0"
    losses = re.findall(r'"train_loss": ([\d.]+)', (run / "metrics.jsonl").read_text())
    assert float(losses[-1]) < float(losses[0])
    assert json.loads((run / "config.json").read_text())["torch"].startswith("2.")
    evicted, ended = found["attempts"]
    for attempt in (evicted, ended):  # the archive is copied into each sandbox, results out of it
        assert attempt["seconds_in"] > 0
        assert attempt["seconds_out"] > 0


@pytest.mark.long
@pytest.mark.usefixtures("offline", "starter")
def test_check_rehearses_as_its_last_stage(template: Path, tmp_path: Path) -> None:
    args = ["new", "p", "--template", template, "--no-check"]
    assert scaffold(*args, cwd=tmp_path).code == 0
    folder = tmp_path / "p"
    ran: Ran = scaffold("check", "--rehearse", "--channel", "starter", "--json", cwd=folder)
    assert ran.code == 0, ran
    assert [r["name"] for r in ran.document["results"]][-1] == "rehearse"
    assert ran.document["rehearsal"]["code"] == 0
    receipt = json.loads((folder / ".pixi/scaffold-receipt.json").read_text())
    assert ran.document == {k: v for k, v in receipt.items() if k not in ("host", "written")}
    # The receipt of `rehearse` alone names the lock that the staged environment was installed from,
    # and no lock when that one has something else by now.
    lock, of_rehearse = folder / ".pixi/starter/pixi.lock", folder / ".pixi/rehearsal/receipt.json"
    shutil.copy(SUPPORT / "training_stand_in.py", folder / "main.py")
    short = ("rehearse", "--more-arguments", "--steps 3")
    assert scaffold(*short, cwd=folder).code == 0
    named = json.loads(of_rehearse.read_text())["lock"]
    assert named["sha256"] == hashlib.sha256(lock.read_bytes()).hexdigest()
    assert named["sha256"] == receipt["lock"]["sha256"]
    lock.write_text(lock.read_text().replace("/python-3", "/python-99"))
    assert scaffold(*short, cwd=folder).code == 0
    assert "lock" not in json.loads(of_rehearse.read_text())
    sub = folder / "htcondor" / "train.sub"
    sub.write_text(sub.read_text().replace("= main.py,", "= main.py, gone.csv,"))
    ran = scaffold("check", "--rehearse", "--skip", "train", "--channel", "starter", cwd=folder)
    assert ran.code == 3
    assert "gone.csv" in ran.out
    sub.unlink()
    ran = scaffold(
        "check", "--rehearse", "--skip", "train", "--channel", "starter", "--json", cwd=folder
    )
    assert ran.code == 3, "what was asked for did not happen"
    assert ran.document["results"][-1]["status"] == "skipped"
