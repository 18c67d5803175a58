"""Every rule: a seeded defect that it catches alone, and good projects in which it finds nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pixi_scaffold.check import find_descriptions, review
from pixi_scaffold.check.fix import apply_fixes
from pixi_scaffold.check.locked import locked_rows
from pixi_scaffold.check.review import Review
from pixi_scaffold.lock import read_lock
from pixi_scaffold.report import Silent
from pixi_scaffold.rules import RULES, Severity
from pixi_scaffold.rules.finding import Rule
from pixi_scaffold.workspace import read_manifest
from tests.golden import make, name_of, template_repository, variants
from tests.support.paths import REPOSITORY

LOCK = REPOSITORY / "tests" / "data" / "example.lock"
Edit = Callable[[Path], None]


def sub(old: str, new: str) -> Edit:
    """Replace a piece of the submit description, which stands there once."""
    return _replace("htcondor/train.sub", old, new)


def worker(old: str, new: str) -> Edit:
    """Replace a piece of the worker script, which stands there once."""
    return _replace("htcondor/bootstrap.sh", old, new)


def _replace(name: str, old: str, new: str) -> Edit:
    def edit(project: Path) -> None:
        path = project / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (old, text.count(old))
        path.write_bytes(text.replace(old, new).encode())

    return edit


def script(text: str) -> Edit:
    """Put another worker script in the place of the project's."""

    def edit(project: Path) -> None:
        (project / "htcondor" / "bootstrap.sh").write_text(text)

    return edit


def both(*edits: Edit) -> Edit:
    def edit(project: Path) -> None:
        for one in edits:
            one(project)

    return edit


def file(name: str, text: str) -> Edit:
    def edit(project: Path) -> None:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)

    return edit


def binary(name: str, data: bytes) -> Edit:
    """Put a program in a file's place."""

    def edit(project: Path) -> None:
        (project / name).write_bytes(data)

    return edit


def on_worker(change: Callable[[bytes], bytes]) -> Edit:
    def edit(project: Path) -> None:
        path = project / "htcondor" / "bootstrap.sh"
        path.write_bytes(change(path.read_bytes()))

    return edit


def unlocked(*platforms: str) -> Edit:
    """Take the packages of these platforms out of the lock."""

    def edit(project: Path) -> None:
        path = project / "pixi.lock"
        document = yaml.safe_load(path.read_text())
        for environment in document["environments"].values():
            for platform in platforms:
                environment["packages"].pop(platform, None)
        path.write_text(yaml.safe_dump(document, sort_keys=False))

    return edit


def first_line_of_main(text: str) -> Edit:
    def edit(project: Path) -> None:
        path = project / "main.py"
        path.write_text(text + path.read_text())

    return edit


def in_git() -> Edit:
    """Put what is there so far under git."""

    def edit(project: Path) -> None:
        quiet = ["git", "-C", str(project), "-c", "user.name=t", "-c", "user.email=t@example.org"]
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
            subprocess.run([*quiet, *words], check=True)

    return edit


def archive(platform: str, *, without: str = "") -> Edit:
    """Put an archive with the records of one locked platform, but for one package, in place."""

    def edit(project: Path) -> None:
        workspace = read_manifest(project / "pixi.toml")
        rows = {row.name: row for row in locked_rows(workspace, read_lock(workspace.lock_file))}
        with tarfile.open(project / "env.tar.gz", "w:gz") as tar:
            for name in ["bin/python", *sorted(rows[platform].builds), "lib/libpython.so"]:
                path = name if "/" in name else f"conda-meta/{name}.json"
                if not (without and name.startswith(f"{without}-")):
                    tar.addfile(tarfile.TarInfo(path))

    return edit


def old_image() -> Edit:
    """Put an image in place that is older than the lock."""

    def edit(project: Path) -> None:
        image = project / "example.sif"
        image.touch()
        os.utime(image, (0, 0))

    return edit


def sparse(name: str, size: int) -> Edit:
    """Make a large file that takes no room."""

    def edit(project: Path) -> None:
        with (project / name).open("wb") as opened:
            opened.truncate(size)

    return edit


def in_plain(old: str, new: str) -> Edit:
    """Replace a piece of the description that has no Pixi project around it."""
    return _replace("job.sub", old, new)


GOOD_SCRIPT = """#!/usr/bin/env bash
set -euo pipefail
mkdir -p runs
pixi install --frozen
python main.py "$@"
"""
"""A short worker script with no defect; those below differ from it in one place."""


@dataclass(frozen=True)
class Defect:
    rule: str
    what: str
    edit: Edit
    fixed: bool = False
    delivery: str = "bootstrap"


