"""The jobs of a description that are rehearsed: by number, and each by one process at a time.

What condor_submit refuses is refused here.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pixi_scaffold.errors import CheckFailed, ScaffoldError, Skipped, UsageError
from pixi_scaffold.job import Description, Job, Problem, Submission, meaning, read_description
from pixi_scaffold.rehearsal.plan import check_command, job_name, refuse
from pixi_scaffold.report import in_folder
from pixi_scaffold.system import layout, program, run, which

DESCRIPTION = Path("htcondor") / "train.sub"
_ACCEPTS, _REFUSES = (23, 10), (25, 14)
"""Releases that were seen to take, and to refuse, what follows a queue statement."""
_PATIENCE = 10.0


def read_here(path: Path, folder: Path, submission: Submission) -> Description:
    """Return the description as condor_submit reads it in `folder`.

    Raises UsageError when it cannot be read, CheckFailed for what condor_submit refuses, Skipped
    for what only it can tell.
    """
    try:
        description = read_description(path, folder, submission)
    except OSError as error:
        hint = f"name it: {program()} rehearse FILE.sub, from the folder where you condor_submit it"
        root = workspace_root(folder)
        if root != folder and (root / DESCRIPTION).is_file():
            hint = in_folder(root, f"{program()} rehearse")
        raise UsageError(
            f"cannot read the submit description {path}: {error.strerror}", hint
        ) from error
    for problem in description.problems:
        _judge(description, problem)
    return description


def _judge(description: Description, problem: Problem) -> None:
    """Raise when a problem of a description keeps its jobs from being rehearsed."""
    where = f"{problem.file}:{problem.line}"
    if problem.kind == "items":
        hint = "write the items into a file, and queue from that"
        raise Skipped(f"{where}: {problem.message}", hint)
    if problem.kind == "unknown" and problem.message.startswith(("`include`", "`use ")):
        hint = "write what it stands for into the file"
        if problem.message.startswith("`use "):
            hint += " (an access point says it: condor_config_val SUBMIT_TEMPLATE_NAME)"
        raise Skipped(f"{where}: {problem.message}", hint)
    if problem.kind in ("refused", "queue"):
        raise CheckFailed(
            f"condor_submit refuses {where}: {problem.message}",
            "correct that line, or run it from the folder where you condor_submit it; "
            f"to see all that is wrong: {check_command(description.path)}",
        )


def after_queue(description: Description, named: str) -> str:
    """Return what to note of what follows the first queue statement; empty for nothing.

    named: a release of HTCondor; empty for that of the condor_submit here, where there is one.
    Raises CheckFailed where that release refuses it.
    """
    above = [queue.line for queue in description.queues[:1]]
    lines = [c.line for c in description.commands if c.file == description.path]
    more = sorted(n for n in (*lines, *(q.line for q in description.queues)) if [n] > above)
    if not above or not more:
        return ""
    if not named and which("condor_version"):
        with contextlib.suppress(ScaffoldError):
            named = run(["condor_version"], timeout=_PATIENCE, warnings=False).output
    release = re.search(r"(\d+)\.(\d+)", named)
    if release is None or _ACCEPTS < tuple(map(int, release.groups())) < _REFUSES:
        return "HTCondor 25.14 refuses what follows a queue statement, older ones do not"
    if tuple(map(int, release.groups())) <= _ACCEPTS:
        return ""
    raise CheckFailed(
        f"condor_submit refuses {description.path}:{more[0]}: HTCondor {release[0]} takes nothing "
        "after a queue statement",
        "make one queue statement of them (queue x in ...), and put all commands above it",
    )


def numbered(description: Description) -> dict[int, Job]:
    """Return the jobs of a description by their number in the cluster."""
    numbered: dict[int, Job] = {}
    for job in description.jobs:
        first = len(numbered)
        placed = replace(job, first=first)
        numbered |= dict.fromkeys(range(first, first + job.queue.total), placed)
    return numbered


def choose(description: Description, proc: int | None, *, every: bool) -> dict[int, Job]:
    """Return the jobs to rehearse, by number; raises CheckFailed for one that is refused."""
    jobs = numbered(description)
    if not jobs:
        line = description.queues[-1].line
        hint = "give its queue statement a number or items"
        raise CheckFailed(f"{description.path}:{line} queues no job", hint)
    number = proc or 0
    if number not in jobs:
        raise UsageError(f"there is no job {number}", f"it queues jobs 0 to {len(jobs) - 1}")
    chosen = jobs if every else {number: jobs[number]}
    for one, job in chosen.items():
        refuse(meaning(job, one))
    return chosen


def workspace_root(folder: Path) -> Path:
    """Return the nearest folder upwards with a pixi.toml or a .git, or the folder itself."""
    for path in (folder, *folder.parents):
        if (path / "pixi.toml").is_file() or (path / ".git").exists():
            return path
    return folder


@contextlib.contextmanager
def alone(chosen: Mapping[int, Job]) -> Iterator[None]:
    """Keep other rehearsals from these jobs, whose results lie in the same folders."""
    import fcntl  # not on Windows, where all else of the program runs

    names = {
        j.folder / layout.REHEARSALS / f"{job_name(j, number)}.lock" for number, j in chosen.items()
    }
    with contextlib.ExitStack() as stack:
        for path in sorted(names):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(path.open("w"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ScaffoldError(
                    f"{path.stem} is being rehearsed already, by another process",
                    "wait until it has ended, or end it",
                ) from error
            except OSError as error:
                raise ScaffoldError(
                    f"cannot write {path}: {error.strerror}", "results of a rehearsal lie there"
                ) from error
        yield
