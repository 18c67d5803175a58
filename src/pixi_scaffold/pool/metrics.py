"""What trainings say of themselves in their metrics files, and the picture of their curves."""

import json
from collections.abc import Mapping, Sequence
from colorsys import hls_to_rgb
from contextlib import suppress
from html import escape as escape_html
from pathlib import Path
from typing import Any

from pixi_scaffold.report import printable
from pixi_scaffold.system import read_regular

METRICS = "metrics.jsonl"
_LIMIT = 16 << 20
ASIDE = frozenset({"step", "steps", "lr", "learning_rate", "time", "seconds"})
_GPU = ("gpu_utilization", "gpu_busy", "gpu_use")
"""Names under which a row may say what share of the GPU was in use, 0 to 1 or 0 to 100."""

_WIDTH, _HEIGHT, _MARGIN, _LEGEND, _ACROSS = 460, 280, 72, 12, 4

Line = Sequence[tuple[float, float]]
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


def picture(runs: Mapping[str, Rows], title: str) -> str:
    """Return the curves of all runs as SVG; empty where there is nothing to draw."""
    names = dict.fromkeys(k for rows in runs.values() for row in rows for k in numbers(row))
    metrics = [name for name in names if name not in (*ASIDE, "epoch")][:4]
    axis = next((name for name in ("epoch", "step") if name in names), "row")
    if not metrics:
        return ""
    body = [
        _panel(name, axis, _lines(runs, name, axis), number) for number, name in enumerate(metrics)
    ]
    named = [escape(name) for name in list(runs)[:_LEGEND]]
    more = [f"and {len(runs) - _LEGEND} more"] if len(runs) > _LEGEND else []
    legend = [
        f'<text x="{_MARGIN + n % _ACROSS * 230}" y="{_HEIGHT + 60 + n // _ACROSS * 16}" '
        f'fill="{_colour(n)}">{name}</text>'
        for n, name in enumerate([*named, *more])
    ]
    wide, high = max(_WIDTH * len(metrics), 980), _HEIGHT + 120
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="{_MARGIN}" y="20" font-size="14">{escape(title)}</text>'
        f"{''.join(body)}{''.join(legend)}</svg>\n"
    )


def escape(text: str) -> str:
    """Return a text for SVG, which is no XML with control characters in it."""
    return escape_html(printable(text))


def _colour(number: int) -> str:
    red, green, blue = hls_to_rgb(number * 137.5 % 360 / 360, 0.42, 0.7)  # the golden angle
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _lines(runs: Mapping[str, Rows], name: str, axis: str) -> list[Line]:
    return [
        [(r.get(axis, float(n)), r[name])
         for n, r in enumerate(map(numbers, rows)) if name in r and abs(r[name]) < 1e300]
        for rows in runs.values()
    ]  # fmt: skip


def _panel(name: str, axis: str, lines: list[Line], number: int) -> str:
    points = [point for line in lines for point in line]
    if not points:
        return ""
    (left, right), (low, high) = map(_range, zip(*points, strict=True))
    across, up = _WIDTH - _MARGIN - 16, _HEIGHT - 40

    def place(x: float, y: float) -> str:
        px = _MARGIN + (x - left) / (right - left) * across
        py = 40 + up - (y - low) / (high - low) * up
        return f"{px:.1f},{py:.1f}"

    drawn = [
        f'<polyline fill="none" stroke="{_colour(n)}" stroke-width="1.5" '
        f'points="{" ".join(place(*p) for p in line)}"/>'
        for n, line in enumerate(lines)
        if line
    ]
    axes = (
        f'<path d="M{_MARGIN} 40V{40 + up}H{_MARGIN + across}" fill="none" stroke="#888"/>'
        f'<text x="{_MARGIN + 4}" y="36">{escape(name)}</text>'
        f'<text x="{_MARGIN - 4}" y="50" text-anchor="end">{high:.3g}</text>'
        f'<text x="{_MARGIN - 4}" y="{40 + up}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{_MARGIN}" y="{56 + up}">{left:g}</text>'
        f'<text x="{_MARGIN + across / 2}" y="{56 + up}" text-anchor="middle">{axis}</text>'
        f'<text x="{_MARGIN + across}" y="{56 + up}" text-anchor="end">{right:g}</text>'
    )
    return f'<g transform="translate({number * _WIDTH} 0)">{axes}{"".join(drawn)}</g>'


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
