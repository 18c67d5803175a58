"""The page of a project: its records as data, and a real Chromium that opens it."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixi_scaffold.page.jobs import read_jobs, read_log, spent
from pixi_scaffold.page.project import ProjectRecords, read_records
from pixi_scaffold.page.render import LIMIT, embedded, rendered_small
from pixi_scaffold.page.runs import TrainingRun, clock, measured, read_runs, thinned, varied
from pixi_scaffold.page.view import lab_view, project_view, timelines
from pixi_scaffold.pool.receipt import SubmitReceipt, SubmittedJob
from pixi_scaffold.pool.receipt import write as write_receipt
from pixi_scaffold.report import Silent
from pixi_scaffold.system import sha256_of
from tests.conftest import git
from tests.support.browser import Browser, axe, chromium
from tests.support.command import scaffold
from tests.support.paths import LOCKS
from tests.test_lock_diff import MANIFEST, entry, lock_of

EVIL = "<img src=x onerror=alert(1)>\"'</script><script>document.title='hacked'</script>"
URLS = ("src", "href", "srcset", "action", "data", "poster", "xlink:href")
LOG = """\
000 (012.000.000) 2026-11-27 09:00:00 Job submitted from host: <1>
...
001 (012.000.000) 2026-11-27 09:10:00 Job executing on host: <2>
...
004 (012.000.000) 2026-11-27 09:40:00 Job was evicted.
...
001 (012.000.000) 2026-11-27 09:45:00 Job executing on host: <2>
...
012 (012.000.000) 2026-11-27 10:00:00 Job was held.
...
013 (012.000.000) 2026-11-27 10:20:00 Job was released.
...
001 (012.000.000) 2026-11-27 10:21:00 Job executing on host: <2>
...
005 (012.000.000) 2026-11-27 10:31:00 Job terminated.
...
"""


def write_run(root: Path, name: str, rows: int, **arguments: object) -> None:
    folder = root / "runs" / name
    folder.mkdir(parents=True)
    config = {"started": "2026-11-27T10:00:00+00:00", "arguments": {"name": name, **arguments}}
    (folder / "config.json").write_text(json.dumps(config | {"device": "cpu"}))
    lines = (
        {"epoch": n, "step": 9 * n, "train_loss": math.exp(-n / rows), "test_accuracy": n / rows}
        for n in range(rows)
    )
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    start = config | {"epochs_done": 0, "epochs_ended": [30.0 * n for n in range(1, rows)]}
    (folder / "history.jsonl").write_text(json.dumps(start) + "\n")


def make_project(root: Path, *, text: str = "plain") -> Path:
    """A workspace with a lock of two commits, four runs, a rehearsal's receipt and a job."""
    root.mkdir()
    git(root, "init", "--quiet", "-b", "main")
    (root / "pixi.toml").write_text(MANIFEST)
    for version in ("1", "2"):
        entries = (entry("app", version, size=70_000_000), entry("python", "3.13.1", size=9000))
        (root / "pixi.lock").write_text(lock_of(*entries))
        git(root, "add", ".")
        git(root, "commit", "--quiet", "-m", version)
    for number, rate in enumerate((0.1, 0.01, 0.003, 0.001)):
        write_run(root, f"job-1-{number}", 30, lr=rate, note=text)
    write_run(root, text.replace("/", "\u2215"), 5, lr=1.0, note="other")
    attempts = [
        {"sandbox": 1, "ended": "evicted", "code": 85, "seconds": 5.0, "kept": ["a", "b"],
         "seconds_in": 0.5, "seconds_out": 0.25},
        {"sandbox": 2, "ended": "exited", "code": 0, "seconds": 7.0, "kept": [],
         "seconds_in": 0.75, "seconds_out": 1.5},
    ]  # fmt: skip
    job = {"name": text, "proc": 0, "state": "completed", "attempts": attempts, "notes": [text],
           "usage": {"bytes_in": 5000, "bytes_out": 3_000_000}, "brought": ["a"]}  # fmt: skip
    results = [{"name": "attempt 1", "status": "passed", "seconds": 5.0, "detail": text}]
    receipt = {"command": "rehearse", "ok": True, "results": results, "jobs": [job],
               "skipped": [{"what": "gpu", "why": text}], "host": text,
               "lock": {"sha256": sha256_of(root / "pixi.lock")}}  # fmt: skip
    (root / ".pixi/rehearsal").mkdir(parents=True)
    (root / ".pixi/rehearsal/receipt.json").write_text(json.dumps(receipt))
    jobs = (SubmittedJob({"lr": text}, ""), SubmittedJob({}, ""))
    write_receipt(
        SubmitReceipt(
            12, "here", "pool", "2026-11-27T09:00:00Z", str(root), "job.sub", "job.log", jobs
        ),
        root,
    )
    (root / "job.log").write_text(LOG)
    return root