DEFECTS = [
    Defect("PS101", "requirements twice", sub("request_gpus = 1\n", 'request_gpus = 1\nrequirements = OpSysMajorVer >= 8\nrequirements = HasFileTransfer\n')),
    Defect("PS101", "memory twice under two names", sub("request_gpus = 1\n", "request_gpus = 1\nRequestMemory = 1GB\n")),
    Defect("PS101", "the same value twice", sub("request_gpus = 1\n", "request_gpus = 1\nrequest_gpus = 1\n"), fixed=True),
    Defect("PS102", "misspelt memory", sub("request_memory =", "request_memroy ="), fixed=True),
    Defect("PS102", "misspelt CPUs", sub("request_cpus =", "request_cpu ="), fixed=True),
    Defect("PS102", "request_gpu", both(sub("request_gpus = 1\n", "request_gpus = 1\nrequest_gpu = 1\n"))),
    Defect("PS102", "a command that does not exist", sub("request_gpus = 1\n", "request_gpus = 1\nplease_hurry = yes\n")),
    Defect("PS103", "30G B", sub("request_disk = 20GB", "request_disk = 30G B"), fixed=True),
    Defect("PS103", "GiB", sub("request_memory = 8GB", "request_memory = 8GiB"), fixed=True),
    Defect("PS103", "a word", sub("request_memory = 8GB", "request_memory = lots")),
    Defect("PS103", "potatoes", sub("gpus_minimum_memory = 4000", "gpus_minimum_memory = 2 potatoes")),
    Defect("PS104", "memory without a unit", sub("request_memory = 8GB", "request_memory = 8")),
    Defect("PS105", "an open parenthesis", sub("request_gpus = 1\n", "request_gpus = 1\nrequirements = (OpSysMajorVer >= 8\n")),
    Defect("PS105", "an unfinished periodic check", sub("request_gpus = 1\n", "request_gpus = 1\nperiodic_remove = JobStatus ==\n")),
    Defect("PS106", "a misspelt attribute", sub("request_gpus = 1\n", "request_gpus = 1\nrequirements = OpSysMajorVersion >= 8\n")),
    Defect("PS106", "a misspelt GPU property", sub("request_gpus = 1\n", 'request_gpus = 1\nrequire_gpus = DevicName == "Tesla T4"\n')),
    Defect("PS107", "no queue", sub("\nqueue\n", "\n"), fixed=True),
    Defect("PS108", "queue from a missing file", sub("\nqueue\n", "\nqueue seed, lr from nowhere.csv\n")),
    Defect("PS108", "a count that is no number", sub("\nqueue\n", "\nqueue many\n")),
    Defect("PS108", "a list without an end", sub("\nqueue\n", "\nqueue seed in (1 2\n")),
    Defect("PS109", "a line without =", sub("request_gpus = 1\n", "request_gpus = 1\nthis is not a command\n")),
    Defect("PS109", "a bad if", sub("request_gpus = 1\n", "request_gpus = 1\nif 1 < 2 and more\nendif\n")),
    Defect("PS110", "a comment inside a continued line", sub("request_gpus = 1\n", "request_gpus = 1\nrank = Memory + \\\n# the more, the better: 0\n\n")),
    Defect("PS110", "an if without its end", sub("\nqueue\n", "\nif true\nqueue\n")),
    Defect("PS111", "an undefined macro", sub("--lr $(lr)", "--lr $(lr) --name x$(width)")),
    Defect("PS112", "a command after queue", sub("\nqueue\n", "\nqueue\npriority = 10\n")),
    Defect("PS113", "minus one CPU", sub("request_cpus = 1", "request_cpus = -1")),
    Defect("PS113", "a capability in words", sub("gpus_minimum_capability = 7.5", "gpus_minimum_capability = seven")),
    Defect("PS113", "a capability with three parts", sub("gpus_minimum_capability = 7.5", "gpus_minimum_capability = 7.5.1")),
    Defect("PS113", "retries in words", sub("max_retries = 3", "max_retries = few")),
    Defect("PS114", "ON_EXITT", sub("when_to_transfer_output = ON_EXIT_OR_EVICT", "when_to_transfer_output = ON_EXITT")),
    Defect("PS114", "vanila", sub("universe = vanilla", "universe = vanila")),
    Defect("PS114", "perhaps", sub("request_gpus = 1\n", "request_gpus = 1\nstream_output = perhaps\n")),
    Defect("PS115", "a quote without a partner", sub('--lr $(lr)"', "--lr '$(lr)\"")),
    Defect("PS115", "environment without =", sub('environment = "CHECKPOINT_SECONDS=3600', 'environment = "CHECKPOINT_SECONDS 3600')),
    Defect("PS116", "a value of the submit machine", sub("request_gpus = 1\n", "request_gpus = 1\ndescription = by $ENV(USER)\n")),
    Defect("PS117", "GPU limits without a GPU", sub("request_gpus = 1\n", "")),
    Defect("PS117", "a generation that the lock does not run on, without a GPU", sub("request_gpus = 1\n", "gpus_maximum_capability = 6.1\n")),
    Defect("PS118", "an attribute without quotes", sub("request_gpus = 1\n", "request_gpus = 1\n+JobFlavour = tomorrow\n"), fixed=True),
    Defect("PS119", "a comment behind a value", sub("request_cpus = 1", "request_cpus = 1 # enough"), fixed=True),
    Defect("PS121", "a heading in the list of jobs", both(sub("\nqueue\n", "\nqueue seed, lr from sweep.csv\n"), file("sweep.csv", "# seed, lr\n0, 0.1\n"))),
    Defect("PS121", "a blank line in the list of jobs", both(sub("\nqueue\n", "\nqueue seed, lr from sweep.csv\n"), file("sweep.csv", "0, 0.1\n\n1, 0.1\n"))),
    Defect("PS121", "a column too few", both(sub("\nqueue\n", "\nqueue seed, lr from sweep.csv\n"), file("sweep.csv", "0, 0.1\n1\n"))),
    Defect("PS201", "no such executable", sub("executable = htcondor/bootstrap.sh", "executable = htcondor/bootstrp.sh")),
    Defect("PS202", "not executable", lambda project: (project / "htcondor" / "bootstrap.sh").chmod(0o644), fixed=True),
    Defect("PS203", "no interpreter line", on_worker(lambda data: data.replace(b"#!/usr/bin/env bash\n", b"", 1))),
    Defect("PS203", "a relative interpreter", on_worker(lambda data: data.replace(b"#!/usr/bin/env bash", b"#!bash", 1))),
    Defect("PS203", "an interpreter of this machine", on_worker(lambda data: data.replace(b"#!/usr/bin/env bash", b"#!/home/me/bin/bash", 1))),
    Defect("PS203", "a byte order mark", on_worker(lambda data: b"\xef\xbb\xbf" + data)),
    Defect("PS203", "two words for env", on_worker(lambda data: data.replace(b"/env bash", b"/env bash -x", 1))),
    Defect("PS204", "Windows line ends", on_worker(lambda data: data.replace(b"\n", b"\r\n")), fixed=True),
    Defect("PS205", "an input that is missing", sub("pixi.toml, pixi.lock\n", "pixi.toml, pixi.lock, weights.pt\n")),
    Defect("PS206", "an output that nothing makes", sub("transfer_output_files = runs", "transfer_output_files = runs, figures")),
    Defect("PS207", "an absolute output", sub("transfer_output_files = runs", "transfer_output_files = runs, /tmp/runs")),
    Defect("PS207", "an input above the project", both(sub("pixi.toml, pixi.lock\n", "pixi.toml, pixi.lock, ../secrets.txt\n"), file("../secrets.txt", "x"))),
    Defect("PS208", "no folder for the log", lambda project: shutil.rmtree(project / "logs"), fixed=True),
    Defect("PS209", "a module that stays here", both(file("model.py", "LAYERS = 3\n"), first_line_of_main("import model\n")), fixed=True),
    Defect("PS209", "a file that the script reads", both(file("settings.yaml", "a: 1\n"), script(GOOD_SCRIPT.replace('main.py "$@"', 'main.py --name settings.yaml "$@" || exit 85'))), fixed=True),
    Defect("PS210", "a file under its old path", both(file("data/train.csv", "1\n"), sub("pixi.toml, pixi.lock\n", "pixi.toml, pixi.lock, data/train.csv\n"), sub("arguments = \"--name", "arguments = \"--data-dir data/train.csv --name"))),
    Defect("PS210", "two files of one name", both(file("data/main.py", "1\n"), sub("pixi.toml, pixi.lock\n", "pixi.toml, pixi.lock, data/main.py\n"))),
    Defect("PS212", "two jobs, one output", both(sub("\nqueue\n", "\nqueue 2\n"), sub("output = logs/$(Cluster)-$(Process).out", "output = logs/$(Cluster).out"))),
    Defect("PS228", "a program of a Mac", binary("run.sh", b"\xcf\xfa\xed\xfe\x0c\0\0\x01"), delivery="plain"),
    Defect("PS228", "a program for ARM processors", binary("run.sh", b"\x7fELF\x02\x01\x01" + bytes(11) + b"\xb7\0"), delivery="plain"),
    Defect("PS228", "a newer C library than pools have", binary("run.sh", b"\x7fELF\x02\x01\x01" + bytes(11) + b"\x3e\0\0GLIBC_2.2.5\0GLIBC_2.38\0"), delivery="plain"),
    Defect("PS301", "a space behind the backslash", script(GOOD_SCRIPT.replace('python main.py "$@"', 'python main.py \\ \n  --seed 85 "$@"')), fixed=True),
    Defect("PS301", "a comment between continued lines", script(GOOD_SCRIPT.replace('python main.py "$@"', 'python main.py --seed 85 \\\n# all of them\n"$@"'))),
    Defect("PS302", "the pipe's exit code", script(GOOD_SCRIPT.replace("set -euo pipefail", "set -eu # 85").replace('"$@"', '"$@" | tee log.txt'))),
    Defect("PS302", "|| true", script(GOOD_SCRIPT.replace('"$@"', '"$@" || true # 85'))),
    Defect("PS302", "a command after the training", script(GOOD_SCRIPT.replace("set -euo pipefail", "set -u # 85") + "echo finished\n")),
    Defect("PS302", "a training that nobody waits for", script(GOOD_SCRIPT.replace('"$@"', '"$@" &\necho 85'))),
    Defect("PS303", "curl into bash", worker("set -euo pipefail\n", "set -euo pipefail\ncurl -fsSL https://pixi.sh/install.sh | bash\n")),
    Defect("PS303", "a version before the shell", worker("set -euo pipefail\n", "set -euo pipefail\ncurl -fsSL https://pixi.sh/install.sh | PIXI_VERSION=v0.79.0 bash\n")),
    Defect("PS303", "a pipe that goes on in the next line", worker("set -euo pipefail\n", "set -euo pipefail\ncurl -fsSL https://pixi.sh/install.sh |\n  bash\n")),
    Defect("PS303", "a filter in between", worker("set -euo pipefail\n", "set -euo pipefail\ncurl -fsSL https://pixi.sh/install.sh | tr -d '\\r' | sh\n")),
    Defect("PS303", "bash <(curl)", worker("set -euo pipefail\n", "set -euo pipefail\nbash <(curl -fsSL https://pixi.sh/install.sh)\n")),
    Defect("PS304", ". ~/.bashrc", worker("set -euo pipefail\n", "set -euo pipefail\n# shellcheck disable=SC1090\n. ~/.bashrc\n")),
    Defect("PS305", "shellcheck: cd without a check", script(GOOD_SCRIPT.replace("set -euo pipefail\n", "cd build # 85\n"))),
    Defect("PS306", "pixi without --frozen", script(GOOD_SCRIPT.replace("install --frozen", "install # 85"))),
    Defect("PS307", "a made-up driver", worker("set -euo pipefail\n", "set -euo pipefail\nexport CONDA_OVERRIDE_CUDA=12.9\n")),
    Defect("PS401", "no checkpoint files", sub("transfer_checkpoint_files = runs\n", "")),
    Defect("PS401", "no checkpoint exit code", sub("checkpoint_exit_code = 85\n", "")),
    Defect("PS402", "resumable without checkpoints", both(sub("transfer_checkpoint_files = runs\n", ""), sub("checkpoint_exit_code = 85\n", "+is_resumable = true\n"), sub("ON_EXIT_OR_EVICT", "ON_EXIT"))),
    Defect("PS403", "nothing exits so", sub("checkpoint_exit_code = 85", "checkpoint_exit_code = 77")),
    Defect("PS404", "no time to save", sub("kill_sig = SIGTERM", "kill_sig = SIGKILL")),
    Defect("PS405", "a placeholder for the image", sub("container_image = example.sif", "container_image = docker://username/image:1.0"), delivery="container"),
    Defect("PS406", "a container without an image", sub("container_image = example.sif\n", ""), delivery="container"),
    Defect("PS406", "an image that is not there", sub("container_image = example.sif", "container_image = old.sif"), delivery="container"),
    Defect("PS407", "the image of today", sub("container_image = example.sif", "container_image = docker://ghcr.io/lab/example:latest"), delivery="container"),
    Defect("PS501", "a bandwidth bomb", sub("\nqueue\n", "\nqueue 100\n")),
    Defect("PS502", "a driver that is too old", sub("gpus_minimum_runtime = 12.0", "gpus_minimum_runtime = 11.8"), fixed=True),
    Defect("PS502", "no limit for the driver", sub("gpus_minimum_runtime = 12.0\n", "")),
    Defect("PS503", "a GPU that is too old", sub("gpus_minimum_capability = 7.5", "gpus_minimum_capability = 6.0"), fixed=True),
    Defect("PS503", "no limit for the GPU", sub("gpus_minimum_capability = 7.5\n", "")),
    Defect("PS504", "a disk that is too small", sub("request_disk = 20GB", "request_disk = 4GB")),
    Defect("PS511", "two GPUs, one process", sub("request_gpus = 1\n", "request_gpus = 2\n")),
    Defect("PS511", "three GPUs, two processes", both(sub("request_gpus = 1\n", "request_gpus = 3\n"), sub('arguments = "', 'arguments = "--processes 2 '))),
    Defect("PS511", "two GPUs, a package in a folder", both(sub("request_gpus = 1\n", "request_gpus = 2\n"), sub("main.py, runs.py, trainer.py", "main.py, src"), file("main.py", "import sys\n"), file("src/example/main.py", "import torch\n"), file("src/example/runs.py", 'add("--processes")\n'))),
    Defect("PS511", "two GPUs, a program that knows of one", both(sub("request_gpus = 1\n", "request_gpus = 2\n"), sub("main.py, runs.py, trainer.py", "main.py"), file("main.py", "import torch\ntorch.ones(1).cuda()\n"))),
    Defect("PS505", "a lock without CUDA", unlocked("linux-64-cuda")),
    Defect("PS505", "no GPU for a lock with CUDA only", both(unlocked("linux-64-cpu"), sub("request_gpus = 1\n", ""), sub("gpus_minimum_runtime = 12.0\n", ""), sub("gpus_minimum_capability = 7.5\n", ""), sub("gpus_minimum_memory = 4000\n", ""))),
    Defect("PS506", "the lock stays here", sub("pixi.toml, pixi.lock\n", "pixi.toml\n"), fixed=True),
    Defect("PS507", "an old Pixi", worker("pixi_version=0.79.0", "pixi_version=0.60.0")),
    Defect("PS507", "outside of requires-pixi", _replace("pixi.toml", "requires-pixi = ", "requires-pixi = \">=0.90\" # ")),
    Defect("PS103", "a size in quotes", sub("request_memory = 8GB", 'request_memory = "8GB"'), fixed=True),
    Defect("PS103", "thousands", sub("request_memory = 8GB", "request_memory = 8,000MB"), fixed=True),
    Defect("PS106", "a text without quotes", sub("request_gpus = 1\n", "request_gpus = 1\nrequirements = Arch == X86_64\n")),
    Defect("PS106", "a text in single quotes", sub("request_gpus = 1\n", "request_gpus = 1\nrequirements = Machine == 'node1'\n")),
    Defect("PS106", "a misspelt attribute of the job", sub("request_gpus = 1\n", "request_gpus = 1\nperiodic_remove = JobStatsu == 5\n")),
    Defect("PS108", "no jobs", sub("\nqueue\n", "\nqueue 0\n")),
    Defect("PS108", "nothing matches", sub("\nqueue\n", "\nqueue seed matching *.seed\n")),
    Defect("PS113", "a capability without its dot", sub("gpus_minimum_capability = 7.5", "gpus_minimum_capability = 70")),
    Defect("PS203", "a misspelt interpreter", on_worker(lambda data: data.replace(b"env bash", b"env bsah", 1))),
    Defect("PS203", "UTF-16", lambda project: (project / "run.sh").write_bytes("#!/bin/sh\nexec cat in.txt\n".encode("utf-16")), delivery="plain"),
    Defect("PS205", "a missing input of the third job", both(in_plain("in.txt\n", "in.txt, $(more)\n"), in_plain("queue", "queue more in (a b c)"), file("a", ""), file("b", ""), in_plain("j.out", "j.$(Process).out"), in_plain("j.err", "j.$(Process).err")), delivery="plain"),
    Defect("PS111", "an undefined macro in the queue statement", sub("\nqueue\n", "\nqueue $(nope)\n")),
    Defect("PS507", "an old Pixi by default", worker("set -euo pipefail\n", "set -euo pipefail\nexport PIXI_VERSION=${PIXI_VERSION:-v0.30.0}\n")),
    Defect("PS507", "an old Pixi in the environment", sub('environment = "CHECK', 'environment = "PIXI_VERSION=v0.30.0 CHECK')),
    Defect("PS302", "|| exit 1", script(GOOD_SCRIPT.replace('"$@"', '"$@" || exit 1 # 85'))),
    Defect("PS302", "|| { ...; exit 1; }", script(GOOD_SCRIPT.replace('"$@"', '"$@" || { echo bad; exit 1; } # 85'))),
    Defect("PS302", "an if around the training", script(GOOD_SCRIPT.replace('python main.py "$@"', 'if ! python main.py "$@"; then exit 1; fi # 85'))),
    Defect("PS302", "an else of the training", script(GOOD_SCRIPT.replace('python main.py "$@"', 'if python main.py "$@"; then echo good; else exit 1; fi # 85'))),
    Defect("PS302", "a test of $? with another exit", script(GOOD_SCRIPT.replace("set -euo pipefail", "set -u # 85") + 'if [ $? -ne 0 ]; then exit 1; fi\n')),
    Defect("PS302", "a code that is kept and made another", script(GOOD_SCRIPT.replace("set -euo pipefail", "set -u # 85") + 'rc=$?\nif [ $rc -ne 0 ]; then exit 1; fi\n')),
    Defect("PS302", "a training in an image, and a command after it", script(GOOD_SCRIPT.replace("set -euo pipefail", "set -u # 85").replace("python main.py", "apptainer exec --nv a.sif /train") + "echo finished\n")),
    Defect("PS302", "a training by its path", script(GOOD_SCRIPT.replace("set -euo pipefail", "set -u # 85").replace("python main", ".pixi/envs/default/bin/python main") + "echo finished\n")),
    Defect("PS302", "a second command on the line", script(GOOD_SCRIPT.replace("set -euo pipefail", "set -u # 85").replace('"$@"', '"$@"; echo finished'))),
    Defect("PS302", "|| echo", script(GOOD_SCRIPT.replace('"$@"', '"$@" || echo failed # 85'))),
    Defect("PS302", "set +e", script(GOOD_SCRIPT.replace("mkdir -p runs", "set +e # 85") + "echo finished\n")),
    Defect("PS302", "a trap that ends with 0", script(GOOD_SCRIPT.replace("mkdir -p runs", "trap 'exit 0' EXIT # 85"))),
    Defect("PS303", "sudo bash", worker("set -euo pipefail\n", "set -euo pipefail\nwget -qO- https://x.example/i.sh | sudo -E bash -\n")),
    Defect("PS304", "cd without a folder", worker("set -euo pipefail\n", "set -euo pipefail\ncd\n")),
    Defect("PS304", "pip --user", worker("set -euo pipefail\n", "set -euo pipefail\npip install --user tqdm\n")),
    Defect("PS405", "my user", sub("container_image = example.sif", "container_image = docker://myuser/myimage:tag"), delivery="container"),
    Defect("PS406", "an empty image", sub("container_image = example.sif", "container_image = docker://"), delivery="container"),
    Defect("PS501", "a bandwidth bomb in pieces", sub("\nqueue\n", "\nqueue 9\nseed = 1\n# pixi-scaffold: ignore PS112\nqueue 9\n")),
    Defect("PS502", "a driver or something else", sub("gpus_minimum_runtime = 12.0\n", "require_gpus = DriverVersion >= 12.0 || true\n")),
    Defect("PS502", "a driver's number as a version", sub("gpus_minimum_runtime = 12.0\n", "require_gpus = MaxSupportedVersion >= 11.8\n")),
    Defect("PS502", "a driver the other way round", sub("gpus_minimum_runtime = 12.0\n", "require_gpus = 11.2 <= DriverVersion\n")),
    Defect("PS503", "old GPUs only", sub("gpus_minimum_capability = 7.5\n", "gpus_minimum_capability = 7.5\ngpus_maximum_capability = 6.1\n")),
    Defect("PS504", "no disk at all", sub("request_disk = 20GB\n", "")),
    Defect("PS508", "a lock for Macs only", unlocked("linux-64-cuda", "linux-64-cpu")),
    Defect("PS101", "an environment twice", in_plain("queue", "environment = A=1\nenv = B=2\nqueue"), delivery="plain"),
    Defect("PS112", "a second queue", in_plain("queue", "queue\noutput = b.out\nerror = b.err\nqueue"), delivery="plain"),
    Defect("PS112", "memory after queue", in_plain("queue", "queue\nrequest_memory = 5GB"), delivery="plain"),
    Defect("PS122", "two images", both(sub("universe = container\n", ""), sub("container_image = example.sif", "container_image = example.sif\ndocker_image = a/b:1")), delivery="container"),
    Defect("PS122", "a limit that is no name", in_plain("queue", "concurrency_limits = 10\nqueue"), delivery="plain"),
    Defect("PS122", "a grid without its resource", in_plain("executable", "universe = grid\nexecutable"), delivery="plain"),
    Defect("PS201", "no executable at all", in_plain("executable = run.sh\n", ""), delivery="plain"),
    Defect("PS202", "not executable, on a shared file system", both(in_plain("should_transfer_files = YES", "should_transfer_files = NO"), in_plain("transfer_input_files = in.txt\n", ""), lambda project: (project / "run.sh").chmod(0o644)), fixed=True, delivery="plain"),
    Defect("PS204", "Windows line ends in Python", both(in_plain("run.sh", "run.py"), file("run.py", "#!/usr/bin/env python3\r\nprint(open('in.txt'))\r\n"), lambda project: (project / "run.py").chmod(0o755)), fixed=True, delivery="plain"),
    Defect("PS206", "a result that nothing writes", in_plain("queue", "transfer_output_files = result.csv\nqueue"), delivery="plain"),
    Defect("PS207", "an absolute log", in_plain("log = j.log", "log = /tmp/j.log"), delivery="plain"),
    Defect("PS208", "no folder for the output", in_plain("output = j.out", "output = out/j.out"), delivery="plain", fixed=True),
    Defect("PS208", "no initialdir", in_plain("queue", "initialdir = elsewhere\nqueue"), delivery="plain"),
    Defect("PS211", "inputs without a transfer", in_plain("should_transfer_files = YES", "should_transfer_files = NO"), delivery="plain"),
    Defect("PS404", "checkpoints without a transfer", both(in_plain("transfer_input_files = in.txt\n", ""), in_plain("should_transfer_files = YES", "should_transfer_files = NO\ncheckpoint_exit_code = 85\ntransfer_checkpoint_files = in.txt")), delivery="plain"),
    Defect("PS405", "a placeholder for the account", in_plain("queue", "accounting_group = YOUR_GROUP\nqueue"), delivery="plain"),
    Defect("PS406", "docker without an image", in_plain("executable", "universe = docker\nexecutable"), delivery="plain"),
    Defect("PS121", "a heading of the variables' names", both(sub("\nqueue\n", "\nqueue seed, lr from sweep.csv\n"), file("sweep.csv", "seed, lr\n0, 0.1\n1, 0.1\n"))),
    Defect("PS121", "a heading over numbers", both(sub("\nqueue\n", "\nqueue seed, lr from sweep.csv\n"), file("sweep.csv", "Seed number, rate\n0, 0.1\n1, 0.1\n"))),
    Defect("PS127", "the capability by its old name", sub("request_gpus = 1\n", "request_gpus = 1\nrequirements = CUDACapability >= 7.5\n")),
    Defect("PS127", "a GPU by its old number", sub("request_gpus = 1\n", 'request_gpus = 1\nrequirements = TARGET.CUDA0DriverVersion >= 12.0\n')),
    Defect("PS123", "a semicolon in quotes", in_plain("queue", 'environment = "A=1;B=2"\nqueue'), delivery="plain"),
    Defect("PS124", "a GPU without memory", sub("request_memory = 8GB\n", "")),
    Defect("PS125", "the whole environment", in_plain("queue", "getenv = True\nqueue"), delivery="plain"),
    Defect("PS126", "a key by its name", in_plain("queue", 'environment = "WANDB_API_KEY=0123456789abcdef"\nqueue'), delivery="plain"),
    Defect("PS126", "a token by its form", in_plain("queue", f'arguments = "--hub hf_{"a1B2c3D4" * 4}"\nqueue'), delivery="plain"),
    Defect("PS213", "an input that git ignores", both(file(".gitignore", "*.csv\n"), file("data.csv", "1\n"), in_plain("in.txt\n", "in.txt, data.csv\n"), in_git()), delivery="plain"),
    Defect("PS213", "an input that nobody added", both(in_git(), file("data.csv", "1\n"), in_plain("in.txt\n", "in.txt, data.csv\n")), delivery="plain"),
    Defect("PS213", "a folder that git ignores", both(file(".gitignore", "/data/\n"), file("data/a.csv", "1\n"), in_plain("in.txt\n", "in.txt, data\n"), in_git()), delivery="plain"),
    Defect("PS213", "a worker script that nobody added", both(in_git(), file("job.sh", "#!/bin/sh\ncat in.txt\n"), lambda project: (project / "job.sh").chmod(0o755), in_plain("executable = run.sh", "executable = job.sh")), delivery="plain"),
    Defect("PS214", "a remap of the path", both(file("run.sh", "#!/bin/sh\nmkdir results\ncp in.txt results/x.json\n"), in_plain("queue", 'transfer_output_files = results/x.json\ntransfer_output_remaps = "results/x.json = out.json"\nqueue')), delivery="plain"),
    Defect("PS215", "4 GB through the access point", both(in_plain("request_disk = 1GB", "request_disk = 9GB"), both(sparse("in.bin", 4_000_000_000), in_plain("in.txt\n", "in.txt, in.bin\n"))), delivery="plain"),
    Defect("PS215", "300 GB in pieces", both(sparse("in.bin", 300_000_000), in_plain("in.txt\n", "in.txt, in.bin\n"), in_plain("queue", "queue 1000"), in_plain("j.out", "j.$(Process).out"), in_plain("j.err", "j.$(Process).err")), delivery="plain"),
    Defect("PS216", "one file of all jobs", both(file("run.sh", "#!/bin/sh\ncp in.txt model.pt\n"), in_plain("queue", "transfer_output_files = model.pt\nqueue 3"), in_plain("j.out", "j.$(Process).out"), in_plain("j.err", "j.$(Process).err")), delivery="plain"),
    Defect("PS216", "one name for all runs", both(sub("name = job-$(Cluster)-$(Process)", "name = run1"), sub("\nqueue\n", "\nqueue seed in (1 2 3)\n"))),
    Defect("PS217", "60 MB in git", both(sparse("in.bin", 60_000_000), in_plain("in.txt\n", "in.txt, in.bin\n"), in_git()), delivery="plain"),
    Defect("PS218", "a choice that there is not", sub("arguments = \"", "arguments = \"--data cifar10 ")),
    Defect("PS218", "an option that there is not", sub("--lr $(lr)", "--learning-rate $(lr)")),
    Defect("PS218", "no number", sub("lr = 0.004", "lr = fast")),
    Defect("PS219", "a program under its old name", script(GOOD_SCRIPT.replace("main.py", "train.py") + "# 85\n")),
    Defect("PS308", "conda without its hook", script(GOOD_SCRIPT.replace("mkdir -p runs", "conda activate work # 85"))),
    Defect("PS309", "two versions of a program", first_line_of_main("<<<<<<< HEAD\nA = 1\n=======\nA = 2\n>>>>>>> theirs\n")),
    Defect("PS109", "two versions of a description", sub("request_gpus = 1\n", "<<<<<<< HEAD\nrequest_gpus = 1\n=======\nrequest_gpus = 2\n>>>>>>> theirs\n")),
    Defect("PS310", "Slurm's lines", script(GOOD_SCRIPT.replace("set -euo", "#SBATCH --gres=gpu:1\nset -euo").replace("mkdir -p runs", "mkdir -p runs # 85"))),
    Defect("PS405", "a placeholder in the arguments", in_plain("queue", "arguments = --data <path_to_data>\nqueue"), delivery="plain"),
    Defect("PS405", "a placeholder in a remap", both(file("run.sh", "#!/bin/sh\ncp in.txt x\n"), in_plain("queue", 'transfer_output_files = x\ntransfer_output_remaps = "x = /staging/YOUR_NETID/x"\nqueue')), delivery="plain"),
    Defect("PS509", "an archive for the CPU", archive("linux-64-cpu"), delivery="pack"),
    Defect("PS509", "an archive of an older lock", archive("linux-64-cuda", without="tqdm"), delivery="pack"),
    Defect("PS124", "no memory at all", in_plain("request_memory = 1GB\n", ""), delivery="plain"),
    Defect("PS128", "a GPU in the arguments", in_plain("queue", "arguments = --device cuda\nqueue"), delivery="plain"),
    Defect("PS129", "a GPU by its number", both(in_plain("queue", 'request_gpus = 1\nenvironment = "CUDA_VISIBLE_DEVICES=0"\nqueue')), delivery="plain"),
    Defect("PS130", "four processes on one GPU", both(file("run.sh", "#!/bin/sh\ntorchrun --nproc_per_node=4 -m train < in.txt\n"), in_plain("queue", "request_gpus = 1\nqueue")), delivery="plain"),
    Defect("PS131", "inputs larger than the disk", both(sparse("in.bin", 900_000_000), in_plain("in.txt\n", "in.txt, in.bin\n"), in_plain("request_disk = 1GB", "request_disk = 500MB")), delivery="plain"),
    Defect("PS132", "terabytes by mistake", in_plain("request_memory = 1GB", "request_memory = 16000GB"), delivery="plain"),
    Defect("PS132", "a system that no slot has", in_plain("queue", 'requirements = OpSys == "Linux7"\nqueue'), delivery="plain"),
    Defect("PS208", "a folder that is not there as output", in_plain("output = j.out", "output = out/"), delivery="plain"),
    Defect("PS133", "every hold is released", in_plain("queue", "periodic_release = true\nqueue"), delivery="plain"),
    Defect("PS134", "a path of the shell", in_plain("queue", 'environment = "PYTHONPATH=/opt/lib:$PYTHONPATH"\nqueue'), delivery="plain"),
    Defect("PS135", "the log as output", in_plain("j.out", "j.log"), delivery="plain"),
    Defect("PS136", "curly quotes", in_plain("queue", "arguments = \u201cone two\u201d\nqueue"), delivery="plain"),
    Defect("PS137", "a node that nothing defines", file("w.dag", "JOB A job.sub\nPARENT A CHILD B\n"), delivery="plain"),
    Defect("PS137", "variables without quotes", file("w.dag", "JOB A job.sub\nVARS A x=1\n"), delivery="plain"),
    Defect("PS137", "a circle", file("w.dag", "JOB A job.sub\nPARENT A CHILD A\n"), delivery="plain"),
    Defect("PS137", "a splice that is not there", file("w.dag", "JOB A job.sub\nSPLICE S inner.dag\n"), delivery="plain"),
    Defect("PS308", "a module without its shell", file("run.sh", "#!/bin/bash\nmodule load python\ncat in.txt\n"), delivery="plain"),
    Defect("PS311", "an environment at home", file("run.sh", "#!/bin/bash\n/home/jane/venv/bin/python3 -m train < in.txt\n"), delivery="plain"),
    Defect("PS312", "a package of the system", file("run.sh", "#!/bin/bash\nsudo apt-get install -y jq\ncat in.txt\n"), delivery="plain"),
    Defect("PS201", "an executable that stays here", in_plain("executable = run.sh", "executable = sim\ntransfer_executable = false"), delivery="plain"),
    Defect("PS205", "a pattern", in_plain("in.txt\n", "in.txt, *.csv\n"), delivery="plain"),
    Defect("PS206", "a pattern of outputs", in_plain("queue", "transfer_output_files = *.pt\nqueue"), delivery="plain"),
    Defect("PS210", "a folder that does not travel", both(file("main.py", "open('data/x.csv')\n"), file("data/x.csv", ""), in_plain("in.txt\n", "in.txt, main.py, data/x.csv\n")), delivery="plain"),
    Defect("PS406", "a page in place of an image", in_plain("queue", "container_image = docker:a/b:1\nqueue"), delivery="plain"),
    Defect("PS512", "an image of last year", old_image(), delivery="container"),
    Defect("PS138", "two systems at once", in_plain("queue", 'requirements = Arch == "X86_64" && Arch == "aarch64"\nqueue'), delivery="plain"),
    Defect("PS139", "a request behind a plus", in_plain("queue", "+request_gpus = 1\nqueue"), delivery="plain", fixed=True),
    Defect("PS139", "a flavour that there is not", in_plain("queue", '+JobFlavour = "workdy"\nqueue'), delivery="plain"),
    Defect("PS140", "single quotes alone", in_plain("queue", "arguments = --name 'two words'\nqueue"), delivery="plain"),
    Defect("PS141", "submitted on hold", in_plain("queue", "hold = true\nqueue"), delivery="plain"),
    Defect("PS142", "no log, no output", both(in_plain("output = j.out\n", ""), in_plain("error = j.err\n", ""), in_plain("log = j.log\n", "")), delivery="plain"),
    Defect("PS220", "a scheme that there is not", in_plain("in.txt\n", "in.txt, osfd:///lab/x\n"), delivery="plain"),
    Defect("PS221", "a helper without x", both(in_plain("in.txt\n", "in.txt, h.sh\n"), file("h.sh", "#!/bin/sh\ncat in.txt\n"), file("run.sh", "#!/bin/sh\n./h.sh\n")), delivery="plain"),
    Defect("PS222", "a virtual environment", both(in_plain("in.txt\n", "in.txt, venv\n"), file("venv/pyvenv.cfg", "home = /usr/bin\n")), delivery="plain"),
    Defect("PS143", "machines outside the parallel universe", in_plain("log = j.log\n", "log = j.log\nmachine_count = 4\n"), delivery="plain"),
    Defect("PS144", "a sum in the arguments", in_plain("log = j.log\n", "log = j.log\narguments = $(Process)+1\n"), delivery="plain"),
    Defect("PS145", "quotes around an output", in_plain("output = j.out", 'output = "j.out"'), delivery="plain"),
    Defect("PS225", "a folder that is not there", file("run.sh", "#!/bin/sh\ncat in.txt > out/x\n"), delivery="plain"),
    Defect("PS226", "a machine's value beside common input", in_plain("log = j.log\n", "log = j.log\ntransfer_common_input = in.txt\n+Mine = \"$$(Name)\"\n"), delivery="plain"),
    Defect("PS146", "commas between arguments", in_plain("log = j.log\n", "log = j.log\narguments = 1, 2\n"), delivery="plain"),
    Defect("PS147", "half a GPU", in_plain("log = j.log\n", "log = j.log\nrequest_gpus = 0.5\n"), delivery="plain"),
    Defect("PS148", "a remap to itself", both(in_plain("log = j.log\n", 'log = j.log\ntransfer_output_files = o.txt\ntransfer_output_remaps = "o.txt = o.txt"\n'), file("run.sh", "#!/bin/sh\ncat in.txt > o.txt\n")), delivery="plain"),
    Defect("PS227", "a folder to go into", file("run.sh", "#!/bin/sh\ncd src || exit 1\ncat in.txt\n"), delivery="plain"),
    Defect("PS318", "a container without its GPU", both(in_plain("log = j.log\n", "log = j.log\nrequest_gpus = 1\n"), file("run.sh", "#!/bin/sh\napptainer exec in.txt date\n")), delivery="plain"),
    Defect("PS319", "one port for all", file("run.sh", "#!/bin/sh\nexport MASTER_PORT=29500\ncat in.txt\n"), delivery="plain"),
    Defect("PS223", "a folder that stays there", file("run.sh", "#!/bin/sh\nmkdir -p out\ncat in.txt > out/x\n"), delivery="plain"),
    Defect("PS224", "an archive that nobody transfers", file("run.sh", "#!/bin/sh\ntar xzf data.tar.gz\ncat in.txt\n"), delivery="plain"),
    Defect("PS313", "a question", first_line_of_main("name = input('your name? ')\n")),
    Defect("PS314", "pip on the worker", script(GOOD_SCRIPT.replace("mkdir -p runs", "pip install tqdm # 85"))),
    Defect("PS315", "data from the network", first_line_of_main("import urllib.request\nurllib.request.urlretrieve('https://example.net/x')\n")),
    Defect("PS316", "an open bracket", first_line_of_main("print((1)\n")),
    Defect("PS317", "a package of the access point", both(in_plain("in.txt\n", "in.txt, t.py\n"), file("t.py", "import pandas\n"), file("run.sh", "#!/bin/sh\npython3 t.py < in.txt\n")), delivery="plain"),
    Defect("PS208", "a folder as output", both(in_plain("output = j.out", "output = d"), file("d/x", "")), delivery="plain"),
    Defect("PS510", "a package that is not locked", first_line_of_main("import polars\n")),
]  # fmt: skip

