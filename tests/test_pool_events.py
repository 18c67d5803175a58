"""What the pool room makes of events, slots, rows and secrets, without a pool.

The events in tests/data/events were recorded from a pool of HTCondor 25.14.1.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from pixi_scaffold.job import read_description
from pixi_scaffold.pool.collect import _write_parquet
from pixi_scaffold.pool.events import LogEvent, ProcState, fold
from pixi_scaffold.pool.follow import Follower
from pixi_scaffold.pool.metrics import gpu_share, last_line, picture
from pixi_scaffold.pool.outcome import Watched, gpu_sentence
from pixi_scaffold.pool.receipt import (
    SubmitReceipt,
    SubmittedJob,
    common,
    hidden,
    safe_lines,
    write,
)
from pixi_scaffold.pool.rows import rows_of
from pixi_scaffold.pool.show import table
from pixi_scaffold.pool.why import _HOLDS, held
from tests.support.command import scaffold

EVENTS = Path(__file__).with_name("data") / "events"


def recorded(name: str) -> list[LogEvent]:
    lines = (EVENTS / f"{name}.jsonl").read_text().splitlines()
    return [LogEvent(**json.loads(line)) for line in lines]


def history(events: list[LogEvent]) -> list[ProcState]:
    states: dict[int, ProcState] = {}
    every = []
    for event in events:
        states[event.proc] = fold(states, event)
        every.append(states[event.proc])
    return every


def test_a_restart_after_a_checkpoint_is_no_start_and_all_activations_count() -> None:
    """Exit code 85 writes no new execute event, and TimeExecute of the end counts 4 seconds of 13."""
    events = recorded("checkpoints")
    assert [e.kind for e in events].count("EXECUTE") == 1
    assert events[-1].data["TimeExecuteUsage"] == 4
    end = history(events)[-1]
    assert (end.state, end.starts, end.checkpoints) == ("done", 1, 2)
    assert end.seconds(0) == events[-1].data["TimeSlotBusyUsage"] == 13


def test_evictions_holds_and_releases() -> None:
    states = history(recorded("evicted-held-released"))
    passing = ("sending", "returning")
    walk = [name for name, _ in groupby(s.state for s in states if s.state not in passing)]
    assert walk == ["idle", "running", "idle", "running", "idle", "held", "idle", "running", "done"]
    end = states[-1]
    assert (end.state, end.starts, end.evictions) == ("done", 3, 1)  # a hold is no eviction
    (hold,) = [s for s in states if s.state == "held"]
    assert hold.hold == (1, 0)
    assert next(held(hold, 27)).startswith("held: somebody held it")


def test_what_came_back_while_the_access_point_was_dead_is_no_event() -> None:
    """Its schedd was killed and came back 6 seconds after the job's end: two checkpoints before that."""
    end = history(recorded("access-point-killed"))[-1]
    assert (end.state, end.checkpoints, end.starts) == ("done", 2, 1)


def test_what_comes_back_of_a_job_without_inputs_is_no_checkpoint() -> None:
    """It never started; HTCondor 25.14 writes of output files all the same."""
    end = history(recorded("input-missing"))[-1]
    assert (end.state, end.hold, end.checkpoints, end.starts) == ("held", (13, 2), 0, 0)


def test_each_try_is_told_and_none_is_a_checkpoint() -> None:
    """max_retries = 3 and exit code 75: what each try brought back is written over by the next."""
    states = history(recorded("tried-again"))
    assert {s.checkpoints for s in states if s.began is None} == {0}
    assert [s.words for s in states if s.code == 75 and s.state == "idle"] == ["exit 75, idle"] * 3
    assert (states[-1].words, states[-1].retries) == ("failed (exit 75)", 3)


def test_a_cluster_that_is_submitted_again_starts_over() -> None:
    """Two access points number their clusters alike, and log into one folder."""
    twice = recorded("checkpoints") * 2
    end = history(twice)[-1]
    assert (end.state, end.checkpoints, end.starts) == ("done", 2, 1)


