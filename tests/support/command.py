"""Run the command line as a user does: a process of its own.

Half of what a short command takes is its imports. In most tests such a process is a fork of one that has
made them (forks.py); in the long ones and those of the real path, and wherever that cannot be, it is started
as a user starts it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.forks import Forks
from tests.support.paths import REPOSITORY

_PACKAGE = REPOSITORY / "src" / "pixi_scaffold"
_SCRIPTS = ("__main__.py", "launcher.py", "namespaces.py")
"""What is run, and not imported."""
_LIBRARIES = (
    "rattler", "rich.console", "rich.live", "rich.text", "tomlkit", "pydantic", "jinja2",
    "questionary", "pathspec", "dunamai", "funcy", "jinja2_ansible_filters",
)  # fmt: skip
"""Those that commands import when they need them, and that read nothing of the environment at import: not
Copier, but what it imports first, and not HTCondor's bindings."""
_forks: Forks | None = None
"""What starts the processes of the test that runs now; None: nothing but the system."""


def _modules() -> list[str]:
    paths = (p for p in sorted(_PACKAGE.rglob("*.py")) if p.name not in _SCRIPTS)
    names = (".".join(p.relative_to(_PACKAGE.parent).with_suffix("").parts) for p in paths)
    return [name.removesuffix(".__init__") for name in names]


def command_forks() -> Forks:
    """Return what starts commands whose imports are made."""
    return Forks(sys.executable, [*_LIBRARIES, *_modules()], os.environ)


@contextmanager
def started_by(forks: Forks) -> Iterator[None]:
    """Let `scaffold` start its processes so while the block runs."""
    global _forks
    _forks = forks
    try:
        yield
    finally:
        _forks = None


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def scaffold(*args: object, cwd: Path, stdin: str | None = None, timeout: float = 600) -> Ran:
    """Run `pixi-scaffold ARGS` in `cwd`; no terminal. A traceback fails the test at once."""
    argv = [sys.executable, "-m", "pixi_scaffold", *map(str, args)]
    if _forks is not None:
        done = _forks.run(argv, cwd, os.environ, stdin, timeout)
    else:
        done = subprocess.run(
            argv, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False,
            input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
        )  # fmt: skip
    ran = Ran(done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in ran.err + ran.out, ran.err + ran.out
    return ran
