"""Rules on the program that a job runs: is it there, does it take these options, can it import."""

import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pixi_scaffold.job import QuotingError, split_arguments
from pixi_scaffold.rules.exit_code import joined
from pixi_scaffold.rules.finding import Found, Severity, at, rule
from pixi_scaffold.rules.options import refusal
from pixi_scaffold.rules.programs import Imported, imported
from pixi_scaffold.rules.reading import odd_row
from pixi_scaffold.rules.subject import Script, Subject
from pixi_scaffold.rules.texts import read_bytes, table
from pixi_scaffold.rules.travel import FILES_APPEAR, made_by_script

_RUN = re.compile(
    r"(?:^|[;&|]\s*|\b(?:then|do|else|exec|time|if|!)\s+)(?:\w+=\S*\s+)*(?:exec\s+|time\s+)?[\"']?"
    r"(?:[\w./${}-]*/)?(python[0-9.]*|torchrun|bash|sh|Rscript|julia|perl)[\"']?\s+"
    r"((?:-[uOBsSE]+\s+)*)[\"']?([A-Za-z0-9_./-]+\.(?:py|sh|R|r|jl|pl))[\"']?(?=\s|$|[;&|)])(.*)"
)


class _ProgramLine(NamedTuple):
    """A line of a worker script that runs a program: where, which, and with what behind it."""

    script: Script
    line: int
    program: str
    rest: str
    sure: bool
    """No files came into being before it that are not known here."""


@lru_cache(maxsize=64)
def _starts(script: Script | None) -> tuple[_ProgramLine, ...]:
    """Return what a worker script runs."""
    starts, sure = [], True
    for number, line in () if script is None else joined(script):
        sure = sure and not FILES_APPEAR.search(line)
        if script is not None and (matched := _RUN.search(re.split(r"\s#", line)[0])):
            program = matched[3].removeprefix("./")
            starts.append(_ProgramLine(script, number, program, matched[4], sure))
    return tuple(starts)


@rule("PS219")
def program_is_missing(subject: Subject) -> Iterator[Found]:
    """The worker script runs a program that does not arrive."""
    if not subject.transfers or subject.brings_unseen:
        return
    for start in _starts(subject.worker):
        name = start.program
        top = PurePosixPath(name).parts[0]
        known = not start.sure or top[0] == "/" or top in subject.arrives
        known = known or top in made_by_script(start.script)
        if known or (subject.start / name).exists():  # PS209 speaks of one that is here
            continue
        near = _nearest(subject, name)
        message = f"the script runs {name}, which is not transferred and not here"
        fix = f"did you mean {near}?" if near else f"correct the name, or transfer {name}"
        severity = None if subject.surely_transfers else Severity.WARNING
        yield Found(start.script.path, start.line, message, fix, severity=severity, about=name)


def _nearest(subject: Subject, name: str) -> str:
    """Return the one file of the same kind that arrives; empty where there are several or none."""
    suffix = PurePosixPath(name).suffix
    executable = subject.executable.name if subject.executable else ""
    same = sorted(n for n in subject.arrives if n.endswith(suffix) and n != executable)
    return same[0] if len(same) == 1 else ""


@rule("PS218")
def option_is_refused(subject: Subject) -> Iterator[Found]:
    """Options that the program's own argparse refuses."""
    command = subject.job.command("arguments")
    arguments, queue = subject.meaning.of("arguments"), subject.queue
    text, row = arguments.text, subject.job.proc // max(queue.count, 1)
    if "$" in text or arguments.undefined or (queue.items and odd_row(queue, row)):
        return
    try:
        words = split_arguments(text)
    except QuotingError:
        return  # PS115 says so
    for source, before in _programs(subject):
        problem = refusal(source, [*before, *words])
        place = command or subject.job.command("executable")
        if problem and place is not None:
            message = f"{source.name} refuses these arguments: {problem}"
            fix = f"python {source.name} --help lists what it takes"
            word = next((w for w in problem.split() if w.startswith("-")), "")
            yield at(place, message, fix, about=word.rstrip(":,"))


def _programs(subject: Subject) -> Iterator[tuple[Path, list[str]]]:
    """Yield the Python programs that get the job's arguments, with the words before these."""
    path = subject.executable
    if path is not None and path.suffix == ".py" and path.is_file():
        yield path, []
    for start in _starts(subject.worker):
        matched = re.fullmatch(r'\s*([^$`|;&<>()]*?)\s*"?\$@"?\s*(?:\|\|.*|&?\s*)', start.rest)
        source = next((p for p in subject.programs if p.name == Path(start.program).name), None)
        if matched and source is not None:
            yield source, matched[1].replace('"', "").replace("'", "").split()


@rule("PS510", Severity.WARNING)
def environment_lacks_import(subject: Subject) -> Iterator[Found]:
    """An import that no locked package provides."""
    project = subject.project
    row = (project.gpu if subject.gpus else project.cpu) if project is not None else None
    if row is None or not row.names or subject.delivery not in ("bootstrap", "pack"):
        return
    for path in subject.programs:
        for module in _lacking(read_bytes(path) or b"", row.names):
            if _travels(module.name, subject, path):
                continue
            message = f"no package that is locked for {row.name} provides {module.name}"
            package = conda_package(module.name)
            yield Found(path, module.line, message, f"pixi add {package}", about=module.name)


def conda_package(module: str) -> str:
    """Return the conda package that a module comes with."""
    return str(table("modules")["conda"].get(module, module.lower().replace("_", "-")))


@lru_cache(maxsize=256)
def _lacking(source: bytes, names: frozenset[str]) -> tuple[Imported, ...]:
    """Return what a program imports at once that neither Python nor a locked package has."""
    return tuple(
        module
        for module in imported(source)
        if module.at_once
        and module.name not in sys.stdlib_module_names
        and not module.name.startswith("_")
        and not _locked(module.name, names)
    )


def _locked(module: str, names: frozenset[str]) -> bool:
    """Whether a locked package is named as a module's is, or begins or ends so."""
    conda = conda_package(module)
    wanted = {conda, table("modules")["pypi"].get(conda, conda), module.lower().replace("_", "-")}
    return any(
        name == want
        or name.startswith(f"{want}-")
        or name.endswith(f"-{want}")
        or f"py{want}" == name
        for name in names
        for want in wanted
    )


def _travels(module: str, subject: Subject, path: Path) -> bool:
    """Whether a module comes with the job, or lies beside the program, of which PS209 speaks."""
    if f"{module}.py" in subject.arrives or module in subject.arrives:
        return True
    folders = (path.parent, *(folder for folder in subject.input_files if folder.is_dir()))
    return any((f / module).is_dir() or (f / f"{module}.py").is_file() for f in folders)
