"""The blocks of a page (text, tables, figures, equations), its sections, and their registry.

All text is plain: the template escapes it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from nmda_bayes.figures import as_png, as_svg
from nmda_bayes.registry import Registry
from nmda_bayes.report.equations import EquationGroup

if TYPE_CHECKING:
    from nmda_bayes.report.context import ReportContext


class Block:
    """One element of a page; the template chooses the HTML by its kind."""

    @property
    def kind(self) -> str:
        """Name of the class in lower case."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Text(Block):
    """A paragraph; `style` is a class of the style sheet."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Items(Block):
    """A bullet list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Heading(Block):
    """A heading below that of the section."""

    text: str


@dataclass(frozen=True)
class Definitions(Block):
    """Terms with their explanations."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code(Block):
    """Preformatted text."""

    text: str


@dataclass(frozen=True)
class Formulas(Block):
    """Equations under a title."""

    group: EquationGroup


@dataclass(frozen=True)
class Picture(Block):
    """A figure with its caption."""

    html: Markup
    caption: str


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    numeric: bool = False

    @property
    def style(self) -> str:
        """Class of its cells in the style sheet."""
        return COLUMN_STYLES.get(self.title, "number" if self.numeric else "")


@dataclass(frozen=True)
class Table(Block):
    """A table; `row_styles` are classes of its rows."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    row_styles: tuple[str, ...] = ()

    @property
    def styled_rows(self) -> list[tuple[str, tuple[str, ...]]]:
        """Rows with their styles."""
        styles = self.row_styles or ("",) * len(self.rows)
        return list(zip(styles, self.rows, strict=True))


@dataclass(frozen=True)
class Fold(Block):
    """Blocks that are folded on a screen; on paper they are open if `printed`."""

    summary: str
    blocks: tuple[Block, ...]
    printed: bool = True


