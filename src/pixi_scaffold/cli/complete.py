"""What the shell offers for a word: rules, tasks, environments, projects.

A shell waits for the answer at each Tab, so nothing is imported or read that is not needed for it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PAGES = Path(__file__).resolve().parent.parent / "rules/data/pages.txt"


def rules(incomplete: str) -> list[str]:
    """Return the rules whose id begins so, from their pages: importing them is slow."""
    names = re.findall(r"^\[(PS\d+)\]$", _PAGES.read_text(encoding="utf-8"), re.M)
    return sorted(name for name in names if name.startswith(incomplete.upper()))


def tasks(incomplete: str) -> list[str]:
    """Return the tasks of the workspace here or above; hidden ones begin with a `_`, as in Pixi."""
    names = {name for table in _tables("tasks") for name in table}
    return sorted(n for n in names if n.startswith(incomplete) and (incomplete or n[0] != "_"))


def environments(incomplete: str) -> list[str]:
    """Return the environments of the workspace here or above."""
    table = _manifest().get("environments")
    names = {"default", *(table if isinstance(table, dict) else ())}
    return sorted(name for name in names if name.startswith(incomplete))


def platforms(incomplete: str) -> list[str]:
    """Return the platforms of the workspace here or above."""
    manifest = _manifest()
    listed = (manifest.get("workspace") or manifest.get("project") or {}).get("platforms") or ()
    names = (p.get("name") or p.get("platform") if isinstance(p, dict) else p for p in listed)
    return [str(name) for name in names if name and str(name).startswith(incomplete)]


def projects(incomplete: str) -> list[str]:
    """Return the folders that begin so and hold a project, or folders in which one may lie."""
    head, slash, start = incomplete.rpartition("/")
    try:
        folders = sorted(Path(head + slash or ".").expanduser().iterdir())
    except OSError:
        return []
    visible = [f for f in folders if f.name.startswith(start) and (start or f.name[0] != ".")]
    mine = [f.name for f in visible if f.is_dir() and (f / ".copier-answers.yml").is_file()]
    return [f"{head}{slash}{name}" for name in mine or [f.name for f in visible if f.is_dir()]]


def _manifest() -> dict[str, Any]:
    """Return the manifest of the workspace here or above; empty where none can be read."""
    import tomllib

    here = Path.cwd()
    for folder in (here, *here.parents):
        for name, table in (("pixi.toml", ()), ("pyproject.toml", ("tool", "pixi"))):
            try:
                document: Any = tomllib.loads((folder / name).read_text(encoding="utf-8"))
                for key in table:
                    document = document[key]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            return document if isinstance(document, dict) else {}
    return {}


def _tables(name: str) -> Iterator[dict[str, Any]]:
    """Yield a table of the manifest wherever it may stand: on top, in a target, in a feature."""
    manifest = _manifest()
    for feature in (manifest, *_values(manifest.get("feature"))):
        for place in (feature, *_values(feature.get("target"))):
            if isinstance(table := place.get(name), dict):
                yield table


def _values(table: Any) -> list[dict[str, Any]]:
    values = table.values() if isinstance(table, dict) else ()
    return [value for value in values if isinstance(value, dict)]
