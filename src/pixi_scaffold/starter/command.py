"""What `channel build` does, as a report."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import Skipped
from pixi_scaffold.report import Progress, Report, Run
from pixi_scaffold.starter.channel import Starter, build_channel
from pixi_scaffold.system import program


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """The channel that was built, or found in the cache."""

    starter: Starter

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        starter = self.starter
        return {"folder": str(starter.folder), "url": starter.url, "subdir": starter.subdir}


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
    where = "starter" if folder is None else shlex.quote(str(folder))
    use = f"{program()} new myproject --channel {where}"
    return Report("channel build", run.results, ChannelFacts(starter), (use,))
