"""The question before a large download, on a real terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys

import pytest

ASK = """
import sys
from pixi_scaffold.report import progress_for
progress = progress_for(sys.stdout, asks={asks})
progress.start("lock")
progress.note("2.8 GB to download")
agreed = progress.agree("Go on?")
progress.update("on")
progress.close()
print("agreed:", agreed, flush=True)
"""


def answered(typed: bytes, *, asks: bool = True) -> str:
    """Run the question on a terminal, type when it is asked, and return what was shown."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    process = subprocess.Popen(
        [sys.executable, "-c", ASK.format(asks=asks)],
        stdin=theirs, stdout=theirs, stderr=theirs, env=env,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux says so when the other side is closed
        while select.select([ours], [], [], 600)[0] and (part := os.read(ours, 4096)):
            shown += part
            if typed and b"[Y/n]" in shown:
                os.write(ours, typed)
                typed = b""
    process.wait(600)
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize(
    ("typed", "agreed"), [(b"\n", True), (b"y\n", True), (b"n\n", False), (b"what\n", False)]
)
def test_enter_is_yes(typed: bytes, agreed: bool) -> None:
    shown = answered(typed)
    assert "Go on? [Y/n]" in shown
    assert f"agreed: {agreed}" in shown


def test_who_does_not_want_questions_gets_none() -> None:
    shown = answered(b"", asks=False)
    assert "[Y/n]" not in shown
    assert "agreed: True" in shown


def test_without_a_terminal_it_goes_on() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(asks=True)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "2.8 GB to download" in done.stdout
    assert done.stdout.endswith("agreed: True\n")
