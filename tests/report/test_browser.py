"""The browser that inspects the report sees what it is there to see."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import pytest

from tests.report import browser

SVG = '<svg aria-label="a curve" width="80" height="40"><path d="M0 40L80 0" stroke="black"/></svg>'


def _png(width: int, height: int) -> str:
    """A grey PNG as a data address."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        framed = kind + body
        return struct.pack(">I", len(body)) + framed + struct.pack(">I", zlib.crc32(framed))

    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    image = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(image).decode()


@pytest.fixture
def page(tmp_path: Path):
    def write(body: str) -> Path:
        path = tmp_path / "a page.html"
        path.write_text(f"<!doctype html><title>t</title><body>{body}", encoding="utf-8")
        return path

    return write


def test_a_clean_page_is_clean(page):
    seen = browser.visit(page(f'{SVG}<img alt="a forest" src="{_png(30, 20)}">'))
    assert seen.console_errors == ()
    assert seen.requests == ()
    assert seen.overflow == 0
    assert seen.figures == (
        browser.Figure("a curve", 80, 40, visible=True),
        browser.Figure("a forest", 30, 20, visible=True),
    )


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("throw new Error('torn')", "torn"),
        ("console.error('sour')", "sour"),
        ("Promise.reject(new Error('late'))", "late"),
    ],
)
def test_a_failing_script_is_heard(page, script, message):
    (error,) = browser.visit(page(f"<script>{script}</script>")).console_errors
    assert message in error


def test_a_request_is_seen_and_refused(page):
    address = "http://figures.invalid/a.png"
    seen = browser.visit(page(f'<img alt="away" src="{address}">'))
    assert seen.requests == (address,)
    assert address in seen.console_errors[0]
    assert not seen.figures[0].visible


@pytest.mark.parametrize(
    "body",
    [
        f"<div style='display:none'>{SVG}</div>",
        f"<div style='visibility:hidden'>{SVG}</div>",
        f"<div style='opacity:0'>{SVG}</div>",
        f"<details><summary>more</summary>{SVG}</details>",
        "<svg width='80' height='40'></svg>",
        "<img alt='broken' src='data:image/png;base64,AAAA'>",
        f"<img alt='flat' style='height:0' src='{_png(30, 20)}'>",
    ],
)
def test_a_figure_nobody_sees_is_not_visible(page, body):
    (figure,) = browser.visit(page(body)).figures
    assert not figure.visible


def test_a_wide_page_overflows_a_narrow_window(page):
    assert browser.visit(page("<div style='width:1000px'>wide</div>"), width=400).overflow > 0


def test_pictures_and_prints_are_written(page, tmp_path):
    path = page(f"<div style='height:2000px'>{SVG}</div>")
    shot = browser.screenshot(path, 500, tmp_path / "page.png").read_bytes()
    width, height = struct.unpack(">II", shot[16:24])
    assert width == 500
    assert height > 2000
    assert browser.pdf(path, tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_a_missing_browser_fails_only_where_it_is_asked_for(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("NMDA_BAYES_REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match="not installed"):
        browser.require_browser()
    monkeypatch.setenv("NMDA_BAYES_REQUIRE_BROWSER", "")
    with pytest.raises(pytest.skip.Exception):
        browser.require_browser()
