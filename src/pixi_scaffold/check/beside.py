"""A stage that runs beside another one, in a thread; only a good end of it counts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from pixi_scaffold.report import Progress, Silent

if TYPE_CHECKING:
    from pixi_scaffold.check.stages import Context, Done, Stage


class Beside:
    """A stage that has begun before its turn."""

    def __init__(self, one: Stage[Any], context: Context, values: Sequence[Any]) -> None:
        self._progress = _Unseen(context.progress)
        self._done: Done[Any] | None = None
        context = replace(context, progress=self._progress)

        def work() -> None:
            with suppress(Exception, KeyboardInterrupt):
                self._done = one.work(context, *values)
            self._ended.set()

        self._ended = Event()  # Thread.join, once interrupted, takes the thread for ended
        Thread(target=work).start()

    def result(self) -> Done[Any] | None:
        """Wait for what it gives; None when it did not end well, and is to be tried again alone."""
        self._progress.shown = True
        self._ended.wait()
        return self._done

    def stop(self) -> None:
        """End it, and wait until it has removed what it made."""
        self._progress.stopped = True
        self._ended.wait()


class Within(Silent):
    """Passes on what is being done; the stage around it starts and ends by itself."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def update(self, text: str, fraction: float | None = None) -> None:
        """Pass it on."""
        self.progress.update(text, fraction)

    def note(self, text: str) -> None:
        """Pass it on as what is being done."""
        self.update(text)

    def agree(self, question: str) -> bool:
        """Ask it."""
        return self.progress.agree(question)


class _Unseen(Within):
    """Says nothing before its turn; interrupts the work that tells it something when that ends."""

    shown = stopped = False

    def update(self, text: str, fraction: float | None = None) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        if self.shown:
            super().update(text, fraction)

    def agree(self, question: str) -> bool:  # noqa: ARG002  nobody is asked out of turn
        return True
