"""What a version of a template makes of a set of answers: fingerprints, kept between runs.

A version is a commit, which never changes, so `status` of a hundred projects renders only what it
has not seen before. The content is not kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import platformdirs

from pixi_scaffold import __version__
from pixi_scaffold.system import File, replacing
from pixi_scaffold.template import Project, Renderer

_MOST = 2000
"""How many renders are kept; each takes 3 kB."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """The files of a fresh render, each as a fingerprint, and those that are made once."""

    files: Mapping[str, str]
    seeded: frozenset[str]


def fingerprint(file: File | None) -> str:
    """Return what stands for a file's content and kind; line ends as on Windows count as others.

    git writes them where it is told to (core.autocrlf), and then calls the file unchanged.
    """
    if file is None:
        return ""
    content = file.content.replace(b"\r\n", b"\n") if file.has_crlf else file.content
    kind = "link" if file.link else "program" if file.executable else "file"
    return f"{kind} {hashlib.sha256(content).hexdigest()}"


def fresh(project: Project, renderer: Renderer) -> Fresh:
    """Return what the template makes for a project; raises ScaffoldError when it cannot."""
    commit = renderer.commit_of(project.commit)
    answers = json.dumps(dict(project.answers), sort_keys=True, default=str)
    words = (commit, project.answers_file, project.source, answers, __version__, version("copier"))
    key = hashlib.sha256("\n".join(words).encode()).hexdigest()
    path = platformdirs.user_cache_path("pixi-scaffold") / "renders" / f"{key}.json"
    if commit and (known := _read(path)):
        return known
    made = renderer.render_recorded(project)
    made_now = Fresh({p: fingerprint(f) for p, f in made.files.items()}, made.seeded)
    if commit:
        _write(path, made_now)
    return made_now


def _read(path: Path) -> Fresh | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Fresh(dict(document["files"]), frozenset(document["seeded"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, made: Fresh) -> None:
    """Keep a render; where that cannot be written, the next run makes it again."""
    document = {"files": dict(made.files), "seeded": sorted(made.seeded)}
    with contextlib.suppress(OSError):
        with replacing(path) as new:
            new.write_text(json.dumps(document), encoding="utf-8")
        kept = list(path.parent.glob("*.json"))
        if len(kept) > _MOST:
            for old in sorted(kept, key=lambda p: p.stat().st_mtime)[: _MOST // 2]:
                old.unlink(missing_ok=True)
