"""Take a picture of a part of a page that `report` wrote.

python docs/picture.py PAGE.html OUT.png ID (of the heading whose section is shown); needs Chromium.
Curves are drawn over time, where the page knows it.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.browser import chromium


def main() -> None:
    """Take the picture."""
    page, out, name = sys.argv[1:]
    with chromium() as browser:
        browser.look(width=1000)
        browser.open(Path(page).absolute().as_uri())
        browser.ask(
            "(over => { if (over) { over.value = '2'; over.dispatchEvent(new Event('change')) } })"
            "(document.getElementById('over'))"
        )
        y, height = browser.ask(
            f"(() => {{ const box = document.getElementById({name!r}).closest('section')"
            ".getBoundingClientRect(); return [box.y + scrollY, box.height] })()"
        )
        clip = {"x": 0, "y": y, "width": 1000, "height": min(height, 1100), "scale": 1}
        done = browser.call(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
        )
    Path(out).write_bytes(base64.b64decode(done["data"]))


if __name__ == "__main__":
    main()
