"""Rules on the executable, the inputs and the outputs."""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Iterator
from pathlib import PurePosixPath

from pixi_scaffold.rules.finding import Edit, Found, Severity, at, rule
from pixi_scaffold.rules.subject import Subject, is_elsewhere, is_url, read_bytes

_WORKERS_OWN = ("/bin/", "/usr/", "/opt/", "/cvmfs/")
_INSIDE = "use a path inside the folder"


@rule("PS201")
def no_executable(subject: Subject) -> Iterator[Found]:
    """The executable is missing.

    Why: condor_submit refuses the file; with transfer_executable = false the job is held on the
    worker.
    Fix: name a file that is there, from the folder where condor_submit is run.
    Source: the condor_submit manual.
    """
    command = subject.job.command("executable")
    if command is None:
        image = subject.universe in ("docker", "container", "vm", "grid")
        image = image or subject.job.command("shell") is not None  # it runs in /bin/sh
        if subject.description.queues and not image:
            yield Found(
                subject.description.path,
                subject.job.queue.line,
                "no executable is set",
                "add: executable = FILE",
            )
        return
    path = subject.executable
    if path is None or is_elsewhere(path):
        return
    if path.is_dir():
        yield at(command, f"{subject.shown(path)} is a folder", "name a file")
    elif not path.exists():
        yield at(
            command,
            f"there is no {subject.shown(path)} in {subject.job.folder}, where condor_submit is "
            "taken to run",
            "correct the name, or say where it runs: check --from FOLDER",
        )


@rule("PS202", Severity.WARNING)
def not_executable(subject: Subject) -> Iterator[Found]:
    """The executable has no permission to run.

    Why: HTCondor sets the permission on the copy that it transfers, so the job runs; but nobody
    can try it here, and it fails where files are not transferred.
    Fix: chmod +x FILE.
    Source: the starter makes the transferred executable mode 0755.
    """
    command, path = subject.job.command("executable"), subject.executable
    if command is None or path is None or not path.is_file() or os.access(path, os.X_OK):
        return
    severity = Severity.NOTE if subject.transfers else Severity.ERROR
    shown = subject.shown(path)
    edits = (Edit(path, whole="executable"),)
    yield at(command, f"{shown} is not executable", f"chmod +x {shown}", edits, severity)


@rule("PS203")
def bad_interpreter(subject: Subject) -> Iterator[Found]:
    """A script without a usable interpreter line.

    Why: the worker's kernel reads the first line. Without `#!` and an absolute path the job is
    held with "Exec format error" or "No such file".
    Fix: begin the file with `#!/usr/bin/env bash`, with nothing before it.
    Source: execve(2); hold code 6, subcode 8.
    """
    path, data = subject.executable, subject.executable_data
    if path is None or data is None:
        return
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield Found(path, 1, "the file is in UTF-16", "save it as UTF-8 without BOM")
        return
    if data.startswith(b"\xef\xbb\xbf#!"):
        yield Found(
            path, 1, "a byte order mark stands before #!", "save the file as UTF-8 without BOM"
        )
        return
    binary = b"\0" in data[:4096]
    if binary:
        return
    first = data.split(b"\n", 1)[0].decode("utf-8", errors="replace").rstrip("\r")
    if not first.startswith("#!"):
        yield Found(
            path, 1, "the first line does not name an interpreter",
            "begin the file with: #!/usr/bin/env bash",
        )  # fmt: skip
        return
    words = first[2:].split()
    if not words or not words[0].startswith("/"):
        what = "the interpreter line needs an absolute path"
        yield Found(path, 1, f"{what}: {first}", "write: #!/usr/bin/env bash")
    elif words[0].endswith("/env") and len(words) > 2 and words[1] != "-S":
        what = f"env looks for one program named {' '.join(words[1:])!r}"
        yield Found(path, 1, what, f"write: #!{words[0]} -S {' '.join(words[1:])}")
    elif words[0].endswith("/env") and (meant := _nearly(words[-1])):
        yield Found(path, 1, f"there is no interpreter {words[-1]}", f"did you mean {meant}?")
    elif subject.universe in ("container", "docker", "local", "scheduler") or not subject.transfers:
        return  # a path of the image, or of the machine that runs it
    elif not words[0].startswith(("/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/", "/cvmfs/")):
        what = f"{words[0]} is a path of this machine, which a worker does not have"
        yield Found(path, 1, what, "write: #!/usr/bin/env bash")


