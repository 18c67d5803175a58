"""How projects stand: behind their template, drifted from it, locked or not, proved or not."""

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
from pixi_scaffold.system import layout, program, try_git
from pixi_scaffold.template import (
    Renderers,
    find_projects,
    newer,
    no_versions,
    read_project,
    releases,
)
from pixi_scaffold.update.drift import Drift, Owner, drift, fresh, heal
from pixi_scaffold.update.prepare import manifest_name
from pixi_scaffold.update.repository import branch_folder

LockState = tuple[str, tuple[str, ...]]
"""Whether pixi.lock serves the manifest, in words, and what is wrong with it."""


@dataclass(slots=True)
class Standing:
    """How one project stands: a word or two a column, and what is left to do, as commands."""

    folder: Path
    name: str
    words: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(("template", "files", "lock", "proof"), "")
    )
    error: str = ""
    """Why the template's side could not be looked at."""
    todo: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    drift: tuple[Drift, ...] = ()
    problems: tuple[str, ...] = ()
    """Of the lock."""
    details: dict[str, Any] = field(default_factory=dict)
    """What else the JSON document has of it, by key and in its order."""

    @property
    def detail(self) -> str:
        """All of it in one line."""
        return "; ".join(filter(None, (self.error, *self.words.values(), *self.notes)))

    def command(self, command: str) -> str:
        """Return a command of ours for this project; the folder that we are in needs no name."""
        here = self.folder.resolve() == Path.cwd()
        return f"{program()} {command}" + ("" if here else f" {shlex.quote(str(self.folder))}")

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON document has it."""
        first = {"project": str(self.folder), "name": self.name, "todo": self.todo}
        return {**first, "words": self.words, **self.details}


@dataclass(frozen=True, slots=True)
class Waiting:
    """An update that is on a branch and not merged."""

    branch: str
    place: str
    """The work tree that is on that branch; empty when none is."""
    conflicts: bool
    """Whether there are conflicts to be edited in that work tree."""


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """How each project stands."""

    projects: tuple[Standing, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        return {"projects": [project.to_dict() for project in self.projects]}


def status_or_heal(folders: Sequence[Path], name: Path | None, progress: Progress) -> Report:
    """Look, or heal one file of the one project that is named."""
    if name is None:
        return status(folders, progress)
    if len(folders) != 1:
        raise UsageError("--heal works on one project", "name one folder")
    return heal_file(folders[0], name, progress)


def status(folders: Sequence[Path], progress: Progress) -> Report:
    """Look at each project, and at each one inside a folder of many; nothing is changed.

    A project where something needs doing counts as failed; the hint says what. Raises UsageError
    when a folder holds no project.
    """
    projects = find_projects(folders)
    standings = []
    progress.start("status")
    run = Run(Silent())
    locks: dict[str, LockState] = {}
    with Renderers() as renderers:
        for number, folder in enumerate(projects):
            progress.update(folder.name, number / len(projects))
            with run.step(folder.resolve().name) as step:
                standings.append(_one(folder, renderers, locks, step))
    todo = tuple(dict.fromkeys(command for one in standings for command in one.todo))
    if len(todo) > 6:  # the table says it of each
        todo = (*todo[:5], f"and {len(todo) - 5} more")
    return Report("status", run.results, StatusFacts(tuple(standings)), todo)


def heal_file(folder: Path, name: Path, progress: Progress) -> Report:
    """Take one file of a project back to what the template makes of it."""
    run = Run(progress)
    with run.step("heal") as step, Renderers() as renderers:
        project = read_project(folder)
        made = renderers.of(project.source).render_recorded(project)
        path = heal(project, made, name)
        as_made = f"{path} is as in {project.commit} again"
        step.passed(as_made if path else f"{name} is already as {project.commit} has it")
    go = (*go_to(project.folder), f"git diff -- {path}") if path else ()
    return Report("status", run.results, {"healed": path or None}, go)


def _one(folder: Path, renderers: Renderers, locks: dict[str, LockState], step: Step) -> Standing:
    standing = Standing(folder, step.name)
    try:
        _compare(standing, renderers)
    except ScaffoldError as error:
        standing.error = standing.details["error"] = error.message
        standing.todo.append(error.hint or "correct it")
    _add_waiting(standing)
    _add_lock(standing, locks)
    _add_proof(standing)
    if standing.todo:
        step.failed(standing.detail, hint=" && ".join(standing.todo))
    else:
        step.passed(standing.detail)
    return standing


def _compare(standing: Standing, renderers: Renderers) -> None:
    """Compare with the versions that the template has, and with what the recorded one makes."""
    project = read_project(standing.folder)
    standing.words["template"] = project.commit
    standing.details |= {"template": project.source, "version": project.commit}
    renderer = renderers.of(project.source)
    tags = renderer.tags()
    final, later, other = releases(tags), newer(tags, project.commit), no_versions(tags)
    standing.details |= {"newest": final[-1] if final else None, "behind": len(later)}
    if later:
        standing.todo.append(standing.command("update"))
    how = f", {len(later)} behind {later[-1]}" if later else ", the newest"
    also = f" ({', '.join(other[-3:])}: not a version)" if other else ""
    standing.words["template"] += how + also
    standing.drift = drift(project, fresh(project, renderer))
    standing.details["drift"] = [asdict(item) for item in standing.drift]
    counts = {owner: sum(item.owner is owner for item in standing.drift) for owner in Owner}
    files = ", ".join(f"{number} {owner}" for owner, number in counts.items() if number)
    standing.words["files"] = files or "as made"


def _add_waiting(standing: Standing) -> None:
    """Add the updates that wait; each is finished before another one is begun."""
    updates = waiting(standing.folder)
    standing.details |= {"waiting": [asdict(u) for u in updates], "notes": standing.notes}
    for update in updates:
        here = bool(update.place) and standing.folder.resolve().is_relative_to(update.place)
        if update.conflicts:
            standing.notes.append(f"an update waits with conflicts on {update.branch}")
            there = "" if here else f"cd {shlex.quote(update.place)} && "
            standing.todo = [there + standing.command("update --continue")]
        else:
            standing.notes.append(f"an update is not merged yet: {update.branch}")
            merge = f"git merge {update.branch}"
            elsewhere = in_folder(standing.folder, merge)
            standing.todo = [f"git switch - && {merge}" if here else elsewhere]


def waiting(project: Path) -> tuple[Waiting, ...]:
    """Return the project's updates that are neither merged here nor anywhere else.

    `status` asks this of a hundred projects: git is started only where there is such a branch.
    """
    project = project.resolve()
    for top in (project, *project.parents):
        if (top / ".git").exists():
            return _waiting(top, branch_folder(project, top)) if _may_wait(top / ".git") else ()
    return ()


def _may_wait(git: Path) -> bool:
    """Whether a repository can have a branch below template/, by a look at its files."""
    try:
        if git.is_file():  # a linked work tree or a submodule
            git = git.parent / git.read_text().removeprefix("gitdir:").strip()
        if (git / "commondir").is_file():
            git = git / (git / "commondir").read_text().strip()
        if (git / "reftable").is_dir() or (git / "refs" / "heads" / "template").is_dir():
            return True
        packed = git / "packed-refs"
        return packed.is_file() and b"refs/heads/template/" in packed.read_bytes()
    except OSError:
        return False


def _waiting(top: Path, folder: str) -> tuple[Waiting, ...]:
    columns = "%(refname:short)%09%(objectname)%09%(worktreepath)"
    pattern = f"refs/heads/{folder.rstrip('/')}"
    rows = try_git(top, "for-each-ref", f"--format={columns}", pattern)
    if rows.code:
        return ()
    updates = []
    for row in rows.output.splitlines():
        branch, commit, place = row.split("\t")
        if "/" in branch.removeprefix(folder):
            continue  # another project's
        picked = ("rev-parse", "--verify", "--quiet", "CHERRY_PICK_HEAD")
        conflicts = bool(place) and try_git(Path(place), *picked).code == 0
        others = (f"--exclude={branch}", "--branches")
        new = try_git(top, "rev-list", "--max-count=1", commit, "--not", *others)
        if conflicts or (new.code == 0 and new.output.strip()):
            updates.append(Waiting(branch, place, conflicts))
    return tuple(updates)


def _add_lock(standing: Standing, locks: dict[str, LockState]) -> None:
    """Say whether pixi.lock serves the manifest; locks: each pair of files is judged once."""
    folder, state = standing.folder, "no manifest"
    if name := manifest_name(folder):
        key = _key(folder / name, folder / layout.LOCK_FILE)
        if key not in locks:
            locks[key] = _judged(folder)
        state, standing.problems = locks[key]
    standing.words["lock"] = state
    standing.details["lock"] = {"state": state, "problems": list(standing.problems)}
    if state in ("missing", "not current"):
        standing.todo.append(standing.command("lock"))


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


def _judged(folder: Path) -> LockState:
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


def _add_proof(standing: Standing) -> None:
    """Say what the project's receipt says was proved last, and on which day (2026-11-27)."""
    path = standing.folder / layout.RECEIPT
    standing.words["proof"], standing.details["receipt"] = "never", None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        day = time.strftime("%Y-%m-%d", time.localtime(path.stat().st_mtime))
        command, ok = str(document["command"]), bool(document["ok"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    steps = [r for r in document.get("results", ()) if isinstance(r, dict)]
    trained = any((r.get("name"), r.get("status")) == ("train", "passed") for r in steps)
    proof = {"command": command, "ok": ok, "trained": trained, "day": day}
    standing.details["receipt"] = proof
    how = f"{command} failed" if not ok else "trained" if trained else command
    standing.words["proof"] = f"{how} {day}"
    if not ok:
        standing.todo.append(standing.command("check --train"))
