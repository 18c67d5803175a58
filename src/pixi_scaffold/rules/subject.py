"""What rules look at: one job of a description, the files around it, the project's lock."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from packaging.version import InvalidVersion, Version

from pixi_scaffold.job import (
    Command,
    Description,
    Job,
    Meaning,
    Problem,
    Queue,
    Refusal,
    meaning,
    refusals,
)
from pixi_scaffold.rules.around import LockedWorkspace, Site
from pixi_scaffold.rules.texts import given_by_scripts, read_bytes
from pixi_scaffold.system import exists

_HERE = re.compile(r"(?<!<)<<-?\s*[\"']?([A-Za-z_]\w*)[\"']?")
_ARCHIVES = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".zip", ".whl", ".sif", ".conda")
_ENVIRONMENT = re.compile(
    r"pixi[\"'}]*\s+(?:install|run|shell|shell-hook)\b(?:\s+-[\w-]+(?:[= ][^\s-]\S*)?)*?"
    r"\s+(?:-e[= ]?|--environment[= ])[\"']?([A-Za-z][\w-]*)|\.pixi/envs/([A-Za-z][\w-]*)"
)
"""The options before the first word of the task, of which one can name an environment."""
_OF_WINDOWS = (".bat", ".cmd", ".ps1", ".exe")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


LONGEST = 4096
"""Characters of a line that are looked at; patterns may take the square of it."""


@dataclass(frozen=True, eq=False)
class Script:
    """A shell script that runs on the worker: its lines without line ends, and the raw bytes.

    Jobs that share a script share the object, so what is worked out of it is kept with it.
    """

    path: Path
    lines: tuple[str, ...]
    data: bytes

    @cached_property
    def code(self) -> tuple[tuple[int, str], ...]:
        """The lines that are not blank, a comment, or the text of a here-document.

        With their numbers from 1; of a line that is longer than LONGEST, its beginning.
        """
        lines: list[tuple[int, str]] = []
        ends: list[str] = []
        for number, line in enumerate(self.lines, start=1):
            if ends:
                if line.strip() == ends[0]:
                    ends.pop(0)
                continue
            if line.strip() and not line.lstrip().startswith("#"):
                lines.append((number, line[:LONGEST]))
                ends += _HERE.findall(line[:LONGEST])
        return tuple(lines)


@lru_cache(maxsize=4096)
def _environments(line: str) -> tuple[str, ...]:
    return tuple(a or b for a, b in _ENVIRONMENT.findall(line)) if "pixi" in line else ()


@lru_cache(maxsize=64)
def _script(path: Path, data: bytes) -> Script:
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n")
    return Script(path, tuple(text.split("\n")), data)


class ShellNote(NamedTuple):
    """One remark of shellcheck: its code (a number), its level, line and words."""

    line: int
    code: int
    level: str
    message: str
    refused: bool = False
    """Whether the shell itself cannot read the script."""


@dataclass(frozen=True)
class Subject:
    """One job, and everything that a rule may know about it."""

    description: Description
    job: Job
    project: LockedWorkspace | None = None
    attributes: frozenset[str] = frozenset()
    """Further names that slots have (lower case), from machine ads that the user gave."""
    notes: Mapping[Path, tuple[ShellNote, ...]] = field(default_factory=dict)
    """What shellcheck says of each script."""
    kept: Mapping[Path, str] = field(default_factory=dict)
    """What git says of inputs in a repository: `ignored`, `untracked`, or `tracked`."""
    packed: Mapping[Path, frozenset[str]] = field(default_factory=dict)
    """The packages in archives among the inputs, as `name-version-build`."""
    site: Site | None = None
    earlier: frozenset[Path] = frozenset()
    """What earlier nodes of its DAG make; `*` where that cannot be told."""
    refused_dag: tuple[Problem, ...] = ()
    """What DAGMan refuses in the DAG whose first node it is."""

    def having(self, **facts: Any) -> Subject:
        """Return the same job with more known around it; what the job itself means is kept."""
        other = replace(self, **facts)
        vars(other).update({k: v for k, v in vars(self).items() if k not in vars(other)})
        return other

    @cached_property
    def queue(self) -> Queue:
        """The queue statement as it was read; in the job's own, unknown items stand in."""
        line = self.job.queue.line
        return next((q for q in self.description.queues if q.line == line), self.job.queue)

    @cached_property
    def meaning(self) -> Meaning:
        """What the job means to condor_submit."""
        return meaning(self.job)

    @cached_property
    def refusals(self) -> tuple[Refusal, ...]:
        """What condor_submit refuses in it, files apart."""
        return tuple(refusals(self.meaning))

    @cached_property
    def start(self) -> Path:
        """Where the job's file names start: initialdir, or where it is submitted."""
        return self.meaning.folder.value

    @property
    def universe(self) -> str:
        """The universe; a container image makes a vanilla job `container`."""
        return self.meaning.universe.value

    @property
    def transfers(self) -> bool:
        """Whether HTCondor copies files to the worker; a scheduler job has no other machine."""
        return self.meaning.transfers.value != "no" and self.universe != "scheduler"

    @cached_property
    def executable(self) -> Path | None:
        """The executable as a file of this machine; None for one of the worker's, or of a VM."""
        name = self.meaning.executable.value
        if not name or is_url(name) or "$" in name or self.universe == "vm":
            return None
        return self.job.folder / name if self.meaning.transfers_executable else None

    @cached_property
    def surely_transfers(self) -> bool:
        """Whether files travel on every pool; IF_NEEDED, the default, does so on some."""
        return self.meaning.transfers.value == "yes"

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """What travels to the job, URLs too; transfer_common_input once a machine (25.14)."""
        return (*self.meaning.inputs.value, *self.meaning.common_inputs.value)

    @cached_property
    def input_files(self) -> tuple[Path, ...]:
        """The inputs that are files or folders of this machine and there."""
        paths = [self.start / name for name in self.inputs if not is_url(name) and "$$" not in name]
        return tuple(path for path in paths if exists(path))

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The executable and the inputs, those that are files here."""
        paths = dict.fromkeys((self.executable, *self.input_files))
        return tuple(path for path in paths if path is not None and path.is_file())

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The container image, where it is a file."""
        name = self.meaning.of("container_image").text
        return (name,) if name and not is_url(name) else ()

    @cached_property
    def arrives(self) -> frozenset[str]:
        """The names that lie in the job's scratch folder when it starts.

        A folder brings its own name, and with a slash at the end its content; everything else
        lands under its last name.
        """
        names: set[str] = set()
        for name in self.inputs:
            path = self.start / name
            if name.endswith("/") and path in self.input_files and path.is_dir():
                with contextlib.suppress(OSError):  # a folder that we may not look into
                    names |= {child.name for child in path.iterdir()}
            else:
                names.add(PurePosixPath(name.rstrip("/")).name)
        if self.executable is not None:
            names |= {self.executable.name, "condor_exec.exe"}
        return frozenset(names)

    @cached_property
    def root(self) -> Path:
        """The top of the workspace or repository around the description; else where it starts."""
        if self.project is not None:
            return self.project.manifest.parent
        return top_of(self.job.folder) or self.job.folder

    @cached_property
    def executable_data(self) -> bytes | None:
        """The executable's bytes; None when there is no such file."""
        return None if self.executable is None else read_bytes(self.executable)

    @cached_property
    def scripts(self) -> tuple[Script, ...]:
        """The shell scripts that run on the worker: the executable, and inputs named *.sh."""
        shells = (p for p in self.input_files if p.suffix in (".sh", ".bash"))
        paths = filter(None, dict.fromkeys((self.executable, *shells)))
        read = ((path, read_bytes(path)) for path in paths)
        return tuple(_script(path, data) for path, data in read if data and _is_shell(path, data))

    @cached_property
    def programs(self) -> tuple[Path, ...]:
        """The Python programs and modules that travel: the executable, and inputs named *.py."""
        return tuple(path for path in self.files if path.suffix == ".py")

    @cached_property
    def worker(self) -> Script | None:
        """The executable as a shell script, when it is one."""
        return next((s for s in self.scripts if s.path == self.executable), None)

    @cached_property
    def delivery(self) -> str:
        """How the environment comes to the worker: bootstrap, pack, container, or empty."""
        if self.universe in ("container", "docker"):
            return "container"
        code = "\n".join(line for script in self.scripts for _, line in script.code)
        if re.search(r"pixi[\"']?\s+(install|run)|pixi_version=|\bpixi\.sh/install", code):
            return "bootstrap"
        return "pack" if "conda-unpack" in code or "env.tar" in code else ""

    @cached_property
    def environments(self) -> tuple[str, ...]:
        """The environments of the workspace that the job's scripts or arguments name."""
        lines = [line for script in self.scripts for _, line in script.code]
        command = self.executable.name if self.executable else ""
        lines.append(f"{command} {self.meaning.arguments.text}")
        return tuple(dict.fromkeys(name for line in lines for name in _environments(line)))

    @cached_property
    def brings_unseen(self) -> bool:
        """Whether code may come along that cannot be looked at: an image, an archive, a URL."""
        names = [*self.inputs, self.meaning.executable.value]
        packed = any(is_url(n) or n.endswith(_ARCHIVES) or "$" in n for n in names)
        image = self.universe in ("container", "docker") or self.job.command("my.singularityimage")
        folder = any((self.start / n).is_dir() for n in self.inputs)
        code = None if self.executable is None else self.executable_data
        binary = code is None or b"\0" in code[:4096]
        return packed or bool(image) or folder or binary

    @cached_property
    def windows(self) -> bool:
        """Whether the job runs on Windows, where the kernel does not read a script's first line."""
        if self.executable is not None and self.executable.suffix.lower() in _OF_WINDOWS:
            return True
        text = self.meaning.of("requirements").text
        return re.search(r"\bOpSys\w*\s*=[=?]=?\s*\"win", text, re.IGNORECASE) is not None

    @cached_property
    def gpus(self) -> bool:
        """Whether the job asks for one."""
        return self.meaning.requests.gpus.value not in (None, 0)

    @cached_property
    def open_lines(self) -> frozenset[tuple[Path, int]]:
        """Where commands stand whose macros a script gives condor_submit as NAME=VALUE."""
        given = given_by_scripts(self.description.path.parent)
        return frozenset(
            (command.file, command.line)
            for command in (self.job.commands.values() if given else ())
            if not given.isdisjoint(map(str.lower, self.meaning.of(command.name).undefined))
        )

    def place(self, item: str) -> Path:
        """Return where a file that the description names lies here."""
        return Path(os.path.normpath(self.start / item))

    def said(self, *names: str) -> Iterator[tuple[Command, str]]:
        """Yield those of the commands that are set, with what each comes to."""
        for command in filter(None, map(self.job.command, names)):
            yield command, self.meaning.of(command.name).text

    def where(self, *names: str) -> Command | None:
        """Return the first of these commands that is set."""
        return next((c for c in map(self.job.command, names) if c is not None), None)

    def shown(self, path: Path) -> str:
        """Return a path as a reader of the description would write it."""
        relative = os.path.relpath(path, self.job.folder)
        return str(path) if relative.startswith("../../..") else relative


def top_of(folder: Path) -> Path | None:
    """Return the top of the repository that a folder lies in."""
    return next((above for above in (folder, *folder.parents) if exists(above / ".git")), None)


def is_url(name: str) -> bool:
    """Whether a file name is a URL, which a transfer plugin fetches."""
    return _URL.match(name) is not None


def _is_shell(path: Path, data: bytes) -> bool:
    first = data[:200].split(b"\n", 1)[0]
    if first.startswith((b"#!", b"\xef\xbb\xbf#!")):
        return re.search(rb"\b(ba|da|k|z)?sh\b", first) is not None
    return path.suffix in (".sh", ".bash")


def version_of(text: str) -> Version:
    """Return a locked version; 0 for one that cannot be compared."""
    try:
        return Version(text)
    except InvalidVersion:
        return Version("0")
