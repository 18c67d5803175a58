"""What a script knows while it runs: variables, its folder, options; and its streams."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from typing import NamedTuple


class Streams(NamedTuple):
    """Descriptors of stdin, stdout and stderr."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2

    def of_program(self) -> tuple[int, int, int]:
        """Return what a program gets: of our own streams each as itself (into_stdio there)."""
        stdout = 1 if os.path.sameopenfile(self.stdout, 2) else self.stdout
        return self.stdin, stdout, 2 if os.path.sameopenfile(self.stderr, 1) else self.stderr


class Exit(Exception):  # noqa: N818  `exit`, not an error
    """The script ends here, with `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class CommandError(Exception):
    """A command cannot do what it was asked for; `code` is its exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


def reason(error: OSError) -> str:
    """Return what the system said, in the words of the shell's library."""
    return f"{error.strerror} (os error {error.errno})" if error.strerror else str(error)


class ShellJob(Thread):
    """A part of a script that runs beside the rest, from now on."""

    def __init__(self, work: Callable[[], int], closes: Sequence[int]) -> None:
        """work: returns an exit code; closes: descriptors that are closed at its end."""
        super().__init__(daemon=True)
        self.work, self.closes, self.code = work, closes, 0
        self.start()

    def run(self) -> None:
        """Do the work, in the thread."""
        try:
            self.code = self.work()
        except Exit as end:
            self.code = end.code
        finally:
            for handle in self.closes:
                os.close(handle)

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        self.join()
        return self.code


@dataclass(slots=True)
class Scope:
    """The state of a script, which its commands change; parts that run beside it get a copy."""

    cwd: Path
    variables: dict[str, str]
    """What programs get."""
    unexported: dict[str, str] = field(default_factory=dict)
    """Variables that were not exported."""
    options: set[str] = field(default_factory=lambda: {"globstar"})
    status: int | None = None
    """The exit code of the last statement, which is `$?`."""
    jobs: list[ShellJob] = field(default_factory=list)
    """What was started in the background."""

    @classmethod
    def of(cls, variables: Mapping[str, str], cwd: Path) -> Scope:
        """Return the state at the start of a script."""
        scope = cls(cwd, dict(variables))
        scope.enter(cwd)
        return scope

    def copy(self, jobs: list[ShellJob] | None = None) -> Scope:
        """Return a state that can be changed without changing this one.

        jobs: where what is started in the background goes; None: to that of this one.
        """
        return replace(
            self,
            variables=dict(self.variables),
            unexported=dict(self.unexported),
            options=set(self.options),
            jobs=self.jobs if jobs is None else jobs,
        )

    def get(self, name: str) -> str | None:
        """Return the value of a variable; None where there is none."""
        if name == "?":
            return None if self.status is None else str(self.status)
        return self.variables.get(name, self.unexported.get(name))

    def enter(self, folder: Path) -> None:
        """Go to a folder."""
        self.cwd = folder
        self.variables["PWD"] = str(folder)

    def export(self, name: str, value: str) -> None:
        """Set a variable for programs, too; PWD is the folder, where it can be."""
        if name == "PWD":
            if value.startswith("/"):
                self.enter(Path(os.path.realpath(value)))
            return
        self.unexported.pop(name, None)
        self.variables[name] = value

    def assign(self, name: str, value: str) -> None:
        """Set a variable, for programs only where it was exported."""
        if name in self.variables:
            self.export(name, value)
        else:
            self.unexported[name] = value

    def unset(self, name: str) -> None:
        """Forget a variable."""
        self.unexported.pop(name, None)
        self.variables.pop(name, None)
