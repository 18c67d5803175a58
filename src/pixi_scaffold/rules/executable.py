"""Rules on the executable: there, allowed to run, and read by the worker's kernel."""

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pixi_scaffold.job import Command
from pixi_scaffold.rules.finding import Edit, Found, Severity, at, rule
from pixi_scaffold.rules.makers import made_by, taken_to_run
from pixi_scaffold.rules.subject import Subject
from pixi_scaffold.rules.texts import read_bytes
from pixi_scaffold.system import is_elsewhere


@rule("PS201")
def no_executable(subject: Subject) -> Iterator[Found]:
    """The executable is missing."""
    command = subject.job.command("executable")
    if command is None:
        if any(refusal.kind == "executable" for refusal in subject.refusals):
            severity = Severity.NOTE if _interactive(subject) else None
            fix = "add: executable = FILE"
            yield at(subject.job.queue, "no executable is set", fix, severity=severity)
        return
    path = subject.executable
    name = subject.meaning.executable.value
    stays = not subject.meaning.transfers_executable and subject.surely_transfers
    if stays and "/" not in name.lstrip("./") and "$" not in name and name not in subject.arrives:
        message = f"{name} is not transferred, and a worker has no such file in the job's folder"
        fix = "remove transfer_executable = false, or name a path of the worker"
        image = subject.universe in ("container", "docker")
        yield from () if image else (at(command, message, fix, severity=Severity.WARNING),)
    if path is None:
        return
    if path.is_dir():
        yield at(command, f"{subject.shown(path)} is a folder", "name a file")
    elif path.exists() and path.stat().st_size == 0:
        yield at(command, f"{subject.shown(path)} is empty", "write it, or name another file")
    elif not path.exists():
        yield from _missing(subject, command, path)


_OF_IMAGES = ("/opt/", "/usr/", "/root/", "/app/", "/venv/", "/bin/")
"""Where images have programs, and people have none."""


def _missing(subject: Subject, command: Command, path: Path) -> Iterator[Found]:
    """Yield what to say of an executable that is not here."""
    name, elsewhere = subject.meaning.executable.value, is_elsewhere(path)
    image = subject.universe in ("container", "docker") and name.startswith("/")
    if image and not subject.job.command("transfer_executable"):
        if not elsewhere or name.startswith(_OF_IMAGES):
            message = f"HTCondor before 24.0 takes {name} from the image, a newer one from here"
            fix = "if the image has it: transfer_executable = false"
            yield at(command, message, fix, severity=Severity.WARNING)
    elif not elsewhere:
        maker = made_by(subject, name)
        message = f"there is no {subject.shown(path)} in {taken_to_run(subject.job.folder, maker)}"
        fix = _how_to_name(subject, name)
        yield at(command, message, fix, severity=Severity.WARNING if maker else None)


def _how_to_name(subject: Subject, name: str) -> str:
    """Return what was most likely meant by an executable that is not there."""
    first, *words = name.split()
    if words and (subject.job.folder / first).is_file():
        return f"executable = {first}, and arguments = {' '.join(words)}"
    if words and _nearly(first) == "" and first.split("3")[0] in _INTERPRETERS.split():
        return f"executable = /usr/bin/{first}, transfer_executable = false; the rest is arguments"
    return "correct the name, or say where it runs: check --from FOLDER"


_INTERACTIVE = re.compile(r"condor_submit\s+(?:-\w+\s+)*-i(?:nteractive)?\b|\binteractive\b", re.I)


def _interactive(subject: Subject) -> bool:
    """Whether the file is meant for `condor_submit -interactive`, which brings its own program."""
    if subject.job.command("my.isbuildjob") is not None:  # as CHTC marks the building of an image
        return True
    lines = subject.description.lines
    named = "interactive" in subject.description.path.name.lower()
    return named or any(map(_INTERACTIVE.search, lines))


@rule("PS202", Severity.WARNING)
def not_executable(subject: Subject) -> Iterator[Found]:
    """The executable has no permission to run."""
    command, path = subject.job.command("executable"), subject.executable
    if command is None or path is None or not path.is_file() or os.access(path, os.X_OK):
        return
    shown = subject.shown(path)
    message, severity = f"{shown} is not executable", Severity.ERROR
    if subject.surely_transfers:
        severity = Severity.NOTE
    elif subject.transfers:
        message += ", so the job is held where worker and access point share a file system"
        severity = Severity.WARNING
    yield at(command, message, f"chmod +x {shown}", (Edit(path, whole="executable"),), severity)


@rule("PS203")
def bad_interpreter(subject: Subject) -> Iterator[Found]:
    """A script without a usable interpreter line."""
    path, data = subject.executable, subject.executable_data
    if path is None or data is None or subject.windows:
        return
    bom = b"\xef\xbb\xbf"
    first = data.split(b"\n", 1)[0].decode("utf-8", errors="replace").rstrip("\r")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield Found(path, 1, "the file is in UTF-16", "save it as UTF-8 without BOM")
    elif data.startswith(bom + b"#!"):
        message = "a byte order mark stands before #!"
        yield Found(path, 1, message, "save the file as UTF-8 without BOM")
    elif data.startswith(b"#!"):
        yield from _interpreter(subject, path, first)
    elif b"\0" not in data[:4096]:  # no binary
        # What starts a container is often a shell, which runs such a script itself.
        shell_may = subject.universe in ("container", "docker")
        message = "the first line does not name an interpreter"
        fix = "begin the file with: #!/usr/bin/env bash"
        yield Found(path, 1, message, fix, severity=Severity.WARNING if shell_may else None)


