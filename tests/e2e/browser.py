"""A real browser and a real server for the tests of the pages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

SWITCHES = (
    "--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--disable-dev-shm-usage",
)  # fmt: skip


def missing(what: str) -> None:
    """Skip the test, or fail it where nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the system's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        missing("Chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(SWITCHES))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def serving(app: str | None, root: Path, runs: Path) -> Iterator[str]:
    """Serve the pages as ``daisy ui`` does and give their address."""
    from shared_ui.server import free_port

    port = free_port(0)
    words = [
        sys.executable,
        "-m",
        "shared_ui",
        *([app] if app else []),
        "--port",
        str(port),
        "--root",
        str(root),
        "--no-browser",
    ]
    log = runs.parent / "server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        server = subprocess.Popen(words, stdout=out, stderr=out, cwd=root, env={**os.environ, "DAISY_RUNS": str(runs)})
        try:
            _wait(f"http://127.0.0.1:{port}", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if server.poll() is not None:
            pytest.fail(f"the server ended: {log.read_text()}")
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server did not start: {log.read_text()}")


class Visit:
    """A page in the browser, and what it asked for and complained about."""

    def __init__(self, browser: Any, url: str, scheme: str = "light") -> None:
        self.page = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
        self.page.set_default_timeout(30_000)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console", lambda message: self.complaints.append(message.text) if message.type == "error" else None
        )
        self.home = urlsplit(url).netloc
        self.page.goto(url)

    def strangers(self) -> list[str]:
        """Return what was asked of other hosts."""
        parts = ((url, urlsplit(url)) for url in self.requests)
        return [url for url, part in parts if part.scheme not in ("data", "blob") and part.netloc != self.home]

    def settled(self) -> None:
        """Wait until the server has nothing more to say."""
        self.page.wait_for_timeout(300)
        self.page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')

    def choose(self, label: str, text: str) -> None:
        """Type into a selection and take what was typed."""
        self.page.get_by_label(label, exact=True).first.click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)
        self.page.wait_for_timeout(300)
        self.page.keyboard.press("Enter")
        self.settled()

    def write(self, label: str, text: str) -> None:
        """Type into a text field."""
        field = self.page.get_by_role("textbox", name=label)
        field.fill(text)
        field.press("Enter")
        self.settled()

    def curve(self, plot: str, name: str) -> tuple[list[float], list[float]]:
        """Return the points of a curve as plotly has drawn them."""
        script = """([plot, name]) => {
            const drawn = document.querySelector(`.st-key-${plot} .js-plotly-plot`);
            const trace = drawn._fullData.filter((item) => item.name === name && item.line.width > 0).at(-1);
            return [Array.from(trace.x), Array.from(trace.y)];
        }"""
        return self.page.evaluate(script, [plot, name])

    def drawn(self, plot: str) -> None:
        """Wait until a plot is there."""
        self.page.wait_for_selector(f".st-key-{plot} .js-plotly-plot .main-svg")
