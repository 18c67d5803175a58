"""The site of these pages: `make docs` builds it with Sphinx, MyST and Furo into site/."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from pixi_scaffold import __version__

project = "pixi-scaffold"
author = "The pixi-scaffold developers"
project_copyright = f"{author}, MIT license"
release = __version__

extensions = ["myst_parser"]
root_doc = "README"
myst_heading_anchors = 4  # as GitHub gives them to headings
nitpicky = True

html_theme = "furo"
html_title = f"pixi-scaffold {release}"
html_copy_source = False
html_show_sphinx = False

_PAGE = re.compile(r"\]\(([\w/.-]+)\.md(?:#[\w-]+)?\)")


def with_contents(_app: Any, name: str, source: list[str]) -> None:
    """Give the pages that list others a table of contents, in the order of their own links.

    So a page that no list names is in no table, and Sphinx refuses it. The pages stay plain
    Markdown, which GitHub shows, too.
    """
    if name == "README":
        parts = re.findall(r"^- \*\*([\w ]+)\*\*:(.*?)(?=^- |\Z)", source[0], re.M | re.S)
    elif name == "reference/rules/README":
        parts = [("", source[0])]
    else:
        return
    for caption, text in parts:
        pages = "\n".join(dict.fromkeys(_PAGE.findall(text)))
        head = f":caption: {caption}\n" if caption else ""
        source[0] += f"\n```{{toctree}}\n:hidden:\n{head}\n{pages}\n```\n"


def with_index(app: Any, _error: object) -> None:
    """Let the site's folder open at its first page, which is called README for GitHub's sake."""
    link = '<a href="README.html">pixi-scaffold</a>'
    text = f'<!doctype html><meta http-equiv="refresh" content="0; url=README.html">{link}\n'
    (Path(app.outdir) / "index.html").write_text(text, encoding="utf-8")


def setup(app: Any) -> None:
    """Connect these with Sphinx."""
    app.connect("source-read", with_contents)
    app.connect("build-finished", with_index)
