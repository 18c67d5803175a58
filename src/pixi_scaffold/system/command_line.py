"""How this program was started: its name for hints, and the paths that were typed."""

import os
import shlex
import sys
from functools import cache
from pathlib import Path
from shutil import which

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system.process import run


def expanded(path: Path) -> Path:
    """Return the path with `~` replaced; raises UsageError for a user who does not exist."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UsageError(f"{path}: {error}", "write the whole path") from error


def program() -> str:
    """Return how to start this program from a shell: by its name, where that finds it."""
    path = Path(sys.argv[0])
    if path.name == "pixi-scaffold":
        if _by_pixi(os.getppid()):
            return "pixi scaffold"
        on_path = which("pixi-scaffold")
        same = on_path is not None and Path(on_path).resolve() == path.resolve()
        return "pixi-scaffold" if same else shlex.quote(str(path.absolute()))
    return f"{shlex.quote(sys.executable)} -m pixi_scaffold"


@cache
def _by_pixi(parent: int) -> bool:
    """Whether the process `parent` is `pixi scaffold ...`.

    Pixi starts any pixi-NAME on PATH as `pixi NAME` and tells it nothing of that; what stays is
    the command line of the process that waits for it (pixi_cli, command_info.rs).
    """
    try:
        line = Path(f"/proc/{parent}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # no /proc here (macOS)
        try:
            line = run(["ps", "-o", "args=", "-p", str(parent)], timeout=5).output.split()
        except ScaffoldError:
            return False
    words = (word for word in line[1:] if not word.startswith("-"))
    return Path(line[0]).stem == "pixi" and next(words, "") == "scaffold"
