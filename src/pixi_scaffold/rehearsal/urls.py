"""Inputs at URLs: fetched as a worker's transfer plugins do, or a file that stands in for one."""

import errno
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.rehearsal.transfer import CHUNK, Failure, Sent, copy

PLUGIN_FAILED = 256
"""HoldReasonSubCode of a file that a transfer plugin could not get or put (seen with 25.14)."""
_WEB = ("http", "https")
_WAIT = 30.0


def file_of(url: str) -> Path | None:
    """Return the file that a file:// URL names; None for another URL."""
    scheme, _, path = url.partition("://")
    if scheme.lower() != "file":
        return None
    return Path("/" + unquote(path.partition("?")[0].partition("#")[0]).partition("/")[2])


def _refused(url: str) -> Sent | None:
    """Return why HTCondor does not even ask for a URL; None when it does.

    Seen with 25.14: it wants a name of the file, its plugin no blanks and no other host.
    """
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    is_file = scheme.lower() == "file"
    if is_file and (path.endswith("/") or not path):
        return _failed(url, "its end is no name of a file", errno.EPERM)
    if is_file and host not in ("", "localhost", "127.0.0.1"):
        return _failed(url, f"a file URL with the host {host}; write file:///PATH")
    if re.search(r"[\0- \x7f]", url):
        return _failed(url, "a blank in a URL; write %20 in its place")
    return None


@dataclass(frozen=True, slots=True)
class Urls:
    """How URLs are had here."""

    network: bool = False
    given: Mapping[str, Path] = field(default_factory=dict)
    """Files that stand in for URLs, as named with --input."""

    def require(self, urls: list[str]) -> None:
        """Raise Skipped, with the names, when some of these cannot be had here."""
        for url in urls:
            scheme = url.partition("://")[0].lower()
            if url in self.given or scheme == "file" or (scheme in _WEB and self.network):
                continue
            how = f"--input {url}=FILE, with a file that stands in for it"
            if scheme in _WEB:
                how = f"--network, or {how}"
            raise Skipped(f"{url} is not fetched here", f"rehearse it with {how}")

    def fetch(self, url: str, folder: Path, stop: Callable[[], None]) -> Sent:
        """Put what a URL holds into a folder.

        Raises ScaffoldError when a server does not answer: that is no failure of the job's.
        """
        if refused := _refused(url):
            return refused
        path = url.partition("://")[2].partition("?")[0]
        target = folder / (PurePosixPath(path).name or "index.html")
        source = self.given.get(url) or file_of(url)
        if source is None:
            return _downloaded(url, target, stop)
        try:
            if source.is_dir() and url not in self.given:  # curl lists it
                names = sorted(p.name for p in source.iterdir() if not p.name.startswith("."))
                target.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
            elif source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
                return Sent()
            else:
                copy(source, target, stop)
                target.chmod(0o644)
        except OSError:
            return _failed(url)
        return Sent(fetched=target.stat().st_size)


def _failed(url: str, why: str = "there is no such file", number: int = PLUGIN_FAILED) -> Sent:
    return Sent(failures=[Failure(Path(url), number, url=url, why=why)])


def _downloaded(url: str, target: Path, stop: Callable[[], None]) -> Sent:
    from urllib.error import HTTPError, URLError
    from urllib.request import urlopen  # only a few rehearsals need it

    try:
        with urlopen(url, timeout=_WAIT) as answer, target.open("wb") as file:  # noqa: S310
            while chunk := answer.read(min(CHUNK, 1 << 20)):
                stop()
                file.write(chunk)
    except HTTPError:  # there is no such thing
        return _failed(url)
    except (URLError, OSError) as error:
        why = getattr(error, "reason", None) or error
        raise ScaffoldError(
            f"{url} cannot be fetched here: {why}",
            f"try again, or let a file stand in for it: --input {url}=FILE",
        ) from error
    return Sent(fetched=target.stat().st_size)
