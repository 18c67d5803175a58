"""Which tasks run, where, with what and in which order; pure.

As Pixi decides it (0.77, crates/pixi_task: task_environment.rs, task_graph.rs).
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import program
from pixi_scaffold.tasks.values import shell_words
from pixi_scaffold.workspace import DEFAULT, Task, TaskDependency

Values = tuple[str | tuple[str, str], ...]
Render = Callable[[str, "PlannedTask"], str]


class PlannedTask(NamedTuple):
    """A task that is to run."""

    task: Task
    environment: str
    named: tuple[tuple[str, str], ...] = ()
    """The values of the arguments that it names."""
    extra: tuple[str, ...] = ()
    """What goes to the end of its command, as it is."""
    is_command: bool = False
    """Whether it is a command that was given in place of a task."""
    is_template: bool = True
    """Whether its command is one; what was given in place of a task is only where that is said."""


class TaskIndex(NamedTuple):
    """The tasks of every environment, as this machine sees them."""

    tasks: Mapping[str, Mapping[str, Task]]
    """By environment, in the manifest's order."""
    runnable: frozenset[str]
    """Environments that this machine can run."""
    elsewhere: Mapping[str, tuple[str, ...]]
    """Environments that have a task for another platform."""
    chosen: str | None = None
    """The one asked for."""

    def find(self, name: str, environment: str = "") -> tuple[str, Task] | None:
        """Return where a task runs, and the task; None where there is none of that name.

        environment: where a dependency asks for it. Raises ScaffoldError where several could be
        meant.
        """
        if self.chosen is None and not environment and (default := self._by_default(name)):
            return default
        place = environment or self.chosen
        places = list(self.tasks) if place is None else [place]
        candidates = [(one, self.tasks[one][name]) for one in places if name in self.tasks[one]]
        if len(candidates) > 1:
            wanted = [(one, task) for one, task in candidates if task.default_environment == one]
            if not wanted:
                names = ", ".join(one for one, _ in candidates)
                raise ScaffoldError(
                    f"the task {name!r} means different things in several environments: {names}",
                    f"say which: {program()} run -e {candidates[0][0]} {shlex.quote(name)}",
                )
            candidates = wanted
        return candidates[0] if candidates else None

    def _by_default(self, name: str) -> tuple[str, Task] | None:
        task = self.tasks[DEFAULT].get(name)
        if task is None:
            return None
        wanted = task.default_environment
        if wanted in self.runnable and name in self.tasks.get(wanted, {}):
            return wanted, self.tasks[wanted][name]
        others = [
            self.tasks[e].get(name) for e in self.tasks if e != DEFAULT and e in self.runnable
        ]
        same = all(other is None or other is task for other in others)
        return (DEFAULT, task) if same else None


def plan(
    index: TaskIndex,
    args: Sequence[str],
    render: Render,
    *,
    alone: bool = False,
    as_command: bool = False,
) -> list[PlannedTask]:
    """Return the tasks in the order in which they run.

    args: a task and its arguments, or a command; render: fills in the values of a dependency's
    arguments; alone: without the dependencies; as_command: also where a task has that name. Raises
    ScaffoldError.
    """
    words = shell_words(args[0]) if len(args) == 1 else list(args)  # `run "task a b"`
    if words is None:
        raise ScaffoldError(f"cannot take {args[0]!r} apart: a quote is open", "close the quote")
    place = index.find(words[0]) if words and not as_command else None
    if place is None:
        if words and not as_command and (places := index.elsewhere.get(words[0])):
            where = "in this environment" if index.chosen else "on this machine"
            raise ScaffoldError(
                f"the task {words[0]!r} is not available {where}; it is in: {', '.join(places)}",
                f"{program()} run -e {places[0]} {shlex.quote(words[0])}",
            )
        quoted = " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in words)
        command = quoted if len(args) > 1 else tuple(words)  # what was given as a text is not
        where = index.chosen or DEFAULT
        return [PlannedTask(Task("", command), where, is_command=True, is_template=False)]
    environment, task = place
    root, values = _root(task, environment, words[1:])
    return [root] if alone else _ordered(root, values, index, render)