PLAIN = {
    "run.sh": "#!/bin/sh\nexec cat in.txt\n",
    "in.txt": "hello\n",
    "job.sub": """\
executable = run.sh
transfer_input_files = in.txt
should_transfer_files = YES
log = j.log
output = j.out
error = j.err
request_cpus = 1
request_memory = 1GB
request_disk = 1GB
queue
""",
}
"""A job that has nothing to do with Pixi."""


@pytest.fixture(scope="module")
def template_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return template_repository(tmp_path_factory.mktemp("template") / "t")


@pytest.fixture(scope="module")
def good(template_copy: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good project of each delivery, with a real lock, and a good job without a project."""
    projects: dict[str, Path] = {}
    for delivery in ("bootstrap", "pack", "container"):
        folder = tmp_path_factory.mktemp(delivery) / "example"
        projects[delivery] = make(template_copy, {"delivery": delivery}, folder)
        shutil.copy(LOCK, folder / "pixi.lock")
    plain = tmp_path_factory.mktemp("plain")
    for name, text in PLAIN.items():
        (plain / name).write_text(text)
    (plain / "run.sh").chmod(0o755)
    projects["plain"] = plain
    return projects


def look(project: Path) -> Review:
    paths = (project / name for name in ("w.dag", "job.sub", "htcondor/train.sub"))
    return review([next(path for path in paths if path.is_file())], Silent())


def words(found: Review) -> list[str]:
    return [f"{f.rule} {f.file.name}:{f.line}: {f.message}" for f in found.findings]


@pytest.mark.parametrize("delivery", ["bootstrap", "pack", "container", "plain"])
def test_nothing_is_found_in_a_good_job(good: dict[str, Path], delivery: str) -> None:
    found = look(good[delivery])
    assert words(found) == []
    assert len(found.descriptions) == 1
    assert found.scripts


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda d: f"{d.rule}: {d.what}")
def test_a_defect_is_caught_by_its_rule_alone(
    good: dict[str, Path], defect: Defect, tmp_path: Path
) -> None:
    project = shutil.copytree(good[defect.delivery], tmp_path / "example")
    defect.edit(project)
    found = look(project)
    assert {f.rule for f in found.findings} == {defect.rule}, words(found)
    assert all(f.message and f.fix and f.file.is_absolute() for f in found.findings)
    assert any(f.edits for f in found.findings) == defect.fixed, "fixable or not"
    if defect.fixed:
        assert apply_fixes(found.findings)
        assert words(look(project)) == [], "--fix leaves nothing"


def job(*edits: Edit, run: str = "") -> Edit:
    """Edit the plain job; run: its script."""
    return both(*edits, *([file("run.sh", run)] if run else []))


WITH_T = both(in_plain("in.txt\n", "in.txt, t.py\n"), file("t.py", "1\n"))

GOOD = {
    "memory that grows": job(in_plain("= 1GB\nrequest_disk", "= ifthenelse(MemoryUsage =!= undefined, MAX({MemoryUsage * 3/2, 2048}), 2048)\nrequest_disk")),
    "other words for yes": job(in_plain("should_transfer_files = YES", "should_transfer_files = true\nwhen_to_transfer_output = ALWAYS")),
    "arithmetic": job(in_plain("queue", "queue 3*(2 - 1)"), in_plain("j.out", "j.$(Process).out"), in_plain("j.err", "j.$(Process).err")),
    "a pattern that is no home": job(run="#!/bin/bash\nif [[ $(hostname) =~ ^gpu ]]; then echo \"takes ~ 5 minutes\"; fi\ncat in.txt\n"),
    "a home of its own": job(in_plain("queue", 'environment = "HOME=/tmp"\nqueue'), run="#!/bin/bash\ncat in.txt > ~/x\n"),
    "a here-document": job(run="#!/bin/bash\ncat > c.yml <<EOF\nhome: ~/x \\ \nEOF\ncat in.txt\n"),
    "an image's folder": job(file("infer.py", "1\n"), run="#!/bin/bash\ncd /app/ || exit\npython infer.py\n"),
    "unpacked on the worker": job(file("train.py", "1\n"), run="#!/bin/bash\ntar xzf in.txt\npython train.py\n"),
    "a result that came home": job(file("result.csv", "1\n"), in_plain("queue", "arguments = --out result.csv\nqueue")),
    "talk of a file": job(file("README.md", "1\n"), run='#!/bin/bash\necho "see README.md"\ncat in.txt\n'),
    "an output by number": job(in_plain("queue", "transfer_output_files = model_$(Process).pt\nqueue")),
    "the pipe's own status": job(WITH_T, run="#!/bin/bash\npython t.py | tee l.txt\nrc=${PIPESTATUS[0]}\nls\nexit $rc\n"),
    "a script without a command": job(run="#!/bin/sh\n# to be written\n"),
    "a training in quotes over several lines": job(WITH_T, run='#!/bin/bash\nbash -c "\n  python -V\n  python t.py\n  "\n'),
    "an archive that is named like an interpreter": job(in_plain("in.txt\n", "in.txt, python310.tar.gz\n"), file("python310.tar.gz", ""), run="#!/bin/bash\ntar xzf python310.tar.gz\ncp python3 /tmp\ncat in.txt\n"),
    "exit at once": job(WITH_T, run="#!/bin/bash\npython t.py || exit $?\nls\n"),
    "a function": job(WITH_T, run='#!/bin/bash\nmain() {\n  python t.py "$@"\n}\nmain "$@"\n'),
    "a case for each code": job(WITH_T, run="#!/bin/bash\npython t.py\ncase $? in\n 85) exit 85;;\n 0) exit 0;;\n *) exit 1;;\nesac\n"),
    "an interpreter of the image": job(in_plain("executable", "container_image = docker://a/b:1\nexecutable"), run="#!/opt/conda/bin/python\nprint(open('in.txt').read())\n"),
    "code in the image": job(in_plain("executable", "docker_image = a/b:1\nuniverse = docker\nexecutable"), in_plain("queue", "checkpoint_exit_code = 85\ntransfer_checkpoint_files = ck\nqueue"), run="#!/bin/sh\nexec python -m mypkg.train\n"),
    "attributes of the OSPool": job(in_plain("queue", "requirements = HAS_SINGULARITY == True && HasCHTCStaging\nqueue")),
    "names that only HTCondor makes": job(in_plain("queue", "queue 4"), in_plain("j.out", "j.$INT(Process,%03d).out"), in_plain("j.err", "j.$INT(Process,%03d).err")),
    "DAGMan's macros": job(in_plain("queue", "arguments = $(JOB) $(RETRY)\nqueue")),
    "names that lead back into the project": job(in_plain("in.txt\n", "../in.txt\n"), in_plain("queue", "initialdir = run\nqueue"), in_plain("j.out", "../j.out"), in_plain("log = j.log", "log = ../j.log"), file("run/x", "")),
    "a virtual machine, whose executable is a name": job(in_plain("executable = run.sh", "universe = vm\nexecutable = my-machine\nvm_type = kvm\nvm_memory = 512\nvm_disk = in.txt:vda:w:raw"), in_plain("output = j.out\n", ""), in_plain("error = j.err\n", "")),
    "a folder for each job": job(in_plain("queue", "initialdir = run$(Process)\nqueue 2"), file("run0/in.txt", ""), file("run1/in.txt", "")),
    "a folder with a slash": job(in_plain("in.txt\n", "in.txt, data/\n"), file("data/x.csv", "")),
    "a loop over files": job(in_plain("in.txt\n", "in.txt, $(f)\n"), in_plain("queue", "queue f matching files *.csv"), file("a.csv", ""), file("b.csv", ""), in_plain("j.out", "$Fn(f).out"), in_plain("j.err", "$Fn(f).err")),
    "an own resource": job(in_plain("queue", "request_licences = 1\nqueue")),
    "a value in several lines": job(in_plain("in.txt\n", "in.txt, \\\n  more.txt\n"), file("more.txt", "")),
    "attributes in quotes": job(in_plain("queue", '+ProjectName = "lab"\nMY.Wanted = true\n+Count = 3\nqueue')),
    "resources that a pool has added": job(in_plain("queue", "request_FPGA = 1\nrequest_tpus = 1\nrequest_vgpus = 1\nrequest_ssd = 1\nqueue")),
    "not the machine of the last time": job(in_plain("queue", "job_machine_attrs = Machine\nrequirements = Machine =!= LastRemoteHost && target.machine =!= MachineAttrMachine1\nqueue")),
    "a command line in place of an executable": job(in_plain("executable = run.sh", "shell = cat in.txt")),
    "an interpreter from CVMFS": job(run="#!/cvmfs/soft.example.org/bin/python3\nprint(open('in.txt').read())\n"),
    "an interpreter of this machine, for a job that stays": job(in_plain("should_transfer_files = YES", "should_transfer_files = NO"), in_plain("transfer_input_files = in.txt\n", ""), run="#!/opt/lab/bin/python3\nprint(1)\n"),
    "a home where there is none": job(run='#!/bin/bash\nif [ -z "${HOME:-}" ]; then export HOME=$PWD; fi\ncat in.txt > "$HOME/x"\n'),
    "a home by default": job(run='#!/bin/bash\n: "${HOME:=$PWD}"\nexport HOME\ncat in.txt > "$HOME/x"\n'),
    "a home that is only told": job(run='#!/bin/bash\necho "home is $HOME"\ncat in.txt\n'),
    "a file named todo": job(in_plain("in.txt\n", "in.txt, todo.csv\n"), file("todo.csv", "")),
    "a download that is data": job(run="#!/bin/bash\nset -o pipefail\ncurl -s https://a.example.net/x | python3 -m json.tool\n"),
    "a download that a line of Python reads": job(run="#!/bin/bash\nset -o pipefail\ncurl -s https://a.example.net/x | python3 -c 'import sys; print(len(sys.stdin.read()))'\n"),
    "outputs of an earlier run that are packed": job(file("results.tar.gz", ""), file("model.pt", ""), file("log.txt", ""), run="#!/bin/bash\nset -e\ncat in.txt\ntar czf results.tar.gz results/\nmv model.pt model_final.pt\ngzip log.txt\n"),
    "arithmetic in numbers": job(in_plain("queue", "priority = 5 * 2\nsuccess_exit_code = 1+1\nqueue")),
    "requirements that count on condor_submit's parentheses": job(in_plain("queue", "requirements = true) && (Memory > 10\nqueue")),
    "this folder as an argument": job(in_plain("queue", "arguments = build -t x .\nqueue")),
    "a script for Windows": job(in_plain("executable = run.sh", "executable = run.bat"), file("run.bat", "echo one\r\n"), in_plain("queue", 'requirements = OpSys == "WINDOWS"\nqueue')),
    "a program that is downloaded": job(run="#!/bin/bash\nwget -q https://a.example.net/x.sh -O install.sh\nbash install.sh -b\ncat in.txt\n"),
    "a program under the name of its URL": job(run="#!/bin/bash\nset -e\ncat in.txt\ncurl -sO https://a.example.net/get/install.py\npython3 install.py\n"),
    "a program copied from elsewhere": job(run="#!/bin/bash\nset -e\ncat in.txt\ncp /cvmfs/a.example.org/sim.py .\npython3 sim.py\n"),
    "a folder that only the job knows": job(file("main.py", "1\n"), run='#!/bin/bash\ncd "$1" || exit\npython3 main.py\n'),
    "a shell's variable for a shell": job(in_plain("executable = run.sh", "executable = /bin/bash\ntransfer_executable = false"), in_plain("queue", "arguments = \"-c 'cat $PWD/in.txt'\"\nqueue")),
    "a GPU where there is one": job(WITH_T, in_plain("queue", "container_image = docker://a/b:1\nqueue"), file("t.py", "import torch\nd = 'cuda' if torch.cuda.is_available() else 'cpu'\ntorch.ones(1).cuda()\n")),
    "a module in a login shell": job(run="#!/bin/bash -l\nset -e\nmodule load python\ncat in.txt\n"),
    "macros that a script gives": job(file("submit.sh", 'condor_submit job.sub \\\n  lr="$1" n=3\n'), in_plain("queue", "arguments = $(lr)\nqueue $(n)")),
    "a macro that a maker of DAGs gives": job(file("dag.py", "print(f'VARS {n} lr=\"{lr}\"')\n"), in_plain("queue", "arguments = $(lr)\nqueue")),
    "a tokenizer is no token": job(in_plain("queue", "arguments = --tokenizer=bert-base-uncased\nqueue")),
    "a command of a site": job(in_plain("queue", "chtc_want_el8 = true\nqueue")),
    "an attribute that is asked for first": job(in_plain("queue", 'requirements = isUndefined(TARGET.DesiredOS) || DesiredOS =!= undefined\nqueue')),
    "a macro that is called as a command, too": job(in_plain("queue", "args = --lr 1\narguments = --all $(args)\nqueue")),
    "a file that a job of the access point reads": job(in_plain("should_transfer_files = YES\n", ""), in_plain("transfer_input_files = in.txt\n", ""), in_plain("executable", "universe = scheduler\nexecutable")),
    "a default that is overridden": job(file("common.inc", "request_disk = 5GB\n"), in_plain("executable", "include : common.inc\nexecutable")),
}  # fmt: skip
"""What people really write, and what is right; forms from the guides of pools and HTCondor's manual."""


@pytest.mark.parametrize("name", GOOD)
def test_nothing_is_wrong_with_what_people_write(
    good: dict[str, Path], name: str, tmp_path: Path
) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    GOOD[name](project)
    found = look(project)
    loud = [f for f in found.findings if f.severity is not Severity.NOTE]
    assert loud == [], words(found)


MADE_LATER = {
    "a script of a notebook": (file("train.ipynb", "{}"), "train.py"),
    "an image of a definition": (file("app.def", "Bootstrap: docker\n"), "nvidia-main.sif"),
    "what another job brings back": (file("train.sub", "executable = t.sh\ntransfer_output_files = out/model.pt\nqueue\n"), "model.pt"),
    "software that is packed by hand": (file("build.sub", "+IsBuildJob = true\nqueue\n"), "packages.tar.gz"),
    "one of many": (file("split.sh", "cat play > plays.$n\n"), "plays.03"),
    "a program beside its source": (file("sim.cu", ""), "sim.out"),
    "a program below its source": (file("sim.c", ""), "bin/sim"),
    "an end that a program puts behind names": (file("predict.R", 'name = paste0(day, "_predicted.csv")\nwrite.csv(x, name)\n'), "monday_predicted.csv"),
    "a number that split puts behind names": (file("get.sh", 'split -d -l 9 "$topic.csv" "$topic/$topic.csv."\n'), "physics.7z/physics.7z.csv.00"),
    "an end that a shell puts behind names": (file("get.sh", "sort $day > ${day}_sorted.csv\n"), "monday_sorted.csv"),
    "what a README says to bring": (file("README.md", "# Data\nCopy these to the access point:\n\n- `data/trees.rds`\n"), "trees.rds"),
    "a folder that git ignores": (both(in_git(), file(".gitignore", "data/\n")), "data"),
    "items of a Julia program": (file("trees.csv.jl", 'open("trees.csv", "w") do f\n'), "trees.csv"),
    "in a folder that is filled": (both(file("get.sh", "wget -P data/ https://a.example.net/x\n"), file("data/.gitkeep", "")), "data/x.fastq"),
    "before a node of a DAG": (file("prepared.dag", "JOB 1 job.sub\nSCRIPT PRE 1 pre.sh\n"), "part.csv"),
    "from a folder below": (file("more.txt", ""), "../more.txt"),
    "before a node of a DAG, among many files": (both(file("prepared.dag", "JOB 1 job.sub\nSCRIPT PRE 1 pre.sh\n"), *(file(f"a{n}.err", "") for n in range(250))), "part.csv"),
}  # fmt: skip
"""What was seen in public repositories, and the input that is not there yet."""


@pytest.mark.parametrize("name", MADE_LATER)
def test_what_something_else_may_make_is_no_error(
    good: dict[str, Path], name: str, tmp_path: Path
) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    edit, item = MADE_LATER[name]
    in_plain("in.txt\n", f"in.txt, {item}\n")(project)
    assert ("PS205", Severity.ERROR) in kinds(look(project))
    edit(project)
    assert ("PS205", Severity.WARNING) in kinds(look(project))


GIVEN = {
    "where the inputs are": both(in_plain("in.txt\n", "in.txt, more.txt\n"), in_plain("queue", "initialdir = $(run)\nqueue")),
    "a part of an output's name": in_plain("output = j.out", "output = $(name)/"),
    "options of a program": both(file("run.py", "#!/usr/bin/env python3\nimport argparse\np = argparse.ArgumentParser()\np.add_argument('--n')\np.parse_args()\n"), lambda project: (project / "run.py").chmod(0o755), in_plain("executable = run.sh", "executable = run.py"), in_plain("queue", "arguments = --n $(n)\nqueue")),
    "items, and what is made of them": in_plain("queue", "request_disk = $(disk)GB\nqueue $(jobs) disk, params from $(list)"),
    "items in words": in_plain("queue", "arguments = $(x)\nqueue x in $(words)"),
    "items of a pattern": in_plain("queue", "arguments = $(x)\nqueue x matching $(pattern)"),
    "where everything is": both(in_plain("executable = run.sh", "executable = $(where)/run.sh"), in_plain("queue", "queue x from $(list)")),
    "files of an access point, below folders of every machine": in_plain("in.txt\n", "in.txt, /etc/lab-secrets/token, /usr/local/lab/bin/tool\n"),
    "a part of an input's name": in_plain("in.txt\n", "in.txt, part-$(serial).csv\n"),
}  # fmt: skip
"""What comes with the submission: macros (`condor_submit NAME=VALUE`, VARS of a DAG), files there."""


@pytest.mark.parametrize("name", GIVEN)
def test_what_comes_with_the_submission_is_no_error(
    good: dict[str, Path], name: str, tmp_path: Path
) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    GIVEN[name](project)
    assert {s for _, s in kinds(look(project))} - {Severity.NOTE} == {Severity.WARNING}


def test_a_variable_that_is_a_command_is_not_judged_before_it_is_known(
    good: dict[str, Path], tmp_path: Path
) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    in_plain("queue", "queue rank from ranks.txt")(project)
    assert {k for k in kinds(look(project)) if k[1] is Severity.ERROR} == {
        ("PS108", Severity.ERROR)
    }


def test_what_a_missing_program_writes_is_not_known(good: dict[str, Path], tmp_path: Path) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    in_plain("queue", "transfer_output_files = result.csv\nqueue")(project)
    assert "PS206" in {rule for rule, _ in kinds(look(project))}
    in_plain("in.txt\n", "in.txt, sim.jl\n")(project)
    assert {rule for rule, _ in kinds(look(project))} == {"PS205"}


def test_what_a_script_gives_is_no_error(good: dict[str, Path], tmp_path: Path) -> None:
    """condor_submit 23.9.6 and 25.14.1 refuse this alone, and take it with NAME=VALUE of the script."""
    project = shutil.copytree(good["plain"], tmp_path / "p")
    in_plain("queue", "requirements = $(want) && Memory > 1\nqueue")(project)
    assert ("PS105", Severity.ERROR) in kinds(look(project))
    file("go.sh", "condor_submit job.sub want=HasX\n")(project)
    assert {s for _, s in kinds(look(project))} <= {Severity.WARNING, Severity.NOTE}


def test_every_system_that_no_slot_has_is_named(good: dict[str, Path], tmp_path: Path) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    in_plain("queue", 'requirements = OpSys == "CentOS7" || (OpSys == "Linux7")\nqueue')(project)
    [finding] = [f for f in look(project).findings if f.rule == "PS132"]
    assert finding.message == 'no slot has OpSys == "CentOS7" or OpSys == "Linux7"'


def kinds(found: Review) -> set[tuple[str, Severity]]:
    return {(f.rule, f.severity) for f in found.findings}


def test_a_proxy_is_made_before_a_submission(good: dict[str, Path], tmp_path: Path) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    in_plain("in.txt\n", "in.txt, x509up_u1000\n")(project)
    assert kinds(look(project)) == {("PS205", Severity.WARNING)}


def test_missing_inputs_of_many_jobs_are_counted(good: dict[str, Path], tmp_path: Path) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    in_plain("in.txt\n", "in.txt, part.$(Process)\n")(project)
    in_plain("queue", "queue 100")(project)
    said = [f.message for f in look(project).findings if f.rule == "PS205"]
    assert len(said) == 5
    assert "96 more inputs, to part.99, are not there" in said


def test_a_row_of_a_sweep_without_any_words_is_no_crash(
    good: dict[str, Path], tmp_path: Path
) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    rows = 'arguments = "$(words)"\ntransfer_output_files = out\nqueue words from rows.txt'
    both(in_plain("queue", rows), file("rows.txt", "\n--lr 1\n"))(project)
    assert ("PS216", Severity.WARNING) not in kinds(look(project))


def test_an_archive_of_the_lock_is_right(good: dict[str, Path], tmp_path: Path) -> None:
    project = shutil.copytree(good["pack"], tmp_path / "example")
    archive("linux-64-cuda")(project)
    assert words(look(project)) == []


LOCKED_GOOD = {
    "the code is kept and given back": script(GOOD_SCRIPT.replace('"$@"', '"$@" || rc=$?\nls || exit 1\nexit "${rc:-0}" # 85')),
    "a case with the checkpoint's code": script(GOOD_SCRIPT.replace("set -euo pipefail", "set -u") + "case $? in 85) exit 85;; 0) exit 0;; *) exit 1;; esac\n"),
    "an if that lets the code through": script(GOOD_SCRIPT.replace('python main.py "$@"', 'if python main.py "$@"; then echo good; else exit $?; fi # 85')),
    "a limit the other way round": sub("gpus_minimum_capability = 7.5\n", "require_gpus = 7.5 <= Capability\n"),
    "two limits in two places": sub("gpus_minimum_capability = 7.5\n", "require_gpus = GlobalMemoryMb >= 4000\nrequirements = GPUs_Capability >= 8.0\n"),
    "two GPUs for a program that uses all": both(sub("request_gpus = 1\n", "request_gpus = 2\n"), sub("main.py, runs.py, trainer.py", "main.py"), file("main.py", "import torch\nnet = torch.nn.DataParallel(net)\n")),
    "two GPUs for a program that is not PyTorch's": both(sub("request_gpus = 1\n", "request_gpus = 2\n"), sub("main.py, runs.py, trainer.py", "main.py"), file("main.py", "import cupy\n")),
    "two GPUs for two processes": both(sub("request_gpus = 1\n", "request_gpus = 2\n"), sub('arguments = "', 'arguments = "--processes 2 ')),
    "one generation": sub("gpus_minimum_capability = 7.5\n", "require_gpus = Capability == 8.6\n"),
    "more than the last of the major before": sub("gpus_minimum_runtime = 12.0\n", "require_gpus = DriverVersion > 11.8\n"),
    "somebody else's image": both(sub("gpus_minimum_capability = 7.5\n", ""), sub("gpus_minimum_runtime = 12.0\n", ""), sub("request_gpus = 1\n", "request_gpus = 1\ncontainer_image = docker://pytorch/pytorch:2.4.0-cuda11.8\n")),
}  # fmt: skip


@pytest.mark.parametrize("name", LOCKED_GOOD)
def test_nothing_is_wrong_with_other_ways_to_say_it(
    good: dict[str, Path], name: str, tmp_path: Path
) -> None:
    project = shutil.copytree(good["bootstrap"], tmp_path / "example")
    LOCKED_GOOD[name](project)
    found = look(project)
    loud = [f for f in found.findings if f.severity is Severity.ERROR]
    assert loud == [], words(found)


def test_the_figures_count_from_where_they_are_said_to(
    good: dict[str, Path], tmp_path: Path
) -> None:
    """The disk: twice the download. The bandwidth: 40 GiB a submission."""
    project = shutil.copytree(good["bootstrap"], tmp_path / "example")
    workspace = read_manifest(project / "pixi.toml")
    rows = list(locked_rows(workspace, read_lock(workspace.lock_file)))
    download = next(row.download for row in rows if row.driver)
    enough = -(-download * 2 // 1024)
    jobs = -(-40 * (1 << 30) // download)

    def rules(old: str, new: str) -> set[str]:
        path = project / "htcondor" / "train.sub"
        text = path.read_text()
        path.write_text(text.replace(old, new))
        found = {f.rule for f in look(project).findings}
        path.write_text(text)
        return found

    assert rules("request_disk = 20GB", f"request_disk = {enough}KB") == set()
    assert rules("request_disk = 20GB", f"request_disk = {enough - 1}KB") == {"PS504"}
    assert "PS501" in rules("\nqueue\n", f"\nqueue {jobs}\n")
    assert "PS501" not in rules("\nqueue\n", f"\nqueue {jobs - 1}\n")


@pytest.mark.parametrize(
    ("option", "judged"),
    [("", True), ("-e default ", True), ("-e data ", False), ("--environment=nosuch ", False)],
)
def test_a_job_is_held_against_the_environment_that_it_names(
    good: dict[str, Path], tmp_path: Path, option: str, judged: bool
) -> None:
    project = shutil.copytree(good["bootstrap"], tmp_path / "example")
    script = "#!/usr/bin/env bash\nset -euo pipefail\n"
    (project / "htcondor" / "bootstrap.sh").write_text(
        f'{script}exec pixi run --frozen {option}python main.py "$@"\n'
    )
    both(sub("gpus_minimum_runtime = 12.0", "gpus_minimum_runtime = 11.0"))(project)
    found = look(project)
    assert ("PS502" in {f.rule for f in found.findings}) == judged
    told = any("for train.sub" in what for what, _ in found.not_checked)
    assert told == ("nosuch" in option)


def test_a_lock_of_pyproject_is_said_not_to_be_read(good: dict[str, Path], tmp_path: Path) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    (project / "pyproject.toml").write_text("[tool.pixi.workspace]\n")
    (project / "pixi.lock").touch()
    assert any("pyproject.toml" in why for _, why in look(project).not_checked)


def test_an_included_file_is_no_job_of_its_own(good: dict[str, Path], tmp_path: Path) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    text = (project / "job.sub").read_text()
    (project / "common.sub").write_text(text.replace("queue\n", ""))
    (project / "job.sub").write_text("include : common.sub\nqueue\n")
    paths = find_descriptions(project)
    assert len(paths) == 2
    found = review(paths, Silent(), checked=project)
    assert words(found) == []
    assert [path.name for path in found.paths] == ["job.sub"]


def test_files_of_the_access_point_are_not_missed_here(
    good: dict[str, Path], tmp_path: Path
) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    in_plain("in.txt\n", "in.txt, /staging-of-a-pool/jdoe/data.tar\n")(project)
    in_plain("executable = run.sh", "executable = /home/nobody-of-that-name/bin/sim")(project)
    found = look(project)
    assert {f.rule for f in found.findings} == {"PS207"}, words(found)
    away = {"/staging-of-a-pool/jdoe/data.tar", "/home/nobody-of-that-name/bin/sim"}
    assert away <= {what for what, _ in found.not_checked}


def test_an_open_glob_is_a_missing_input_not_a_crash(good: dict[str, Path], tmp_path: Path) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    in_plain("in.txt\n", "in.txt, data/**\n")(project)
    assert "PS205" in {f.rule for f in look(project).findings}


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("into a.txt", "write it as: name = value"),
        ("use feature : GPUs", "correct the line, or remove it"),
    ],
)
def test_a_refused_line_gets_a_fix_of_its_kind(
    good: dict[str, Path], tmp_path: Path, line: str, fix: str
) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "example")
    in_plain("executable", f"{line}\nexecutable")(project)
    [found] = [f for f in look(project).findings if f.rule == "PS109"]
    assert found.fix == fix