@given(
    st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=400),
    st.integers(4, 50),
)
def test_fewer_points_keep_the_ends_and_every_spike(values: list[float | None], most: int) -> None:
    curve = [(float(n), value, None) for n, value in enumerate(values)]
    fewer = thinned(curve, most)
    assert len(fewer) <= max(most, 4)
    assert (fewer[0], fewer[-1]) == (curve[0], curve[-1])
    assert [x for x, _, _ in fewer] == sorted({x for x, _, _ in fewer})
    assert set(fewer) <= set(curve)
    numbers = [y for y in values if y is not None]
    kept = [y for _, y, _ in fewer if y is not None]
    if numbers:
        assert (min(kept), max(kept)) == (min(numbers), max(numbers))


def test_the_time_in_each_state_is_what_the_event_log_says(tmp_path: Path) -> None:
    root = make_project(tmp_path / "p")
    one, other = read_jobs(root, datetime(2026, 11, 28))
    assert dict(one.seconds) == {"idle": 16 * 60, "running": 55 * 60, "held": 20 * 60}
    assert (one.state, one.starts) == ("ended", 3)
    assert (other.state, sum(other.seconds.values())) == ("unknown", 0)
    state, seconds, _ = spent([(0, datetime(2026, 1, 1, 0))], datetime(2026, 1, 1, 1))
    assert (state, seconds["idle"]) == ("idle", 3600)


def test_a_pool_s_own_log_is_read_as_htcondor_reads_it() -> None:
    """A log that a pool wrote of a job which was evicted, held and released; htcondor2 is the judge."""
    htcondor2 = pytest.importorskip("htcondor2")
    path = Path(__file__).parent / "data" / "job-event.log"
    theirs = [
        (int(event.type), datetime.fromtimestamp(event.timestamp))
        for event in htcondor2.JobEventLog(str(path)).events(0)
    ]
    mine = read_log({"log": path.name, "folder": str(path.parent)}, Path())
    assert mine == {(10, 0): theirs}
    assert {1, 4, 5, 12, 13} <= {number for number, _ in theirs}


def test_a_start_after_nothing_was_kept_is_no_resumption() -> None:
    attempts = [{"sandbox": n, "ended": "evicted", "seconds": 1.0, "kept": kept}
                for n, kept in ((1, []), (2, ["a"]), (3, []))]  # fmt: skip
    document = {"results": [], "jobs": [{"state": "held", "attempts": attempts}]}
    [timeline] = timelines(document)
    began = [step.partition(", ran")[0] for step in timeline["steps"] if ", ran" in step]
    assert began == ["started", "started from the beginning", "resumed"]


