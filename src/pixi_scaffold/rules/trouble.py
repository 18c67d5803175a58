"""Rules that a table has, on single settings and lines, and on what was left by accident."""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial
from itertools import chain, islice, product
from pathlib import Path
from typing import Any, NamedTuple

from pixi_scaffold.rules.exit_code import joined
from pixi_scaffold.rules.finding import Found, Severity, at, rule
from pixi_scaffold.rules.programs import Code, calls_of, code_of
from pixi_scaffold.rules.subject import LONGEST, Script, Subject
from pixi_scaffold.rules.texts import read_bytes, table

NEVER = "(?!)"
"""A pattern that nothing matches."""


class Trouble(NamedTuple):
    """One entry of the table; its fields are described there. Patterns are compiled at need."""

    message: str
    fix: str
    commands: str = ""
    value: str = ""
    shell: str = NEVER
    python: str = NEVER
    text: str = NEVER
    but: str = NEVER
    here: str = NEVER
    beside: str = ""
    settled: str = NEVER
    unless: str = ""
    needs: str = ""
    gpus: bool | None = None
    jobs: int = 0
    travels: bool = False
    severity: Severity | None = None

    def concerns(self, subject: Subject) -> bool:
        """Whether it matters to a job, as far as its description says."""
        given = [n for n in subject.job.commands if subject.job.command(n)] if self.unless else []
        harmless = any(fnmatch.filter(given, name) for name in self.unless.split())
        wanted = "" if self.commands else self.value
        applies = not self.needs or any(re.search(wanted, t) for _, t in subject.said(self.needs))
        applies = applies and (subject.surely_transfers or not self.travels)
        enough = sum(job.queue.total for job in subject.description.jobs) >= self.jobs
        return applies and enough and not harmless and self.gpus in (None, subject.gpus)


@lru_cache(maxsize=64)
def _entries(name: str) -> tuple[Trouble, ...]:
    return tuple(map(_entry, table("trouble")[name]["entries"]))


def _entry(row: Mapping[str, Any]) -> Trouble:
    kind = Severity(row["severity"]) if "severity" in row else None
    return Trouble(**{**row, "severity": kind})


@lru_cache(maxsize=3)
def _of_any(language: str) -> re.Pattern[str]:
    """Return the pattern of all entries, which hardly any line has."""
    every = (getattr(entry, language) for name in table("trouble") for entry in _entries(name))
    return re.compile("|".join(f"(?:{pattern})" for pattern in every if pattern != NEVER))


def trouble(subject: Subject, name: str) -> Iterator[Found]:
    """Yield what one rule of the table finds."""
    every = chain(_in_description(subject, _entries(name)), _in_code(subject, name))
    yield from islice(every, 1 if table("trouble")[name].get("once") else None)


@rule("PS149", Severity.WARNING)
def not_as_the_site_has_it(subject: Subject) -> Iterator[Found]:
    """What the site that was named wants of a job, or does not have."""
    yield from _in_description(subject, map(_entry, subject.site.trouble if subject.site else ()))


def _in_description(subject: Subject, entries: Iterable[Trouble]) -> Iterator[Found]:
    for entry in entries:
        for command, text in subject.said(*entry.commands.split()) if entry.commands else ():
            matches = re.finditer(entry.value, text[:LONGEST])
            words = dict.fromkeys(next(filter(None, m.groups()), m[0]) for m in matches)
            if not words or re.search(entry.but, text) or not entry.concerns(subject):
                continue
            given = {"name": command.spelled, "value": text}
            every = " or ".join(islice(words, 5))
            message, fix = (one.format(every, **given) for one in (entry.message, entry.fix))
            yield at(command, message, fix, severity=entry.severity, about=next(iter(words)))


def _in_code(subject: Subject, name: str) -> Iterator[Found]:
    """Yield the first line of each entry in each file that runs on a worker."""
    if subject.universe in ("local", "scheduler"):
        return  # it runs on the access point
    for path, kinds, code in _codes(subject):
        for entry, number, words in _lines(name, kinds, code):
            if entry.concerns(subject) and not _settled(entry, subject):
                message = entry.message.format(words)
                yield Found(path, number, message, entry.fix, (), entry.severity, words)


def _codes(subject: Subject) -> Iterator[tuple[Path, tuple[str, ...], Script | Code]]:
    """Yield what runs on a worker, and which patterns are for it."""
    for script in subject.scripts:
        yield script.path, ("shell", "text"), script
    for path in subject.programs:
        source = read_bytes(path) or b""
        yield path, ("python",), calls_of(source)
        yield path, ("text",), code_of(source)


def _settled(entry: Trouble, subject: Subject) -> bool:
    """Whether something else that travels makes a line harmless."""
    paths = [*(script.path for script in subject.scripts), *subject.programs]
    texts = ((read_bytes(path) or b"").decode("utf-8", "replace") for path in paths)
    return any(re.search(entry.settled, text) for text in (*subject.inputs, *texts))


