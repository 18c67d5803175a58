"""Rules on the jobs of one queue statement: what they share and should not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from pixi_scaffold.job import Job, QuotingError, field_of, split_arguments
from pixi_scaffold.rules.finding import Found, Severity, at, rule
from pixi_scaffold.rules.subject import Subject, is_url

_NAMES = re.compile(
    r"-{1,2}(?:name|run|run[_-]?name|run[_-]?id|exp(?:eriment)?(?:[_-]?name)?|out(?:put)?"
    r"(?:[_-]?(?:dir|folder|path|file))?|o|save(?:[_-]?(?:dir|path|to))?|log[_-]?dir|result\w*"
    r"|ckpt|checkpoint(?:[_-]?(?:dir|path))?)$",
    re.IGNORECASE,
)
"""Options by which a program is told where its results go."""
_MOST = 200


@rule("PS216", Severity.WARNING)
def jobs_share_a_result(subject: Subject) -> Iterator[Found]:
    """Several jobs bring back results of one name."""
    job, command = subject.job, subject.job.command("transfer_output_files")
    total = subject.queue.total
    if command is None or total < 2 or not subject.transfers or job.proc:
        return
    if job.command("output_destination") or job.command("transfer_output_remaps"):
        return
    procs = range(min(total, _MOST))
    try:
        first, others = procs[0], procs[1:]
        if len({field_of(job, "initialdir", n).text for n in procs}) > 1:
            return
        items = set(_outputs(job, first)).intersection(*(_outputs(job, n) for n in others))
        given = [tuple(split_arguments(field_of(job, "arguments", n).text)) for n in procs]
    except (IndexError, QuotingError):
        return
    for item in sorted(i for i in items if not is_url(i)):
        folder = item.endswith("/") or not PurePosixPath(item).suffix
        if not folder:
            message = f"all {total} jobs bring back {item}, so only the last one's is left"
            yield at(command, message, "name it after the job: $(Process)", about=item)
        elif named := _named_alike(given):
            option, value = named
            message = f"all {total} jobs write {option} {value} into {item}: the last one's is left"
            fix = f"let {option} name each job: $(Process), or what they differ by"
            place = job.command("arguments") or command
            yield at(place, message, fix, about=f"{option} ")
            return


def _outputs(job: Job, proc: int) -> tuple[str, ...]:
    return field_of(job, "transfer_output_files", proc).value or ()


def _named_alike(given: list[tuple[str, ...]]) -> tuple[str, str] | None:
    """Return the option that names the results, and its value, where it is the same in all jobs.

    None where no such option is given: then the program may find a name of its own.
    """
    rows: list[dict[str, str]] = []
    for words in given:
        pairs = dict(zip(words, (*words[1:], ""), strict=False))
        split = {w.partition("=")[0]: w.partition("=")[2] for w in words if "=" in w}
        rows.append({k: v for k, v in {**pairs, **split}.items() if v and _NAMES.match(k)})
    same = set(rows[0].items()).intersection(*(set(one.items()) for one in rows[1:]))
    differ = {k for one in rows for k in one} - {k for k, _ in same}
    return None if differ or not same else sorted(same)[0]
