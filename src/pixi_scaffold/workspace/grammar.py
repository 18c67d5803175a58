"""Check a manifest against data/grammar.toml: every key, every type, every value by itself."""

import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pixi_scaffold.workspace.values import STRINGS, BadValueError, check_file

Key = tuple[str, ...]
"""Where a value is: the keys that lead to it; an entry of a list has the place of the list."""


class GrammarError(Exception):
    """A key or a value that Pixi refuses: where, and what is wrong."""

    def __init__(self, key: Key, problem: str) -> None:
        super().__init__(problem)
        self.key = key
        self.problem = problem


class Section(NamedTuple):
    """One table of the grammar: the type of each key, and the keys that must be there."""

    keys: Mapping[str, str]
    required: frozenset[str]


@functools.cache
def sections() -> dict[str, Section]:
    """Return the grammar by section."""
    text = (Path(__file__).parent / "data/grammar.toml").read_text("utf-8")
    raw: dict[str, dict[str, str]] = tomllib.loads(text)

    def keys(name: str) -> dict[str, str]:
        kinds = {key.rstrip("!"): kind for key, kind in raw[name].items() if key != "inherits"}
        parent = raw[name].get("inherits")
        return (keys(parent) if parent else {}) | kinds

    return {
        name: Section(keys(name), frozenset(k[:-1] for k in table if k.endswith("!")))
        for name, table in raw.items()
    }


@functools.cache
def _alternatives(kind: str) -> tuple[str, ...]:
    """Split a type at each | that is not inside brackets."""
    parts, depth = [""], 0
    for sign in kind:
        depth += (sign in "[{") - (sign in "]}")
        if sign == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return tuple(part.strip() for part in parts)


def check_table(table: Any, section: str, key: Key, root: Path) -> None:
    """Raise GrammarError for the first key or value of `table` that Pixi refuses there.

    root: the folder of the manifest, which files are looked for in.
    """
    if not isinstance(table, dict):
        raise GrammarError(key, f"expected a table, found {shown(table)}")
    if section == "task" and "cmd" not in table:
        section = "task-alias"
    if section == "condition":
        _check_condition(table, key)
    allowed = sections()[section]
    for name, value in table.items():
        kind = allowed.keys.get(name)
        if kind is None and section == "platform" and name.startswith("__"):
            kind = "string"
        if (kind or allowed.keys.get("*")) == "anything":
            continue
        if kind is None:
            raise GrammarError((*key, name), _unknown(name, allowed.keys))
        _check(value, kind, (*key, name), root)
    if missing := sorted(allowed.required - set(table)):
        raise GrammarError(key, f"{missing[0]} is missing")


def _check_condition(table: Mapping[str, Any], key: Key) -> None:
    ways = [one for one in ("all", "any", "package") if one in table]
    if len(ways) != 1 or (ways != ["package"] and len(table) > 1):
        raise GrammarError(key, "say exactly one of all, any, package")
    if table[ways[0]] == []:
        raise GrammarError((*key, ways[0]), "name at least one condition")


def check_git(table: Mapping[str, Any], key: Key) -> None:
    """Raise GrammarError where a package's place in git is said twice, or without a repository."""
    commit = [one for one in ("branch", "rev", "tag") if one in table]
    if "git" not in table and (alone := [one for one in (*commit, "lfs") if one in table]):
        raise GrammarError(key, f"{alone[0]} goes only with git")
    if len(commit) > 1:
        raise GrammarError(key, "only one of branch, rev, tag")


def _unknown(name: str, allowed: Mapping[str, str]) -> str:
    import difflib  # seldom needed

    near = difflib.get_close_matches(name, allowed, 1, 0.7)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    names = ", ".join(sorted(set(allowed) - {"depends_on"}))
    return f"unknown key{meant or ';'} allowed here: {names}"


def _check(value: Any, kind: str, key: Key, root: Path) -> None:
    """Check a value against a type; the alternative is chosen by what TOML type the value has."""
    kinds = _alternatives(kind)
    fitting = [one for one in kinds if _fits(value, one)]
    if not fitting:
        words = " or ".join(dict.fromkeys(_shape(one)[1] for one in kinds))
        raise GrammarError(key, f"expected {words}, found {shown(value)}")
    one = fitting[0]
    if one.startswith("'"):
        if value not in [word.strip("'") for word in fitting]:
            raise GrammarError(key, f"{shown(value)} is not one of {', '.join(fitting)}")
    elif one.startswith("["):
        for entry in value:
            _check(entry, one[1:-1], key, root)
    elif one.startswith("{"):
        name_kind, _, value_kind = one[1:-1].partition(":")
        _check_names(value, name_kind.strip(), key)
        for name, entry in value.items():
            _check(entry, value_kind.strip(), (*key, name), root)
    elif isinstance(value, str):
        _check_string(value, one, key, root)
    elif one in sections():
        check_table(value, one, key, root)


def _check_string(value: str, kind: str, key: Key, root: Path) -> None:
    try:
        if kind == "file":
            check_file(value, root)
        else:
            STRINGS[kind](value)
    except BadValueError as error:
        raise GrammarError(key, f"{value!r} is not {error}") from error


def _check_names(table: Mapping[str, Any], kind: str, key: Key) -> None:
    seen: dict[str, str] = {}
    for name in table:
        try:
            STRINGS[kind](name)
        except BadValueError as error:
            raise GrammarError((*key, name), f"{name!r} is not {error}") from error
        plain = name
        if kind.endswith("package"):
            plain = name.lower() if kind == "package" else re.sub(r"[-_.]+", "-", name).lower()
        if plain in seen:
            raise GrammarError((*key, name), f"{seen[plain]} and {name} are the same package")
        seen[plain] = name


def _fits(value: Any, kind: str) -> bool:
    if kind in ("true", "false"):
        return value is (kind == "true")
    return type(value) is _shape(kind)[0]


def _shape(kind: str) -> tuple[type, str]:
    """Return the type that a value of a kind has, and the kind in words."""
    if kind.startswith("["):
        return list, "a list"
    if kind.startswith("{") or kind == "table" or kind in sections():
        return dict, "a table"
    if kind == "integer":
        return int, "a whole number"
    if kind in ("true", "false", "boolean") or kind.startswith("'"):
        return str if kind.startswith("'") else bool, kind
    plain = kind in ("string", "name")
    return str, "a string" if plain else f"a string ({kind.replace('-', ' ')})"


def shown(value: Any) -> str:
    """Return a value as a message shows it."""
    if isinstance(value, dict):
        return "a table" if value else "an empty table"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if isinstance(value, (str, list)) else str(value)
    return text if len(text) < 60 else text[:57] + "..."
