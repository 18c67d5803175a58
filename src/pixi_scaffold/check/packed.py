"""Which packages a packed environment holds, from the records in the archive itself."""

from __future__ import annotations

import tarfile
from pathlib import Path

_RECORDS = "conda-meta/"
_MOST_BYTES = 400 << 20
"""Unpacked bytes that are read before the records have to begin; they come early, by name."""


def packages_in(path: Path) -> frozenset[str]:
    """Return the packages of a .tar.gz that conda-pack or `pack` wrote, as `name-version-build`.

    Empty where it is no such archive, or its records do not come early.
    """
    packages: set[str] = set()
    read = 0
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name.startswith(_RECORDS) and name.endswith(".json"):
                    packages.add(name.removeprefix(_RECORDS).removesuffix(".json"))
                elif packages and not name.startswith(_RECORDS):
                    break
                read += member.size
                if read > _MOST_BYTES:
                    break
    except (OSError, EOFError, tarfile.TarError):
        return frozenset()
    return frozenset(packages)
