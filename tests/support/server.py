"""HTTP servers on loopback: one that serves a folder, one that takes calls and says nothing."""

from __future__ import annotations

import functools
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    """Connections that wait; of more than these a client would hear again a second later."""


@contextmanager
def listening(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Let a handler answer requests; yield the URL of its server."""
    server = _Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve `folder`; yield its URL."""
    with listening(functools.partial(_Quiet, directory=str(folder))) as url:
        yield url


@contextmanager
def answering(code: int) -> Iterator[str]:
    """Answer every request with this HTTP status."""

    class Handler(_Quiet):
        def do_HEAD(self) -> None:
            self.send_error(code)

        do_GET = do_HEAD  # noqa: N815

    with listening(Handler) as url:
        yield url


@contextmanager
def swallow() -> Iterator[str]:
    """Take connections and never answer, as a network that loses packets looks from here."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


_TAKEN: list[socket.socket] = []


def closed() -> str:
    """Return a URL where nobody listens, nor can while this process lives: its port is taken."""
    _TAKEN.append(taken := socket.socket())
    taken.bind(("127.0.0.1", 0))
    return f"http://127.0.0.1:{taken.getsockname()[1]}"
