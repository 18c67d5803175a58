"""Which program a command of a script means."""

from __future__ import annotations

import shutil
from pathlib import Path

from pixi_scaffold.tasks.scope import CommandError, Scope

_ENV = b"#!/usr/bin/env "


def resolve(args: list[str], scope: Scope, base: Path | None = None) -> list[str]:
    """Return what to start: the program's path and its arguments; raises CommandError.

    A script that begins with `#!/usr/bin/env NAME` is given to NAME, executable or not; a path in
    place of that name is seen from the script's folder. base: where a path is seen from.
    """
    name = args[0] if args else ""
    if not name:
        raise CommandError("command name was empty")
    if "/" not in name:
        path = program_of(name, scope)
        if path is None:
            raise CommandError(f"{name}: command not found", 127)
        return [path, *args[1:]]
    script = (base or scope.cwd) / name
    try:
        with script.open("rb") as file:
            first = file.readline(4096)
    except OSError:
        first = b""  # starting it says what is wrong
    if not first.startswith(_ENV):
        return [str(script), *args[1:]]
    wanted = first.removeprefix(_ENV).decode(errors="surrogateescape").strip()
    words = wanted.removeprefix("-S ").split() if wanted.startswith("-S ") else [wanted]
    return resolve([*words, str(script), *args[1:]], scope, script.parent)


def program_of(name: str, scope: Scope) -> str | None:
    """Return the path of a program on the script's own PATH; a relative folder of it counts."""
    folders = (scope.get("PATH") or "").split(":")
    path = ":".join(str(scope.cwd / Path(folder)) for folder in folders if folder)
    return shutil.which(name, path=path)
