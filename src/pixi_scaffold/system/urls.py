"""What a URL gives away."""

import re
from urllib.parse import parse_qsl, urlsplit

_NAMES = "token|password|passwd|secret|api_?key|access_?key|signature"
_SECRET = re.compile(_NAMES, re.IGNORECASE)
_IN_TEXT = re.compile(
    rf"(?<=http://)[^/@\s]+@|(?<=https://)[^/@\s]+@|(?<=://)[^/:@\s]*:[^/@\s]+@"
    rf"|(?<=[^/])/t/[^/\s]+|[?&][^=&\s]*(?:{_NAMES})[^=&\s]*=[^&\s]*",
    re.IGNORECASE,
)


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
    web = parts.scheme.removeprefix("git+") in ("http", "https")
    if password or (user and web):
        return True
    if re.search(r"/t/[^/]+", parts.path) and web:
        return True
    return any(_SECRET.search(name) for name, _ in parse_qsl(parts.query))


def without_credentials(text: str) -> str:
    """Return a text with the URLs in it without what `has_credentials` looks for."""
    return _IN_TEXT.sub("", text) if "://" in text else text
