"""Rules on how the description is read: lines, macros, queue statements."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from pixi_scaffold.job import Queue, is_command
from pixi_scaffold.rules.finding import Edit, Found, Severity, at, rule, short
from pixi_scaffold.rules.makers import made_by
from pixi_scaffold.rules.subject import Subject
from pixi_scaffold.rules.texts import given_by_scripts, within_review

_QUEUES = "write: queue 5, queue x in (a, b), queue x, y from FILE, or queue x matching *.csv"
_DAGMAN = frozenset({"job", "retry", "dag_status", "failed_count", "max_retries", "dagmanjobid"})
"""Macros that DAGMan defines for the jobs of a DAG."""
_AT_SUBMIT = frozenset({"year", "month", "day", "submit_time", "submit_file"})
"""Macros that condor_submit fills. Source: submit_utils.cpp; a dry run of 23.9.6 and 25.14.1."""


@rule("PS107", Severity.WARNING)
def no_queue(subject: Subject) -> Iterator[Found]:
    """There is no queue statement."""
    description = subject.description
    if not description.queues and not any(description.of_kind("refused")):
        last = len(description.lines) - (description.lines[-1] == "")
        # A last line that goes on would take the new one for a part of its value.
        safe = last > 0 and not description.lines[last - 1].rstrip().endswith("\\")
        edits = (Edit(description.path, last + 1, last, ("queue",)),) if safe else ()
        message = "the description has no queue statement"
        yield Found(description.path, max(last, 1), message, "end the file with: queue", edits)


@rule("PS108")
def bad_queue(subject: Subject) -> Iterator[Found]:
    """A queue statement that cannot work."""
    description, queue = subject.description, subject.queue
    for problem in description.of_kind("items"):
        fix = "nothing; the rules look at the job without its items"
        yield at(problem, problem.message, fix, severity=Severity.NOTE)
    for problem in description.of_kind("queue"):
        maker = made_by(subject, problem.about) if problem.about else ""
        message = problem.message + (maker and f"; {maker}")
        severity = Severity.WARNING if maker else None
        yield at(problem, message, _QUEUES, severity=severity)
    if queue.commas_only:
        message = "HTCondor 23.9 takes `table` for a part of the file's name, and refuses it"
        fix = "for older pools write: queue x, y from [1:] FILE"
        yield at(queue, message, fix, severity=Severity.WARNING)
    alone = queue.items[0] if queue.items and len(queue.items) == 1 and not queue.source else ""
    if _RANGE.fullmatch(alone.strip()):
        message = f"HTCondor knows no ranges: {alone} is one job with these very letters"
        fix = "queue N counts with $(Process); of other numbers write a list"
        yield at(queue, message, fix, severity=Severity.WARNING, about=alone)
    if _PATTERN.fullmatch(alone):
        message = f"HTCondor takes {alone} for one job with these very letters"
        fix = f"queue {', '.join(queue.variables)} matching {alone}"
        yield at(queue, message, fix, (), Severity.WARNING, alone)
    if queue.total > _MOST_JOBS and not subject.meaning.of("max_materialize").said:
        message = f"{queue.total} jobs: an access point takes 20,000 of one submission"
        fix = "max_materialize = 1000 lets it make them as others end; or fewer, longer jobs"
        yield at(queue, message, fix, severity=Severity.WARNING)
    empty = description.queues and not queue.total * queue.count and queue.source is None
    empty = empty and not subject.job.undefined_by_queue  # PS111 says why
    if empty and queue.line not in {problem.line for problem in description.of_kind("queue")}:
        text = short(queue.text.strip())
        each = f"{text} queues one job for each item all the same"
        message = each if queue.total else f"nothing is queued: {text}"
        yield at(queue, message, _QUEUES, severity=Severity.WARNING)


_RANGE = re.compile(r"range\([^()]*\)|\{?\d+\s*(?:\.\.+|-|:)\s*\d+\}?|seq\s.*")
"""An item that was meant for a range of numbers."""
_PATTERN = re.compile(r"[\w./-]*\*[\w.*/-]*")
_MOST_JOBS = 20_000
"""MAX_JOBS_PER_SUBMISSION where nobody changed it. Source: the HTCondor manual."""


@rule("PS109")
def refused(subject: Subject) -> Iterator[Found]:
    """A line that condor_submit refuses."""
    for problem in subject.description.of_kind("refused"):
        lines = subject.description.included.get(problem.file, subject.description.lines)
        if re.match(r"(?:<{7}|>{7}) |={7}$", "".join(lines[problem.line - 1 : problem.line])):
            message = "a conflict marker of git: two versions of these lines stand here"
            fix = "keep one version, remove the markers"
        else:
            message, fix = problem.message, "correct the line, or remove it"
            fix = "write it as: name = value" if message.startswith("not a command") else fix
        yield at(problem, message, fix)


@rule("PS137")
def bad_dag(subject: Subject) -> Iterator[Found]:
    """A DAG that DAGMan refuses."""
    for problem in subject.refused_dag:
        severity = Severity.WARNING if problem.kind == "old dag" else None
        yield at(problem, problem.message, "correct that line", severity=severity)


@rule("PS110", Severity.WARNING)
def odd_line(subject: Subject) -> Iterator[Found]:
    """A line that HTCondor reads in a way that nobody expects."""
    for problem in subject.description.of_kind("odd"):
        fix = "put comments above the command, and the endif above the queue statement"
        yield at(problem, problem.message, fix)


_LOOK_ALIKES = dict.fromkeys("\u201c\u201d\u201e\u2033", '"') | dict.fromkeys("\u2018\u2019", "'")
_LOOK_ALIKES |= dict.fromkeys("\u2013\u2014\u2212", "-") | dict.fromkeys(
    "\u00a0\u200b\ufeff", "a space"
)


@rule("PS136", Severity.WARNING)
def look_alikes(subject: Subject) -> Iterator[Found]:
    """Characters that only look right: curly quotes, long dashes, spaces that are none."""
    for command in subject.job.commands.values():
        if command.name.startswith("my.") or not is_command(command.name):
            continue
        if look_alike := next((c for c in command.value if c in _LOOK_ALIKES), ""):
            meant = _LOOK_ALIKES[look_alike]
            name = f"{look_alike!r} (U+{ord(look_alike):04X})"
            message = f"{command.spelled} has {name}, which only looks like {meant}"
            yield at(command, message, f"type {meant} in its place")


_has_dag: Callable[[Path], bool] = within_review(lambda folder: any(folder.glob("*.dag")))


@rule("PS111", Severity.WARNING)
def undefined_macro(subject: Subject) -> Iterator[Found]:
    """A macro that nothing defines, or a function of one, or one that is not closed."""
    known = {name.lower() for name in subject.job.queue.variables} | _DAGMAN | _AT_SUBMIT
    folder = subject.description.path.parent
    if _has_dag(folder):
        return  # VARS of a DAG define macros
    queue = subject.job.queue
    for name in subject.job.undefined_by_queue:
        if name.startswith("$") or name.lower() in known | given_by_scripts(folder):
            continue
        message = f"the queue statement uses $({name}), which nothing defines"
        yield at(queue, message, f"define it, or write $({name}:default)")
    for command in subject.job.commands.values():
        if not is_command(command.name):
            continue
        field = subject.meaning.of(command.name)
        for name in field.undefined:
            if name.startswith("$"):
                message = f"{command.spelled} uses {name}, which comes to nothing"
                yield at(command, message, "correct its arguments, or write the value itself")
            elif name.lower() not in known | given_by_scripts(folder):
                message = f"{command.spelled} uses $({name}), which nothing defines"
                yield at(command, message, f"define it, or write $({name}:default)")
        if field.unclosed:
            message = f"{command.spelled} has {field.unclosed}, which is no macro"
            yield at(command, message, "close it with a parenthesis")


@rule("PS112", Severity.WARNING)
def after_queue(subject: Subject) -> Iterator[Found]:
    """Commands or a queue statement after a queue statement."""
    for queue in subject.description.queues[1:2]:
        message = "a second queue statement, which HTCondor 25.14 refuses"
        fix = "make one of them: queue x in (...), or queue x, y from (...)"
        yield at(queue, message, fix)
    for command in subject.description.trailing:
        why = "after the last queue statement: it has no effect, and HTCondor 25.14 refuses it"
        yield at(command, f"{command.spelled} stands {why}", "move it above the queue statement")


@rule("PS116", Severity.NOTE)
def not_known_here(subject: Subject) -> Iterator[Found]:
    """Something that only the submit machine or the pool can tell."""
    for kind in ("unknown", "assumed"):
        for problem in subject.description.of_kind(kind):
            yield at(problem, problem.message, "run there: condor_submit -dry-run - FILE")
    for command in subject.job.commands.values():
        for unknown in subject.meaning.of(command.name).unknown if is_command(command.name) else ():
            if not unknown.startswith("$$"):
                message = f"{command.spelled} depends on {unknown}, which is not known here"
                yield at(command, message, "run there: condor_submit -dry-run - FILE")


@rule("PS121", Severity.WARNING)
def odd_items(subject: Subject) -> Iterator[Found]:
    """A list of jobs with lines that are no jobs."""
    queue = subject.queue
    if queue.items is None:
        return
    file = queue.source or queue.file
    if queue.source is not None and not queue.items:
        yield Found(file, 0, "the file is empty: nothing is queued", "write one line a job")
    rows = list(zip(queue.items, queue.item_lines, strict=True))
    if queue.source is not None and queue.items and queue.items[0].startswith("\ufeff"):
        message = "a byte order mark stands before the first item, and is a part of it"
        yield Found(file, queue.item_lines[0], message, "save it as UTF-8 without BOM")
    if len(queue.variables) > 1 and queue.items and (more := _too_many(queue)):
        message = f"there are {len(queue.variables)} variables: {queue.variables[-1]} gets {more!r}"
        fix = f"name {len(queue.variables) + more.count(',')} variables, or remove columns"
        yield Found(file, queue.item_lines[0], message, fix, about=more)
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
            message = f"nothing for {', '.join(missing)} in {text!r}"
            yield Found(file, number, message, f"write {len(queue.variables)} columns")


def _too_many(queue: Queue) -> str:
    """Return what the last variable gets of the first row, where every row has more columns."""
    last = [queue.values(text).get(queue.variables[-1], "") for text in queue.items or ()]
    counts = {text.count(",") for text in last}
    return last[0] if len(counts) == 1 and counts != {0} and '"' not in last[0] else ""


def _heading(queue: Queue) -> str:
    """Return the first row where it names columns: empty for one that is a job like the others.

    A heading is a row of words of which one is the variable's own name, or whose words all stand
    over numbers; in a table, one of them.
    """
    if not queue.items or len(queue.items) < 2:
        return ""
    first, *others = (queue.values(text) for text in queue.items[:4])
    named = [name for name, value in first.items() if value.strip("\"'# ").lower() == name.lower()]
    words = all(re.fullmatch(r"[\"']?[A-Za-z_][\w .-]*[\"']?", value) for value in first.values())
    over = any if queue.source is not None and queue.source.suffix in (".csv", ".tsv") else all
    numbers = over(all(_is_number(row[name]) for row in others) for name in first)
    return queue.items[0] if named or (words and numbers) else ""


def odd_row(queue: Queue, row: int) -> bool:
    """Whether a row of a queue statement is what PS121 speaks of: no job that somebody meant."""
    text = (queue.items or ("",))[row]
    empty = not text.strip() or text.startswith("#") or "" in queue.values(text).values()
    return empty or (row == 0 and bool(_heading(queue)))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?", text.strip("\"'")) is not None
