"""What wheels say of themselves: fetched from beside them (PEP 658), or out of them."""

from __future__ import annotations

import base64
import hashlib
import io
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import platformdirs

from pixi_scaffold.errors import LockError
from pixi_scaffold.pypi.uv import ChosenWheel
from pixi_scaffold.system import replacing

AT_ONCE = 16
"""How many are fetched at the same time."""
SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Described:
    """A wheel and its metadata: Requires-Dist as it has it, Requires-Python or nothing."""

    wheel: ChosenWheel
    requires_dist: tuple[str, ...]
    requires_python: str


def describe(wheels: Iterable[ChosenWheel]) -> dict[str, Described]:
    """Return the metadata of wheels by their URLs.

    What was fetched is kept in the user's cache by the wheel's SHA-256. Raises LockError.
    """
    unique = {wheel.url: wheel for wheel in wheels}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(unique, pool.map(_described, unique.values()), strict=True))


def _described(wheel: ChosenWheel) -> Described:
    from packaging.metadata import parse_email

    if not wheel.sha256:
        wheel, data = _out_of_wheel(wheel)
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
        _, data = _out_of_wheel(wheel)
    cached.parent.mkdir(parents=True, exist_ok=True)
    with replacing(cached) as new:
        new.write_bytes(data)
    return data


def _out_of_wheel(wheel: ChosenWheel) -> tuple[ChosenWheel, bytes]:
    """Fetch a wheel, compare its SHA-256 where one is known; return it with that, and METADATA."""
    data = _fetch(wheel.url)
    digest = hashlib.sha256(data).hexdigest()
    if wheel.sha256 not in ("", digest):
        raise LockError(
            f"{wheel.url} has the SHA-256 {digest}, its index says {wheel.sha256}",
            "do not use it; ask who runs the index",
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
            text = archive.read(min(names, key=len))
    except (zipfile.BadZipFile, ValueError, KeyError) as error:
        raise LockError(f"{wheel.url} is no wheel: {error}", "ask who runs the index") from error
    return replace(wheel, sha256=digest), text


def _fetch(url: str) -> bytes:
    parts = urlsplit(url)
    if parts.scheme == "file":
        try:
            return Path(unquote(parts.path)).read_bytes()
        except OSError as error:
            raise LockError(f"{url} cannot be read: {error}", "look at find-links") from error
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(parts._replace(netloc=host, fragment="").geturl())  # noqa: S310
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        token = base64.b64encode(login.encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            data: bytes = answer.read()
    except (OSError, ValueError) as error:
        raise LockError(
            f"{host}{parts.path} cannot be fetched: {error}", "check the network, then try again"
        ) from error
    return data
