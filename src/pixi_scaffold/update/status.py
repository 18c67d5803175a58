"""How projects stand: behind their template, drifted from it, locked or not, proved or not."""

from __future__ import annotations

import hashlib
import json
import shlex
import time
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError, UnsupportedError, UsageError
from pixi_scaffold.report import Progress, Report, Run, Silent, Step, go_to, in_folder
from pixi_scaffold.system import layout, program
from pixi_scaffold.template import (
    Project,
    Renderer,
    Renderers,
    find_projects,
    newer,
    no_versions,
    read_project,
    releases,
)
from pixi_scaffold.update.drift import Drift, Owner, drift, heal
from pixi_scaffold.update.fresh import fresh
from pixi_scaffold.update.waiting import Waiting, waiting

_MANIFEST, _LOCK = "pixi.toml", "pixi.lock"


@dataclass(slots=True)
class _Cache:
    """What several projects have in common."""

    renderers: Renderers
    locks: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)


def status(folders: Sequence[Path], progress: Progress) -> Report:
    """Look at each project, and at each one inside a folder of many; nothing is changed.

    A project where something needs doing counts as failed; the hint says what. Raises UsageError
    when a folder holds no project.
    """
    projects = find_projects(folders)
    found = []
    progress.start("status")
    run = Run(Silent())
    with Renderers() as renderers:
        cache = _Cache(renderers)
        for number, folder in enumerate(projects):
            progress.update(folder.name, number / len(projects))
            with run.step(folder.resolve().name) as step:
                found.append(_one(folder, cache, step))
    return Report("status", run.results, {"projects": found}, _next(found))


def _next(found: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return what to type: all of it for a few projects, the way to find out for many."""
    commands = tuple(dict.fromkeys(command for facts in found for command in facts["todo"]))
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


def _one(folder: Path, cache: _Cache, step: Step) -> dict[str, Any]:
    """Say how one project stands, and return it as facts."""
    facts: dict[str, Any] = {"project": str(folder), "name": step.name, "todo": []}
    words = facts["words"] = dict.fromkeys(("template", "files", "lock", "proof"), "")
    try:
        project = read_project(folder)
        facts |= {"template": project.source, "version": project.commit}
        words["template"] = project.commit
        renderer = cache.renderers.of(project.source)
        words["template"] = _version(project, renderer, facts)
        words["files"] = _drift(drift(project, fresh(project, renderer)), facts)
    except ScaffoldError as error:
        facts["error"] = error.message
        facts["todo"].append(error.hint or "correct it")
    _waiting(folder, waiting(folder), facts)
    words["lock"] = _lock(folder, cache, facts)
    words["proof"] = _receipt(folder, facts)
    said = (facts.get("error", ""), *words.values(), *facts["notes"])
    detail = "; ".join(word for word in said if word)
    if facts["todo"]:
        step.failed(detail, hint=" && ".join(facts["todo"]))
    else:
        step.passed(detail)
    return facts


def _waiting(folder: Path, found: Sequence[Waiting], facts: dict[str, Any]) -> None:
    """Add the updates that wait; each is finished before another one is begun."""
    facts |= {"waiting": [asdict(update) for update in found], "notes": []}
    for update in found:
        here = folder.resolve().is_relative_to(update.place) if update.place else False
        if update.conflicts:
            facts["notes"].append(f"an update waits with conflicts on {update.branch}")
            command = f"{program()} update --continue{_named(folder)}"
            there = "" if here else f"cd {shlex.quote(update.place)} && "
            facts["todo"] = [f"{there}{command}"]
        else:
            facts["notes"].append(f"an update is not merged yet: {update.branch}")
            go = in_folder(folder, f"git merge {update.branch}")
            facts["todo"] = [f"git switch -   # then: git merge {update.branch}"] if here else [go]


def _version(project: Project, renderer: Renderer, facts: dict[str, Any]) -> str:
    final = releases(renderer.tags())
    later = newer(renderer.tags(), project.commit)
    facts |= {"newest": final[-1] if final else None, "behind": len(later)}
    other = no_versions(renderer.tags())
    also = f" ({', '.join(other[-3:])}: not a version)" if other else ""
    if not later:
        return f"{project.commit}, the newest{also}"
    facts["todo"].append(f"{program()} update{_named(Path(facts['project']))}")
    return f"{project.commit}, {len(later)} behind {later[-1]}{also}"


def _drift(found: tuple[Drift, ...], facts: dict[str, Any]) -> str:
    facts["drift"] = [asdict(item) for item in found]
    words = []
    for owner in Owner:
        count = sum(1 for item in found if item.owner is owner)
        if count:
            words.append(f"{count} {owner}")
    return ", ".join(words) or "as made"


def _lock(folder: Path, cache: _Cache, facts: dict[str, Any]) -> str:
    """Say whether pixi.lock serves pixi.toml; the same pair is judged once."""
    manifest, lock = folder / _MANIFEST, folder / _LOCK
    if not manifest.is_file():
        facts["lock"] = {"state": "no manifest", "problems": []}
        return "no manifest"
    key = _key(manifest, lock)
    if key not in cache.locks:
        cache.locks[key] = _judged(folder)
    state, problems = cache.locks[key]
    facts["lock"] = {"state": state, "problems": list(problems)}
    if state in ("missing", "not current"):
        facts["todo"].append(f"{program()} lock{_named(folder)}")
    return state


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
    digest = hashlib.sha256(text)
    digest.update(lock.read_bytes() if lock.is_file() else b"none")
    return digest.hexdigest()


def _named(folder: Path) -> str:
    """Return how a command names a folder; the one that we are in needs no name."""
    return "" if folder.resolve() == Path.cwd() else f" {shlex.quote(str(folder))}"


def _judged(folder: Path) -> tuple[str, tuple[str, ...]]:
    if not (folder / _LOCK).is_file():
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


def _receipt(folder: Path, facts: dict[str, Any]) -> str:
    """Say what was proved last, and when."""
    path = folder / layout.RECEIPT
    facts["receipt"] = None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        day = time.strftime("%Y-%m-%d", time.localtime(path.stat().st_mtime))
        command, ok = str(document["command"]), bool(document["ok"])
    except (OSError, ValueError, KeyError, TypeError):
        return "never"
    trained = any(
        r.get("name") == "train" and r.get("status") == "passed"
        for r in document.get("results", ())
        if isinstance(r, dict)
    )
    facts["receipt"] = {"command": command, "ok": ok, "trained": trained, "day": day}
    if not ok:
        facts["todo"].append(f"{program()} check --train{_named(folder)}")
        return f"{command} failed {day}"
    return f"{'trained' if trained else command} {day}"


def status_or_heal(folders: Sequence[Path], name: Path | None, progress: Progress) -> Report:
    """Look, or heal one file of the one project that is named."""
    if name is None:
        return status(folders, progress)
    if len(folders) != 1:
        raise UsageError("--heal works on one project", "name one folder")
    return heal_file(folders[0], name, progress)
