"""Figures as part of a page: inline, each with ids of its own, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import re
from itertools import count
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from nmda_bayes.figures import as_png, as_svg
from nmda_bayes.report.blocks import Picture

#: Above this an SVG makes the page slow to open and print, and a PNG shows as much.
SVG_BYTES = 500_000
PNG_DPI = 200
#: CSS pixels an inch, and below which width a figure scrolls instead of shrinking further.
CSS_DPI, NARROWEST = 112, 600

_SKIPPED = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->|<style\b.*?</style>", re.DOTALL)
_OPENING = re.compile(r"<svg\b[^>]*>")
_ID = re.compile(r'\bid="([^"]*)"')
_LINK = re.compile(r'xlink:href="#([^"]*)"|\bhref="#([^"]*)"')
_URL = re.compile(r"url\(#([^)]*)\)")


class Gallery:
    """Numbers the figures of one page, so that no two share an id.

    Parameters
    ----------
    watermark
        A word to lay across every figure; none if empty.
    """

    def __init__(self, watermark: str = "") -> None:
        self._numbers = count(1)
        self._watermark = watermark

    def picture(self, figure: Figure, caption: str) -> Picture:
        """Put a figure in the page.

        Parameters
        ----------
        figure
            Its label is the alternative text.
        caption
            What it shows, with interval kind and level.

        Returns
        -------
        Picture
            Inline SVG, or a PNG inside an ``img`` where the SVG would be large.
        """
        number = next(self._numbers)
        if self._watermark:
            mark: dict[str, Any] = {
                "ha": "center",
                "va": "center",
                "rotation": 30,
                "alpha": 0.15,
                "fontsize": 44,
            }
            figure.text(0.5, 0.5, self._watermark, **mark)
        alt = str(figure.get_label()) or caption
        width, height = (round(CSS_DPI * inches) for inches in figure.get_size_inches())
        svg = as_svg(figure)
        if len(svg) > SVG_BYTES:
            html = _image(as_png(figure, PNG_DPI), alt, width, height)
        else:
            html = inline_svg(svg, alt, width, f"f{number}-")
        return Picture(html, f"Figure {number}. {caption}")


def inline_svg(svg: str, alt: str, width: int, prefix: str) -> Markup:
    """Make matplotlib's SVG fit for standing inside HTML.

    Parameters
    ----------
    svg
        From ``<svg`` on.
    alt
        Alternative text.
    width
        CSS pixels at full size.
    prefix
        Put before every id, and every reference to one.

    Returns
    -------
    Markup
        Without metadata, comments (matplotlib repeats every text in one), style sheets and
        namespace addresses, none of which HTML needs.
    """
    bare = _SKIPPED.sub("", svg)
    opening = _OPENING.search(bare)
    box = re.search(r'viewBox="([^"]*)"', bare)
    if opening is None or box is None:
        raise ValueError("matplotlib's SVG has no opening tag with a viewBox")
    body = bare[opening.end() :]
    body = _ID.sub(rf'id="{prefix}\1"', body)
    body = _LINK.sub(lambda found: f'href="#{prefix}{found[1] or found[2]}"', body)
    body = re.sub(r"\n\s*", "\n", _URL.sub(rf"url(#{prefix}\1)", body))
    head = Markup('<svg role="img" aria-label="{}" viewBox="{}" style="{}">').format(
        alt, box[1], _size(width)
    )
    return head + Markup(body)


def _image(png: bytes, alt: str, width: int, height: int) -> Markup:
    data = base64.b64encode(png).decode()
    return Markup(
        '<img alt="{}" width="{}" height="{}" style="{}" src="data:image/png;base64,{}">'
    ).format(alt, width, height, _size(width), data)


def _size(width: int) -> str:
    return f"width:{width}px;min-width:{min(width, NARROWEST)}px"
