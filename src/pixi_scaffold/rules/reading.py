"""Rules on how the description is read: lines, macros, queue statements."""

from __future__ import annotations

from collections.abc import Iterator

from pixi_scaffold.job import ExpressionError, attributes, is_command
from pixi_scaffold.rules.finding import Edit, Found, Severity, at, rule, short
from pixi_scaffold.rules.subject import Subject

_QUEUES = "write: queue 5, queue x in (a, b), queue x, y from FILE, or queue x matching *.csv"
_DAGMAN = frozenset({"job", "retry", "dag_status", "failed_count", "max_retries", "dagmanjobid"})
"""Macros that DAGMan defines for the jobs of a DAG."""


@rule("PS107")
def no_queue(subject: Subject) -> Iterator[Found]:
    """There is no queue statement.

    Why: condor_submit refuses the file, or queues nothing.
    Fix: end the file with `queue`.
    Source: the condor_submit manual.
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
    items is missing.
    Fix: `queue`, `queue 5`, `queue x in (a, b)`, `queue x, y from FILE` or `queue x matching
    *.csv`.
    Source: submit_utils.cpp, parse_queue_args.
    """
    for problem in subject.description.of_kind("queue"):
        yield Found(problem.file, problem.line, problem.message, _QUEUES)
    queue = subject.job.queue
    refused = {problem.line for problem in subject.description.of_kind("queue")}
    empty = subject.description.queues and queue.total == 0 and queue.source is None
    if empty and queue.line not in refused:
        what = f"nothing is queued: {short(queue.text.strip())}"
        yield Found(queue.file, queue.line, what, _QUEUES, severity=Severity.WARNING)


@rule("PS109")
def refused(subject: Subject) -> Iterator[Found]:
    """A line that condor_submit refuses.

    Why: it stops there; nothing is submitted. Rules look only at what stands before that line.
    Fix: a line is `name = value`, a comment, `if`, `include` or `queue`.
    Source: config.cpp, Parse_macros.
    """
    for problem in subject.description.of_kind("refused"):
        yield Found(problem.file, problem.line, problem.message, "write it as: name = value")


@rule("PS110", Severity.WARNING)
def odd_line(subject: Subject) -> Iterator[Found]:
    """A line that HTCondor reads in a way that nobody expects.

    Why: a comment between continued lines leaves its last character in the value; a queue statement
    inside an `if` ends it, so that everything below counts, and its `endif` is refused.
    Fix: move the comment above the command; close the `if` before the queue statement.
    Source: config.cpp (getline_implementation, Parse_macros); seen with HTCondor 25.14.
    """
    for problem in subject.description.of_kind("odd"):
        fix = "put comments above the command, and the endif above the queue statement"
        yield Found(problem.file, problem.line, problem.message, fix)


@rule("PS111", Severity.WARNING)
def undefined_macro(subject: Subject) -> Iterator[Found]:
    """A macro that nothing defines.

    Why: `$(name)` becomes an empty text, without a word, unless the pool's configuration has it.
    Fix: define it, let the queue statement set it, or write a default: `$(name:value)`.
    Source: the condor_submit manual; a dry run says nothing.
    """
    known = {name.lower() for name in subject.job.queue.variables} | _DAGMAN
    if any(subject.description.path.parent.glob("*.dag")):
        return  # VARS of a DAG define macros
    queue = subject.job.queue
    for name in subject.job.expand(queue.text).undefined if "queue" in queue.text.lower() else ():
        what = f"the queue statement uses $({name}), which nothing defines"
        yield Found(queue.file, queue.line, what, f"define it, or write $({name}:default)")
    for command in subject.job.commands.values():
        if not is_command(command.name):
            continue
        for name in subject.job.expand(command.value).undefined:
            if name.lower() in known:
                continue
            yield at(
                command,
                f"{command.spelled} uses $({name}), which nothing defines",
                f"define it, or write $({name}:default)",
            )


