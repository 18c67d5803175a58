"""What `report` does: one page of a project, or of a folder of them."""

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixi_scaffold.page.project import now_in_words, read_records
from pixi_scaffold.page.render import render, rendered_small
from pixi_scaffold.page.view import lab_view, project_view
from pixi_scaffold.report import Progress, Report, Run
from pixi_scaffold.system import replacing
from pixi_scaffold.update import status_or_heal

NAME = "report.html"


@dataclass(frozen=True, slots=True)
class PageFacts:
    """Where the page is, and how many of what it shows."""

    path: Path
    size: int
    shows: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        return {"page": str(self.path), "bytes": self.size, "shows": dict(self.shows)}


def project_page(folder: Path, output: Path | None, progress: Progress) -> Report:
    """Write the page of a project; raises ScaffoldError and OSError."""

    def make() -> tuple[str, dict[str, int], tuple[str, ...]]:
        records = read_records(folder, progress)
        page = rendered_small(
            "project.html.jinja", lambda points: project_view(records, points), records.name
        )
        names = ("platforms", "receipts", "runs", "jobs")
        return page, {n: len(getattr(records, n)) for n in names}, records.problems[:20]

    return _written(output or folder / NAME, make, progress)


def lab_page(folder: Path, output: Path | None, progress: Progress) -> Report:
    """Write the page of a folder of projects; raises ScaffoldError and OSError."""
    standings = status_or_heal([folder], None, progress).to_dict()["projects"]

    def make() -> tuple[str, dict[str, int], tuple[str, ...]]:
        title = f"Projects in {folder.resolve().name}"
        page = render("lab.html.jinja", lab_view(standings, now_in_words()), title)
        return page, {"projects": len(standings)}, ()

    return _written(output or folder / NAME, make, progress)


def _written(
    path: Path,
    make: Callable[[], tuple[str, dict[str, int], tuple[str, ...]]],
    progress: Progress,
) -> Report:
    """Write the page that is made, which shows so many of each thing, and tell its problems."""
    run = Run(progress)
    with run.step("report") as step:
        page, shows, problems = make()
        with replacing(path) as new:
            new.write_text(page, encoding="utf-8")
        size = len(page.encode())
        counts = ", ".join(f"{number} {thing}" for thing, number in shows.items())
        step.passed(f"{path}: {counts}; {size >> 10} kB", problems)
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    command = f"{opener} {shlex.quote(str(path))}"
    return Report("report", run.results, PageFacts(path, size, shows), (command,))
