"""A row chart: one labelled row per comparison, with intervals and columns of numbers."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmda_bayes.figures.layout import log_axis
from nmda_bayes.figures.style import (
    FULL_WIDTH,
    GREY,
    SeriesStyle,
    StyledFigure,
    line_key,
    one_line,
    styled_figure,
)

Side = Literal["left", "right"]
#: A logarithmic axis that spans more than this ratio has numbers at powers of ten only.
WIDE_RATIO = 30.0


class Column(NamedTuple):
    """A column of texts, one a row, under a heading."""

    heading: str
    texts: Sequence[str]
    align: Side = "left"


@dataclass(frozen=True)
class RowSeries:
    """An estimate and its interval in each row; ``label`` is its legend entry."""

    label: str
    estimates: np.ndarray  # (row, 3): median, lower, upper; NaN where nothing is drawn
    style: SeriesStyle
    offset: float = 0.0
    width: float = 1.3
    size: float = 15.0
    alpha: float = 1.0  # opacity of the interval

    def draw(self, axes: Axes, limits: tuple[float, float] | None = None) -> None:
        """Draw intervals and markers; an interval beyond the limits ends in an arrowhead."""
        rows = np.flatnonzero(np.isfinite(self.estimates).all(axis=1))
        (median, low, high), y = self.estimates[rows].T, rows + self.offset
        left, right = limits or (-np.inf, np.inf)
        color, label = self.style.color, f"_{self.label}"
        ends = low.clip(min=left), high.clip(max=right)
        axes.hlines(y, *ends, colors=color, lw=self.width, alpha=self.alpha, label=label)
        if self.style.marker:
            style: dict[str, Any] = (
                {"fc": "white", "ec": color} if self.style.hollow else {"c": color}
            )
            style |= {"marker": self.style.marker, "lw": 0.9, "zorder": 3, "label": label}
            axes.scatter(median, y, self.size, **style)
        for beyond, edge, marker in ((low < left, left, "<"), (high > right, right, ">")):
            if beyond.any():
                edges = np.full(int(beyond.sum()), edge)
                style = {"color": color, "s": 12, "lw": 0, "clip_on": False, "zorder": 4}
                axes.scatter(edges, y[beyond], marker=marker, **style)

    @property
    def key(self) -> Line2D:
        """Its legend entry."""
        marker = {"marker": self.style.marker, "mfc": self.style.face, "ms": self.size**0.5}
        return line_key(self.label, self.style.color, lw=self.width, **marker)


def stack_estimates(source: xr.Dataset, names: Sequence[str] = ()) -> np.ndarray:
    """Stack a median and its limits, over one dim, to an array (row, 3)."""
    return np.stack([source[name].values for name in names or ("median", "lower", "upper")], -1)


@contextmanager
def row_chart(
    count: int,
    series: Sequence[RowSeries] = (),
    *,
    left: Sequence[Column],
    right: Sequence[Column] = (),
    xlabel: str = "",
    title: str = "",
    height: float = 0.19,
    limits: tuple[float, float] | None = None,
    null: float | None = 0.0,
    log: bool = False,
    bold: Container[int] = (),
    keys: Sequence[Artist] = (),
) -> Iterator[tuple[StyledFigure, Axes]]:
    """Draw series over a number of rows, between columns of text, each named from the axes outward.

    ``height`` is that of a row in inches, ``null`` the value of no effect, ``bold`` the rows in
    bold type, and ``keys`` are further legend entries.
    """
    with styled_figure(FULL_WIDTH, 0.7 + height * (count + 1.2)) as figure:
        axes = figure.subplots()
        setup_row_axes(axes, count)
        drawn = [item for item in series if np.isfinite(item.estimates).any()]
        for item in drawn:
            item.draw(axes, limits)
        if limits:
            axes.set_xlim(*limits)
        if log:
            axes.set_xscale("log")
            low, high = limits or axes.get_xlim()
            wide = high > WIDE_RATIO * low
            steps = (1, 3) if high < WIDE_RATIO**2 * low else (1,)
            within = (1, 2, 5) if high > 4 * low else (1, 2, 4, 6, 8)
            log_axis(axes.xaxis, steps if wide else within, 5 if wide else 9)
        if null is not None:
            axes.axvline(null, color=GREY, lw=0.7, zorder=0)
        axes.set_xlabel(one_line(xlabel, 110))
        axes.set_title(one_line(title, 60), loc="left")
        draw_columns(axes, left, "left", bold)
        draw_columns(axes, right, "right", bold)
        figure.add_legend(*(item.key for item in drawn), *keys)
        yield figure, axes


def setup_row_axes(axes: Axes, rows: int) -> None:
    """Turn axes into a table's: row 0 on top, room for a line of headings, no y ticks."""
    axes.set_ylim(rows - 0.4, -1.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def draw_columns(
    axes: Axes,
    columns: Sequence[Column],
    side: Side,
    bold: Container[int] = (),
    reserve: Sequence[str] = (),
) -> None:
    """Print columns next to the axes, from the axes outward, at least as wide as ``reserve``."""
    offset, empty = 6.0, np.ones(max((len(c.texts) for c in columns), default=0), bool)
    for column in columns:
        # A text may extend over the empty cells of the columns between it and the axes.
        free = np.where(empty[: len(column.texts)], offset - 6.0, 0.0)
        offset = 8 + _draw_column(axes, column, side, offset, bold, reserve, free)
        empty[: len(column.texts)] &= [not text.strip() for text in column.texts]


def _draw_column(
    axes: Axes,
    column: Column,
    side: Side,
    offset: float,
    bold: Container[int],
    reserve: Sequence[str],
    free: np.ndarray,
) -> float:
    """Print a column at an offset in points, and give the offset of its far end.

    ``free`` is the room, in points, between each text and the axes.
    """
    outward, near = (-1, "right") if side == "left" else (1, "left")
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    texts = [
        axes.annotate(
            text,
            (0.0 if side == "left" else 1.0, row),
            xycoords=axes.get_yaxis_transform(),
            xytext=(outward * offset, 0),
            textcoords="offset points",
            ha=near,
            va="center",
            fontsize=7,
            fontweight="bold" if row < 0 or row in bold else "normal",
            annotation_clip=False,
        )
        for row, text in enumerate([*reserve, column.heading, *column.texts], -1 - len(reserve))
    ]
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    pixels = np.array([text.get_window_extent(renderer).width for text in texts])
    # Hinting makes text up to 2% wider at another resolution.
    widths = 1.02 * pixels * 72 / figure.dpi
    if column.align != near:
        widths[len(reserve) + 1 :] -= free
    width = float(widths.max())
    for text in texts[: len(reserve)]:
        text.remove()
    if column.align != near:
        for text in texts[len(reserve) :]:
            text.set_horizontalalignment(column.align)
            text.set_position((outward * (offset + width), 0))
    return offset + width