def test_a_timeline_has_the_copying_beside_the_running_and_is_as_long_as_all_of_it(
    tmp_path: Path,
) -> None:
    root = make_project(tmp_path / "p")
    document = json.loads((root / ".pixi/rehearsal/receipt.json").read_text())
    [timeline] = timelines(document)
    drawn = [(bar["kind"], bar["label"]) for bar in timeline["bars"]]
    assert drawn == [
        ("moved", "copied in: 0.50 s"), ("lost", "evicted: 5.00 s"), ("moved", "copied out: 0.25 s"),
        ("moved", "copied in: 0.75 s"), ("done", "exited, exit code 0: 7.00 s"),
        ("moved", "copied out: 1.50 s"),
    ]  # fmt: skip
    assert sum(bar["width"] for bar in timeline["bars"]) == pytest.approx(100)
    assert timeline["total"] == "15.0 s"
    assert timeline["steps"] == [
        "inputs copied into sandbox 1: 0.50 s", "started, ran 5.00 s, evicted",
        "2 files kept: 0.25 s", "inputs copied into sandbox 2: 0.75 s",
        "resumed, ran 7.00 s, exited, exit code 0", "1 file back: 1.50 s",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lock", "says"),
    [
        (None, r"not named, because"),
        ("pixi.lock", r"[0-9a-f]{12} \(pixi\.lock, as it is now\)"),
        (".pixi/starter/pixi.lock", r"[0-9a-f]{12} \(\.pixi/starter/pixi\.lock, as it is now\)"),
        ("pixi.toml", r"[0-9a-f]{12} \(not one that is here now\)"),
    ],
)
def test_a_proof_says_for_which_lock_it_is(tmp_path: Path, lock: str | None, says: str) -> None:
    root = make_project(tmp_path / "p")
    (root / ".pixi/starter").mkdir()
    (root / ".pixi/starter/pixi.lock").write_text("of the starter channel")
    path = root / ".pixi/rehearsal/receipt.json"
    document = json.loads(path.read_text())
    document["lock"] = {"sha256": sha256_of(root / lock)} if lock else None
    path.write_text(json.dumps(document))
    [receipt] = project_view(read_records(root, Silent()))["receipts"]
    assert re.fullmatch(f"{says}.*", receipt["lock"]), receipt["lock"]


STARTED = "2026-11-27T10:00:00+00:00"


@pytest.mark.parametrize(
    ("rows", "history", "seconds"),
    [
        ([{"epoch": 0}, {"epoch": 1}], [], ()),
        ([{"epoch": n} for n in range(3)],
         [{"started": STARTED, "epochs_done": 0, "epochs_ended": [2.5, 4]}], (0, 2.5, 4)),
        # the second epoch is done again after an eviction, a minute after the first start
        ([{"epoch": n} for n in range(3)],
         [{"started": STARTED, "epochs_done": 0, "epochs_ended": [2.5, 4]},
          {"started": "2026-11-27T10:01:00+00:00", "epochs_done": 1, "epochs_ended": [3]}],
         (0, 2.5, 63)),
        # a start that ended before an epoch did, and one a minute later
        ([{"epoch": n} for n in range(2)],
         [{"started": STARTED, "epochs_done": 0},
          {"started": "2026-11-27T10:01:00+00:00", "epochs_done": 0, "epochs_ended": [3]}],
         (0, 63)),
        # starts of a template that did not write it down: when an epoch ended is not known
        ([{"epoch": n} for n in range(3)],
         [{"started": STARTED, "epochs_done": 0},
          {"started": "2026-11-27T10:01:00+00:00", "epochs_done": 1}], ()),
        # a start of a template that did not write it down
        ([{"epoch": n} for n in range(3)], [{"started": STARTED, "epochs_done": 0}], ()),
        ([{"step": 1, "time": 1.8e9}, {"step": 2, "time": 1.8e9 + 7}], [], (0, 7)),
        ([{"step": 1, "time": 9}, {"step": 2, "time": 8}], [], ()),  # durations are no clock
        ([{"epoch": 0}, {"epoch": "1"}], [{"started": "?", "epochs_done": 0, "epochs_ended": [1]}], ()),
    ],
)  # fmt: skip
def test_the_time_of_a_row_is_what_the_records_say(
    rows: list[dict[str, Any]], history: list[dict[str, Any]], seconds: tuple[float, ...]
) -> None:
    assert clock(rows, history) == seconds