@lru_cache(maxsize=512)
def _lines(
    name: str, kinds: tuple[str, ...], code: Script | Code
) -> tuple[tuple[Trouble, int, str], ...]:
    """Return the first line of each entry, and its words; jobs share scripts and programs."""
    first: dict[Trouble, tuple[int, str]] = {}
    for entry, kind in product(_entries(name), kinds):
        lines = [(n, line) for spoken_of, n, line in _shown(kinds, code) if spoken_of == kind]
        if not lines or getattr(entry, kind) == NEVER:
            continue  # nothing to compile a pattern for
        search, harmless = (re.compile(one).search for one in (getattr(entry, kind), entry.but))
        for number, line in lines:
            match = search(line)
            if match is not None and not harmless(line) and not _here(entry, code):
                words = line.partition("(")[0] if kind == "python" else match[0]
                first.setdefault(entry, (number, words.strip().rstrip("(")))
                break
    return tuple((entry, *place) for entry, place in first.items())


def _here(entry: Trouble, code: Script | Code) -> bool:
    """Whether what stands in other lines of a file makes an entry's harmless."""
    here, beside = (re.compile(one).search for one in (entry.here, entry.beside))
    if entry.here != NEVER and any(here(line) for _, line in _all(code)):
        return True
    return bool(entry.beside) and not any(beside(line) for _, line in _all(code))


@lru_cache(maxsize=64)
def _shown(kinds: tuple[str, ...], code: Script | Code) -> tuple[tuple[str, int, str], ...]:
    """Return the lines of which any entry speaks, with the kind of its pattern."""
    lines = _all(code)[isinstance(code, Script) :]
    return tuple((kind, *line) for line in lines for kind in kinds if _shows(line[1], kind))


def _all(code: Script | Code) -> tuple[tuple[int, str], ...]:
    return _commands(code) if isinstance(code, Script) else code.code


@lru_cache(maxsize=64)
def _commands(script: Script) -> tuple[tuple[int, str], ...]:
    """Return a script's first line, and its commands without their comments."""
    bare = ((n, re.split(r"(?:^|\s)#", line[:LONGEST])[0]) for n, line in joined(script))
    return ((1, script.lines[0]), *bare)


@lru_cache(maxsize=8192)
def _shows(code: str, language: str) -> bool:
    """Whether any entry speaks of a line; scripts that differ share most of their lines."""
    return _of_any(language).search(code) is not None


for _id, _rule in table("trouble").items():
    if "title" in _rule:
        _check = partial(trouble, name=_id)
        _check.__doc__ = _rule["title"]
        rule(_id, Severity(_rule.get("severity", "warning")))(_check)


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
    yield from trouble(subject, "PS310")


PLACEHOLDER = re.compile(
    r"\bmy(?:user|username|name|org|repo)/|<[A-Za-z][\w -]*>|(?<![A-Za-z])__[A-Z][A-Z_]+__"
    r"|\bYOUR[_-]?[A-Z]+\b|\byour[_-](?:name|image|user|netid|repo|org|data|path|file)\w*"
    r"|\bCHANGE[_-]?ME\b|\bREPLACE[_-]?ME\b|\bREGISTRY/NAME\b|\bnetid\b|\busername/|\buser/(?:repo|image)"
    r"|\{\{\s*\w+\s*\}\}|path[/_]to[/_]|example\.(?:com|org)|(?-i:\bTODO\b|\bFIXME\b|\bXXX\b)|placeholder",
    re.IGNORECASE,
)
_NAMES = (
    "container_image", "docker_image", "my.singularityimage", "transfer_input_files", "executable",
    "accounting_group", "my.projectname", "output_destination", "arguments",
    "transfer_output_files",
    "transfer_output_remaps", "environment", "initialdir", "log", "output", "error", "notify_user",
)  # fmt: skip
_FREE = frozenset({"arguments", "environment"})
_SURE = re.compile(r"[<_/{]|CHANGE|REPLACE|YOUR", re.IGNORECASE)
_NEVER = re.compile(r"[<>]|__[A-Z]")
"""What no name of an image has."""


@rule("PS405", Severity.WARNING)
def placeholder(subject: Subject) -> Iterator[Found]:
    """A placeholder that nobody replaced."""
    for command, text in subject.said(*_NAMES):
        for matched in PLACEHOLDER.finditer(text):
            if command.name in _FREE and not _SURE.search(matched[0]):
                continue  # `--mode netid`, `TODO` in a text: words that a program may take
            message = f"{command.spelled} has a placeholder: {matched[0]}"
            image = command.name.endswith("_image") and _NEVER.search(matched[0]) is not None
            severity = Severity.ERROR if image else None
            yield at(command, message, "put the real name in its place", (), severity, matched[0])
            break


_TEXTS = ("", ".sh", ".bash", ".py", ".toml", ".lock", ".yaml", ".yml", ".json")
_MARKER = re.compile(rb"^(?:<{7} |={7}$|>{7} )", re.MULTILINE)


@rule("PS309")
def conflict_markers(subject: Subject) -> Iterator[Found]:
    """Conflict markers of git in a file that travels."""
    for path in subject.files:
        if path.suffix not in _TEXTS:
            continue
        data = read_bytes(path) or b""
        if b"<<<<<<< " not in data:
            continue
        marks = [m.group() for m in _MARKER.finditer(data)]
        if b"<<<<<<< " in marks and b"=======" in marks and b">>>>>>> " in marks:
            number = data[: data.index(b"<<<<<<< ")].count(b"\n") + 1
            sure = path == subject.executable or path.suffix == ".py"
            yield Found(
                path, number, "conflict markers of git stand in the file", "keep one version",
                severity=None if sure else Severity.WARNING, about="<<<<<<<",
            )  # fmt: skip
