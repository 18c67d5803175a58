"""`run`: a task and what it depends on, or a command, in the environments of the workspace."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

from pixi_scaffold.errors import NoWorkspaceError, ScaffoldError
from pixi_scaffold.report import Progress, Silent
from pixi_scaffold.system import Children, Completed, clean_env, exists, layout, program, sha256_of
from pixi_scaffold.tasks.activation import Activation
from pixi_scaffold.tasks.environments import Environments, Installing
from pixi_scaffold.tasks.grammar import parse
from pixi_scaffold.tasks.graph import PlannedTask, plan
from pixi_scaffold.tasks.kept import TaskFiles
from pixi_scaffold.tasks.render import RenderContext
from pixi_scaffold.tasks.scope import Scope, Streams
from pixi_scaffold.tasks.script import ScriptError
from pixi_scaffold.tasks.shell import Shell
from pixi_scaffold.workspace import DEFAULT, Task, Workspace, find_manifest, read_manifest

if TYPE_CHECKING:
    from pixi_scaffold.environment import Installed

NOT_FOUND = 127
_LEAKS = ("CONDA_*", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
"""Variables of an outer environment that would reach into the one that is tested."""


class RunRequest(NamedTuple):
    """What the user asked `run` for."""

    manifest: Path
    args: tuple[str, ...]
    """A task and its arguments, or a command."""
    environment: str | None = None
    clean: bool = False
    """Keep only a few of the user's variables."""
    alone: bool = False
    """Without what the task depends on."""
    as_command: bool = False
    """A command, also where a task has its name."""
    templated: bool = False
    """Fill in templates of a command, too."""
    dry_run: bool = False
    """Only say what would run."""
    frozen: bool = False
    """Take the lock as it is, without comparing it with the manifest."""


