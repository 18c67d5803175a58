"""Rules on how the description is read: lines, macros, queue statements."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pixi_scaffold.job import Queue, is_command
from pixi_scaffold.rules.finding import Edit, Found, Severity, at, rule, short
from pixi_scaffold.rules.subject import Subject

_QUEUES = "write: queue 5, queue x in (a, b), queue x, y from FILE, or queue x matching *.csv"
_DAGMAN = frozenset({"job", "retry", "dag_status", "failed_count", "max_retries", "dagmanjobid"})
"""Macros that DAGMan defines for the jobs of a DAG."""
_AT_SUBMIT = frozenset({"year", "month", "day", "submit_time", "submit_file"})
"""Macros that condor_submit fills. Source: submit_utils.cpp; a dry run of 23.9.6 and 25.14.1."""


@rule("PS107", Severity.WARNING)
def no_queue(subject: Subject) -> Iterator[Found]:
    """There is no queue statement.

    Why: condor_submit of HTCondor 23.9 refuses the file; that of 25.14 takes it for one job.
    Fix: end the file with `queue`.
    Source: the condor_submit manual.
    Seen: HTCondor 23.9.6 and 25.14.1, dry run.
    """
    description = subject.description
    if not description.queues and not any(description.of_kind("refused")):
        last = len(description.lines) - (description.lines[-1] == "")
        # A last line that goes on would take the new one for a part of its value.
        safe = last > 0 and not description.lines[last - 1].rstrip().endswith("\\")
        edits = (Edit(description.path, last + 1, last, ("queue",)),) if safe else ()
        yield Found(
            description.path, max(last, 1), "the description has no queue statement",
            "end the file with: queue", edits,
        )  # fmt: skip


@rule("PS108")
def bad_queue(subject: Subject) -> Iterator[Found]:
    """A queue statement that cannot work.

    Why: condor_submit refuses it: the count is no number, the list has no end, or the file of
    items is missing. What a program lists (`queue x from COMMAND |`) is not known here.
    Fix: `queue`, `queue 5`, `queue x in (a, b)`, `queue x, y from FILE` or `queue x matching
    *.csv`.
    Source: submit_utils.cpp, parse_queue_args.
    Seen: HTCondor 23.9.6 and 25.14.1, dry run.
    """
    description, queue = subject.description, subject.queue
    for problem in description.of_kind("items"):
        fix = "nothing; the rules look at the job without its items"
        yield Found(problem.file, problem.line, problem.message, fix, severity=Severity.NOTE)
    for problem in description.of_kind("queue"):
        yield Found(problem.file, problem.line, problem.message, _QUEUES)
    if queue.commas_only:
        message = "HTCondor 23.9 takes `table` for a part of the file's name, and refuses it"
        fix = "for older pools write: queue x, y from [1:] FILE"
        yield Found(queue.file, queue.line, message, fix, severity=Severity.WARNING)
    empty = description.queues and not queue.total * queue.count and queue.source is None
    if empty and queue.line not in {problem.line for problem in description.of_kind("queue")}:
        text = short(queue.text.strip())
        message = f"nothing is queued: {text}"
        if queue.total:
            message = f"{text} queues one job for each item all the same"
        yield Found(queue.file, queue.line, message, _QUEUES, severity=Severity.WARNING)


@rule("PS109")
def refused(subject: Subject) -> Iterator[Found]:
    """A line that condor_submit refuses.

    Why: it stops there; nothing is submitted. Rules look only at what stands before that line.
    Fix: a line is `name = value`, a comment, `if`, `include` or `queue`.
    Source: config.cpp, Parse_macros.
    Seen: HTCondor 23.9.6 and 25.14.1, dry run.
    """
    for problem in subject.description.of_kind("refused"):
        lines = subject.description.included.get(problem.file, subject.description.lines)
        if re.match(r"(?:<{7}|>{7}) |={7}$", "".join(lines[problem.line - 1 : problem.line])):
            message = "a conflict marker of git: two versions of these lines stand here"
            yield Found(problem.file, problem.line, message, "keep one version, remove the markers")
        else:
            yield Found(problem.file, problem.line, problem.message, "write it as: name = value")


@rule("PS137")
def bad_dag(subject: Subject) -> Iterator[Found]:
    """A DAG that DAGMan refuses.

    Why: condor_submit_dag takes it, DAGMan stops at once, and only its own log (.dagman.out) says
    why: a node that nothing defines, VARS without quotes, a circle, a splice that is not there.
    Fix: correct that line.
    Source: the DAGMan manual; dagman/parse.cpp.
    Seen: read in the source of HTCondor 25; no HTCondor was asked.
    """
    for problem in subject.refused_dag:
        yield Found(problem.file, problem.line, problem.message, "correct that line")


@rule("PS110", Severity.WARNING)
def odd_line(subject: Subject) -> Iterator[Found]:
    """A line that HTCondor reads in a way that nobody expects.

    Why: a comment between continued lines leaves its last character in the value; a queue statement
    inside an `if` ends it, so that everything below counts, and its `endif` is refused.
    Fix: move the comment above the command; close the `if` before the queue statement.
    Source: config.cpp (getline_implementation, Parse_macros).
    Seen: HTCondor 23.9.6 and 25.14.1, dry run.
    """
    for problem in subject.description.of_kind("odd"):
        fix = "put comments above the command, and the endif above the queue statement"
        yield Found(problem.file, problem.line, problem.message, fix)


_LOOK_ALIKES = dict.fromkeys("\u201c\u201d\u201e\u2033", '"') | dict.fromkeys("\u2018\u2019", "'")
_LOOK_ALIKES |= dict.fromkeys("\u2013\u2014\u2212", "-") | dict.fromkeys(
    "\u00a0\u200b\ufeff", "a space"
)


@rule("PS136", Severity.WARNING)
def look_alikes(subject: Subject) -> Iterator[Found]:
    """Characters that only look right: curly quotes, long dashes, spaces that are none.

    Why: a text program or a web page put them in. HTCondor takes a curly quote for a letter, and a
    no-break space for no space: arguments arrive wrong, sizes are refused.
    Fix: type them again, on the keyboard.
    Source: config.cpp reads bytes, and knows ASCII quotes and spaces alone.
    Seen: HTCondor 23.9.6 and 25.14.1, dry run.
    """
    for command in subject.job.commands.values():
        if command.name.startswith("my.") or not is_command(command.name):
            continue
        if look_alike := next((c for c in command.value if c in _LOOK_ALIKES), ""):
            meant = _LOOK_ALIKES[look_alike]
            name = f"{look_alike!r} (U+{ord(look_alike):04X})"
            message = f"{command.spelled} has {name}, which only looks like {meant}"
            yield at(command, message, f"type {meant} in its place")


@rule("PS111", Severity.WARNING)
def undefined_macro(subject: Subject) -> Iterator[Found]:
    """A macro that nothing defines, or a function of one, or one that is not closed.

    Why: `$(name)` and `$INT(name)` become an empty text, without a word, unless the pool's
    configuration has them; what is not closed stays as it is.
    Fix: define it, let the queue statement set it, or write a default: `$(name:value)`.
    Source: the condor_submit manual; a dry run says nothing.
    Seen: HTCondor 23.9.6 and 25.14.1, dry run.
    """
    known = {name.lower() for name in subject.job.queue.variables} | _DAGMAN | _AT_SUBMIT
    if any(subject.description.path.parent.glob("*.dag")):
        return  # VARS of a DAG define macros
    queue = subject.job.queue
    for name in subject.job.undefined_by_queue:
        if name.lower() in known or name.startswith("$"):
            continue
        message = f"the queue statement uses $({name}), which nothing defines"
        yield Found(queue.file, queue.line, message, f"define it, or write $({name}:default)")
    for command in subject.job.commands.values():
        if not is_command(command.name):
            continue
        field = subject.meaning.of(command.name)
        for name in field.undefined:
            if name.startswith("$"):
                message = f"{command.spelled} uses {name}, which comes to nothing"
                yield at(command, message, "correct its arguments, or write the value itself")
            elif name.lower() not in known:
                message = f"{command.spelled} uses $({name}), which nothing defines"
                yield at(command, message, f"define it, or write $({name}:default)")
        if field.unclosed:
            message = f"{command.spelled} has {field.unclosed}, which is no macro"
            yield at(command, message, "close it with a parenthesis")


@rule("PS112")
def after_queue(subject: Subject) -> Iterator[Found]:
    """Commands or a queue statement after a queue statement.

    Why: a queue statement uses what stands above it. What stands below the last one has no effect;
    HTCondor 25.14 refuses such a file, and a second queue statement too, unless the access point
    sets SUBMIT_PREVENT_MULTI_QUEUE = false.
    Fix: move the lines above `queue`; make one statement of two: `queue x in (...)`.
    Source: the condor_submit manual; submit.cpp ("Extra data found after queue statement").
    Seen: HTCondor 23.9.6, which takes it, and 25.14.1, which does not; dry run.
    """
    for queue in subject.description.queues[1:2]:
        message = "a second queue statement, which HTCondor 25.14 refuses"
        fix = "make one of them: queue x in (...), or queue x, y from (...)"
        yield Found(queue.file, queue.line, message, fix, severity=Severity.WARNING)
    for command in subject.description.trailing:
        yield at(
            command,
            f"{command.spelled} stands after the last queue statement and has no effect",
            "move it above the queue statement",
        )


@rule("PS116", Severity.NOTE)
def not_known_here(subject: Subject) -> Iterator[Found]:
    """Something that only the submit machine or the pool can tell.

    Why: the rules cannot look at it, so it is said in place of a guess.
    Fix: nothing, if it is meant so; `condor_submit -dry-run - FILE` on the access point shows it.
    Source: this check runs no program and asks no pool.
    Seen: no HTCondor is asked.
    """
    for kind in ("unknown", "assumed"):
        for problem in subject.description.of_kind(kind):
            yield Found(
                problem.file,
                problem.line,
                problem.message,
                "run there: condor_submit -dry-run - FILE",
            )
    for command in subject.job.commands.values():
        for unknown in subject.meaning.of(command.name).unknown if is_command(command.name) else ():
            if not unknown.startswith("$$"):
                yield at(
                    command,
                    f"{command.spelled} depends on {unknown}, which is not known here",
                    "run there: condor_submit -dry-run - FILE",
                )


@rule("PS121", Severity.WARNING)
def odd_items(subject: Subject) -> Iterator[Found]:
    """A list of jobs with lines that are no jobs.

    Why: in the items of a queue statement a comment or a heading becomes a job, and a blank line in
    a file repeats the job before it. A line with too few columns leaves variables empty.
    Fix: one line a job, nothing else; `queue x, y from [1:] FILE` leaves out a heading.
    Source: submit_utils.cpp, load_external_q_foreach_items.
    Seen: HTCondor 23.9.6 and 25.14.1, dry run.
    """
    queue = subject.queue
    if queue.items is None:
        return
    file = queue.source or queue.file
    if queue.source is not None and not queue.items:
        yield Found(file, 0, "the file is empty: nothing is queued", "write one line a job")
    rows = list(zip(queue.items, queue.item_lines, strict=True))
    if heading := _heading(queue):
        message = f"the heading {heading!r} becomes a job, too"
        fix = "remove it, or leave it out: queue ... from [1:] FILE"
        yield Found(file, queue.item_lines[0], message, fix)
    if queue.source is None:
        return
    for text, number in rows[1:] if heading else rows:
        if not text.strip():
            yield Found(file, number, "a blank line queues a job, too", "remove the line")
        elif text.startswith("#"):
            yield Found(file, number, "a comment queues a job, too", "remove the line")
        elif "" in queue.values(text).values():
            missing = [name for name, value in queue.values(text).items() if not value]
            yield Found(
                file, number, f"nothing for {', '.join(missing)} in {text!r}",
                f"write {len(queue.variables)} columns",
            )  # fmt: skip


def _heading(queue: Queue) -> str:
    """Return the first row where it names columns: empty for one that is a job like the others.

    A heading is a row of words of which one is the variable's own name, or whose words all stand
    over numbers.
    """
    if not queue.items or len(queue.items) < 2:
        return ""
    first, *others = (queue.values(text) for text in queue.items[:4])
    named = [name for name, value in first.items() if value.strip("\"'# ").lower() == name.lower()]
    words = all(re.fullmatch(r"[\"']?[A-Za-z_][\w .-]*[\"']?", value) for value in first.values())
    numbers = all(_is_number(value) for row in others for value in row.values())
    return queue.items[0] if named or (words and numbers) else ""


def odd_row(queue: Queue, row: int) -> bool:
    """Whether a row of a queue statement is what PS121 speaks of: no job that somebody meant."""
    text = (queue.items or ("",))[row]
    empty = not text.strip() or text.startswith("#") or "" in queue.values(text).values()
    return empty or (row == 0 and bool(_heading(queue)))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?", text.strip("\"'")) is not None