def test_a_refusal_below_the_first_queue_is_no_second_reading(
    good: dict[str, Path], tmp_path: Path
) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    in_plain("queue", "queue\nfoo")(project)
    assert {f.rule for f in look(project).findings} == {"PS109"}


def test_every_rule_has_a_defect() -> None:
    untested = set(RULES) - {defect.rule for defect in DEFECTS}
    assert untested == {"PS149"}, "which speaks only where a site is named: test_reports_found.py"
    assert len(DEFECTS) >= 40


# --- the generated projects -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def locks(tmp_path_factory: pytest.TempPathFactory, slice_url: str) -> dict[str, Path]:
    """A lock of the default environment for each CUDA version, solved on real records."""
    from pixi_scaffold.lock.rattler import RattlerEngine
    from pixi_scaffold.workspace import read_manifest

    folder = tmp_path_factory.mktemp("locks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIXI_HOME", str(folder))
        patch.setenv("RATTLER_CACHE_DIR", str(folder / "cache"))
        mirror = f'[mirrors]\n"https://conda.anaconda.org/conda-forge" = ["{slice_url}"]\n'
        (folder / "config.toml").write_text(mirror)
        template = template_repository(folder / "t")
        found = {}
        for cuda in ("12.9", "13.0", "12.9 and 13.0"):
            project = make(template, {"cuda_version": cuda}, folder / cuda / "example")
            path = project / "pixi.toml"
            text = path.read_text()
            # the extract has no pytorch-gpu for CUDA 13, and other minor versions
            stands_for = 'pytorch = { version = "*", build = "cuda*" }\ncuda-version = "13.*"'
            text = text.replace('pytorch-gpu = "*"\ncuda-version = "13.0.*"', stands_for)
            path.write_text(text)
            found[cuda] = (
                RattlerEngine().lock(read_manifest(path), project / "pixi.lock", Silent()).path
            )
    return found


