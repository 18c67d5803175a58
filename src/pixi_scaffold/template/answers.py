"""A generated project: the answers file that says which template it is from, and its answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pixi_scaffold.errors import ScaffoldError, UsageError

ANSWERS_FILE = ".copier-answers.yml"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is built
_REPAIR = "take it back from git: git checkout HEAD -- "


@dataclass(frozen=True, slots=True)
class Project:
    """Where a project is, which template and version it records, and the answers (without _...)."""

    folder: Path
    answers_file: str
    """Its path in the project."""
    text: str
    """What is in it."""
    source: str
    commit: str
    answers: Mapping[str, Any]


def public(answers: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the answers to the questions, without Copier's own entries (_commit and so on)."""
    return {str(k): v for k, v in answers.items() if not str(k).startswith("_")}


def recorded(content: str | bytes) -> dict[str, Any]:
    """Return what an answers file records, also Copier's own; empty where it cannot be read."""
    try:
        answers = yaml.load(content, Loader=LOADER)  # noqa: S506  a safe loader
    except (UnicodeDecodeError, yaml.YAMLError):
        return {}
    return answers if isinstance(answers, dict) else {}


def find_answers(folder: Path) -> Path | None:
    """Return the answers file of the project in `folder`, or None when it is no project.

    A template can name the file as it likes; what it records is always the same.
    """
    usual = folder / ANSWERS_FILE
    if usual.is_file():
        return usual
    for path in sorted(folder.glob(".*.y*ml")):
        if path.is_file() and b"\n_src_path: " in b"\n" + path.read_bytes():
            return path
    return None


def find_projects(folders: Iterable[Path]) -> list[Path]:
    """Return the projects: each folder that is one, and those right inside a folder that is not.

    Raises UsageError for a folder with no project.
    """
    projects: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}", "name a project, or a folder of them")
        inside = [folder]
        if find_answers(folder) is None:
            inside = [p for p in sorted(folder.iterdir()) if p.is_dir() and find_answers(p)]
        if not inside:
            raise UsageError(
                f"{folder.absolute()} is no project made from a template, and holds none",
                f"name the folder of a project: one with {ANSWERS_FILE}",
            )
        projects += [p for p in inside if p not in projects]
    return projects


def read_project(folder: Path) -> Project:
    """Read the project in `folder`.

    Raises UsageError when there is none, ScaffoldError when its answers file cannot be used.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "name the folder of a project")
    path = find_answers(folder)
    if path is None:
        raise UsageError(
            f"{folder.absolute()} was not made from a template: it has no {ANSWERS_FILE}",
            "name the folder of a project that has one",
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScaffoldError(f"cannot read {path}: {error}", _REPAIR + path.name) from error
    return parse_answers(text, folder, path.name)


def parse_answers(text: str, folder: Path, name: str) -> Project:
    """Return the project that an answers file's text describes; errors as in `read_project`."""
    path = folder / name
    if "\n<<<<<<< " in f"\n{text}":
        raise ScaffoldError(
            f"{path} has conflict markers in it",
            "keep one side (most often the newer _commit), then try again",
        )
    try:
        document = yaml.load(text, Loader=LOADER)  # noqa: S506  a safe loader
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise ScaffoldError(f"{path} is not valid YAML: {where}", _REPAIR + name) from error
    if not isinstance(document, dict):
        raise ScaffoldError(f"{path} is not a table of answers", _REPAIR + name)
    source, commit = document.get("_src_path"), document.get("_commit")
    if not isinstance(source, str) or not source:
        raise ScaffoldError(
            f"{path} does not say where its template is (_src_path)", _REPAIR + name
        )
    if not isinstance(commit, str | int | float) or not str(commit):
        raise ScaffoldError(
            f"{path} records no version of its template (_commit), so there is nothing to compare "
            "with",
            "was it made from a folder without git? make it again from a git URL, beside this one",
        )
    return Project(folder, name, text, source, str(commit), public(document))