@rule("PS112")
def after_queue(subject: Subject) -> Iterator[Found]:
    """Commands or a queue statement after a queue statement.

    Why: a queue statement uses what stands above it. What stands below the last one has no effect;
    HTCondor 25.14 refuses such a file, and a second queue statement too, unless the access point
    sets SUBMIT_PREVENT_MULTI_QUEUE = false.
    Fix: move the lines above `queue`; make one statement of two: `queue x in (...)`.
    Source: the condor_submit manual; submit.cpp ("Extra data found after queue statement").
    """
    for queue in subject.description.queues[1:2]:
        what = "a second queue statement, which HTCondor 25.14 refuses"
        fix = "make one of them: queue x in (...), or queue x, y from (...)"
        yield Found(queue.file, queue.line, what, fix, severity=Severity.WARNING)
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
        for what in subject.job.expand(command.value).unknown if is_command(command.name) else ():
            if not what.startswith("$$"):
                yield at(
                    command,
                    f"{command.spelled} depends on {what}, which is not known here",
                    "run there: condor_submit -dry-run - FILE",
                )


@rule("PS120")
def two_readings(subject: Subject) -> Iterator[Found]:
    """HTCondor's own parser reads the file in another way than this check.

    Why: one of the two is wrong, and HTCondor's counts. The other findings on this file may be
    wrong.
    Fix: write the line in a simpler way, and report it to pixi-scaffold.
    Source: the Python bindings of HTCondor, htcondor2.Submit.
    """
    opinion, description = subject.opinion, subject.description
    if opinion is None:
        return
    first = min((queue.line for queue in description.queues), default=0)
    refused = tuple(description.of_kind("refused"))
    if first and all(p.file == description.path and p.line > first for p in refused) and refused:
        return  # the bindings stop at the first queue statement
    ours = bool(refused)
    if opinion.commands is None or ours:
        if (opinion.commands is None) != ours and not any(description.of_kind("unknown")):
            which = "refuses" if opinion.commands is None else "takes"
            yield Found(
                description.path, 1, f"HTCondor {which} this file, and this check does not",
                "write it in a simpler way, and report it",
            )  # fmt: skip
        return
    job = description.jobs[0]
    for name, value in opinion.commands.items():
        if job.macros.get(name) != value:
            found = next((c for c in description.commands if c.spelled.lower() == name), None)
            yield Found(
                description.path,
                found.line if found else 1,
                f"HTCondor reads {name} as {short(value)}, this check as "
                f"{short(job.macros.get(name, 'nothing'))}",
                "write that line in a simpler way, and report it",
            )
    for text, parses in opinion.expressions.items():
        try:
            attributes(text)
            mine = True
        except ExpressionError:
            mine = False
        if mine != parses:
            verb = "parses" if parses else "does not parse"
            yield Found(
                description.path,
                1,
                f"for HTCondor {short(text)} {verb}",
                "write it in a simpler way, and report it",
            )


@rule("PS121")
def odd_items(subject: Subject) -> Iterator[Found]:
    """A list of jobs with lines that are no jobs.

    Why: in the file of `queue ... from` a comment or a heading becomes a job, and a blank line
    repeats the job before it (HTCondor 25). A line with too few columns leaves variables empty.
    Fix: one line a job, nothing else.
    Source: submit_utils.cpp, load_external_q_foreach_items; seen with HTCondor 25.14.
    """
    queue = subject.job.queue
    if queue.source is None or queue.items is None:
        return
    if not queue.items:
        yield Found(queue.source, 0, "the file is empty: nothing is queued", "write one line a job")
    rows = list(zip(queue.items, queue.item_lines, strict=True))
    for text, number in rows:
        if not text.strip():
            yield Found(queue.source, number, "a blank line queues a job, too", "remove the line")
        elif text.startswith("#"):
            yield Found(queue.source, number, "a comment queues a job, too", "remove the line")
        elif "" in queue.values(text).values():
            missing = [name for name, value in queue.values(text).items() if not value]
            yield Found(
                queue.source, number, f"nothing for {', '.join(missing)} in {text!r}",
                f"write {len(queue.variables)} columns",
            )  # fmt: skip
