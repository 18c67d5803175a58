"""The command line: its commands, and how the process ends."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer import Option

from pixi_scaffold import __version__
from pixi_scaffold.cli.commands import SETTINGS, Commands, epilog
from pixi_scaffold.errors import EXIT_FAILED, EXIT_INTERRUPTED

_SOON = 0.05  # seconds
_AGAIN = (_SOON, 10 * _SOON, 40 * _SOON)
app = typer.Typer(
    name="pixi-scaffold",
    cls=Commands,
    help="Start a PyTorch project for laptops, workstations and HTCondor, and prove that it works.",
    epilog=epilog(),
    **SETTINGS,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"pixi-scaffold {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def _on_term(_signum: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _safe_streams() -> None:
    """Let a stream that is closed, or a log in ASCII, not stop the work."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _not_lost(ignored: sys.UnraisableHookArgs) -> None:
    """Interrupt again where Python could not raise it: in a callback while it cleaned up."""
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        to = (threading.main_thread().ident or 0, signal.SIGINT)
        threading.Timer(_SOON, signal.pthread_kill, to).start()  # now, it would be lost here


def _hear_signals() -> None:
    """Wake the main thread after each signal.

    Python acts on a signal when the main thread runs next. Where it was just about to wait for a
    lock, it would run when that is free: for a future, when all the work is done.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.signal(signal.SIGURG, lambda *_: None)  # a signal that otherwise does nothing
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    main_thread = threading.main_thread().ident or 0

    def wake() -> None:
        while number := os.read(reading, 1):
            for pause in _AGAIN if number[0] != signal.SIGURG else ():
                time.sleep(pause)
                signal.pthread_kill(main_thread, signal.SIGURG)

    threading.Thread(target=wake, daemon=True).start()


def main(run: Callable[[], Any] = app) -> NoReturn:
    """Run the command line and end; SIGTERM and SIGHUP end a command as cleanly as Ctrl-C."""
    _safe_streams()
    code, lost = EXIT_FAILED, None
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):  # SIGHUP: the terminal was closed
            signal.signal(number, _on_term)
        _hear_signals()
        sys.unraisablehook = _not_lost
        run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code == EXIT_INTERRUPTED:  # a coroutine that was never begun complains as it goes
            warnings.simplefilter("ignore")
    except KeyboardInterrupt:  # before a command began
        code = EXIT_INTERRUPTED
    except OSError as error:
        lost = error
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # too late: it has ended
        signal.signal(number, signal.SIG_IGN)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has enough
        code = code or EXIT_FAILED
    except OSError as error:  # a buffered stdout says only now that it is full
        lost = error
    if lost is not None:
        code = EXIT_FAILED
        with contextlib.suppress(OSError):
            sys.stderr.write(f"error: cannot write the output: {lost.strerror}\n")
            sys.stderr.flush()
    # rattler's threads outlive a failed solve, and can crash the interpreter while it shuts down
    # (seen with 0.28: SIGSEGV or SIGABRT in 8 of 45 runs). Nothing is left to be done here.
    os._exit(code)
