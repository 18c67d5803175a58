"""Whether a task is done: neither its inputs nor its outputs nor its command have changed.

Which files count is decided as in Pixi 0.77 (crates/pixi_glob): patterns of .gitignore's kind, of
which the last one that matches decides; names without a pattern only at the workspace's root.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.system import layout
from pixi_scaffold.tasks.kept import digest, keep, read_kept

_BRACES = re.compile(r"\{([^{}]*)\}")
_META = frozenset("*?[{")


@dataclass(frozen=True, slots=True)
class TaskFiles:
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
        """Whether nothing has changed since the task ended well."""
        now = self._now()
        return now is not None and bool(read_kept(self.root, self.record, now))

    def note_done(self) -> list[str]:
        """Keep that the task ended well; return the patterns of those that no file matched.

        With such patterns nothing is kept: the task runs again.
        """
        unmatched = [
            pattern
            for patterns in (self.inputs, self.outputs)
            if patterns is not None and not _files(self.root, patterns)
            for pattern in patterns
        ]
        now = self._now()
        if now is not None and not unmatched:
            keep(self.root, self.record, now, {"done": True})
        return unmatched

    def _now(self) -> str | None:
        """Return what decides; None where no file does."""
        files = [_files(self.root, patterns or ()) for patterns in (self.inputs, self.outputs)]
        if not any(files):
            return None
        parts: list[object] = [self.state]
        for group in files:
            parts.append(len(group))
            for path in group:
                with (self.root / path).open("rb") as file:
                    parts += [path, hashlib.file_digest(file, "sha256").hexdigest()]
        return digest(*parts)


def _files(root: Path, patterns: Sequence[str]) -> list[str]:
    """Return the files that the patterns name, in order, as seen from the workspace."""
    if not patterns:
        return []
    import pathspec

    up = max(0, *(_parents(p.removeprefix("!")) for p in patterns))
    start = Path(os.path.normpath(root.joinpath(*[".."] * up)))
    above = root.relative_to(start).as_posix()
    lines = [line for p in patterns for line in _lines(p, root, above if up else "")]
    spec = pathspec.PathSpec.from_lines("gitignore", lines)
    hidden = any(part.startswith(".") for line in lines for part in line.lstrip("!/").split("/"))
    matching = (p for p in _walk(start, "", hidden=hidden) if spec.match_file(p))
    return sorted(os.path.relpath(start / path, root) for path in matching)


def _parents(pattern: str) -> int:
    parts = os.path.normpath(pattern).split("/")
    return sum(part == ".." for part in parts)


def _lines(pattern: str, root: Path, above: str) -> Iterator[str]:
    """Yield the lines of a .gitignore that mean what a pattern of a task means."""
    sign = "!" if pattern.startswith("!") else ""
    body = pattern.removeprefix("!")
    if body.endswith("/"):
        body += "**"
    elif (root / body).is_dir():
        body += "/**"
    everywhere = sign and body.startswith("**/")
    if above and not everywhere:
        body = os.path.normpath(f"{above}/{body}")
    body = body.removeprefix("./")
    if "/" not in body and not _META & set(body):
        body = f"/{body}"
    for one in _alternatives(body):
        yield sign + one


def _alternatives(pattern: str) -> Iterable[str]:
    braces = _BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    for one in braces[1].split(","):
        yield from _alternatives(pattern[: braces.start()] + one + pattern[braces.end() :])


def _walk(folder: Path, prefix: str, *, hidden: bool) -> Iterator[str]:
    """Yield the files in a folder; hidden ones only where a pattern names such."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") and (not hidden or entry.name in (".git", layout.PIXI.name)):
            continue
        if entry.is_dir():
            yield from _walk(folder / entry.name, f"{prefix}{entry.name}/", hidden=hidden)
        elif entry.is_file():
            yield prefix + entry.name
