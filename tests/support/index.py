"""Package indexes on loopback, of wheels that are made here, before those of pip's own index."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import io
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote, urljoin

from tests.support.server import listening

_JSON = "application/vnd.pypi.simple.v1+json"
_ASK_PIP = """
from pip._internal.cli.main_parser import parse_command
from pip._internal.commands import create_command
print(create_command("download").parse_args([])[0].index_url)
"""


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    requires: Iterable[str] = (),
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a wheel of plain Python; without `files` it has one module that says its version."""
    module = name.replace("-", "_")
    files = dict(files or {f"{module}.py": f"__version__ = {version!r}\n"})
    info = f"{module}-{version}.dist-info"
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    lines += [f"Provides-Extra: {one}" for one in _extras(requires)]
    lines += [f"Requires-Dist: {one}" for one in requires]
    files[f"{info}/METADATA"] = "\n".join(lines) + "\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(
        f"{path},sha256={_digest(text)},{len(text.encode())}\n" for path, text in files.items()
    )
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _extras(requires: Iterable[str]) -> list[str]:
    words = [one.partition("extra == ")[2].strip("'\"") for one in requires]
    return sorted(set(filter(None, words)))


def pips_index() -> str:
    """Return the index that pip asks as it is configured here."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK_PIP], capture_output=True, text=True, check=True
    )
    return done.stdout.strip().rstrip("/")


def index_answers() -> bool:
    """Whether the default package index can be reached from here."""
    from pixi_scaffold.lock.pypi import default_index

    try:
        with urllib.request.urlopen(default_index() + "/einops/", timeout=10):
            return True
    except OSError:
        return False


@dataclass
class Index:
    """A running index: its URL, and what it was asked."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    stuck: str = ""
    """Files whose names begin so never come to their end."""
    digests: dict[str, str] = field(default_factory=dict)
    """What it says of files in place of the truth."""

    def projects(self) -> list[str]:
        """Return the names whose pages were asked for, in order."""
        return [path.strip("/") for path in self.asked if path.count("/") == 2]


@contextmanager
def index(
    wheels: Iterable[Path], upstream: str = "", hidden: Iterable[str] = (), keep: int = 0
) -> Iterator[Index]:
    """Serve wheels; other names are those of `upstream` (an index's URL), but for hidden ones.

    keep: seconds for which clients may use an answer again.
    """
    own: dict[str, list[Path]] = {}
    upstream_page = functools.cache(_upstream)
    for wheel in wheels:
        own.setdefault(_normal(wheel.name.partition("-")[0]), []).append(wheel)
    running = Index()

    class Handler(_Handler):
        max_age = keep

        def do_GET(self) -> None:
            running.asked.append(self.path)
            head, _, rest = self.path.strip("/").partition("/")
            if not rest:
                if head in own:
                    self.page(
                        {"filename": p.name, "url": f"/own/{p}", "hashes": {"sha256": digest}}
                        for p in own[head]
                        for digest in [running.digests.get(p.name) or _file_digest(p)]
                    )
                elif upstream and head not in hidden:
                    self.page(upstream_page(f"{upstream}/{head}/"))
                else:
                    self.send_error(404)
            elif head == "own":
                name = rest.rpartition("/")[2]
                while running.stuck and name.startswith(running.stuck) and self.command == "GET":
                    if "Range" in self.headers:
                        break  # its metadata
                    time.sleep(0.05)
                path = Path(unquote(rest))
                if path.is_file():
                    self.content(path.open("rb"), path.stat().st_size)
                else:  # it has no metadata beside its wheels
                    self.send_error(404)
            else:
                place, _, name = rest.partition("/")
                self.forward(f"{unquote(place)}/{name}")

        do_HEAD = do_GET  # noqa: N815

    with listening(Handler) as running.url:
        yield running


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    max_age = 0

    def log_message(self, format: str, *args: object) -> None:
        pass

    def page(self, files: Iterable[Mapping[str, object]]) -> None:
        """Answer with the files of a project, as the simple index has them in JSON."""
        document = {"meta": {"api-version": "1.0"}, "name": "x", "files": list(files)}
        data = json.dumps(document).encode()
        self.content(io.BytesIO(data), len(data), _JSON)

    def content(self, file: IO[bytes], size: int, kind: str = "application/octet-stream") -> None:
        """Answer with a file, or the range of it that is asked for."""
        wanted = self.headers.get("Range", "").removeprefix("bytes=")
        first, _, last = wanted.partition("-")
        start = 0 if not wanted else int(first) if first else max(0, size - int(last))
        stop = min(int(last) + 1, size) if first and last else size
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.may_be_kept()
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        with file:
            file.seek(start)
            while self.command == "GET" and start < stop:
                data = file.read(min(stop - start, 1 << 20))
                self.wfile.write(data)
                start += len(data)

    def may_be_kept(self) -> None:
        """Say for how long the answer may be used again."""
        if self.max_age:
            self.send_header("Cache-Control", f"max-age={self.max_age}")

    def forward(self, url: str) -> None:
        """Answer with what lies there."""
        request = urllib.request.Request(url, method=self.command)
        if "Range" in self.headers:
            request.add_header("Range", self.headers["Range"])
        try:
            with urllib.request.urlopen(request, context=_certificates()) as answer:
                self.send_response(answer.status)
                self.may_be_kept()
                for name in ("Content-Length", "Content-Range", "Accept-Ranges", "Content-Type"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.end_headers()
                while data := answer.read(1 << 20):
                    self.wfile.write(data)
        except urllib.error.HTTPError as error:
            self.send_error(error.code)


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Those of the system; to read them takes longer than a request."""
    return ssl.create_default_context()


def _upstream(url: str) -> list[dict[str, object]]:
    """Return the files of a project's page with all that it says of them, their links leading here."""
    request = urllib.request.Request(url, headers={"Accept": _JSON})
    try:
        with urllib.request.urlopen(request, context=_certificates()) as answer:
            files = json.load(answer)["files"]
    except urllib.error.HTTPError:
        return []
    for file in files:
        place, _, name = urljoin(url, file["url"]).rpartition("/")
        file["url"] = f"/upstream/{quote(place, safe='')}/{name}"
    return files  # type: ignore[no-any-return]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


@functools.cache
def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
