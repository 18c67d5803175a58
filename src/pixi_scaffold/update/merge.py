"""Merge three trees: what the template made, what the user made of it, what it makes now.

The result is that of `copier update` with inline conflicts, apart from what docs/how-to/update.md
names: a manifest is merged as data, line endings stay, an edited file is never deleted, and a file
that the template makes once follows it until it is touched.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import File, Tree, layout, temporary_folder, try_git
from pixi_scaffold.workspace import manifest_among, merge_manifest

MANIFESTS = (layout.MANIFEST, layout.PYPROJECT)
# A string, which may have a # in it, or else a comment (https://toml.io/en/v1.0.0).
_TOKEN = re.compile(
    r"""\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|(\#[^\n]*)""",
    re.DOTALL,
)
_MARKERS = (b"<<<<<<< before updating", b">>>>>>> after updating")


class Action(StrEnum):
    """What an update does to one file."""

    NEW = "new"
    UPDATED = "updated"
    MERGED = "merged"
    CONFLICT = "conflict"
    DELETED = "deleted upstream"
    YOURS = "yours"


@dataclass(frozen=True, slots=True)
class Change:
    """One file of an update."""

    path: str
    action: Action
    file: File | None
    """What will be there; None is nothing."""
    note: str = ""
    """One line for the user."""
    sides: tuple[File | None, File | None, File | None] = (None, None, None)
    """Base, ours and theirs of a conflict."""
    moved_from: str = ""
    """Where the user's file is now, when a migration moves it."""
    before: File | None = None
    """What the user's commit has."""

    @property
    def writes(self) -> bool:
        """Whether the update changes anything in the project for this file."""
        return self.action is not Action.YOURS or bool(self.moved_from)


@dataclass(frozen=True, slots=True)
class Sides:
    """The three trees of an update, and what is special about some of their files."""

    base: Tree
    ours: Tree
    theirs: Tree
    seeded: frozenset[str]
    """Files that are the user's once they are touched."""
    answers_file: str
    moved: Mapping[str, str]
    """Files that the template renamed: new path to old path; base and ours have the new one."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Files that the user renamed: the path here to the template's; all trees have the user's."""


def merge_trees(sides: Sides) -> tuple[Change, ...]:
    """Return what an update does, a file at a time, by path; what stays as it is is left out.

    Files of the user alone are not looked at. Raises ScaffoldError when git cannot merge.
    """
    changes = []
    for path in sorted({*sides.base, *sides.theirs}):
        old = sides.moved.get(path, "")
        for change in _merge_one(path, sides):
            why = f"moved from {old}" if old else ""
            if path in sides.renamed:
                why = f"you moved it from {sides.renamed[path]}"
            note = "; ".join(filter(None, (why, change.note)))
            changes.append(replace(change, moved_from=old, note=note))
    return tuple(changes)


def _merge_one(path: str, sides: Sides) -> Iterator[Change]:
    base, ours, theirs = (side.get(path) for side in (sides.base, sides.ours, sides.theirs))
    if ours is not None and ours.has_crlf:
        base, theirs = _crlf(base), _crlf(theirs)
    if path == sides.answers_file:
        if ours != theirs:
            yield Change(path, Action.UPDATED, theirs, "the version and your answers")
    elif ours == theirs:
        if path in sides.moved:
            yield Change(path, Action.UPDATED, ours)
    elif base == theirs:
        note = "" if ours else "you deleted it"
        yield Change(path, Action.YOURS, ours, note)
    elif ours == base:
        action = Action.DELETED if theirs is None else Action.UPDATED if base else Action.NEW
        yield Change(path, action, theirs)
    elif path in sides.seeded:
        yield Change(path, Action.YOURS, ours, "yours from the first day on")
    elif ours is None:
        yield Change(path, Action.YOURS, None, "you deleted it; the template changed it")
    elif theirs is None:
        yield Change(path, Action.YOURS, ours, "the template does not have it any more")
    else:
        yield _merged(path, base, ours, theirs)


def _merged(path: str, base: File | None, ours: File, theirs: File) -> Change:
    sides = (base, ours, theirs)
    if not (ours.is_text and theirs.is_text and (base is None or base.is_text)):
        note = "not text: yours stays; take one of the two"
        return Change(path, Action.CONFLICT, ours, note, sides)
    executable = theirs.executable
    if base is not None and ours.executable != base.executable:
        executable = ours.executable
    was = b"" if base is None else base.content
    content, note = _merged_text(path, was, ours.content, theirs.content)
    file = File(content, executable)
    if file == ours:
        return Change(path, Action.YOURS, ours)
    if has_markers(content):
        return Change(path, Action.CONFLICT, file, note, sides)
    return Change(path, Action.MERGED, file, note)


