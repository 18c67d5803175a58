"""Fetch files over HTTP, many at once."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import http.client
    import urllib.request


@functools.cache
def _addresses(host: str, port: int) -> tuple[str, ...]:
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in answers))


_LOOKING_UP = threading.Lock()


def _connected(address: tuple[str, int], *rest: Any) -> socket.socket:
    """Connect as socket.create_connection does, with one look-up of a name for all threads.

    Several at once are what resolvers of home routers and of containers lose, for five seconds.
    """
    with _LOOKING_UP:
        hosts = _addresses(*address)
    for host in hosts[:-1]:
        with contextlib.suppress(OSError):
            return socket.create_connection((host, address[1]), *rest)
    return socket.create_connection((hosts[-1], address[1]), *rest)


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    """Return one opener for all: to read the system's certificates takes 30 ms of a core."""
    import http.client
    import ssl
    import urllib.request

    context = ssl.create_default_context()

    class Connection(http.client.HTTPSConnection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._create_connection = _connected  # where http.client takes its sockets from

    class Handler(urllib.request.HTTPSHandler):
        def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(Connection, request, context=context)

    return urllib.request.build_opener(Handler())


def download(
    url: str, headers: Mapping[str, str], seconds: float
) -> tuple[bytes, Mapping[str, str]]:
    """Return what a server sends, and its headers; credentials in the URL are used.

    seconds: how long one step may take. A Range that the server does not give is not read whole.
    Raises OSError.
    """
    import base64
    import http.client
    import urllib.request

    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    plain = parts._replace(netloc=host, fragment="").geturl()
    try:
        request = urllib.request.Request(plain, headers=dict(headers))  # noqa: S310
        if parts.username:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            token = base64.b64encode(login.encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        with _opener().open(request, timeout=seconds) as answer:
            if "Range" in headers and answer.status != 206:  # HTTP's Partial Content
                raise OSError("its server gives no parts of files")
            return answer.read(), answer.headers
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(str(error)) from error
