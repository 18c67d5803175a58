"""How long a page of 1,000 runs of 1,000 points takes to open: python bench/page.py

In a real Chromium, beside an empty page and one of a single run, until a frame after loading.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.browser import chromium
from tests.support.command import scaffold
from tests.test_page import write_run


def page(folder: Path, runs: int, points: int) -> Path:
    folder.mkdir()
    (folder / "pixi.toml").write_text(
        '[workspace]\nchannels = ["conda-forge"]\nplatforms = ["linux-64"]\n'
    )
    for number in range(runs):
        write_run(folder, f"run-{number}", points, lr=1 / (number + 1))
    began = time.perf_counter()
    ran = scaffold("report", folder, "--json", cwd=folder)
    seconds = time.perf_counter() - began
    print(f"{runs} x {points}: written in {seconds:.1f} s, {ran.document['bytes'] / 1000:.0f} kB")
    return folder / "report.html"


def main() -> None:
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        empty = Path(name) / "empty.html"
        empty.write_text("<!doctype html><title>empty</title>")
        pages = {
            "empty": empty,
            "1 run": page(Path(name) / "one", 1, 1000),
            "1,000 runs": page(Path(name) / "many", 1000, 1000),
        }
        times: dict[str, list[float]] = {what: [] for what in pages}
        for _ in range(5):
            for what, path in pages.items():
                times[what].append(browser.open(path.as_uri()))
        base = statistics.median(times["1 run"])
        for what, seconds in times.items():
            middle = statistics.median(seconds)
            print(
                f"{what:>10}: opens in {middle:.2f} s (median of 5), {middle / base:.1f} x one run"
            )
        browser.open(pages["1,000 runs"].as_uri())
        began = time.perf_counter()
        browser.ask("document.querySelector('[data-runs=all]').click()")
        browser.ask("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
        print(f"all 1,000 curves drawn in {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
