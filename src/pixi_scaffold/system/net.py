"""Ask within seconds whether anybody answers at a URL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import urllib.request

_GONE = frozenset({407, 500, 502, 503, 504, 511})
"""HTTP's ways to say that nobody is there."""


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
    return dict(whys)


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
        return f"no answer within {timeout:g} s" if late else str(reason)
    return None