def test_records_that_are_damaged_are_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    write_run(tmp_path, "good", 3, lr=1)
    write_run(tmp_path, "bad", 3, lr=2)
    (tmp_path / "runs/bad/metrics.jsonl").write_text('{"epoch": 0, "x": NaN}\n{"epoch"')
    (tmp_path / "runs/bad/config.json").write_text("[]")
    (tmp_path / "runs/deep/a/b").mkdir(parents=True)
    (tmp_path / "runs/deep/a/b/metrics.jsonl").mkdir()
    (tmp_path / "runs/link").symlink_to(tmp_path)
    bad, good = read_runs(tmp_path)
    assert bad.problem == "metrics.jsonl: 1 lines cannot be read"
    assert bad.metrics == ()
    assert (good.problem, good.last["test_accuracy"]) == ("", 2 / 3)
    assert good.curve("train_loss")[:2] == [(0.0, 1.0, 0.0), (1.0, math.exp(-1 / 3), 30.0)]
    assert varied([bad, good]) == ("lr",)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(
        ["name", "status", "seconds", "detail", "what", "why", "attempts", "usage", "bytes_in",
         "kept", "ended", "notes", "brought", "proc", "state", "code", "commit", "lr", "epoch"]
    ), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip
HISTORY = st.dictionaries(
    st.sampled_from(["started", "epochs_done", "epochs_ended"]),
    st.just("2026-01-01T00:00:00") | ANYTHING, max_size=3,
)  # fmt: skip
PARTS = ["results", "rehearsal", "jobs", "skipped", "template", "lock", "host", "command", "ok"]


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.sampled_from(PARTS), ANYTHING),
    st.lists(ANYTHING, max_size=4),
    st.lists(HISTORY, max_size=2),
)
def test_whatever_records_hold_there_is_a_page(
    document: dict[str, Any], lines: list[Any], history: list[dict[str, Any]]
) -> None:
    rows = tuple(line for line in lines if isinstance(line, dict))
    times = clock(rows, history)
    run = TrainingRun("x", {"arguments": document.get("jobs")}, 1, rows, measured(rows), times)
    receipt = document | {"results": lines, "written": "now"}
    records = ProjectRecords("x", "now", (), {}, None, (receipt,), (run, run), (), None, ())
    page = rendered_small("project.html.jinja", lambda points: project_view(records, points), "x")
    assert page.rstrip().endswith("</html>")


def test_data_in_a_page_is_never_markup() -> None:
    text = embedded({"name": EVIL + "\u2028<!--&amp;"})
    assert not re.search(r"[<>&]", text)
    assert json.loads(text) == {"name": EVIL + "\u2028<!--&amp;"}


def test_the_command_writes_one_file_that_loads_nothing(tmp_path: Path) -> None:
    root = make_project(tmp_path / "p", text=EVIL)
    ran = scaffold("report", root, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert ran.document["shows"] == {"platforms": 1, "receipts": 1, "runs": 5, "jobs": 2}
    page = (root / "report.html").read_text()
    assert ran.document["bytes"] == len(page.encode()) < LIMIT
    assert "default-src &#39;none&#39;" in page
    links = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: links.extend(v for k, v in attrs if k in URLS)  # type: ignore[method-assign]
    parser.feed(page)
    assert links
    assert all(link.startswith("#") for link in links), links
    assert page.count("<script") == 2  # the page's own and its data
    assert "<img" not in page
    assert " style=" not in page  # the policy would drop it
    for said in ("app", "70 MB", "Python 3.13.1", "2 files kept: 0.25 s", "0:16:00", "0:55:00"):
        assert said in page, said
    assert re.search(r"lock: [0-9a-f]{12} \(pixi\.lock, as it is now\)\.", page)


def test_a_project_without_records_says_what_would_make_them(tmp_path: Path) -> None:
    (tmp_path / "pixi.toml").write_text(MANIFEST)
    ran = scaffold("report", "-o", "page.html", cwd=tmp_path)
    assert ran.code == 0, ran.err
    page = (tmp_path / "page.html").read_text()
    for command in ("lock", "check --rehearse", "rehearse --evict-after random"):
        assert f"<code>pixi-scaffold {command}</code>" in page
    assert "No run has left metrics" in page


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["nowhere"], 2, "there is no folder nowhere"),
        (["."], 2, "no pixi.toml"),
        ([".", "-o", "."], 2, "name the file"),
        (["--all", "."], 2, ""),
    ],
)
def test_wrong_usage_is_told(tmp_path: Path, args: list[str], code: int, says: str) -> None:
    ran = scaffold("report", *args, cwd=tmp_path)
    assert (ran.code, says in ran.err) == (code, True), ran.err
    assert not (tmp_path / "report.html").exists()