_INTERPRETERS = "bash sh zsh ksh dash python python3 perl Rscript julia ruby node csh tcsh fish awk"


def _nearly(name: str) -> str:
    """Return the interpreter that a misspelt name is nearly; empty for a good or unknown one."""
    known = _INTERPRETERS.split()
    if name in known or name.startswith("python"):
        return ""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.7)), "")


@rule("PS204")
def windows_line_ends(subject: Subject) -> Iterator[Found]:
    r"""A script with Windows line ends.

    Why: the kernel looks for an interpreter named `bash\r`, and the shell sees a `\r` at the end
    of every word.
    Fix: save the file with Unix line ends; `check --fix` does it.
    Source: execve(2).
    """
    paths = [s.path for s in subject.scripts]
    if subject.executable is not None and subject.executable not in paths:
        paths.append(subject.executable)
    for path in paths:
        data = read_bytes(path) or b""
        if b"\r\n" in data and b"\0" not in data[:4096]:
            number = data[: data.index(b"\r\n")].count(b"\n") + 1
            yield Found(
                path, number, "the line ends are those of Windows (CRLF)",
                "save it with Unix line ends", (Edit(path, whole="unix"),),
            )  # fmt: skip


@rule("PS205")
def missing_input(subject: Subject) -> Iterator[Found]:
    """An input that is not there.

    Why: condor_submit does not look. The job is held when it starts, perhaps days later: hold code
    13.
    Fix: correct the name, or make the file first.
    Source: a dry run says nothing; seen with HTCondor 23.9 and 25.14.
    """
    if not subject.transfers or not subject.start.is_dir():  # PS208 says the latter
        return
    for name in ("transfer_input_files", "input"):
        command = subject.job.command(name)
        for item, proc in _items_of_all_jobs(subject, name):
            if command is None or is_url(item) or "$" in item or (subject.start / item).exists():
                continue
            if item == "/dev/null" or to_be_made(subject, item):
                continue
            if is_elsewhere(subject.start / item):
                continue
            which = f" (job {proc} of {subject.job.queue.total})" if proc else ""
            yield at(
                command,
                f"the input {item}{which} is not in {subject.start}, where condor_submit is "
                "taken to run",
                "correct the name, make the file first, or say where it runs: check --from FOLDER",
            )


_MOST_JOBS = 1000


def _items_of_all_jobs(subject: Subject, name: str) -> Iterator[tuple[str, int]]:
    """Yield the files that a command names in any job, each once, with the first such job."""
    command = subject.job.command(name)
    if command is None:
        return
    total = subject.job.queue.total if "$" in command.value else 1
    seen: set[str] = set()
    for proc in range(min(max(total, 1), _MOST_JOBS)):
        if subject.job.expand(command.value, proc).unknown:
            continue
        for item in subject.job.list(name, proc):
            if item not in seen:
                seen.add(item)
                yield item, proc


def to_be_made(subject: Subject, item: str) -> str:
    """Return the command that makes an input which is not there yet; empty when none is known.

    Such an input is no mistake: it is reported as not checked.
    """
    path = subject.start / item
    if subject.project is not None and path.resolve() == subject.project.lock.resolve():
        return "pixi-scaffold lock"
    if PurePosixPath(item).name == "env.tar.gz" and subject.project is not None:
        return "pixi-scaffold pack"
    if path.suffix != ".sif":
        return ""
    recipes = (
        path.with_suffix(".def"),
        *subject.job.folder.glob(f"*/{glob.escape(path.stem)}.def"),
    )
    recipe = next((p for p in recipes if p.is_file()), None)
    return "" if recipe is None else f"apptainer build {item} {subject.shown(recipe)}"


