"""Merge pixi.toml as data: three versions of its keys, with the user's comments and order (pure).

base is what the template once made, ours is what the user made of it, theirs is what the template
makes now. Only a key that both changed, each in its own way, is a conflict.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tomlkit.items import Array

Path = tuple[str, ...]


class _Absent:
    """The value of a key that is not there."""


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class KeyEdit:
    """One key that the template changed and the user did not: its new value (or ABSENT)."""

    path: Path
    value: Any


@dataclass(frozen=True, slots=True)
class Conflict:
    """One key that both changed: the value of each side, ABSENT where it is gone."""

    path: Path
    base: Any
    ours: Any
    theirs: Any
    inner: tuple[Path, ...] = ((),)
    """The keys in question, where the value is a table that one side removed."""

    @property
    def names(self) -> list[str]:
        """The full keys, for the user."""
        return [".".join((*self.path, *inner)) for inner in self.inner]


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged manifest, once for each side of the conflicts; all the same without any."""

    base: str
    ours: str
    theirs: str
    conflicts: tuple[str, ...]


def merge_manifest(base: str, ours: str, theirs: str) -> Merged | None:
    """Merge three texts of one manifest.

    None: one of them is not TOML, or is written in a way that cannot be edited here, so it has to
    be merged as text.
    """
    from tomlkit.exceptions import TOMLKitError

    try:
        documents = [tomllib.loads(text) for text in (base, ours, theirs)]
        differences = list(_differences((), *documents))
        edits = [item for item in differences if isinstance(item, KeyEdit)]
        conflicts = [item for item in differences if isinstance(item, Conflict)]
        merged = _edited(ours, edits, theirs)
        sides = {
            side: _edited(merged, [KeyEdit(c.path, getattr(c, side)) for c in conflicts], source)
            for side, source in (("base", base), ("theirs", theirs))
        }
    except (tomllib.TOMLDecodeError, TOMLKitError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Merged(**sides, ours=merged, conflicts=tuple(n for c in conflicts for n in c.names))


def _differences(path: Path, base: Any, ours: Any, theirs: Any) -> Iterator[KeyEdit | Conflict]:
    """Yield what the template changed between base and theirs, as it applies to ours."""
    for key in dict.fromkeys((*base, *theirs)):  # what is only in ours stays
        b, o, t = (side.get(key, ABSENT) for side in (base, ours, theirs))
        here = (*path, key)
        if _same(b, t) or _same(o, t):
            continue
        if isinstance(o, dict) and isinstance(t, dict) and (isinstance(b, dict) or b is ABSENT):
            # A table with the user's data unchanged may have the user's comments in it.
            yield from _differences(here, {} if b is ABSENT else b, o, t)
        elif _same(o, b):
            yield KeyEdit(here, t)
        elif isinstance(b, dict) and isinstance(o, dict) and t is ABSENT and not _is_one(here):
            yield from _gone(here, b, o)
        elif isinstance(b, dict) and o is ABSENT and isinstance(t, dict):
            yield Conflict(here, b, o, t, tuple(_changed(b, t)))
        elif (
            isinstance(b, list)
            and isinstance(o, list)
            and isinstance(t, list)
            and (merged := _merged_list(b, o, t)) is not None
        ):
            yield KeyEdit(here, merged)
        else:
            yield Conflict(here, b, o, t)


_OF_ONES = ("tasks", "environments", "constraints")


def _is_one(path: Path) -> bool:
    """Whether a table is one thing that cannot lose a part: a task, an environment, a spec."""
    parent = path[-2] if len(path) > 1 else ""
    return parent in _OF_ONES or parent.endswith("dependencies")


def _gone(path: Path, base: Any, ours: Any) -> Iterator[KeyEdit | Conflict]:
    """Yield what becomes of a table that the template dropped and the user changed."""
    inner = list(_differences(path, base, ours, {}))
    edits = [item for item in inner if isinstance(item, KeyEdit)]
    conflicts = [item for item in inner if isinstance(item, Conflict)]
    depth = len(path)
    if conflicts:
        within = tuple((*c.path[depth:], *key) for c in conflicts for key in c.inner)
        yield Conflict(path, base, ours, ABSENT, within)
    elif _is_hollow(_applied(ours, [KeyEdit(e.path[depth:], e.value) for e in edits])):
        yield KeyEdit(path, ABSENT)
    else:
        yield from edits


def _changed(base: dict[str, Any], theirs: dict[str, Any]) -> Iterator[Path]:
    """Yield the innermost tables that the template changed; () is the table itself."""
    keys = [k for k in (base | theirs) if not _same(base.get(k, ABSENT), theirs.get(k, ABSENT))]
    pairs = [(key, base.get(key), theirs.get(key)) for key in keys]
    tables = [(k, b, t) for k, b, t in pairs if isinstance(b, dict) and isinstance(t, dict)]
    if len(tables) < len(pairs):
        yield ()
        return
    for key, b, t in tables:
        yield from ((key, *inner) for inner in _changed(b, t))


def _is_hollow(value: Any) -> bool:
    """Whether a table has nothing in it but tables that have nothing in them."""
    return isinstance(value, dict) and all(_is_hollow(inner) for inner in value.values())


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and bool(a == b))


def _merged_list(base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Any] | None:
    """Merge lists of names or of named tables (channels, platforms); None is a conflict.

    The order is a preference: it merges too. What one side adds comes after the entry that it
    follows there, or first.
    """
    b, o, t = ({_name(x): x for x in side} for side in (base, ours, theirs))
    if [len(b), len(o), len(t)] != [len(base), len(ours), len(theirs)]:
        return None  # something occurs twice
    merged = dict(o)
    for name in dict.fromkeys((*b, *t)):
        was, mine, now = b.get(name, ABSENT), o.get(name, ABSENT), t.get(name, ABSENT)
        if _same(was, now) or _same(mine, now):
            continue
        if not _same(mine, was):
            return None
        if now is ABSENT:
            del merged[name]
        else:
            merged[name] = now
    order = _merged_order(list(b), list(o), list(t), set(merged))
    return None if order is None else [merged[name] for name in order]