@pytest.mark.parametrize("row", variants(), ids=name_of)
def test_nothing_is_found_in_any_generated_project(
    row: dict[str, str], template_copy: Path, locks: dict[str, Path], tmp_path: Path
) -> None:
    project = make(template_copy, row, tmp_path / "example")
    shutil.copy(locks[row["cuda_version"]], project / "pixi.lock")
    found = look(project)
    assert words(found) == []
    made_later = {"pack": "env.tar.gz", "container": "example.sif"}.get(row["delivery"])
    assert [what for what, _ in found.not_checked] == ([made_later] if made_later else [])


def test_the_lock_counts_in_every_variant(locks: dict[str, Path]) -> None:
    """The test above would also pass if the rules saw no lock at all."""
    from pixi_scaffold.check.locked import locked_rows
    from pixi_scaffold.lock import read_lock
    from pixi_scaffold.workspace import read_manifest

    for cuda, path in locks.items():
        rows = {
            r.name: r
            for r in locked_rows(read_manifest(path.with_name("pixi.toml")), read_lock(path))
        }
        both = cuda == "12.9 and 13.0"
        names = {v: f"linux-64-cuda{v[:2] if both else ''}" for v in cuda.split(" and ")}
        assert set(rows) == {*names.values(), "linux-64-cpu", "osx-arm64"}
        cpu = rows["linux-64-cpu"]
        assert cpu.driver is None
        for version, name in names.items():
            assert rows[name].driver == (int(version[:2]), 0)
            assert rows[name].cuda.startswith(version[:2])
            assert rows[name].download > 2 * cpu.download > 0


