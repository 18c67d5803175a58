"""Whether a task is done: neither its inputs nor its outputs nor its command have changed."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from pixi_scaffold.tasks.globs import task_files
from pixi_scaffold.tasks.kept import digest, keep, read_kept


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
