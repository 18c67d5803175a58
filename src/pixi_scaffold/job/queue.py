"""Read a queue statement: its count, its variables and its items (submit_utils.cpp)."""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Iterator
from pathlib import Path

from pixi_scaffold.job.description import Queue
from pixi_scaffold.job.evaluate import as_integer
from pixi_scaffold.job.lines import Line, logical_lines
from pixi_scaffold.system import is_elsewhere, read_regular

ITEMS_LIMIT = 1_000_000
"""More items than that are not read: no pool takes them in one submission."""
_BYTES_LIMIT = 64 << 20
_BLANKS = " \t\r\n\f\v"
"""What C's isspace() takes; Python's also takes the unit separator (0x1f)."""
_GAPS = re.compile(rf"[,{_BLANKS}]+")
_INT_MAX = 2**31 - 1
_KEYWORD = re.compile(r"(?:^|(?<=\s))(in|from|matching)(?=[\s(])", re.IGNORECASE)
_SLICE = re.compile(
    r"\[(\s*[-+]?\d+)?(?::(\s*[-+]?\d+)?(?::(\s*[-+]?\d+)?)?)?\]"  # no blanks after a number
)


class QueueError(Exception):
    """A queue statement that condor_submit refuses: why, and which file is missing."""

    kind = "queue"
    """That of the Problem."""


class ItemsElsewhereError(QueueError):
    """Items that only condor_submit can see, which is no mistake; the text says why."""

    kind = "items"


def queue_arguments(line: str) -> str | None:
    """Return what follows the word `queue` (or `iterate`); None for another kind of line."""
    matched = re.match(r"(?:queue(?=\s|$)|iter(?:a(?:t(?:e)?)?)?(?=\s|$))\s*", line, re.IGNORECASE)
    return None if matched is None else line[matched.end() :]


def variables_of(arguments: str) -> tuple[str, ...]:
    """Return the variables that a queue statement sets, also where it cannot be read to its end."""
    keyword = _KEYWORD.search(arguments)
    if keyword is None:
        return ()
    return _variables(arguments[: keyword.start()].rstrip())[1] or ("Item",)


def read_queue(
    arguments: str,
    line: Line,
    folder: Path,
    following: Iterator[Line],
    directories: str = "",
) -> Queue:
    """Return the queue statement whose arguments (macros expanded) these are.

    following: the lines after it, from which a list in parentheses is taken. directories: what
    SubmitMatchDirectories says. Raises QueueError.
    """
    keyword = _KEYWORD.search(arguments)
    if keyword is None:
        return Queue(line.file, line.first, line.text, _count(arguments))
    head, tail = arguments[: keyword.start()].rstrip(), arguments[keyword.end() :].strip()
    count_text, variables = _variables(head)
    mode = keyword[1].lower()
    kinds, chosen, table, tail = _qualifiers(mode, tail)
    rows, source = _items(mode, tail, line, folder, following)
    if table is not None:
        variables, rows = _without_heading(table, variables, rows)
    if mode == "matching":
        kinds = kinds or _KINDS.get(directories.lower(), "any")
        rows = _matching([text for text, _ in rows], folder, kinds, line.first)
    places = tuple(range(len(rows)))[chosen] if chosen != slice(None) else ()
    rows = rows[chosen]
    return Queue(
        line.file,
        line.first,
        line.text,
        _count(count_text),
        variables or ("Item",),
        tuple(text for text, _ in rows),
        source,
        tuple(number for _, number in rows),
        places,
        commas_only=table is not None and table != "standard",
    )


def skip_queue(arguments: str, following: Iterator[Line]) -> None:
    """Take the list in parentheses that belongs to a queue statement, without looking at it."""
    keyword = _KEYWORD.search(arguments)
    tail = arguments[keyword.end() :].strip() if keyword else ""
    if re.search(r"(?:^|[\s\]])\(", tail) and not tail.endswith(")"):
        next((after for after in following if after.text.strip().startswith(")")), None)


def _count(text: str) -> int:
    text = text.strip()
    if not text:
        return 1
    jobs = as_integer(text)
    if jobs is None:
        raise QueueError(f"{text[:60]!r} is not a number of jobs")
    if not 0 <= jobs < _INT_MAX:
        raise QueueError(f"{text} jobs cannot be queued")
    return jobs


def _variables(head: str) -> tuple[str, tuple[str, ...]]:
    matched = re.search(r"(?<![A-Za-z_.])[A-Za-z_][A-Za-z_0-9., \t]*$", head)
    if matched is None:
        return head.rstrip(", \t"), ()
    names = re.split(r"[,\s]+", matched[0].strip(", \t"))
    return head[: matched.start()].rstrip(", \t"), tuple(names)


def _qualifiers(mode: str, tail: str) -> tuple[str, slice, str | None, str]:
    """Return what `matching` takes (files, dirs, any), the slice, a table's options, the rest."""
    kinds, chosen, table = "", slice(None), None
    while True:
        if matched := re.match(r"(files|dirs|any)(?=[\s(])\s*", tail, re.IGNORECASE):
            if mode != "matching":
                raise QueueError(f"{matched[1]} belongs to `matching`, not to `{mode}`")
            kinds = matched[1].lower()
        elif matched := re.match(r"table(?:\(([^)]*)\))?(?=[\s(])", tail, re.IGNORECASE):
            if mode != "from":
                raise QueueError(f"`table` belongs to `from`, not to `{mode}`")
            table = (matched[1] or "").strip().lower()
            if table not in _TABLES:
                raise ItemsElsewhereError(f"the table's options ({table}) are not understood here")
        elif tail.startswith("["):
            matched = _SLICE.match(tail)
            if matched is None and mode == "matching":  # such as [ab]*.txt
                return kinds, chosen, table, tail
            if matched is None:
                raise QueueError(f"{tail[:40]!r} is not a slice [start:end:step]")
            chosen = _slice(matched)
        else:
            return kinds, chosen, table, tail
        tail = tail[matched.end() :].lstrip()


