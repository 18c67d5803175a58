"""Rules on how the inputs get to the worker: kept by git, how large, under which remap."""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pixi_scaffold.job import is_command, unexpanded
from pixi_scaffold.rules.files import leaves, to_be_made
from pixi_scaffold.rules.finding import Found, Severity, at, rule
from pixi_scaffold.rules.subject import Subject, is_url
from pixi_scaffold.rules.texts import read_bytes, within_review

_GB = 10**9
_FILE_LIMIT = 1 * _GB
"""Bytes of one input that pools take over the access point. Sources: the guides of CHTC and the
OSPool (1 GB, more by OSDF or /staging)."""
_TRAFFIC_LIMIT = 100 * _GB
"""Bytes that all jobs of a statement together pull through the access point before it is said."""
_COMMITTED_LIMIT = 50_000_000
"""Bytes from which GitHub warns of a file; from 100 MB on it refuses the push."""
_MOST_FILES = 2000


@rule("PS213", Severity.WARNING)
def not_kept_by_git(subject: Subject) -> Iterator[Found]:
    """An input that a clone of the repository does not have."""
    command = subject.where("transfer_input_files", "transfer_common_input", "container_image")
    for path in subject.files:
        if path.stat().st_size < 1024 and b"//git-lfs.github.com/spec" in (read_bytes(path) or b""):
            yield Found(path, 1, "a pointer of Git LFS in place of the file", "git lfs pull")
    for item in (*subject.inputs, *subject.images):
        path = subject.place(item)
        state = subject.kept.get(path, "tracked")
        if command is None or is_url(item) or leaves(item) or state == "tracked":
            continue
        if not path.exists():
            continue  # PS205 says so, or it is listed as still to be made
        message, severity = f"git ignores {item}: ", None
        fix = f"copy it there (rsync -a {item} ACCESS_POINT:FOLDER/), or name a URL"
        if state != "ignored":
            message, fix = f"{item} is not in git: ", f"git add {item}, and commit"
        elif maker := to_be_made(subject, item):
            severity, fix = Severity.NOTE, f"copy it there, or make it there: {maker}"
        message += "a clone on the access point does not have it"
        message += ", and the job is held" * (state == "ignored" and severity is None)
        yield at(command, message, fix, severity=severity, about=item)
    for command, name in subject.said("executable"):
        path = Path(os.path.normpath(subject.executable or ""))
        lost = subject.executable and path.exists() and subject.kept.get(path) != "tracked"
        if lost and not leaves(name) and path in subject.kept:
            message = f"{name} is not in git: a clone on the access point does not have it"
            yield at(command, message, f"git add {name}, and commit")


@rule("PS226", Severity.WARNING)
def machine_unknown(subject: Subject) -> Iterator[Found]:
    """A value of the machine without a default, beside common input."""
    common = subject.where("transfer_common_input")
    for command in subject.job.commands.values() if subject.meaning.common_inputs.value else ():
        words = unexpanded([subject.meaning.of(command.name).text])
        if words and common is not None and (is_command(command.name) or command.name[:3] == "my."):
            message = f"$${words} beside {common.spelled}: HTCondor 25.14 holds the job with code 0"
            fix = f"give it a default: $${words[:-1]}:VALUE), or write transfer_input_files"
            yield at(command, message, fix, about=f"$${words}")