@pytest.mark.parametrize("wide", [60, 80, 140])
def test_the_table_fits_and_names_what_there_is(wide: int) -> None:
    states = {
        n: ProcState(
            n, "running", host="gpu17.example.org", gpu="Tesla V100-SXM2-16GB", began=1.0, memory=900,
            checkpoints=3, kept=1.0, disk=4e6, disk_request=2e7, events=1,
        )
        for n in range(30)
    }  # fmt: skip
    states[7] = ProcState(7, "held", hold=(12, 2), events=1)
    receipt = SubmitReceipt(
        7, "ap", "", "", "/", "", "", (SubmittedJob({}, ""),) * 30, ad={"RequestMemory": 2048}
    )
    metrics = {n: [{"epoch": 4, "test_loss": 0.25}] for n in states}
    lines = table(Watched(receipt, states, metrics), 18, wide)
    assert len(lines) == 18
    text = "\n".join(line for line, _ in lines)
    for words in ("29 running, 1 held", "900/2048 MB", "4.0/20.0 GB", "3 (", "gpu17 Tesla V100",
                  "epoch 4  test_loss 0.25"):  # fmt: skip
        assert words in text
    if wide != 60:  # narrower than any terminal: the end of a line is cut where it is drawn
        assert max(len(line) for line, _ in lines) <= wide


LOGS = Path(__file__).with_name("data") / "logs"


def events_of(path: Path, *more: bytes) -> list[LogEvent]:
    """What a follower says of a log that grows."""
    follower = Follower(path)
    seen = list(follower.new())
    for part in more:
        with path.open("ab") as file:
            file.write(part)
        seen += follower.new()
    return seen


def test_no_event_is_lost_however_the_log_is_written(tmp_path: Path) -> None:
    """All at once and in pieces of 97 bytes; the log is one of HTCondor 23.9."""
    content = (LOGS / "23.9.log").read_bytes()
    numbers = [int(n) for n in re.findall(rb"(?m)^(\d{3}) \(", content)]
    whole = tmp_path / "whole.log"
    whole.write_bytes(content)
    kinds = [e.data["EventTypeNumber"] for e in events_of(whole)]
    assert kinds == numbers
    pieces = tmp_path / "pieces.log"
    pieces.touch()
    parts = [content[at : at + 97] for at in range(0, len(content), 97)]
    assert [e.data["EventTypeNumber"] for e in events_of(pieces, *parts)] == numbers


def test_an_event_that_was_cut_off_costs_no_other(tmp_path: Path) -> None:
    """A full disk cuts an event off; what is written when there is room again counts."""
    content = (LOGS / "23.9.log").read_bytes()
    cut = content.rindex(b"...", 0, -4) - 20
    end = content[content.rindex(b"005 (") :]
    log = tmp_path / "cut.log"
    log.write_bytes(content[:cut] + b"\n...\n" + end)
    assert events_of(log)[-1].kind == "JOB_TERMINATED"


@pytest.mark.parametrize("name", ["job.xml", "events.json"])
def test_a_log_in_another_format_is_read(tmp_path: Path, name: str) -> None:
    """`log_xml = true`, and the log of a whole access point with EVENT_LOG_FORMAT_OPTIONS = JSON."""
    ran = scaffold("watch", "--log", LOGS / name, "--once", cwd=tmp_path)
    assert ran.code == 0, ran
    assert re.search(r"cluster \d+: 1 done", ran.out), ran.out


def test_a_hold_or_a_removal_is_no_eviction(tmp_path: Path) -> None:
    """A log of HTCondor 25.14.1: 42.2 was held, 42.3 removed while it ran, 42.4 vacated and, later, stopped."""
    log = LOGS / "held-vacated-removed.log"
    ran = scaffold("watch", "--log", log, "--once", cwd=tmp_path)
    assert "evicted: " not in ran.out
    assert re.findall(r"(42\.\d)  removed.*evicted", ran.out) == ["42.4"]
    assert "42.3  removed, 25 s" in ran.out
    assert "goes on from there" not in ran.out


USAGES = ("Run Remote", "Run Local", "Total Remote", "Total Local")


