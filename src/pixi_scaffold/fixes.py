"""Apply the safe fixes of findings: every file at once, or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from pixi_scaffold.rules import Edit, Finding


def apply_fixes(findings: Iterable[Finding]) -> list[Finding]:
    """Change the files; return the findings whose edits were made, in the order they came.

    Of edits that touch the same lines only the first is made; another run makes the rest. What is
    around the changed lines stays byte for byte. Raises OSError.
    """
    done: list[Finding] = []
    edits: dict[Path, list[Edit]] = {}
    for finding in findings:
        if not finding.edits or any(_clashes(e, edits.get(e.path, [])) for e in finding.edits):
            continue
        for edit in finding.edits:
            edits.setdefault(edit.path, []).append(edit)
        done.append(finding)
    for path, some in edits.items():
        _apply(path, some)
    return done


def _clashes(edit: Edit, others: list[Edit]) -> bool:
    return any(
        edit.whole or other.whole or not (edit.last < other.first or other.last < edit.first)
        for other in others
    )


def _apply(path: Path, edits: list[Edit]) -> None:
    if edits[0].whole == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    if edits[0].whole == "executable":
        path.chmod(path.stat().st_mode | 0o111)
        return
    data = path.read_bytes()
    if edits[0].whole == "unix":
        _write(path, data.replace(b"\r\n", b"\n"))
        return
    end = b"\r\n" if b"\r\n" in data else b"\n"
    lines = data.split(b"\n")
    for edit in sorted(edits, key=lambda e: -e.first):
        new = [line.encode() + end[:-1] for line in edit.lines]
        lines[edit.first - 1 : edit.last] = new
    _write(path, b"\n".join(lines))


def _write(path: Path, data: bytes) -> None:
    """Put new content in a file's place in one step, with its permissions."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(target.stat().st_mode & 0o7777)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
