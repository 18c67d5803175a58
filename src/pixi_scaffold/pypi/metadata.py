"""What wheels say of themselves: fetched from beside them (PEP 658), or out of them."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import http.client
import io
import socket
import ssl
import threading
import urllib.request
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

import platformdirs

from pixi_scaffold.errors import LockError
from pixi_scaffold.pypi.uv import ChosenWheel
from pixi_scaffold.system import replacing

AT_ONCE = 16
"""How many are fetched at the same time."""
SECONDS = 60.0
END = 1 << 16
"""Bytes at the end of a wheel that hold its list of files, and mostly its metadata."""


@dataclass(frozen=True, slots=True)
class Described:
    """A wheel and its metadata: Requires-Dist as it has it, Requires-Python or nothing."""

    wheel: ChosenWheel
    requires_dist: tuple[str, ...]
    requires_python: str


class Describing:
    """Fetches the metadata of wheels while others are still chosen, of each wheel once."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(AT_ONCE)
        self.begun: dict[str, Future[Described]] = {}
        self.lock = threading.Lock()

    def __enter__(self) -> Describing:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def start(self, wheels: Iterable[ChosenWheel]) -> None:
        """Begin with these wheels, from any thread."""
        with self.lock:
            for wheel in wheels:
                if wheel.url not in self.begun:
                    self.begun[wheel.url] = self.pool.submit(_described, wheel)

    def results(self) -> dict[str, Described]:
        """Return what all wheels say, by their URLs; raises LockError."""
        return {url: future.result() for url, future in self.begun.items()}


def _described(wheel: ChosenWheel) -> Described:
    """Return one wheel's metadata; what was fetched is kept in the user's cache by its SHA-256."""
    from packaging.metadata import parse_email

    if not wheel.sha256:
        wheel, data = _whole(wheel)
    else:
        data = _metadata(wheel)
    raw, _ = parse_email(data)
    return Described(wheel, tuple(raw.get("requires_dist", ())), raw.get("requires_python", ""))


def _metadata(wheel: ChosenWheel) -> bytes:
    cached = platformdirs.user_cache_path("pixi-scaffold") / "wheels" / f"{wheel.sha256}.metadata"
    try:
        return cached.read_bytes()
    except OSError:
        pass
    try:
        data = _fetch(f"{wheel.url}.metadata")
    except LockError:  # not every index has them
        data = _read_metadata(_Remote(wheel.url), wheel.url)
    cached.parent.mkdir(parents=True, exist_ok=True)
    with replacing(cached) as new:
        new.write_bytes(data)
    return data


def _whole(wheel: ChosenWheel) -> tuple[ChosenWheel, bytes]:
    """Fetch a wheel of which no SHA-256 is known; return it with that, and its metadata."""
    data = _fetch(wheel.url)
    found = replace(wheel, sha256=hashlib.sha256(data).hexdigest())
    return found, _read_metadata(io.BytesIO(data), wheel.url)


def _read_metadata(file: IO[bytes] | io.RawIOBase, url: str) -> bytes:
    try:
        with zipfile.ZipFile(cast("IO[bytes]", file)) as archive:
            names = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
            return archive.read(min(names, key=len))
    except (zipfile.BadZipFile, ValueError, KeyError) as error:
        raise LockError(f"{url} is no wheel: {error}", "ask who runs the index") from error


class _Remote(io.RawIOBase):
    """A file on a server, of which only what is read is fetched: first its end."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.data, self.size = _part(url, f"-{END}")
        self.start = self.size - len(self.data)
        self.place = 0

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place}.get(whence, self.size)
        return self.place

    def read(self, size: int | None = -1) -> bytes:
        left = self.size - self.place
        count = left if size is None or size < 0 else min(size, left)
        first = self.place
        self.place += count
        if count <= 0:
            return b""
        if first < self.start or first + count > self.start + len(self.data):
            self.data, _ = _part(self.url, f"{first}-{first + max(count, END) - 1}")
            self.start = first
        return self.data[first - self.start : first - self.start + count]


def _part(url: str, wanted: str) -> tuple[bytes, int]:
    """Return a range of a file, or all of it where its server has no ranges; and its size."""
    data, headers = _answer(url, {"Range": f"bytes={wanted}"})
    said = str(headers.get("Content-Range", ""))
    return data, int(said.rpartition("/")[2]) if said else len(data)


@functools.cache
def _addresses(host: str, port: int) -> tuple[str, ...]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


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


class _Connection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = _connected  # where http.client takes its sockets from


class _Handler(urllib.request.HTTPSHandler):
    def __init__(self) -> None:
        super().__init__()
        self.ssl = ssl.create_default_context()

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, request, context=self.ssl)


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    """Return one opener for all: to read the system's certificates takes 30 ms of a core."""
    return urllib.request.build_opener(_Handler())


def _fetch(url: str) -> bytes:
    parts = urlsplit(url)
    if parts.scheme == "file":
        try:
            return Path(unquote(parts.path)).read_bytes()
        except OSError as error:
            raise LockError(f"{url} cannot be read: {error}", "look at find-links") from error
    return _answer(url, {})[0]


def _answer(url: str, headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
    """Return what a server sends, and its headers; credentials in the URL are used."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    plain = parts._replace(netloc=host, fragment="").geturl()
    request = urllib.request.Request(plain, headers=dict(headers))  # noqa: S310
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        token = base64.b64encode(login.encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with _opener().open(request, timeout=SECONDS) as answer:
            return answer.read(), answer.headers
    except (OSError, ValueError) as error:
        raise LockError(
            f"{host}{parts.path} cannot be fetched: {error}", "check the network, then try again"
        ) from error