@pytest.mark.parametrize(
    ("given", "rows", "left_out"),
    [
        (
            ["7"],
            ["slow"],
            2,
        ),  # the finished one is as far as it was to go; of the last nothing is here
        (["7", "--more-arguments", "--epochs 9"], ["fast", "slow"], 1),
        (["7.0"], ["fast"], 0),
    ],
)
def test_of_a_stopped_sweep_goes_on_what_is_not_done(
    tmp_path: Path, given: list[str], rows: list[str], left_out: int
) -> None:
    stamp = "2026-11-28 02:00:00"
    log = tmp_path / "x.log"
    log.write_text(
        "".join(f"000 (007.{n:03}.000) {stamp} Job submitted from host: <127.0.0.1:1>\n...\n" for n in range(3))
        + "".join(f"009 (007.{n:03}.000) {stamp} Job was aborted.\n...\n" for n in (1, 2))
        + f"005 (007.000.000) {stamp} Job terminated.\n\t(1) Normal termination (return value 0)\n"
        + "".join(f"\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  {n} Usage\n" for n in USAGES)
        + "".join(f"\t0  -  {n} Bytes {m} By Job\n" for n in ("Run", "Total") for m in ("Sent", "Received"))
        + "...\n"
    )  # fmt: skip
    sub = 'executable = job.sh\nname = x\narguments = "--name $(name)"\nqueue speed from rows\n'
    (tmp_path / "job.sub").write_text(sub)
    (tmp_path / "rows").write_text("fast\nslow\nnever\n")
    (tmp_path / "job.sh").write_text("#!/bin/sh\n")
    jobs = tuple(SubmittedJob({"speed": v}, "", f"run-{v}") for v in ("fast", "slow", "never"))
    write(SubmitReceipt(7, "ap", "", "2026", str(tmp_path), "job.sub", str(log), jobs), tmp_path)
    for value in ("fast", "slow"):
        (tmp_path / f"runs/run-{value}").mkdir()
    argv = ("submit", "job.sub", "--no-check", "--dry-run", "--continue")
    ran = scaffold(*argv, *given, cwd=tmp_path)
    assert ran.code == 0, ran
    assert re.findall(r"speed=(\w+)", ran.out) == rows
    assert re.findall(r"left out: (\d)", ran.out) == [str(left_out)] * (left_out > 0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--retry-memory", "lots"], "--retry-memory lots is no size"),
        (["--pool", "cm.example.org"], "no access point of it"),
    ],
)
def test_an_option_that_says_nothing_is_refused(
    tmp_path: Path, given: list[str], says: str
) -> None:
    (tmp_path / "job.sub").write_text("executable = job.sh\nlog = x.log\nqueue\n")
    (tmp_path / "job.sh").write_text("#!/bin/sh\n")
    ran = scaffold("submit", "job.sub", "--no-check", *given, cwd=tmp_path)
    assert (ran.code, says in ran.err) == (2, True), ran


def test_a_dag_is_for_dagman(tmp_path: Path) -> None:
    (tmp_path / "my.dag").write_text("JOB a a.sub\n")
    ran = scaffold("submit", "my.dag", cwd=tmp_path)
    assert (ran.code, "condor_submit_dag my.dag" in ran.err) == (2, True), ran
    assert "watch --log my.dag.dagman.log" in ran.err


def test_what_another_access_point_logged_of_its_cluster_is_not_told(tmp_path: Path) -> None:
    """Each numbers its clusters itself, and both log into one folder."""
    once, twice = LOGS / "23.9.log", tmp_path / "twice.log"
    twice.write_text(once.read_text() * 2)
    told = [scaffold("watch", "--log", log, "--once", cwd=tmp_path) for log in (once, twice)]
    assert "  running on " in told[0].out
    assert told[0] == told[1]


def test_what_is_no_file_is_no_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        ran = scaffold("watch", "--log", name, "--once", cwd=tmp_path)
        assert (ran.code, "is not a regular file" in ran.err) == (1, True), ran


def test_a_log_does_not_speak_to_the_terminal(tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J"
    text = (LOGS / "23.9.log").read_text()
    cluster = int(re.findall(r"\((\d+)\.", text)[0])
    head = f"012 ({cluster:03}.000.000) 2026-11-28 02:00:00 Job was held.\n"
    log = tmp_path / "x.log"
    submit = text[: text.index("...\n") + 4]
    log.write_text(submit + head + f"\tno {evil} way\n\tCode 12 Subcode 2\n...\n")
    ran = scaffold("watch", "--log", str(log), "--once", cwd=tmp_path)
    assert ran.code == 3, ran
    assert "could not be brought back" in ran.out or "was not there" in ran.out
    assert "no \\x1b]0;owned" in ran.out
    assert "\x1b" not in ran.out + ran.err
    assert "\x07" not in ran.out + ran.err


def test_a_job_does_not_speak_to_the_terminal(tmp_path: Path) -> None:
    """Neither by the last line of its error file nor by the names of its metrics or values."""
    evil = "\x1b]0;owned\x07\x9b2J"
    log = tmp_path / "x.log"
    log.write_text(
        "000 (007.000.000) 2026-11-28 02:00:00 Job submitted from host: <127.0.0.1:1>\n...\n"
        "005 (007.000.000) 2026-11-28 02:00:09 Job terminated.\n"
        "\t(1) Normal termination (return value 3)\n...\n"
    )
    (tmp_path / "x.err").write_text(f"first\nno{evil} way\n")
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "metrics.jsonl").write_text(json.dumps({f"a{evil}": 1}) + "\n")
    job = SubmittedJob({"lr": evil}, "", "one")
    receipt = SubmitReceipt(
        7, "ap", "", "2026-11-27T23:12:35Z", str(tmp_path), "a.sub", str(log), (job,),
        ad={"Err": "x.err"},
    )  # fmt: skip
    write(receipt, tmp_path)
    for argv in (("watch", "--once"), ("collect",)):
        ran = scaffold(*argv, cwd=tmp_path)
        assert "owned" in ran.out or argv[0] == "collect", ran
        assert not set("\x1b\x07\x9b") & set(ran.out + ran.err)
    drawn = (tmp_path / "runs" / "collected.svg").read_text()
    assert not set("\x1b\x07\x9b") & set(drawn)


