"""What a task needs that is not there: another task, its folder, its script, its program.

What cannot be known is not judged: a name with a variable in it, what another command of the task
or another task makes, programs of an environment that is not installed here.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.lock import environment_homes
from pixi_scaffold.system import exists, is_folder, layout, which
from pixi_scaffold.tasks.builtins import BUILTINS
from pixi_scaffold.tasks.grammar import parse
from pixi_scaffold.tasks.graph import PlannedTask, TaskIndex, plan
from pixi_scaffold.tasks.render import RenderContext
from pixi_scaffold.tasks.script import QuotedParts, Script, ScriptError, ShellCommand, Word
from pixi_scaffold.workspace import Environment, Platform, Task, Workspace, line_of

_RUN_FILES = frozenset({"python", "python3", "bash", "sh", "zsh", "Rscript", "julia", "torchrun"})
"""Programs whose first argument is a script."""
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # stands for the value of an argument


class MissingPart(NamedTuple):
    """Something that a task needs and that is not there."""

    task: str
    text: str
    line: int | None
    """Of the manifest."""

    def __str__(self) -> str:
        """Return it without the place."""
        return f"task {self.task}: {self.text}"


def missing_parts(workspace: Workspace) -> tuple[int, list[MissingPart]]:
    """Return how many tasks there are, and what they need that is not there."""
    text = workspace.manifest.read_text(encoding="utf-8")
    indexes = {platform.name: _index(workspace, platform) for platform in workspace.platforms}
    tasks = [
        task for i in indexes.values() for table in i.tasks.values() for task in table.values()
    ]
    made = frozenset(os.path.normpath(one) for task in tasks for one in task.outputs or ())
    missing: dict[tuple[str, str], MissingPart] = {}
    seen: set[int] = set()
    for environment in workspace.environments:
        for platform in workspace.environment_platforms(environment):
            place = _Place(workspace, environment, platform, indexes[platform.name], made)
            for task in place.index.tasks[environment.name].values():
                if id(task) in seen and not task.depends_on:
                    continue
                seen.add(id(task))
                for lack in (*place.dependencies(task), *place.needs(task)):
                    part = MissingPart(task.name, lack, _line(text, workspace, task.name))
                    missing.setdefault((task.name, lack), part)
    return len({task.name for task in tasks}), list(missing.values())


def _index(workspace: Workspace, platform: Platform) -> TaskIndex:
    tasks = {
        e.name: workspace.tasks(e, platform)
        if platform in workspace.environment_platforms(e)
        else {}
        for e in workspace.environments
    }
    return TaskIndex(tasks, frozenset(tasks), {})


def _line(text: str, workspace: Workspace, task: str) -> int | None:
    inside = ("tool", "pixi") if workspace.manifest.name == layout.PYPROJECT else ()
    places = [("tasks", task), *(("feature", f, "tasks", task) for f in workspace.features)]
    lines = [n for key in places if (n := line_of(text, (*inside, *key))) is not None]
    named = (n for n in lines if task in text.splitlines()[n - 1])
    return next(named, lines[0] if lines else None)


@dataclass(frozen=True, slots=True)
class _Place:
    workspace: Workspace
    environment: Environment
    platform: Platform
    index: TaskIndex
    made: frozenset[str]

    def dependencies(self, task: Task) -> Iterator[str]:
        """Yield which tasks are not there that this one depends on, or what they lack."""
        known = {name for tasks in self.index.tasks.values() for name in tasks}
        for one in task.depends_on:
            if one.environment and one.environment not in self.index.tasks:
                yield f"depends on {one.task} in {one.environment}, which is no environment"
            elif one.task not in known:
                yield f"depends on {one.task}, which is no task"
        if not task.depends_on or task.arguments is not None:
            return
        if all(one.task in known for one in task.depends_on):
            why = ""
            for index in (self.index, self.index._replace(chosen=self.environment.name)):
                try:
                    plan(index, [task.name, "--"], lambda text, _: text)
                    return
                except ScaffoldError as error:
                    why = error.message
            yield why

    def needs(self, task: Task) -> Iterator[str]:
        """Yield what the command of a task needs that is not there."""
        values = tuple(
            (a.name, a.default or (a.choices or (_UNKNOWN,))[0]) for a in task.arguments or ()
        )
        planned = PlannedTask(task, self.environment.name, values)
        context = RenderContext(self.platform, self.workspace.manifest, self.workspace.root)
        try:
            text = context.script(planned)
            script = None if text is None else parse(text)
        except ScriptError as error:
            yield f"Pixi's task shell does not take it: {error.reason}"
            return
        except ScaffoldError as error:
            yield error.message.partition(": ")[2]
            return
        folder = self.workspace.root / task.cwd
        if not is_folder(folder):
            yield f"runs in {task.cwd}, which is no folder"
        elif script is not None:
            yield from self._in(script, folder)

    def _in(self, script: Script, folder: Path) -> Iterator[str]:
        calls = list(_calls(script))
        if any(_text(call.words[0]) == "cd" for call in calls):
            return  # where the rest runs is known only then
        mentioned: set[str] = set()
        for call in calls:
            words = [_text(word) for word in call.words]
            name = words[0]
            wanted = _file_of(words)
            if wanted and wanted not in mentioned and not self._is_there(folder, wanted):
                yield f"there is no {os.path.relpath(folder / wanted, self.workspace.root)}"
            elif name and "/" not in name and not self._has_program(name):
                yield f"there is no program {name} in {self.environment.name}, nor on this machine"
            mentioned.update(word for word in words if word)

    def _is_there(self, folder: Path, name: str) -> bool:
        path = os.path.normpath(folder / name)
        return exists(Path(path)) or os.path.relpath(path, self.workspace.root) in self.made

    def _has_program(self, name: str) -> bool:
        """Whether a program is there, as far as can be known: what is installed here tells."""
        if name in BUILTINS or which(name) is not None:
            return True
        homes = environment_homes(self.workspace.root)
        prefixes = [home / self.environment.name for home in homes]
        installed = [prefix for prefix in prefixes if is_folder(prefix / "conda-meta")]
        return not installed or any(exists(prefix / "bin" / name) for prefix in installed)


def _file_of(words: list[str | None]) -> str | None:
    name = words[0]
    if name is None:
        return None
    if "/" in name and not name.startswith("/"):
        return name
    if name.rpartition("/")[2] not in _RUN_FILES or len(words) < 2:
        return None
    first = words[1]
    known = (
        first is not None and first and not first.startswith(("-", "/")) and _UNKNOWN not in first
    )
    return first if known else None


def _text(word: Word) -> str | None:
    """Return the text of a word; None where it depends on something."""
    pieces = []
    for part in word:
        if isinstance(part, str):
            pieces.append(part)
        elif isinstance(part, QuotedParts) and (inner := _text(part.parts)) is not None:
            pieces.append(inner)
        else:
            return None
    return "".join(pieces)


def _calls(part: object) -> Iterator[ShellCommand]:
    """Yield the commands in a part of a script, those in its `$(...)` before itself."""
    for one in part if isinstance(part, tuple | list) else ():
        yield from _calls(one)
    if isinstance(part, ShellCommand) and part.words:
        yield part
