"""Find packages that are not what they should be: archives of a channel, and files installed."""

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import program, sha256_of


def refuse_damaged_archives(archives: Iterable[tuple[str, bytes | None]]) -> None:
    """Raise ScaffoldError naming a package in a folder that is not what its channel says.

    archives: URL and SHA-256 of each.
    """
    for url, wanted in archives:
        parts = urlsplit(url)
        path = Path(unquote(parts.path))
        if parts.scheme == "file" and path.is_file() and wanted and wanted.hex() != sha256_of(path):
            raise ScaffoldError(
                f"{path} is damaged: it is not the file that its channel describes",
                f"rm {shlex.quote(str(path))} && {program()} channel build   # makes it again",
            )


def refuse_damaged_files(prefix: Path) -> None:
    """Raise ScaffoldError naming files below `prefix` that are not what their package has.

    They are links into the cache, so the package is damaged there, too.
    """
    for meta in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            document = json.loads(meta.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # it was changed by hand
            continue
        wrong = [
            entry["_path"]
            for entry in document.get("paths_data", {}).get("paths", ())
            if not _is_as_packed(prefix / entry["_path"], entry)
        ]
        if wrong:
            source = document.get("link", {}).get("source") or ""
            places = shlex.join(str(p) for p in (source, prefix) if p)
            raise ScaffoldError(
                f"the package {meta.stem} is damaged in the cache or here: "
                f"{', '.join(wrong[:3])}{' ...' if len(wrong) > 3 else ''} "
                "is not what the package has",
                f"rm -r {places}   # then the same again",
            )


def _is_as_packed(path: Path, entry: dict[str, str]) -> bool:
    """Whether a file is what its record says; Python itself writes its bytecode again."""
    packed = entry.get("sha256") if entry.get("prefix_placeholder") is None else None
    wanted = entry.get("sha256_in_prefix") or packed
    if not wanted or path.is_symlink() or path.is_dir() or path.suffix == ".pyc":
        return True
    return sha256_of(path) == wanted
