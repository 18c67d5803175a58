"""Tasks as Pixi runs them, without Pixi: its shell, arguments, dependencies, what is done."""

from typing import TYPE_CHECKING

from pixi_scaffold.system import loader

if TYPE_CHECKING:
    from pixi_scaffold.tasks.activation import write_activation
    from pixi_scaffold.tasks.command import (
        RunRequest,
        find_workspace,
        list_tasks,
        outer_environment,
        run_task,
        run_tasks,
    )
    from pixi_scaffold.tasks.missing import missing_parts

__getattr__ = loader(__name__, {
    "command": (
        "RunRequest", "find_workspace", "list_tasks", "outer_environment", "run_task", "run_tasks",
    ),
    "activation": ("write_activation",),
    "missing": ("missing_parts",),
})  # fmt: skip