def not_yet_made(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield the inputs and images that are still to be made, with the command that makes each."""
    names = [*subject.inputs, subject.job.text("container_image") or ""]
    for name in names:
        if name and not is_url(name) and not (subject.start / name).exists():
            command = to_be_made(subject, name)
            if command:
                yield name, command


@rule("PS207", Severity.WARNING)
def path_of_this_machine(subject: Subject) -> Iterator[Found]:
    """A path that leads out of the project.

    Why: an absolute path, or one with `..`, works for one person on one machine. As an output it
    names a place on the worker that the job may not write to.
    Fix: use paths inside the project's folder.
    Source: the condor_submit manual, transfer_output_files.
    """
    for name in ("executable", "transfer_input_files", "log", "output", "error", "initialdir"):
        command = subject.job.command(name)
        if command is None:
            continue
        own_only = name == "executable" and not subject.job.flag("transfer_executable", True)
        image = name == "executable" and subject.universe in ("container", "docker")
        out = [
            item
            for item in subject.job.list(name)
            if leaves(item)
            and not (is_url(item) or own_only or image or item == "/dev/null")
            and not (name == "executable" and item.startswith(("/bin/", "/usr/bin/")))
        ]
        if out:
            yield at(
                command, f"{command.spelled} leads out of the project: {', '.join(out)}", _INSIDE
            )
    for name in ("transfer_output_files", "transfer_checkpoint_files"):
        command = subject.job.command(name)
        for item in subject.job.list(name):
            if command is not None and not is_url(item) and leaves(item):
                what = f"{command.spelled} is relative to the job's scratch folder, not {item}"
                yield at(command, what, _INSIDE, severity=Severity.ERROR)


@rule("PS208")
def folder_missing(subject: Subject) -> Iterator[Found]:
    """The folder of a log or an output, or initialdir itself, is missing.

    Why: HTCondor does not make it. Without the folder of `log` condor_submit stops; without those
    of `output` and `error` the job is held after it has run.
    Fix: mkdir the folder, and keep it in the repository with a .gitkeep.
    Source: a dry run says nothing; seen with HTCondor 23.9 and 25.14.
    """
    start = subject.job.command("initialdir")
    if start is not None and not subject.start.is_dir():
        shown = subject.job.text("initialdir")
        if "$" not in (shown or "") and not is_elsewhere(subject.start):
            yield at(start, f"there is no folder {shown}", "correct initialdir, or make the folder")
        return
    for name in ("log", "output", "error"):
        command, text = subject.job.command(name), subject.job.text(name)
        if command is None or not text or is_url(text) or "$" in text or leaves(text):
            continue  # a folder of the access point cannot be looked at from here
        folder = (subject.start / text).parent
        if not folder.is_dir():
            shown = subject.shown(folder)
            edits = (Edit(folder, whole="folder"),)
            yield at(command, f"there is no folder {shown}", f"mkdir -p {shown}", edits)


@rule("PS211")
def inputs_without_transfer(subject: Subject) -> Iterator[Found]:
    """Inputs are named, and the transfer of files is switched off.

    Why: with should_transfer_files = NO the job sees only a shared file system;
    transfer_input_files and transfer_output_files are refused or ignored.
    Fix: should_transfer_files = YES.
    Source: the condor_submit manual.
    """
    command = subject.where("transfer_input_files", "transfer_output_files")
    if not subject.transfers and command is not None:
        yield at(
            command,
            f"{command.spelled} with should_transfer_files = NO",
            "should_transfer_files = YES",
        )


@rule("PS212")
def jobs_overwrite(subject: Subject) -> Iterator[Found]:
    """Several jobs write one file.

    Why: every job of the queue statement writes `output` and `error`; with the same name only the
    last one's remain.
    Fix: put $(Cluster)-$(Process) into the name.
    Source: the condor_submit manual.
    """
    if subject.job.queue.total < 2:
        return
    for name in ("output", "error"):
        command = subject.job.command(name)
        first, second = (
            (subject.job.text("initialdir", proc), subject.job.text(name, proc)) for proc in (0, 1)
        )
        if command is None or subject.job.expand(command.value).unknown:
            continue
        if first == second and first[1] != "/dev/null":
            yield at(
                command,
                f"all {subject.job.queue.total} jobs write {first[1]}",
                f"{command.spelled} = ...$(Cluster)-$(Process)...",
            )


def leaves(item: str) -> bool:
    """Whether a path leads out of the folder that it starts from."""
    return item.startswith(("/", "~")) or ".." in PurePosixPath(item).parts
