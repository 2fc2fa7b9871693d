"""Effects as trials show them beside effects without the bias, agent by agent."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmda_bayes.figures.axes import decimals, row_axes, text_column
from nmda_bayes.figures.style import AFTER, BLACK, GREY, Look, drawing
from nmda_bayes.figures.text import legend, number, plain
from nmda_bayes.intervals import INTERVAL_TEXT

SERIES = ("apparent", "without")
COLUMNS = ("label", *(f"{name}{end}" for name in SERIES for end in ("", "_low", "_high")))
#: Hollow squares against filled circles: told apart in grey.
APPARENT = Look(BLACK, "-", "s")
WORDS = {"apparent": "as trials show it", "without": "bias taken out"}


def plot_bias(table: pd.DataFrame, *, axis: str = "effect") -> Figure:
    """Draw effects as trials show them, and with the bias taken out.

    Parameters
    ----------
    table
        One row an agent: label, apparent, apparent_low, apparent_high, without, without_low,
        without_high.
    axis
        What is estimated, with its unit.

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
        raise ValueError(f"plot_bias needs the columns {', '.join(missing)}")
    with drawing(7.2, 0.75 + 0.32 * (len(table) + 1.5)) as figure:
        axes = figure.subplots()
        row_axes(axes, len(table))
        y = np.arange(len(table), dtype=float)
        _series(axes, table, y - 0.17, "apparent", APPARENT)
        _series(axes, table, y + 0.17, "without", AFTER)
        axes.axvline(0, color=GREY, linewidth=0.7, zorder=0)
        axes.set_xlabel(plain(axis, 90))
        labels = [plain(t, 40) for t in table["label"]]
        weights = ["bold", *("normal" for _ in labels)]
        places = [-1.0, *y]
        text_column(axes, ["", *labels], places, 6, weights=weights)
        used = 6.0
        for name in SERIES:
            texts = [WORDS[name], *_numbers(table, name)]
            used = 10 + text_column(axes, texts, places, used, side="right", weights=weights)
        legend(figure, _legend())
        figure.set_label(_alt(table, axis))
    return figure


def _series(axes: Axes, table: pd.DataFrame, y: np.ndarray, name: str, look: Look) -> None:
    axes.hlines(
        y, table[f"{name}_low"], table[f"{name}_high"], colors=look.color, linewidth=1.3,
        label=f"_{name}",
    )  # fmt: skip
    inside = "white" if name == "apparent" else look.color
    axes.scatter(
        table[name], y, s=18, marker=look.marker, facecolors=inside, edgecolors=look.color,
        linewidths=0.9, zorder=3,
    )  # fmt: skip


def _numbers(table: pd.DataFrame, name: str) -> list[str]:
    values = table[[name, f"{name}_low", f"{name}_high"]].to_numpy(float)
    digits = decimals(float(np.nanmax(values) - np.nanmin(values)))
    return [
        f"{number(middle, digits)} [{number(low, digits)}, {number(high, digits)}]"
        for middle, low, high in values
    ]


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color=BLACK, linewidth=1.3, marker="s", markerfacecolor="white",
               markersize=4, label=f"{WORDS['apparent']} (median, {INTERVAL_TEXT})"),
        Line2D([], [], color=AFTER.color, linewidth=1.3, marker="o", markersize=4,
               label=f"{WORDS['without']} (median, {INTERVAL_TEXT})"),
    ]  # fmt: skip


def _alt(table: pd.DataFrame, axis: str) -> str:
    digits = decimals(float(np.ptp(table[list(COLUMNS[1:])].to_numpy(float))))
    rows = (
        f"{label}: {number(float(shown), digits)} as trials show it,"
        f" {number(float(left), digits)} with the bias taken out"
        for label, shown, left in zip(
            table["label"], table["apparent"], table["without"], strict=True
        )
    )
    return f"Effects with and without bias, {plain(axis)}. {'; '.join(rows)}."
