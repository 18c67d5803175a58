"""What went wrong in a rehearsed job is told with what to do about it, in the wording of the programs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pixi_scaffold.job import read_description
from pixi_scaffold.rehearsal import read_plan
from pixi_scaffold.rehearsal.causes import remedy
from pixi_scaffold.rehearsal.plan import JobRun
from tests.support.command import scaffold

SETTINGS = "executable = job.sh\noutput = o\nerror = e\nrequest_memory = 1GB\nrequest_disk = 1GB\n"


def rehearsed(folder: Path, script: str, lines: str = "", code: int = 3) -> str:
    """What a person reads, in one line."""
    (folder / "job.sh").write_text(f"#!/bin/bash\n{script}\n")
    (folder / "job.sh").chmod(0o755)
    (folder / "job.sub").write_text(f"{SETTINGS}{lines}\nqueue\n")
    ran = scaffold("rehearse", "job.sub", cwd=folder)
    assert ran.code == code, ran
    return " ".join((ran.out + ran.err).split())


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("FileNotFoundError: data/mine.csv not found.", "data/mine.csv is here and was not"),
        ("OSError: data/mine.csv not found.", "add its folder, data, to transfer_input_files"),
        ("ValueError: The provided filename data/mine.csv does not exist", "add its folder, data"),
        (
            "RuntimeError: open file failed because of errno 2 on fopen: No such file or directory, file path: "
            "data/mine.csv",
            "add its folder, data",
        ),
        (
            "RuntimeError: Dataset not found. You can use download=True to download it",
            "transfer the data set",
        ),
        ("tar (child): env.tar.gz: Cannot open: No such file or directory", "env.tar.gz is here"),
        ("ModuleNotFoundError: No module named 'sklearn.svm'", "scikit-learn"),
        ("main.py: error: unrecognized arguments: --epoch 3", "takes no --epoch 3: correct the"),
        ("Error: No such option: --epoch", "the program takes no --epoch"),
        ("main.py: error: the following arguments are required: --data", "needs --data: add it"),
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
            "gpus_minimum_memory",
        ),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory", "raise request_memory"),
        ("MemoryError", "raise request_memory"),
        ("OSError: [Errno 28] No space left on device", "raise request_disk"),
        ("ERROR: Unexpected bus error. insufficient shared memory (shm).", "shared memory is full"),
        ("python: can't open file '/x/train.py': [Errno 2] No such file", "train.py is nowhere in"),
        (
            "FileNotFoundError: [Errno 2] No such file or directory: 'a/b.pt'",
            "b.pt is nowhere in",
        ),
        ("OSError: [Errno 30] Read-only file system: '/opt/x'", "let it write /opt/x there"),
        ("RuntimeError: No CUDA GPUs are available", "the program wants a GPU"),
        ("URLError: <urlopen error [Errno -3] Temporary failure in name resolution>", "--network"),
        ("ZeroDivisionError: division by zero", "rehearse job.sub --shell"),
    ],
)
def test_what_a_program_says_has_a_remedy(tmp_path: Path, said: str, hint: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.csv").touch()
    (tmp_path / "env.tar.gz").touch()
    out = rehearsed(tmp_path, f"cat >&2 <<'END'\n{said}\nEND\nexit 1", "arguments = --epoch 3")
    assert said in out, "its own last lines"
    assert "next: " in out
    assert hint in out.partition("next: ")[2]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> JobRun:
    folder = tmp_path_factory.mktemp("plan")
    (folder / "job.sh").write_text("#!/bin/sh\n")
    (folder / "job.sub").write_text(f"{SETTINGS}arguments = 1\nqueue\n")
    return read_plan(read_description(folder / "job.sub", folder).jobs[0], 0)


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("AssertionError: The NVIDIA driver on your system is too old (found version 10020).", "gpus_minimum_runtime"),
        ("RuntimeError: CUDA error: invalid device ordinal", "the first is 0"),
        ("RuntimeError: CUDA error: no kernel image is available for execution on the device", "gpus_minimum_capability"),
        ("RuntimeError: CUDA error: out of memory", "gpus_minimum_memory"),
        ("RuntimeError: Attempting to deserialize object on a CUDA device but torch.cuda.is_available()", "map_location"),
        ("/bin/sh: line 3: 4242 Illegal instruction     (core dumped) ./model", "Microarch"),
        ("./worker: /lib64/libc.so.6: version `GLIBC_2.38' not found (required by ./worker)", "for GLIBC_2.38"),
        ("./x: /lib64/libstdc++.so.6: version `GLIBCXX_3.4.29' not found (required by ./x)", "for GLIBCXX_3.4.29"),
        ("RuntimeError: cannot cache function 'rdist': no locator available for file '/opt/x.py'", "NUMBA_CACHE_DIR"),
        ("job.sh: line 2: HOME: unbound variable", "export HOME="),
        ('Base.InitError(mod=:Pkg, error=Base.KeyError(key="HOME"))', "export HOME="),
        ("/bin/sh: 1: Syntax error: \";\" unexpected", "line 6 of job.sub"),
        ("job.sh: line 4: syntax error near unexpected token `fi'", "correct the script"),
        ("mkdir: cannot create directory '/.cache': Read-only file system", "let it write /.cache there"),
        ("PermissionError: [Errno 13] Permission denied: '/.cache'", "let it write /.cache there"),
        ("_pickle.UnpicklingError: invalid load key, 'v'.", "git lfs pull"),
        ("gzip: stdin: not in gzip format", "not of the kind"),
        ("zipfile.BadZipFile: File is not a zip file", "not of the kind"),
        ("ImportError: libGL.so.1: cannot open shared object file: No such file or directory", "no libGL.so.1"),
        ("wandb.errors.UsageError: api_key not configured (no-tty). call wandb.login(key=...)", "WANDB_MODE=offline"),
        ("_tkinter.TclError: no display name and no $DISPLAY environment variable", "MPLBACKEND=Agg"),
        ("OSError: [Errno 98] Address already in use", "--standalone"),
        ("EOFError: EOF when reading a line", "input = FILE"),
        ("git@github.com: Permission denied (publickey).", "none of your keys"),
        ("fatal: not a git repository (or any of the parent directories): .git", "no .git"),
        ("UnicodeEncodeError: 'ascii' codec can't encode character", "PYTHONUTF8=1"),
        ("OSError: We couldn't connect to 'https://huggingface.co' to load this file", "--network"),
        ("HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url", "--network"),
        ("KeyError: 'loss'", ""),
        ("OSError: [Errno 5] Input/output error", ""),
    ],
)  # fmt: skip
def test_what_programs_are_known_to_say_has_a_remedy(plan: JobRun, said: str, hint: str) -> None:
    """The words are those of public reports: PyTorch, glibc, Julia, numba, Git, wandb, the shells."""
    assert hint in remedy(plan, [said])
    assert bool(hint) == bool(remedy(plan, [said]))


def test_a_file_that_arrives_flat(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").touch()
    out = rehearsed(tmp_path, "cat data/mine.csv", "transfer_input_files = mine.csv")
    assert "mine.csv arrives at the top of the job's folder, not in data" in out


def test_a_job_that_was_killed(tmp_path: Path) -> None:
    assert "something killed it" in rehearsed(tmp_path, "kill -9 $$")


def test_what_the_queue_does_with_it_has_a_remedy(tmp_path: Path) -> None:
    out = rehearsed(tmp_path, "exit 2", "periodic_remove = true")
    assert "HTCondor would remove the job: periodic_remove = true" in out
    assert "--append hold=false" in rehearsed(tmp_path, "true", "hold = true")
    out = rehearsed(tmp_path, "exit 2", "on_exit_remove = false")
    assert "starts it again and again (exit code 2): on_exit_remove = false" in out


def test_many_jobs_that_passed_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text('#!/bin/sh\n[ "$1" != 7 ] || exit 5\n')
    (tmp_path / "job.sh").chmod(0o755)
    lines = "arguments = $(Process)\non_exit_hold = ExitCode == 5"
    (tmp_path / "job.sub").write_text(f"{SETTINGS}{lines}\nqueue 30\n")
    ran = scaffold("rehearse", "job.sub", "--all", "--jobs", 2, cwd=tmp_path)
    assert ran.code == 3
    out = " ".join(ran.out.split())
    assert "29 of 30 jobs: exit code 0" in out
    assert out.count("exit code 0") == 1
    assert "exit code 5; HTCondor would put the job on hold (3, 0)" in out


def test_what_fails_alike_in_many_jobs_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text("#!/bin/sh\ntar -xf env.tar.gz; . $PIXI_SCAFFOLD_ENV/x\n")
    (tmp_path / "job.sh").chmod(0o755)
    (tmp_path / "pixi.lock").touch()
    text = f"{SETTINGS}transfer_input_files = env.tar.gz\nqueue 8\n"
    (tmp_path / "job.sub").write_text(text)
    ran = scaffold("rehearse", "job.sub", "--all", "--jobs", 2, cwd=tmp_path)
    assert ran.code == 3
    out = " ".join((ran.out + ran.err).split())
    assert "8 jobs failed: jobs 0, 1, 2, 3, 4, 5 and 2 more: HTCondor would put the job on" in out
    assert out.count("next: ") == out.count("next: make it: ") == 1
    assert out.endswith("pack"), "the advice that one job gets"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            "",
            r"time passed (?:\d+\.\d s )?\d+\.\d s, and no limit is set; one to paste: (.*? = 600)",
        ),
        ("allowed_execute_duration = 3600", r"\d+\.\d s of allowed_execute_duration = 3600"),
        ('+JobFlavour = "longlunch"', r'\d+\.\d s of \+JobFlavour = "longlunch"'),
    ],
)
def test_what_it_took_stands_beside_what_it_asks_for(tmp_path: Path, lines: str, told: str) -> None:
    out = rehearsed(tmp_path, "sleep 0.3", lines, code=0)
    found = re.search(told, out)
    assert found, out
    if found.groups():  # the line is taken as it stands there
        assert re.search(
            r"\d+\.\d s of allowed_execute_duration = 600",
            rehearsed(tmp_path, "sleep 0.3", found[1], 0),
        )


def test_no_limit_is_suggested_from_a_run_that_says_little(tmp_path: Path) -> None:
    assert "s; measured on a run that failed" in rehearsed(tmp_path, "exit 1")
