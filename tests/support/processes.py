"""What runs on this machine, by /proc."""

from __future__ import annotations

import os
from pathlib import Path


def processes(word: str) -> dict[int, str]:
    """The command lines that hold a word, by process; not this one, nor those that have ended."""
    lines = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and int(path.parent.name) != os.getpid():
            lines[int(path.parent.name)] = line
    return lines


def working_in(folder: Path) -> dict[int, str]:
    """The command lines of processes whose working directory is a folder or below it."""
    lines = {}
    for pid, line in processes("").items():
        try:
            where = Path(f"/proc/{pid}/cwd").readlink()
        except OSError:
            continue
        if where.is_relative_to(folder):
            lines[pid] = line
    return lines
