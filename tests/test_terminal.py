"""What a person sees: prompts, refusals where they type, a live display; through a real terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import pytest

from pixi_scaffold.starter.channel import Starter


class Terminal:
    """`pixi-scaffold ARGS` on a pseudo-terminal of 100 columns."""

    def __init__(self, *args: object, cwd: Path, **env: str) -> None:
        self.master, slave = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pixi_scaffold", *map(str, args)],
            cwd=cwd,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40", **env},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.master)

    def _read(self, wait: float) -> bool:
        if not select.select([self.master], [], [], wait)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:  # Linux says so when the other side is closed
            return False
        if b"\x1b[6n" in data:  # "where is the cursor?": prompt_toolkit waits for an answer
            os.write(self.master, b"\x1b[1;1R")
        self.seen += data.decode(errors="replace")
        return bool(data)

    def wait_for(self, text: str, seconds: float = 600) -> None:
        end = time.monotonic() + seconds
        while text not in self.plain:
            assert time.monotonic() < end, self.plain
            assert self._read(0.1) or text in self.plain, self.plain

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self, seconds: float = 600) -> int:
        limit = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < limit, self.plain
        return self.process.wait(600)

    @property
    def plain(self) -> str:
        """All that was shown, without the escape sequences."""
        return re.sub(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>])", "", self.seen)


FIRST = ("1 of 4. Where will the jobs run?", "2 of 4. How does the environment reach",
         "3 of 4. What to start from", "4 of 4. More questions")  # fmt: skip
MORE = ("What it is", "Author", "Where the code lies", "CUDA version", "Oldest Python",
        "Conda channel", "License", "Continuous integration")  # fmt: skip


def answer(terminal: Terminal, questions: Iterable[str], **typed: str) -> None:
    """Press Enter at each question, or type what is given for its first word."""
    for question in questions:
        terminal.wait_for(question)
        terminal.type(typed.get(question.split()[0], "\r"))


def test_prompts_with_a_wrong_answer_first(template: Path, tmp_path: Path) -> None:
    with Terminal("new", "1st", "--template", template, "--no-check", cwd=tmp_path) as terminal:
        terminal.wait_for("Ctrl-C is safe")
        terminal.wait_for("Name of the project")
        terminal.wait_for(
            "not the folder's name: start with a letter, then letters, digits, - or _"
        )
        terminal.type("\x7f" * 2 + "2nd\r")
        terminal.wait_for("Validation error for question 'project_name': start with a letter")
        terminal.type("\x7f" * 3 + "better\r")
        answer(terminal, FIRST[:3])
        terminal.wait_for(FIRST[3])
        terminal.type("y")
        answer(terminal, (f"{5 + n} of 12. {words}" for n, words in enumerate(MORE[:1])))
        answer(terminal, MORE[1:2], Author="Ada\r")
        answer(terminal, (f"{7 + n} of 12. {words}" for n, words in enumerate(MORE[2:])))
        terminal.wait_for("project_name  better")
        terminal.wait_for("Make it?")
        terminal.type("\r")
        assert terminal.end() == 0, terminal.plain
    text = (tmp_path / "1st" / "pixi.toml").read_text()
    assert 'name = "better"' in text
    assert 'authors = ["Ada"]' in text


@pytest.mark.parametrize("agreed", ["y", "n"])
def test_a_name_is_asked_once_and_the_rest_is_hidden(
    template: Path, tmp_path: Path, agreed: str
) -> None:
    with Terminal("new", "--template", template, "--no-check", cwd=tmp_path) as terminal:
        terminal.wait_for("Name of the project")
        assert "Ctrl-C is safe" in terminal.plain
        terminal.type("cifar10\r")
        answer(terminal, FIRST)
        terminal.wait_for("Make it?")
        terminal.type(f"{agreed}\r")
        assert terminal.end() == (0 if agreed == "y" else 130), terminal.plain
        assert terminal.plain.count("Name of the project") == 1
        assert "License" not in terminal.plain
    if agreed == "n":
        assert list(tmp_path.iterdir()) == []
    else:
        assert 'name = "cifar10"' in (tmp_path / "cifar10" / "pixi.toml").read_text()
        assert "more:" not in (tmp_path / "cifar10" / ".copier-answers.yml").read_text()


def test_what_is_given_is_not_counted_and_not_sure_is_the_site_s_advice(
    template: Path, tmp_path: Path
) -> None:
    args = ("new", "p", "--template", template, "--no-check", "-d", "site=chtc", "-d", "more=no")
    with Terminal(*args, cwd=tmp_path) as terminal:
        terminal.wait_for("1 of 2. How does the environment reach")
        terminal.wait_for("» not sure: what the site advises")
        terminal.type("\r")
        answer(terminal, ("2 of 2. What to start from", "Make it?"))
        assert terminal.end() == 0, terminal.plain
    assert "delivery: container\n" in (tmp_path / "p" / ".copier-answers.yml").read_text()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("exmple=none", "no question 'exmple'"),
        ("example=nne", "example cannot be 'nne': it is one of digits, none"),
        ("layout=src", "it is one of flat, package"),
        ("channel=conda forge", "a channel is a name"),
    ],
)
def test_a_wrong_answer_is_refused_before_anything_is_asked(
    template: Path, tmp_path: Path, answer: str, why: str
) -> None:
    args = ("new", "p", "--template", template, "-d", answer)
    with Terminal(*args, cwd=tmp_path) as terminal:
        assert terminal.end() == 2, terminal.plain
    assert why in " ".join(terminal.plain.split())
    assert "1 of" not in terminal.plain
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_another_may_make_right_waits_for_that(tmp_path: Path) -> None:
    """The rule of `second` reads `first`, which is free text and is asked before it."""
    rule = "{% if second != first %}not the same as first{% endif %}"
    questions = f'first: {{type: str}}\nsecond: {{type: str, validator: "{rule}"}}\n'
    source = tmp_path / "t"
    source.mkdir()
    (source / "copier.yml").write_text(questions)
    (source / "a.txt").write_text("a\n")
    args = ("new", "p", "--template", source, "--no-check", "-d", "second=b")
    with Terminal(*args, cwd=tmp_path) as terminal:
        answer(terminal, ("first",), first="b\r")
        answer(terminal, ("Make it?",))
        assert terminal.end() == 0, terminal.plain


@pytest.mark.parametrize("stop", ["\x04", signal.SIGINT])
def test_leaving_at_the_name_is_no_error(tmp_path: Path, stop: str | int) -> None:
    with Terminal("new", cwd=tmp_path) as terminal:
        terminal.wait_for("Name of the project")
        if isinstance(stop, str):
            terminal.type(stop)
        else:
            terminal.process.send_signal(stop)
        assert terminal.end() == 130, terminal.plain
        assert "\ninterrupted: nothing was made" in terminal.plain.replace("\r", "")
        assert "error" not in terminal.plain
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_at_a_prompt_leaves_nothing(template: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        with Terminal("new", name, "--template", template, cwd=tmp_path) as terminal:
            terminal.wait_for(FIRST[0])
            terminal.type("\x03")
            assert terminal.end() == 130, terminal.plain
            assert "interrupted: nothing was made" in terminal.plain
            assert "Traceback" not in terminal.plain
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("offline")
def test_the_stages_are_shown_live(template: Path, starter: Starter, tmp_path: Path) -> None:
    args = ["new", "p", "--template", template, "--defaults", "--channel", "starter"]
    with Terminal(*args, cwd=tmp_path) as terminal:
        assert terminal.end() == 0, terminal.plain
    assert "━" in terminal.plain  # the bar
    assert "\x1b[32m" in terminal.seen  # green
    for stage in ("render", "manifest", "lock", "install", "train", "rehearse"):
        rows = re.findall(rf"passed  {stage} +\d+\.\d s", terminal.plain)
        assert len(rows) == 1, terminal.plain
    assert re.search(
        r"p is ready: trained on the CPU to \d\d%, its cluster job rehearsed", terminal.plain
    )
    assert "No candidates" not in terminal.plain
    with Terminal("lock", "p", "--check", cwd=tmp_path, NO_COLOR="1") as terminal:
        assert terminal.end() == 3
        assert "\x1b[32m" not in terminal.seen