# --- suppressing, fixing, a second opinion -----------------------------------------------------------


def test_a_comment_silences_a_rule_on_its_line_and_the_next(
    good: dict[str, Path], tmp_path: Path
) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    path = project / "job.sub"
    text = path.read_text().replace("request_memory = 1GB", "request_memory = 4")
    path.write_text(text)
    assert [f.rule for f in look(project).findings] == ["PS104"]
    path.write_text(
        text.replace("request_memory", "# pixi-scaffold: ignore PS104 (it is tiny)\nrequest_memory")
    )
    found = look(project)
    assert (found.findings, found.silenced) == ((), 1)
    path.write_text(text.replace("request_memory", "# pixi-scaffold: ignore PS103\nrequest_memory"))
    assert [f.rule for f in look(project).findings] == ["PS104"]
    (project / "run.sh").write_text(
        "#!/bin/sh\ncat ~/x # pixi-scaffold: ignore[PS304]\ncat in.txt\n"
    )
    path.write_text(PLAIN["job.sub"])
    assert look(project).findings == ()


def test_a_fix_changes_its_line_only(good: dict[str, Path], tmp_path: Path) -> None:
    project = shutil.copytree(good["plain"], tmp_path / "p")
    path = project / "job.sub"
    before = path.read_bytes().replace(b"\n", b"\r\n").replace(b"request_memory", b"request_memroy")
    path.write_bytes(before)
    path.chmod(0o640)
    assert apply_fixes(look(project).findings)
    assert path.read_bytes() == before.replace(b"request_memroy", b"request_memory")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_a_rules_page_says_why_how_and_where_from(rule: Rule) -> None:
    assert rule.title
    for heading in ("Why: ", "Fix: ", "Source: ", "Seen: "):
        assert f"\n{heading}" in rule.page, heading
    seen = rule.page.split("\nSeen: ")[1]
    assert re.search(r"\d|no version of HTCondor|no HTCondor", seen), (
        "which versions it was seen on"
    )
    assert rule.severity in Severity
    assert 40 < len(rule.why) < 400, rule.why


