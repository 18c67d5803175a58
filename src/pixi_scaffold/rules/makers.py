"""What may still make a file that is not there: then its absence is no error yet."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path

from pixi_scaffold.rules.subject import Subject, read_bytes

_MOST_FILES = 200
_MOST_BYTES = 256 << 10
_TELLS = frozenset({".sh", ".bash", ".py", ".pl", ".r", ".mk", ".cmake", ".md", ".txt", ".rst"})
_TELLS_NAMES = frozenset({"makefile", "gnumakefile", "snakefile", "readme", "dockerfile"})
_SOURCES = (".c", ".cc", ".cpp", ".cxx", ".cu", ".f", ".f90", ".go", ".rs", ".java", ".hs")


def made_by(subject: Subject, item: str) -> str:
    """Return in words what may still make a missing file; empty when nothing is seen.

    item: its path as the description has it. That is a rule of git that ignores it, so that a
    clone never has it; a DAG in which this job has a parent; a script, Makefile or README beside
    the job that names it; a source file of the same name.
    """
    path = Path(os.path.normpath(subject.start / item))
    name = path.name
    if Path("*") in subject.earlier:
        return "an earlier node of the DAG may make it"
    if subject.kept.get(path) == "ignored":
        return "git ignores it, so it is made or brought here by other means"
    for dag, children in _dags(*_state(subject.description.path.parent)):
        if subject.description.path.name in children:
            return f"an earlier node of {dag} may make it"
    if any(path.with_suffix(suffix).is_file() for suffix in _SOURCES if not path.suffix):
        return "its source is here"
    own = {subject.executable, *subject.input_files, subject.description.path}
    for folder in dict.fromkeys((subject.job.folder, subject.description.path.parent)):
        for teller, text in _tellers(*_state(folder)):
            if teller not in own and name and name in text and _says_how(name, text):
                return f"{teller.name} may make it"
    return ""


_MAKES = re.compile(
    r"\b(?:wget|curl|download\w*|create\w*|generate\w*|build|built|compile\w*|convert\w*|unpack\w*|unzip"
    r"|tar|zip|cp|mv|scp|rsync|ls|gcc|g\+\+|make|mkdir|pull|touch|save\w*|writ\w+|to_csv|dump)\b|>|-o\b"
    r"|[\"']w[bt]?[\"']",
    re.IGNORECASE,
)


def _says_how(name: str, text: str) -> bool:
    """Whether a line that names a file speaks of making it, or begins with it as make's target."""
    lines = [line for line in text.splitlines() if name in line]
    return any(_MAKES.search(line) or line.startswith(f"{name}:") for line in lines)


def _state(folder: Path) -> tuple[Path, int]:
    """Return a folder and when something was added to it last, as the key of a cache."""
    try:
        return folder, folder.stat().st_mtime_ns
    except OSError:
        return folder, 0


@lru_cache(maxsize=16)
def _tellers(folder: Path, _changed: int) -> tuple[tuple[Path, str], ...]:
    """Return the texts beside a job that may say how a file is made."""
    found: list[tuple[Path, str]] = []
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return ()
    for path in paths[:_MOST_FILES]:
        if path.suffix.lower() in _TELLS or path.name.lower() in _TELLS_NAMES:
            data = read_bytes(path)
            if data is not None and len(data) < _MOST_BYTES:
                found.append((path, data.decode("utf-8", errors="replace")))
    return tuple(found)


@lru_cache(maxsize=16)
def _dags(folder: Path, _changed: int) -> tuple[tuple[str, frozenset[str]], ...]:
    """Return each DAG in a folder, with the names of the submit files whose nodes have a parent."""
    found: list[tuple[str, frozenset[str]]] = []
    try:
        paths = sorted(folder.glob("*.dag"))
    except OSError:
        return ()
    for path in paths:
        text = (read_bytes(path) or b"").decode("utf-8", errors="replace")
        files = dict(re.findall(r"^\s*JOB\s+(\S+)\s+(\S+)", text, re.MULTILINE | re.IGNORECASE))
        children: set[str] = set()
        for names in re.findall(r"\bCHILD\s+(.+)$", text, re.MULTILINE | re.IGNORECASE):
            children |= {Path(files[n]).name for n in names.split() if n in files}
        prepared = re.findall(r"^\s*SCRIPT\s+PRE\s+(\S+)", text, re.MULTILINE | re.IGNORECASE)
        children |= {Path(files[n]).name for n in prepared if n in files}
        found.append((path.name, frozenset(children)))
    return tuple(found)