def _merged_order(
    base: list[str], ours: list[str], theirs: list[str], wanted: set[str]
) -> list[str] | None:
    """Return the wanted names in the order of the side that changed it; None when both did."""
    shared = wanted & set(base) & set(ours) & set(theirs)
    was, mine, now = ([n for n in side if n in shared] for side in (base, ours, theirs))
    if mine != was and now not in (was, mine):
        return None
    first, second = (theirs, ours) if mine == was != now else (ours, theirs)
    order = [name for name in first if name in wanted]
    place = 0
    for name in (name for name in second if name in wanted):
        if name not in order:
            while 0 < place < len(order) and order[place] not in second:
                place += 1  # what both put behind the same entry: the first side's come first
            order.insert(place, name)
        place = order.index(name) + 1
    return order


def _name(value: Any) -> str:
    return str(value["name"]) if isinstance(value, dict) and "name" in value else repr(value)


def _applied(data: dict[str, Any], edits: list[KeyEdit]) -> dict[str, Any]:
    """Return plain data with the edits made."""
    result = copy.deepcopy(data)
    for edit in edits:
        table: Any = result
        for key in edit.path[:-1]:
            table = table.setdefault(key, {})
        if edit.value is ABSENT:
            table.pop(edit.path[-1], None)
        else:
            table[edit.path[-1]] = copy.deepcopy(edit.value)
    return result


def _edited(text: str, edits: list[KeyEdit], source: str) -> str:
    """Return the text with the edits made, written as in `source` where that has the value.

    Raises ValueError when the result does not say what it should.
    """
    if not edits:
        return text
    import tomlkit

    wanted = _applied(tomllib.loads(text), edits)
    document, donor = tomlkit.parse(text), tomlkit.parse(source)
    for edit in edits:
        _make(document, edit, _item(donor, edit))
    plain = tomlkit.dumps(document)
    for result in (re.sub(r"(?m)^([^\s#].*)\n(?=\[)", r"\1\n\n", plain), plain):
        if tomllib.loads(result) == wanted:
            return result
    raise ValueError("the edited manifest does not say what it should")


def _item(donor: Any, edit: KeyEdit) -> Any:
    """Return the new value as the template writes it, comment and all."""
    if edit.value is ABSENT:
        return ABSENT
    item = donor
    for key in edit.path:
        if not isinstance(item, Mapping) or key not in item:
            return edit.value
        item = item[key]
    plain = item.unwrap() if hasattr(item, "unwrap") else item
    return _without_next_comment(copy.deepcopy(item)) if plain == edit.value else edit.value


def _without_next_comment(item: Any) -> Any:
    """Drop the comment after a table: it belongs to the table that comes next."""
    from tomlkit.items import Comment, Table, Whitespace

    if isinstance(item, Table):
        body = item.value.body
        while body and isinstance(body[-1][1], Comment):
            body.pop()
            while body and isinstance(body[-1][1], Whitespace):
                body.pop()
        if body:
            _without_next_comment(body[-1][1])
    return item


def _make(document: Any, edit: KeyEdit, item: Any) -> None:
    import tomlkit
    from tomlkit.items import Array, Table

    table = document
    for key in edit.path[:-1]:
        if key not in table:
            _add(table, key, tomlkit.table())
        table = table[key]
    key = edit.path[-1]
    if item is ABSENT:
        table.pop(key, None)
    elif key not in table:
        _add(table, key, item)
    elif (
        isinstance(table[key], Array) and isinstance(item, list) and _keeps_order(table[key], item)
    ):
        _make_list(table[key], list(edit.value))
    else:
        comment = getattr(getattr(table[key], "trivia", None), "comment", "")
        table[key] = item
        if comment and not isinstance(table[key], Table):
            table[key].comment(comment)


def _keeps_order(have: list[Any], wanted: list[Any]) -> bool:
    """Whether each name occurs once, and those in both lists come in the same order."""
    old, new = ([_name(value) for value in side] for side in (have, wanted))
    if len({*old}) < len(old) or len({*new}) < len(new):
        return False
    return [name for name in old if name in new] == [name for name in new if name in old]


def _make_list(array: Array, wanted: list[Any]) -> None:
    """Edit an array in place, so that its layout and comments stay."""
    if "\n" not in array.as_string():  # has neither, and tomlkit would leave out a space
        array.clear()
        array.extend(wanted)
        return
    names = [_name(value) for value in wanted]
    for index in reversed(range(len(array))):
        if _name(array.unwrap()[index]) not in names:
            del array[index]
    for index, (name, value) in enumerate(zip(names, wanted, strict=True)):
        have = array.unwrap()
        if index == len(have):
            array.append(value)
        elif _name(have[index]) != name:
            array.insert(index, value)
        elif have[index] != value:
            array[index] = value


def _add(table: Any, key: str, item: Any) -> None:
    """Add a key after the others; tomlkit alone would put it below the next table's comment."""
    from tomlkit.container import Container
    from tomlkit.items import Table

    container = table.value if isinstance(table, Table) else table
    if not isinstance(container, Container) or isinstance(item, Table):
        table[key] = item
        return
    trailing = []
    while container.body and container.body[-1][0] is None:
        trailing.append(container.body.pop())
    table.add(key, item)
    container.body.extend(reversed(trailing))
