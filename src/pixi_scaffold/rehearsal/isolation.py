"""Start a job apart from the rest of this machine: what it may see, and what it may not."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.process import Child, started

LAUNCHER = Path(__file__).with_name("launcher.py")
EVERYTHING = ("files", "network", "processes", "read-only")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108
_SYSTEM = (
    "/",
    "/bin",
    "/etc",
    "/lib",
    "/opt",
    "/sbin",
    "/usr",
    "/var",
    "/home",
    *_TEMPORARY,
)


@dataclass(frozen=True, slots=True)
class Walls:
    """What the job is kept away from.

    wanted: whether to use namespaces at all. network: whether it may use this machine's. hide:
    folders that a worker does not have. show: folders and files that the rehearsal gives it all
    the same (an installed environment), even inside a hidden one; it cannot write there.
    """

    wanted: bool = True
    network: bool = False
    hide: tuple[Path, ...] = ()
    show: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """What to start, and where. Logs: None goes to /dev/null."""

    argv: Sequence[str]
    env: Mapping[str, str]
    root: Path
    stdin: Path | None
    stdout: Path | None
    stderr: Path | None


def home() -> Path:
    """Return the user's home folder, as it really lies."""
    return Path(os.path.realpath(os.path.expanduser("~")))  # noqa: PTH111  never raises


def hidden(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the folders to hide: those given and the home folder, no folder of the system."""
    found = {Path(os.path.realpath(path)) for path in [*paths, home()]}
    own = {p for p in found if p.is_dir() and str(p) not in _SYSTEM}
    return tuple(sorted(own))


@contextmanager
def launched(start: Start, walls: Walls) -> Iterator[Child]:
    """Start the launcher; its lines tell the rest. Nothing that it started outlives the block."""
    root = start.root
    scratch = root / "scratch"
    spec = {
        "argv": list(start.argv),
        "env": dict(start.env),
        "cwd": str(scratch),
        "stdin": str(start.stdin or ""),
        "stdout": str(start.stdout or ""),
        "stderr": str(start.stderr or ""),
        "isolate": walls.wanted,
        "network": walls.network,
        "hide": [str(path) for path in walls.hide],
        "keep": [os.path.realpath(path) for path in walls.show],
        "writable": [str(scratch)],
        "private": {"/tmp": str(root / "tmp"), "/var/tmp": str(root / "var-tmp")},  # noqa: S108
    }
    path = root / "launch.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(spec), encoding="utf-8")
    # -I -S: nothing of the user's Python settings, and a start in 10 ms
    with started([sys.executable, "-I", "-S", LAUNCHER, path], env={}) as child:
        yield child
