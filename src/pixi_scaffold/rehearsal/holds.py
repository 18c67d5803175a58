"""Why HTCondor would put a job on hold, with its codes and in its words (condor_holdcodes.h)."""

import contextlib
import os
import re
import stat
from pathlib import Path

from pixi_scaffold.job import Meaning
from pixi_scaffold.rehearsal.outcome import Hold
from pixi_scaffold.rehearsal.plan import JobRun, start_of
from pixi_scaffold.rehearsal.sandbox import Sandbox
from pixi_scaffold.rehearsal.transfer import Sent

EXECUTE, STDIN, STREAM, OUTPUT, INPUT, CHECKPOINT, MEMORY = 6, 8, 9, 12, 13, 36, 34
DURATIONS = {46: "job", 47: "execute"}
"""HoldReasonCode -> what took longer than allowed_job_duration, or _execute_, says."""
OOM_KILLED = 102
"""HoldReasonSubCode where the kernel killed it (condor_holdcodes.h)."""
TAIL, WIDTH = 10, 300
"""Lines of a log that are shown, and characters of each."""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\0-\x08\x0a-\x1f\x7f-\x9f]")


def transfer_hold(code: int, sent: Sent, side: str, place: Path) -> Hold:
    """Return the hold of a job whose files could not be transferred."""
    first = sent.failures[0]
    where = str(first).replace(f"{place}/", "", 1)
    where = re.sub(r"^(\w+ \w+ file )sandbox-\d+/scratch/", r"\1", where)
    reason = f"Transfer {side} files failure: {where}"
    if first.number == 21 and first.reading:
        reason += " - Transfer of symlinks to directories is not supported."
    if len(sent.failures) > 1:
        others = (f"{f.path.name} ({f.reason})" for f in sent.failures[1:])
        reason += f"; also: {', '.join(others)}"
    return Hold(code, first.number, reason)


def not_executed(error: int, sandbox: Sandbox) -> Hold:
    """Return the hold of a job whose executable could not be started, and what it asks for."""
    name, stdin = sandbox.plan.executable.name, Path(sandbox.plan.stdin).name
    words = os.strerror(error)
    if stdin and not (sandbox.scratch / stdin).exists():
        return Hold(STDIN, error, f"Failed to open '{stdin}' as standard input: {words}")
    first = start_of(sandbox.scratch / name).partition(b"\n")[0]
    if sandbox.program == str(sandbox.root / "none"):
        words += " (it is not found in a folder of the inputs: transfer_executable = true)"
    elif first.startswith(b"#!") and error == 2:
        words += f" (its first line asks for {first[2:].decode(errors='replace').strip()})"
    elif error == 8:
        words += " (a script needs a first line such as #!/bin/bash)"
    return Hold(EXECUTE, error, f"Failed to execute {name}: {words}")


def no_stream(plan: JobRun) -> Hold | None:
    """Return the hold of a job whose output streams into a folder that is not there.

    What is not streamed is brought back at the end, into a folder that HTCondor makes.
    """
    for name in ("output", "error"):
        text = plan.meaning.of(name).text
        path = plan.meaning.folder.value / text
        if text and plan.meaning.of(f"stream_{name}").value is True and not path.parent.is_dir():
            return Hold(STREAM, 0, f"Failed to open '{text}' as standard {name}: no such folder")
    return None


def overdue(code: int, meant: Meaning) -> Hold:
    """Return the hold of a job that ran longer than it allows itself."""
    message = DURATIONS[code]
    whole = int(meant.number(f"allowed_{message}_duration") or 0)
    time = f"{whole // 60:02}:{whole % 60:02}"
    return Hold(code, 0, f"The job exceeded allowed {message} duration of {time}")


def out_of_memory(limit: int) -> Hold:
    """Return the hold of a job that wanted more memory than it may have, in bytes."""
    message = f"Job has gone over cgroup memory limit of {limit >> 20} megabytes"
    return Hold(
        MEMORY, OOM_KILLED, f"{message}. Consider resubmitting with a higher request_memory."
    )


def last_lines(path: Path) -> tuple[str, ...]:
    """Return the end of a log, without what would do harm to a terminal."""
    data = b""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # not through a link or a FIFO in its place
    with contextlib.suppress(OSError), os.fdopen(os.open(path, flags), "rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            data = file.read(8192)
    lines = data.decode("utf-8", errors="replace").replace("\r", "\n").splitlines()[-TAIL:]
    return tuple(_CONTROL.sub("", line)[:WIDTH] for line in lines)
