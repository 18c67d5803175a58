"""What `run` keeps in the workspace between two runs; each fact with what it was found out for."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from pixi_scaffold.system import layout, replacing


def digest(*parts: object) -> str:
    """Return a key that changes when one of the parts does."""
    whole = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode(errors="surrogateescape")
        whole.update(b"%d:" % len(data) + data)
    return whole.hexdigest()


def read_kept(root: Path, name: str, key: str) -> dict[str, Any]:
    """Return what was kept under a name for this very key; empty where nothing was."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads((root / layout.TASKS / name).read_text(encoding="utf-8"))
        if kept["key"] == key:
            return dict(kept["facts"])
    return {}


def keep(root: Path, name: str, key: str, facts: dict[str, Any]) -> None:
    """Keep facts; where the workspace cannot be written they are found out again."""
    folder = root / layout.TASKS
    with suppress(OSError):
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)  # values of variables may be secrets
        with replacing(folder / name) as new:
            new.write_text(json.dumps({"key": key, "facts": facts}), encoding="utf-8")
