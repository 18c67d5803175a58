"""Rules on single lines of what runs on a worker, as data/lines.toml has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pixi_scaffold.rules.exit_code import joined
from pixi_scaffold.rules.finding import Found, Severity, at, rule
from pixi_scaffold.rules.programs import calls
from pixi_scaffold.rules.subject import Script, Subject
from pixi_scaffold.rules.texts import read_bytes, table


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
    seen = [(script.path, _in_script(name, script)) for script in subject.scripts]
    seen += [(path, _in_program(name, read_bytes(path) or b"")) for path in subject.programs]
    for path, troubles in seen:
        for entry, number, words in troubles:
            if not (entry.unless and subject.meaning.of(entry.unless).said):
                yield Found(path, number, entry.message.format(words), entry.fix, about=words)


@lru_cache(maxsize=512)
def _in_script(name: str, script: Script) -> tuple[tuple[Trouble, int, str], ...]:
    """Return the first line of each entry in a script, and its words; jobs share scripts."""
    lines = [(n, re.split(r"(?:^|\s)#", line)[0]) for n, line in joined(script)]
    return tuple(_first(name, lines, python=False))


@lru_cache(maxsize=512)
def _in_program(name: str, source: bytes) -> tuple[tuple[Trouble, int, str], ...]:
    return tuple(_first(name, [(c.line, c.text) for c in calls(source)], python=True))


def _first(
    name: str, lines: Sequence[tuple[int, str]], *, python: bool
) -> Iterator[tuple[Trouble, int, str]]:
    seen: set[Trouble] = set()
    for number, code in lines:
        for entry, words in _troubles(name, code, python):
            if entry not in seen:
                seen.add(entry)
                yield entry, number, words


@lru_cache(maxsize=8192)
def _troubles(name: str, code: str, python: bool) -> tuple[tuple[Trouble, str], ...]:
    """Return what one line shows; scripts that differ share most of their lines."""
    matched = (((e.python if python else e.shell).search(code), e) for e in _entries(name))
    return tuple(
        (entry, code.partition("(")[0] if python else match[0].strip().rstrip("("))
        for match, entry in matched
        if match is not None and not entry.but.search(code)
    )


@rule("PS307", Severity.WARNING)
def pretends_a_driver(subject: Subject) -> Iterator[Found]:
    """The script pretends that the worker has a GPU driver."""
    yield from _lines_of(subject, "PS307")
    for command, text in subject.said("environment", "environment2"):
        if "CONDA_OVERRIDE_CUDA" in text:
            yield at(command, "CONDA_OVERRIDE_CUDA on a worker", "remove it")


_BATCH = re.compile(r"^#(SBATCH|PBS|BSUB|\$)\s+-")


@rule("PS310", Severity.WARNING)
def of_another_system(subject: Subject) -> Iterator[Found]:
    """A worker script that was written for another batch system, or for the access point."""
    for script in subject.scripts:
        for number, line in enumerate(script.lines, start=1):
            if matched := _BATCH.match(line):
                message = f"#{matched[1]} is for another batch system; HTCondor does not read it"
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