def locked_with_torch(folder: Path, torch: str, *more: str) -> Path:
    """Write a project whose torch is from PyPI, as locks of Pixi have it, and a job; return that."""
    forge, files = "https://conda.anaconda.org/conda-forge", "https://files.example"
    names = (f"torch-{torch}", *more)
    wheels = {n: f"{files}/{n.replace('-', '_', n.count('-') - 1)}-py3-none-any.whl" for n in names}
    python = f"- conda: {forge}/linux-64/python-3.12.7-h0_0.conda"
    rows = "".join(f"      - pypi: {url}\n" for url in sorted(wheels.values()))
    blocks = "".join(
        f"- pypi: {url}\n  name: {name.rpartition('-')[0]}\n  version: {name.rpartition('-')[2]}\n"
        for name, url in wheels.items()
    )
    (folder / "pixi.lock").write_text(
        "version: 7\nplatforms:\n- name: linux-64\nenvironments:\n  default:\n    channels:\n"
        f"    - url: {forge}/\n    packages:\n      linux-64:\n      {python}\n{rows}"
        f"packages:\n{python}\n  sha256: {'0' * 64}\n  purls: []\n{blocks}"
    )
    (folder / "pixi.toml").write_text(
        '[workspace]\nchannels = ["conda-forge"]\nplatforms = ["linux-64"]\n'
        '[dependencies]\npython = "3.12.*"\n[pypi-dependencies]\ntorch = "*"\n'
    )
    (folder / "run.sh").write_text("#!/bin/bash\nset -e\npixi run --frozen python main.py\n")
    (folder / "run.sh").chmod(0o755)
    job = folder / "job.sub"
    job.write_text(
        "executable = run.sh\nshould_transfer_files = YES\nrequest_gpus = 1\n"
        "transfer_input_files = pixi.toml, pixi.lock, main.py\nqueue\n"
    )
    (folder / "main.py").write_text("print()\n")
    return job


