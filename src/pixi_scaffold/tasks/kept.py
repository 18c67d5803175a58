"""What `run` keeps between two runs: facts, each with what it was found out for, and tasks done."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pixi_scaffold.system import layout, replacing
from pixi_scaffold.tasks.globs import task_files


def digest(*parts: object) -> str:
    """Return a key that changes when one of the parts does."""
    whole = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode(errors="surrogateescape")
        whole.update(b"%d:" % len(data) + data)
    return whole.hexdigest()


def read_kept(root: Path, name: str, key: str) -> dict[str, Any]:
    """Return what was kept under a name for this very key; empty where nothing was."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads((root / layout.TASKS / name).read_text(encoding="utf-8"))
        if kept["key"] == key:
            return dict(kept["facts"])
    return {}


def keep(root: Path, name: str, key: str, facts: dict[str, Any]) -> None:
    """Keep facts; where the workspace cannot be written they are found out again."""
    folder = root / layout.TASKS
    with suppress(OSError):
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)  # values of variables may be secrets
        with replacing(folder / name) as new:
            new.write_text(json.dumps({"key": key, "facts": facts}), encoding="utf-8")


class TaskFiles(NamedTuple):
    """The files of a task, by their patterns, and what else it depends on."""

    root: Path
    inputs: tuple[str, ...] | None
    outputs: tuple[str, ...] | None
    identity: str
    """Which task with which arguments."""
    state: str
    """Its command and its environment."""

    @property
    def record(self) -> str:
        """The name under which it is kept that the task was done."""
        return f"done-{digest(self.identity)[:32]}.json"

    def is_done(self) -> bool:
        """Whether nothing has changed since the task ended well; raises ScaffoldError."""
        now = self._now(self._files())
        return now is not None and bool(read_kept(self.root, self.record, now))

    def note_done(self) -> list[str]:
        """Keep that the task ended well; return the lists of patterns that no file matched.

        With such a list nothing is kept: the task runs again. Raises ScaffoldError.
        """
        files = self._files()
        lists = zip((self.inputs, self.outputs), files, strict=True)
        unmatched = [one for one, names in lists if one is not None and not names]
        now = self._now(files)
        if now is not None and not unmatched:
            keep(self.root, self.record, now, {"done": True})
        return [", ".join(patterns) or "an empty list" for patterns in unmatched]

    def _files(self) -> list[list[str]]:
        return [task_files(self.root, one or ()) for one in (self.inputs, self.outputs)]

    def _now(self, files: list[list[str]]) -> str | None:
        """Return what decides; None where no file does."""
        if not any(files):
            return None
        parts: list[object] = [self.state]
        for group in files:
            parts.append(len(group))
            for path in group:
                with (self.root / path).open("rb") as file:
                    parts += [path, hashlib.file_digest(file, "sha256").hexdigest()]
        return digest(*parts)
