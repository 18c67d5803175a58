"""Rules on single lines of what runs on a worker, as data/lines.toml has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pixi_scaffold.rules.exit_code import joined
from pixi_scaffold.rules.finding import Found, Severity, at, rule
from pixi_scaffold.rules.programs import calls
from pixi_scaffold.rules.subject import Subject, read_bytes
from pixi_scaffold.rules.tables import table


@dataclass(frozen=True, slots=True)
class Trouble:
    """One entry of the table; its fields are described there."""

    message: str
    fix: str
    shell: re.Pattern[str]
    python: re.Pattern[str]
    but: re.Pattern[str]
    unless: str = ""
    """A command of the description that makes the line harmless."""


@lru_cache(maxsize=16)
def _entries(name: str) -> tuple[Trouble, ...]:
    return tuple(map(_line, table("lines")[name]))


def _line(entry: Mapping[str, str]) -> Trouble:
    shell, python, but = (re.compile(entry.get(key, "(?!)")) for key in ("shell", "python", "but"))
    return Trouble(entry["message"], entry["fix"], shell, python, but, entry.get("unless", ""))


def _lines_of(subject: Subject, name: str) -> Iterator[Found]:
    """Yield what one rule of the table finds, the first of each entry in each file."""
    if subject.universe in ("local", "scheduler"):
        return  # it runs on the access point
    entries = [e for e in _entries(name) if not (e.unless and subject.meaning.of(e.unless).said)]
    texts: list[tuple[Path, bool, tuple[tuple[int, str], ...]]] = [
        (script.path, False, joined(script)) for script in subject.scripts
    ]
    for path in subject.programs:
        made = calls(read_bytes(path) or b"")
        texts.append((path, True, tuple((call.line, call.text) for call in made)))
    for path, is_python, lines in texts:
        for entry in entries:
            pattern = entry.python if is_python else entry.shell
            for number, line in lines:
                code = line if is_python else re.split(r"(?:^|\s)#", line)[0]
                matched = pattern.search(code)
                if matched is None or entry.but.search(code):
                    continue
                words = code.partition("(")[0] if is_python else matched[0].strip().rstrip("(")
                message = entry.message.format(words)
                yield Found(path, number, message, entry.fix, about=words)
                break


@rule("PS307", Severity.WARNING)
def pretends_a_driver(subject: Subject) -> Iterator[Found]:
    """The script pretends that the worker has a GPU driver."""
    yield from _lines_of(subject, "PS307")
    for name in ("environment", "environment2"):
        command = subject.job.command(name)
        if command is not None and "CONDA_OVERRIDE_CUDA" in command.value:
            yield at(command, "CONDA_OVERRIDE_CUDA on a worker", "remove it")


_BATCH = re.compile(r"^#(SBATCH|PBS|BSUB|\$)\s+-")


@rule("PS310", Severity.WARNING)
def of_another_system(subject: Subject) -> Iterator[Found]:
    """A worker script that was written for another batch system, or for the access point."""
    for script in subject.scripts:
        for number, line in enumerate(script.lines, start=1):
            if matched := _BATCH.match(line):
                message = (
                    f"#{matched[1]} belongs to another batch system; HTCondor does not read it"
                )
                fix = "say it in the submit description: request_cpus, request_memory, ..."
                yield Found(script.path, number, message, fix, about=line.strip())
                break
    yield from _lines_of(subject, "PS310")


@rule("PS312", Severity.WARNING)
def needs_root(subject: Subject) -> Iterator[Found]:
    """The script needs to be root."""
    yield from _lines_of(subject, "PS312")


@rule("PS313", Severity.WARNING)
def asks_somebody(subject: Subject) -> Iterator[Found]:
    """Something that needs a person, a terminal or a screen."""
    yield from _lines_of(subject, "PS313")


@rule("PS314", Severity.WARNING)
def installs_on_the_worker(subject: Subject) -> Iterator[Found]:
    """Packages are installed while the job runs."""
    yield from _lines_of(subject, "PS314")


@rule("PS315", Severity.NOTE)
def downloads_on_the_worker(subject: Subject) -> Iterator[Found]:
    """Data or a model is downloaded while the job runs."""
    yield from _lines_of(subject, "PS315")