@pytest.mark.parametrize(
    ("torch", "more", "driver", "cuda"),
    [
        ("2.7.1", ("nvidia-cuda-runtime-cu12-12.8.90", "nvidia-cudnn-cu12-9.7.1"), (12, 0), "12.8"),
        ("2.11.0", ("nvidia-cuda-runtime-13.0.96",), (13, 0), "13.0"),
        ("2.7.1+cpu", (), None, ""),
    ],
)
def test_the_driver_that_a_torch_of_pypi_needs(
    tmp_path: Path,
    torch: str,
    more: tuple[str, ...],
    driver: tuple[int, int] | None,
    cuda: str,
) -> None:
    """From NVIDIA's wheels in the lock, whose versions are CUDA's; any minor version of a driver does."""
    job = locked_with_torch(tmp_path, torch, *more)
    [row] = locked_rows(read_manifest(tmp_path / "pixi.toml"), read_lock(tmp_path / "pixi.lock"))
    assert (row.driver, row.cuda, row.pytorch) == (driver, cuda, torch)
    found = {f.rule for f in look(job.parent).findings}
    assert ("PS502" in found) == (driver is not None)


def test_a_torch_of_pypi_that_does_not_say_its_cuda_is_not_judged(tmp_path: Path) -> None:
    locked_with_torch(tmp_path, "1.12.1")
    whys = [why for _, why in look(tmp_path).not_checked]
    assert any("torch on linux-64 is from PyPI" in why for why in whys)
