"""What is in an environment on this machine that no worker gets: put there or edited by hand.

Source: the records in conda-meta (CEP 34), and the file INSTALLER of PEP 376.
"""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

MOST = 5
"""So many names of a kind are told."""
_EDITED = (".py", ".so")
"""Of other files nobody changes anything by hand, and there are many."""
_PLATFORM = re.compile(r"(?:^ {6}- (?:conda|pypi): .*\n)+", re.MULTILINE)
_FILE = re.compile(r"/([^/#\s]+)(?:#.*)?$", re.MULTILINE)
_SECONDS = 1.0
"""A file that is so much younger than the record of its package was written after it."""


@cache
def by_hand(prefix: Path, lock: Path | None) -> tuple[str, ...]:
    """Return what was changed by hand, a phrase a kind; nothing where all is as it was locked.

    lock: the file that the environment was made from; None where that is not known.
    """
    records = list(_records(prefix))
    absent = added_by_pip(prefix) + (_not_locked(records, lock) if lock else [])
    phrases = [f"a worker has no {_some(absent)}"] if absent else []
    if edited := list(_edited(prefix, records)):
        phrases.append(f"a worker has {_some(edited)} as packaged")
    return tuple(phrases)


def is_of(prefix: Path, lock: Path) -> bool:
    """Whether what is installed is what a lock, as Pixi writes it, has for one platform.

    An environment that is older than its lock is not of it, whatever the files' times are.
    """
    installed = {path.stem for path in prefix.glob("conda-meta/*.json")}
    by_pixi = (name for name, installer in _wheels(prefix) if installer == "uv-pixi")
    installed |= {name.removesuffix(".dist-info").lower() for name in by_pixi}
    text = lock.read_text(encoding="utf-8", errors="replace") if lock.is_file() else ""
    platforms = (set(_FILE.findall(rows[0])) for rows in _PLATFORM.finditer(text))
    return any(installed == {_stem(file) for file in files} for files in platforms)


def _stem(file: str) -> str:
    if file.endswith(".whl"):
        return "-".join(file.split("-")[:2]).lower()
    return file.removesuffix(".conda").removesuffix(".tar.bz2")


def added_by_pip(prefix: Path) -> list[str]:
    """Return the packages in an environment that pip or uv put there; conda's say so themselves."""
    added_by_pip = [name for name, by in _wheels(prefix) if by in ("pip", "uv")]
    if added_by_pip:  # a package of conda's may have kept that file as its build left it
        metas = prefix.glob("conda-meta/*.json")
        owned = "".join(m.read_text(encoding="utf-8", errors="replace") for m in metas)
        added_by_pip = [name.partition("-")[0] for name in added_by_pip if f"/{name}/" not in owned]
    return added_by_pip


def _wheels(prefix: Path) -> Iterator[tuple[str, str]]:
    """Yield the dist-info folder of each package from PyPI, and what installed it."""
    for path in sorted(prefix.glob("lib/python*/site-packages/*.dist-info/INSTALLER")):
        with contextlib.suppress(OSError):
            yield path.parent.name, path.read_text(encoding="utf-8", errors="replace").strip()


def _records(prefix: Path) -> Iterator[tuple[dict[str, Any], float]]:
    for path in sorted(prefix.glob("conda-meta/*.json")):
        with contextlib.suppress(OSError, ValueError):
            yield json.loads(path.read_bytes()), path.stat().st_mtime


def _not_locked(records: list[tuple[dict[str, Any], float]], lock: Path) -> list[str]:
    with contextlib.suppress(OSError):
        text = lock.read_text(encoding="utf-8", errors="replace")
        names = (str(record.get("fn", "")) for record, _ in records)
        return [n.removesuffix(".conda") for n in names if n and f"/{n}" not in text]
    return []


def _edited(prefix: Path, records: list[tuple[dict[str, Any], float]]) -> Iterator[str]:
    for record, written in records:
        for file in record.get("paths_data", {}).get("paths", ()):
            name = str(file.get("_path", ""))
            if name.endswith(_EDITED) and _is_edited(f"{prefix}/{name}", file, written):
                yield name.rpartition("site-packages/")[2]


def _is_edited(path: str, file: dict[str, Any], written: float) -> bool:
    try:
        status = os.lstat(path)  # of ten thousand files: a Path of each would take as long again
    except FileNotFoundError:
        return True
    except OSError:
        return False
    if status.st_mtime <= written + _SECONDS:
        return False
    wanted = file.get("sha256_in_prefix")
    if wanted is None and "prefix_placeholder" not in file:
        wanted = file.get("sha256")
    return wanted is None or hashlib.sha256(Path(path).read_bytes()).hexdigest() != wanted


def _some(names: list[str]) -> str:
    more = len(names) - MOST
    return ", ".join([*names[:MOST], *([f"{more} more"] if more > 0 else [])])
