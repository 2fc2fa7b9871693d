"""Node-splitting: what the direct trials of each comparison say, and what the others say of it."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmda_bayes.figures.axes import decimals, row_axes, text_column
from nmda_bayes.figures.labelled import need_dims, need_variables
from nmda_bayes.figures.style import BLACK, BLUE, GREY, ORANGE, drawing
from nmda_bayes.figures.text import legend, note, number, plain
from nmda_bayes.intervals import INTERVAL_TEXT

COMPARISON, SOURCE = "comparison", "source"
LOOKS = ((BLACK, "s", "direct trials"), (ORANGE, "D", "the other trials (indirect)"),
         (BLUE, "o", "all, under consistency"))  # fmt: skip

NOTE = (
    "p: twice the smaller posterior tail of the difference beyond 0. Of many comparisons some fall"
    " below 0.05 by chance, and a large p is no proof of consistency: few trials cannot tell."
)


def plot_node_splits(splits: xr.Dataset) -> Figure:
    """Draw direct, indirect and joint evidence of every comparison that was split.

    Parameters
    ----------
    splits
        As `nmda_bayes.estimands.node_splitting` gives it.

    Returns
    -------
    Figure
        One row a comparison, with the difference of direct and indirect, and its tail probability.

    Raises
    ------
    ValueError
        If a dim or variable is missing.
    """
    need_dims(splits, (COMPARISON, SOURCE), "plot_node_splits")
    parts = ("lower", "median", "upper", "difference_median", "p_value", "direct_trials")
    need_variables(splits, parts, "plot_node_splits")
    count = splits.sizes[COMPARISON]
    with drawing(7.2, 0.34 * (count + 1) + 0.6) as figure:
        axes = figure.subplots()
        row_axes(axes, count)
        for place, (colour, marker, label) in enumerate(LOOKS):
            one = splits.isel({SOURCE: place})
            y = np.arange(count) + 0.24 * (place - 1)
            axes.hlines(
                y, one["lower"], one["upper"], colors=colour, linewidth=1.3, label=f"_{label}"
            )
            axes.scatter(one["median"], y, s=14, marker=marker, color=colour, zorder=3)
        axes.axvline(0, color=GREY, linewidth=0.7, zorder=0)
        parts_said = ("title", "scale_text", "dose")
        title, scale, dose = (plain(splits.attrs.get(k, ""), 60) for k in parts_said)
        axes.set_xlabel(f"{title}: {scale}, {dose}")
        _columns(axes, splits)
        legend(figure, [
            Line2D([], [], color=colour, marker=marker, markersize=3.5, linewidth=1.3,
                   label=f"{label}, {INTERVAL_TEXT}" if place == 0 else label)
            for place, (colour, marker, label) in enumerate(LOOKS)
        ])  # fmt: skip
        note(figure, NOTE)
        figure.set_label(_alt(splits))
    return figure


def _columns(axes: Axes, splits: xr.Dataset) -> None:
    count = splits.sizes[COMPARISON]
    places = [-1.0, *map(float, range(count))]
    weights = ["bold", *["normal"] * count]
    trials = ["trials", *(str(int(n)) for n in splits["direct_trials"].values)]
    used = text_column(axes, trials, places, 5, align="right", weights=weights)
    names = ["comparison", *(plain(c, 40) for c in splits[COMPARISON].values)]
    text_column(axes, names, places, used + 8, weights=weights)
    low, high = axes.get_xlim()
    digits = decimals(high - low)
    ends = [splits[f"difference_{k}"].values for k in ("median", "lower", "upper")]
    said = [
        f"{number(m, digits)} [{number(lo, digits)}, {number(hi, digits)}]"
        for m, lo, hi in zip(*ends, strict=True)
    ]
    used = text_column(axes, ["direct − indirect", *said], places, 6, side="right", weights=weights)
    tails = ["p", *(_tail(float(p)) for p in splits["p_value"].values)]
    text_column(axes, tails, places, used + 8, side="right", weights=weights)


def _tail(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _alt(splits: xr.Dataset) -> str:
    p = splits["p_value"].values
    least = str(splits[COMPARISON].values[int(p.argmin())])
    return (
        f"Direct and indirect evidence of {len(p)} comparisons,"
        f" {plain(splits.attrs.get('title', ''), 60)}, medians and {INTERVAL_TEXT}s: the smallest"
        f" tail probability of no inconsistency is {_tail(float(p.min()))}, of {plain(least)}."
    )
