"""What a user sets once: which template `new` takes. A lab's fork is this one setting."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import platformdirs

from pixi_scaffold.errors import UsageError

VARIABLE = "PIXI_SCAFFOLD_TEMPLATE"
_SHAPE = 'it has one line: template = "URL"'


def settings_file() -> Path:
    """Return the path of the user's configuration file, which need not exist."""
    return platformdirs.user_config_path("pixi-scaffold") / "config.toml"


def preferred_template() -> str | None:
    """Return the template that the environment or the configuration file names, or None.

    A relative folder in the file is relative to the file. Raises UsageError when the file cannot
    be read or says something else.
    """
    if named := os.environ.get(VARIABLE):
        return named
    path = settings_file()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}", _SHAPE) from error
    unknown = sorted(set(document) - {"template"})
    template = document.get("template")
    if unknown or not (template is None or (isinstance(template, str) and template)):
        keys = ", ".join(unknown) or "template"
        raise UsageError(f"{path}: cannot use {keys}", _SHAPE)
    if template is not None and template.startswith("."):
        return str((path.parent / template).resolve())
    return template
