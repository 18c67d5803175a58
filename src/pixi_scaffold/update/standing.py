"""How one project stands, gathered step by step, and what that looks like as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.report import in_folder
from pixi_scaffold.system import program
from pixi_scaffold.template import Project, newer, no_versions, releases
from pixi_scaffold.update.drift import Drift, Owner
from pixi_scaffold.update.waiting import Waiting


@dataclass(frozen=True, slots=True)
class LastProof:
    """What the project's receipt says."""

    command: str
    ok: bool
    trained: bool
    day: str
    """Of the receipt, as 2026-11-27."""

    @property
    def words(self) -> str:
        """Return it for the table."""
        if not self.ok:
            return f"{self.command} failed {self.day}"
        return f"{'trained' if self.trained else self.command} {self.day}"


@dataclass(slots=True)
class Standing:
    """How one project stands: a word a column, and what is left to do, each as a command."""

    folder: Path
    name: str
    template: str = ""
    files: str = ""
    lock: str = ""
    proof: str = ""
    error: str = ""
    """Why the template's side could not be looked at."""
    todo: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    drift: tuple[Drift, ...] = ()
    problems: tuple[str, ...] = ()
    """Of the lock."""
    details: dict[str, Any] = field(default_factory=dict)
    """What else the JSON document has of it, by key and in its order."""

    def made_by(self, project: Project) -> None:
        """Note which template and version made it."""
        self.template = project.commit
        self.details |= {"template": project.source, "version": project.commit}

    def has_versions(self, tags: Sequence[str]) -> None:
        """Compare with the versions that the template has."""
        final, later = releases(tags), newer(tags, self.template)
        self.details |= {"newest": final[-1] if final else None, "behind": len(later)}
        other = no_versions(tags)
        also = f" ({', '.join(other[-3:])}: not a version)" if other else ""
        if later:
            self.todo.append(f"{program()} update{self._argument}")
        how = f"{len(later)} behind {later[-1]}" if later else "the newest"
        self.template += f", {how}{also}"

    def differs(self, drift: tuple[Drift, ...]) -> None:
        """Count the files that are not as the template made them, by who keeps them."""
        self.drift = drift
        self.details["drift"] = [asdict(item) for item in drift]
        counts = {owner: sum(item.owner is owner for item in drift) for owner in Owner}
        self.files = ", ".join(f"{n} {o}" for o, n in counts.items() if n) or "as made"

    def has_error(self, error: ScaffoldError) -> None:
        """Note why the template's side could not be looked at."""
        self.error = self.details["error"] = error.message
        self.todo.append(error.hint or "correct it")

    def has_waiting(self, updates: Sequence[Waiting]) -> None:
        """Add the updates that wait; each is finished before another one is begun."""
        self.details["waiting"] = [asdict(update) for update in updates]
        self.details["notes"] = self.notes
        for update in updates:
            here = bool(update.place) and self.folder.resolve().is_relative_to(update.place)
            if update.conflicts:
                self.notes.append(f"an update waits with conflicts on {update.branch}")
                command = f"{program()} update --continue{self._argument}"
                there = "" if here else f"cd {shlex.quote(update.place)} && "
                self.todo = [f"{there}{command}"]
            else:
                self.notes.append(f"an update is not merged yet: {update.branch}")
                merge = f"git merge {update.branch}"
                self.todo = [
                    f"git switch -   # then: {merge}" if here else in_folder(self.folder, merge)
                ]

    def has_lock(self, state: str, problems: tuple[str, ...]) -> None:
        """Note whether pixi.lock serves the manifest."""
        self.lock, self.problems = state, problems
        self.details["lock"] = {"state": state, "problems": list(problems)}
        if state in ("missing", "not current"):
            self.todo.append(f"{program()} lock{self._argument}")

    def was_proved(self, proof: LastProof | None) -> None:
        """Note what was proved last; None for never."""
        self.proof = proof.words if proof else "never"
        self.details["receipt"] = asdict(proof) if proof else None
        if proof and not proof.ok:
            self.todo.append(f"{program()} check --train{self._argument}")

    @property
    def words(self) -> dict[str, str]:
        """A word or two for each column."""
        columns = ("template", "files", "lock", "proof")
        return {column: getattr(self, column) for column in columns}

    @property
    def detail(self) -> str:
        """All of it in one line."""
        return "; ".join(filter(None, (self.error, *self.words.values(), *self.notes)))

    @property
    def _argument(self) -> str:
        """How a command names the folder; the one that we are in needs no name."""
        folder = self.folder
        return "" if folder.resolve() == Path.cwd() else f" {shlex.quote(str(folder))}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON document has it."""
        first = {"project": str(self.folder), "name": self.name, "todo": self.todo}
        return {**first, "words": self.words, **self.details}


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """How each project stands."""

    projects: tuple[Standing, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        return {"projects": [project.to_dict() for project in self.projects]}
