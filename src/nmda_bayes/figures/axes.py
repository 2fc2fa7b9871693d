"""Axes and columns that several figures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

#: From this ratio of the largest to the smallest positive dose on, the dose axis is logarithmic.
DECADES_FROM = 20.0


def dose_axis(axes: Axes, doses: np.ndarray) -> str:
    """Lay out a dose axis that includes 0, logarithmic above it where doses span decades.

    Parameters
    ----------
    axes
        Its x axis is laid out.
    doses
        Exposures >= 0, increasing.

    Returns
    -------
    str
        What a reader must be told of the axis; empty where it is linear.
    """
    positive = doses[doses > 0]
    if len(positive) < 2 or positive[-1] / positive[0] < DECADES_FROM:
        return ""
    axes.set_xscale("symlog", linthresh=float(positive[0]), linscale=0.35)
    axes.set_xlim(0, float(doses[-1]))
    ticks = [0.0, *_nice(float(positive[0]) * 1.2, float(doses[-1]))]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    return "0, then logarithmic"


def _nice(low: float, high: float) -> list[float]:
    """Round numbers, as many in a decade as leave room for their labels."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps in ((1, 3), (1,)):
        ticks = [v for d in decades for s in steps if low <= (v := s * 10.0**d) <= high]
        if len(ticks) <= 5:
            break
    return ticks


def percent_axis(axes: Axes, which: str) -> None:
    """Print a probability axis in percent.

    Parameters
    ----------
    axes
        Its ``which`` axis is laid out.
    which
        "x" or "y".
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda p, _: f"{100 * p:.3g} %"))


def label_lowest(grid: np.ndarray) -> None:
    """Print the x axis's numbers under the lowest visible panel of each column.

    Parameters
    ----------
    grid
        Axes, lines by columns, that share their x axis.
    """
    for column in grid.T:
        seen = [axes for axes in column if axes.get_visible()]
        if seen:
            seen[-1].tick_params(axis="x", labelbottom=True)


def marked(doses: np.ndarray, count: int = 4) -> list[int]:
    """Choose doses to mark along a path, spread over the grid.

    Parameters
    ----------
    doses
        Exposures, increasing.
    count
        How many, besides 0.

    Returns
    -------
    list[int]
        Positions in the grid.
    """
    if len(doses) <= count + 1:
        return list(range(len(doses)))
    places = np.linspace(0, len(doses) - 1, count + 1).round().astype(int)
    return [int(i) for i in dict.fromkeys(places)]


def decimals(span: float) -> int:
    """Choose the decimals that a column of numbers is printed with.

    Parameters
    ----------
    span
        The width of the axis that the numbers lie on.

    Returns
    -------
    int
        So that the last digit is about a hundredth of the axis.
    """
    if not np.isfinite(span) or span <= 0:
        return 2
    return int(np.clip(np.ceil(2.2 - np.log10(span)), 0, 4))


def text_column(
    axes: Axes,
    texts: Sequence[str],
    rows: Sequence[float],
    offset: float,
    *,
    side: Literal["left", "right"] = "left",
    align: Literal["left", "right"] = "left",
    weights: Sequence[str] | None = None,
) -> float:
    """Print a column of text beside an axes, one text a row.

    Parameters
    ----------
    axes
        The rows' axes.
    texts
        One a row.
    rows
        Their y positions.
    offset
        Points between the axes' edge and the column.
    side
        "left" or "right" of the axes.
    align
        "left" or "right".
    weights
        Font weight of each text.

    Returns
    -------
    float
        Points between the axes' edge and the column's far edge.
    """
    outward = -1.0 if side == "left" else 1.0
    made = [
        axes.annotate(
            text,
            (0.0 if side == "left" else 1.0, row),
            xycoords=axes.get_yaxis_transform(),
            xytext=(outward * offset, 0),
            textcoords="offset points",
            ha="right" if side == "left" else "left",
            va="center",
            fontsize=7,
            fontweight=weights[i] if weights else "normal",
            annotation_clip=False,
        )
        for i, (text, row) in enumerate(zip(texts, rows, strict=True))
    ]
    figure = axes.get_figure(root=True)
    if not made or not isinstance(figure, Figure):
        return offset
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    width = max(text.get_window_extent(renderer).width for text in made) * 72 / figure.dpi
    if align != ("right" if side == "left" else "left"):
        for text in made:
            text.set_horizontalalignment(align)
            text.set_position((outward * (offset + width), 0))
    return offset + float(width)


def row_axes(axes: Axes, rows: int) -> None:
    """Turn an axes into a table's: row 0 on top, room for one line of headings, no y ticks.

    Parameters
    ----------
    axes
        The axes.
    rows
        How many rows.
    """
    axes.set_ylim(rows - 0.4, -1.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
