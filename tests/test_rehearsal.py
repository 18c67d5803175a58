"""Parts of a rehearsal that need no job to run: plans, transfers, advice, comparisons."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pixi_scaffold.errors import CheckFailed, ScaffoldError
from pixi_scaffold.job import Submission, read_description
from pixi_scaffold.rehearsal import read_plan, transfer
from pixi_scaffold.rehearsal.advice import GIB, advise, amount
from pixi_scaffold.rehearsal.choosing import numbered
from pixi_scaffold.rehearsal.command import _when
from pixi_scaffold.rehearsal.comparison import compare
from pixi_scaffold.rehearsal.delivery import ALLOW_CPU, STAGED, deliver
from pixi_scaffold.rehearsal.drift import by_hand
from pixi_scaffold.rehearsal.gpus import Gpus, gpu_ids
from pixi_scaffold.rehearsal.meter import size_of
from pixi_scaffold.rehearsal.outcome import Outcome, Usage
from pixi_scaffold.rehearsal.plan import JobRun, job_name
from pixi_scaffold.rehearsal.transfer import is_url, send

MIB = 1 << 20


def plan(folder: Path, lines: str, proc: int = 0) -> JobRun:
    (folder / "run.sh").write_text("#!/bin/sh\n")
    path = folder / "job.sub"
    path.write_text(f"executable = run.sh\n{lines}\n" + ("" if "queue" in lines else "queue\n"))
    submission = Submission(os.environ)
    return read_plan(read_description(path, folder, submission).jobs[0], proc)


def test_a_plan_of_one_job_of_a_sweep(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        "request_memory = $(mem)\narguments = $(x) $(Process)\noutput = o-$(x)\n"
        "queue x, mem from (\na, 2GB\nb, 300\n)",
        1,
    )
    assert found.arguments == ("b", "1")
    assert found.stdout == "o-b"
    assert found.match.memory == 300 * MIB
    assert (found.meant.when.value, found.append) == ("on_exit", False)
    assert found.match.disk is None
    assert found.meant.signal.value == "SIGTERM"


def test_a_plan_takes_from_the_environment_what_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RS_ONE", "RS_TWO", "OTHER"):
        monkeypatch.setenv(name, name.lower())
    found = plan(
        tmp_path, 'getenv = RS_*, !RS_TWO\nenvironment = "A=$ENV(OTHER) B=$ENV(NOT_SET:x)"'
    )
    assert dict(found.environment) == {"RS_ONE": "rs_one", "A": "other", "B": "x"}
    assert plan(tmp_path, "getenv = true").environment["OTHER"] == "other"


@pytest.mark.parametrize(
    ("lines", "error", "says"),
    [
        ("initialdir = nowhere", CheckFailed, "no folder"),
        ("kill_sig = SIGNOTHING", CheckFailed, "no signal"),
        ("kill_sig = HUP", CheckFailed, "no signal"),
        ("x509userproxy = run.sh", CheckFailed, "no proxy that can be read"),
        ("remove_kill_sig = HUP", CheckFailed, "job.sub:2"),
        ("executable = gone", CheckFailed, "not there"),
        ('environment = "A=\'b"', CheckFailed, "a single quote has no partner"),
        ("arguments = $RANDOM_INTEGER(1,9)", ScaffoldError, "only the pool can tell"),
        ("output = $$(Machine).out", ScaffoldError, "job.sub:2"),
    ],
)
def test_what_is_no_plan(tmp_path: Path, lines: str, error: type[ScaffoldError], says: str) -> None:
    with pytest.raises(error) as caught:
        plan(tmp_path, lines)
    assert says in caught.value.message


def test_a_transfer_goes_on_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "in" / "d").mkdir(parents=True)
    (tmp_path / "in" / "d" / "x").write_text("x")
    (tmp_path / "in" / "loop").symlink_to("loop")
    names = ["gone", "d", "osdf:///y", "loop", "d/x/"]
    sent = send(names, tmp_path / "in", lambda name: tmp_path / "out" / name, preserve=False)
    assert sent.names == ["d/x"]
    assert sent.notes == ["osdf:///y is at a URL: not sent from here"]
    assert [f.number for f in sent.failures] == [errno.ENOENT, errno.ELOOP, errno.ENOTDIR]
    assert sent.size == 1
    assert (tmp_path / "out" / "d" / "x").read_text() == "x"


def test_a_transfer_stops_when_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in" / "d").mkdir(parents=True)
    for number in range(9):
        (tmp_path / "in" / "d" / str(number)).touch()
    left = iter(range(5))

    def stop() -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(["d"], tmp_path / "in", lambda n: tmp_path / "out" / n, preserve=False, stop=stop)
    assert 0 < len(list((tmp_path / "out" / "d").iterdir())) < 9
    looks: list[None] = []
    monkeypatch.setattr(transfer, "CHUNK", 1 << 16)
    (tmp_path / "large").write_bytes(b"x" * (1 << 20))
    transfer.copy(tmp_path / "large", tmp_path / "copy", lambda: looks.append(None))
    assert len(looks) >= 16
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "large").read_bytes()


def test_a_full_disk_is_no_failure_of_the_job(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "f").write_bytes(b"x")
    with pytest.raises(OSError, match="No space left"):
        send(["f"], tmp_path, _full, preserve=False)


def _full(_name: str) -> Path:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_names_of_jobs(tmp_path: Path) -> None:
    for name in ("a/t.sub", "b/t.sub", "t.job"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("executable = x\nqueue 2\nqueue 2\n")
    (tmp_path / "below").mkdir()

    def names(path: str, folder: Path) -> list[str]:
        found = numbered(read_description(folder / path, folder))
        return [job_name(job, number) for number, job in found.items()]

    assert names("a/t.sub", tmp_path) == ["a/t-0", "a/t-1", "a/t-2", "a/t-3"]
    assert names("b/t.sub", tmp_path)[0] == "b/t-0"
    assert names("t.job", tmp_path)[0] == "t.job-0"
    assert names("../t.job", tmp_path / "below")[0] == "up/t.job-0"


def test_numbers_go_on_from_one_queue_statement_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    path = tmp_path / "job.sub"
    path.write_text(
        "executable = run.sh\narguments = $(x) $(Process) $(ProcId) $(Row) $INT(Process,%02d)\n"
        "queue 2 x in (a, b)\nqueue x in (c, d)\n"
    )
    plans = [read_plan(j, n) for n, j in numbered(read_description(path, tmp_path)).items()]
    assert [p.proc for p in plans] == [0, 1, 2, 3, 4, 5]
    assert plans[3].arguments == ("b", "3", "3", "1", "03")
    assert plans[5].arguments == ("d", "5", "5", "1", "05")


def test_arithmetic_in_requests(tmp_path: Path) -> None:
    found = plan(tmp_path, "request_cpus = 1+1\nrequest_memory = 100 * 2\nrequest_disk = 2*1024")
    assert (found.match.cpus, found.match.memory, found.match.disk) == (2, 200 * MIB, 2 * MIB)
    found = plan(tmp_path, "request_cpus = TARGET.TotalCpus\nrequest_memory = 2 * RequestCpus")
    assert (found.match.cpus, found.match.memory) == (1, None)
    assert "request_cpus is an expression" in found.notes[0]


def test_an_eviction_at_random_is_within_the_run() -> None:
    whole = replace(Outcome("job-0"), usage=Usage(seconds=100.0))
    times = {_when("random", whole) for _ in range(50)}
    assert 10 <= min(times) < max(times) <= 90


def test_what_a_url_is() -> None:
    assert is_url("stash+osdf:///x")
    assert not is_url("a/b")
    assert not is_url("://x")


@pytest.mark.parametrize(
    ("measured", "requested", "suggested"),
    [
        (100, 128, None),  # enough, and not too much
        (110, 128, 256),  # 1.25 times would not fit
        (100, 1000, None),  # within a GiB of what is right: not worth a change
        (1000, 8192, 1280),
        (3000, 100, 3840),
    ],
)
def test_memory_that_is_suggested(measured: int, requested: int, suggested: int | None) -> None:
    found = advise("request_memory", measured * MIB, requested * MIB)
    assert found.suggested == (None if suggested is None else suggested * MIB)
    assert found.over == (measured > requested)


def test_no_smaller_request_without_a_base_for_it() -> None:
    found = advise("request_memory", GIB, 16 * GIB, "measured without its GPU")
    assert found.suggested is None
    assert "without its GPU" in found.words()
    assert advise("request_memory", 20 * GIB, 16 * GIB, "measured on a shortened run").suggested
    for asked, default in ((16 * GIB, False), (128 * MIB, True), (None, True)):
        found = advise(
            "request_memory", GIB, asked, default=default, unlike="measured without its GPU"
        )
        assert found.suggested is None
    assert advise("request_memory", GIB, None).suggested is None  # an expression


def test_amounts() -> None:
    assert [amount(n) for n in (0, 2000, 5 * MIB, 2 * GIB, 2 * GIB + 1, 11 * GIB + 1)] == [
        "0 bytes", "2 KB", "5 MB", "2 GB", "2049 MB", "12 GB",
    ]  # fmt: skip
    assert amount(512 * MIB, plain=True) == "512MB"


def test_metrics_are_compared_by_value(tmp_path: Path) -> None:
    one, two = tmp_path / "one" / "runs", tmp_path / "two" / "runs"
    for folder in (one, two):
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text('{"loss": 0.5}')
    assert compare(one.parent, two.parent).exact
    rows = [{"epoch": 1, "loss": 0.5, "seconds": 3.1}, {"epoch": 2, "loss": 0.25, "seconds": 3.0}]
    (one / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (two / "metrics.jsonl").write_text("\n".join(json.dumps(r | {"seconds": 9}) for r in rows))
    found = compare(one.parent, two.parent)
    assert (found.exact, found.different, found.ignored) == (False, (), ("seconds",))
    assert "without seconds" in found.words()
    rows[1]["loss"] = 0.3
    (two / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert compare(one.parent, two.parent).different == (
        "runs/metrics.jsonl: line 2, loss: 0.25, uninterrupted 0.3",
    )
    (one / "metrics.json").unlink()
    assert "only from the uninterrupted run" in compare(one.parent, two.parent).different[0]
    assert "nothing to compare" in compare(tmp_path / "none", tmp_path / "none").words()


@pytest.mark.parametrize(
    ("key", "of_time"),
    [
        ("seconds", True), ("wall-time", True), ("startTime", True), ("samples_per_s", True),
        ("started_at", True), ("date", True), ("updates", False), ("restarts", False),
        ("sentiment", False), ("times_table_score", True), ("hosted", False), ("val_loss", False),
    ],
)  # fmt: skip
def test_values_of_time_are_known_by_whole_words(tmp_path: Path, key: str, of_time: bool) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "metrics.json").write_text(f'{{"{key}": {number}, "loss": 1}}')
    found = compare(tmp_path / "1", tmp_path / "2")
    assert bool(found.different) != of_time
    assert found.ignored == ((key,) if of_time else ())


def test_nothing_but_times_is_not_compared(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "metrics.jsonl").write_text(f'{{"seconds": {number}}}\n' * 3)
    found = compare(tmp_path / "1", tmp_path / "2")
    assert (found.files, found.different) == ((), ())
    assert found.words() == "not compared: metrics.jsonl has only values of times (seconds)"


def test_gpus_are_real_first() -> None:
    listing = "GPU 0: Tesla T4 (UUID: GPU-12ab-34)\nGPU 1: Tesla T4 (UUID: GPU-56cd-78)\n"
    assert gpu_ids(listing) == ("GPU-12ab-34", "GPU-56cd-78")
    with Gpus(gpu_ids(listing)).lent(3, lambda: None) as own:
        assert own == ("GPU-12ab-34", "GPU-56cd-78", "GPU-00000001")
    with Gpus(()).lent(2, lambda: None) as own:
        assert own == ("GPU-00000001", "GPU-00000002")
    with Gpus(()).lent(0, lambda: None) as own:
        assert own == ()


def test_jobs_that_run_together_have_gpus_of_their_own() -> None:
    gpus = Gpus(("GPU-a", "GPU-b"))
    seen: list[str] = []
    together = threading.Barrier(2)

    def job() -> None:
        with gpus.lent(1, lambda: None) as own:
            together.wait(600)
            seen.extend(own)
            together.wait(600)

    threads = [threading.Thread(target=job) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    assert set(seen[:2]) == set(seen[2:]) == {"GPU-a", "GPU-b"}


def test_waiting_for_a_gpu_ends_when_it_is_told() -> None:
    gpus = Gpus(("GPU-a",))

    def stop() -> None:
        raise KeyboardInterrupt

    with gpus.lent(1, stop), pytest.raises(KeyboardInterrupt), gpus.lent(1, stop):
        pass


def test_an_environment_of_the_cpu_needs_no_gpu(tmp_path: Path) -> None:
    env = tmp_path / "env"
    (env / "bin").mkdir(parents=True)
    (env / "conda-meta").mkdir()
    (env / "bin" / "python").symlink_to(sys.executable)
    found = plan(tmp_path, "request_gpus = 1")
    found.executable.write_text(f"#!/bin/sh\n: {STAGED} {ALLOW_CPU}\n")
    for gpu in (False, True):
        added = deliver(found, tmp_path, environment=env, network=False, gpu=gpu)
        assert added.env == {STAGED: str(env), ALLOW_CPU: "1"}
        assert sum(ALLOW_CPU in note for note in added.notes) == 1
    (env / "conda-meta" / "cuda-version-12.9-h1.json").touch()
    added = deliver(found, tmp_path, environment=env, network=False, gpu=True)
    assert added.env == {STAGED: str(env)}


@pytest.mark.skipif(sys.platform == "win32", reason="hard links and blocks")
def test_the_size_of_a_folder_counts_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * (1 << 20))
    before = size_of(tmp_path)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to("a")
    assert size_of(tmp_path) == before
    assert before >= 1 << 20


def test_what_was_put_into_an_environment_by_hand_is_named(tmp_path: Path) -> None:
    """Packages of pip and uv, a package that the lock has not, and files that were edited."""
    packages = tmp_path / "lib" / "python3.12" / "site-packages"
    for name, installer in (
        ("numpy", "conda"),
        ("tqdm", "pip\n"),
        ("rich", "uv"),
        ("yaml", "rattler"),
    ):
        folder = packages / f"{name}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "INSTALLER").write_text(installer)
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "pixi.lock").write_text(
        "packages:\n- conda: https://c.org/linux-64/kept-1-0.conda\n"
    )
    names = ("edited", "touched", "gone", "kept")
    for name in names:
        (packages / f"{name}.py").write_text("A = 1\n")
    digest = hashlib.sha256(b"A = 1\n").hexdigest()
    paths = [{"_path": f"lib/python3.12/site-packages/{n}.py", "sha256": digest} for n in names]
    for name, files in (("kept-1-0", paths), ("other-2-0", [])):
        record = {"fn": f"{name}.conda", "paths_data": {"paths": files}}
        (tmp_path / "conda-meta" / f"{name}.json").write_text(json.dumps(record))
    assert by_hand(tmp_path, None) == ("a worker has no rich, tqdm",)
    later = time.time() + 60
    (packages / "edited.py").write_text("A = 2\n")
    for name in ("edited", "touched"):
        os.utime(packages / f"{name}.py", (later, later))
    (packages / "gone.py").unlink()
    assert by_hand(tmp_path, tmp_path / "pixi.lock") == (
        "a worker has no rich, tqdm, other-2-0",
        "a worker has edited.py, gone.py as packaged",
    )


def test_a_job_is_read_by_an_account_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that is started with a number (`docker run --user 54321`)."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert plan(tmp_path, "").name
