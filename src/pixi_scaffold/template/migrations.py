"""What a template renamed between two versions, as data: answers and files.

The template carries one file a version, includes/migrations/VERSION.toml, and the wheel carries the
template. Nothing in it is run, so nobody needs --trust; a fork adds its own files.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import File
from pixi_scaffold.template.versions import version_of

FOLDER = "includes/migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """What one version renamed: old to new name, of answers, of their values and of files."""

    version: str
    answers: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]]
    """Question (by its new name) -> value that is no choice any more -> the one in its place."""
    files: Mapping[str, str]


def read_migrations(paths: Iterable[Path], current: str, target: str) -> tuple[Migration, ...]:
    """Return the migrations of versions after `current` up to `target`, oldest first.

    A project or a template at a bare commit has no version: then all of them count. They are safe
    to repeat: a name that is not there is not renamed.
    Raises ScaffoldError when one cannot be used.
    """
    here, there = version_of(current), version_of(target)
    migrations = []
    for path in paths:
        if path.suffix != ".toml":
            continue
        version = version_of(path.stem)
        if version is None:
            raise ScaffoldError(
                f"the template's migration {path.name} is not named for a version",
                "tell the template's keeper: VERSION.toml, such as 1.2.0.toml",
            )
        # A pre-release of the version that renamed it may have the new name already.
        if (here is None or version > here) and (there is None or version.release <= there.release):
            migrations.append((version, _read(path)))
    return tuple(migration for _, migration in sorted(migrations, key=lambda pair: pair[0]))


def _read(path: Path) -> Migration:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        tables = {key: document.pop(key, {}) for key in ("answers", "files")}
        values = document.pop("values", {})
        good = isinstance(values, dict) and not document
        for table in (*tables.values(), *(values.values() if good else ())):
            good &= isinstance(table, dict) and all(
                isinstance(v, str) and v for v in table.values()
            )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScaffoldError(f"the template's migration {path.name}: {error}", _TELL) from error
    outside = [
        name
        for pair in tables["files"].items()
        for name in pair
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts
    ]
    if not good or outside:
        why = f"{outside[0]} lies outside the project" if outside else _SHAPE
        raise ScaffoldError(f"the template's migration {path.name}: {why}", _TELL)
    return Migration(path.stem, tables["answers"], values, tables["files"])


_TELL = "tell the template's keeper; a plain `copier update` does not read it"
_SHAPE = "it has the tables [answers], [values.QUESTION] and [files], of old name = new name"


def migrate_answers(text: str, migrations: Iterable[Migration]) -> str:
    """Return an answers file's text with the answers and their values renamed."""
    for migration in migrations:
        for old, new in migration.answers.items():
            if not re.search(rf"(?m)^{re.escape(new)}:", text):
                text = re.sub(rf"(?m)^{re.escape(old)}:", f"{new}:", text)
        for question, values in migration.values.items():
            for old, new in values.items():
                line = rf"(?m)^({re.escape(question)}: *)(['\"]?){re.escape(old)}\2 *$"
                text = re.sub(line, "\\1'" + new.replace("\\", r"\\") + "'", text)
    return text


def moves(
    base: Mapping[str, File], ours: Mapping[str, File], migrations: Iterable[Migration]
) -> dict[str, str]:
    """Return which files move in the project, new path to old path.

    A file moves when the template made it under the old name, and the project has nothing under the
    new one.
    """
    renamed: dict[str, str] = {}
    for migration in migrations:
        for old, new in migration.files.items():
            origin = renamed.get(old, old)
            if origin in base and new not in ours and new not in renamed:
                renamed.pop(old, None)
                renamed[new] = origin
    return renamed


def moved(tree: Mapping[str, File], moves: Mapping[str, str]) -> dict[str, File]:
    """Return the tree with the files where they will be."""
    gone = set(moves.values())
    kept = {path: file for path, file in tree.items() if path not in gone}
    return kept | {new: tree[old] for new, old in moves.items() if old in tree}
