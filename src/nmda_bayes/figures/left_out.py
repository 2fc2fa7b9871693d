"""The leave-one-out forest: the answer without each trial, agent, condition or judgement."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nmda_bayes.figures.axes import decimals, row_axes, text_column
from nmda_bayes.figures.style import BLACK, BLUE, GREY, PALE, VERMILLION, drawing
from nmda_bayes.figures.text import legend, number, words
from nmda_bayes.figures.variants import VARIANT, axis_of, doubtful, effects_of, titled
from nmda_bayes.intervals import INTERVAL_TEXT

KIND = "leave_one_out"


def plot_left_out(cell: xr.Dataset) -> Figure:
    """Draw the answer without each part of the evidence, beside the answer with all of it.

    Parameters
    ----------
    cell
        As `nmda_bayes.sensitivity.one_cell` gives it, with variants of kind ``leave_one_out``.

    Returns
    -------
    Figure
        One row a part, in the file's order, with how far the median moves in the base's SDs and
        how many trials the cell then has.

    Raises
    ------
    ValueError
        If a dim or variable is missing, or nothing was left out.
    """
    found = effects_of(cell, "plot_left_out")
    mine = found["kind"].to_numpy() == KIND
    if not mine.any():
        raise ValueError("plot_left_out needs variants of kind 'leave_one_out'")
    mine[0] = True
    sd = float(cell["effect"].sel(statistic="sd").isel({VARIANT: 0}))
    rows = found.isel({VARIANT: np.flatnonzero(mine)})
    rows = rows.assign(moved=(rows["median"] - rows["median"].isel({VARIANT: 0})) / sd)
    with drawing(7.2, 0.17 * rows.sizes[VARIANT] + 0.9) as figure:
        axes = figure.subplots()
        row_axes(axes, rows.sizes[VARIANT])
        _marks(axes, rows)
        axes.set_xlabel(axis_of(cell))
        axes.set_title(titled(cell), loc="left")
        _columns(axes, rows)
        legend(figure, [
            Line2D([], [], color=BLUE, marker="o", markersize=3.5, linewidth=1.2,
                   label=f"median, {INTERVAL_TEXT}"),
            Line2D([], [], color=VERMILLION, marker="o", markersize=3.5, linestyle="",
                   markerfacecolor="white", label="refused by the diagnostics"),
            Patch(facecolor=PALE, alpha=0.5, label="the base's interval"),
        ])  # fmt: skip
        figure.set_label(_alt(cell, rows))
    return figure


def _marks(axes: Axes, rows: xr.Dataset) -> None:
    lower, median, upper = (rows[k].to_numpy() for k in ("lower", "median", "upper"))
    y, refused = np.arange(len(median)), doubtful(rows)
    axes.axvspan(lower[0], upper[0], color=PALE, alpha=0.5, linewidth=0, zorder=0)
    axes.axvline(median[0], color=BLACK, linewidth=0.6, linestyle=(0, (3, 2)), zorder=1)
    axes.axvline(0, color=GREY, linewidth=0.7, zorder=1)
    axes.hlines(y, lower, upper, colors=[BLACK, *[BLUE] * (len(y) - 1)], linewidth=1.2, zorder=2)
    axes.scatter(median[~refused], y[~refused], s=13, color=BLUE, zorder=3)
    axes.scatter(
        median[refused], y[refused], s=13, facecolors="white", edgecolors=VERMILLION,
        linewidths=0.9, zorder=3,
    )  # fmt: skip
    axes.scatter(median[:1], y[:1], s=26, marker="D", color=BLACK, zorder=4)


def _columns(axes: Axes, rows: xr.Dataset) -> None:
    count = rows.sizes[VARIANT]
    places, weights = [-1.0, *map(float, range(count))], ["bold", "bold", *["normal"] * (count - 1)]
    text_column(axes, ["left out", "nothing (the base)", *_names(rows)], places, 6, weights=weights)
    trials = ["trials", *(str(int(n)) for n in rows["trials"].to_numpy())]
    used = text_column(axes, trials, places, 6, side="right", align="right", weights=weights)
    moved = ["moved, SDs", "", *(number(m, 2) for m in rows["moved"].to_numpy()[1:])]
    used = text_column(axes, moved, places, used + 8, side="right", align="right", weights=weights)
    digits = decimals(float(np.subtract(*axes.get_xlim()[::-1])))
    ends = zip(*(rows[k].to_numpy() for k in ("median", "lower", "upper")), strict=True)
    said = [f"{number(m, digits)} [{number(a, digits)}, {number(b, digits)}]" for m, a, b in ends]
    text_column(axes, ["median [95 %]", *said], places, used + 8, side="right", weights=weights)


def _names(rows: xr.Dataset) -> list[str]:
    return [words(str(v).removeprefix("without "), 44) for v in rows[VARIANT].values[1:]]


def _alt(cell: xr.Dataset, rows: xr.Dataset) -> str:
    median = rows["median"].to_numpy()
    far = int(np.abs(median[1:] - median[0]).argmax())
    return (
        f"Leave-one-out forest, {titled(cell)}, {axis_of(cell)}: {len(median) - 1} answers without"
        f" a part of the evidence; the median, {median[0]:.3g} with all, moves most, to"
        f" {median[far + 1]:.3g}, without {_names(rows)[far]}. Intervals are {INTERVAL_TEXT}s."
    )
