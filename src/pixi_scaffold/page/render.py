"""A page as one HTML file: nothing is loaded from elsewhere, and every text is data."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from pixi_scaffold import __version__
from pixi_scaffold.lock import shown_size
from pixi_scaffold.page.runs import POINTS

LIMIT = 1_000_000
"""Bytes of a page."""


def render(template: str, view: Mapping[str, Any], title: str) -> str:
    """Return the page of a view; its policy lets nothing run or style but this package's parts."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_part), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"data": embedded, "size": shown_size}
    style, script = _part("style.css"), _part("page.js")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(template).render(
        view, title=title, version=__version__, policy=policy,
        style=Markup(style), script=Markup(script),  # noqa: S704  both are files of this package
    )  # fmt: skip


def rendered_small(template: str, view: Callable[[int], Mapping[str, Any]], title: str) -> str:
    """Return a page below LIMIT, with fewer points in its curves where that is needed."""
    points = POINTS
    while True:
        page = render(template, view(points), title)
        if len(page.encode()) < LIMIT or points < POINTS // 64:
            return page
        points //= 2


def embedded(value: Any) -> Markup:
    """Return data as JSON that no HTML parser takes for markup, in whatever element it stands."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704  nothing is left in it that HTML would read


def _part(name: str) -> str:
    return files("pixi_scaffold.page").joinpath("data", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
