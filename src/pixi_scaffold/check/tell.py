"""Findings as people and programs read them: lines with the source and a mark, and a document."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pixi_scaffold.report import DOCS
from pixi_scaffold.rules import RULES, Finding, Severity
from pixi_scaffold.system import read_regular

MOST = 20
"""Findings of one rule in one file that are listed."""
_ROOM = 66
"""Columns of a source line that are shown, so that the mark is seen on a terminal of 80."""
_SOURCE_LIMIT = 4 << 20


def counted(findings: Iterable[Finding]) -> str:
    """Return `2 errors, 1 warning`; empty for none."""
    counts = Counter(finding.severity for finding in findings)
    words = (f"{counts[s]} {s}{'s' if counts[s] > 1 else ''}" for s in Severity if counts[s])
    return ", ".join(words)


def at_most(findings: Iterable[Finding]) -> Iterator[tuple[Finding, int]]:
    """Yield the first MOST findings of one rule in one file.

    With each comes how many more there are that are left out: 0 for all but the last of them.
    """
    every = list(findings)
    totals = Counter((f.rule, f.file) for f in every)
    seen: Counter[tuple[str, Path]] = Counter()
    for finding in every:
        key = finding.rule, finding.file
        seen[key] += 1
        if seen[key] <= MOST:
            yield finding, totals[key] - MOST if seen[key] == MOST else 0


def finding_lines(findings: Iterable[Finding], root: Path) -> Iterator[str]:
    """Yield each finding as `file:line: severity id: message`, its source, why, and the fix.

    Why and the page are said once a rule, and of many findings of one rule in one file only MOST.
    """
    said: set[str] = set()
    lines: dict[Path, tuple[str, ...]] = {}
    for finding, more in at_most(findings):
        place = f"{shown(finding.file, root)}:{finding.line}"
        yield f"{place}: {finding.severity} {finding.rule}: {finding.message}"
        yield from _marked(finding, lines)
        if finding.rule not in said:
            yield f"    why: {RULES[finding.rule].why}"
        yield f"    fix: {finding.fix}{' (check --fix does it)' if finding.edits else ''}"
        if finding.rule not in said:
            yield f"    see: pixi-scaffold rule {finding.rule}"
            yield f"    url: {DOCS}/{finding.rule}.md"
            said.add(finding.rule)
        if more:
            file = shown(finding.file, root)
            yield f"{file}: and {more} more of {finding.rule}, which are not listed"


def document(finding: Finding, more: int, root: Path) -> dict[str, Any]:
    """Return a finding as JSON has it, columns from 1; more: how many like it are not listed."""
    row: dict[str, Any] = finding.to_dict()
    source, start, end = _source(finding, {})
    place = {"source": source, "column": start + 1, "end_column": end + 1} if source else {}
    url = f"{DOCS}/{finding.rule}.md"
    return {**row, "file": shown(finding.file, root), "more": more, "url": url, **place}


def _marked(finding: Finding, lines: dict[Path, tuple[str, ...]]) -> Iterator[str]:
    """Yield the line of a finding, and a mark under the words that it is about."""
    source, start, end = _source(finding, lines)
    if not source:
        return
    left = max(0, min(start - 8, len(source) - _ROOM)) if end > _ROOM else 0
    part = "".join(c if c.isprintable() else " " for c in source[left : left + _ROOM])
    number = str(finding.line)
    yield f"    {number} | {part.rstrip()}"
    length = max(1, min(end, left + _ROOM) - start)
    yield f"    {' ' * len(number)} | {' ' * (start - left)}{'^' * length}"


def _source(finding: Finding, lines: dict[Path, tuple[str, ...]]) -> tuple[str, int, int]:
    """Return a finding's line, and from where to where it speaks of it; empty for a whole file."""
    if finding.file not in lines:
        try:
            data = read_regular(finding.file, _SOURCE_LIMIT)
        except OSError:
            data = b""
        text = data.decode("utf-8", errors="replace")
        lines[finding.file] = tuple(line.rstrip("\r") for line in text.split("\n"))
    if not 0 < finding.line <= len(lines[finding.file]):
        return "", 0, 0
    source = lines[finding.file][finding.line - 1].expandtabs(4)
    about = finding.about.expandtabs(4).removesuffix("\\").rstrip()
    start = source.rfind(about) if about and "=" in source else source.find(about)
    if not about or start < 0:
        bare = source.strip()
        return source, source.find(bare), source.find(bare) + len(bare)
    return source, start, start + len(about)


def shown(path: Path, root: Path) -> str:
    """Return a path relative to a folder where it lies in it."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return str(path)
