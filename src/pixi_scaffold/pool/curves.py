"""The curves of many runs in one picture: an SVG with a panel for each metric."""

from collections.abc import Mapping, Sequence
from colorsys import hls_to_rgb
from html import escape as escape_html

from pixi_scaffold.pool.metrics import ASIDE, Rows, numbers
from pixi_scaffold.report import printable

_WIDTH, _HEIGHT, _MARGIN, _LEGEND, _ACROSS = 460, 280, 72, 12, 4

Line = Sequence[tuple[float, float]]


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
