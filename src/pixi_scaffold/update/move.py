"""Change where a project's template lives: the URL in its answers file, and nothing else."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.report import Progress, Report, Run, go_to
from pixi_scaffold.system import program, replacing
from pixi_scaffold.template import (
    Renderer,
    Renderers,
    find_projects,
    portable,
    read_project,
    version_of,
)


def move_template(url: str, folders: Sequence[Path], progress: Progress) -> Report:
    """Record `url` as the template of each project; a version that is not there fails it.

    Raises UsageError when a folder holds no project or the URL cannot be recorded, ScaffoldError
    when the template cannot be reached.
    """
    run = Run(progress)
    source = portable(url)
    commands: list[str] = []
    with Renderers() as renderers:
        renderer = renderers.of(source)
        renderer.tags()
        for folder in find_projects(folders):
            where = ""
            with run.step(folder.resolve().name, catch=True) as step:
                where = _move(source, folder, renderer)
                step.passed(f"{where} to {source}" if where else f"already at {source}")
            if where:
                file = shlex.quote(read_project(folder).answers_file)
                commit = f"git commit -m 'Take the template from {source}' -- {file}"
                commands.append(" && ".join((*go_to(folder), commit)))
    lines = [f"({c})" if len(commands) > 1 else c for c in commands]
    return Report("template move", run.results, {"source": source}, tuple(lines))


def _move(source: str, folder: Path, renderer: Renderer) -> str:
    """Change one answers file; return what it said before, empty when that is the same."""
    project = read_project(folder)
    if project.source == source:
        return ""
    tags = renderer.tags()
    if version_of(project.commit) and "-g" not in project.commit and project.commit not in tags:
        raise ScaffoldError(
            f"{source} has no version {project.commit}, which the project was made from",
            f"push it there: git push {shlex.quote(source)} {project.commit}, then: "
            f"{program()} template move {shlex.quote(source)}",
        )
    line = yaml.safe_dump({"_src_path": source}, width=10**6).strip()
    text = re.sub(r"(?m)^_src_path:.*(?:\n[ \t]+.*)*$", lambda _: line, project.text)
    with replacing(folder / project.answers_file) as new:
        new.write_text(text, encoding="utf-8")
    return project.source
