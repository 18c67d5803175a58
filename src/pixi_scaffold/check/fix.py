"""Apply the safe fixes of findings; each file is changed as a whole, or stays as it was."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from pixi_scaffold.rules import Edit, Finding
from pixi_scaffold.system import read_regular, replacing, uninterrupted, unreadable


def unchangeable(finding: Finding) -> tuple[Path, str] | None:
    """Return the file that a finding's edits may not change, and why; None when they may."""
    for edit in finding.edits:
        if edit.whole in ("folder", "executable"):
            continue
        if why := unreadable(edit.path):
            return edit.path, why
        # The mode counts for root, too: somebody meant the file to stay as it is.
        if not edit.path.stat().st_mode & 0o222 or not os.access(edit.path, os.W_OK):
            return edit.path, "is read-only"
    return None


def apply_fixes(findings: Iterable[Finding]) -> list[Finding]:
    """Change the files; return the findings whose edits were made, in the order they came.

    Of edits that touch the same lines only the first is made; another run makes the rest. What is
    around the changed lines stays byte for byte. Raises OSError with the first file that could
    not be written: it is as it was, and the others are changed all the same.
    """
    done: list[Finding] = []
    edits: dict[Path, list[Edit]] = {}
    for finding in findings:
        if not finding.edits or any(_clashes(e, edits.get(e.path, [])) for e in finding.edits):
            continue
        for edit in finding.edits:
            edits.setdefault(edit.path, []).append(edit)
        done.append(finding)
    failed: dict[Path, OSError] = {}
    for path, some in edits.items():
        try:
            _apply(path, some)
        except OSError as error:
            failed[path] = error
    if failed:
        path, first = next(iter(failed.items()))
        changed = ", ".join(path.name for path in edits if path not in failed)
        others = f"; changed: {changed}" if changed else "; nothing else was changed"
        why = f"not fixed: {first.strerror}, it is as it was{others}"
        raise OSError(first.errno, why, str(path))
    return done


def _clashes(edit: Edit, others: list[Edit]) -> bool:
    return any(
        edit.whole or other.whole or not (_end(edit) < other.first or _end(other) < edit.first)
        for other in others
    )


def _end(edit: Edit) -> int:
    """Return the last line that an edit touches; one that inserts touches the line it goes to."""
    return max(edit.first, edit.last)


def _apply(path: Path, edits: list[Edit]) -> None:
    if edits[0].whole == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    if edits[0].whole == "executable":
        path.chmod(path.stat().st_mode | 0o111)
        return
    data = read_regular(path)
    if edits[0].whole == "unix":
        _write(path, data.replace(b"\r\n", b"\n"))
        return
    lines = re.findall(rb"[^\n]*\n|[^\n]+", data)
    for edit in sorted(edits, key=lambda e: -e.first):
        _replace_lines(lines, edit)
    _write(path, b"".join(lines))


def _replace_lines(lines: list[bytes], edit: Edit) -> None:
    """Put an edit's lines in place, with the line end of the line that they replace or follow."""
    start = edit.first - 1
    inserts = edit.last < edit.first
    before = _line_end(lines[start - 1]) if start else b""
    line_end = b"" if inserts else _line_end(lines[start])
    end = line_end or before or (_line_end(lines[start - 2]) if start > 1 else b"") or b"\n"
    new = [os.fsencode(text) + end for text in edit.lines]
    if inserts and start and not before:
        lines[start - 1] += end
    elif new and not inserts and not _line_end(lines[edit.last - 1]):
        new[-1] = new[-1].removesuffix(end)  # the file ended within the line, and does so still
    lines[start : edit.last] = new


def _line_end(line: bytes) -> bytes:
    return b"\r\n" if line.endswith(b"\r\n") else b"\n" if line.endswith(b"\n") else b""


def _write(path: Path, data: bytes) -> None:
    """Give a file new content; its owner, mode and symbolic links stay."""
    with uninterrupted(), replacing(path) as new, new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # a person's file: also a machine that stops now has one of both
