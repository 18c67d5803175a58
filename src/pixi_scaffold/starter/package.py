"""Write one conda package: a `.conda` archive (CEP 35) from files that are here."""

import hashlib
import importlib.util
import io
import json
import marshal
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pixi_scaffold.system import replacing

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MTIME = 1577836800
"""Every file's time, 2020-01-01 UTC: the same input gives the same archive."""

_CHUNK = 1 << 20
_LEVEL = 1  # of zstd: packs PyTorch in seconds


@dataclass(frozen=True, slots=True)
class Stream:
    """A file too large to hold in memory: how to open it, its size in bytes."""

    open: Callable[[], IO[bytes]]
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a package: where it goes, its content, its mode."""

    path: str
    data: bytes | Stream = b""
    mode: int = 0o644
    link: str = ""
    """The target, for a symbolic link."""


def write_package(folder: Path, index: Mapping[str, Any], entries: Iterable[Entry]) -> Path:
    """Write `folder/NAME-VERSION-BUILD.conda` and return its path; one that is there is kept.

    index: the content of info/index.json.
    """
    stem = f"{index['name']}-{index['version']}-{index['build']}"
    target = folder / f"{stem}.conda"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    payload = folder / f".{stem}.tar.zst"
    try:
        with zstd.open(payload, "wb", level=_LEVEL) as out:
            paths = _write_tar(out, entries)
        with replacing(target) as new, zipfile.ZipFile(new, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_member("metadata.json"), '{"conda_pkg_format_version": 2}')
            archive.writestr(_member(f"info-{stem}.tar.zst"), _info(index, paths))
            with (
                payload.open("rb") as source,
                archive.open(_member(f"pkg-{stem}.tar.zst"), "w", force_zip64=True) as member,
            ):
                shutil.copyfileobj(source, member, _CHUNK)
    finally:
        payload.unlink(missing_ok=True)
    return target


def compiled(path: str, source: bytes) -> Entry | None:
    """Return the byte code of a module as an entry beside it, or None when it does not compile.

    Without it the first import of PyTorch in every new environment takes seconds more.
    """
    try:
        code = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):  # some packages ship templates named .py
        return None
    header = importlib.util.MAGIC_NUMBER + b"\0" * 4
    header += MTIME.to_bytes(4, "little") + (len(source) & 0xFFFFFFFF).to_bytes(4, "little")
    return Entry(importlib.util.cache_from_source(path), header + marshal.dumps(code))


def _member(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))


def _write_tar(out: Any, entries: Iterable[Entry]) -> list[dict[str, Any]]:
    paths: list[dict[str, Any]] = []
    with tarfile.TarFile(
        fileobj=out, mode="w", format=tarfile.PAX_FORMAT, copybufsize=_CHUNK
    ) as tar:
        for entry in entries:
            member = tarfile.TarInfo(entry.path)
            member.mtime, member.mode = MTIME, entry.mode
            if entry.link:
                member.type, member.linkname, member.mode = tarfile.SYMTYPE, entry.link, 0o777
                tar.addfile(member)
                paths.append({"_path": entry.path, "path_type": "softlink"})
                continue
            if isinstance(entry.data, Stream):
                member.size = entry.data.size
                with entry.data.open() as file:
                    source = _Digested(file)
                    tar.addfile(member, source)  # type: ignore[arg-type]  # it only reads
            else:
                member.size = len(entry.data)
                source = _Digested(io.BytesIO(entry.data))
                tar.addfile(member, source)  # type: ignore[arg-type]
            paths.append({
                "_path": entry.path,
                "path_type": "hardlink",
                "sha256": source.sha256.hexdigest(),
                "size_in_bytes": member.size,
            })  # fmt: skip
    return paths


class _Digested:
    """Reads a file, and digests what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.sha256 = file, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.sha256.update(data)
        return data


def _info(index: Mapping[str, Any], paths: list[dict[str, Any]]) -> bytes:
    documents = {
        "info/index.json": dict(index),
        "info/paths.json": {"paths": paths, "paths_version": 1},
        "info/about.json": {"summary": "made by pixi-scaffold channel build"},
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, document in documents.items():
            data = json.dumps(document, sort_keys=True).encode()
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(data), MTIME, 0o644
            tar.addfile(member, io.BytesIO(data))
    return zstd.compress(buffer.getvalue(), level=_LEVEL)
