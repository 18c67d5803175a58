"""HTTP: fetch files, many at once; ask within seconds whether anybody answers at a URL."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import http.client
    import urllib.request

_GONE = frozenset({407, 500, 502, 503, 504, 511})
"""HTTP's ways to say that nobody is there."""


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
def _downloads() -> urllib.request.OpenerDirector:
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
        with _downloads().open(request, timeout=seconds) as answer:
            if "Range" in headers and answer.status != 206:  # HTTP's Partial Content
                raise OSError("its server gives no parts of files")
            return answer.read(), answer.headers
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(str(error)) from error


def opener(proxies: Mapping[str, str] | None = None) -> urllib.request.OpenerDirector:
    """Return what opens URLs through proxies (scheme -> URL); those of the environment for None."""
    import ssl
    import urllib.request

    # The question is only whether somebody answers: nothing is sent and nothing is believed, so
    # a certificate that rattler knows and Python does not must not look like a dead network. The
    # default context would read all certificates of the system, which takes 0.05 s.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if proxies is None or proxies:
        handlers.append(urllib.request.ProxyHandler(None if proxies is None else dict(proxies)))
    return urllib.request.build_opener(*handlers)


def unanswered(
    urls: Iterable[str],
    timeout: float,
    opener_for: Callable[[str], urllib.request.OpenerDirector],
) -> dict[str, str | None]:
    """Return why nobody answers at each URL (http or https); None where somebody does.

    Any HTTP answer counts, an error too. All are asked at once, and name look-up, connection and
    answer share `timeout` seconds.
    """
    late = f"no answer within {timeout:g} s"
    whys: dict[str, str | None] = dict.fromkeys(urls, late)

    def ask(url: str) -> None:
        whys[url] = _ask(opener_for(url), url, timeout)

    threads = [threading.Thread(target=ask, args=(url,), daemon=True) for url in whys]
    for thread in threads:
        thread.start()
    end = time.monotonic() + timeout + 0.1
    for thread in threads:  # a look-up of a name obeys no timeout, a join does
        thread.join(max(0.0, end - time.monotonic()))
    return {url: why and _proxy(opener_for(url), url) + why for url, why in whys.items()}


def _ask(through: urllib.request.OpenerDirector, url: str, timeout: float) -> str | None:
    import http.client
    import urllib.error
    import urllib.request

    if urlsplit(url).scheme not in ("http", "https"):
        return None
    # Not HEAD: some servers answer that and never send anything.
    request = urllib.request.Request(url)  # noqa: S310
    try:
        with through.open(request, timeout=timeout) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code} {error.reason}" if error.code in _GONE else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        late = isinstance(reason, TimeoutError)
        said = f"no answer within {timeout:g} s" if late else getattr(reason, "strerror", None)
        return said or str(reason)
    return None


def _proxy(through: urllib.request.OpenerDirector, url: str) -> str:
    """Return the proxy between here and a URL, to be said before what went wrong; or nothing."""
    from urllib.request import ProxyHandler, proxy_bypass

    parts, handlers = urlsplit(url), vars(through)["handlers"]
    proxies: dict[str, str] = next(
        (vars(h)["proxies"] for h in handlers if isinstance(h, ProxyHandler)), {}
    )
    proxy = "" if proxy_bypass(parts.hostname or "") else proxies.get(parts.scheme, "")
    return proxy and f"through the proxy {urlsplit(proxy).netloc.rpartition('@')[2]}: "