def test_an_unreadable_log_and_one_that_is_not_there(tmp_path: Path) -> None:
    ran = scaffold("watch", "--log", "none.log", cwd=tmp_path)
    assert ran.code == 2
    assert "no event is in none.log yet" in ran.err
    assert "watch CLUSTER --log none.log" in ran.err


def test_the_command_that_submits_again_has_all_that_was_given() -> None:
    receipt = SubmitReceipt(
        7, "ap", "", "", "/", "a.sub", "", (), queue="lr from sweep.csv", append=("x=1 2",)
    )
    assert receipt.command.endswith("submit a.sub --queue 'lr from sweep.csv' -a 'x=1 2'")


def test_a_parquet_table_has_the_types_of_its_columns(tmp_path: Path) -> None:
    from pyarrow import parquet

    rows: list[dict[str, Any]] = [
        {"job": "1.0", "lr": 0.1, "epoch": 3}, {"job": "1.1", "lr": "auto"},
    ]  # fmt: skip
    path = tmp_path / "t.parquet"
    _write_parquet(path, ["job", "lr", "epoch"], rows)
    assert parquet.read_table(path).to_pylist() == [
        {"job": "1.0", "lr": "0.1", "epoch": 3}, {"job": "1.1", "lr": "auto", "epoch": None},
    ]  # fmt: skip


def test_an_unknown_event_changes_nothing() -> None:
    state = ProcState(3, "running", 1.0)
    after = fold({3: state}, LogEvent("EP_DRAIN", 1, 3, 2.0, {}))
    assert (after.state, after.since, after.events) == ("running", 1.0, 1)


@pytest.mark.parametrize(
    ("data", "host"),
    [
        ({"SlotName": "slot1_1@node7.example.org", "ExecuteHost": "<10.0.0.1:5>"}, "node7.example.org"),
        ({"ExecuteHost": "<10.0.0.1:9618?addrs=10.0.0.1-9618&alias=ap.example.org&sock=x>"}, "ap.example.org"),
        ({"ExecuteHost": "<10.0.0.1:9618>"}, "10.0.0.1:9618"),
    ],
)  # fmt: skip
def test_a_machine_has_its_name(data: dict[str, Any], host: str) -> None:
    """The second is what HTCondor 25.14 writes for DAGMan, which has no slot."""
    assert fold({}, LogEvent("EXECUTE", 1, 0, 2.0, data)).host == host


def test_a_failed_try_is_told_from_an_eviction() -> None:
    data = {"TerminatedAndRequeued": True, "ReturnValue": 75}
    state = fold({0: ProcState(0, "running", began=5.0)}, LogEvent("JOB_EVICTED", 1, 0, 9.0, data))
    assert (state.evictions, state.retries, state.ran) == (0, 1, 4.0)


def test_every_hold_has_words_and_a_fix() -> None:
    holds = tomllib.loads(_HOLDS.read_text())
    assert len(holds) >= 15
    for code, entry in holds.items():
        state = ProcState(2, "held", hold=(int(code), 0), reason="R")
        first, reason, fix, *then = held(state, 7)
        assert re.match(rf"held: .+ \(code {code}, subcode 0\)$", first)
        assert reason == "  HTCondor: R"
        assert fix.startswith("  usual fix: ")
        assert "{" not in fix
        assert {k for k in entry if not k.isdecimal()} == {"words", "fix"}
        assert any("condor_release 7.2" in line or "condor_rm 7.2" in line for line in (fix, *then))
    unknown = list(held(ProcState(0, "held", hold=(999, 1), reason="because"), 1))
    assert "because" in unknown[1]


