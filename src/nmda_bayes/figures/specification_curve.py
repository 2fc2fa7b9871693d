"""The specification curve: every variant's answer in order, above the choices that it turned."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nmda_bayes.figures.style import BLACK, BLUE, GREY, PALE, VERMILLION, drawing
from nmda_bayes.figures.text import legend, plain, wrapped
from nmda_bayes.figures.variants import (
    CHOICE,
    VARIANT,
    axis_of,
    doubtful,
    effects_of,
    titled,
    turned,
)
from nmda_bayes.intervals import INTERVAL_TEXT


def plot_specification_curve(cell: xr.Dataset) -> Figure:
    """Draw all variants by their median, with the choices that each turned beneath.

    Parameters
    ----------
    cell
        As `nmda_bayes.sensitivity.one_cell` gives it.

    Returns
    -------
    Figure
        One column a variant; the base is marked, and what the checks refused is drawn hollow.

    Raises
    ------
    ValueError
        If a dim or variable is missing.
    """
    found = effects_of(cell, "plot_specification_curve")
    is_base = np.arange(found.sizes[VARIANT]) == 0
    order = np.argsort(found["median"].to_numpy(), kind="stable")
    ordered, base = found.isel({VARIANT: order}), is_base[order]
    moved = turned(found)
    # A choice that is turned most often stands nearest to the curve.
    rows = np.argsort(-moved.sum(VARIANT).to_numpy(), kind="stable")
    dots = moved.isel({VARIANT: order, CHOICE: rows})
    count = dots.sizes[CHOICE]
    with drawing(7.2, 2.3 + 0.15 * count) as figure:
        above, below = figure.subplots(
            2, 1, sharex=True, height_ratios=[2.0, max(0.15 * count, 0.2)]
        )
        _curve(above, ordered, base)
        _choices(below, dots)
        # No longer than the axis is high, however few the choices beneath it.
        words = axis_of(cell).split(": ", 1)
        above.set_ylabel("\n".join(wrapped(one, 32) for one in words), fontsize=6.5)
        above.set_title(f"{titled(cell)}: {len(order)} variants", loc="left")
        legend(figure, _legend())
        figure.set_label(_alt(cell, found))
    return figure


def _curve(axes: Axes, found: xr.Dataset, base: np.ndarray) -> None:
    x = np.arange(found.sizes[VARIANT])
    low, high = (found[name].values[base][0] for name in ("lower", "upper"))
    axes.axhspan(low, high, color=PALE, alpha=0.5, linewidth=0, label="_base")
    axes.axhline(0, color=GREY, linewidth=0.7)
    axes.vlines(x, found["lower"].values, found["upper"].values, colors=BLUE, linewidth=0.9)
    refused = doubtful(found)
    for chosen, colours in (
        (~refused & ~base, {"color": BLUE}),
        (refused & ~base, {"facecolors": "white", "edgecolors": VERMILLION, "linewidths": 0.9}),
    ):
        axes.scatter(x[chosen], found["median"].values[chosen], s=10, zorder=3, **colours)
    axes.scatter(x[base], found["median"].values[base], s=26, marker="D", color=BLACK, zorder=4)


def _choices(axes: Axes, dots: xr.DataArray) -> None:
    marks = dots.transpose(CHOICE, VARIANT).values
    row, column = np.nonzero(marks)
    axes.scatter(column, row, s=7, marker="s", color=BLACK, linewidths=0)
    axes.set_yticks(range(dots.sizes[CHOICE]))
    axes.set_yticklabels([plain(name, 46) for name in dots[CHOICE].values], fontsize=6)
    axes.set_ylim(dots.sizes[CHOICE] - 0.4, -0.6)
    axes.set_xlim(-0.8, dots.sizes[VARIANT] - 0.2)
    axes.set_xticks([])
    axes.set_xlabel("variants, by their median; a mark where a choice is not the base's")
    axes.tick_params(length=0)
    axes.grid(axis="y", color=PALE, linewidth=0.4)
    for side in ("bottom", "left"):
        axes.spines[side].set_visible(False)


def _legend() -> list[Any]:
    line: dict[str, Any] = {"linestyle": "", "markersize": 4}
    hollow: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": VERMILLION}
    return [
        Line2D([], [], color=BLACK, marker="D", **line, label="the base"),
        Line2D([], [], color=BLUE, marker="o", markersize=3.5, linewidth=0.9,
               label=f"a variant (median, {INTERVAL_TEXT})"),
        Line2D([], [], color=VERMILLION, marker="o", **line, **hollow,
               label="refused by the diagnostics"),
        Patch(facecolor=PALE, alpha=0.5, label=f"the base's {INTERVAL_TEXT}"),
    ]  # fmt: skip


def _alt(cell: xr.Dataset, found: xr.Dataset) -> str:
    median = found["median"].values
    base = float(median[0])
    below, above = (int((found[k].values * s > 0).sum()) for k, s in (("upper", -1), ("lower", 1)))
    return (
        f"Specification curve, {titled(cell)}, {axis_of(cell)}: medians of {len(median)} variants"
        f" from {median.min():.3g} to {median.max():.3g}, the base {base:.3g}; {below} have a"
        f" {INTERVAL_TEXT} wholly below 0 and {above} wholly above."
    )
