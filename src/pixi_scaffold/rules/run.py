"""Give one job to every rule, and leave out what comments silence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pixi_scaffold.rules.finding import RULES, Finding, Rule, Severity
from pixi_scaffold.rules.subject import Subject
from pixi_scaffold.rules.texts import read_bytes

_IGNORE = re.compile(r"#\s*pixi-scaffold:\s*ignore\[?[\s=:]*([A-Z0-9, ]*)\]?", re.IGNORECASE)


_BEFORE_REFUSAL = frozenset(
    {"PS101", "PS103", "PS105", "PS108", "PS109", "PS110", "PS114", "PS115", "PS119"}
)
"""Rules on single lines: where condor_submit stops early, what is missing cannot be told."""


def check_subject(subject: Subject) -> list[Finding]:
    """Return what all rules find in one job, by file and line."""
    refused = any(subject.description.of_kind("refused"))
    rules = [r for r in RULES.values() if not refused or r.id in _BEFORE_REFUSAL]
    findings: list[Finding] = []
    for rule in rules:
        try:
            findings += rule.run(subject)
        except (OSError, RuntimeError) as error:  # the latter by Path.resolve(), Python 3.11
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            findings.append(_unseen(rule, subject, cause))
    if subject.queue.items == () and not refused:  # no job, so none that fails
        findings = [_lowered(finding) for finding in findings]
    return sorted(dict.fromkeys(findings), key=lambda f: (str(f.file), f.line, f.rule))


def _lowered(finding: Finding) -> Finding:
    """Return an error as a warning."""
    error = finding.severity is Severity.ERROR
    return replace(finding, severity=Severity.WARNING) if error else finding


def _unseen(rule: Rule, subject: Subject, error: OSError) -> Finding:
    """Return that a rule could not look at a file."""
    name = str(error.filename or "a file")
    name = name if len(name) <= 100 else f"{name[:97]}..."
    message = f"cannot look at {name}: {error.strerror or error}"
    line = subject.job.queue.line
    fix = "name a file that you may read"
    return Finding(rule.id, rule.severity, subject.description.path, line, message, fix)


def without_suppressed(findings: Iterable[Finding]) -> tuple[list[Finding], int]:
    """Return the findings that no comment silences, and how many are silenced.

    The comment `# pixi-scaffold: ignore PS101` counts for its own line and for the next one: a
    submit description can have comments only on lines of their own.
    """
    lines: dict[Path, Sequence[str]] = {}
    kept: list[Finding] = []
    silenced = 0
    for finding in findings:
        if finding.file not in lines:
            data = read_bytes(finding.file) or b""
            lines[finding.file] = data.decode("utf-8", errors="replace").split("\n")
        if any(finding.rule in _ignored(text) for text in _near(lines[finding.file], finding.line)):
            silenced += 1
        else:
            kept.append(finding)
    return kept, silenced


def _near(lines: Sequence[str], number: int) -> Iterator[str]:
    for index in (number - 1, number - 2):
        if 0 <= index < len(lines):
            yield lines[index]


def _ignored(line: str) -> set[str]:
    matched = _IGNORE.search(line) if "pixi-scaffold" in line else None
    return set() if matched is None else set(re.findall(r"PS\d{3}", matched[1].upper()))
