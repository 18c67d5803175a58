"""The script of a task: its templates filled in, its variables and the extra arguments put on.

As Pixi 0.77 does it (crates/pixi_manifest/src/task.rs, crates/pixi_task/src/executable_task.rs).
"""

from pathlib import Path
from typing import Any, NamedTuple

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.tasks.graph import PlannedTask
from pixi_scaffold.workspace import PIXI_VERSION, Platform

_QUOTED = frozenset("\t\r\n []")


class RenderContext(NamedTuple):
    """What templates may name besides a task's own arguments."""

    platform: Platform | None
    manifest: Path | None = None
    started_in: Path | None = None
    """Neither is known where a task gives values to one that it depends on, as in Pixi."""

    def render(self, text: str, planned: PlannedTask) -> str:
        """Fill in a template; raises ScaffoldError where it names what there is not."""
        if not any(sign in text for sign in ("{{", "{%", "{#")):
            return text.removesuffix("\n").removesuffix("\r")  # as every template
        from minijinja import Environment, TemplateError

        given = {**dict(planned.named), "pixi": self._pixi(planned)}  # of any name, also `self`
        engine = Environment(globals=given, undefined_behavior="strict", pycompat=False)
        try:
            return engine.render_str(text)
        except TemplateError as error:
            why = error.message.partition(" (in <string>")[0]
            message = f"the task {planned.task.name!r}: cannot fill in {text!r}: {why}"
            hint = "in it stand only the task's args and pixi.platform, pixi.environment.name, ..."
            raise ScaffoldError(message, hint) from error

    def _pixi(self, planned: PlannedTask) -> dict[str, Any]:
        family = self.platform.subdir.partition("-")[0] if self.platform else ""
        paths = {"manifest_path": self.manifest, "init_cwd": self.started_in}
        return {
            "platform": self.platform.name if self.platform else "",
            "is_win": family == "win",
            "is_unix": family not in ("", "win"),
            "is_linux": family == "linux",
            "is_osx": family == "osx",
            "environment": {"name": planned.environment},
            "version": PIXI_VERSION,
            **{name: str(path) for name, path in paths.items() if path is not None},
        }

    def command(self, planned: PlannedTask) -> str | None:
        """Return the command that a task runs, without the extra arguments; None for an alias."""
        command = planned.task.command
        if command is None:
            return None
        if not planned.is_template:
            return planned.task.text
        if isinstance(command, str):
            return self.render(command, planned)
        return " ".join(_quote(self.render(word, planned)) for word in command)

    def script(self, planned: PlannedTask) -> str | None:
        """Return what the shell is given; None for a task that has only dependencies."""
        command = self.command(planned)
        if command is None:
            return None
        exports = ""
        for name, value in planned.task.env:
            escaped = self.render(value, planned).replace('"', '\\"')
            exports += f'export "{name}={escaped}";\n'
        command += "".join(f" '{word}'" for word in planned.extra)
        return f"{exports}\n{command}" if exports else command


def _quote(word: str) -> str:
    """Quote a word of a command that is given as a list: `$` and `*` in it still mean something."""
    if not word:
        return '""'
    if not _QUOTED & set(word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
