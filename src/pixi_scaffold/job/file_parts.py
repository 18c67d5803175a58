"""Parts of a file name: what $F...(), $BASENAME() and $DIRNAME() give (config.cpp)."""

from __future__ import annotations

import re
from pathlib import Path


def file_part(options: str, path: str, folder: Path | None) -> str:
    """Return what $Fpdnxbqafwu(path) gives.

    p: folders, d: the last of them, n: name, x: extension, b: bare of its separators, q: quoted
    (with a: in single quotes), f: from the root on, w and u: with the slashes of Windows or Unix.
    """
    if len(path) > 1 and path[0] == path[-1] and path[0] in "\"'":
        path = path[1:-1]
    if "f" in options and folder is not None and not path.startswith("/"):
        path = f"{folder}/{path.removeprefix('./')}"
    if "w" in options or "u" in options:
        path = path.replace("/", "\\") if "w" in options else path.replace("\\", "/")
    start = max(path.rfind("/"), path.rfind("\\")) + 1
    dot = path.rfind(".", start + 1)
    head, name, extension = path[:start], path[start:], ""
    if dot > 0:
        name, extension = path[start:dot], path[dot:]
    bare, wants = "b" in options, set(options) & set("nx")
    if "p" not in options and (depth := options.count("d")):
        parts = re.findall(r"[^/\\]*[/\\]", head)
        head = "".join(parts[-depth:])
    elif "p" not in options:
        head = path if not wants else ""
    if not wants and set(options) & set("pd"):
        text = head[:-1] if bare else head
    elif not wants:
        text = path
    elif wants == {"x"} and not (head and set(options) & set("pd")):
        text = extension[1:] if bare else extension
    else:
        text = head + name + (extension if "x" in wants else "")
    if "q" in options:
        return f"'{text}'" if "a" in options else f'"{text}"'
    return text
