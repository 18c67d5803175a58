"""What a URL gives away."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

_SECRET = re.compile(r"token|password|passwd|secret|api_?key|access_?key|signature", re.IGNORECASE)


def has_credentials(url: str) -> bool:
    """Whether a URL carries what nobody else should read: it would be recorded and printed.

    A user (a token can stand there) or a password of http and https, a password of any other
    scheme, `/t/TOKEN/` as conda servers have it, `?token=` and the like. `git@host:path` has none.
    """
    try:
        parts = urlsplit(url)
        password, user = parts.password, parts.username
    except ValueError:  # a port that is no number
        return "@" in url
    if password or (user and parts.scheme in ("http", "https")):
        return True
    if re.search(r"/t/[^/]+", parts.path) and parts.scheme in ("http", "https"):
        return True
    return any(_SECRET.search(name) for name, _ in parse_qsl(parts.query))
