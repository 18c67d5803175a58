"""`pixi-scaffold pack`, and the job that it is for: the worker script with the real archive."""

from __future__ import annotations

import hashlib
import json
import os
import py_compile
import re
import shutil
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from pixi_scaffold.environment.archive import Member, write_archive
from pixi_scaffold.lock.rattler import RattlerEngine
from pixi_scaffold.rehearsal.delivery import archive_record
from pixi_scaffold.report import Silent
from pixi_scaffold.starter.channel import Starter
from pixi_scaffold.workspace import read_manifest
from tests.conftest import git, lock_on
from tests.support.command import scaffold
from tests.support.index import index_answers
from tests.support.pool import Pool, condor_prefix
from tests.support.share import shared

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def small(template: Path, starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the delivery `pack` whose environment has little but Python and NumPy; locked."""

    def make(folder: Path) -> None:
        source = shutil.copytree(template, folder.with_name("small-template"))
        manifest = source / "template" / "pixi.toml.jinja"
        lines = manifest.read_text().splitlines(keepends=True)
        large = ("pytorch = ", "scikit-learn = ", "matplotlib-base = ")
        manifest.write_text("".join(line for line in lines if not line.startswith(large)))
        git(source, "commit", "--quiet", "-a", "-m", "small")
        git(source, "tag", "v2.0.0")
        lock_on(starter, source, folder, delivery="pack")

    return shared(tmp_path_factory, "small", make)


@pytest.fixture
def project(small: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small, tmp_path / "p")


LOCK = ("--lock", "starter.lock", "--platform", "linux-64-cpu")
MAIN = """\
import json, sys
import numpy
print(json.dumps([sys.argv[1:], sys.prefix, numpy.__file__]))
"""


@pytest.mark.real_path
def test_a_packed_environment_runs_on_a_worker(project: Path, tmp_path: Path) -> None:
    ran = scaffold("pack", *LOCK, "--json", cwd=project)
    assert ran.code == 0, ran
    archive = project / "env.tar.gz"
    assert_the_same_bytes(project, archive, tmp_path)
    assert ran.document["bytes"] == archive.stat().st_size > 5_000_000
    with tarfile.open(archive) as tar:
        names = set(tar.getnames())
    assert {"bin/python", "bin/conda-unpack", "bin/activate"} <= names
    record = archive_record(archive)
    assert (record["platform"], record["cuda"]) == ("linux-64-cpu", False)
    lock = project / "starter.lock"
    assert record["pixi_lock_sha256"] == hashlib.sha256(lock.read_bytes()).hexdigest()
    assert not list(project.glob(".pixi-scaffold-*"))
    (project / "main.py").write_text(MAIN)
    done = on_a_worker(project, tmp_path / "sandbox", "--name", "job-1-0")
    arguments, prefix, numpy = json.loads(done.stdout.splitlines()[-1])
    assert arguments[-2:] == ["--name", "job-1-0"]
    assert prefix == f"{tmp_path}/sandbox/.worker/env"
    assert numpy.startswith(prefix)


def on_a_worker(project: Path, sandbox: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the worker script in a folder that has what the job transfers."""
    sandbox.mkdir()
    shutil.copy(project / "htcondor" / "pack.sh", sandbox / "condor_exec.exe")
    for name in ("main.py", "runs.py", "trainer.py", "pixi.toml", "env.tar.gz"):
        shutil.copy(project / name, sandbox)
    done = subprocess.run(
        ["./condor_exec.exe", *arguments],
        cwd=sandbox,
        env={"PATH": "/usr/bin:/bin", "_CONDOR_SCRATCH_DIR": str(sandbox)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def assert_the_same_bytes(project: Path, archive: Path, tmp_path: Path) -> None:
    """The same lock gives the same archive: from another folder, by way of another temporary one."""
    other = shutil.copytree(project, tmp_path / "a project of another name")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "pixi_scaffold", "pack", *LOCK, "-o", "again.tar.gz"],
        cwd=other,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sums = [hashlib.sha256(p.read_bytes()).hexdigest() for p in (archive, other / "again.tar.gz")]
    assert sums[0] == sums[1]
    assert not list(temporary.iterdir())
    shutil.rmtree(other)


def test_byte_code_stays_valid_in_the_archive(tmp_path: Path) -> None:
    """Its source has a new time; where the source has a new text, it must not be believed."""
    tree = tmp_path / "tree"
    tree.mkdir()
    old, new = b"/some/where", b"/else/where"
    for name, text in (("plain", "x = 1\n"), ("named", f"x = {old.decode()!r}\n")):
        (tree / f"{name}.py").write_text(text)
        py_compile.compile(str(tree / f"{name}.py"))
    (tree / "link").symlink_to("plain.py")
    (tree / "program").write_bytes(b"\x7fELF\0" + old + b"\0" * 9)
    (tree / "program").chmod(0o700)
    entries = {
        str(p.relative_to(tree)): Member(p) for p in tree.rglob("*") if p.name != "__pycache__"
    }
    sums = []
    for n in range(2):
        target = tmp_path / f"{n}.tar.gz"
        write_archive(
            dict(reversed(entries.items())) if n else entries, target, {old: new}, lambda _: None
        )
        sums.append(target.read_bytes())
        for path in tree.rglob("*.py"):
            os.utime(path, (n, n))
    assert sums[0] == sums[1]
    with tarfile.open(target) as tar:
        tar.extractall(tmp_path / "out", filter="tar")
    out = tmp_path / "out"
    assert (out / "program").read_bytes() == b"\x7fELF\0" + new + b"\0" * 9
    assert (out / "program").stat().st_mode & 0o777 == 0o755
    assert (out / "link").readlink() == Path("plain.py")
    tag = sys.implementation.cache_tag
    for name, valid in (("plain", True), ("named", False)):
        head = (out / "__pycache__" / f"{name}.{tag}.pyc").read_bytes()[8:16]
        source = (out / f"{name}.py").stat()
        assert (head == struct.pack("<II", int(source.st_mtime), source.st_size)) == valid


def test_a_download_that_fails_is_told_and_leaves_nothing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one package fails, others are still being written into the folder."""
    lock = project / "starter.lock"
    text = lock.read_text()
    name = re.findall(r"conda: \S+/(tqdm-[^/\s]+)\.conda", text)[0]
    text = text.replace(f"/{name}.conda", f"/{name}-gone.conda")
    lock.write_text(re.sub(rf"({name}-gone.conda\n  sha256: )\w+", r"\g<1>" + "0" * 64, text))
    own = tmp_path / "temporary"
    own.mkdir()
    monkeypatch.setenv("TMPDIR", str(own))
    ran = scaffold("pack", *LOCK, cwd=project)
    assert ran.code == 1, ran
    assert "Directory not empty" not in ran.err
    assert f"{name}-gone" in ran.err
    assert list(own.iterdir()) == []
    assert not (project / "env.tar.gz").exists()


def test_what_cannot_be_packed(project: Path) -> None:
    ran = scaffold("pack", cwd=project)
    assert ran.code == 1
    assert "there is no" in ran.err
    assert " lock\n" in ran.err
    ran = scaffold("pack", "--lock", "starter.lock", cwd=project)
    assert ran.code == 2
    assert "does not lock default for linux-64-cuda" in ran.err
    assert "it has: --platform linux-64-cpu\n" in ran.err
    ran = scaffold("pack", "--platform", "amiga", cwd=project)
    assert ran.code == 2
    assert "linux-64-cpu" in ran.err
    assert not (project / "env.tar.gz").exists()


def test_without_conda_forge_the_lock_that_stands_in_is_packed(project: Path) -> None:
    """As `run` and `rehearse` take it: offline, `lock` could not make another."""
    (project / ".pixi/starter").mkdir(parents=True, exist_ok=True)
    shutil.copy(project / "starter.lock", project / ".pixi/starter/pixi.lock")
    ran = scaffold("pack", cwd=project)
    assert ran.code == 0, ran
    assert "the starter channel's stands in for it" in ran.out
    assert "packages for linux-64-cpu" in ran.out
    assert archive_record(project / "env.tar.gz")["platform"] == "linux-64-cpu"
    (project / "env.tar.gz").unlink()
    (project / "pixi.lock").write_text("version: 7\n")  # from here on it is the one
    assert scaffold("pack", cwd=project).code == 1
    assert not (project / "env.tar.gz").exists()


USES_PYPI = """\
import json, os, pathlib, sys
import einops, markupsafe._speedups
run = pathlib.Path("runs") / sys.argv[sys.argv.index("--name") + 1]
run.mkdir(parents=True)
(run / "metrics.json").write_text(json.dumps({"einops": einops.__version__}))
"""


@pytest.fixture(scope="session")
def pypi_project(small: Path, starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project with a pure and a compiled package from PyPI, locked and packed."""
    if not index_answers():
        pytest.skip("the default package index does not answer")
    project = shutil.copytree(small, tmp_path_factory.mktemp("pypi") / "p")
    manifest = project / "pixi.toml"
    manifest.write_text(
        manifest.read_text() + '\n[pypi-dependencies]\neinops = "*"\nmarkupsafe = "*"\n'
    )
    (project / "starter.lock").unlink()
    RattlerEngine().lock(
        read_manifest(manifest), project / "starter.lock", Silent(), channels=[starter.url]
    )
    shutil.copy(project / "starter.lock", project / "pixi.lock")  # the job takes it along
    (project / "main.py").write_text(USES_PYPI)
    ran = scaffold("pack", *LOCK, cwd=project)
    assert ran.code == 0, ran
    return project


@pytest.mark.network
def test_a_packed_environment_brings_packages_from_pypi(pypi_project: Path, tmp_path: Path) -> None:
    """Unpacked by the worker script, as on a worker."""
    on_a_worker(pypi_project, tmp_path / "sandbox", "--name", "job-1-0")
    metrics = tmp_path / "sandbox" / "runs" / "job-1-0" / "metrics.json"
    assert json.loads(metrics.read_text()) == {"einops": "0.8.2"}


@pytest.mark.network
def test_a_rehearsal_has_packages_from_pypi(pypi_project: Path, tmp_path: Path) -> None:
    project = shutil.copytree(pypi_project, tmp_path / "p")
    ran = scaffold("rehearse", "--json", cwd=project)
    [job] = ran.document["jobs"]
    failed = [r["name"] for r in ran.document["results"] if r["status"] == "failed"]
    assert (job["code"], failed) == (
        0,
        ["archive"],
    )  # packed for the CPU, and the job asks for a GPU
    assert any(name.endswith("metrics.json") for name in job["brought"])
    assert "by hand" not in " ".join(job["notes"])


@pytest.mark.network
@pytest.mark.skipif(sys.platform != "linux", reason="HTCondor runs on Linux")
def test_a_job_on_a_pool_has_packages_from_pypi(pypi_project: Path, tmp_path: Path) -> None:
    project = shutil.copytree(pypi_project, tmp_path / "p")
    with Pool(condor_prefix(), tmp_path / "pool") as pool:
        cluster = pool.submit(
            "htcondor/train.sub",
            project,
            'environment = "PIXI_SCAFFOLD_ALLOW_CPU=1"',
            "request_gpus =",
            "request_memory = 100MB",
            "request_disk = 500MB",
            "requirements = true",
        )
        assert pool.wait(cluster) == 0
    [metrics] = project.glob("runs/*/metrics.json")
    assert json.loads(metrics.read_text()) == {"einops": "0.8.2"}