@dataclass(frozen=True)
class Section:
    """A section of a page."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class SectionBuilder:
    """A registered section: `write` yields its blocks; without any, the section is left out."""

    key: str
    title: str
    position: int
    write: Callable[[ReportContext], Iterable[Block]]

    def __call__(self, report: ReportContext) -> Section | None:
        """Build the section of one report."""
        blocks = tuple(self.write(report))
        return Section(self.key, self.title, blocks) if blocks else None


def _section(
    write: Callable[[ReportContext], Iterable[Block]], key: str, title: str, position: int
) -> SectionBuilder:
    return SectionBuilder(key, title, position, write)


#: The sections of a report by key. To add one, decorate a function that yields its blocks.
SECTIONS = Registry("section", _section, name="key")
section = SECTIONS.entry


# --- Tables --------------------------------------------------------------------------------------

#: Title by column of a data frame, or title and how a number is written.
Columns = Mapping[str, str | tuple[str, Callable[[Any], str]]]
#: Columns of long text, which the style sheet gives room.
COLUMN_STYLES: Final = {
    "agent": "short",
    "agent, condition": "named",
    "agents": "named",
    "arm": "named",
    "condition": "named",
    "dose": "short",
    "doses": "named",
    "finding": "wide",
    "measure, time": "named",
    "regimen": "wide",
    "reason": "wide",
    "remark": "wide",
    "source (provenance)": "wide address",
}
#: Cells of numbers, probabilities and intervals, which are aligned to the right.
NUMBER: Final = re.compile(r"[+−]?[\d∞]|[<>—] ?|none$|NN[TH] |not estimable$|not reached$")
#: Longer tables are folded.
MAX_OPEN_ROWS: Final = 40


def build_table(
    frame: pd.DataFrame,
    caption: str,
    columns: Columns | None = None,
    flagged: Iterable[Any] = (),
) -> Table:
    """Make a table of a data frame, without columns that are missing or empty.

    `columns` selects, names and formats columns; by default all are shown under their names. A
    truthy value in `flagged` highlights its row.
    """
    shown: dict[Column, list[str]] = {}
    forms = {str(name): str(name) for name in frame} if columns is None else columns
    for name, form in forms.items():
        title, write = (form, str) if isinstance(form, str) else form
        cells = [write(value) for value in frame[name]] if name in frame else []
        if any(cells):
            shown[Column(title, all(map(NUMBER.match, filter(None, cells))))] = cells
    styles = tuple("gap" if flag else "" for flag in flagged)
    return Table(caption, tuple(shown), tuple(zip(*shown.values(), strict=True)), styles)


def fold_table(table: Table, summary: str, *, printed: bool = True) -> Table | Fold:
    """Fold a table if it is long."""
    return Fold(summary, (table,), printed) if len(table.rows) > MAX_OPEN_ROWS else table


# --- Inline figures ------------------------------------------------------------------------------

#: A larger SVG makes the page slow to open and print; a PNG is used instead.
MAX_SVG_BYTES: Final = 500_000
PNG_DPI: Final = 200
#: CSS pixels per inch, and the width below which a figure scrolls instead of shrinking.
CSS_DPI, MIN_WIDTH = 112, 600
WATERMARK: Final[Any] = {"rotation": 30, "alpha": 0.15, "fontsize": 44, "ha": "center"}

_SKIPPED = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->|<style\b.*?</style>", re.DOTALL)
_OPENING = re.compile(r"<svg\b[^>]*>")
_ID = re.compile(r'\bid="([^"]*)"')
_LINK = re.compile(r'xlink:href="#([^"]*)"|\bhref="#([^"]*)"')
_URL = re.compile(r"url\(#([^)]*)\)")


class FigureNumbering:
    """Numbers the figures of one page and keeps their SVG ids apart."""

    def __init__(self, watermark: str = "") -> None:
        self._numbers = count(1)
        self._watermark = watermark

    def add(self, figure: Figure, caption: str) -> Picture:
        """Make an inline picture of a figure, with its number in the caption."""
        number = next(self._numbers)
        if self._watermark:
            figure.text(0.5, 0.5, self._watermark, **WATERMARK)
        alt = str(figure.get_label()) or caption
        width, height = (round(CSS_DPI * inches) for inches in figure.get_size_inches())
        svg = as_svg(figure)
        if len(svg) > MAX_SVG_BYTES:
            html = _inline_png(as_png(figure, PNG_DPI), alt, width, height)
        else:
            html = inline_svg(svg, alt, width, f"f{number}-")
        return Picture(html, f"Figure {number}. {caption}")


def inline_svg(svg: str, alt: str, width: int, prefix: str) -> Markup:
    """Prepare matplotlib's SVG for HTML: no metadata, ids with a prefix, a text alternative."""
    bare = _SKIPPED.sub("", svg)
    opening, box = _OPENING.search(bare), re.search(r'viewBox="([^"]*)"', bare)
    if opening is None or box is None:
        raise ValueError("matplotlib's SVG has no opening tag with a viewBox")
    body = _ID.sub(rf'id="{prefix}\1"', bare[opening.end() :])
    body = _LINK.sub(lambda link: f'href="#{prefix}{link[1] or link[2]}"', body)
    body = re.sub(r"\n\s*", "\n", _URL.sub(rf"url(#{prefix}\1)", body))
    head = Markup('<svg role="img" aria-label="{}" viewBox="{}" style="{}">')
    return head.format(alt, box[1], _css_size(width)) + Markup(body)


def _inline_png(png: bytes, alt: str, width: int, height: int) -> Markup:
    image = Markup(
        '<img alt="{}" width="{}" height="{}" style="{}" src="data:image/png;base64,{}">'
    )
    return image.format(alt, width, height, _css_size(width), base64.b64encode(png).decode())


def _css_size(width: int) -> str:
    return f"width:{width}px;min-width:{min(width, MIN_WIDTH)}px"
