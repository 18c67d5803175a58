"""What a rule finds, the table of rules, and how one job is given to all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pixi_scaffold.job import Command, Description, Problem, Queue, Refusal
from pixi_scaffold.rules.texts import DATA, read_bytes

if TYPE_CHECKING:
    from pixi_scaffold.rules.subject import Subject


class Severity(StrEnum):
    """How bad it is: an error makes the check fail (exit 3), a warning and a note do not."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Edit(NamedTuple):
    """A safe change of one file: lines `first` to `last` (from 1) become `lines`.

    With `last` one less than `first` they are put before line `first`, and nothing is replaced.
    """

    path: Path
    first: int = 0
    last: int = 0
    lines: tuple[str, ...] = ()
    whole: str = ""
    """In place of that, what is done to the whole file: `unix` line ends, `executable`, or `folder`
    (make it)."""


class Found(NamedTuple):
    """What a rule yields: where, what is wrong with these very words, and what to do."""

    file: Path
    line: int
    message: str
    fix: str
    edits: tuple[Edit, ...] = ()
    severity: Severity | None = None
    """In place of the rule's own."""
    about: str = ""
    """The words of that line that it is about; empty for all of it."""


class Finding(NamedTuple):
    """A Found with the rule it came from; lines count from 1, 0 is the file as a whole."""

    rule: str
    severity: Severity
    file: Path
    line: int
    message: str
    fix: str
    edits: tuple[Edit, ...] = ()
    about: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON document has it."""
        return {
            "rule": self.rule,
            "severity": str(self.severity),
            "file": str(self.file),
            "line": self.line,
            "message": self.message,
            "why": RULES[self.rule].why,
            "fix": self.fix,
            "fixable": bool(self.edits),
        }


Check = Callable[["Subject"], Iterator[Found]]


class Rule(NamedTuple):
    """One rule: a stable id, its severity, and the function whose docstring is its title."""

    id: str
    severity: Severity
    check: Check
    late: bool = False
    """It needs what another program says of the scripts, which takes a while."""

    @property
    def title(self) -> str:
        """What it finds, in a few words."""
        return (self.check.__doc__ or "").rstrip(".")

    @property
    def page(self) -> str:
        """The title, and what data/pages.txt has of it."""
        return f"{self.title}.\n\n{_pages()[self.id]}"

    @property
    def why(self) -> str:
        """Why it matters, as the page says it."""
        matched = re.search(r"^Why: (.*?)\nFix: ", self.page, re.DOTALL | re.MULTILINE)
        return " ".join(matched[1].split()).rstrip(".") if matched else ""

    def run(self, subject: Subject) -> Iterator[Finding]:
        """Yield what it finds."""
        for one in self.check(subject):
            # none for the command line
            edits = one.edits if all(edit.path.is_absolute() for edit in one.edits) else ()
            severity, place = one.severity or self.severity, (one.file, one.line)
            yield Finding(self.id, severity, *place, one.message, one.fix, edits, one.about)


@lru_cache(maxsize=1)
def _pages() -> Mapping[str, str]:
    text = (DATA / "pages.txt").read_text(encoding="utf-8")
    _, *parts = re.split(r"^\[(PS\d+)\]\n", text, flags=re.MULTILINE)
    return {name: page.strip() for name, page in zip(parts[::2], parts[1::2], strict=True)}


RULES: dict[str, Rule] = {}
"""Every rule by its id; the modules of this package fill it when they are imported."""


def rule(
    id: str,  # noqa: A002
    severity: Severity = Severity.ERROR,
    *,
    late: bool = False,
) -> Callable[[Check], Check]:
    """Enter a function into the table of rules."""

    def enter(check: Check) -> Check:
        assert id not in RULES  # noqa: S101  two rules with one id
        RULES[id] = Rule(id, severity, check, late)
        return check

    return enter


def at(
    place: Command | Queue | Problem,
    message: str,
    fix: str,
    edits: tuple[Edit, ...] = (),
    severity: Severity | None = None,
    about: str = "",
) -> Found:
    """Return a Found at a place, of a command about its value where nothing else is said."""
    value = place.value.split("\n")[0].strip() if isinstance(place, Command) else ""
    return Found(place.file, place.line, message, fix, edits, severity, about or value)


def commented(command: Command) -> bool:
    """Whether a comment stands behind the value, which is then PS119's alone to report."""
    matched = re.search(r"\s#", command.value) if "#" in command.value else None
    free = command.name in _FREE_TEXT
    return matched is not None and not free and '"' not in command.value[: matched.start()]


