"""Two stages at the same time: what counts, and what is left when one fails or is interrupted."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

from pixi_scaffold.check.stages import CheckRequest, Context, Done, Stage, run_stages
from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.report import Run, Silent

pytestmark = pytest.mark.skipif(
    "__import__('pixi_scaffold.system').system.cores() < 2", reason="needs two cores"
)


def test_they_run_at_the_same_time(tmp_path: Path) -> None:
    meeting = threading.Barrier(2)

    def meet(_: Context, *__: object) -> Done[int]:
        meeting.wait(600)
        return Done("met", 1)

    first = Stage("first", meet)
    second = Stage("second", meet, (first,), beside=first)
    outcomes = run_stages(
        [first, second], Context(tmp_path, CheckRequest(()), Silent()), run := Run(Silent())
    )
    assert outcomes.passed == {"first", "second"}
    assert [(r.name, r.detail) for r in run.results] == [("first", "met"), ("second", "met")]


def test_what_failed_beside_is_tried_again_alone(tmp_path: Path) -> None:
    tried: list[bool] = []
    ended = threading.Event()

    def long(_: Context) -> Done[int]:
        assert ended.wait(600)
        return Done("long", 1)

    def fails_once(_: Context, value: int | None) -> Done[int]:
        tried.append(value is None)
        if len(tried) == 1:
            ended.set()
            raise ScaffoldError("too much at once")
        return Done("again", 2)

    first = Stage("first", long)
    second = Stage("second", fails_once, (first,), beside=first)
    run = Run(Silent())
    run_stages([first, second], Context(tmp_path, CheckRequest(()), Silent()), run)
    assert tried == [True, False]
    assert [r.detail for r in run.results] == ["long", "again"]


@pytest.mark.parametrize("error", [ScaffoldError("bad"), KeyboardInterrupt()])
def test_it_ends_when_the_other_does_not_pass(tmp_path: Path, error: BaseException) -> None:
    begun, cleaned = threading.Event(), threading.Event()

    def breaks(_: Context) -> Done[int]:
        assert begun.wait(600)
        raise error

    def long(context: Context, _: int | None) -> Done[int]:
        begun.set()
        try:
            while True:
                context.progress.update("working")
                cleaned.wait(0.01)
        finally:
            cleaned.set()

    first = Stage("first", breaks)
    second = Stage("second", long, (first,), beside=first)
    run = Run(Silent())
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            run_stages([first, second], Context(tmp_path, CheckRequest(()), Silent()), run)
    else:
        run_stages([first, second], Context(tmp_path, CheckRequest(()), Silent()), run)
        assert [(r.status, r.detail) for r in run.results] == [
            ("failed", "bad"),
            ("skipped", "needs first"),
        ]
    assert cleaned.is_set()


def test_an_interrupt_while_it_is_waited_for_ends_it_too(tmp_path: Path) -> None:
    """A second Thread.join returns at once where a signal interrupted the first (CPython 3.11)."""
    cleaned = threading.Event()

    def long(context: Context, value: int | None) -> Done[int]:
        assert value is None, "it began beside the other"
        while not getattr(context.progress, "shown", True):
            time.sleep(0.01)  # until it is waited for
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        try:
            while True:
                context.progress.update("working")
                time.sleep(0.01)
        finally:
            time.sleep(0.2)  # removing what it made
            cleaned.set()

    first = Stage("first", lambda _: Done("first", 1))
    second = Stage("second", long, (first,), beside=first)
    with pytest.raises(KeyboardInterrupt):
        run_stages([first, second], Context(tmp_path, CheckRequest(()), Silent()), Run(Silent()))
    assert cleaned.is_set()