def test_a_page_is_made_smaller_until_it_fits() -> None:
    asked = []

    def view(points: int) -> dict[str, object]:
        asked.append(points)
        rows = [{"name": "x" * points * 20, "project": "", "version": "", "newest": "", "behind": "",
                 "drift": 0, "lock": "", "proof": "", "proved": None, "error": "", "todo": []}]  # fmt: skip
        return {"rows": rows, "written": "now"}

    page = rendered_small("lab.html.jinja", view, "x")
    assert len(page) < LIMIT / 1.1
    assert asked == sorted(asked, reverse=True)


def test_a_lab_is_what_status_says() -> None:
    standing = {"name": EVIL, "project": "/p", "version": "v1", "newest": "v2", "behind": 1,
                "drift": [{}, {}], "lock": {"state": "current"}, "todo": ["pixi-scaffold update"],
                "receipt": {"day": "2026-11-27", "ok": False}}  # fmt: skip
    view = lab_view([standing, {"name": "empty", "receipt": None}], "now")
    page = rendered_small("lab.html.jinja", lambda _: view, "Lab")
    assert "<img" not in page
    assert re.search(r"2026-11-27, failed</span>", page)
    assert "<code>pixi-scaffold update</code>" in page
    assert "2 projects, 1 with something to do" in page


