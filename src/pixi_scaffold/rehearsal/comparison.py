"""Compare what a job that was evicted brought back with what it brings back undisturbed."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_METRICS = re.compile(r"metrics[^/]*\.(json|jsonl|csv)$")
_OF_TIME = frozenset(
    {"second", "seconds", "sec", "secs", "ms", "time", "times", "timestamp", "walltime", "runtime",
     "date", "datetime", "duration", "speed", "throughput", "elapsed", "host", "hostname",
     "resume", "resumed", "resumes", "start", "started"}
)  # fmt: skip
"""Words in the name of a value that is another one at each run."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and what is different."""

    files: tuple[str, ...]
    """Names that were compared."""
    exact: bool
    """Whether they are equal byte for byte."""
    different: tuple[str, ...]
    """One line each."""
    ignored: tuple[str, ...] = ()
    """Keys of times and machines, which were left out."""
    nothing_left: tuple[str, ...] = ()
    """Files without another key."""

    def words(self) -> str:
        """Return it as one line."""
        if not self.files and not self.different:
            if self.nothing_left:
                left, ignored = ", ".join(self.nothing_left), ", ".join(self.ignored)
                return f"not compared: {left} has only values of times ({ignored})"
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
    nothing_left = []
    for name in common:
        one, two = (folder / name for folder in (evicted, whole))
        if one.read_bytes() == two.read_bytes():
            continue
        exact = False
        left_rows, right_rows = _read(one, ignored), _read(two, ignored)
        if not any(left_rows) and not any(right_rows):
            nothing_left.append(name)
        elif first := _difference(left_rows, right_rows):
            different.append(f"{name}: {first}")
    files = tuple(name for name in common if name not in nothing_left)
    return Comparison(files, exact, tuple(different), tuple(ignored), tuple(nothing_left))


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
    if isinstance(value, list):
        return [_without_times(item, ignored) for item in value]
    if not isinstance(value, dict):
        return value
    ignored |= dict.fromkeys(key for key in value if _of_time(key))
    return {k: _without_times(v, ignored) for k, v in value.items() if not _of_time(k)}


def _of_time(key: str) -> bool:
    """Whether the name of a value speaks of time: by whole words, so `update` does not."""
    words = [w.lower() for w in re.split(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])", key)]
    return not _OF_TIME.isdisjoint(words) or words[-2:] == ["per", "s"]


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
