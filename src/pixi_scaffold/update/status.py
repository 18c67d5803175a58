"""How projects stand: behind their template, drifted from it, locked or not, proved or not."""

from __future__ import annotations

import hashlib
import json
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError, UnsupportedError, UsageError
from pixi_scaffold.report import Progress, Report, Run, Silent, Step, go_to
from pixi_scaffold.system import layout
from pixi_scaffold.template import Renderers, find_projects, read_project
from pixi_scaffold.update.drift import drift, heal
from pixi_scaffold.update.fresh import fresh
from pixi_scaffold.update.prepare import manifest_name
from pixi_scaffold.update.standing import LastProof, Standing, StatusFacts
from pixi_scaffold.update.waiting import waiting


@dataclass(slots=True)
class _Cache:
    renderers: Renderers
    locks: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)


def status(folders: Sequence[Path], progress: Progress) -> Report:
    """Look at each project, and at each one inside a folder of many; nothing is changed.

    A project where something needs doing counts as failed; the hint says what. Raises UsageError
    when a folder holds no project.
    """
    projects = find_projects(folders)
    standings = []
    progress.start("status")
    run = Run(Silent())
    with Renderers() as renderers:
        cache = _Cache(renderers)
        for number, folder in enumerate(projects):
            progress.update(folder.name, number / len(projects))
            with run.step(folder.resolve().name) as step:
                standings.append(_one(folder, cache, step))
    return Report("status", run.results, StatusFacts(tuple(standings)), _next(standings))


def _next(standings: Sequence[Standing]) -> tuple[str, ...]:
    """Return what to type: all of it for a few projects, the way to find out for many."""
    commands = tuple(dict.fromkeys(command for one in standings for command in one.todo))
    return commands if len(commands) <= 6 else (*commands[:5], f"and {len(commands) - 5} more")


def heal_file(folder: Path, name: Path, progress: Progress) -> Report:
    """Take one file of a project back to what the template makes of it."""
    run = Run(progress)
    with run.step("heal") as step, Renderers() as renderers:
        project = read_project(folder)
        made = renderers.of(project.source).render_recorded(project)
        path = heal(project, made, name)
        if path:
            step.passed(f"{path} is as in {project.commit} again")
        else:
            step.passed(f"{name} is already as {project.commit} has it")
    go = (*go_to(project.folder), f"git diff -- {path}") if path else ()
    return Report("status", run.results, {"healed": path or None}, go)


def _one(folder: Path, cache: _Cache, step: Step) -> Standing:
    standing = Standing(folder, step.name)
    try:
        standing.made_by(project := read_project(folder))
        renderer = cache.renderers.of(project.source)
        standing.has_versions(renderer.tags())
        standing.differs(drift(project, fresh(project, renderer)))
    except ScaffoldError as error:
        standing.has_error(error)
    standing.has_waiting(waiting(folder))
    standing.has_lock(*_lock_state(folder, cache))
    standing.was_proved(_last_proof(folder))
    if standing.todo:
        step.failed(standing.detail, hint=" && ".join(standing.todo))
    else:
        step.passed(standing.detail)
    return standing


def _lock_state(folder: Path, cache: _Cache) -> tuple[str, tuple[str, ...]]:
    """Say whether the lock serves the manifest, and what is wrong; a pair is judged once."""
    name = manifest_name(folder)
    if not name:
        return "no manifest", ()
    key = _key(folder / name, folder / layout.LOCK_FILE)
    if key not in cache.locks:
        cache.locks[key] = _judged(folder)
    return cache.locks[key]


def _key(manifest: Path, lock: Path) -> str:
    """Return what a lock is judged by: the lock, and the manifest without its name and words."""
    text = manifest.read_bytes()
    try:
        document = tomllib.loads(text.decode())
        workspace = document.get("workspace")
        if isinstance(workspace, dict):
            for word in ("name", "description", "authors", "version", "license"):
                workspace.pop(word, None)
        text = json.dumps(document, sort_keys=True, default=str).encode()
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        text += str(manifest).encode()
    digest = hashlib.sha256(manifest.name.encode() + text)
    digest.update(lock.read_bytes() if lock.is_file() else b"none")
    return digest.hexdigest()


def _judged(folder: Path) -> tuple[str, tuple[str, ...]]:
    if not (folder / layout.LOCK_FILE).is_file():
        return "missing", ()
    from pixi_scaffold.lock import check_lock

    try:
        report = check_lock(folder)
    except UnsupportedError:
        return "for pixi itself to judge", ()
    except ScaffoldError as error:
        return "not current", (error.message,)
    problems = tuple(line for result in report.failed for line in result.lines)
    return ("not current" if report.failed else "current"), problems


def _last_proof(folder: Path) -> LastProof | None:
    path = folder / layout.RECEIPT
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        day = time.strftime("%Y-%m-%d", time.localtime(path.stat().st_mtime))
        command, ok = str(document["command"]), bool(document["ok"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    trained = any(
        r.get("name") == "train" and r.get("status") == "passed"
        for r in document.get("results", ())
        if isinstance(r, dict)
    )
    return LastProof(command, ok, trained, day)


def status_or_heal(folders: Sequence[Path], name: Path | None, progress: Progress) -> Report:
    """Look, or heal one file of the one project that is named."""
    if name is None:
        return status(folders, progress)
    if len(folders) != 1:
        raise UsageError("--heal works on one project", "name one folder")
    return heal_file(folders[0], name, progress)
