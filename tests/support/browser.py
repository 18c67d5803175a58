"""A real Chromium without a window, driven over its DevTools pipe; skipped where there is none."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.share import shared

NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Browser:
    """One page of the browser. said: what its console and its policy reported; loaded: requests."""

    to: int
    back: int
    session: str = ""
    number: int = 0
    rest: bytes = b""
    said: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol and return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(600)
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self, timeout: float) -> dict[str, Any]:
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.back], [], [], timeout)
            assert ready, "Chromium does not answer"
            part = os.read(self.back, 1 << 20)
            assert part, "Chromium has ended"
            self.rest += part
        line, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(line)
        params, method = message.get("params", {}), message.get("method", "")
        self.events.append(method)
        if method == "Log.entryAdded":
            self.said.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.said.append(json.dumps(params["exceptionDetails"]))
        elif method == "Network.requestWillBeSent":
            self.loaded.append(params["request"]["url"])
        return message

    def open(self, url: str) -> float:
        """Load a page and return the seconds until its load event and a frame after it."""
        self.events.clear()
        self.loaded.clear()
        began = time.perf_counter()
        self.call("Page.navigate", url=url)
        while "Page.loadEventFired" not in self.events:
            self._next(600)
        self.ask("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(1))))")
        return time.perf_counter() - began

    def ask(self, expression: str) -> Any:
        """Evaluate JavaScript in the page, and return what it (or its promise) gives."""
        done = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def look(
        self, *, width: int = 1000, height: int = 900, dark: bool = False, media: str = ""
    ) -> None:
        """Give the page a window of so many pixels, a colour scheme, and a medium (`print`)."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def picture(self, path: Path) -> None:
        """Write a picture of the whole page."""
        done = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(done["data"]))

    def press(self, key: str) -> None:
        """Press a key."""
        text = key if len(key) == 1 else "\r" if key == "Enter" else ""
        codes = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowRight": 39}
        code = codes.get(key, ord(key[0]))
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more
            )


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("there is no Chromium (Debian: apt install chromium)")
    down, up = os.pipe(), os.pipe()
    # its children write into the folder until they notice that it has ended
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        argv = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
            f"--user-data-dir={folder}", "--no-first-run", "--disable-background-networking",
            "--disable-dev-shm-usage", "--force-color-profile=srgb",
        ]  # fmt: skip

        # The protocol is spoken over the descriptors 3 and 4 of the browser.
        def pipes() -> None:
            read, write = os.dup(down[0]), os.dup(up[1])
            os.dup2(read, 3)
            os.dup2(write, 4)

        process = subprocess.Popen(
            argv, preexec_fn=pipes, close_fds=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(down[0])
        os.close(up[1])
        browser = Browser(down[1], up[0])
        try:
            target = browser.call("Target.createTarget", url="about:blank")["targetId"]
            attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
            browser.session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                browser.call(f"{domain}.enable")
            yield browser
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(down[1])
            os.close(up[0])


def axe(factory: pytest.TempPathFactory) -> str:
    """Return the source of axe-core as npm installs it; skips the test without npm."""

    def install(folder: Path) -> None:
        folder.mkdir()
        argv = ["npm", "install", "--silent", "--no-save", "--prefix", str(folder), "axe-core@4"]
        try:
            subprocess.run(argv, check=True, capture_output=True, timeout=300)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            pytest.skip("npm cannot install axe-core")

    if shutil.which("npm") is None:
        pytest.skip("there is no npm to install axe-core with")
    folder = shared(factory, "axe-core", install)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
