"""Ask within seconds whether a conda channel answers, by the way that Pixi is configured to go."""

from __future__ import annotations

import http.client
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pixi_scaffold.errors import LockError

TIMEOUT = 5.0
"""Seconds that a channel has to answer."""


def unreachable(channels: Sequence[str], timeout: float = TIMEOUT) -> str | None:
    """Return why one of `channels` (URLs with a slash at the end) cannot be used, or None.

    Any HTTP answer counts, an error too: then the solve says what is wrong. All channels are
    asked at once, and name look-up, connection and answer share `timeout` seconds.
    Raises LockError when Pixi's configuration files cannot be read.
    """
    from rattler import Config

    try:
        config = Config.load_from_default_locations("pixi")
    except Exception as error:  # several kinds, no common base
        raise LockError(f"the Pixi configuration cannot be read: {error}") from error
    proxies = {"http": config.proxy_http, "https": config.proxy_https}
    opener = _opener({scheme: url for scheme, url in proxies.items() if url})
    answers: dict[str, str | None] = {}

    def ask(channel: str) -> None:
        answers[channel] = _ask_any(opener, mirrored(channel, config.mirrors), timeout)

    threads = [threading.Thread(target=ask, args=(c,), daemon=True) for c in channels]
    for thread in threads:
        thread.start()
    for thread in threads:  # a look-up of a name obeys no timeout, a join does
        thread.join(timeout)
    for channel in channels:
        why = answers.get(channel, f"no answer within {timeout:g} s")
        if why is not None:
            return f"{channel}: {why}"
    return None


def mirrored(channel: str, mirrors: Mapping[str, Sequence[str]]) -> list[str]:
    """Return where the channel is fetched from: its mirrors by the longest prefix, or itself."""
    for prefix in sorted(mirrors, key=len, reverse=True):
        base = prefix.rstrip("/") + "/"
        if channel.startswith(base) and mirrors[prefix]:
            rest = channel.removeprefix(base)
            return [mirror.rstrip("/") + "/" + rest for mirror in mirrors[prefix]]
    return [channel]


def _opener(proxies: Mapping[str, str]) -> urllib.request.OpenerDirector:
    # The question is only whether somebody answers: nothing is sent and nothing is believed, so
    # a certificate that rattler knows and Python does not must not look like a dead network.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if proxies:
        handlers.append(urllib.request.ProxyHandler(dict(proxies)))
    return urllib.request.build_opener(*handlers)


def _ask_any(
    opener: urllib.request.OpenerDirector, urls: Sequence[str], timeout: float
) -> str | None:
    why: str | None = "no mirror"
    for url in urls:
        why = _ask(opener, url, timeout)
        if why is None:
            return None
    return why


def _ask(opener: urllib.request.OpenerDirector, url: str, timeout: float) -> str | None:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return None if Path(unquote(parts.path)).is_dir() else "there is no such folder"
    if parts.scheme not in ("http", "https"):
        return None  # s3 and oci need credentials to ask; the solve will tell
    request = urllib.request.Request(url + "noarch/repodata.json.zst", method="HEAD")  # noqa: S310
    try:
        opener.open(request, timeout=timeout).close()
    except urllib.error.HTTPError:
        return None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return (
            f"no answer within {timeout:g} s" if isinstance(reason, TimeoutError) else str(reason)
        )
    return None
