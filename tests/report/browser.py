"""Opens a page in headless Chromium and tells what a reader would meet.

Chromium is driven over its DevTools protocol: one socket, a handful of commands, no driver to
install. Names resolve to nothing, so a page that asks for the network is seen asking and gets
nothing.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import websocket

SECONDS = 60.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-port=0",
)

# Two frames after the fonts are in, everything that will be drawn has been. A figure is an image
# or an outermost inline SVG; it is visible when it has an area, nothing hides it, and it holds
# something: decoded pixels, or drawn shapes.
FIGURES = """
(async () => {
  await document.fonts.ready;
  const frame = () => new Promise(done => requestAnimationFrame(done));
  await frame(); await frame();
  const all = [...document.querySelectorAll("img, svg")];
  return all.filter(e => !e.parentElement.closest("svg")).map(e => {
    const box = e.getBoundingClientRect();
    const isImage = e.tagName === "IMG";
    const ink = isImage ? e.naturalWidth : e.getBBox().width + e.getBBox().height;
    const shown = e.checkVisibility({opacityProperty: true, visibilityProperty: true});
    return {
      text: e.getAttribute(isImage ? "alt" : "aria-label") || "",
      width: box.width,
      height: box.height,
      visible: shown && ink > 0 && box.width > 1 && box.height > 1,
    };
  });
})()
"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass(frozen=True)
class Figure:
    """One image or inline SVG as laid out: its alternative text, size in CSS pixels, and fate."""

    text: str
    width: float
    height: float
    visible: bool


@dataclass(frozen=True)
class Visit:
    """What opening a page showed.

    `requests` are the addresses asked for besides the page itself and what it carries inline;
    `overflow` is by how many CSS pixels the page is wider than the window.
    """

    console_errors: tuple[str, ...]
    requests: tuple[str, ...]
    figures: tuple[Figure, ...]
    overflow: int


def require_browser() -> str:
    """Find Chromium, or skip the test; fail it where NMDA_BAYES_REQUIRE_BROWSER is 1."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("NMDA_BAYES_REQUIRE_BROWSER") == "1":
        pytest.fail("Chromium is not installed, and NMDA_BAYES_REQUIRE_BROWSER asks for it.")
    pytest.skip("Chromium is not installed.")


def visit(page: Path, width: int = 1200) -> Visit:
    """Open `page` in a window `width` CSS pixels wide and report what happened."""
    with _opened(page, width) as tab:
        figures = tuple(Figure(**figure) for figure in tab.evaluate(FIGURES))
        return Visit(
            console_errors=tuple(_console_errors(tab.events)),
            requests=tuple(_requests(tab.events, page)),
            figures=figures,
            overflow=tab.evaluate(OVERFLOW),
        )


def screenshot(page: Path, width: int, target: Path) -> Path:
    """Write the whole page, as seen in a window `width` CSS pixels wide, as a PNG."""
    with _opened(page, width) as tab:
        tab.evaluate(FIGURES)
        shot = tab.send("Page.captureScreenshot", captureBeyondViewport=True)
        target.write_bytes(base64.b64decode(shot["data"]))
    return target


def pdf(page: Path, target: Path) -> Path:
    """Write the page as it prints, on A4 unless its own style says otherwise."""
    with _opened(page, 1200) as tab:
        tab.evaluate(FIGURES)
        printed = tab.send(
            "Page.printToPDF",
            printBackground=True,
            preferCSSPageSize=True,
            paperWidth=8.27,
            paperHeight=11.69,
        )
        target.write_bytes(base64.b64decode(printed["data"]))
    return target


@dataclass
class _Tab:
    """One tab's socket, and every event heard on it so far."""

    socket: websocket.WebSocket
    events: list[dict[str, Any]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            heard = json.loads(self.socket.recv())
            if heard.get("id") != number:
                self.events.append(heard)
            elif "error" in heard:
                raise RuntimeError(f"{method}: {heard['error']['message']}")
            else:
                return heard["result"]

    def wait_for(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(json.loads(self.socket.recv()))

    def evaluate(self, script: str) -> Any:
        response = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in response:
            raise RuntimeError(response["exceptionDetails"]["exception"]["description"])
        return response["result"]["value"]


@contextmanager
def _opened(page: Path, width: int) -> Iterator[_Tab]:
    browser = require_browser()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [browser, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            socket = websocket.create_connection(
                _address(Path(profile), process), timeout=SECONDS, suppress_origin=True
            )
            try:
                tab = _Tab(socket)
                for domain in ("Page", "Runtime", "Log", "Network"):
                    tab.send(f"{domain}.enable")
                tab.send(
                    "Emulation.setDeviceMetricsOverride",
                    width=width,
                    height=900,
                    deviceScaleFactor=1,
                    mobile=False,
                )
                error = tab.send("Page.navigate", url=page.resolve().as_uri()).get("errorText")
                if error:
                    raise FileNotFoundError(f"{page}: {error}")
                tab.wait_for("Page.loadEventFired")
                yield tab
            finally:
                socket.close()
        finally:
            process.terminate()
            process.wait(SECONDS)


def _address(profile: Path, process: subprocess.Popen[bytes]) -> str:
    """Wait until Chromium says on which port it listens, and return its tab's socket."""
    port_file = profile / "DevToolsActivePort"
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"Chromium ended at once with status {process.returncode}.")
        if port_file.exists() and (port := port_file.read_text().partition("\n")[0]):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
            if tabs:
                return tabs[0]["webSocketDebuggerUrl"]
        time.sleep(0.05)
    raise TimeoutError(f"Chromium did not open a tab within {SECONDS:g} s.")


def _console_errors(events: list[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                yield details.get("exception", {}).get("description") or details["text"]
            case "Runtime.consoleAPICalled" if parameters["type"] in {"error", "assert"}:
                yield " ".join(str(part.get("value", "")) for part in parameters["args"])
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                yield f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}".strip()


def _requests(events: list[dict[str, Any]], page: Path) -> Iterator[str]:
    for event in events:
        if event.get("method") == "Network.requestWillBeSent":
            url = event["params"]["request"]["url"]
            if url != page.resolve().as_uri() and not url.startswith(("data:", "blob:")):
                yield url
