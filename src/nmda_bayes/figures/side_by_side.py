"""Published estimates beside ours, row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmda_bayes.figures.axes import decimals, row_axes, text_column
from nmda_bayes.figures.style import AFTER, BLACK, GREY, Look, drawing
from nmda_bayes.figures.text import legend, number, plain
from nmda_bayes.intervals import INTERVAL_TEXT, LEVEL

COLUMNS = ("label", "published", "published_low", "published_high", "ours", "ours_low", "ours_high")
PUBLISHED = Look(BLACK, "-", "s")


def plot_side_by_side(table: pd.DataFrame, *, axis: str = "estimate", log: bool = False) -> Figure:
    """Draw published estimates and ours, row by row.

    Parameters
    ----------
    table
        One row a comparison: label, published, published_low, published_high, ours, ours_low,
        ours_high; NaN where a number was not published.
    axis
        What is estimated, with its unit.
    log
        True for ratios: a logarithmic axis with its line at 1.

    Returns
    -------
    Figure
        Two intervals a row, with their numbers beside them.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    missing = [c for c in COLUMNS if c not in table]
    if missing:
        raise ValueError(f"plot_side_by_side needs the columns {', '.join(missing)}")
    with drawing(7.2, 0.6 + 0.3 * (len(table) + 1.5)) as figure:
        axes = figure.subplots()
        row_axes(axes, len(table))
        if log:
            axes.set_xscale("log")
        y = np.arange(len(table), dtype=float)
        _series(axes, table, y - 0.17, "published", PUBLISHED)
        _series(axes, table, y + 0.17, "ours", AFTER)
        axes.axvline(1 if log else 0, color=GREY, linewidth=0.7, zorder=0)
        axes.set_xlabel(plain(axis, 90))
        if log:
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
            axes.xaxis.set_minor_formatter(lambda x, _: "")
        labels = [plain(t, 46) for t in table["label"]]
        places = [-1.0, *y]
        weights = ["bold", *("normal" for _ in labels)]
        text_column(axes, ["", *labels], places, 6, weights=weights)
        used = 6.0
        for name in ("published", "ours"):
            texts = [name, *_numbers(table, name)]
            used = 10 + text_column(axes, texts, places, used, side="right", weights=weights)
        legend(figure, _legend())
        figure.set_label(_alt(table, axis))
    return figure


def _series(axes: Axes, table: pd.DataFrame, y: np.ndarray, name: str, look: Look) -> None:
    axes.hlines(
        y, table[f"{name}_low"], table[f"{name}_high"], colors=look.color, linewidth=1.3,
        label=f"_{name}",
    )  # fmt: skip
    hollow = "white" if name == "published" else look.color
    axes.scatter(
        table[name], y, s=16, marker=look.marker, facecolors=hollow, edgecolors=look.color,
        linewidths=0.9, zorder=3,
    )  # fmt: skip


def _numbers(table: pd.DataFrame, name: str) -> list[str]:
    values = table[[name, f"{name}_low", f"{name}_high"]].to_numpy(float)
    digits = decimals(float(np.nanmax(values) - np.nanmin(values)))
    return [
        f"{number(middle, digits)} [{number(low, digits)}, {number(high, digits)}]"
        if np.isfinite(middle)
        else "not published"
        for middle, low, high in values
    ]


def _legend() -> list[Line2D]:
    published = f"published ({100 * LEVEL:g} % confidence interval)"
    return [
        Line2D([], [], color=BLACK, linewidth=1.3, marker="s", markerfacecolor="white",
               markersize=4, label=published),
        Line2D([], [], color=AFTER.color, linewidth=1.3, marker="o", markersize=4,
               label=f"ours (median, {INTERVAL_TEXT})"),
    ]  # fmt: skip


def _alt(table: pd.DataFrame, axis: str) -> str:
    both = table.dropna(subset=["published", "ours", "ours_low", "ours_high"])
    inside = both["published"].between(both["ours_low"], both["ours_high"])
    return (
        f"Published and our estimates of {plain(axis)} side by side, {len(table)} rows:"
        f" {int(inside.sum())} of {len(both)} published estimates lie within our {INTERVAL_TEXT}."
    )
