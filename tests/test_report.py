from __future__ import annotations

import io
import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pixi_scaffold.report import (
    LiveProgress,
    Report,
    Result,
    Status,
    Verdict,
    print_error,
    print_report,
    wrapped,
)

PASSED = Result("lock", Status.PASSED, 0.12345, "three platforms")
FAILED = Result("train", Status.FAILED, 2.0, "exit code 1", "pixi run smoke", ("last line",))
SKIPPED = Result("rehearse", Status.SKIPPED, 0.0, "needs train")


@pytest.mark.parametrize(
    ("results", "code"),
    [((PASSED,), 0), ((PASSED, SKIPPED), 0), ((PASSED, FAILED, SKIPPED), 3), ((), 0)],
)
def test_exit_code(results: tuple[Result, ...], code: int) -> None:
    assert Report("new", results).exit_code == code


def test_the_table_fits_the_terminal() -> None:
    long = Result("install", Status.PASSED, 12.0, "word " * 30)
    facts = {"skipped": [{"what": "x on osx-arm64", "why": "no python"}, {"what": "rehearse"}]}
    lines = Report("new", (PASSED, long, SKIPPED), facts).table(60)
    assert [text for text, _ in lines[:2]] == [
        "stage     status     time  detail",
        "lock      passed    0.1 s  three platforms",
    ]
    assert all(len(text) <= 60 for text, _ in lines)
    assert lines[-1] == ("          skipped          x on osx-arm64: no python", Status.SKIPPED)
    assert " ".join(" ".join(text.split()) for text, _ in lines).count("word") == 30
    assert lines[0][1] is None


def test_document_is_the_contract() -> None:
    report = Report("new", (PASSED, FAILED), {"engine": {"name": "rattler"}}, ("cd x",))
    assert json.loads(report.to_json()) == {
        "schema": 1,
        "command": "new",
        "ok": False,
        "exit_code": 3,
        "engine": {"name": "rattler"},
        "next": ["cd x"],
        "results": [
            {
                "name": "lock",
                "status": "passed",
                "seconds": 0.123,
                "detail": "three platforms",
                "hint": "",
                "lines": [],
            },
            {
                "name": "train",
                "status": "failed",
                "seconds": 2.0,
                "detail": "exit code 1",
                "hint": "pixi run smoke",
                "lines": ["last line"],
            },
        ],
    }


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_what_a_terminal_shows_is_broken_between_words(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    words = ["a", "machine", "is", "none", "of", "the", "environment's", "platforms", "locked"]
    url = "https://example.org/" + "a" * 100
    text = " ".join((*words, *words, url))
    result = Result("lock", Status.FAILED, 1.0, text, text, (text,))
    screen = Screen()
    print_report(Report("check", [result], {}, verdict=Verdict(False, text, (text,))), screen)
    progress = LiveProgress(screen, asks=False)
    progress.note(text)
    progress.finish(result)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert shown.split().count(url) == 7  # five in the report, two of the progress
    known = {*words, url, "lock", "failed", "failed:", "next:", "1.0", "s"}
    assert set(shown.split()) == known
    for line in shown.splitlines():
        assert len(line) <= columns or line.split()[-1] == url, line


def test_the_clock_of_a_step_goes_on_after_its_last_fraction() -> None:
    """rich's own clock of a task stops when the task is finished in its sense."""
    progress = LiveProgress(Screen(), asks=False)
    progress.start("channel")
    progress.update("packed the last one", 1.0)
    (task,) = progress.bars.tasks
    assert not task.finished
    progress.update("indexing")
    assert not task.finished
    assert task.total is None, "a bar that is full says that nothing is left to do"
    progress.close()


@pytest.mark.parametrize("width", range(20, 60))
def test_a_number_is_not_broken_off_its_unit(width: int) -> None:
    text = "356 MB of request_memory = 6 GB after 12.5 s of 1 min and 3 files, 4 GiB free"
    lines = wrapped(text, width)
    assert " ".join(lines) == text
    for line in lines:
        assert not line.startswith(("MB", "GB", "GiB", "s ", "min")), lines


@given(st.lists(st.text("aé日本語🙂", min_size=1, max_size=9), min_size=1), st.integers(24, 60))
def test_wide_letters_take_two_columns(words: list[str], width: int) -> None:
    """rich, which draws the rest of the screen, is the judge of how wide a line is."""
    lines = wrapped(" ".join(words), width, "> ", 2)
    assert all(cell_len(line) <= width for line in lines), lines
    assert " ".join(lines).split()[1:] == words
    short = [a for a, b in itertools.pairwise(lines)
             if cell_len(a) + 1 + cell_len(b.split()[0]) <= width]  # fmt: skip
    assert not short, "a word more had room"


@pytest.mark.parametrize("width", [1, 21, 22, 40, 47])
def test_on_a_narrow_terminal_a_text_begins_below_its_head(width: int) -> None:
    """A terminal would break words in the 12 columns that are left beside the head."""
    head = "passed  manifest     0.0 s  "
    if width > len(head) + 5:
        assert wrapped("short", width, head, len(head)) == [f"{head}short"]
    lines = wrapped("linux-64-cuda, linux-64-cpu, osx-arm64", width, head, len(head))
    assert lines[0] == head.rstrip()
    assert max(map(len, lines[1:])) <= max(width, 16)  # a word stays whole
    assert " ".join(" ".join(lines[1:]).split()) == "linux-64-cuda, linux-64-cpu, osx-arm64"


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_text_begins_below_its_head_where_a_word_fits_only_there(width: int) -> None:
    head = "passed  pixi  "
    url = "https://" + "a" * (width - len("https://") - 4)
    assert wrapped(f"see {url}", width, head, len(head)) == [head.rstrip(), "  see", f"  {url}"]
    longer = url + "a" * 5  # fits nowhere: there is nothing to be won
    beside = wrapped(f"see {longer}", width, head, len(head))
    assert beside == [f"{head}see", f"{'':{len(head)}}{longer}"]


def test_a_log_is_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    log = io.StringIO()
    print_error("word " * 20 + "end", ("more " * 20 + "end",), "do " * 30 + "it", log)
    assert [line.split()[-1] for line in log.getvalue().splitlines()] == ["end", "end", "it"]


def test_a_blank_line_in_a_wrapped_text_stays_blank() -> None:
    assert wrapped("one\n\ntwo", 80, "next: ", 6) == ["next: one", "", "      two"]
