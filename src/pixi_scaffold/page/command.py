"""What `report` does: one page of a project, or of a folder of them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pixi_scaffold.page.project import read_records
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

    @property
    def words(self) -> str:
        """The same in one line."""
        counts = ", ".join(f"{number} {thing}" for thing, number in self.shows.items())
        return f"{self.path}: {counts}; {self.size >> 10} kB"

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        return {"page": str(self.path), "bytes": self.size, "shows": dict(self.shows)}


def project_page(folder: Path, output: Path | None, progress: Progress) -> Report:
    """Write the page of a project; raises ScaffoldError and OSError."""
    run = Run(progress)
    with run.step("report") as step:
        records = read_records(folder, progress)
        page = rendered_small(
            "project.html.jinja", lambda points: project_view(records, points), records.name
        )
        names = ("platforms", "receipts", "runs", "jobs")
        facts = _write(output or folder / NAME, page, {n: len(getattr(records, n)) for n in names})
        step.passed(facts.words, records.problems[:20])
    return Report("report", run.results, facts, (_open(facts.path),))


def lab_page(folder: Path, output: Path | None, progress: Progress) -> Report:
    """Write the page of a folder of projects; raises ScaffoldError and OSError."""
    standings = status_or_heal([folder], None, progress).to_dict()["projects"]
    run = Run(progress)
    with run.step("report") as step:
        written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        title = f"Projects in {folder.resolve().name}"
        page = render("lab.html.jinja", lab_view(standings, written), title)
        facts = _write(output or folder / NAME, page, {"projects": len(standings)})
        step.passed(facts.words)
    return Report("report", run.results, facts, (_open(facts.path),))


def _write(path: Path, page: str, shows: Mapping[str, int]) -> PageFacts:
    with replacing(path) as new:
        new.write_text(page, encoding="utf-8")
    return PageFacts(path, len(page.encode()), shows)


def _open(path: Path) -> str:
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    return f"{opener} {shlex.quote(str(path))}"