_FREE_TEXT = frozenset({"arguments", "arguments2", "environment", "environment2", "description"})


def refused(subject: Subject, *kinds: str) -> Iterator[tuple[Refusal, Found]]:
    """Yield what condor_submit refuses of these kinds; a warning where only some releases do."""
    for refusal in subject.refusals:
        command, message = refusal.command, refusal.message
        if refusal.kind not in kinds or (command is not None and commented(command)):
            continue
        if refusal.versions and "HTCondor" not in message:
            message += f" (HTCondor {refusal.versions} refuses it)"
        severity = Severity.WARNING if refusal.versions else Severity.ERROR
        place = command or subject.job.queue
        yield refusal, at(place, message, refusal.fix, severity=severity)


def short(text: str) -> str:
    """Return a text as it fits into a message."""
    return text if len(text) <= 50 else f"{text[:47]}..."


def line_of(description: Description, command: Command) -> str:
    """Return the first line of a command as it stands in its file."""
    lines = description.included.get(command.file, description.lines)
    return lines[command.line - 1].rstrip("\r")


def replaced(subject: Subject, command: Command, old: str, new: str) -> tuple[Edit, ...]:
    """Return the edit that writes `new` for `old` in the line of a command.

    That is the name where `old` is the name, otherwise the last `old`, of the value. None where the
    command has several lines, or no `old` in its line.
    """
    line = line_of(subject.description, command)
    head, there, tail = line.partition(old) if old == command.spelled else line.rpartition(old)
    if command.line != command.last or not there:
        return ()
    return (Edit(command.file, command.line, command.last, (f"{head}{new}{tail}",)),)


def added_inputs(subject: Subject, names: Sequence[str]) -> tuple[Edit, ...]:
    """Return the edit that adds files to transfer_input_files; none where it is not safe.

    Safe is: the command stands in one line of the description and uses no macro of the queue
    statement, or there is none and the executable's line is one; and each file lies where the
    job's names start.
    """
    command, first = map(subject.job.command, ("transfer_input_files", "executable"))
    if not all((subject.start / name).is_file() for name in names):
        return ()
    if command is not None:
        text = command.value.strip()
        if '"' in text or command.appends:
            return ()
        return replaced(subject, command, text, ", ".join([text.rstrip(","), *names]))
    if first is None or first.file != subject.description.path or not subject.surely_transfers:
        return ()  # it may be meant for a shared file system
    line = f"transfer_input_files = {', '.join(names)}"
    return (Edit(first.file, first.last + 1, first.last, (line,)),)


_IGNORE = re.compile(r"#\s*pixi-scaffold:\s*ignore\[?[\s=:]*([A-Z0-9, ]*)\]?", re.IGNORECASE)


_BEFORE_REFUSAL = frozenset(
    {"PS101", "PS103", "PS105", "PS108", "PS109", "PS110", "PS114", "PS115", "PS119"}
)
"""Rules on single lines: where condor_submit stops early, what is missing cannot be told."""


def check_subject(subject: Subject, late: bool | None = None) -> list[Finding]:
    """Return what all rules find in one job, by file and line; with `late` some of the rules."""
    refused = any(subject.description.of_kind("refused"))
    rules = [r for r in RULES.values() if late in (None, r.late)]
    rules = [r for r in rules if not refused or r.id in _BEFORE_REFUSAL]
    findings: list[Finding] = []
    for rule in rules:
        try:
            findings += rule.run(subject)
        except (OSError, RuntimeError) as error:  # the latter by Path.resolve(), Python 3.11
            cause = error if isinstance(error, OSError) else error.__context__
            if not isinstance(cause, OSError):
                raise
            findings.append(_unseen(rule, subject, cause))
    empty = subject.queue.items == () and not refused  # no job, so none that fails
    for i, one in enumerate(findings):
        if one.severity == "error" and (empty or (one.file, one.line) in subject.open_lines):
            findings[i] = one._replace(severity=Severity.WARNING)
    return in_order(findings)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by file, line and rule, each once."""
    return sorted(dict.fromkeys(findings), key=lambda f: (str(f.file), f.line, f.rule))


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
        near = lines[finding.file][max(finding.line - 2, 0) : max(finding.line, 0)]
        if any(finding.rule in _ignored(text) for text in near):
            silenced += 1
        else:
            kept.append(finding)
    return kept, silenced


def _ignored(line: str) -> set[str]:
    matched = _IGNORE.search(line) if "pixi-scaffold" in line else None
    return set() if matched is None else set(re.findall(r"PS\d{3}", matched[1].upper()))
