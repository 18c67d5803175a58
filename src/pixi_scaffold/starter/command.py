"""What `channel build` does, as a report."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from pixi_scaffold.report import Progress, Report, Result, Status
from pixi_scaffold.starter.channel import build_channel
from pixi_scaffold.system import program


def build_report(folder: Path | None, progress: Progress) -> Report:
    """Build (or find) the starter channel; raises ScaffoldError when it cannot be built."""
    start = time.perf_counter()
    progress.start("channel")
    starter = build_channel(progress, folder)
    detail = f"{starter.packages} packages for {starter.subdir} in {starter.folder}"
    result = Result("channel", Status.PASSED, time.perf_counter() - start, detail)
    facts = {"folder": str(starter.folder), "url": starter.url, "subdir": starter.subdir}
    where = "starter" if folder is None else shlex.quote(str(folder))
    use = f"{program()} new myproject --channel {where}"
    return Report("channel build", (result,), facts, (use,))