def _interpreter(subject: Subject, path: Path, first: str) -> Iterator[Found]:
    """Yield what is wrong with the program that a first line names."""
    words = first[2:].split()
    if not words or not words[0].startswith("/"):
        message = "the interpreter line needs an absolute path"
        yield Found(path, 1, f"{message}: {first}", "write: #!/usr/bin/env bash")
    elif words[0].endswith("/env") and len(words) > 2 and words[1] != "-S":
        message = f"env looks for one program named {' '.join(words[1:])!r}"
        yield Found(path, 1, message, f"write: #!{words[0]} -S {' '.join(words[1:])}")
    elif words[0].endswith("/env") and (meant := _nearly(words[-1])):
        message = f"there is hardly an interpreter {words[-1]} on a worker"
        yield Found(path, 1, message, f"did you mean {meant}?", severity=Severity.WARNING)
    elif subject.universe in ("container", "docker", "local", "scheduler") or not subject.transfers:
        return  # a path of the image, or of the machine that runs it
    elif PurePosixPath(words[-1]).name == "python":
        message = f"many systems have no program named {words[-1]}, only python3"
        yield Found(path, 1, message, f"write: {first}3", severity=Severity.WARNING)
    elif not words[0].startswith(("/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/", "/cvmfs/")):
        message = f"{words[0]} is a path of this machine, which a worker need not have"
        yield Found(path, 1, message, "write: #!/usr/bin/env bash", severity=Severity.WARNING)


_INTERPRETERS = "bash sh zsh ksh dash python python3 perl Rscript julia ruby node csh tcsh fish awk"


def _nearly(name: str) -> str:
    """Return the interpreter that a misspelt name is nearly; empty for a good or unknown one."""
    known = _INTERPRETERS.split()
    if name in known or name.startswith("python"):
        return ""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.7)), "")


@rule("PS204")
def windows_line_ends(subject: Subject) -> Iterator[Found]:
    r"""A script with Windows line ends."""
    paths = dict.fromkeys((*(s.path for s in subject.scripts), subject.executable))
    for path in filter(None, paths) if not subject.windows else ():
        data = read_bytes(path) or b""
        if b"\r\n" in data and b"\0" not in data[:4096]:
            number = data[: data.index(b"\r\n")].count(b"\n") + 1
            never_starts = number == 1 and path == subject.executable and data.startswith(b"#!")
            yield Found(
                path, number, "the line ends are those of Windows (CRLF)",
                "save it with Unix line ends", (Edit(path, whole="unix"),),
                severity=None if never_starts else Severity.WARNING,
            )  # fmt: skip


_ARM = re.compile(rb"\x7fELF\x02\x01.{12}\xb7\0|.{32}SIF_MAGIC\0.{3}04", re.DOTALL)
"""The kind of processor in the header of a program (elf(5), e_machine), and of a SIF image."""
_MAC = b"\xcf\xfa\xed\xfe"
_GLIBC = re.compile(rb"\0GLIBC_2\.(\d+)(?=\0)")
_OF_POOLS = 34
"""The minor version of the C library of AlmaLinux 9, which most pools run in 2026."""


@rule("PS228", Severity.WARNING)
def made_for_another_machine(subject: Subject) -> Iterator[Found]:
    """A program or an image that is made for another kind of machine."""
    arm = re.search("aarch64|arm64", subject.meaning.of("requirements").text, re.IGNORECASE)
    image = subject.universe in ("container", "docker")
    paths = dict.fromkeys((*subject.files, *(subject.start / name for name in subject.images)))
    for path in paths if subject.transfers and not arm else ():
        program = path == subject.executable or path.suffix in ("", ".sif", ".so")
        data = (program and read_bytes(path)) or b""
        newest = max(map(int, _GLIBC.findall(data)), default=0) if data[:4] == b"\x7fELF" else 0
        message, fix = "", "build it on the oldest system of the pool, or bring an image"
        if _ARM.match(data) or data[:4] == _MAC:
            message = "is made for a Mac or another ARM processor, which hardly any worker has"
            fix = "build it for x86_64: docker build --platform linux/amd64"
        elif newest > _OF_POOLS and not image and path.is_relative_to(subject.root):
            message = f"needs version 2.{newest} of the C library; AlmaLinux 9 has 2.{_OF_POOLS}"
        by = "executable" if path == subject.executable else "transfer_input_files"
        command = subject.where("container_image" if path.suffix == ".sif" else by, by)
        if message and command is not None:
            yield at(command, f"{subject.shown(path)} {message}", fix, about=path.name)