@pytest.mark.parametrize(
    ("rows", "share"),
    [
        ([{"gpu_utilization": 20}, {"gpu_utilization": 40}], 0.3),
        ([{"gpu_busy": 0.9}], 0.9),
        ([{"epoch": 1}], None),
        ([], None),
    ],
)
def test_the_use_of_a_gpu_comes_from_the_metrics(rows: Any, share: float | None) -> None:
    found = gpu_share(rows)
    assert found == (None if share is None else pytest.approx(share))
    said = gpu_sentence(ProcState(0, gpus=1, gpu="Tesla T4"), rows)
    assert ("most of it was idle" in said) == (share is not None and share < 0.5)
    assert bool(said) == (share is not None)


def test_metrics_in_a_line() -> None:
    rows = [{"epoch": 1, "test_loss": 0.5}, {"epoch": 2, "step": 90, "test_loss": 0.25, "lr": 1}]
    assert last_line(rows) == "epoch 2  test_loss 0.25"


def test_the_picture_has_a_line_for_each_run() -> None:
    runs = {f"1.{n}": [{"epoch": e, "loss": 1 / (e + n + 1)} for e in range(3)] for n in range(20)}
    drawn = picture(runs, "a <sweep>")
    assert drawn.count("<polyline") == 20
    assert "a &lt;sweep&gt;" in drawn
    assert "and 8 more" in drawn
    assert picture({"1.0": []}, "nothing") == ""


def test_no_secret_is_written_down() -> None:
    ad = {
        "Environment": "WANDB_API_KEY=abc OTHER='x y'",
        "TransferInput": "a.txt,https://me:pw@host/x",
        "Arguments": "--token abc123 --epochs 3",
        "X509UserProxy": "/tmp/x509up_u1000",
        "RequestMemory": 100,
    }
    kept = hidden(ad)
    assert kept["Environment"] == "WANDB_API_KEY OTHER"
    assert kept["RequestMemory"] == 100
    assert not re.search("abc|pw@|x509up", json.dumps(kept))
    assert "pw" not in str(safe_lines(["transfer_input_files = https://me:pw@host/x"]))
    assert safe_lines(["environment=A=secret", "a=b"]) == ("environment=(not recorded)", "a=b")


def test_what_all_ads_say_is_kept_once() -> None:
    same, others = common([{"a": 1, "b": 2}, {"a": 1, "b": 3}])
    assert (same, others) == ({"a": 1}, ({"b": 2}, {"b": 3}))
    assert common([{"a": 1}]) == ({"a": 1}, ({},))


def test_a_row_is_another_when_its_values_its_commands_or_its_files_are(tmp_path: Path) -> None:
    def prints(extra: str = "", rows: str = "1\n2\n", program: str = "#!/bin/sh\n") -> list[str]:
        (tmp_path / "a.sh").write_text(program)
        (tmp_path / "rows").write_text(rows)
        text = f"executable = a.sh\nlog = {extra or 'x'}.log\nlr = 0\n{extra}\nqueue lr from rows\n"
        (tmp_path / "a.sub").write_text(text)
        return [row.fingerprint for row in rows_of(read_description(tmp_path / "a.sub", tmp_path))]

    first = prints()
    assert len(set(first)) == 2
    assert prints(rows="2\n1\n") == first[::-1]
    assert prints(rows="1\n2\n3\n")[:2] == first
    assert not set(prints("arguments = -v")) & set(first)
    assert not set(prints(program="#!/bin/bash\n")) & set(first)
    assert prints("output = elsewhere") == first  # only where it is written


WITHOUT_BINDINGS = """
import sys
sys.modules["htcondor2"] = None  # as on a Mac, for which there are no wheels
from pixi_scaffold.cli import app
app()
"""


@pytest.mark.parametrize("command", ["submit", "watch", "fetch", "stop", "collect"])
def test_without_bindings_each_command_says_where_it_works(tmp_path: Path, command: str) -> None:
    (tmp_path / "job.sub").write_text("executable = job.sh\nlog = x.log\nqueue\n")
    (tmp_path / "job.sh").write_text("#!/bin/sh\n")
    (tmp_path / "x.log").write_text("000 (007.000.000) 2026-11-27 23:12:35 Job submitted\n...\n")
    receipt = SubmitReceipt(
        7, "ap.example.org", "", "2026-11-27T23:12:35Z", str(tmp_path), "job.sub",
        str(tmp_path / "x.log"), (SubmittedJob({}, ""),),
    )  # fmt: skip
    write(receipt, tmp_path)
    given = {"submit": ["job.sub", "--no-check"], "stop": ["7"]}.get(command, [])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_BINDINGS, command, *given],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    assert "exist for Linux only" in done.stderr
    assert ("git push" if command == "submit" else "access point of your pool") in done.stderr
