"""What `channel build` does, as a report."""

import shlex
from pathlib import Path

from pixi_scaffold.errors import Skipped
from pixi_scaffold.report import Progress, Report, Run
from pixi_scaffold.starter.channel import build_channel
from pixi_scaffold.system import program


def build_report(folder: Path | None, progress: Progress) -> Report:
    """Build (or find) the starter channel; raises ScaffoldError when it cannot be built."""
    run = Run(progress)
    starter = None
    with run.step("channel") as step:
        try:
            starter = build_channel(progress, folder)
        except Skipped as skip:  # so large a download was not wanted
            step.skipped(skip.reason, skip.command)
        else:
            step.passed(f"{starter.packages} packages for {starter.subdir} in {starter.folder}")
    if starter is None:
        return Report("channel build", run.results)
    facts = {"folder": str(starter.folder), "url": starter.url, "subdir": starter.subdir}
    where = "starter" if folder is None else shlex.quote(str(folder))
    use = f"{program()} new myproject --channel {where}"
    return Report("channel build", run.results, facts, (use,))