_TABLES = ("", "csv", "standard", "header=none", "header=0")
"""Options of `queue from table(OPTIONS) FILE` that are read here."""


def _without_heading(
    options: str, variables: tuple[str, ...], rows: Rows
) -> tuple[tuple[str, ...], Rows]:
    """Return the variables that a table's first row names in place of the statement's own.

    It stays a row where its words are no names, or the options say that there is none. Source:
    SubmitForeachArgs::load_schema of HTCondor 25; a dry run of 25.14.1.
    """
    if options not in ("", "header=0") or not rows:
        return variables, rows
    names = tuple(name.strip() for name in rows[0][0].split(","))
    good = all(re.fullmatch(r"[A-Za-z_][\w.]*", name) for name in names)
    return (names, rows[1:]) if good else (variables, rows)


def _slice(matched: re.Match[str]) -> slice:
    start, end, step = (None if n is None else int(n) for n in matched.groups())
    if step is not None and step <= 0:
        raise QueueError("a slice with a step that is not positive")
    return slice(start, end, step)


Rows = list[tuple[str, int]]


def _items(
    mode: str, tail: str, line: Line, folder: Path, following: Iterator[Line]
) -> tuple[Rows, Path | None]:
    """Return the items with the lines they stand on, and the file they were read from."""
    whole = mode == "from"
    if tail.startswith("(") and tail.endswith(")"):
        return _split(tail[1:-1].strip(_BLANKS), line.first, whole), None
    if tail.startswith("("):
        first = tail[1:].strip(_BLANKS)
        rows = _split(first, line.first, whole) if first else []
        for after in following:
            text = after.text.strip(_BLANKS)
            if text.startswith("#"):
                continue
            if text.startswith(")"):
                return rows, None
            rows += _split(text, after.first, whole)
            if len(rows) > ITEMS_LIMIT:
                raise QueueError(f"more than {ITEMS_LIMIT} items")
        raise QueueError("the list has no closing parenthesis on a line of its own")
    if not whole:
        return _split(tail, line.first, whole), None
    if tail == "-":
        raise ItemsElsewhereError("the items come from standard input, which is not read here")
    if not tail:  # a macro that comes to nothing: condor_submit queues no job then
        return [], None
    if tail.endswith("|"):
        raise ItemsElsewhereError("the items come from a program, which is not run here")
    return _read_items(folder / tail.strip(), tail.strip())


def _read_items(path: Path, name: str) -> tuple[Rows, Path]:
    try:
        data = read_regular(path, _BYTES_LIMIT + 1)
    except OSError as error:
        if is_elsewhere(path):
            message = f"the items are in {name}, which is not on this machine"
            raise ItemsElsewhereError(message) from error
        why = error.strerror or str(error)
        raise QueueError(f"the items are in {name}, which cannot be read: {why}", name) from error
    if len(data) > _BYTES_LIMIT or data.count(b"\n") > ITEMS_LIMIT:  # before it takes memory
        most = f"{_BYTES_LIMIT >> 20} MiB or {ITEMS_LIMIT} lines"
        raise QueueError(f"the items are in {name}, which has more than {most}")
    text = data.decode("utf-8", errors="surrogateescape")
    return [(line.text, line.first) for line in logical_lines(text, path)], path


def _split(text: str, number: int, whole: bool) -> Rows:
    if whole:
        return [(text, number)]
    return [(part, number) for part in _GAPS.split(text) if part]


_KINDS = {"never": "files", "no": "files", "false": "files", "only": "dirs"}
"""What `matching` takes by SubmitMatchDirectories; both where that says nothing."""


def _matching(patterns: list[str], folder: Path, kinds: str, number: int) -> Rows:
    """Return the paths that match, each once, sorted within a pattern as glob(3) does.

    A folder has a slash at its end, also for the order; `*` takes no name that begins with a dot,
    `.*` takes `./` and `../`, and `**` is one `*`.
    """
    rows: dict[str, None] = {}
    for text in patterns:
        pattern = re.sub(r"\\(.)", lambda m: glob.escape(m[1]), text)
        above, slash, last = pattern.rpartition("/")
        dots = [f"{above}{slash}{dot}" for dot in (".", "..") if _dots(dot, last)]
        paths = [*glob.glob(pattern, root_dir=folder), *dots]  # noqa: PTH207  Path.glob differs
        marked = {f"{p.rstrip('/')}/" if (folder / p).is_dir() else p for p in paths}
        other = {p: "files" if p.endswith("/") else "dirs" for p in sorted(marked)}
        rows |= dict.fromkeys(p for p, kind in other.items() if kind != kinds)
        if len(rows) > ITEMS_LIMIT:
            raise QueueError(f"more than {ITEMS_LIMIT} items")
    return [(path, number) for path in rows]


def _dots(name: str, pattern: str) -> bool:
    return pattern.startswith(".") and pattern != name and fnmatch.fnmatchcase(name, pattern)
