"""Update every project of a folder, one after the other, as one report."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.report import Progress, Report, Result, Silent, Status
from pixi_scaffold.template import Renderers, find_projects
from pixi_scaffold.update.command import update
from pixi_scaffold.update.plan import Request


def update_all(folder: Path, request: Request, dry_run: bool, progress: Progress) -> Report:
    """Update every project in `folder`; one that needs a hand, or fails, stays as it is.

    Raises UsageError when there is no project.
    """
    results: list[Result] = []
    found: list[dict[str, Any]] = []
    with Renderers() as renderers:
        for project in find_projects([folder]):
            progress.start(project.name)
            began = time.perf_counter()
            one = replace(request, folder=project, conflicts=False)
            try:
                report = update(one, lambda _: not dry_run, Silent(), renderers)
            except ScaffoldError as error:
                first, *rest = error.message.splitlines()
                lines, hint = tuple(rest), error.hint
                status = Status.FAILED
                found.append({"project": str(project), "error": error.message, "hint": hint})
            else:
                first, lines, hint = _one_line(report, dry_run)
                status = Status.FAILED if report.failed else Status.PASSED
                found.append({**report.facts_by_key(), "ok": not report.failed})
            seconds = time.perf_counter() - began
            results.append(Result(project.name, status, seconds, first, hint, lines))
            progress.finish(results[-1])
    return Report("update", tuple(results), {"projects": found})


def _one_line(report: Report, dry_run: bool) -> tuple[str, tuple[str, ...], str]:
    """Return what became of one project: in one line, more lines, and the next command."""
    if report.failed:
        first = report.failed[0]
        return first.detail, first.lines, first.hint
    facts = report.facts_by_key()
    if not facts["files"]:
        return report.results[-1].detail, (), ""
    versions = f"{facts['template']['from']} to {facts['template']['to']}"
    counts = Counter(str(file["action"]) for file in facts["files"])
    what = ", ".join(f"{number} {action}" for action, number in sorted(counts.items()))
    where = "would be" if dry_run else f"on the branch {facts['branch']}:"
    return f"{versions}, {where} {what}", (), ""
