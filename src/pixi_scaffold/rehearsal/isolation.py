"""Start a job apart from the rest of this machine: what it may see, and what it may not."""

import marshal
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pixi_scaffold.rehearsal.cgroup import MemoryLimit
from pixi_scaffold.system import Child, started

LAUNCHER = Path(__file__).with_name("launcher.py")
NOBODY = 65534
_LINKS = 40  # as many as the kernel follows
SYSTEM = (
    "/bin", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/sbin", "/sys", "/usr",
    "/cvmfs", "/gnu", "/nix",
)  # fmt: skip
"""What a job sees of this machine: the folders of the system, and those that hold only software."""
_PIECES = (
    "/etc/resolv.conf", "/run/current-system", "/run/opengl-driver", "/usr/local",
    "/var/lib/ca-certificates",
)  # fmt: skip
"""The same, where a folder that is hidden holds them or a link leads there."""


@dataclass(frozen=True, slots=True)
class Walls:
    """What the job is kept away from."""

    wanted: bool = True
    """Whether to use namespaces at all."""
    network: bool = False
    """Whether it may use this machine's."""
    hide: tuple[Path, ...] = ()
    """Folders that it shall not see, also inside those of the system; whatever else is no folder of
    the system is not there for it anyway."""
    show: tuple[Path, ...] = ()
    """Folders and files that the rehearsal gives it all the same (an installed environment); it
    cannot write there."""


@dataclass(frozen=True, slots=True)
class Start:
    """What to start, and where. Logs: None goes to /dev/null."""

    argv: Sequence[str]
    env: Mapping[str, str]
    root: Path
    stdin: Path | None
    stdout: Path | None
    stderr: Path | None
    terminal: int = -1
    """A descriptor that stands for all three, -1 for none."""
    memory: int | None = None
    """Bytes that the job may take, None for any."""
    core: int = 0
    """Bytes of a core file, -1 for any number."""
    stack: int = 0
    """Bytes of the stack; 0 or less for as many as may be."""


def home() -> Path:
    """Return the user's home folder, as it really lies."""
    return Path(os.path.realpath(os.path.expanduser("~")))  # noqa: PTH111  never raises


def hidden(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the folders to hide: those given and the home folder, no folder of the system.

    In /opt it is the folder at the top: what lies beside a project there is no system's either.
    """
    hidden = set()
    for path in (Path(os.path.realpath(p)) for p in [*paths, home()]):
        if path.is_dir() and path != Path("/") and str(path) not in (*SYSTEM, "/usr/local"):
            hidden.add(Path(*path.parts[:3]) if path.is_relative_to("/opt") else path)
    return tuple(sorted(hidden))


def of_the_system(path: Path) -> bool:
    """Whether a job sees this path of this machine without being shown it."""
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(folder) for folder in (*SYSTEM, "/dev", "/proc"))


def account_for(walls: Walls) -> int | None:
    """Return the account that a job runs as when root rehearses it; None for root's own.

    That of `nobody`, as in a pool. It must be able to read what the job is shown.
    """
    if os.geteuid() != 0 or not walls.wanted:
        return None
    everybody = stat.S_IROTH | stat.S_IXOTH
    for path in walls.show:
        if path.is_dir() and path.stat().st_mode & everybody != everybody:
            return None
    return NOBODY


def gpu_devices(folder: Path = Path("/dev")) -> list[str]:
    """Return the names in /dev by which programs reach GPUs (NVIDIA, AMD, those of WSL)."""
    known = ("dri", "dxg", "infiniband", "kfd")
    names = os.listdir(folder)  # noqa: PTH208  names
    return sorted(n for n in names if n.startswith("nvidia") or n in known)


def way_to(path: str) -> list[str]:
    """Return the symbolic links on the way to a path, and where it really lies."""
    links: list[str] = []
    waiting, done = path.split("/")[::-1], "/"
    while waiting:
        name = waiting.pop()
        if name == "..":
            done = os.path.dirname(done)  # noqa: PTH120  text, as the kernel reads it
        elif name not in ("", "."):
            here = os.path.join(done, name)  # noqa: PTH118
            if os.path.islink(here) and len(links) < _LINKS:  # noqa: PTH114
                links.append(here)
                target = os.readlink(here)  # noqa: PTH115
                done = "/" if target.startswith("/") else done
                waiting += target.split("/")[::-1]
            else:
                done = here
    return [*links, done]


def _ways_to(paths: Iterable[str]) -> list[str]:
    """Return what must be there so that each of these is found, each once."""
    steps = (step for path in paths if os.path.lexists(path) for step in way_to(path))
    return list(dict.fromkeys(steps))


@contextmanager
def launched(start: Start, walls: Walls, limit: MemoryLimit | None) -> Iterator[Child]:
    """Start the launcher; its lines tell the rest. Nothing that it started outlives the block."""
    root = start.root
    scratch = root / "scratch"
    system = _ways_to((*SYSTEM, *_PIECES))
    spec = {
        "argv": list(start.argv),
        "env": dict(start.env),
        "cwd": str(scratch),
        "terminal": start.terminal,
        "core": start.core,
        "stack": start.stack,
        "cgroup": str(limit.processes if limit else ""),
        **{n: str(getattr(start, n) or "") for n in ("stdin", "stdout", "stderr")},
        "isolate": walls.wanted,
        "network": walls.network,
        "hide": [str(path) for path in walls.hide],
        "root": str(root / "root"),
        "account": account_for(walls),
        "devices": gpu_devices(),
        "system": [p for p in system if not any(p.startswith(f"{one}/") for one in system)],
        "keep": _ways_to(str(path.absolute()) for path in walls.show),
        "writable": [str(root / name) for name in ("scratch", "tmp", "var-tmp")],
        "private": {"/tmp": str(root / "tmp"), "/var/tmp": str(root / "var-tmp")},  # noqa: S108
    }
    (root / "root").mkdir(exist_ok=True)
    path = root / "launch"
    path.touch(mode=0o600)
    path.write_bytes(marshal.dumps(spec))  # the same Python reads it
    # -I -S: nothing of the user's Python settings, and a start in 10 ms
    files = () if start.terminal < 0 else (start.terminal,)
    with started([sys.executable, "-I", "-S", LAUNCHER, path], env={}, files=files) as child:
        yield child
