"""A task of a manifest as data, and how its entry is read."""

from typing import Any, NamedTuple

from pixi_scaffold.workspace.grammar import GrammarError, Key


class TaskArgument(NamedTuple):
    """An argument that a task names; without a default it must be given."""

    name: str
    default: str | None = None
    choices: tuple[str, ...] | None = None


class TaskDependency(NamedTuple):
    """A task that runs before another one."""

    task: str
    args: tuple[str | tuple[str, str], ...] | None = None
    """Values in order, and (name, value) for those that are named."""
    environment: str = ""
    """Where it runs; empty: where it is found."""


class Task(NamedTuple):
    """A command of the workspace, or another name for tasks that it depends on."""

    name: str
    command: str | tuple[str, ...] | None = None
    """A text in Pixi's shell, the words of one command, or None: it has only dependencies."""
    cwd: str = ""
    env: tuple[tuple[str, str], ...] = ()
    description: str = ""
    depends_on: tuple[TaskDependency, ...] = ()
    arguments: tuple[TaskArgument, ...] | None = None
    """None where it names none: then what is given goes to the end of the command."""
    inputs: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None
    """Patterns of files; when neither changed, the task is done."""
    clean_env: bool = False
    default_environment: str = ""

    @property
    def text(self) -> str:
        """Return the command as one line, for people."""
        words = (self.command,) if isinstance(self.command, str) else self.command or ()
        return " ".join(words)


def read_task(name: str, value: Any, key: Key) -> Task:
    """Return a task; raises GrammarError."""
    if isinstance(value, str):
        return Task(name, value)
    if isinstance(value, list):  # an alias: a list of other tasks
        return Task(name, depends_on=tuple(_read_dependency(one, key) for one in value))
    if "depends-on" in value and "depends_on" in value:
        raise GrammarError((*key, "depends_on"), "unknown key beside depends-on, its newer name")
    depends = value.get("depends-on", value.get("depends_on", []))
    others = [depends] if isinstance(depends, str) else depends
    command = value.get("cmd")
    return Task(
        name,
        tuple(command) if isinstance(command, list) else command,
        cwd=value.get("cwd", ""),
        env=tuple(value.get("env", {}).items()),
        description=value.get("description", ""),
        depends_on=tuple(_read_dependency(one, key) for one in others),
        arguments=_read_arguments(value["args"], (*key, "args")) if "args" in value else None,
        inputs=tuple(value["inputs"]) if "inputs" in value else None,
        outputs=tuple(value["outputs"]) if "outputs" in value else None,
        clean_env=value.get("clean-env", False),
        default_environment=value.get("default-environment", ""),
    )


def _read_dependency(entry: str | dict[str, Any], key: Key) -> TaskDependency:
    if isinstance(entry, str):
        return TaskDependency(entry)
    given = entry.get("args")
    if any(isinstance(one, dict) and len(one) != 1 for one in given or ()):
        raise GrammarError((*key, "args"), "a named argument is a table of one name and its value")
    args = None
    if given is not None:
        args = tuple(a if isinstance(a, str) else next(iter(a.items())) for a in given)
    return TaskDependency(entry["task"], args, entry.get("environment", ""))


def _read_arguments(entries: list[Any], key: Key) -> tuple[TaskArgument, ...]:
    tables = [{"arg": entry} if isinstance(entry, str) else entry for entry in entries]
    arguments = tuple(
        TaskArgument(t["arg"], t.get("default"), tuple(t["choices"]) if "choices" in t else None)
        for t in tables
    )
    optional = False
    for one in arguments:
        optional = optional or one.default is not None
        if optional and one.default is None:
            raise GrammarError(key, f"{one.name} needs a default, as one before it has one")
        choices = one.choices
        if one.default is not None and choices is not None and one.default not in choices:
            raise GrammarError(
                key, f"the default {one.default!r} is not one of {', '.join(choices)}"
            )
    return arguments