@rule("PS214", Severity.WARNING)
def remap_without_effect(subject: Subject) -> Iterator[Found]:
    """A remap that never applies."""
    command = subject.job.command("transfer_output_remaps")
    text = subject.meaning.of("transfer_output_remaps").text.strip('" ')
    keeps_paths = subject.meaning.of("preserve_relative_paths").value is True
    if command is None or "$" in text or keeps_paths:
        return
    if subject.job.command("output_destination"):
        yield at(command, "output_destination takes every output: no remap applies", "keep one")
        return
    outputs = subject.meaning.items("transfer_output_files")
    if any("$" in output for output in outputs):
        return
    last = {PurePosixPath(output.rstrip("/")).name for output in outputs}
    folders = {PurePosixPath(o.rstrip("/")).name for o in outputs if not PurePosixPath(o).suffix}
    for pair in re.split(r"(?<!\\);", text):
        name = pair.partition("=")[0].strip()
        top = PurePosixPath(name).parts[0] if name else ""
        if re.search(r",\s*[\w./-]+\s*=", pair):
            yield at(command, "a comma does not part remaps", "write ; between them", about=pair)
        standard = {subject.meaning.of(name).text for name in ("output", "error")}
        standard |= {"_condor_stdout", "_condor_stderr"}
        if not name or name in last | standard or top in folders:
            continue
        if not outputs and "/" not in name:
            continue  # whatever the job makes at the top may have that name
        right = PurePosixPath(name.rstrip("/")).name
        fix = f"write {right} = ..." if right != name else "name a file of transfer_output_files"
        message = f"the remap of {name} never applies: "
        arrives = f"it comes back as {right}" if "/" in name else "no output has that name"
        yield at(command, message + arrives, fix, about=name)


@rule("PS215", Severity.WARNING)
def heavy_inputs(subject: Subject) -> Iterator[Found]:
    """Large inputs, times the jobs."""
    command = subject.job.command("transfer_input_files")
    if command is None or not subject.transfers or subject.job.proc:
        return
    sizes = {
        item: size_of(subject.start / item)
        for item in subject.meaning.items("transfer_input_files")
        if not is_url(item) and "$" not in item
    }
    for item in sizes:
        path = subject.place(item)
        if path == subject.start or path in subject.start.parents:
            message = f"{item} is all of this folder, with .git, old logs and results"
            fix = "name what the job needs"
            yield at(command, message, fix, severity=Severity.NOTE, about=item)
    jobs, total = max(subject.queue.total, 1), sum(sizes.values())
    large = max(sizes, key=lambda item: sizes[item], default="")
    pulled = f"{jobs} jobs pull {size_in_words(jobs * total)} through the access point"
    limit, who = _FILE_LIMIT, "many pools take"
    if subject.site is not None and subject.site.input_mb is not None:
        limit, who = subject.site.input_mb * 10**6, f"{subject.site.name} takes"
    if large and sizes[large] > limit:
        message = f"{large} has {size_in_words(sizes[large])}: {who} files up to "
        message += f"{size_in_words(limit)} this way" + f", and {pulled}" * (jobs > 1)
        yield at(command, message, "put it where workers read it, and name the URL", about=large)
    elif jobs > 1 and jobs * total > _TRAFFIC_LIMIT:
        fix = "transfer_common_input (25.14), or put large files where workers read them"
        yield at(command, pulled, fix, about=large)


@rule("PS217", Severity.WARNING)
def large_and_committed(subject: Subject) -> Iterator[Found]:
    """A large file in the repository."""
    for item in subject.inputs:
        path = subject.place(item)
        if is_url(item) or subject.kept.get(path) != "tracked" or not path.is_file():
            continue
        size = path.stat().st_size
        command = subject.where("transfer_input_files", "transfer_common_input")
        if size >= _COMMITTED_LIMIT and command is not None:
            message = f"{item} has {size_in_words(size)} and is in git"
            yield at(command, message, f"git rm --cached {item}, and ignore it", about=item)


@within_review
def size_of(path: Path) -> int:
    """Return the bytes of a file, or of the first files of a folder."""
    try:
        if not path.is_dir():
            return path.stat().st_size
        files = (p for p, _ in zip(path.rglob("*"), range(_MOST_FILES), strict=False))
        return sum(p.stat().st_size for p in files if p.is_file())
    except OSError:
        return 0


def size_in_words(size: int) -> str:
    """Return bytes as a message has them."""
    return f"{size / _GB:.1f} GB" if size >= _GB // 10 else f"{size / 10**6:.0f} MB"