def _merged_text(path: str, base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, str]:
    text = merge_lines(base, ours, theirs)
    if manifest_among({path: theirs.decode(errors="replace")}) != path:
        return text, ""
    if b"\r\n" not in ours:
        return _merged_data(text, base, ours, theirs) or (text, "")
    unix = (side.replace(b"\r\n", b"\n") for side in (text, base, ours, theirs))
    merged = _merged_data(*unix)
    return (text, "") if merged is None else (merged[0].replace(b"\n", b"\r\n"), merged[1])


def _merged_data(text: bytes, base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, str] | None:
    """Return the manifest merged key by key, where that is better than `text`, its merged lines."""
    try:
        was, mine, now = (side.decode() for side in (base, ours, theirs))
    except UnicodeDecodeError:
        return None
    merged = merge_manifest(was, mine, now)
    if merged is None:
        return None
    # Lines that are merged keep every comment; where they hide a conflict, all that differs is one.
    lines = text if has_markers(text) else merge_lines(b"", ours, theirs)
    if merged.conflicts:
        variants = [side.encode() for side in (merged.base, merged.ours, merged.theirs)]
        both = merge_lines(*variants)
        kept = has_markers(both) and not missing_comments(was, mine, now, both.decode())
        return (both if kept else lines), ", ".join(merged.conflicts)
    if not has_markers(text) and _data(text) == _data(merged.ours.encode()):
        return None  # the lines are as plain `copier update` has them, with the template's comments
    if missing_comments(was, mine, now, merged.ours):
        return lines, "merged by lines, to keep your comments"
    new = _comments(now) - _comments(was) - _comments(merged.ours)
    also = "; comments of the template are left out" if new else ""
    return merged.ours.encode(), f"merged key by key{also}"


def missing_comments(base: str, ours: str, theirs: str, merged: str) -> list[str]:
    """Return the comments of ours that a merge lost, apart from those that the template removed.

    In a conflict, what counts is the user's side of it.
    """
    removed = _comments(base) - _comments(theirs)
    kept = re.sub(r"(?ms)^=======\r?\n.*?^>>>>>>> after updating\r?$", "", merged)
    return list((_comments(ours) - removed - _comments(kept)).elements())


def _comments(text: str) -> Counter[str]:
    return Counter(matched[1].strip() for matched in _TOKEN.finditer(text) if matched[1])


def _data(text: bytes) -> object:
    try:
        return tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None


def merge_lines(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """Merge lines with git, as Copier does: the same command, so the same markers."""
    with temporary_folder() as folder:
        for name, content in (("base", base), ("ours", ours), ("theirs", theirs)):
            (folder / name).write_bytes(content)
        labels = ["-L", "before updating", "-L", "last update", "-L", "after updating"]
        done = try_git(folder, "merge-file", *labels, "--", "ours", "base", "theirs", timeout=60)
        if done.code < 0 or done.code > 127:
            raise ScaffoldError(f"git merge-file failed: {done.output.strip()}")
        return (folder / "ours").read_bytes()


def has_markers(content: bytes) -> bool:
    """Whether there is a conflict in it that nobody resolved yet."""
    return any(line.rstrip() in _MARKERS for line in content.splitlines())


_LEFT = re.compile(rb"^(?:<{7}|>{7}|\|{7})(?: |\r?$)", re.MULTILINE)
_MIDDLE = re.compile(rb"^={7}\r?$", re.MULTILINE)


def has_leftovers(path: str, content: bytes) -> bool:
    """Whether a file that had a conflict still has a marker of git's, whatever its label.

    A line of seven `=` underlines a heading in Markdown and reStructuredText.
    """
    text = path.endswith((".md", ".rst"))
    return _LEFT.search(content) is not None or (not text and _MIDDLE.search(content) is not None)


def _crlf(file: File | None) -> File | None:
    """Return the file with line endings as on Windows, when the user's has them."""
    if file is None or not file.is_text or b"\r" in file.content:
        return file
    return file._replace(content=file.content.replace(b"\n", b"\r\n"))