# ------------------------------------------------------------------------------- in a real browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A plain project, a hostile one, a lab, and a project with a real lock where one is here."""
    folder = tmp_path_factory.mktemp("pages")
    found = {name: make_project(folder / name, text=text)
             for name, text in (("plain", "plain"), ("hostile", EVIL))}  # fmt: skip
    if LOCKS.is_dir():
        shutil.copy(LOCKS / "v7-pixi-example-multi-machine.lock", found["plain"] / "pixi.lock")
    for root in found.values():
        assert scaffold("report", root, cwd=folder).code == 0
    lab = folder / "lab.html"
    standing = {"name": EVIL, "version": "v1", "behind": 1, "todo": ["pixi-scaffold update"]}
    view = lab_view([standing, {"name": "good", "lock": {"state": "current"}}], "now")
    lab.write_text(rendered_small("lab.html.jinja", lambda _: view, "Lab"))
    return {name: root / "report.html" for name, root in found.items()} | {"lab": lab}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_nothing_is_loaded_and_nothing_is_said_by_the_policy(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.said.clear()
    browser.look()
    browser.open(pages[name].as_uri())
    assert browser.loaded == [pages[name].as_uri()]
    assert browser.said == []
    assert browser.ask("document.title") == name  # a script in a name would have changed it
    # The policy is in force: what it forbids does not happen, and is reported.
    browser.ask("document.body.append(Object.assign(new Image, {src: 'http://127.0.0.1:9/x.png'}))")
    browser.ask(
        "document.head.append(Object.assign(document.createElement('script'), {text: 'document.title = 1'}))"
    )
    assert browser.ask("document.title") == name
    assert any("Content Security Policy" in text for text in browser.said), browser.said


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("name", ["plain", "hostile", "lab"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    browser: Browser, pages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory,
    name: str, width: int, dark: bool,
) -> None:  # fmt: skip
    source = axe(tmp_path_factory)
    browser.look(width=width, dark=dark)
    browser.open(pages[name].as_uri())
    browser.ask(source)
    found = browser.ask("axe.run().then(r => r.violations.map(v => [v.id, v.nodes[0].html]))")
    assert found == []
    assert browser.ask("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_curves_are_drawn_zoomed_and_read_with_the_keyboard(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.look()
    browser.open(pages["plain"].as_uri())
    count = "document.querySelectorAll('#plots figure:first-child .curve[d]').length"
    assert browser.ask(count) == 5
    browser.ask("document.querySelector('[data-runs=none]').click()")
    assert browser.ask(count) == 0
    browser.ask("document.querySelector('[data-runs=all]').click()")
    browser.ask("document.querySelector('.plot').focus()")
    before = browser.ask("document.querySelector('.plot svg').innerHTML")
    browser.press("ArrowRight")
    said = browser.ask("document.getElementById('readout').textContent")
    assert re.match(r"epoch \S+\. train_loss: job-1-0 0\.\d+, ", said), said
    browser.press("+")
    assert browser.ask("document.querySelector('.plot svg').innerHTML") != before
    browser.press("0")
    # With the pointer: a drag over the middle of a picture shows that part of it.
    box = browser.ask(
        "(() => { document.querySelector('.plot').scrollIntoView(); const b = document.querySelector('.plot').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]})()"
    )
    ticks = "[...document.querySelectorAll('#plots figure:first-child text[text-anchor=middle]')].map(t => Number(t.textContent))"
    whole = browser.ask(ticks)
    x, y, width, height = box
    for kind, share in (("mousePressed", 0.4), ("mouseMoved", 0.5), ("mouseReleased", 0.6)):
        browser.call(
            "Input.dispatchMouseEvent", type=kind, button="left", clickCount=1,
            x=x + width * share, y=y + height / 2,
        )  # fmt: skip
    part = browser.ask(ticks)
    assert max(part) - min(part) < (max(whole) - min(whole)) / 2
    # Arrows go on past what is shown, to the end of the curves and no further.
    browser.ask("document.querySelector('.plot').focus()")
    for _ in range(60):
        browser.press("ArrowRight")
    assert browser.ask("document.getElementById('readout').textContent").startswith("epoch 29. ")
    assert max(browser.ask(ticks)) > max(part)
    # Over the time that passed, every run on one axis: 29 epochs of 30 s.
    browser.ask(
        "(s => { s.value = '2'; s.dispatchEvent(new Event('change')); })(document.getElementById('over'))"
    )
    assert browser.ask(ticks) == [0, 5, 10]
    assert browser.ask(count) == 5
    browser.ask("document.querySelector('.plot').focus()")
    browser.press("ArrowLeft")
    said = browser.ask("document.getElementById('readout').textContent")
    assert re.match(r"minutes 6\.525\. train_loss: job-1-0 0\.\d+, ", said), said
    label = "document.querySelector('.plot').getAttribute('aria-label')"
    assert browser.ask(label).startswith("train_loss over minutes")


@pytest.mark.slow
def test_a_table_is_sorted_by_number_with_the_keyboard(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["plain"].as_uri())
    browser.ask("document.querySelectorAll('#sweep-table thead button')[1].focus()")
    column = "[...document.querySelectorAll('#sweep-table tbody tr')].map(r => Number(r.cells[1].textContent))"
    browser.press("Enter")
    assert browser.ask(column) == [0.001, 0.003, 0.01, 0.1, 1]
    browser.press("Enter")
    assert browser.ask(column) == [1, 0.1, 0.01, 0.003, 0.001]
    head = "document.querySelectorAll('#sweep-table th')[1].getAttribute('aria-sort')"
    assert browser.ask(head) == "descending"
    assert browser.ask("document.querySelectorAll('#scatter circle').length") == 5


@pytest.mark.slow
def test_on_paper_no_table_is_cut_off(browser: Browser, pages: dict[str, Path]) -> None:
    browser.look(width=700, media="print")
    browser.open(pages["plain"].as_uri())
    assert browser.ask("document.documentElement.scrollWidth") <= 700
    cut = "[...document.querySelectorAll('.scroll')].filter(n => n.scrollWidth > n.clientWidth + 1).length"
    assert browser.ask(cut) == 0
    browser.look()
