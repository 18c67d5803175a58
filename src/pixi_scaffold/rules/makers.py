"""What may still make a file that is not there: then its absence is no error yet."""

import os
import re
from functools import lru_cache
from pathlib import Path

from pixi_scaffold.rules.subject import Subject
from pixi_scaffold.rules.texts import files_in

_TELLS = (
    ".sh", ".bash", ".py", ".pl", ".r", ".jl", ".mk", ".cmake", ".md", ".txt", ".rst",
    "makefile", "gnumakefile", "snakefile", "readme", "dockerfile",
)  # fmt: skip
_ARCHIVES = frozenset({".tar.gz", ".tgz", ".sif", ".zip", ".tar"})
_SOURCES = (".c", ".cc", ".cpp", ".cxx", ".cu", ".f", ".f90", ".go", ".rs", ".java", ".hs")
_MADE_OF = {".py": (".ipynb",), **dict.fromkeys(("", ".o", ".so", ".out", ".exe"), _SOURCES)}
"""What a file may be made of, by its suffix."""


def made_by(subject: Subject, item: str) -> str:
    """Return in words what may still make a missing file; empty when nothing is seen.

    item: its path as the description has it. That is a rule of git that ignores it, so that a
    clone never has it; a DAG in which this job has a parent; a script, Makefile or README beside
    the job that says how it is made or where it is from; another job's outputs; its source file.
    """
    path = Path(os.path.normpath(subject.start / item))
    name = path.name
    if Path("*") in subject.earlier:
        return "an earlier node of the DAG, or its PRE script, may make it"
    if subject.kept.get(path) == "ignored":
        return "git ignores it, so it is made or brought here by other means"
    return _made_by_a_job(subject, name) or _made_here(subject, item, path)


def taken_to_run(folder: Path, maker: str) -> str:
    """Return the end of a message about a file that is missing where condor_submit is run."""
    return f"{folder}, where condor_submit is taken to run{maker and f'; {maker}'}"


def _made_by_a_job(subject: Subject, name: str) -> str:
    """Return which other job of this folder may make a file."""
    description = subject.description.path
    for dag, text in files_in(description.parent, (".dag",)):
        if description.name in _children(text):
            return f"an earlier node of {dag.name}, or a PRE script, may make it"
    for other, text in files_in(description.parent, (".sub", ".submit")):
        outputs = _brought_back(other.name, text)
        ends = tuple(outputs & _ARCHIVES)
        if other != description and (name in outputs or (ends and name.endswith(ends))):
            return f"the job of {other.name} may bring it back"
    return ""


def _made_here(subject: Subject, item: str, path: Path) -> str:
    """Return what lies here that a file may be made of, or by."""
    if path.name.startswith("x509up"):
        return "voms-proxy-init makes it"
    near, sources = (path, path.parent.parent / path.name), _MADE_OF.get(path.suffix, ())
    if path.name and any(p.with_suffix(s).is_file() for p in near for s in sources):
        return "its source is here"
    if path.suffix == ".sif" and next(path.parent.glob("*.def"), None) is not None:
        return "a definition of an image is here"
    if item.startswith("../") and (subject.start / item[3:]).exists():
        return f"{item[3:]} is here, as if condor_submit were run in a folder below"
    numbered = re.fullmatch(r"(.*[A-Za-z]\w*[._-])\d+(?:\.\w+)?", path.name)  # one of many
    folder_name = f"{path.parent.name}/" if "/" in item else ""
    names = {path.name, numbered[1] if numbered else "", folder_name} - {""}
    mine = {subject.executable, *subject.input_files, subject.description.path}
    for folder in dict.fromkeys((subject.job.folder, subject.description.path.parent)):
        for teller, text in files_in(folder, _TELLS):
            whole = item in subject.inputs and teller.stem.lower() == "readme"  # its parts
            parts = re.split(r"^#.*", text, flags=re.MULTILINE) if whole else text.splitlines()
            said = any(n.endswith(_ends(text)) for n in names) or any(
                name in part and (_MAKES.search(part) or part.startswith(f"{name}:"))
                for part in parts
                for name in names
            )
            if teller not in mine and said:
                return f"{teller.name} may {'tell where it is from' if whole else 'make it'}"
    return ""


@lru_cache(maxsize=256)
def _ends(text: str) -> tuple[str, ...]:
    """Return what a program that writes puts behind a name, to make another: `"_predicted.csv"`."""
    writes = re.search(r"\b(?:write|save|dump|to_)\w*[.(]|\bsplit\s|>", text)
    return tuple(_END.findall(text)) if writes else ()


_END = re.compile(r"(?:[\"'}]|\$\w+)([_.-][A-Za-z]\w{2,}\.\w*)(?=[\"'\s]|$)")
_MAKES = re.compile(
    r"\b(?:wget|curl|download\w*|create\w*|generate\w*|build|built|compile\w*|convert\w*|unpack\w*|unzip"
    r"|cop(?:y|ies)|upload\w*|put|tar|zip|cp|mv|scp|rsync|ls|gcc|g\+\+|make|mkdir|pull|touch|save\w*"
    r"|writ\w+|to_csv|dump)\b|>|-o\b|[\"']w[bt]?[\"']",
    re.IGNORECASE,
)


@lru_cache(maxsize=256)
def _brought_back(name: str, text: str) -> frozenset[str]:
    """Return what a submit file says that its jobs bring back."""
    runs = re.search(r"^\s*executable\s*=", text, re.MULTILINE | re.IGNORECASE)
    if runs is None or name.lower().startswith("build"):
        return _ARCHIVES  # condor_submit -i: somebody packs software by hand
    lists = re.findall(r"^\s*transfer_output_files\s*=(.*)", text, re.MULTILINE | re.IGNORECASE)
    return frozenset(Path(item.strip()).name for one in lists for item in one.split(",")) - {""}


@lru_cache(maxsize=256)
def _children(text: str) -> frozenset[str]:
    """Return the names of the submit files whose nodes in a DAG have a parent, or a PRE script."""
    files = dict(re.findall(r"^\s*JOB\s+(\S+)\s+(\S+)", text, re.MULTILINE | re.IGNORECASE))
    lines = re.findall(r"\bCHILD\s+(.+)$", text, re.MULTILINE | re.IGNORECASE)
    lines += re.findall(r"^\s*SCRIPT\s.*?\bPRE\b.*$", text, re.MULTILINE | re.IGNORECASE)
    return frozenset(Path(files[n]).name for one in lines for n in one.split() if n in files)
