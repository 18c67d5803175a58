"""An update at a terminal: the table, the question, a new question of the template, Ctrl-C."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from pixi_scaffold.update import text
from pixi_scaffold.update.merge import Action
from tests.conftest import git
from tests.support.history import release
from tests.test_terminal import Terminal
from tests.test_update import make, small, snapshot

CTRL_C = "\x03"


def test_the_table_knows_every_action() -> None:
    assert set(text._ACTIONS) == set(Action)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that is one version behind, which asks something new."""
    template = small(tmp_path / "t")
    folder = make(template, tmp_path / "p", "v1.0.0")
    release(
        template,
        "v1.1.0",
        {
            "copier.yml": "project_name: {type: str}\nmemory: {type: str, default: 4}\n"
            "disk: {type: str, default: '10', help: 'How much disk?'}\n",
            "job.cfg.jinja": "# a job\nmemory = {{ memory }}\ndisk = {{ disk }}\nlast\n",
        },
    )
    return folder


def test_a_new_question_is_asked_then_the_table_is_shown(project: Path) -> None:
    with Terminal("update", cwd=project) as terminal:
        terminal.wait_for("How much disk?")
        terminal.type("0\r")  # after the default, 10
        terminal.wait_for("Go on?")
        assert "updated           job.cfg" in terminal.plain
        assert "━" not in terminal.plain  # no bar over the question
        terminal.type("y\r")
        assert terminal.end() == 0, terminal.plain
    assert "disk = 100\n" in (project / "job.cfg").read_text()
    assert git(project, "branch", "--show-current") == "template/v1.1.0"


@pytest.mark.parametrize(
    ("answer", "code", "words"), [("n\r", 0, "nothing was changed"), (CTRL_C, 130, "interrupted")]
)
def test_no_and_ctrl_c_leave_everything(project: Path, answer: str, code: int, words: str) -> None:
    before = snapshot(project)
    with Terminal("update", "-d", "disk=5", cwd=project) as terminal:
        terminal.wait_for("Go on?")
        if answer == CTRL_C:  # no terminal of its own turns the key into the signal here
            terminal.process.send_signal(signal.SIGINT)
        else:
            terminal.type(answer)
        assert terminal.end() == code, terminal.plain
        assert words in terminal.plain
        assert "Traceback" not in terminal.plain
    assert snapshot(project) == before


def test_ctrl_c_at_a_new_question(project: Path) -> None:
    before = snapshot(project)
    with Terminal("update", cwd=project) as terminal:
        terminal.wait_for("How much disk?")
        terminal.type("\x03")
        assert terminal.end() == 130, terminal.plain
        assert "Traceback" not in terminal.plain
    assert snapshot(project) == before
