"""Update every project of a folder, one after the other, as one report."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.report import Progress, Report, Run, Silent, Step
from pixi_scaffold.system import program
from pixi_scaffold.template import Renderers, find_projects
from pixi_scaffold.update.command import abort_update, update
from pixi_scaffold.update.plan import UpdateFacts, UpdateRequest
from pixi_scaffold.update.resume import continue_update

Do = Callable[[Path, Renderers], Report]


def update_all(folder: Path, request: UpdateRequest, dry_run: bool, progress: Progress) -> Report:
    """Update every project in `folder`; one with conflicts, or that fails, stays as it is.

    Raises UsageError when there is no project.
    """

    def do(project: Path, renderers: Renderers) -> Report:
        one = replace(request, folder=project, conflicts=False)
        return update(one, lambda _: not dry_run, Silent(), renderers)

    return _each(find_projects([folder]), do, progress)


def continue_all(folder: Path, engine: str, progress: Progress) -> Report:
    """Go on with every update in `folder` that waits for that."""
    projects = find_projects([folder])
    return _each(projects, lambda p, _: continue_update(p, engine, Silent()), progress, UsageError)


def abort_all(folder: Path, progress: Progress) -> Report:
    """Undo the last update of every project in `folder` that has one.

    From the last project on: in one repository each update is on top of the one before.
    """
    projects = reversed(find_projects([folder]))
    return _each(projects, lambda p, _: abort_update(p, Silent()), progress, UsageError)


def _each(
    folders: Iterable[Path], do: Do, progress: Progress, nothing: type[UsageError] | tuple[()] = ()
) -> Report:
    """Do it to every project, in this order.

    nothing: what says that there is nothing to do for a project, which is no failure.
    """
    run = Run(progress)
    projects: list[Mapping[str, Any]] = []
    following: list[str] = []
    with Renderers() as renderers:
        for project in folders:
            with run.step(project.name) as step:
                try:
                    report = do(project, renderers)
                except nothing as error:
                    projects.append({"project": str(project), "ok": True, "note": error.message})
                    step.skipped(error.message)
                except ScaffoldError as error:
                    projects.append(
                        {"project": str(project), "error": error.message, "hint": error.hint}
                    )
                    first, *rest = error.message.splitlines()
                    step.failed(first, tuple(rest), error.hint)
                else:
                    _say_one(step, report)
                    projects.append({**report.facts_by_key(), "ok": not report.failed})
                    following += _one_command(report)
    return Report("update", run.results, {"projects": projects}, tuple(following))


def _one_command(report: Report) -> list[str]:
    """Return what to type for one project, from here, in one line; without what undoes it."""
    undo = f"{program()} update --abort"
    steps = [c.partition("   #")[0] for c in report.next_commands if not c.startswith(undo)]
    if all(step.startswith("cd ") for step in steps):
        return []
    line = " && ".join(steps)
    return [f"({line})" if line.startswith("cd ") else line]


def _say_one(step: Step, report: Report) -> None:
    if report.failed:
        first = report.failed[0]
        step.failed(first.detail, first.lines, first.hint)
    elif isinstance(report.facts, UpdateFacts):
        step.passed(report.facts.summary)
    else:
        step.passed(report.results[-1].detail)