def _root(task: Task, environment: str, args: list[str]) -> tuple[PlannedTask, Values]:
    planned = PlannedTask(task, environment)
    if task.arguments is None:
        extra = args[1:] if args[:1] == ["--"] else args
        return planned._replace(extra=tuple(extra)), tuple(args)
    before, extra = (
        (args[: args.index("--")], args[args.index("--") + 1 :]) if "--" in args else (args, [])
    )
    if len(before) > len(task.arguments):
        raise ScaffoldError(
            f"the task {task.name!r} takes {len(task.arguments)} arguments and got {len(before)}",
            "what is for its command goes behind --",
        )
    filled = _filled(planned, tuple(before))
    return filled._replace(extra=(*filled.extra, *extra)), tuple(before)


def _filled(planned: PlannedTask, given: Values) -> PlannedTask:
    """Return the task with its arguments; raises ScaffoldError."""
    task, wanted = planned.task, planned.task.arguments or ()
    if not wanted:
        extra = tuple(one if isinstance(one, str) else "=".join(one) for one in given)
        return planned._replace(extra=extra)
    by_name: dict[str, str] = {}
    for one in given:
        if isinstance(one, tuple):
            if one[0] not in {argument.name for argument in wanted}:
                raise ScaffoldError(
                    f"the task {task.name!r} has no argument {one[0]!r}",
                    "it has: " + ", ".join(argument.name for argument in wanted),
                )
            by_name.setdefault(*one)
        elif by_name:
            raise ScaffoldError(
                f"the task {task.name!r}: {one!r} stands behind a named argument",
                "put those without a name first",
            )
    values = []
    for number, argument in enumerate(wanted):
        positional = given[number] if number < len(given) else None
        value = by_name.get(argument.name)
        value = positional if value is None and isinstance(positional, str) else value
        value = argument.default if value is None else value
        choices = f", one of: {', '.join(argument.choices)}" if argument.choices is not None else ""
        if value is None:
            raise ScaffoldError(
                f"the task {task.name!r} needs a value for {argument.name!r}{choices}",
                f"{program()} run {shlex.quote(task.name)} "
                + " ".join(one.name.upper() for one in wanted),
            )
        if argument.choices is not None and value not in argument.choices:
            raise ScaffoldError(
                f"the task {task.name!r}: {value!r} is no value for {argument.name!r}",
                f"use{choices.removeprefix(',')}",
            )
        values.append((argument.name, value))
    return planned._replace(named=tuple(values))


def _ordered(
    root: PlannedTask, values: Values, index: TaskIndex, render: Render
) -> list[PlannedTask]:
    """Return the task and what it depends on, each before what needs it.

    The same task with the same arguments runs once. A circle is walked once, as Pixi does.
    """
    nodes: list[PlannedTask] = [root]
    needs: list[list[int]] = [[]]
    numbers: dict[tuple[str, Values | None, str], int] = {(root.task.name, values, ""): 0}
    at = 0
    while at < len(nodes):
        new: list[tuple[tuple[str, Values | None, str], PlannedTask]] = []
        for dependency in nodes[at].task.depends_on:
            key, planned = _dependency(dependency, nodes[at], index, render)
            if key in numbers:
                needs[at].append(numbers[key])
            else:
                new.append((key, planned))
        for key, planned in new:
            numbers[key] = len(nodes)
            needs[at].append(len(nodes))
            nodes.append(planned)
            needs.append([])
        at += 1
    order: list[PlannedTask] = []
    seen: set[int] = set()

    def visit(number: int) -> None:
        if number not in seen:
            seen.add(number)
            for other in needs[number]:
                visit(other)
            order.append(nodes[number])

    visit(0)
    return order


def _dependency(
    dependency: TaskDependency, of: PlannedTask, index: TaskIndex, render: Render
) -> tuple[tuple[str, Values | None, str], PlannedTask]:
    given: Values | None = None
    if dependency.args is not None:
        given = tuple(
            render(one, of) if isinstance(one, str) else (one[0], render(one[1], of))
            for one in dependency.args
        )
    where = dependency.environment if dependency.environment in index.tasks else ""
    place = index.find(dependency.task, where)
    if place is None:
        raise ScaffoldError(
            f"the task {of.task.name!r} depends on {dependency.task!r}, which is no task",
            f"{program()} run --list",
        )
    environment, task = place
    planned = _filled(PlannedTask(task, environment), given or ())
    return (dependency.task, given, dependency.environment), planned