@dataclass(slots=True)
class Runner:
    """Runs tasks of one workspace, each environment activated once."""

    workspace: Workspace
    environments: Environments
    started_in: Path
    base: Mapping[str, str]
    """The variables around the tasks."""
    tell: Callable[[str], None]
    """Says what runs; not on stdout, which is the task's."""
    streams: Streams = field(default_factory=Streams)
    shell: Shell = field(default_factory=Shell)
    activated: dict[str, dict[str, str]] = field(default_factory=dict)

    def run(self, planned: Sequence[PlannedTask], *, clean: bool = False, dry: bool = False) -> int:
        """Run the tasks in order until one fails; return the last exit code. dry: only tell."""
        for one in planned:
            context = self._context(one.environment)
            text = context.script(one)
            if text is None:
                continue
            if dry or not one.is_command:
                several = len(self.workspace.environments) > 1
                where = f" in {one.environment}" if several else ""
                shown = " ".join((context.command(one) or "", *one.extra)).strip()
                self.tell(f"task {one.task.name}{where}: {shown}" if one.task.name else shown)
            if not dry and (code := self._run(one, context, text, clean=clean)) != 0:
                return code
        return 0

    def _run(self, planned: PlannedTask, context: RenderContext, text: str, *, clean: bool) -> int:
        name = planned.task.name
        with suppress(ScaffoldError):  # a wrong pattern stops after the task, as in Pixi
            if (files := self._files(planned, context)) and files.is_done():
                self.tell(f"task {name}: done before; neither inputs nor outputs have changed")
                return 0
        try:
            script = parse(text)
        except ScriptError as error:
            subject = f"the task {name!r}" if name else "the command"
            raise ScaffoldError(
                f"{subject} is no script of Pixi's task shell: {error.message}",
                "that shell is no bash; put what needs one into a file and call: bash FILE",
            ) from error
        folder = self._folder(planned)
        variables = self._variables(planned, clean=clean or planned.task.clean_env)
        children = self.shell.children
        with nullcontext() if children.apart else children.forwarding():
            code = self.shell.run(script, Scope.of(variables, folder), self.streams)
        files = self._files(planned, context) if code == 0 else None
        for unmatched in files.note_done() if files else ():
            self.tell(f"task {name}: no file matches {unmatched}; it will run again")
        return code

    def _context(self, environment: str) -> RenderContext:
        platform, _ = self.environments.platform(self.workspace.environment(environment))
        return RenderContext(platform, self.workspace.manifest, self.started_in)

    def render(self, text: str, planned: PlannedTask) -> str:
        """Fill in a value that a task gives to one that it depends on."""
        context = self._context(planned.environment)
        return RenderContext(context.platform).render(text, planned)

    def _folder(self, planned: PlannedTask) -> Path:
        if planned.is_command:
            return self.started_in
        folder = self.workspace.root / planned.task.cwd
        if not folder.is_dir():
            raise ScaffoldError(
                f"the task {planned.task.name!r} runs in {planned.task.cwd}, which is no folder",
                f"make it, or correct cwd in {self.workspace.manifest.name}",
            )
        return folder

    def _variables(self, planned: PlannedTask, *, clean: bool) -> dict[str, str]:
        """Return the variables of an environment; it is activated once, as Pixi does.

        So a task with clean-env that follows one without in the same environment is not clean.
        """
        name = planned.environment
        if name not in self.activated:
            activation = self.environments.installed(name)
            self.activated[name] = activation.variables(self.base, clean=clean)
            self.activated[name]["INIT_CWD"] = str(self.started_in)
        return self.activated[name]

    def _files(self, planned: PlannedTask, context: RenderContext) -> TaskFiles | None:
        task = planned.task
        if task.inputs is None and task.outputs is None:
            return None

        def rendered(patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return patterns and tuple(context.render(one, planned) for one in patterns)

        inputs, outputs = rendered(task.inputs), rendered(task.outputs)
        identity = (planned.environment, task.name, planned.named, planned.extra, inputs, outputs)
        environment = self.workspace.environment(planned.environment)
        activation = context.platform and self.workspace.activation(environment, context.platform)
        locked = sha256_of(self.workspace.lock_file)
        state = (context.command(planned), planned.extra, activation, locked)
        return TaskFiles(self.workspace.root, inputs, outputs, repr(identity), repr(state))


def run_tasks(request: RunRequest, installing: Installing, tell: Callable[[str], None]) -> int:
    """Run what was asked for with this process's own streams; return its exit code.

    installing: shows how far an installation is; tell: says what runs. Raises ScaffoldError.
    """
    workspace = read_manifest(request.manifest)
    environments = Environments(workspace, installing, frozen=request.frozen)
    index = environments.index(request.environment)
    runner = Runner(workspace, environments, Path.cwd(), os.environ, tell)
    try:
        planned = plan(
            index, request.args, runner.render, alone=request.alone, as_command=request.as_command
        )
        if request.templated:
            planned = [one._replace(is_template=True) for one in planned]
        code = runner.run(planned, clean=request.clean, dry=request.dry_run)
    except KeyboardInterrupt:
        code = runner.shell.children.stopped or 130
    finally:
        sys.stdout.flush()
    if code == NOT_FOUND and (names := sorted(shown_tasks(index.tasks))):
        tell(f"tasks: {', '.join(names)}")
    return code


def shown_tasks(tasks: Mapping[str, Mapping[str, Task]]) -> dict[str, tuple[list[str], Task]]:
    """Return each task with the environments that have it; not those that begin with `_`."""
    shown: dict[str, tuple[list[str], Task]] = {}
    for environment, here in tasks.items():
        for name, task in here.items():
            if not name.startswith("_"):
                shown.setdefault(name, ([], task))[0].append(environment)
    return shown


def list_tasks(manifest: Path, environment: str | None) -> list[str]:
    """Return the tasks with what they are for, a line each; raises ScaffoldError."""
    workspace = read_manifest(manifest)
    index = Environments(workspace, lambda: nullcontext(Silent())).index(environment)
    tasks = {e: t for e, t in index.tasks.items() if environment in (None, e)}
    shown = shown_tasks(tasks)
    width = max(map(len, shown), default=0)
    lines = []
    for name, (places, task) in sorted(shown.items()):
        only = "" if DEFAULT in places or environment else f"(in {', '.join(places)}) "
        purpose = task.description or task.text
        purpose = purpose or "runs " + ", ".join(one.task for one in task.depends_on)
        lines.append(f"{name:<{width}}  {only}{purpose}".rstrip())
    return lines or [f"{workspace.manifest} has no tasks"]


def find_workspace(start: Path | None) -> Path:
    """Return the manifest at `start`, or in this folder or the nearest one above it.

    Where there is none, that of the task or shell that runs this. Raises NoWorkspaceError.
    """
    if start is not None:
        return find_manifest(start)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if exists(folder / layout.MANIFEST) or exists(folder / layout.PYPROJECT):
            with suppress(NoWorkspaceError):  # a pyproject.toml of something else
                return find_manifest(folder)
    outer = os.environ.get("PIXI_PROJECT_MANIFEST")
    if outer and "PIXI_IN_SHELL" in os.environ and exists(Path(outer)):
        return find_manifest(Path(outer))
    raise NoWorkspaceError(
        f"no pixi.toml in {here}, nor above it",
        f"go to a workspace, or make one: {program()} new myproject",
    )


def outer_environment(manifest: Path) -> str | None:
    """Return the environment of the task that runs this, where it is one of this workspace."""
    root = os.environ.get("PIXI_PROJECT_ROOT")
    if (root is None or Path(root) == manifest.parent) and "PIXI_IN_SHELL" in os.environ:
        name = os.environ.get("PIXI_ENVIRONMENT_NAME", DEFAULT)
        return None if name == DEFAULT else name
    return None


def run_task(
    workspace: Workspace,
    installed: Installed,
    environment: str,
    name: str,
    progress: Progress,
    on_line: Callable[[str], None],
    *,
    variables: Mapping[str, str] | None = None,
) -> Completed:
    """Run a task in an installed environment; return how it ended, with what it printed.

    on_line: gets each line as it comes. variables: for what this process's environment lacks.
    Raises ScaffoldError where there is no such task.
    """
    known = Activation(workspace, environment, installed.prefix, installed.platform)
    environments = Environments(workspace, lambda: nullcontext(progress), {environment: known})
    index = environments.index(environment)
    if name not in index.tasks[environment]:
        raise ScaffoldError(
            f"{workspace.manifest} has no task {name!r} for {installed.platform.name}",
            f"add it to the tasks of {workspace.manifest.name}",
        )
    base = {**(variables or {}), **clean_env({"PYTHONUNBUFFERED": "1"}, drop=_LEAKS)}
    reader, writer = os.pipe()
    lines: list[str] = []

    def collect() -> None:
        with os.fdopen(reader, encoding="utf-8", errors="replace") as file:
            for line in file:
                lines.append(line)
                on_line(line.rstrip("\n"))

    thread = Thread(target=collect, daemon=True)
    thread.start()
    nothing = os.open(os.devnull, os.O_RDONLY)
    runner = Runner(workspace, environments, workspace.root, base, lambda _: None)
    runner.streams, runner.shell = Streams(nothing, writer, writer), Shell(Children(apart=True))
    try:
        code = runner.run(plan(index, [name], runner.render))
    except BaseException:
        runner.shell.children.end()
        raise
    finally:
        os.close(nothing)
        os.close(writer)
        thread.join(5)
    return Completed(code, "".join(lines))
