"""The edit that adds a file to what travels with a job."""

from __future__ import annotations

from collections.abc import Sequence

from pixi_scaffold.rules.finding import Edit, line_of, replaced
from pixi_scaffold.rules.subject import Subject


def added_inputs(subject: Subject, names: Sequence[str]) -> tuple[Edit, ...]:
    """Return the edit that adds files to transfer_input_files; none where it is not safe.

    Safe is: the command stands in one line of the description and uses no macro of the queue
    statement, or there is none and the executable's line is one; and each file lies where the
    job's names start.
    """
    if subject.job.command("transfer_input_files") is None and not subject.surely_transfers:
        return ()  # it may be meant for a shared file system
    if not all((subject.start / name).is_file() for name in names):
        return ()
    command = subject.job.command("transfer_input_files")
    if command is None:
        first = subject.job.command("executable")
        if first is None or first.file != subject.description.path:
            return ()
        line = f"transfer_input_files = {', '.join(names)}"
        return (Edit(first.file, first.last + 1, first.last, (line,)),)
    text = command.value.strip().rstrip(",")
    if command.line != command.last or '"' in text or command.appends:
        return ()
    line = line_of(subject.description, command)
    head = line[: line.index("=") + 1]
    return replaced(command, f"{head} {', '.join([text, *names])}")
