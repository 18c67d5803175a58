"""Run the command line as a user does: a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
    done = subprocess.run(
        [sys.executable, "-m", "pixi_scaffold", *map(str, args)],
        cwd=cwd,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    ran = Ran(done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in ran.err + ran.out, ran.err + ran.out
    return ran
