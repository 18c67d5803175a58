"""A terminal for a shell in a sandbox: what is typed goes there, what it prints comes here."""

import contextlib
import os
import select
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def terminal() -> Iterator[int]:
    """Give the far end of a new terminal, connected with the user's own for the time of the block.

    Keys such as Ctrl-C go to the shell. The user's terminal is as it was afterwards.
    """
    import fcntl
    import termios

    near, far = os.openpty()
    done = threading.Event()
    relay = threading.Thread(target=_relay, args=(near, done), daemon=True)
    with _raw(), contextlib.suppress(OSError):
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(sys.stdin.fileno(), termios.TIOCGWINSZ, bytes(8))
            fcntl.ioctl(near, termios.TIOCSWINSZ, size)
        relay.start()
        try:
            yield far
        finally:
            os.close(far)
            done.set()
            relay.join(2)
            os.close(near)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _relay(near: int, done: threading.Event) -> None:
    """Copy both ways until the shell has ended and all that it printed was shown."""
    waiting = [0, near]
    while True:
        ready = select.select(waiting, [], [], 0.1)[0]
        if not ready and done.is_set():
            return
        with contextlib.suppress(OSError):  # the far end is closed: EIO
            if near in ready:
                os.write(1, os.read(near, 1 << 14))
            if 0 in ready:
                typed = os.read(0, 1 << 14)
                if not typed:  # no more will come: Ctrl-D
                    waiting.remove(0)
                os.write(near, typed or b"\x04")
            continue
        if done.is_set():
            return
