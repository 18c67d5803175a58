"""Compare what a job that was evicted brought back with what it brings back undisturbed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_METRICS = re.compile(r"metrics[^/]*\.(json|jsonl|csv)$")
_OF_TIME = re.compile(r"second|time|date|duration|per_s$|speed|throughput|elapsed|host|resum|start")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and what is different.

    files: names that were compared; exact: whether they are equal byte for byte. different:
    one line each. ignored: keys of times and machines, which were left out.
    """

    files: tuple[str, ...]
    exact: bool
    different: tuple[str, ...]
    ignored: tuple[str, ...] = ()

    def words(self) -> str:
        """Return it as one line."""
        if not self.files and not self.different:
            return "no metrics file came back (metrics*.json, .jsonl or .csv): nothing to compare"
        names = ", ".join(self.files)
        if self.different:
            return f"the final metrics are not those of an uninterrupted run: {self.different[0]}"
        if self.exact:
            return f"equal to an uninterrupted run, byte for byte: {names}"
        return f"equal to an uninterrupted run, without {', '.join(self.ignored)}: {names}"


def compare(evicted: Path, whole: Path) -> Comparison:
    """Compare the metrics files below two folders of results, by their names there."""
    left, right = _metrics(evicted), _metrics(whole)
    different = [f"{name} came back only from the evicted run" for name in left - right]
    different += [f"{name} came back only from the uninterrupted run" for name in right - left]
    common = sorted(left & right)
    exact = True
    ignored: dict[str, None] = {}
    for name in common:
        one, two = (folder / name for folder in (evicted, whole))
        if one.read_bytes() == two.read_bytes():
            continue
        exact = False
        first = _difference(_read(one, ignored), _read(two, ignored))
        if first:
            different.append(f"{name}: {first}")
    return Comparison(tuple(common), exact, tuple(different), tuple(ignored))


def _metrics(folder: Path) -> set[str]:
    paths = (str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    return {path for path in paths if _METRICS.search(path)}


def _read(path: Path, ignored: dict[str, None]) -> list[Any]:
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        if path.suffix == ".json":
            return [_without_times(json.loads(text), ignored)]
        if path.suffix == ".jsonl":
            return [_without_times(json.loads(line), ignored) for line in text.splitlines()]
    except ValueError:
        pass
    return list(text.splitlines())


def _without_times(value: Any, ignored: dict[str, None]) -> Any:
    if not isinstance(value, dict):
        return value
    for key in value:
        if _OF_TIME.search(str(key).lower()):
            ignored[str(key)] = None
    return {k: _without_times(v, ignored) for k, v in value.items() if k not in ignored}


def _difference(one: list[Any], two: list[Any]) -> str:
    """Return the first difference, in words; empty when there is none."""
    if len(one) != len(two):
        return f"{len(one)} lines, uninterrupted {len(two)}"
    for number, (left, right) in enumerate(zip(one, two, strict=True), start=1):
        if left == right:
            continue
        if isinstance(left, dict) and isinstance(right, dict):
            for key in {**left, **right}:
                if left.get(key) != right.get(key):
                    where = f"line {number}, {key}" if len(one) > 1 else key
                    return f"{where}: {left.get(key)}, uninterrupted {right.get(key)}"
        return f"line {number}: {left}, uninterrupted {right}"
    return ""
