"""The site that `make docs` builds: whole, without dead links, searched and seen in a real browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest

from pixi_scaffold.rules import RULES
from tests.support.browser import Browser, chromium
from tests.support.paths import REPOSITORY
from tests.support.share import shared

pytestmark = pytest.mark.slow
DOCS = REPOSITORY / "docs"


def built(docs: Path, site: Path) -> subprocess.CompletedProcess[str]:
    argv = [
        sys.executable,
        "-m",
        "sphinx",
        "--fail-on-warning",
        "--keep-going",
        "--quiet",
        docs,
        site,
    ]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sphinx", reason="the site is built with: pip install -e .[docs]")

    def make(folder: Path) -> None:
        done = built(DOCS, folder)
        assert done.returncode == 0, done.stderr

    return shared(tmp_path_factory, "site", make)


@dataclass
class Page(HTMLParser):
    """The links and the anchors of one page."""

    text: str
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [v for k in ("href", "src") if (v := values.get(k))]
        self.anchors |= {v for k in ("id", "name") if (v := values.get(k))}


def test_every_page_is_reached_and_no_link_is_dead(site: Path) -> None:
    """Read by html.parser from the first page on, as a reader follows links."""
    pages: dict[str, Page] = {}
    todo, dead = ["index.html"], []
    while todo:
        name = todo.pop()
        if name in pages:
            continue
        pages[name] = Page((site / name).read_text(encoding="utf-8"))
        for link in pages[name].links:
            target = urlsplit(urljoin(name, link)).path
            if urlsplit(link).scheme or link.startswith("//"):
                continue
            if not (site / unquote(target)).is_file():
                dead.append((name, link))
            elif target.endswith(".html"):
                todo.append(unquote(target))
    for name, page in pages.items():
        for link in page.links:
            target, anchor = urldefrag(urljoin(name, link))
            inside = anchor and not urlsplit(link).scheme and target in pages
            if inside and unquote(anchor) not in pages[target].anchors:
                dead.append((name, link))
    assert dead == []
    written = {p.relative_to(DOCS).with_suffix(".html").as_posix() for p in DOCS.rglob("*.md")}
    assert written <= set(pages)
    assert {f"reference/rules/{rule}.html" for rule in RULES} <= set(pages)


def test_a_dead_link_and_a_lonely_page_fail_the_build(tmp_path: Path) -> None:
    """In a site of three pages, with the configuration of ours."""
    pytest.importorskip("sphinx", reason="the site is built with: pip install -e .[docs]")
    docs = tmp_path / "docs"
    docs.mkdir()
    source = repr(str(REPOSITORY / "src"))
    conf = (DOCS / "conf.py").read_text()
    assert "sys.path.insert(0, " in conf
    (docs / "conf.py").write_text(
        conf.replace("sys.path.insert(0, ", f"sys.path.insert(0, {source} or ")
    )
    (docs / "README.md").write_text("# Site\n\n- **Pages**: [one](one.md), [two](two.md).\n")
    (docs / "two.md").write_text("# Two\n\n[one](one.md)\n")
    (docs / "one.md").write_text("# One\n\n## Heading\n\n[two](two.md) [here](one.md#heading)\n")
    good = built(docs, tmp_path / "site")
    assert good.returncode == 0, good.stderr
    with (docs / "one.md").open("a") as page:
        page.write("\n[gone](gone.md) [gone](two.md#no-such-heading)\n")
    (docs / "lonely.md").write_text("# A page that nothing leads to\n")
    done = built(docs, tmp_path / "site")
    assert done.returncode != 0
    for said in ("gone.md", "no-such-heading", "lonely.md"):
        assert said in done.stderr, said


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize(
    "page", ["README", "tutorial", "reference/commands", "reference/rules/PS209"]
)
def test_a_page_fits_and_loads_nothing_from_elsewhere(
    site: Path, browser: Browser, page: str, width: int
) -> None:
    browser.look(width=width)
    browser.said.clear()
    browser.open((site / f"{page}.html").as_uri())
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert [url for url in browser.loaded if not url.startswith(("file:", "data:"))] == []
    assert browser.said == []


def test_the_search_finds_a_rule(site: Path, browser: Browser) -> None:
    browser.look(width=1280)
    browser.open((site / "search.html").as_uri() + "?q=PS209")
    hits = (
        "new Promise(done => { const look = () => { const found = [...document.querySelectorAll("
        "'#search-results ul.search a')].map(a => a.getAttribute('href')); "
        "found.length ? done(found) : setTimeout(look, 100); }; look(); })"
    )
    assert any("reference/rules/PS209.html" in link for link in browser.ask(hits))
