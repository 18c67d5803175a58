"""What shellcheck said of a script before, by the content of the script."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from pixi_scaffold.rules import ShellNote
from pixi_scaffold.system import replacing

_MOST = 4000
"""Scripts that are remembered, the last ones: about 1 MB."""


class Remembered:
    """The remarks on scripts by key; a cache that cannot be read or written is an empty one."""

    def __init__(self, program: str) -> None:
        """Read what is remembered of one version of shellcheck, told by its file."""
        status = Path(program).stat()
        version = hashlib.sha256(f"2 {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()
        folder = platformdirs.user_cache_path("pixi-scaffold") / "shellcheck"
        self._path = folder / f"{version[:16]}.json"
        self._known: dict[str, list[list[int | str]]] = {}
        with contextlib.suppress(OSError, ValueError):
            self._known = dict(json.loads(self._path.read_bytes()))

    def notes(self, key: str) -> tuple[ShellNote, ...] | None:
        """Return the remarks on a script; None for one that was not seen."""
        try:
            return tuple(ShellNote(*row) for row in self._known[key])  # type: ignore[arg-type]
        except (KeyError, TypeError):
            return None

    def add(self, new: Mapping[str, tuple[ShellNote, ...]]) -> None:
        """Remember further remarks."""
        if not new:
            return
        rows = {k: [[n.line, n.code, n.level, n.message] for n in v] for k, v in new.items()}
        known = {**self._known, **rows}
        kept = dict(list(known.items())[-_MOST:])
        with contextlib.suppress(OSError), replacing(self._path) as path:
            path.write_text(json.dumps(kept), encoding="utf-8")
