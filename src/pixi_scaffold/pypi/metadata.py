"""What wheels say of themselves: read out of their ends, or from beside them (PEP 658)."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pixi_scaffold.errors import LockError
from pixi_scaffold.pypi.uv import ChosenWheel
from pixi_scaffold.system import download, replacing

if TYPE_CHECKING:
    from concurrent.futures import Future

AT_ONCE = 16
"""How many are fetched at the same time."""
SECONDS = 60.0
ENDS = (1 << 16, 1 << 22)
"""Bytes at the end of a wheel that hold its list of files and, mostly beside it, its metadata."""


@dataclass(frozen=True, slots=True)
class Described:
    """A wheel and its metadata: Requires-Dist as it has it, Requires-Python or nothing."""

    wheel: ChosenWheel
    requires_dist: tuple[str, ...]
    requires_python: str


class Describing:
    """Fetches the metadata of wheels while others are still chosen, of each wheel once."""

    def __init__(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

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
    import platformdirs

    cached = platformdirs.user_cache_path("pixi-scaffold") / "wheels" / f"{wheel.sha256}.metadata"
    try:
        return cached.read_bytes()
    except OSError:
        pass
    data = _uncached(wheel)
    cached.parent.mkdir(parents=True, exist_ok=True)
    with replacing(cached) as new:
        new.write_bytes(data)
    return data


def _uncached(wheel: ChosenWheel) -> bytes:
    """Read the end of a wheel, or a longer one; else what lies beside it, or all of it."""
    for size in ENDS:
        with contextlib.suppress(LockError):
            end = _answer(wheel.url, {"Range": f"bytes=-{size}"})
            return _read_metadata(end, wheel.url)
    with contextlib.suppress(LockError):
        return _fetch(f"{wheel.url}.metadata")
    return _whole(wheel)[1]


def _whole(wheel: ChosenWheel) -> tuple[ChosenWheel, bytes]:
    """Fetch a wheel; return it with its SHA-256, which must be the known one, and its metadata."""
    data = _fetch(wheel.url)
    digest = hashlib.sha256(data).hexdigest()
    if wheel.sha256 not in ("", digest):
        raise LockError(
            f"{wheel.url} has the SHA-256 {digest}, its index says {wheel.sha256}",
            "do not use it; ask who runs the index",
        )
    return replace(wheel, sha256=digest), _read_metadata(data, wheel.url)


def _read_metadata(data: bytes, url: str) -> bytes:
    """Return the metadata out of a wheel or its end; raises LockError where it is not in there."""
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
            return archive.read(min(names, key=len))
    except (zipfile.BadZipFile, ValueError, KeyError) as error:
        raise LockError(f"{url} is no wheel: {error}", "ask who runs the index") from error


def _fetch(url: str) -> bytes:
    parts = urlsplit(url)
    if parts.scheme == "file":
        try:
            return Path(unquote(parts.path)).read_bytes()
        except OSError as error:
            raise LockError(f"{url} cannot be read: {error}", "look at find-links") from error
    return _answer(url, {})


def _answer(url: str, headers: Mapping[str, str]) -> bytes:
    parts = urlsplit(url)
    try:
        return download(url, headers, SECONDS)[0]
    except OSError as error:
        place = f"{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise LockError(
            f"{place} cannot be fetched: {error}", "check the network, then try again"
        ) from error
