"""Ask within seconds whether a conda channel answers, by the way that Pixi is configured to go."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pixi_scaffold.lock.gateway import pixi_config

if TYPE_CHECKING:
    import urllib.request

_GONE = frozenset({407, 500, 502, 503, 504, 511})
TIMEOUT = 5.0
"""Seconds that a channel has to answer."""


def unreachable(channels: Sequence[str], timeout: float = TIMEOUT) -> str | None:
    """Return why one of `channels` (URLs with a slash at the end) cannot be used, or None.

    Any HTTP answer counts, an error too: then the solve says what is wrong. All channels are
    asked at once, and name look-up, connection and answer share `timeout` seconds.
    Raises LockError when Pixi's configuration files cannot be read.
    """
    config = pixi_config()
    proxies = {"http": config.proxy_http, "https": config.proxy_https}
    opener = _opener({scheme: url for scheme, url in proxies.items() if url})
    direct = _opener({})
    places = {channel: mirrored(channel, config.mirrors) for channel in channels}
    answers: dict[str, str | None] = {}

    def ask(url: str) -> None:
        host = urlsplit(url).hostname or ""
        through = direct if _is_exempt(host, config.proxy_non_proxy_hosts) else opener
        answers[url] = _ask(through, url, timeout)

    urls = dict.fromkeys(url for mirrors in places.values() for url in mirrors)
    threads = [threading.Thread(target=ask, args=(url,), daemon=True) for url in urls]
    for thread in threads:
        thread.start()
    end = time.monotonic() + timeout + 0.1
    for thread in threads:  # a look-up of a name obeys no timeout, a join does
        thread.join(max(0.0, end - time.monotonic()))
    for channel, mirrors in places.items():
        late = f"no answer within {timeout:g} s"
        whys = [answers.get(url, late) for url in mirrors]
        if None not in whys:
            return f"{channel}: {whys[0]}"
    return None


def _is_exempt(host: str, patterns: Sequence[str]) -> bool:
    """Whether the configuration says to go to `host` without a proxy."""
    return any(host == p.lstrip("*.") or host.endswith("." + p.lstrip("*.")) for p in patterns)


def mirrored(channel: str, mirrors: Mapping[str, Sequence[str]]) -> list[str]:
    """Return where the channel is fetched from: its mirrors by the longest prefix, or itself."""
    for prefix in sorted(mirrors, key=len, reverse=True):
        base = prefix.rstrip("/") + "/"
        if channel.startswith(base) and mirrors[prefix]:
            rest = channel.removeprefix(base)
            return [mirror.rstrip("/") + "/" + rest for mirror in mirrors[prefix]]
    return [channel]


def _opener(proxies: Mapping[str, str]) -> urllib.request.OpenerDirector:
    import ssl
    import urllib.request

    # The question is only whether somebody answers: nothing is sent and nothing is believed, so
    # a certificate that rattler knows and Python does not must not look like a dead network. The
    # default context would read all certificates of the system, which takes 0.05 s.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if proxies:
        handlers.append(urllib.request.ProxyHandler(dict(proxies)))
    return urllib.request.build_opener(*handlers)


def _ask(opener: urllib.request.OpenerDirector, url: str, timeout: float) -> str | None:
    import http.client
    import urllib.error
    import urllib.request

    parts = urlsplit(url)
    if parts.scheme == "file":
        return None if Path(unquote(parts.path)).is_dir() else "there is no such folder"
    if parts.scheme not in ("http", "https"):
        return None  # s3 and oci need credentials to ask; the solve will tell
    # Not HEAD: some servers answer that and never send anything.
    request = urllib.request.Request(url + "noarch/repodata.json.zst")  # noqa: S310
    try:
        with opener.open(request, timeout=timeout) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        # The solve tells about a missing channel or credentials; these say that nobody is there.
        return f"HTTP {error.code} {error.reason}" if error.code in _GONE else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return (
            f"no answer within {timeout:g} s" if isinstance(reason, TimeoutError) else str(reason)
        )
    return None
