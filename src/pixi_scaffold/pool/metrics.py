"""What a training says of itself in its metrics file: the last row, the use of the GPU."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pixi_scaffold.system import read_regular

METRICS = "metrics.jsonl"
_LIMIT = 16 << 20
ASIDE = frozenset({"step", "steps", "lr", "learning_rate", "time", "seconds"})
_GPU = ("gpu_utilization", "gpu_busy", "gpu_use")
"""Names under which a row may say what share of the GPU was in use, 0 to 1 or 0 to 100."""

Rows = Sequence[Mapping[str, Any]]


def read_metrics(path: Path) -> Rows:
    """Return the rows of a metrics file that can be read; a half-written one is left out."""
    try:
        text = read_regular(path, _LIMIT).decode("utf-8", errors="replace")
    except OSError:
        return ()
    rows = []
    for line in text.splitlines():
        with suppress(ValueError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]


def find_metrics(folder: Path, run: str) -> Rows:
    """Return the metrics below `folder`: of the run of that name, or of the only one there is."""
    if run and (rows := read_metrics(folder / "runs" / run / METRICS)):
        return rows
    try:
        others = sorted(folder.glob(f"**/{METRICS}"))
    except OSError:
        return ()
    return read_metrics(others[0]) if len(others) == 1 else ()


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a row."""
    return {
        key: float(value)
        for key, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def last_line(rows: Rows, most: int = 4) -> str:
    """Return the last row in a line, such as `epoch 7  test_loss 0.314`; empty without rows."""
    if not rows:
        return ""
    values = {k: v for k, v in numbers(rows[-1]).items() if k not in ASIDE}
    return "  ".join(f"{key} {value:.4g}" for key, value in list(values.items())[:most])


def gpu_share(rows: Rows) -> float | None:
    """Return the mean share of the GPU that the rows say was in use; None where they do not."""
    for name in _GPU:
        values = [v for row in rows if (v := numbers(row).get(name)) is not None]
        if values:
            mean = sum(values) / len(values)
            return mean / 100 if max(values) > 1 else mean
    return None
